package swarm

import (
	"slices"
	"testing"
	"time"

	"tailcast/quicwire"
)

const ms = time.Millisecond

// Who is chosen first, and when.
func TestFirstParent(t *testing.T) {
	tests := map[string]struct {
		play func(s *script) []Action
		want SessionID
	}{
		"the only one, at once": {func(s *script) []Action {
			s.do(DialFailed{1, errNoAnswer})
			return append(s.up(1, 0, today, 0), s.status(1, today, 1, 1)...)
		}, 1},
		"the first, if no second comes": {func(s *script) []Action {
			s.up(1, 0, today, 0)
			s.status(1, today, 50, 2000)
			if early, _ := sent[*quicwire.Sub](s.at(helloWait - TickEvery)); len(early) > 0 {
				s.t.Errorf("got %+v within 250 ms, want to wait for a second HELLO", early)
			}
			return s.at(helloWait)
		}, 1},
		"the nearer": {func(s *script) []Action {
			s.up(1, 0, today, 400*ms)
			s.up(2, 1, today, 20*ms)
			s.claims(2, 20, 0, 0)
			s.status(1, today, 50, 2000)
			return s.status(2, today, 51, 2040)
		}, 2},
		"the one that is further, though not nearer": {func(s *script) []Action {
			s.up(1, 0, today, 400*ms)
			s.up(2, 1, today, 20*ms)
			s.status(2, today, 9, 360)
			return s.status(1, today, 50, 2000)
		}, 1},
		"the one that flows, though not nearer": {func(s *script) []Action {
			s.up(1, 0, today, 400*ms)
			s.up(2, 1, today, 20*ms)
			s.says(2, &quicwire.Status{Log: catalog(today), Size: 50, Lags: []time.Duration{quicwire.NoLag}})
			s.claims(2, 20, quicwire.NoLag, quicwire.NoLag)
			return s.status(1, today, 50, 2000)
		}, 1},
		"the one with less lag, though not nearer": {func(s *script) []Action {
			s.up(1, 0, today, 100*ms)
			s.up(2, 1, today, 20*ms)
			s.claims(1, 20, 0, 0)
			s.claims(2, 20, 700*ms, 700*ms)
			s.says(2, &quicwire.Status{Log: catalog(today), Size: 50, Lags: []time.Duration{700 * ms}, Slots: 20})
			return s.status(1, today, 50, 2000)
		}, 1},
		"today's, though yesterday's is nearer": {func(s *script) []Action {
			s.up(1, 0, yesterday, 1*ms)
			s.status(1, yesterday, 5000, 100_000)
			s.up(2, 1, today, 80*ms)
			return append(s.status(2, today, 1, 1), s.at(helloWait)...)
		}, 2},
		"today's, though yesterday's comes later": {func(s *script) []Action {
			s.up(2, 1, today, 80*ms)
			s.up(1, 0, yesterday, 1*ms)
			s.status(1, yesterday, 5000, 100_000)
			return append(s.status(2, today, 1, 1), s.at(helloWait)...)
		}, 2},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, 2, MeshConfig{})
			s.answers(1)
			s.answers(2)
			s.do(Tick{})
			list := wantSubs(t, c.play(s), 3, c.want)
			if list[0].Log != catalog(today) || list[1].Log != tv(today) || list[1].Start != quicwire.StartSegment {
				t.Errorf("got %+v, want the catalog first, and the newest segment", list)
			}
		})
	}
}

// What a peer claims without proof does not make others look as if they were behind.
func TestClaimedSizeRanksNobody(t *testing.T) {
	s := newScript(t, 2, MeshConfig{})
	s.do(Tick{})
	s.up(1, 0, today, 10*ms)
	s.up(2, 1, today, 400*ms)
	s.status(1, today, 50, 2000)
	all := s.do(Heard{Session: 2, Message: &quicwire.Status{Log: catalog(today), Size: 1 << 30, Lags: []time.Duration{0}, Slots: 20}})
	wantSubs(t, append(all, s.at(helloWait)...), 3, 1)
}

// A head that was shown a while ago makes nobody look as if it were behind: a source shows that of the catalog every nine seconds only. Who
// shows again that it has no more is behind.
func TestHeadsAge(t *testing.T) {
	for name, c := range map[string]struct {
		again bool
		want  SessionID
	}{"shown long ago": {false, 2}, "shown again": {true, 3}} {
		t.Run(name, func(t *testing.T) {
			s := following(t, MeshConfig{})
			s.up(3, -1, today, 600*ms) // farther than session 2
			s.answers(3)
			s.status(2, today, 2, 100)
			s.flow(100, 100+8*40) // 8 s, and as many records
			s.status(3, today, 11, 420)
			if c.again {
				s.status(2, today, 2, 100)
			}
			list := wantSubs(t, s.do(SessionDown{1, errNoAnswer}), 3, c.want)
			if list[0].Log != catalog(today) {
				t.Errorf("got %+v, want the catalog first", list)
			}
		})
	}
}

