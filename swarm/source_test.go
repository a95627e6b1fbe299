package swarm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// spots opens sessions [from, to) that the source has dialled by itself: they answer whether they have a block as has says.
func (s *script) spots(from, to int, has func(n int, stripe uint8) bool) {
	for n := from; n < to; n++ {
		s.answers(n)
		s.opens(SessionUp{Session: SessionID(n), Contact: 1000 + n, Peer: key(n), Addr: host(n), Role: quicwire.Viewer, Epoch: today, RTT: 20 * ms})
		s.claims(n, 20, make([]time.Duration, s.stripes)...)
	}
	s.reports(from, to, has)
}

// reports lets sessions [from, to) answer likewise.
func (s *script) reports(from, to int, has func(n int, stripe uint8) bool) {
	for n := from; n < to; n++ {
		s.bot(SessionID(n)).pong = func(x *quicwire.Ping) quicwire.Pong {
			return quicwire.Pong{Flows: true, Has: has(n, x.Stripe), Next: x.Index + 1, Wall: s.now}
		}
	}
}

// signs lets the source sign so many blocks, one each 25 ms.
func (s *script) signs(n int) (all []Action) {
	for range n {
		i := s.size()
		if i%40 == 0 {
			all = append(all, s.heartbeat(0, i/40)...)
		}
		all = append(all, s.block(0, today, i, false)...)
		all = append(all, s.after(gap)...)
	}
	return all
}

// A source has two children a stripe. Who passes on takes the place of one who does not; others wait for the lot, or are told no if they have
// nobody else.
func TestSourcePlaces(t *testing.T) {
	s := sourceScript(t, 4, 12, MeshConfig{})
	s.subscribe(1, 0, false)
	s.subscribe(2, 0, true)
	if got := s.children(0); !slices.Equal(got, []SessionID{1, 2}) {
		t.Fatalf("children %v, want the first two, 1 and 2", got)
	}
	all := s.subscribe(3, 0, true)
	if moved := sentTo[*quicwire.Moved](all, 1); len(moved) != 1 || moved[0].Reason != quicwire.Preempted || !slices.Equal(s.children(0), []SessionID{2, 3}) {
		t.Errorf("got %+v and children %v, want 3 in the place of 1, who passes nothing on", moved, s.children(0))
	}
	if all := s.subscribe(4, 0, true); len(sentTo[*quicwire.SubOK](all, 4))+len(sentTo[*quicwire.SubNo](all, 4)) > 0 {
		t.Error("4, who has a parent and can wait, is answered at once")
	}
	urgent := &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 4, Urgent: true, Home: true, Patience: patience}
	if nos := sentTo[*quicwire.SubNo](s.says(5, urgent), 5); len(nos) != 1 || nos[0].Reason != quicwire.RefusedBusy {
		t.Errorf("5, who has nobody, got %+v; want a no, so that it asks others", nos)
	}
	if nos := sentTo[*quicwire.SubNo](s.subscribe(6, 0, false), 6); len(nos) != 1 {
		t.Errorf("6, who passes nothing on, got %+v; want a no", nos)
	}
	for i := range uint8(4) {
		for n := 1; n <= 12; n++ {
			s.subscribe(n, i, true)
		}
	}
	for i := range 4 {
		if got := s.children(i); len(got) != 2 {
			t.Errorf("stripe %d goes to %v, want two", i, got)
		}
	}
	if all := s.do(SessionDown{2, errNoAnswer}); len(sentTo[*quicwire.SubOK](append(all, s.after(TickEvery)...), 2)) > 0 || len(s.children(0)) != 2 {
		t.Errorf("children %v after 2 has gone, want its place drawn", s.children(0))
	}
}

// Nobody preempts at the source because of what it has sent, and for nobody is room made but for the operator's relays.
func TestRankDoesNotCountAtTheSource(t *testing.T) {
	s := sourceScript(t, 2, 6, MeshConfig{})
	s.subscribe(1, 0, true)
	s.subscribe(2, 0, true)
	s.signs(80)
	for i := range uint64(60) {
		s.block(3, today, i, true)
	}
	s.signs(40)
	s.subscribe(3, 0, true)
	s.signs(40)
	if got := s.children(0); !slices.Equal(got, []SessionID{1, 2}) {
		t.Errorf("children %v, want 1 and 2 as before", got)
	}
}

