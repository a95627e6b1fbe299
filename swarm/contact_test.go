package swarm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// All anchors are dialled at once, as many at most as peers are wanted; the pauses between dials double up to 4 s, with a little chance.
func TestDialsAndPauses(t *testing.T) {
	s := newScript(t, 2*maxDials, MeshConfig{})
	first, want := of[Dial](s.do(Tick{})), min(maxDials, s.m.degree())
	if len(first) != want || first[0].Addr != "a0:1" {
		t.Fatalf("got %+v first, want the first %d anchors", first, want)
	}
	s.dials()
	for c := range want {
		s.do(DialFailed{c, errNoAnswer})
	}
	if more := s.dials(); len(more) < want-2 || more[0] != want {
		t.Errorf("after all of these have failed: dials %v, want as many others", more)
	}

	s = newScript(t, 1, MeshConfig{})
	s.do(Tick{})
	for i, want := range []time.Duration{500, 1000, 2000, 4000, 4000, 4000} {
		begun, want := s.now, want*time.Millisecond
		s.do(DialFailed{0, errNoAnswer})
		for len(of[Dial](s.do(Tick{}))) == 0 {
			s.now = s.now.Add(TickEvery)
		}
		if got := s.now.Sub(begun); got < want || got > want+want/4+TickEvery {
			t.Errorf("pause %d is %v, want %v to a quarter more", i, got, want)
		}
	}
}

// A former neighbour is dialled every 250 ms for 15 s; then as any other.
func TestRedialsNeighbour(t *testing.T) {
	s := newScript(t, 1, MeshConfig{})
	s.do(Tick{})
	s.up(1, 0, today, 0)
	s.do(SessionDown{1, errNoAnswer})
	dials := func(until time.Duration) (n int) {
		for s.now.Sub(s.start) < until {
			if len(of[Dial](s.do(Tick{}))) > 0 {
				n++
				s.do(DialFailed{0, errNoAnswer})
			}
			s.now = s.now.Add(10 * time.Millisecond)
		}
		return n
	}
	if n := dials(15 * time.Second); n < 40 || n > 60 {
		t.Errorf("got %d dials in 15 s, want one each 250 to 312 ms, and a tick", n)
	}
	if n := dials(75 * time.Second); n < 12 || n > 21 {
		t.Errorf("got %d dials in the minute after, want one each 3 to 5 s, as nothing comes from anybody", n)
	}
}

// A source that goes may be restarting, also if it has said goodbye, and whoever of us has dialled the other. Each dial is given up soon: at a
// host where nobody is yet it would else go on until long after.
func TestRedialsSource(t *testing.T) {
	for name, contact := range map[string]int{"we have dialled it": 0, "it has dialled us": -1} {
		for _, code := range []quicwire.Code{quicwire.CodeDone, quicwire.CodeLost} {
			s := newScript(t, 1, MeshConfig{})
			s.do(Tick{})
			s.opens(SessionUp{Session: 1, Contact: contact, Peer: key(1), Addr: host(1), Role: quicwire.Streamer, Epoch: today, RTT: 20 * ms})
			s.do(SessionDown{1, &quicwire.Error{Code: code}})
			s.dials()
			n := 0
			for range 200 { // 10 s
				for _, d := range of[Dial](s.after(TickEvery)) {
					if d.Contact == 0 && contact < 0 {
						continue // the anchor
					}
					n++
					if want := min(redialTimeout<<((n-1)/4), dialTimeout); d.Timeout != want {
						t.Fatalf("%s: dial %d of %v, want one of %v", name, n, d.Timeout, want)
					}
					s.do(DialFailed{d.Contact, errNoAnswer})
				}
			}
			if n < 25 || n > 40 {
				t.Errorf("%s, %v: %d dials in 10 s, want one each 250 to 312 ms, and a tick", name, code, n)
			}
		}
	}
}

