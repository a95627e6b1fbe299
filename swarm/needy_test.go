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
	s := newScript(t, peers+12, MeshConfig{MaxPeers: 64})
	s.do(Tick{})
	for n := range peers {
		s.answers(n + 1)
		s.up(n+1, n, today, 10*time.Millisecond)
		s.status(n+1, today, 1, 1)
	}
	s.dials()
	if s.flow(0, 40); len(s.dialled) > 0 {
		t.Fatalf("dials %v, want nobody while all is well", s.dialled)
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