// Each place goes by lot again after a while; over time, all that wait have a turn.
func TestRedraw(t *testing.T) {
	s := sourceScript(t, 1, 10, MeshConfig{Seed: 3})
	for n := 1; n <= 10; n++ {
		s.answers(n)
	}
	had := make(map[SessionID]int)
	var last []SessionID
	kept, longest, shortest := make(map[SessionID]time.Time), time.Duration(0), time.Hour
	for end := s.now.Add(30 * time.Minute); s.now.Before(end); s.now = s.now.Add(time.Second) {
		for n := 1; n <= 10; n++ { // all apply again and again
			if !slices.Contains(last, SessionID(n)) {
				s.subscribe(n, 0, true)
			}
		}
		s.heartbeat(0, uint64(s.now.Sub(s.start)/time.Second))
		s.do(Tick{})
		now := s.children(0)
		for _, id := range last {
			if !slices.Contains(now, id) {
				longest, shortest = max(longest, s.now.Sub(kept[id])), min(shortest, s.now.Sub(kept[id]))
			}
		}
		for _, id := range now {
			if !slices.Contains(last, id) {
				had[id]++
				kept[id] = s.now
			}
		}
		last = slices.Clone(now)
	}
	if len(had) < 9 {
		t.Errorf("in half an hour %v had a place, want nearly all of ten", had)
	}
	if shortest < redrawFrom-time.Second || longest > redrawTo+2*time.Second {
		t.Errorf("places were kept for %v to %v, want %v to %v", shortest, longest, redrawFrom, redrawTo)
	}
}

// If nobody waits, a child stays when its time is over.
func TestRedrawNobodyWaits(t *testing.T) {
	s := sourceScript(t, 1, 2, MeshConfig{})
	s.answers(1)
	s.subscribe(1, 0, true)
	for range 2 * redrawTo / time.Second {
		s.now = s.now.Add(time.Second)
		s.do(Tick{})
	}
	if got := s.children(0); !slices.Equal(got, []SessionID{1}) {
		t.Errorf("children %v, want 1: nobody else is there", got)
	}
}

// However many apply, few are remembered; those that have gone or waited for long are forgotten.
func TestWaitersAreBounded(t *testing.T) {
	s := sourceScript(t, 1, 90, MeshConfig{})
	for n := 1; n <= 90; n++ {
		s.subscribe(n, 0, true)
	}
	w := &s.tv().stripes[0].waiting
	if len(*w) != maxWaiting {
		t.Errorf("%d wait, want %d", len(*w), maxWaiting)
	}
	gone := (*w)[0].peer
	s.do(SessionDown{gone.id, errNoAnswer})
	if slices.ContainsFunc(*w, func(x waiter) bool { return x.peer == gone }) {
		t.Error("one that has gone still waits")
	}
	s.says(int((*w)[0].peer.id), &quicwire.Unsub{Log: tv(today)})
	if len(*w) != maxWaiting-2 {
		t.Errorf("%d wait after one has gone and one has withdrawn, want %d", len(*w), maxWaiting-2)
	}
	s.now = s.now.Add(drawFor + time.Second)
	s.do(Tick{})
	if len(*w) != 0 {
		t.Errorf("%d still wait after %v", len(*w), drawFor)
	}
}

