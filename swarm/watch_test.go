package swarm

import (
	"slices"
	"testing"
	"time"

	"tailcast/quicwire"
)

// A parent that does not deliver is asked. It is left early if it says that all is well, later if it admits that it has nothing, and another has;
// at once if it does not answer, and its session ends if it never does.
func TestOverdueParent(t *testing.T) {
	pong := func(next uint64, flows bool) func(*quicwire.Ping) quicwire.Pong {
		return func(*quicwire.Ping) quicwire.Pong { return quicwire.Pong{Next: next, Flows: flows} }
	}
	tests := map[string]struct {
		parent, other    func(*quicwire.Ping) quicwire.Pong // nil: no answer
		earliest, latest time.Duration                      // when it is left, since the last block; 0: it is not
		closed           time.Duration                      // when its session ends, about; 0: it does not
	}{
		"has more":                    {pong(105, true), pong(105, true), leaveLiar, 1500 * ms, 0},
		"starves, the other does not": {pong(100, false), pong(105, true), leaveHungry, 1800 * ms, 0},
		"starves, so does the other":  {pong(100, false), pong(100, false), 0, 0, 0},
		"does not answer":             {nil, pong(105, true), 350 * ms, 900 * ms, 3500 * ms},
		"nobody answers":              {nil, nil, 0, 0, 3500 * ms},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			s := following(t, MeshConfig{})
			s.bot(1).stuck, s.bot(1).pong = true, c.parent
			s.bot(2).stuck, s.bot(2).pong = true, c.other
			var left, closed time.Duration
			for last := s.now; s.now.Sub(last) < 5*time.Second && closed == 0; {
				all := s.after(TickEvery)
				if left == 0 && s.parent(0) != 1 {
					left = s.now.Sub(last)
				}
				for _, x := range of[Close](all) {
					if closed = s.now.Sub(last); x.Session == 1 && x.Code != quicwire.CodeTimeout {
						t.Errorf("closed with %v", x)
					}
				}
			}
			if c.earliest == 0 && c.closed == 0 && left > 0 || c.earliest > 0 && (left < c.earliest || left > c.latest) {
				t.Errorf("left after %v, want %v to %v", left, c.earliest, c.latest)
			}
			if (closed > 0) != (c.closed > 0) || closed < c.closed-500*ms || closed > c.closed+500*ms {
				t.Errorf("closed after %v, want %v", closed, c.closed)
			}
		})
	}
}

// A parent that delivers the past only is left for one that proves to be further.
func TestParentBehind(t *testing.T) {
	s := following(t, MeshConfig{})
	for i := uint64(0); i < 6 && s.parent(0) == 1; i++ { // 6 s
		s.status(2, today, 60+i, 2400+40*i)
		s.flow(100+40*i, 140+40*i)
	}
	s.wantParent(0, 2)
	s.wantParent(1, 2)
}

// A size that is only claimed makes nobody look as if it were behind.
func TestClaimedSizeMakesNobodyBehind(t *testing.T) {
	s := following(t, MeshConfig{})
	for i := range uint64(8) {
		s.do(Heard{Session: 2, Message: &quicwire.Status{Log: catalog(today), Size: 1 << 30, Lags: []time.Duration{0}, Slots: 20}})
		s.flow(100+40*i, 140+40*i)
	}
	s.wantParent(0, 1)
	s.wantParent(1, 1)
}

