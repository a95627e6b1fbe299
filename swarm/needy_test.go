package swarm

import (
	"testing"
	"time"

	"tailcast/quicwire"
)

// Whose peers are many but no help for a stripe turns to others. The first node below a source often has peers only that get the stripe by it:
// when the lot takes its place, they all refuse it.
func TestNeedyDialsMore(t *testing.T) {
	const peers = 8 // as many as this stream wants
	s := newScript(t, peers+4, MeshConfig{MaxPeers: 64})
	s.do(Tick{})
	var all []Action
	for n := range peers {
		all = append(all, s.up(n+1, n, today, 10*time.Millisecond)...)
		all = append(all, s.status(n+1, today, 1, 1)...)
		all = append(all, s.says(n+1, &quicwire.Status{Log: tv(today), Size: 1, Lags: make([]time.Duration, 2), Homes: 3, Slots: 8})...)
	}
	subs, to := sent[*quicwire.Sub](all)
	for k, x := range subs {
		s.says(int(to[k]), &quicwire.SubOK{Log: x.Log, Stripe: x.Stripe, First: uint64(x.Stripe)})
	}
	if dials := of[Dial](s.pushed(1, 40)); len(dials) > 0 {
		t.Fatalf("dials %v, want nobody while all is well", dials)
	}
	for n := range peers {
		s.says(n+1, &quicwire.Status{Log: tv(today), Size: 40, Lags: []time.Duration{quicwire.NoLag, 0}})
	}
	for n := range peers {
		s.says(n+1, &quicwire.Moved{Log: tv(today), Stripe: 0, Reason: quicwire.Redrawn})
	}
	if dials := of[Dial](s.after(needyAfter)); len(dials) > 0 {
		t.Errorf("dials %v, want nobody so soon", dials)
	}
	if dials := of[Dial](s.after(2 * TickEvery)); len(dials) < moreIfNeedy || dials[0].Contact < peers {
		t.Errorf("dials %v, want at least %d of the others", dials, moreIfNeedy)
	}
}

// pushed lets session n push the first blocks of tv, one each 25 ms.
func (s *script) pushed(n int, blocks uint64) (all []Action) {
	for i := range blocks {
		s.shelf.put(tv(today), i)
		all = append(all, s.block(n, today, i, false)...)
		all = append(all, s.after(25*time.Millisecond)...)
	}
	return all
}