// When both children of a stripe vanish, and half of those that wait for their places too, the places go to such as are there, and these get
// what has perhaps reached nobody since.
func TestPlacesOfTheDead(t *testing.T) {
	for seed := range uint64(8) {
		var died time.Time
		var s *script
		s = sourceScript(t, 4, 0, MeshConfig{Seed: seed, Silence: func(id SessionID) time.Duration {
			if id <= 6 && !died.IsZero() {
				return s.now.Sub(died)
			}
			return 0
		}})
		s.spots(1, 13, func(int, uint8) bool { return true })
		for n := 1; n <= 10; n++ {
			s.subscribe(n, 0, true)
		}
		s.signs(100)
		if got := s.children(0); !slices.Equal(got, []SessionID{1, 2}) {
			t.Fatalf("children %v, want the first two", got)
		}
		died = s.now
		for n := 1; n <= 6; n++ {
			s.bot(SessionID(n)).pong = nil
		}
		last, all := s.size(), s.signs(40) // 1 s
		for _, id := range s.children(0) {
			oks := sentTo[*quicwire.SubOK](all, int(id))
			if id <= 6 || len(oks) != 1 || oks[0].First > last {
				t.Errorf("seed %d: session %d has a place, and got %+v; want one that lives, from before block %d on", seed, id, oks, last)
			}
		}
		for dead := 3; dead <= 6; dead++ {
			if oks := sentTo[*quicwire.SubOK](all, dead); len(oks) > 0 {
				t.Errorf("seed %d: a lot fell on %d, which is dead", seed, dead)
			}
		}
		if n := len(s.children(0)); n != 2 {
			t.Errorf("seed %d: %d children after a second, want 2", seed, n)
		}
	}
}

// When one child takes nothing more, all others, and who waits for its place, are asked at once whether they are there.
func TestOneDeathDoubtsAll(t *testing.T) {
	var died time.Time
	var s *script
	s = sourceScript(t, 4, 0, MeshConfig{Silence: func(id SessionID) time.Duration {
		if id == 1 && !died.IsZero() {
			return s.now.Sub(died)
		}
		return 0
	}})
	s.spots(1, 9, func(int, uint8) bool { return true })
	for i := range uint8(4) {
		s.subscribe(1+int(i), i, true)
	}
	s.signs(100)
	died = s.now
	s.bot(1).pong = nil
	var asked []SessionID
	for range 20 { // 500 ms
		if _, to := sent[*quicwire.Ping](s.signs(1)); slices.Contains(to, 1) {
			asked = to
			break
		}
	}
	for id := SessionID(2); id <= 4; id++ {
		if !slices.Contains(asked, id) {
			t.Errorf("asked %v when 1 was doubted, want %d among them, which has a place", asked, id)
		}
	}
}

// A source whose uplink is busy begins with the next block, if it has another child in the stripe: that one passes on what was before, and all
// would wait for it. Else it begins with the newest segment.
func TestBusySourceBeginsWithNext(t *testing.T) {
	for _, c := range []struct {
		busy, other bool
		want        uint64
	}{{false, true, 100}, {true, true, 180}, {true, false, 100}} {
		s := sourceScript(t, 4, 4, MeshConfig{Up: 3_000_000})
		s.signs(180) // a segment has 100 blocks
		if c.other {
			s.subscribe(2, 0, true)
		}
		if c.busy {
			s.m.up.queued = int(s.m.up.rate() * 0.2)
		}
		oks := sentTo[*quicwire.SubOK](s.says(1, &quicwire.Sub{Log: tv(today), Stripes: 4, Home: true, Patience: patience}), 1)
		if len(oks) != 1 || oks[0].First != c.want {
			t.Errorf("%+v: got %+v, want block %d first", c, *oks[0], c.want)
		}
	}
}

// The catalog is small, and whoever lacks its first record can follow nothing: a busy source sends that to all its children.
func TestBusySourceBeginsCatalogFromTheStart(t *testing.T) {
	s := sourceScript(t, 4, 4, MeshConfig{Up: 3_000_000})
	s.signs(180)
	s.m.up.queued = int(s.m.up.rate() * 0.2)
	for n := range 3 {
		oks := sentTo[*quicwire.SubOK](s.says(n+1, &quicwire.Sub{Log: catalog(today), Stripes: 1, Home: true, Patience: patience}), n+1)
		if len(oks) != 1 || oks[0].First != 0 {
			t.Errorf("child %d of the catalog: got %+v, want its first record first", n+1, oks)
		}
	}
}