// A parent of whose blocks over a tenth come from others is left, although nothing is missing; so is one whose blocks come much later than
// what it says of itself explains. One that is only slow, and says so, is kept.
func TestUnfairParent(t *testing.T) {
	for name, c := range map[string]struct {
		repaired uint64        // of so many blocks of a stripe one; 0: none
		late     time.Duration // by which the others come
		says     time.Duration // its lag, as it says
		full     bool          // round trips have grown: our own downlink is full
		left     bool
	}{
		"withholds one block in five":      {5, 0, 0, false, true},
		"one in five comes late to all":    {5, 0, 0, true, false},
		"withholds one block in thirty":    {30, 0, 0, false, false},
		"490 ms late, and does not say":    {0, 490 * ms, 0, false, true},
		"490 ms late, as all of it is now": {0, 490 * ms, 0, true, false},
		"490 ms late, and says so":         {0, 490 * ms, 490 * ms, false, false},
		"as it says":                       {0, 20 * ms, 20 * ms, false, false},
		"a little later than it says, so":  {0, 100 * ms, 20 * ms, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := following(t, MeshConfig{})
			s.m.peer(2).rtt = 700 * ms // too far to be chosen for being nearer
			if c.full {
				s.m.peer(1).minRTT, s.m.peer(1).rtt = 10*ms, 160*ms
			}
			s.bot(1).keeps[0] = true                                 // what comes of stripe 0, we bring
			for i := uint64(100); i < 700 && s.parent(0) == 1; i++ { // 15 s
				if i%40 == 0 {
					s.claims(1, 20, c.says, c.says)
					s.claims(2, 20, c.says, c.says)
				}
				if i%2 == 0 {
					x := s.blockIn(1, today, i, false)
					if c.repaired > 0 && i/2%c.repaired == 0 {
						x = s.blockIn(2, today, i, true)
					}
					x.Age = c.late
					s.do(x)
				}
				s.flow(i, i+1)
			}
			if left := s.parent(0) != 1; left != c.left {
				t.Errorf("left: %v, want %v", left, c.left)
			}
			s.wantParent(1, 1)
		})
	}
}

// A source that falls silent is no reason to run from one parent to the other.
func TestSilenceIsNoFault(t *testing.T) {
	s := following(t, MeshConfig{})
	s.status(1, today, 3, 100)
	s.status(2, today, 3, 100)
	for n := 1; n <= 2; n++ {
		s.bot(SessionID(n)).stuck = true
		s.bot(SessionID(n)).pong = func(*quicwire.Ping) quicwire.Pong { return quicwire.Pong{Next: 100, Wall: s.now} }
	}
	all := s.after(5 * time.Second)
	pings, _ := sent[*quicwire.Ping](all)
	unsubs, _ := sent[*quicwire.Unsub](all)
	if len(pings) < 10 || len(pings) > 60 || len(unsubs) > 0 {
		t.Errorf("got %d PINGs and %d UNSUBs in 5 s; want some, and none", len(pings), len(unsubs))
	}
	if state, why := s.m.State(s.now); state != Stalled || why != "connected to the relay a0:1, which itself receives nothing" {
		t.Errorf("got %v %q, want stalled, because the relay receives nothing", state, why)
	}
}

// A Pong says how the stripe does here.
func TestPong(t *testing.T) {
	s := following(t, MeshConfig{})
	s.push(1, today, 100, 101)
	s.push(1, today, 103, 104)
	s.bot(1).stuck = true
	ask := func(index uint64) *quicwire.Pong {
		return sentTo[*quicwire.Pong](s.says(2, &quicwire.Ping{ID: 3, Log: tv(today), Stripe: 0, Index: index}), 2)[0]
	}
	if got := ask(100); got.ID != 3 || !got.Flows || !got.Has || got.Next != 101 {
		t.Errorf("got %+v, want ID 3, flowing, block 100 held, next 101", got)
	}
	if got := ask(102); got.Has {
		t.Errorf("got %+v, want: block 102 is not held", got)
	}
	s.after(time.Second)
	if got := ask(100); got.Flows {
		t.Errorf("got %+v after a second of silence, want not flowing", got)
	}
}

// A Pong that answers nothing sets no clock, and proves no life.
func TestStrayPong(t *testing.T) {
	s := following(t, MeshConfig{})
	s.bot(1).stuck, s.bot(2).stuck, s.bot(2).pong = true, true, nil
	p := s.m.peer(2)
	before := p.offset
	s.says(2, &quicwire.Pong{ID: 5, Log: tv(today), Wall: s.now.Add(time.Hour)})
	if p.offset != before || !p.pong.at.IsZero() {
		t.Errorf("offset %v and %+v by a PONG that answers no PING", p.offset, p.pong)
	}
	pings := sentTo[*quicwire.Ping](s.after(2*time.Second), 2)
	if len(pings) == 0 {
		t.Fatal("2 was not asked")
	}
	answer := &quicwire.Pong{ID: pings[len(pings)-1].ID, Log: tv(today), Wall: s.now.Add(time.Hour)}
	s.says(2, answer)
	if p.offset < time.Hour {
		t.Errorf("offset %v after an answer, want an hour", p.offset)
	}
	p.offset = 0
	if s.says(2, answer); p.offset != 0 {
		t.Error("one PING is answered twice")
	}
}