// A parent whose session ends is replaced at once, from where it stopped; when it is back, nobody runs back to it.
func TestParentLost(t *testing.T) {
	s := following(t, MeshConfig{})
	list := wantSubs(t, s.do(SessionDown{1, errNoAnswer}), 3, 2)
	if list[1].Start != quicwire.StartIndex || list[1].From != 100 || list[2].From != 101 {
		t.Errorf("got %+v, want tv from blocks 100 and 101 on", list)
	}
	s.flow(100, 140)
	if s.m.blocks.Missed+s.m.blocks.Repaired > 0 {
		t.Errorf("got %+v, want nothing missed", s.m.blocks)
	}
	all := append(s.up(3, 0, today, 400*ms), s.status(3, today, 4, 140)...)
	if subs, _ := sent[*quicwire.Sub](append(all, s.after(TickEvery)...)); len(subs) > 0 {
		t.Errorf("the former parent is back: got %+v, want to stay with the new one", subs)
	}
}

// A newcomer whose first parent says yes and sends nothing does not wait for it for ever, whether it says that it has the blocks or that it
// has none.
func TestFirstBlockNeverComes(t *testing.T) {
	for name, flows := range map[string]bool{"a liar": true, "one that starves": false} {
		s := newScript(t, 2, MeshConfig{})
		s.do(Tick{})
		s.answers(1).stuck = true
		s.answers(2)
		s.bot(1).pong = func(*quicwire.Ping) quicwire.Pong { return quicwire.Pong{Flows: flows, Has: flows, Next: 1000} }
		s.shelf.put(tv(today), 500)
		s.up(1, 0, today, 10*ms)
		s.up(2, 1, today, 400*ms)
		s.status(1, today, 12, 500)
		s.status(2, today, 12, 500)
		s.wantParent(0, 1)
		s.flow(501, 501+80) // 2 s
		for i := range s.stripes {
			s.wantParent(i, 2)
		}
		if c := s.m.follow(catalog(today)).stripes[0].parent; c == nil || c.id != 2 {
			t.Errorf("%s: the catalog comes from %v, want session 2", name, c)
		}
	}
}

// A newcomer that hears of yesterday's epoch and of today's at once asks nobody for yesterday's, unless today's turns out to be dead.
func TestNewcomerAsksForNothingOld(t *testing.T) {
	s := newScript(t, 2, MeshConfig{})
	s.do(Tick{})
	s.up(1, 0, yesterday, 1*ms)
	s.status(1, yesterday, 5000, 100_000)
	s.up(2, 1, today, 80*ms)
	all := append(s.status(2, today, 1, 1), s.after(500*ms)...)
	if old := sentTo[*quicwire.Sub](all, 1); len(old) > 0 {
		t.Errorf("got %+v while the new epoch may still deliver", old[0])
	}
	if late := sentTo[*quicwire.Sub](s.after(3*time.Second), 1); len(late) == 0 {
		t.Error("the new epoch is a note only: want the old one followed meanwhile")
	}
}

// Three refusals of one that says it has room, and it is not asked for half a minute, if there is anybody else; one that says that it has none
// is only busy.
func TestThreeRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		slots uint32
		other bool
		left  bool
	}{
		"says it has room":             {20, true, true},
		"says it has none":             {0, true, false},
		"says so, and is the only one": {20, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := following(t, MeshConfig{})
			s.do(SessionDown{2, errNoAnswer})
			s.joins(3, 10*ms)
			s.claims(3, c.slots, 0, 0)
			if c.other {
				s.answers(4)
				s.joins(4, 400*ms)
				s.claims(4, 20, 0, 0)
				s.bot(4).keeps[0] = true
			}
			s.do(SessionDown{1, errNoAnswer})
			refusals, began := 0, s.now
			for at := uint64(100); at < 100+40*20; at++ { // 20 s
				for all := s.flow(at, at+1); len(all) > 0; {
					var more []Action
					for _, x := range sentTo[*quicwire.Ping](all, 3) {
						more = append(more, s.says(3, &quicwire.Pong{ID: x.ID, Log: x.Log, Stripe: x.Stripe, Flows: true})...)
					}
					for _, x := range sentTo[*quicwire.Sub](all, 3) {
						if x.Log == tv(today) {
							refusals++
							more = append(more, s.says(3, &quicwire.SubNo{Log: x.Log, Stripe: x.Stripe, Reason: quicwire.RefusedBusy, Retry: time.Second})...)
						}
					}
					all = more
				}
				if at%40 == 0 {
					s.claims(3, c.slots, 0, 0)
				}
			}
			if left := refusals <= 2*maxNoes; left != c.left {
				t.Errorf("asked %d times in %v, want to leave it alone: %v", refusals, s.now.Sub(began), c.left)
			}
			if refusals > 100 {
				t.Errorf("asked %d times in 20 s although it said: not within a second", refusals)
			}
		})
	}
}