// One subnet holds at most a quarter of the places, if there are others; squatters behind one address black nothing out.
func TestSourceSubnets(t *testing.T) {
	s := sourceScript(t, 8, 0, MeshConfig{})
	for n := 1; n <= 20; n++ {
		s.opens(SessionUp{Session: SessionID(n), Contact: -1, Peer: key(n), Addr: addrOf(1, n).String(), Role: quicwire.Viewer, Epoch: today})
	}
	for i := range uint8(8) {
		for n := 1; n <= 20; n++ {
			s.subscribe(n, i, true)
		}
	}
	if got := s.m.used(); got != 4 {
		t.Errorf("one subnet has %d of %d places, want a quarter", got, s.m.slots())
	}
	for n := 21; n <= 24; n++ {
		s.joins(n, 20*ms)
		for i := range uint8(8) {
			s.subscribe(n, i, true)
		}
	}
	if got := s.m.used(); got != 16 {
		t.Errorf("%d of 16 places are taken, want all: others have come", got)
	}
}

// The operator's relays keep one place a stripe, whatever others do, and are not judged by spotters.
func TestPinnedRelays(t *testing.T) {
	relay := key(50)
	s := sourceScript(t, 4, 6, MeshConfig{Pinned: []feed.Anchor{{Addr: host(50), Node: &relay}}})
	for i := range uint8(4) {
		for n := 1; n <= 6; n++ {
			s.subscribe(n, i, true)
		}
	}
	s.answers(50)
	s.opens(SessionUp{Session: 50, Contact: 0, Peer: relay, Addr: host(50), Role: quicwire.Relay, Epoch: today, RTT: 20 * ms})
	for i := range uint8(4) {
		if oks := sentTo[*quicwire.SubOK](s.subscribe(50, i, true), 50); len(oks) != 1 {
			t.Errorf("stripe %d: the relay got no place", i)
		}
	}
	s.spots(10, 22, func(int, uint8) bool { return false }) // say that nothing spreads
	for range 3 * 60 {                                      // 3 min
		s.signs(40)
		for n := 1; n <= 6; n++ {
			for i := range uint8(4) {
				s.subscribe(n, i, true)
			}
		}
	}
	for i := range 4 {
		if got := s.children(i); !slices.Contains(got, 50) || len(got) > 2 {
			t.Errorf("stripe %d goes to %v, want the relay and one other at most", i, got)
		}
	}
}

// Children that pass nothing on lose their places within seconds, and have none for half a minute: spotters
// say that the blocks did not arrive. Some spotters that lie change nothing.
func TestSpotters(t *testing.T) {
	for name, c := range map[string]struct {
		has    func(n int, stripe uint8) bool
		struck bool
	}{
		"nothing of stripe 0 arrives":         {func(_ int, stripe uint8) bool { return stripe != 0 }, true},
		"likewise, though one in three lies":  {func(n int, stripe uint8) bool { return stripe != 0 || n%3 == 0 }, true},
		"all arrives":                         {func(int, uint8) bool { return true }, false},
		"likewise, though one in three lies.": {func(n int, stripe uint8) bool { return stripe != 0 || n%3 != 0 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := sourceScript(t, 4, 8, MeshConfig{})
			s.spots(10, 22, c.has)
			s.reports(1, 9, c.has)
			s.signs(int(spotsAfter / gap))
			for n := 1; n <= 2; n++ {
				s.subscribe(n, 0, true)
				s.subscribe(n+2, 1, true)
			}
			var out time.Duration
			for began := s.now; s.now.Sub(began) < 6*time.Second; {
				s.signs(1)
				if out == 0 && len(s.children(0)) == 0 {
					out = s.now.Sub(began)
				}
			}
			if (out > 0) != c.struck || out > 5*time.Second {
				t.Errorf("the children of stripe 0 were out after %v, want that: %v, within 5 s", out, c.struck)
			}
			if got := s.children(1); !slices.Equal(got, []SessionID{3, 4}) {
				t.Errorf("stripe 1 goes to %v, want 3 and 4 as before", got)
			}
			if !c.struck {
				return
			}
			if nos := sentTo[*quicwire.SubNo](s.subscribe(1, 0, true), 1); len(nos) != 1 || nos[0].Retry != shunTime {
				t.Errorf("1 applies again and got %+v, want a no for half a minute", nos)
			}
			if oks := sentTo[*quicwire.SubOK](s.subscribe(5, 0, true), 5); len(oks) != 1 {
				t.Error("5, who has done nothing wrong, got no place")
			}
			s.bot(12).pong = nil
			s.signs(int(shunTime/gap) + 40)
			if oks := sentTo[*quicwire.SubOK](s.subscribe(1, 3, true), 1); len(oks) != 1 {
				t.Error("1 got no place half a minute later")
			}
		})
	}
}

