package swarm

import (
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/internal/netsim"
)

// What a Swarm has counted is complete when Run has ended, and nobody is connected any more.
func TestLastSnapshot(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		a := w.viewer("a", at[1], Config{}, at[0])
		pass(3 * time.Second)
		s.stop()
		pass(time.Second)
		sent, received := s.swarm.Status(), a.swarm.Status()
		if sent.Sent.Media == 0 || sent.Sent != received.Received || len(sent.Peers) != 0 || sent.Used != 0 {
			t.Errorf("the streamer has sent %+v to %d peers, the viewer received %+v; want the same, and nobody connected", sent.Sent, len(sent.Peers), received.Received)
		}
		if received.Uplink == 0 || received.Measured != 0 {
			t.Errorf("the viewer's uplink is %d, measured %d; want a guess, and nothing measured", received.Uplink, received.Measured)
		}
		known := len(received.Known)
		a.stop()
		if st := a.swarm.Status(); len(st.Peers) != 0 || len(st.Known) < known {
			t.Errorf("the viewer ends with %d peers, knows %d; want none and %d", len(st.Peers), len(st.Known), known)
		}
	})
}