// Who said that it does not want us is no lost neighbour: it is not dialled four times a second.
func TestUnwantedIsLeftAlone(t *testing.T) {
	for name, code := range map[string]quicwire.Code{"done": quicwire.CodeDone, "busy": quicwire.CodeBusy} {
		s := following(t, MeshConfig{})
		s.do(SessionDown{2, &quicwire.Error{Code: code, Remote: true}})
		s.dials()
		if s.flow(100, 100+40*19); len(s.dialled) > 0 {
			t.Errorf("%s: dials %v in 19 s, want none while the channel flows", name, s.dialled)
		}
		if s.flow(100+40*19, 100+40*30); !slices.Contains(s.dialled, 1) {
			t.Errorf("%s: dials %v after 20 s, want it tried again", name, s.dialled)
		}
	}
}

// A source that let us go has better neighbours: it is left alone for minutes, unless nothing comes from anybody else.
func TestFullSourceIsLeftAlone(t *testing.T) {
	full := func() *script {
		s := following(t, MeshConfig{})
		s.m.contacts[1].source = true
		s.do(SessionDown{2, &quicwire.Error{Code: quicwire.CodeBusy, Remote: true}})
		s.dials()
		return s
	}
	s := full()
	if s.flow(100, 100+40*119); len(s.dialled) > 0 {
		t.Errorf("dials %v in 119 s, want none while the channel flows", s.dialled)
	}
	if s.flow(100+40*119, 100+40*151); !slices.Contains(s.dialled, 1) {
		t.Errorf("dials %v after two minutes and a half, want the source tried again", s.dialled)
	}
	s = full()
	s.flow(100, 100+40*30)
	s.bot(1).refuses = true
	delete(s.bot(1).subs, subKey{tv(today), 0})
	s.says(1, &quicwire.Moved{Log: tv(today), Stripe: 0, Reason: quicwire.Redrawn})
	if s.flow(100+40*30, 100+40*32); slices.Contains(s.dialled, 1) {
		t.Errorf("dials %v while a stripe is lacking, want not the source, which would refuse", s.dialled)
	}
	if s.flow(100+40*32, 100+40*34); !slices.Contains(s.dialled, 1) {
		t.Errorf("dials %v when a stripe has been lacking for over three seconds, want the source", s.dialled)
	}
	s = full()
	s.bot(1).stuck = true
	if s.after(6 * time.Second); !slices.Contains(s.dialled, 1) {
		t.Errorf("dials %v when nothing has come for 6 s, want the source", s.dialled)
	}
}

// Where nobody is said to be due without a look at the contacts, a look finds nobody: with any neighbours, however they were lost.
func TestContentMeansNobodyIsDue(t *testing.T) {
	codes := []quicwire.Code{quicwire.CodeDone, quicwire.CodeBusy, quicwire.CodeLost, quicwire.CodeDuplicate, quicwire.CodeShunned, quicwire.CodeTimeout}
	origins := []Origin{FromPeer, FromReferral, FromCache, FromLAN}
	roles := []quicwire.Role{quicwire.Viewer, quicwire.Relay, quicwire.Streamer}
	content, seeking := 0, 0
	for seed := range uint64(6) {
		s := serving(t, 2, 9, MeshConfig{Seed: seed})
		r := rand.New(rand.NewPCG(seed, 5))
		next, open := 10, []int{2, 3, 4, 5, 6, 7, 8, 9} // 1 is the parent
		for range 80 {
			switch k := r.IntN(10); {
			case k < 3:
				s.opens(SessionUp{
					Session: SessionID(next), Contact: r.IntN(len(s.m.contacts)+1) - 1, Peer: key(next), Addr: host(next), Role: roles[r.IntN(3)],
					Epoch: today, RTT: 20 * ms,
				})
				open, next = append(open, next), next+1
			case k < 5 && len(open) > 6:
				i := r.IntN(len(open))
				s.do(SessionDown{SessionID(open[i]), &quicwire.Error{Code: codes[r.IntN(len(codes))], Remote: r.IntN(2) == 0}})
				open = slices.Delete(open, i, i+1)
			case k < 6:
				s.learn(r.IntN(50), origins[r.IntN(4)])
			case k < 7:
				s.says(open[r.IntN(len(open))], &quicwire.Bye{Leaving: time.Second})
			default:
				s.flow(s.size(), s.size()+uint64(r.IntN(400))) // up to 10 s
			}
			if !s.m.content() {
				seeking++
				continue
			}
			content++
			s.m.out = s.m.out[:0]
			if s.m.seek(); len(of[Dial](s.m.out)) > 0 {
				t.Fatalf("seed %d: a look dials %+v", seed, of[Dial](s.m.out))
			}
		}
	}
	if content < 100 || seeking < 100 {
		t.Errorf("content %d times, and not %d times: the test shows little", content, seeking)
	}
}