// A verdict is about one stripe. Children whose other stripe spreads, and those for whom one check in three is lucky, lose their places all the same.
func TestStrikesAreOfAPlace(t *testing.T) {
	for name, lucky := range map[string]uint64{"another stripe of theirs spreads": 1 << 62, "one check in three is lucky": 3} {
		t.Run(name, func(t *testing.T) {
			s := sourceScript(t, 4, 8, MeshConfig{})
			s.spots(10, 22, func(int, uint8) bool { return true })
			for n := range 22 {
				if s.bot(SessionID(n)) == nil {
					continue
				}
				s.bot(SessionID(n)).pong = func(x *quicwire.Ping) quicwire.Pong {
					return quicwire.Pong{Flows: true, Has: x.Stripe != 0 || x.Index/4%lucky == lucky-1, Next: x.Index + 1, Wall: s.now}
				}
			}
			for n := 1; n <= 2; n++ {
				for i := range uint8(4) {
					s.subscribe(n, i, true)
				}
			}
			for range 400 { // 10 s
				if s.signs(1); len(s.children(0)) == 0 {
					return
				}
			}
			t.Errorf("children of stripe 0 after 10 s: %v, want none", s.children(0))
		})
	}
}

// One verdict for a stripe takes back one strike, no more.
func TestAcquittal(t *testing.T) {
	s := stripe{children: []*child{{strikes: 2}, {strikes: 1}, {}}}
	for _, want := range []struct {
		strikes []int
		left    bool
	}{{[]int{1, 0, 0}, true}, {[]int{0, 0, 0}, false}, {[]int{0, 0, 0}, false}} {
		left := s.acquit()
		if got := []int{s.children[0].strikes, s.children[1].strikes, s.children[2].strikes}; !slices.Equal(got, want.strikes) || left != want.left {
			t.Errorf("strikes %v, left %v; want %v, %v", got, left, want.strikes, want.left)
		}
	}
}

// Whom a source refuses stripe after stripe is told of others once, and again after a while: it has little to spare.
func TestSourceRefersOnce(t *testing.T) {
	s := sourceScript(t, 4, 12, MeshConfig{})
	for n := 1; n <= 12; n++ {
		s.claims(n, 20, make([]time.Duration, 4)...)
	}
	for i := range 4 {
		s.subscribe(1+2*i, uint8(i), true)
		s.subscribe(2+2*i, uint8(i), true)
	}
	ask := func() (referrals []int) {
		for i := range uint8(4) {
			for _, x := range sentTo[*quicwire.SubNo](s.subscribe(11, i, false), 11) {
				referrals = append(referrals, len(x.Referrals))
			}
		}
		return referrals
	}
	if got := ask(); !slices.Equal(got, []int{sourceReferred, 0, 0, 0}) {
		t.Errorf("four refusals name %v others, want %d and then none", got, sourceReferred)
	}
	s.after(referEvery)
	if got := ask(); !slices.Equal(got, []int{sourceReferred, 0, 0, 0}) {
		t.Errorf("four refusals, a while later, name %v others, want %d and then none", got, sourceReferred)
	}
}

