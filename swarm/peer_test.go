package swarm

import (
	"testing"
	"time"

	"tailcast/quicwire"
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

// A stripe that the log does not have does no harm, whatever we do at the moment.
func TestStripeThatIsNotThere(t *testing.T) {
	for name, s := range map[string]*script{"following": following(t, MeshConfig{}), "leaving": following(t, MeshConfig{}), "signing": sourceScript(t, 2, 3, MeshConfig{})} {
		if name == "leaving" {
			s.do(Leaving{time.Second})
		}
		s.claims(2, 5, 0)
		for _, m := range []quicwire.Message{
			&quicwire.Sub{Log: tv(today), Stripe: 31, Stripes: 32}, &quicwire.SubOK{Log: tv(today), Stripe: 31},
			&quicwire.SubNo{Log: tv(today), Stripe: 31}, &quicwire.Moved{Log: tv(today), Stripe: 31}, &quicwire.Unsub{Log: tv(today), Stripe: 31},
			&quicwire.Path{Log: tv(today), Stripe: 31}, &quicwire.Ping{Log: tv(today), Stripe: 31}, &quicwire.Pong{Log: tv(today), Stripe: 31},
		} {
			s.says(2, m)
			s.says(1, m)
		}
	}
}

// Who leaves says so with others to turn to, takes on nobody new, and goes on serving.
func TestLeaving(t *testing.T) {
	s := serving(t, 2, 8, MeshConfig{})
	s.subscribe(2, 0, true)
	s.claims(3, 5, 0, 0)
	s.claims(4, 0, 0, 0)
	all := s.do(Leaving{time.Second})
	byes, to := sent[*quicwire.Bye](all)
	if len(byes) != 8 || to[1] != 2 || len(byes[1].Referrals) == 0 || byes[1].Leaving != time.Second {
		t.Fatalf("got %+v to %v, want BYE to all 8", byes, to)
	}
	for _, r := range byes[1].Referrals {
		if r.Node == key(4) || r.Node == key(2) {
			t.Errorf("2 is referred to %v, who has no room, or is 2 itself", r)
		}
	}
	if all := s.subscribe(5, 1, true); len(sentTo[*quicwire.SubNo](all, 5)) != 1 {
		t.Errorf("got %+v for a newcomer, want a no", all)
	}
	if !s.m.needed() {
		t.Error("nobody needs us, although 2 does")
	}
	n := 0
	for _, p := range of[Push](s.flow(100, 120)) {
		if p.Session == 2 {
			n++
		}
	}
	if n != 10 {
		t.Errorf("pushed %d blocks to 2 meanwhile, want 10", n)
	}
	if s.says(2, &quicwire.Unsub{Log: tv(today)}); s.m.needed() {
		t.Error("somebody needs us, although 2 has gone elsewhere")
	}
}

// A source that leaves draws no lots.
func TestLeavingSource(t *testing.T) {
	s := sourceScript(t, 1, 4, MeshConfig{})
	for n := 1; n <= 4; n++ {
		s.subscribe(n, 0, true)
	}
	s.do(Leaving{5 * time.Second})
	if oks, to := sent[*quicwire.SubOK](append(s.do(SessionDown{1, errNoAnswer}), s.signs(40)...)); len(oks) > 0 {
		t.Errorf("took on %v", to)
	}
}

// A parent that says goodbye is replaced while it still serves: nothing is missed, and its session ends when nothing comes from it any more.
func TestGoodbye(t *testing.T) {
	s := following(t, MeshConfig{})
	all := s.says(1, &quicwire.Bye{Leaving: 2 * time.Second})
	wantSubs(t, all, 3, 2)
	all = append(all, s.flow(100, 180)...)
	if b := s.m.blocks; b.Missed+b.Repaired > 0 {
		t.Errorf("got %+v, want nothing missed or repaired", b)
	}
	s.wantParent(0, 2)
	s.wantParent(1, 2)
	if closed := of[Close](all); len(closed) != 1 || closed[0].Session != 1 || closed[0].Code != quicwire.CodeDone {
		t.Errorf("closed %+v, want the session with 1 done", closed)
	}

	s = following(t, MeshConfig{})
	if closed := of[Close](s.says(2, &quicwire.Bye{Leaving: 2 * time.Second})); len(closed) != 1 || closed[0].Session != 2 {
		t.Errorf("closed %+v, want at once the session from which nothing comes", closed)
	}
}