// How many neighbours are wanted, and kept, by what is known of the stream.
func TestDegree(t *testing.T) {
	for _, c := range []struct{ stripes, wanted, kept int }{{0, 14, 42}, {1, 8, 24}, {8, 8, 24}, {16, 20, 60}, {32, 24, 64}} {
		s := newStriped(t, 1, max(c.stripes, 1), MeshConfig{})
		s.do(Tick{})
		if c.stripes > 0 {
			s.up(1, 0, today, 10*ms)
		}
		if got, kept := s.m.degree(), s.m.mostPeers(); got != c.wanted || kept != c.kept {
			t.Errorf("%d stripes: wants %d peers and keeps %d, want %d and %d", c.stripes, got, kept, c.wanted, c.kept)
		}
	}
}

// addrOf returns the n-th address of a network: a /24 for each place.
func addrOf(place, n int) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf("198.51.%d.%d:4433", place, n+1))
}

// learn lets the Mesh hear of n addresses, in places of their own.
func (s *script) learn(n int, origin Origin) {
	for k := range n {
		node := key(1000 + k)
		s.do(Learned{Addr: addrOf(k, 0), Node: &node, Origin: origin})
	}
}

// What strangers say makes us dial seldom: a mesh at first, then one a second, two in one subnet at a time.
func TestStrangersAreDialledSeldom(t *testing.T) {
	s := newScript(t, 0, MeshConfig{})
	dialled := func(d time.Duration) (n int) {
		for end := s.now.Add(d); s.now.Before(end); s.after(TickEvery) {
			for _, c := range s.dials() {
				n++
				s.do(DialFailed{c, errNoAnswer})
			}
		}
		return n
	}
	s.learn(200, FromPeer)
	if n := dialled(2 * time.Second); n < strangerBurst-4 || n > strangerBurst+3 {
		t.Errorf("dialled %d of 200 addresses in 2 s, want about %d", n, strangerBurst)
	}
	if n := dialled(30 * time.Second); n < 29 || n > 31 {
		t.Errorf("dialled %d in the 30 s after, want one a second", n)
	}
	for _, c := range s.m.contacts {
		if c.fails > 1 {
			t.Fatalf("%s was dialled %d times in half a minute, want nobody twice in ten", c.addr, c.fails)
		}
	}

	s = newScript(t, 0, MeshConfig{})
	for k := range 20 {
		s.do(Learned{Addr: addrOf(7, k), Origin: FromPeer})
	}
	if s.after(5 * time.Second); len(s.dialled) != maxSubnet {
		t.Errorf("dials %v in one subnet at a time, want %d", s.dialled, maxSubnet)
	}
}

// Addresses of a network of our own, of the operator and of an earlier run are no strangers'.
func TestFriendsAreDialledAtOnce(t *testing.T) {
	for _, origin := range []Origin{FromLAN, FromCache, FromPin} {
		s := newScript(t, 0, MeshConfig{})
		n := 0
		s.learn(40, origin)
		for range 20 {
			s.after(TickEvery)
			for _, c := range s.dials() {
				n++
				s.do(DialFailed{c, errNoAnswer})
			}
		}
		if n < 40 {
			t.Errorf("origin %d: dialled %d of 40 within a second, want all", origin, n)
		}
	}
}

