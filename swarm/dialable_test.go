package swarm

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/internal/netsim"
	"tailcast/quicwire"
)

// Addresses that peers name pass Config.Dialable, which is told where those peers are; addresses from elsewhere do not.
func TestDialable(t *testing.T) {
	type question struct{ addr, by string }
	var asked []question
	home := netip.MustParsePrefix("192.168.1.0/24")
	s := newScript(t, 0, MeshConfig{Dialable: func(addr netip.AddrPort, by netip.Addr) bool {
		asked = append(asked, question{addr.String(), by.String()})
		return !home.Contains(addr.Addr()) || home.Contains(by)
	}})
	s.do(EpochKnown{today})
	for n, addr := range []string{"192.168.1.2:4433", "1.1.1.1:4433"} {
		s.do(SessionUp{Session: SessionID(n + 1), Contact: -1, Peer: key(n + 1), Addr: addr, Role: quicwire.Viewer, Epoch: today})
	}
	printer, lan, cache := netip.MustParseAddrPort("192.168.1.9:9100"), netip.MustParseAddrPort("192.168.1.10:4433"), netip.MustParseAddrPort("192.168.1.11:4433")
	known := func(a netip.AddrPort) bool {
		return slices.ContainsFunc(s.m.contacts, func(c *contact) bool { return c.addr == a.String() })
	}
	pex := &quicwire.Pex{Peers: []quicwire.PeerRecord{{Node: key(7), Addr: printer}}}
	referrals := []quicwire.Referral{{Node: key(7), Addr: printer}}

	s.says(2, pex)
	s.says(2, &quicwire.Bye{Leaving: time.Second, Referrals: referrals})
	if want := (question{printer.String(), "1.1.1.1"}); known(printer) || !slices.Equal(asked, []question{want, want}) {
		t.Errorf("asked %v; want the peer's address in two questions, and its word not taken", asked)
	}
	s.says(1, pex)
	if !known(printer) {
		t.Error("the word of a neighbour in the same network was not taken")
	}
	asked = nil
	s.do(Learned{Addr: lan, Origin: FromLAN})
	s.do(Learned{Addr: cache, Origin: FromCache})
	if !known(lan) || !known(cache) || len(asked) != 0 {
		t.Errorf("asked %v; want no question about what we have found ourselves", asked)
	}
}

// A Swarm gives Dialable to its Mesh: who may dial nobody that peers name stays with the one that it was told of.
func TestSwarmAsksDialable(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		w.streamer("s", at[0], feed.Config{})
		w.viewer("a", at[1], Config{}, at[0])
		pass(3 * time.Second)
		var mu sync.Mutex
		var asked []netip.Addr
		shy := w.viewer("shy", at[2], Config{NoShare: true, Dialable: func(_ netip.AddrPort, by netip.Addr) bool {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, by)
			return false
		}}, at[1])
		bold := w.viewer("bold", at[3], Config{}, at[1])
		pass(5 * time.Second)
		for _, p := range shy.swarm.Status().Peers {
			if !p.Inbound && p.Addr != at[1].AddrPort().String() {
				t.Errorf("it has dialled %s", p.Addr)
			}
		}
		if len(bold.swarm.Status().Peers) < 2 {
			t.Errorf("%v: want more than one peer of who may dial anybody", bold)
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(asked, at[1].AddrPort().Addr()) {
			t.Errorf("asked about words of %v, want those of the node of the link", asked)
		}
	})
}