// A source without a place refuses leaves and who is in a hurry, and names others: it is asked for one stripe, and not again for a while.
func TestFullSourceIsAskedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		slots uint32
		want  int
	}{"full": {0, 1}, "with places": {4, 8}} {
		t.Run(name, func(t *testing.T) {
			s := newStriped(t, 1, 8, MeshConfig{NoShare: true})
			s.do(Tick{})
			s.opens(SessionUp{Session: 1, Contact: 0, Peer: key(1), Addr: "a0:1", Role: quicwire.Streamer, Epoch: today, RTT: 20 * ms})
			s.says(1, &quicwire.Status{Log: catalog(today), Size: 1, Lags: []time.Duration{0}, Homes: 1})
			all := s.claims(1, c.slots, make([]time.Duration, 8)...)
			all = append(all, s.after(fullFor/2)...)
			asked := make(map[uint8]bool)
			for _, x := range sentTo[*quicwire.Sub](all, 1) {
				if x.Log == tv(today) {
					asked[x.Stripe] = true
				}
			}
			if len(asked) != c.want {
				t.Errorf("asked for stripes %v, want %d", asked, c.want)
			}
			if again := sentTo[*quicwire.Sub](s.after(fullFor), 1); len(again) == 0 {
				t.Error("it is not asked again later")
			}
		})
	}
}

// Who gets a leaf stripe from somebody does not ask a full source for it, however near that is.
func TestNoLeafAsksAFullSource(t *testing.T) {
	s := following(t, MeshConfig{NoShare: true})
	s.opens(SessionUp{Session: 3, Contact: -1, Peer: key(3), Addr: host(3), Role: quicwire.Streamer, Epoch: today, RTT: 2 * ms})
	s.answers(3)
	s.claims(3, 0, 0, 0)
	if all := s.flow(100, 100+40*60); len(sentTo[*quicwire.Sub](all, 3)) > 1 { // the catalog may be
		t.Errorf("asked the source for %+v in a minute", sentTo[*quicwire.Sub](all, 3))
	}
}

// A parent that delivers is left for one that is clearly nearer only, and looks are rare: nodes that climb at each look tear the trees apart.
func TestClimbingIsRare(t *testing.T) {
	for name, c := range map[string]struct {
		first    time.Duration // round trip of the parent
		rtt      time.Duration // of the other
		from, to int           // changes in ten minutes, of 8 stripes
	}{
		"a little nearer": {200 * ms, 170 * ms, 0, 0}, "much nearer": {200 * ms, 10 * ms, 1, 8}, "nearer, where all are near": {60 * ms, 4 * ms, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStriped(t, 1, 8, MeshConfig{NoShare: true})
			s.do(Tick{})
			s.answers(1)
			s.up(1, 0, today, c.first)
			s.status(1, today, 1, 1)
			s.flow(0, 100)
			s.answers(2)
			s.up(2, -1, today, c.rtt)
			s.status(2, today, 3, 100)
			changes, last := 0, make([]SessionID, 8)
			for i := range last {
				last[i] = s.parent(i)
			}
			for range 600 {
				s.flow(s.size(), s.size()+40)
				s.status(2, today, s.size()/40, s.size())
				for i := range last {
					if p := s.parent(i); p != last[i] {
						changes, last[i] = changes+1, p
					}
				}
			}
			if changes < c.from || changes > c.to {
				t.Errorf("%d changes of parents in ten minutes, want %d to %d", changes, c.from, c.to)
			}
		})
	}
}

// One peer gives a quarter of the stripes at most, a relay half, however near it is: who leaves or lies takes no more than that with it.
func TestSharesOfOneParent(t *testing.T) {
	for role, want := range map[quicwire.Role]int{quicwire.Viewer: 4, quicwire.Relay: 8} {
		s := newStriped(t, 0, 16, MeshConfig{})
		for n := 1; n <= 12; n++ {
			s.answers(n)
			s.joins(n, 300*ms)
		}
		s.m.peer(1).rtt, s.m.peer(1).role = ms, role
		for n := 1; n <= 12; n++ {
			s.status(n, today, 1, 1)
		}
		s.flow(0, 100)
		if got := s.m.from(s.tv(), s.m.peer(1)); got != want {
			t.Errorf("%v: %d of 16 stripes come from the nearest, want %d", role, got, want)
		}
	}
}