// An address that must not be dialled, our own, and one that is known already make no contact.
func TestAddressesThatMakeNoContact(t *testing.T) {
	self := key(77)
	s := newScript(t, 0, MeshConfig{Node: self, Dialable: func(a netip.AddrPort, _ netip.Addr) bool { return !a.Addr().IsPrivate() }})
	other := key(78)
	for _, e := range []Learned{
		{Addr: netip.MustParseAddrPort("10.0.0.1:4433"), Node: &other, Origin: FromPeer},
		{Addr: netip.MustParseAddrPort("10.0.0.1:4433"), Node: &other, Origin: FromReferral},
		{Addr: addrOf(1, 1), Node: &self, Origin: FromPeer},
		{Origin: FromPeer},
	} {
		if s.do(e); len(s.m.contacts) != 0 {
			t.Fatalf("%+v made a contact", e)
		}
	}
	s.do(Learned{Addr: netip.MustParseAddrPort("10.0.0.1:4433"), Node: &other, Origin: FromLAN})
	s.do(Learned{Addr: addrOf(1, 1), Origin: FromPeer})
	s.do(Learned{Addr: addrOf(1, 1), Node: &other, Origin: FromPeer})
	if len(s.m.contacts) != 2 {
		t.Errorf("got %d contacts, want the one of our network, and one for the address that was heard of twice", len(s.m.contacts))
	}
}

// However many addresses we hear of, few are kept; those of the link and those that are connected stay.
func TestContactsAreBounded(t *testing.T) {
	s := newScript(t, 3, MeshConfig{})
	s.do(Tick{})
	s.up(1, 0, today, 0)
	s.learn(40, FromPeer)
	s.after(time.Second)
	for k := range 3000 {
		node := key(5000 + k)
		s.do(Learned{Addr: netip.MustParseAddrPort(fmt.Sprintf("203.%d.%d.9:4433", k>>8, k&255)), Node: &node, Origin: FromPeer})
	}
	if n := len(s.m.contacts); n != maxContacts {
		t.Errorf("%d contacts, want %d", n, maxContacts)
	}
	for i, c := range s.m.contacts {
		if c.index != i {
			t.Fatalf("contact %d thinks that it is %d", i, c.index)
		}
		if i < 3 && c.origin != FromLink {
			t.Errorf("anchor %d was replaced by %+v", i, c)
		}
	}
}

// Who has as many neighbours as it wants dials no more; who has too few of a kind does.
func TestEnoughNeighbours(t *testing.T) {
	s := serving(t, 2, 9, MeshConfig{})
	s.dials()
	s.learn(30, FromCache)
	if s.flow(100, 300); len(s.dialled) > 0 {
		t.Errorf("dials %v with 9 peers, want nobody: it wants %d", s.dialled, s.m.degree())
	}
	for n := 2; n < 7; n++ {
		s.do(SessionDown{SessionID(n), errNoAnswer})
	}
	if len(s.dials()) == 0 {
		t.Error("dials nobody with 4 peers left")
	}

	s = serving(t, 2, 7, MeshConfig{})
	s.dials()
	s.learn(30, FromCache)
	if s.flow(100, 300); len(s.dialled) > 0 {
		t.Errorf("dials %v with 7 peers, want nobody: three quarters of %d are enough", s.dialled, s.m.degree())
	}
	s.says(1, &quicwire.Moved{Log: tv(today), Stripe: 1, Retry: shunTime}) // the only one that has anything
	if s.after(time.Second); len(s.dialled) == 0 {
		t.Error("dials nobody while a stripe has no parent")
	}
}

// The operator's relays are dialled however many others are there.
func TestPinnedAreDialledInAnyCase(t *testing.T) {
	s := newScript(t, 0, MeshConfig{Role: quicwire.Streamer, Pinned: []feed.Anchor{{Addr: "relay:1"}}})
	for n := 1; n < 60; n++ {
		s.joins(n, time.Millisecond)
	}
	s.do(DialFailed{0, errNoAnswer})
	s.dials()
	if s.after(2 * time.Second); !slices.Equal(s.dialled, []int{0}) {
		t.Errorf("dials %v with 59 peers, want the relay", s.dialled)
	}
}

