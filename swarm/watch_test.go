package swarm

import (
	"testing"
	"time"

	"tailcast/quicwire"
)

// A parent that delivers no block of one stripe is left for one to whom the stripe flows, also if that one has not said for a while how far
// it is: a STATUS is seconds old when the next comes.
func TestOldStatusIsNoExcuse(t *testing.T) {
	for name, c := range map[string]struct {
		flows    bool
		earliest time.Duration
	}{"it lies": {true, leaveLiar}, "it admits it": {false, leaveHungry}} {
		s := following(t, MeshConfig{})
		s.bot(1).keeps[0] = true
		s.bot(1).pong = func(*quicwire.Ping) quicwire.Pong { return quicwire.Pong{Flows: c.flows, Next: 100} }
		began, at := s.now, uint64(100)
		for s.parent(0) == 1 && s.now.Sub(began) < 4*time.Second {
			s.flow(at, at+1)
			at++
		}
		if d := s.now.Sub(began); d < c.earliest || d > c.earliest+500*ms {
			t.Errorf("%s: left after %v, want %v to 500 ms more", name, d, c.earliest)
		}
		s.flow(at, at+20)
		s.wantParent(0, 2)
		s.wantParent(1, 1)
	}
}
