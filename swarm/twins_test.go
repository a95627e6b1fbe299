package swarm

import (
	"context"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/internal/netsim"
	"tailcast/quicwire"
)

// dials returns which anchors are dialled.
func dials(all []Action) (list []int) {
	for _, a := range all {
		if d, ok := a.(Dial); ok {
			list = append(list, d.Contact)
		}
	}
	return list
}

// A link that names two addresses of one node leads to one session: the second address is left alone, and tried when the first is lost.
func TestTwoAddressesOfOneNode(t *testing.T) {
	s := newScript(t, 2, MeshConfig{})
	s.answers(1)
	s.answers(2)
	if got := dials(s.do(Tick{})); len(got) != 2 {
		t.Fatalf("dials %v at first, want both", got)
	}
	up := func(n, anchor int) {
		s.do(EpochKnown{today})
		s.do(SessionUp{Session: SessionID(n), Contact: anchor, Peer: key(1), Addr: s.m.contacts[anchor].addr, Role: quicwire.Streamer, Epoch: today})
	}
	up(1, 0)
	up(2, 1)
	s.do(SessionDown{1, &quicwire.Error{Code: quicwire.CodeDuplicate, Remote: true}})
	if got := dials(s.at(10 * time.Minute)); len(got) != 0 {
		t.Errorf("dials %v again, although the node is there at the other address", got)
	}
	s.do(SessionDown{2, &quicwire.Error{Code: quicwire.CodeLost}})
	if got := dials(s.at(10*time.Minute + 2*time.Second)); len(got) < 2 {
		t.Errorf("dials %v after the node was lost, want both addresses", got)
	}
}

// Two epochs that began in the same millisecond are ordered, by everybody alike.
func TestEpochsOfOneMillisecond(t *testing.T) {
	a, b := Epoch{1, 5, feed.EpochID{1}}, Epoch{1, 5, feed.EpochID{2}}
	if a.Compare(b) != -1 || b.Compare(a) != 1 || a.Compare(a) != 0 {
		t.Errorf("got %d, %d, %d", a.Compare(b), b.Compare(a), a.Compare(a))
	}
	s := newScript(t, 2, MeshConfig{})
	s.shelf.held[catalog(a)], s.shelf.held[catalog(b)] = Holding{Stripes: 1}, Holding{Stripes: 1}
	s.up(1, 0, a, time.Millisecond)
	s.up(2, 1, b, time.Millisecond)
	if s.m.run.epoch != b {
		t.Errorf("follows %v, want %v", s.m.run.epoch, b)
	}
}

// Two streamers with copies of one data directory have one node key. Where both are known, the lower one learns that the other is live; the
// viewer is connected with both all the time.
func TestTwoStreamersWithOneNodeKey(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		one := w.streamer("copy", at[0], feed.Config{})
		pass(time.Second)
		two := w.streamer("copy", at[1], feed.Config{})
		a := w.viewer("a", at[2], Config{}, at[0], at[1])
		pass(4 * time.Second)
		if st := one.swarm.Status(); st.Superseded == nil || st.Superseded.ID != two.swarm.Status().Epoch.ID {
			t.Errorf("the first streamer says it is superseded by %v, want the epoch of the second", st.Superseded)
		}
		if st := two.swarm.Status(); st.Superseded != nil {
			t.Errorf("the second streamer says it is superseded by %v", st.Superseded)
		}
		if peers := a.swarm.Status().Peers; len(peers) != 2 {
			t.Errorf("the viewer has sessions with %v, want both", peers)
		}
		wantFlow(t, two, 5, a)
	})
}

// A streamer that goes above the other one is no longer superseded by it; now the other one is.
func TestStreamersChangePlaces(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		one := w.streamer("one", at[0], feed.Config{})
		pass(time.Second)
		two := w.streamer("two", at[1], feed.Config{})
		w.viewer("a", at[2], Config{}, at[0], at[1])
		pass(4 * time.Second)
		if one.swarm.Status().Superseded == nil {
			t.Fatal("the first streamer does not notice the second")
		}
		next, err := feed.NewWriter(feed.WriterConfig{Replica: one.replica, Station: w.station})
		if err != nil {
			t.Fatal(err)
		}
		one.also(func(ctx context.Context) { next.Run(ctx) })
		if err := next.SetState(feed.State{Title: "Test", Renditions: []feed.Rendition{{Name: "main", Stripes: testStripes}}}); err != nil {
			t.Fatal(err)
		}
		pass(4 * time.Second)
		if st := one.swarm.Status(); st.Superseded != nil {
			t.Errorf("the first streamer, in a higher epoch now, says it is superseded by %v", st.Superseded)
		}
		if st := two.swarm.Status(); st.Superseded == nil || st.Superseded.ID != next.Epoch().ID() {
			t.Errorf("the second streamer says it is superseded by %v, want the new epoch of the first", st.Superseded)
		}
	})
}
