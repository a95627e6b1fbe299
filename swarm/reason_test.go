package swarm

import (
	"strings"
	"testing"
	"time"

	"tailcast/quicwire"
)

// Who is connected only with nodes that found it by themselves, and receives nothing, is told of the link's address: somebody can do
// something about that.
func TestReasonNamesTheLinkFirst(t *testing.T) {
	s := following(t, MeshConfig{})
	s.joins(3, 10*ms)
	s.answers(3).pong = func(*quicwire.Ping) quicwire.Pong { return quicwire.Pong{} }
	s.learn(5, FromPeer)
	s.do(SessionDown{1, errNoAnswer})
	s.do(SessionDown{2, errNoAnswer})
	s.do(DialFailed{0, errNoAnswer})
	s.after(3 * time.Second)
	state, why := s.m.State(s.now)
	for _, part := range []string{"the relay a0:1 does not answer", "the relay a1:1 does not answer", "trying again", "connected to the viewer " + host(3) + ", which itself receives nothing"} {
		if state != Stalled || !strings.Contains(why, part) {
			t.Errorf("got %v %q, want stalled, and %q in it", state, why, part)
		}
	}
	if strings.Contains(why, "198.51.") {
		t.Errorf("got %q, want nothing of addresses that are only somebody's word", why)
	}
}