// A stripe of which all blocks are looked after does not keep the others from being looked at.
func TestSuspectLeavesLooks(t *testing.T) {
	s := sourceScript(t, 16, 40, MeshConfig{})
	s.reports(1, 41, func(_ int, stripe uint8) bool { return stripe != 0 })
	for i := range uint8(16) {
		s.subscribe(1+int(i), i, true)
	}
	s.signs(int(spotsAfter / gap))
	var looks [16]int
	for range 40 { // 40 s
		pings, _ := sent[*quicwire.Ping](s.signs(40))
		for _, x := range pings {
			looks[x.Stripe]++
		}
		s.tv().stripes[0].suspect = true
	}
	for i, n := range looks {
		if n == 0 {
			t.Errorf("stripe %d was not looked at in 40 s; of all %v", i, looks)
		}
	}
}

// Spotters are drawn from all that have been here for a while, whether the source has dialled them or they came by themselves; few of them are
// asked, and seldom. Children of the stripe are not, and fewer than four answers judge nobody. Of one subnet comes a quarter, if there are others.
func TestWhoSpots(t *testing.T) {
	s := sourceScript(t, 4, 4, MeshConfig{})
	s.reports(1, 5, func(int, uint8) bool { return false })
	for i := range uint8(4) {
		s.subscribe(1, i, true)
	}
	s.signs(400)
	if got := s.children(0); len(got) != 1 || !s.m.source.lost.IsZero() {
		t.Errorf("three spotters judge: children %v, and loss is said to be", got)
	}
	s.reports(1, 5, func(int, uint8) bool { return true })
	s.spots(10, 30, func(int, uint8) bool { return true })
	for n := 30; n < 50; n++ {
		s.answers(n)
		s.opens(SessionUp{
			Session: SessionID(n), Contact: -1, Peer: key(n), Addr: fmt.Sprintf("203.0.113.%d:4433", n), Role: quicwire.Viewer, Epoch: today, RTT: 20 * ms,
		})
		s.claims(n, 20, make([]time.Duration, s.stripes)...)
	}
	for _, n := range asked(s.signs(int(spotsAfter/gap) - 40)) {
		if n >= 10 {
			t.Errorf("session %d, which has just come, is asked what it has", n)
		}
	}
	s.signs(80)
	for i := range uint8(4) {
		s.subscribe(20, i, true)
	}
	all := s.signs(400) // 10 s
	pings, to := sent[*quicwire.Ping](all)
	for k, x := range pings {
		if s.tv().childOf(x.Stripe, s.m.peer(to[k])) != nil {
			t.Errorf("session %d is asked about stripe %d, of which it is a child", to[k], x.Stripe)
		}
	}
	if n := len(pings); n < 10*maxSpotters || n > 14*maxSpotters {
		t.Errorf("%d PINGs in 10 s, want %d for each of about 13 checks: the stream is thin", n, maxSpotters)
	}
	crowd := slices.DeleteFunc(asked(all), func(n SessionID) bool { return n < 30 })
	if part := float64(len(crowd)) / float64(len(pings)); part == 0 || part > 0.26 {
		t.Errorf("%.2f of all PINGs go to a subnet that has half of the sessions, want some, and a quarter at most", part)
	}
	list := asked(all)
	slices.Sort(list)
	if list = slices.Compact(list); len(list) < 30 {
		t.Errorf("only %d of 44 were ever asked, want them drawn", len(list))
	}
}

// asked returns the sessions to which PINGs went.
func asked(all []Action) []SessionID {
	_, to := sent[*quicwire.Ping](all)
	return to
}

// What a source says and asks does not become less by itself when the stream is thin: then it has fewer sessions, and looks and tells less often.
func TestThinStreamsCostLess(t *testing.T) {
	for rate, want := range map[float64]struct {
		peers  int
		check  time.Duration
		status time.Duration
	}{
		12_000:    {33, time.Second, statusSlow},
		125_000:   {48, 500 * ms, statusSource},
		500_000:   {96, 250 * ms, statusSource},
		3_000_000: {96, 250 * ms, statusSource},
	} {
		s := sourceScript(t, 1, 4, MeshConfig{})
		s.tv().rate = rate
		if n := s.m.mostPeers(); n != want.peers {
			t.Errorf("%.0f bytes per second: %d sessions, want %d", rate, n, want.peers)
		}
		if d := s.m.checkEvery(); d != want.check {
			t.Errorf("%.0f bytes per second: a look each %v, want %v", rate, d, want.check)
		}
		if d := s.m.statusEvery(); d != want.status {
			t.Errorf("%.0f bytes per second: STATUS each %v, want %v", rate, d, want.status)
		}
	}
}