// A child that takes nothing is asked whether it is still there, and loses its place if it does not answer.
func TestDeadChildLosesItsPlace(t *testing.T) {
	s := serving(t, 2, 4, MeshConfig{})
	s.answers(3)
	s.subscribe(2, 0, true)
	s.says(3, &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 2, Start: quicwire.StartNext, Home: true, Urgent: true, Patience: patience})
	if got := s.children(0); !slices.Equal(got, []SessionID{2, 3}) {
		t.Fatalf("children %v, want 2 and 3", got)
	}
	s.full[2], s.full[3] = true, true
	all := s.flow(100, 180) // 2 s
	if got := s.children(0); !slices.Equal(got, []SessionID{3}) {
		t.Errorf("children %v, want only 3, who answers", got)
	}
	if n := len(sentTo[*quicwire.Ping](all, 2)); n == 0 {
		t.Error("2 was not asked")
	}
	s.full[2], s.full[3] = false, false
	if got := of[Close](s.flow(180, 300)); len(got) != 1 || got[0].Session != 2 {
		t.Errorf("closed %+v, want the session that never answered", got)
	}
}

// A parent that delivers no block of one stripe is left for one to whom the stripe flows, also if that one has not said for a while how far
// it is: a STATUS is seconds old when the next comes.
func TestOldStatusIsNoExcuse(t *testing.T) {
	for name, c := range map[string]struct {
		flows    bool
		earliest time.Duration
	}{"it lies": {true, leaveLiar}, "it admits it": {false, leaveHungry}} {
		s := following(t, MeshConfig{})
		s.bot(1).keeps[0] = true
		s.bot(1).pong = func(*quicwire.Ping) quicwire.Pong { return quicwire.Pong{Flows: c.flows, Next: 100} }
		began, at := s.now, uint64(100)
		for s.parent(0) == 1 && s.now.Sub(began) < 4*time.Second {
			s.flow(at, at+1)
			at++
		}
		if d := s.now.Sub(began); d < c.earliest || d > c.earliest+500*ms {
			t.Errorf("%s: left after %v, want %v to 500 ms more", name, d, c.earliest)
		}
		s.flow(at, at+20)
		s.wantParent(0, 2)
		s.wantParent(1, 1)
	}
}

// What was missed before a parent began is none of its blocks: it is not left because they come from others.
func TestRepairsOfBeforeAreNoFault(t *testing.T) {
	s := following(t, MeshConfig{})
	s.answers(3)
	s.joins(3, 300*ms)
	s.status(3, today, 3, 100)
	s.bot(2).first, s.bot(3).first = 160, 160
	s.do(SessionDown{1, errNoAnswer})
	parents := [2]SessionID{s.parent(0), s.parent(1)}
	s.flow(160, 200)
	for i := range uint64(60) { // the other one answers REQs
		for n := 2; n <= 3; n++ {
			if SessionID(n) != parents[i%2] {
				s.block(n, today, 100+i, true)
			}
		}
	}
	all := s.flow(200, 600)
	if subs, to := sent[*quicwire.Sub](all); len(subs) > 0 || s.m.blocks.Repaired != 60 {
		t.Errorf("got SUBs %+v to %v with %d blocks repaired, want to stay with the parent", subs, to, s.m.blocks.Repaired)
	}
}

// A parent that promises only blocks of the far future is no way to keep a stripe from us: it is left as if it had promised the next.
func TestPromiseOfTheFarFuture(t *testing.T) {
	s := following(t, MeshConfig{})
	s.answers(3)
	s.joins(3, time.Second)
	s.status(3, today, 3, 100)
	s.bot(2).first, s.bot(2).stuck = 1<<30, true
	s.says(1, &quicwire.Moved{Log: tv(today), Stripe: 0, Retry: shunTime})
	s.wantParent(0, 2)
	s.wantParent(1, 1)
	s.flow(100, 184) // 2.1 s
	if got := s.parent(0); got == 2 {
		t.Error("stripe 0 still comes from session 2, which sends nothing of it")
	}
}