// Who has not delivered anything yet is asked for one stripe, not for all that was just lost.
func TestUnprovenGetsOneStripe(t *testing.T) {
	s := meshed(t, 16, 12, MeshConfig{})
	worst := SessionID(1)
	for n := SessionID(1); n <= 12; n++ {
		if s.m.from(s.tv(), s.m.peer(n)) > s.m.from(s.tv(), s.m.peer(worst)) {
			worst = n
		}
	}
	s.answers(13).stuck = true
	s.joins(13, ms)
	s.status(13, today, s.size()/40, s.size())
	lost := s.m.from(s.tv(), s.m.peer(worst))
	all := s.do(SessionDown{worst, errNoAnswer})
	got := 0
	for _, x := range sentTo[*quicwire.Sub](all, 13) {
		if x.Log == tv(today) {
			got++
		}
	}
	if lost < 2 || got != 1 {
		t.Errorf("asked it for %d of %d stripes that were lost, want one", got, lost)
	}
}

// Whom a refusal names is dialled.
func TestReferralsAreDialled(t *testing.T) {
	s := following(t, MeshConfig{})
	node := key(40)
	s.says(2, &quicwire.SubNo{Log: tv(today), Reason: quicwire.RefusedBusy, Referrals: []quicwire.Referral{{Node: node, Addr: addrOf(40, 1)}}})
	for _, d := range of[Dial](s.after(time.Second)) {
		if d.Addr == addrOf(40, 1).String() && d.Node != nil && *d.Node == node {
			return
		}
	}
	t.Error("it was not")
}

// Where two peers take turns in being much nearer, few changes follow: looks are rare.
func TestLooksAreRare(t *testing.T) {
	s := newStriped(t, 1, 8, MeshConfig{NoShare: true})
	s.do(Tick{})
	s.answers(1)
	s.up(1, 0, today, 20*ms)
	s.status(1, today, 1, 1)
	s.answers(2)
	s.up(2, -1, today, 20*ms)
	changes, last := 0, make([]SessionID, 8)
	for k := range 600 {
		for n := 1; n <= 2; n++ {
			lag := time.Duration((k+n)%2) * 800 * ms
			s.says(n, &quicwire.Status{Log: catalog(today), Size: s.size()/40 + 1, Lags: []time.Duration{0}, Homes: 1, Slots: 20})
			s.claims(n, 20, lag, lag, lag, lag, lag, lag, lag, lag)
		}
		s.flow(s.size(), s.size()+40)
		for i := range last {
			if p := s.parent(i); p != last[i] {
				changes, last[i] = changes+1, p
			}
		}
	}
	if changes < 16 || changes > 150 {
		t.Errorf("%d changes of parents in ten minutes, want some, and about one in eight seconds at most", changes)
	}
}

// Who has let us down is asked again when nobody else can be, for it may be the only one to whom the stripe flows; but not at once.
func TestLastResort(t *testing.T) {
	s := following(t, MeshConfig{})
	s.do(SessionDown{2, errNoAnswer})
	s.joins(3, 10*ms)
	s.claims(3, 20, 0, 0)
	s.answers(4)
	s.joins(4, 10*ms)
	s.claims(4, 20, quicwire.NoLag, quicwire.NoLag) // it could be asked, but has nothing
	s.m.peer(3).refused = s.now.Add(shunTime)
	s.do(SessionDown{1, errNoAnswer})
	lost, asked := s.now, time.Time{}
	for at := uint64(100); at < 100+3*40 && asked.IsZero(); at++ { // 3 s
		for _, x := range sentTo[*quicwire.Sub](s.flow(at, at+1), 3) {
			if x.Log == tv(today) {
				asked = s.now
			}
		}
	}
	if after := asked.Sub(lost); after < lastResort || after > lastResort+200*ms {
		t.Errorf("asked after %v, want after %v", after, lastResort)
	}
}

// Who has children in a stripe says that it passes it on, home or not, when it has lost its parent: but not to the source, which wants homes.
func TestWhoFeedsSaysSo(t *testing.T) {
	for name, c := range map[string]struct{ children, want bool }{"with a child": {true, true}, "without": {false, false}} {
		t.Run(name, func(t *testing.T) {
			s := following(t, MeshConfig{})
			s.joins(3, 10*ms)
			for i := range s.tv().stripes {
				s.tv().stripes[i].home = false
			}
			if c.children {
				s.says(3, &quicwire.Sub{Log: tv(today), Stripes: 2, Start: quicwire.StartNext, Urgent: true, Patience: patience})
			}
			s.answers(1)
			s.tv().joined = s.now.Add(-2 * startFor)
			all := s.do(SessionDown{1, errNoAnswer})
			all = append(all, s.after(urgentAfter+2*TickEvery)...)
			subs := slices.DeleteFunc(sentTo[*quicwire.Sub](all, 2), func(x *quicwire.Sub) bool { return x.Log != tv(today) || x.Stripe != 0 })
			if len(subs) == 0 || subs[0].Home != c.want {
				t.Errorf("got %+v, want Home %v", subs, c.want)
			}
		})
	}
}