// Each stripe is looked after, also where blocks come at such a pace that the same stripe is due each time.
func TestEachStripeIsLookedAfter(t *testing.T) {
	for _, stripes := range []int{2, 4, 8, 16} {
		s := sourceScript(t, stripes, 0, MeshConfig{})
		s.spots(1, 14, func(int, uint8) bool { return true })
		seen := make(map[uint8]int)
		for range 150 { // 60 s
			pings, _ := sent[*quicwire.Ping](s.signs(16))
			for _, x := range pings {
				seen[x.Stripe]++
			}
		}
		if len(seen) != stripes {
			t.Errorf("%d of %d stripes are looked after: %v", len(seen), stripes, seen)
		}
	}
}

// All that a source sends comes out of one budget: requests beyond it are refused, whether blocks spread or not: a full uplink helps nobody.
func TestSourceBudget(t *testing.T) {
	for name, c := range map[string]struct {
		spread bool
		most   float64 // streams on the wire: a new child is pushed the last second and a half, whatever it costs
	}{"all is well": {true, 2.4}, "blocks do not spread": {false, 2.7}} {
		t.Run(name, func(t *testing.T) {
			s := sourceScript(t, 2, 20, MeshConfig{})
			s.spots(30, 42, func(int, uint8) bool { return c.spread })
			for i := range uint8(2) {
				s.subscribe(1, i, true)
				s.subscribe(2, i, true)
			}
			s.signs(100)
			wire, payload, id := 0, 0, uint64(0)
			for round := range 400 { // 10 s
				all := s.signs(1)
				for n := 5; n <= 20; n++ { // everybody asks for everything
					id++
					all = append(all, s.says(n, &quicwire.Req{ID: id, Log: tv(today), Orphan: true, Blocks: []uint64{s.size() - 3, s.size() - 2}})...)
				}
				if !c.spread && round%40 == 0 { // the children are replaced
					for n := 3; n <= 20; n++ {
						all = append(all, s.subscribe(n, uint8(n%2), true)...)
					}
				}
				wire += pushBytes(all)
				payload += tvBlock
				s.do(Traffic{Sent: uint64(wire)})
			}
			if streams := float64(wire) / float64(payload); streams < 2 || streams > c.most {
				t.Errorf("sent %.2f times the stream, want 2 to %.1f", streams, c.most)
			}
		})
	}
}

// Of its catalog a source sends few copies; others have it, too.
func TestSourceCatalog(t *testing.T) {
	s := sourceScript(t, 2, 10, MeshConfig{})
	got := 0
	for n := 1; n <= 10; n++ {
		got += len(sentTo[*quicwire.SubOK](s.says(n, &quicwire.Sub{Log: catalog(today), Stripes: 1}), n))
	}
	if got != sourceFan {
		t.Errorf("the catalog goes to %d, want %d", got, sourceFan)
	}
}

// Who shares nothing does not keep the catalog from those who would pass it on, however many came first.
func TestLeavesDoNotKeepTheCatalog(t *testing.T) {
	s := sourceScript(t, 2, catalogFan+2, MeshConfig{})
	ask := func(n int, home bool) bool {
		all := s.says(n, &quicwire.Sub{Log: catalog(today), Stripes: 1, Urgent: true, Home: home})
		return len(sentTo[*quicwire.SubOK](all, n)) == 1
	}
	for n := 1; n <= catalogFan; n++ {
		if !ask(n, false) {
			t.Fatalf("%d: refused, although there is room", n)
		}
	}
	if ask(catalogFan+1, false) {
		t.Error("one more that shares nothing gets the catalog, although all places are taken")
	}
	if !ask(catalogFan+2, true) {
		t.Error("who would pass the catalog on is refused for the sake of who does not")
	}
}