// When nothing comes at all, everybody is dialled: those we have may all be dead, or behind.
func TestHurry(t *testing.T) {
	s := newStriped(t, 3, 2, MeshConfig{})
	s.do(Tick{})
	s.answers(1)
	s.up(1, 0, today, time.Millisecond)
	s.status(1, today, 1, 1)
	s.flow(0, 200)
	s.bot(1).stuck, s.bot(1).pong = true, nil
	for _, c := range s.m.contacts[1:] {
		c.state, c.next = pausing, s.now.Add(time.Hour)
	}
	s.dials()
	if s.after(deadAfter + 2*time.Second); !slices.Contains(s.dialled, 1) || !slices.Contains(s.dialled, 2) {
		t.Errorf("dials %v after 5 s without a block, want the other anchors", s.dialled)
	}
}

// Whoever misbehaves is closed with a reason and shunned, as an anchor and when it comes back by itself.
func TestShunned(t *testing.T) {
	s := following(t, MeshConfig{})
	all := s.do(BlockBad{Session: 1, Log: tv(today), Index: 100, Err: feed.ErrPayload})
	closed := of[Close](all)
	if len(closed) != 1 || closed[0].Code != quicwire.CodeBadBlock || closed[0].Reason == "" {
		t.Errorf("got %+v, want session 1 closed for a bad block", closed)
	}
	wantSubs(t, append(all, s.after(askAgain)...), 3, 2)
	s.do(SessionDown{1, &quicwire.Error{Code: quicwire.CodeBadBlock}})
	s.dials()
	if s.after(shunTime - 2*askAgain); len(s.dials()) > 0 {
		t.Error("dialled again within 30 s")
	}
	if s.after(2 * time.Second); !slices.Equal(s.dialled, []int{0}) {
		t.Errorf("dials %v after 30 s, want it tried again", s.dialled)
	}

	s = following(t, MeshConfig{})
	s.do(BlockBad{Session: 1, Log: tv(today), Err: feed.ErrSignature})
	s.do(SessionDown{1, nil})
	all = s.do(SessionUp{Session: 5, Contact: -1, Peer: key(1), Addr: "elsewhere:1", Epoch: today})
	if closed := of[Close](all); len(closed) != 1 || closed[0].Code != quicwire.CodeShunned {
		t.Errorf("it came back by itself: got %+v, want it closed", all)
	}
}

// Who misbehaves again after its return is kept away for twice as long, up to 16 times, and what it did before it heard of that counts once.
// After five quiet minutes it is forgotten; so is some of too many.
func TestExile(t *testing.T) {
	s := following(t, MeshConfig{})
	bad := func(n int) {
		for range 6 {
			s.m.Handle(BlockBad{Session: SessionID(n), Log: tv(today), Index: 100, Err: feed.ErrPayload}, s.now)
		}
		s.do(SessionDown{SessionID(n), nil})
	}
	s.joins(3, 20*ms)
	for k, times := range []time.Duration{1, 2, 4, 8, 16, 16} {
		bad(3)
		s.after(times*shunTime - time.Second)
		if closed := of[Close](s.joins(3, 20*ms)); len(closed) != 1 || closed[0].Code != quicwire.CodeShunned {
			t.Fatalf("%d: it is back a second too soon, after %v: got %+v, want it closed", k, times*shunTime, closed)
		}
		s.do(SessionDown{3, nil})
		s.after(2 * time.Second)
		if closed := of[Close](s.joins(3, 20*ms)); len(closed) > 0 {
			t.Fatalf("%d: it is back after %v: got %+v, want it let in", k, times*shunTime, closed)
		}
	}
	s.after(forgiveAfter)
	bad(3)
	s.after(shunTime + time.Second)
	if closed := of[Close](s.joins(3, 20*ms)); len(closed) > 0 {
		t.Errorf("got %+v, want what was long ago forgotten", closed)
	}
	for n := range maxExiles + 100 {
		s.joins(1000+n, 20*ms)
		bad(1000 + n)
	}
	if n := len(s.m.shunned); n != maxExiles {
		t.Errorf("%d are remembered, want %d", n, maxExiles)
	}
}

