package swarm

import (
	"testing"
	"time"
)

// Sessions get their ids in goroutines of their own, so that a later one may be reported first: both are known, and both are forgotten.
func TestSessionsOutOfOrder(t *testing.T) {
	s := newScript(t, 2, MeshConfig{})
	s.do(Tick{})
	for _, n := range []int{5, 2, 9, 3} {
		s.joins(n, time.Millisecond)
	}
	for _, n := range []SessionID{5, 2, 9, 3} {
		if p := s.m.peer(n); p == nil || p.id != n {
			t.Errorf("session %d is not known", n)
		}
	}
	for _, n := range []SessionID{9, 2, 3, 5} {
		s.do(SessionDown{n, errNoAnswer})
	}
	if n := len(s.m.peers); n != 0 {
		t.Errorf("%d peers are left of sessions that have ended", n)
	}
}