// Who is refused and does not wait takes no place on the list from who does.
func TestRefusedDoNotWait(t *testing.T) {
	s := sourceScript(t, 2, maxWaiting+20, MeshConfig{})
	for n := 1; n <= maxWaiting+2; n++ {
		s.subscribe(n, 0, true)
	}
	before := len(s.tv().stripes[0].waiting)
	for n := maxWaiting + 3; n <= maxWaiting+20; n++ {
		s.subscribe(n, 0, false)
	}
	if got := len(s.tv().stripes[0].waiting); got != before || before != maxWaiting {
		t.Errorf("%d wait after others were refused, %d before, want %d", got, before, maxWaiting)
	}
}

// Out of a reserve the source answers what is asked of it in one moment, as after a death; but not without end.
func TestReserveOfTheSource(t *testing.T) {
	s := sourceScript(t, 2, 40, MeshConfig{})
	wire, asked := s.serveTwo(), 0
	for n := 5; n <= 40; n++ { // 0.9 s; each asks for four blocks
		all := append(s.says(n, s.lastBlocks(4)), s.signs(1)...)
		asked += answered(all)
		wire += pushBytes(all)
		s.do(Traffic{Sent: uint64(wire)})
	}
	if asked < budgetBurst || asked > 2*budgetBurst { // what comes in meanwhile is in it
		t.Errorf("%d of 144 blocks were sent, want %d and some", asked, budgetBurst)
	}
}

// serveTwo lets sessions 1 and 2 have both stripes, and 20 s pass. It returns how many bytes were sent.
func (s *script) serveTwo() (wire int) {
	for i := range uint8(2) {
		s.subscribe(1, i, true)
		s.subscribe(2, i, true)
	}
	for range 800 {
		wire += pushBytes(s.signs(1))
		s.do(Traffic{Sent: uint64(wire)})
	}
	return wire
}

// lastBlocks asks for the newest n blocks.
func (s *script) lastBlocks(n uint64) *quicwire.Req {
	x := &quicwire.Req{ID: 1, Log: tv(today), Orphan: true}
	for i := s.size() - n; i < s.size(); i++ {
		x.Blocks = append(x.Blocks, i)
	}
	return x
}

// answered counts the blocks that are pushed as answers.
func answered(all []Action) (n int) {
	for _, a := range of[Push](all) {
		if a.Request != 0 {
			n += len(a.Blocks)
		}
	}
	return n
}

// A place is not judged by what was signed in its first second: a tree must grow below it.
func TestYoungPlacesAreNotJudged(t *testing.T) {
	s := sourceScript(t, 1, 4, MeshConfig{})
	s.subscribe(1, 0, true)
	s.signs(80)
	s.subscribe(2, 0, true)
	s.signs(int(settling/gap) / 2)
	s.m.verdict(&check{f: s.tv(), index: s.size() - 1, at: s.now, lacks: leastAnswers})
	if c := s.tv().stripes[0].children; len(c) != 2 || c[0].strikes != 1 || c[1].strikes != 0 {
		t.Errorf("strikes %d of a place of 2.5 s, %d of one of half a second; want 1, 0", c[0].strikes, c[1].strikes)
	}
}

// Of a stream of television, who has both places of a stripe and passes nothing on is out within three seconds.
func TestSquattersAreOutSoon(t *testing.T) {
	for seed := range uint64(6) {
		s := sourceScript(t, 4, 8, MeshConfig{Seed: seed})
		s.spots(10, 22, func(_ int, stripe uint8) bool { return stripe != 0 })
		s.reports(1, 9, func(_ int, stripe uint8) bool { return stripe != 0 })
		sign := func() {
			b := s.blockIn(0, today, s.size(), false)
			b.Size = 8 << 10 // 2.6 Mbit/s
			s.do(b)
			s.after(gap)
		}
		for range spotsAfter / gap {
			sign()
		}
		s.subscribe(1, 0, true)
		s.subscribe(2, 0, true)
		began := s.now
		for len(s.children(0)) > 0 && s.now.Sub(began) < 10*time.Second {
			sign()
		}
		if d := s.now.Sub(began); d > 3*time.Second {
			t.Errorf("seed %d: out after %v, want within 3 s", seed, d)
		}
	}
}