// Who keeps away from us is not dialled four times a second, as a neighbour that was lost would be.
func TestExiledWaits(t *testing.T) {
	for _, code := range []quicwire.Code{quicwire.CodeShunned, quicwire.CodeFlood, quicwire.CodeBadBlock} {
		s := newScript(t, 1, MeshConfig{})
		s.do(Tick{})
		s.up(1, 0, today, 0)
		s.do(SessionDown{1, &quicwire.Error{Code: code, Remote: true}})
		if dials := of[Dial](s.after(dialFull - time.Second)); len(dials) > 1 { // one as nothing comes at all
			t.Errorf("%v: %d dials within %v", code, len(dials), dialFull)
		}
	}
}

// Who says that a stranger's address is a source's makes nobody dial it, and a source that is dialled again takes nothing from the dials to
// others.
func TestClaimedSources(t *testing.T) {
	s := newScript(t, 0, MeshConfig{})
	node := key(1)
	s.do(Learned{Addr: addrOf(1, 0), Node: &node, Origin: FromPeer})
	s.do(Tick{})
	for _, c := range s.dials() {
		s.do(DialFailed{c, errNoAnswer})
	}
	s.opens(SessionUp{Session: 1, Contact: -1, Peer: key(1), Addr: host(1), Role: quicwire.Streamer, Epoch: today, RTT: 20 * ms}) // from elsewhere
	s.do(SessionDown{1, errNoAnswer})
	again := 0
	for range 200 { // 10 s
		for _, d := range of[Dial](s.after(TickEvery)) {
			again++
			s.do(DialFailed{d.Contact, errNoAnswer})
		}
	}
	if again > 5 { // all that are known are dialled each 3 s while nothing comes
		t.Errorf("%d dials in 10 s of an address that somebody made up", again)
	}

	s = newScript(t, 0, MeshConfig{})
	s.do(Tick{})
	s.opens(SessionUp{Session: 1, Contact: -1, Peer: key(1), Addr: addrOf(1, 0).String(), Role: quicwire.Streamer, Epoch: today, RTT: 20 * ms})
	s.do(SessionDown{1, errNoAnswer})
	again = 0
	for range 100 { // 5 s
		for _, d := range of[Dial](s.after(TickEvery)) {
			again++
			s.do(DialFailed{d.Contact, errNoAnswer})
		}
	}
	if level := s.m.dials.level; again < 8 || level < strangerBurst-1 {
		t.Errorf("a source that has dialled us was dialled %d times, and %.0f of %d dials to others are left", again, level, strangerBurst)
	}
}

// Too many sessions: the farthest of those that are of no use to either end is let go, not a parent, not a child, not a newcomer.
func TestPrune(t *testing.T) {
	s := serving(t, 2, 7, MeshConfig{MaxPeers: 7})
	s.subscribe(2, 0, true)
	s.m.peer(5).rtt = 300 * time.Millisecond
	s.m.peer(1).rtt, s.m.peer(2).rtt = time.Second, time.Second
	s.joins(8, 2*time.Second)
	s.joins(9, 2*time.Second)
	closed := of[Close](s.after(TickEvery))
	if len(closed) != 2 || closed[0].Session != 5 || closed[0].Code != quicwire.CodeBusy || slices.ContainsFunc(closed, func(c Close) bool {
		return c.Session == 1 || c.Session == 2 || c.Session >= 8
	}) {
		t.Errorf("got %+v with 9 sessions of at most 7, want the far session 5 and another ended, no parent, child or newcomer", closed)
	}
}

// A relay keeps all that come, of whom a viewer lets most go: it needs many to spend its uplink.
func TestRelayKeepsMany(t *testing.T) {
	for role, want := range map[quicwire.Role]bool{quicwire.Relay: true, quicwire.Viewer: false} {
		s := newScript(t, 0, MeshConfig{Role: role})
		for n := 1; n <= 150; n++ {
			s.answers(n)
			s.joins(n, 20*ms)
		}
		if closed := of[Close](s.after(2 * pruneAfter)); (len(closed) == 0) != want {
			t.Errorf("%v: %d of 150 sessions were ended, want none: %v", role, len(closed), want)
		}
	}
}