// Who has sent us blocks a moment ago, and is too slow now, has not broken a promise: it is asked again after a while. Who never sent any
// is not, for half a minute.
func TestSlowIsNoLiar(t *testing.T) {
	for name, delivered := range map[string]uint64{"has sent some": 20, "never sent any": 0} {
		s := newStriped(t, 2, 1, MeshConfig{})
		s.do(Tick{})
		s.answers(1)
		s.answers(2)
		s.up(1, 0, today, 10*ms)
		s.up(2, 1, today, 400*ms)
		s.status(1, today, 1, 1)
		s.status(2, today, 1, 1)
		if delivered == 0 {
			s.bot(1).stuck = true
		}
		s.flow(0, delivered)
		s.bot(1).stuck = true
		s.shelf.put(tv(today), 100)
		s.status(2, today, 1, 100)
		for at := uint64(100); s.parent(0) == 1 && at < 180; at++ {
			s.flow(at, at+1)
		}
		if banned := s.now.Before(s.m.peer(1).refused); banned != (delivered == 0) {
			t.Errorf("%s: not asked for half a minute: %v", name, banned)
		}
	}
}

// meshed returns a script of a viewer with so many neighbours that answer, in which each stripe has a parent and blocks flow.
func meshed(t *testing.T, stripes, neighbours int, cfg MeshConfig) *script {
	t.Helper()
	s := newStriped(t, 0, stripes, cfg)
	for n := 1; n <= neighbours; n++ {
		s.answers(n)
		s.joins(n, 20*ms)
	}
	for n := 1; n <= neighbours; n++ {
		s.status(n, today, 1, 1)
	}
	s.flow(0, 200)
	for i := range stripes {
		if s.parent(i) == 0 {
			t.Fatalf("stripe %d has no parent", i)
		}
	}
	return s
}

// When most stripes fall silent at once because their parents lie, it is they, not our downlink: all of them are left within a second and a
// half, and not asked again for long. (That nearly all stripes were late was once taken for a full downlink: nobody was left.)
func TestMostParentsLie(t *testing.T) {
	s := meshed(t, 8, 12, MeshConfig{})
	liars := make(map[SessionID]bool)
	for i := range 6 { // the parents of six stripes of eight
		liars[s.parent(i)] = true
	}
	for id := range liars {
		s.bot(id).stuck = true // its answers still say that all is well
	}
	honest := func() (all bool) {
		all = true
		for i := range s.stripes {
			all = all && s.parent(i) != 0 && !liars[s.parent(i)]
		}
		return all
	}
	began, at := s.now, s.size()
	var took time.Duration
	for ; s.now.Sub(began) < 4*time.Second; at++ {
		s.flow(at, at+1)
		if took == 0 && honest() {
			took = s.now.Sub(began)
		}
	}
	if took == 0 || took > 1500*ms || !honest() {
		t.Errorf("all stripes came from honest parents after %v, and still do: %v; want within 1.5 s", took, honest())
	}
}

// While blocks of all parents come late because our own downlink is full, nobody is left for it, and little is asked for.
func TestFullDownlinkBlamesNobody(t *testing.T) {
	s := meshed(t, 8, 12, MeshConfig{})
	before := make([]SessionID, 8)
	for i := range before {
		before[i] = s.parent(i)
	}
	var waiting []BlockIn // before our downlink: each block comes 900 ms late
	asked := 0
	for at := s.size(); at < 200+40*6; at++ {
		for _, b := range s.bots {
			if stripe := uint8(at % 8); b.subs[subKey{tv(today), stripe}] {
				x := s.blockIn(int(b.id), today, at, false)
				x.Age, x.Wall = 20*ms, s.now
				waiting = append(waiting, x)
			}
			b.stuck = true
		}
		for len(waiting) > 0 && s.now.Sub(waiting[0].Wall) >= 900*ms {
			x := waiting[0]
			waiting = waiting[1:]
			x.Fresh = !s.tv().here.has(x.Index)
			s.do(x)
		}
		if at%40 == 0 {
			s.heartbeat(1, at/40)
		}
		for n := range s.bots {
			p := s.m.peer(SessionID(n + 1))
			p.rtt = 920 * ms // packets wait, too
			asked += len(reqs(s.after(gap/12), n+1))
		}
		s.shelf.put(tv(today), at)
	}
	for i, id := range before {
		if s.parent(i) != id {
			t.Errorf("stripe %d comes from %d, and came from %d: it was left although it did what it could", i, s.parent(i), id)
		}
	}
	if asked > 60 {
		t.Errorf("asked for %d of 240 blocks while all of them were on their way", asked)
	}
}
