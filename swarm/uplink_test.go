package swarm

import (
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// run lets time pass with a Tick whenever the Mesh wants one, and a block of tv from session from each 25 ms, beginning with block first.
func (s *script) run(d time.Duration, from int, first uint64) (all []Action) {
	end, next := s.now.Add(d), s.now
	for s.now.Before(end) {
		if !s.now.Before(next) {
			if first%40 == 0 {
				all = append(all, s.heartbeat(from, first/40)...)
			}
			all = append(all, s.block(from, today, first, false)...)
			first, next = first+1, next.Add(gap)
		}
		at := s.m.Next()
		if at.After(next) {
			at = next
		}
		if at.After(s.now) {
			s.now = at
		}
		all = append(all, s.do(Tick{})...)
	}
	return all
}

// sourceScript returns a script of a streamer with sessions 1 to n, which signs tv.
func sourceScript(t *testing.T, stripes, n int, cfg MeshConfig) *script {
	t.Helper()
	cfg.Role = quicwire.Streamer
	s := newStriped(t, 0, stripes, cfg)
	s.do(EpochKnown{today})
	s.do(Publishing{today})
	s.heartbeat(0, 0)
	for k := 1; k <= n; k++ {
		s.answers(k)
		s.joins(k, 20*ms)
	}
	return s
}

// pushBytes sums up what Pushes take on the wire.
func pushBytes(all []Action) (n int) {
	for _, p := range of[Push](all) {
		n += p.Bytes
	}
	return n
}

// Records of a catalog are small, and the uplink is not taken to be full of them: the first that comes says how big they are.
func TestCatalogTakesLittleUplink(t *testing.T) {
	s := serving(t, 2, 12, MeshConfig{Up: 2_000_000})
	record := func(i uint64) []Action {
		return s.do(BlockIn{Session: 1, Log: catalog(today), Index: i, Kind: feed.Event, Size: 100, Fresh: true, Wall: s.now})
	}
	record(3)
	for n := 2; n <= 12; n++ {
		s.says(n, &quicwire.Sub{Log: catalog(today), Stripes: 1, Home: true, Patience: patience})
	}
	s.after(time.Second)
	pushes := slices.DeleteFunc(of[Push](append(record(4), s.after(100*ms)...)), func(p Push) bool { return p.Blocks[0] != 4 })
	if len(pushes) != 11 {
		t.Fatalf("%d pushes of a record to eleven children", len(pushes))
	}
	for _, p := range pushes {
		if p.Bytes > 1000 {
			t.Fatalf("a record of 100 bytes is taken for %d", p.Bytes)
		}
	}
}

// What goes out is paced: what is capped is used, and not exceeded over any time. Each block goes out whole, one after the other.
func TestPacing(t *testing.T) {
	const up = 2_000_000 // bits per second: of 24 children of a stream of 640 kbit/s three can be served
	s := sourceScript(t, 4, 30, MeshConfig{Copies: 8, Up: up})
	for n := 1; n <= 30; n++ {
		for i := range uint8(4) {
			s.subscribe(n, i, true)
		}
	}
	s.run(2*time.Second, 0, 0)
	began := s.now
	type sent struct {
		at time.Duration
		n  int
	}
	var log []sent
	for first := uint64(80); first < 480; first++ { // 10 s
		for _, a := range of[Push](s.run(gap, 0, first)) {
			log = append(log, sent{s.now.Sub(began), a.Bytes})
		}
	}
	total := 0
	for _, x := range log {
		total += x.n
	}
	if rate := 8 * float64(total) / 10; rate < 0.98*up || rate > 1.01*up {
		t.Errorf("pushed %.0f bit/s while more waited, want %d", rate, up)
	}
	for i := range log { // over any second
		n := 0
		for _, x := range log[i:] {
			if x.at-log[i].at < time.Second {
				n += x.n
			}
		}
		if 8*n > up*105/100 {
			t.Fatalf("pushed %d bits in the second after %v, want at most %d", 8*n, log[i].at, up)
		}
	}
}

// Next never asks for a Tick in the past for long, whatever waits.
func TestNextAdvances(t *testing.T) {
	s := sourceScript(t, 4, 10, MeshConfig{Copies: 8, Up: 500_000})
	for n := 1; n <= 10; n++ {
		s.subscribe(n, 0, true)
	}
	for i := range uint64(400) {
		s.block(0, today, i, false)
		for k := 0; !s.m.Next().After(s.now); k++ {
			if s.do(Tick{}); k > 1 {
				t.Fatalf("block %d: Next is %v ago after a Tick", i, s.now.Sub(s.m.Next()))
			}
		}
		s.now = s.now.Add(gap)
	}
}

// queueing returns a script of a viewer with a thin, known uplink that is busy for the next seconds: session 2 is a child that passes stripe 0
// on, 3 one that does not, and 4 is none.
func queueing(t *testing.T) *script {
	s := serving(t, 2, 6, MeshConfig{Up: 3_000_000})
	s.subscribe(2, 0, true)
	s.subscribe(3, 0, false)
	if got := s.children(0); !slices.Equal(got, []SessionID{2, 3}) {
		t.Fatalf("children %v, want 2 and 3", got)
	}
	s.m.up.free = s.now.Add(time.Hour)
	return s
}

// drain lets the uplink be free for one block after the other, and returns the sessions to which they go.
func (s *script) drain(n int) (to []SessionID) {
	for range n {
		s.m.up.free = s.now
		for _, p := range of[Push](s.do(Tick{})) {
			to = append(to, p.Session)
		}
		s.m.up.free = s.now.Add(time.Hour)
	}
	return to
}

// First come those who pass on; then the others; of repairs one in ten turns, of orphans' one in three, as long as pushes wait.
func TestOrderOfTheUplink(t *testing.T) {
	s := queueing(t)
	for i := uint64(100); i < 160; i++ {
		s.block(1, today, i, false)
	}
	for k := range uint64(10) {
		s.says(4, &quicwire.Req{ID: k, Log: tv(today), Blocks: []uint64{k}})
	}
	if got := s.drain(15); slices.Contains(got, 3) || len(got) < 14 {
		t.Errorf("the first go to %v, want none to the leaf 3 yet", got)
	}
	s = queueing(t)
	for i := uint64(100); i < 180; i++ {
		s.block(1, today, i, false)
	}
	s.m.up.queues[repairs] = fifo{}
	for k := range uint64(10) {
		s.m.up.add(item{peer: s.m.peer(4), f: s.tv(), index: k, class: repairs, given: &giving{id: k + 1, blocks: []uint64{k}}})
	}
	count := func(n int, session SessionID) (sum int) {
		for _, to := range s.drain(n) {
			if to == session {
				sum++
			}
		}
		return sum
	}
	if n := count(30, 4); n < 2 || n > 4 {
		t.Errorf("%d of 30 turns were repairs, want one in ten", n)
	}
	for k := range uint64(10) {
		s.m.up.add(item{peer: s.m.peer(5), f: s.tv(), index: k, class: hurried, given: &giving{id: k + 100, orphan: true, blocks: []uint64{k}}})
	}
	if n := count(21, 5); n < 6 || n > 8 {
		t.Errorf("%d of 21 turns were orphans' repairs, want one in three", n)
	}
	for range 60 { // when nothing else waits, they have it all
		s.drain(1)
	}
	for k := range uint64(5) {
		s.m.up.add(item{peer: s.m.peer(4), f: s.tv(), index: k, class: repairs, given: &giving{id: k + 200, blocks: []uint64{k}}})
	}
	if n := count(5, 4); n != 5 {
		t.Errorf("%d of 5 turns were repairs when nothing else waited, want all", n)
	}
}

// A leaf that has waited for long comes before those who pass on: late is better than never.
func TestOldLeavesComeFirst(t *testing.T) {
	s := queueing(t)
	for i := range uint64(leafFirst/gap) + 4 {
		s.block(1, today, 100+i, false)
		s.now = s.now.Add(gap)
	}
	if got := s.drain(1); !slices.Equal(got, []SessionID{3}) {
		t.Errorf("the first goes to %v, want the leaf 3, who has waited for %v", got, leafFirst)
	}
}

// A peer that takes nothing has few blocks under way, and few that wait: the oldest go. The others are served as before.
func TestSlowPeerHoldsNothingUp(t *testing.T) {
	s := serving(t, 2, 6, MeshConfig{Up: 50_000_000})
	s.subscribe(2, 0, true)
	s.subscribe(3, 0, true)
	s.full[2] = true
	p := s.m.peer(2)
	all := s.run(10*time.Second, 1, 100)
	n := 0
	for _, a := range of[Push](all) {
		if a.Session == 3 {
			n++
		}
	}
	if p.inflight > maxInflight || len(p.stalled) > maxStalled {
		t.Errorf("%d blocks under way, %d wait; want at most %d and %d", p.inflight, len(p.stalled), maxInflight, maxStalled)
	}
	if n < 190 {
		t.Errorf("the other child got %d blocks in 10 s, want all 200 of the stripe", n)
	}
	if late := s.m.up.backlog(); late > 50*ms {
		t.Errorf("a block would wait for %v because of one slow peer", late)
	}
}

// Pushes are bounded for each child, ascend, and stay with those who have subscribed.
func TestPushesAscend(t *testing.T) {
	s := serving(t, 2, 6, MeshConfig{Up: 3_000_000})
	s.subscribe(2, 0, true)
	s.subscribe(2, 1, true)
	last := map[uint8]uint64{}
	for _, i := range []uint64{100, 102, 101, 106, 104, 103, 105, 110, 107} {
		for _, a := range of[Push](append(s.block(1, today, i, false), s.after(TickEvery)...)) {
			if a.Session != 2 || len(a.Blocks) != 1 || a.Blocks[0] <= last[a.Stripe] && last[a.Stripe] > 0 {
				t.Errorf("got %+v after block %d", a, last[a.Stripe])
			}
			last[a.Stripe] = a.Blocks[0]
		}
	}
	s.says(2, &quicwire.Unsub{Log: tv(today), Stripe: 0})
	for _, a := range of[Push](s.flow(112, 120)) {
		if a.Stripe == 0 {
			t.Errorf("got %+v after UNSUB", a)
		}
	}
}

// What a peer has meanwhile is not pushed to it any more.
func TestCancel(t *testing.T) {
	s := queueing(t)
	for i := uint64(100); i < 110; i += 2 {
		s.block(1, today, i, false)
	}
	s.says(2, &quicwire.Cancel{Log: tv(today), Blocks: []uint64{102, 106}})
	var got []uint64
	for range 12 {
		s.m.up.free = s.now
		for _, p := range of[Push](s.do(Tick{})) {
			if p.Session == 2 {
				got = append(got, p.Blocks...)
			}
		}
		s.m.up.free = s.now.Add(time.Hour)
	}
	if !slices.Equal(got, []uint64{100, 104, 108}) {
		t.Errorf("session 2 got %v, want what it has not cancelled", got)
	}
}

// One child that takes in little is slow itself: nothing is concluded about our uplink, which serves others as before.
func TestSlowChildIsNoSlowUplink(t *testing.T) {
	s := serving(t, 2, 6, MeshConfig{})
	s.answers(2)
	s.answers(3)
	s.subscribe(2, 0, true)
	s.full[2] = true
	before := s.m.up.rate()
	for i := range uint64(400) { // 10 s; it takes a block each second
		s.block(1, today, 100+i, false)
		s.now = s.now.Add(gap)
		s.do(Tick{})
		if i%40 == 0 {
			s.takes(2)
		}
	}
	if got := s.m.up.rate(); got < before/2 {
		t.Errorf("the uplink counts as %.0f bytes a second after %.0f, because of one slow child", got, before)
	}
	if all := s.subscribe(3, 1, true); len(sentTo[*quicwire.SubOK](all, 3)) != 1 {
		t.Errorf("got %+v for another child, want it accepted", all)
	}
}

// While nobody takes anything the network is away: that tells nothing about the uplink.
func TestOutageIsNoSlowUplink(t *testing.T) {
	s := serving(t, 2, 8, MeshConfig{})
	for n := 2; n <= 6; n++ {
		s.answers(n)
		s.says(n, &quicwire.Sub{Log: tv(today), Stripe: uint8(n % 2), Stripes: 2, Start: quicwire.StartNext, Urgent: true, Home: true, Patience: patience})
		s.full[SessionID(n)] = true
	}
	before := s.m.up.rate()
	s.run(5*time.Second, 1, 100)
	if got := s.m.up.rate(); got < before/2 {
		t.Errorf("the uplink counts as %.0f bytes a second after an outage, want about %.0f as before", got, before)
	}
}

// If many children have all that they can take in, what they take in together is what the uplink carries.
func TestUplinkIsMeasured(t *testing.T) {
	const real = 150_000 // bytes a second
	s := serving(t, 2, 12, MeshConfig{Known: 8 * 600_000})
	for n := 2; n <= 9; n++ {
		s.answers(n)
		s.says(n, &quicwire.Sub{Log: tv(today), Stripe: uint8(n % 2), Stripes: 2, Start: quicwire.StartNext, Urgent: true, Home: true, Patience: patience})
		s.full[SessionID(n)] = true
	}
	credit, turn := 0.0, 0
	for i := range uint64(320) { // 8 s
		s.run(gap, 1, 100+i)
		credit = min(credit+real*gap.Seconds(), 6000)
		for idle := 0; idle < 8; turn++ { // those that wait for longest come first
			p := s.m.peer(SessionID(2 + turn%8))
			if idle++; p.inflight > 0 && credit >= float64(p.bytes/p.inflight) {
				idle = 0
				credit -= float64(p.bytes / p.inflight)
				s.takes(p.id)
			}
		}
	}
	if got := s.m.up.rate(); got < 0.7*real || got > 1.5*real {
		t.Errorf("the uplink counts as %.0f bytes a second, want about %d", got, real)
	}
}

// What was sent in fact counts: control, acknowledgements and what was sent twice are within the cap, too.
func TestTrafficIsWithinTheCap(t *testing.T) {
	const up = 1_000_000
	s := sourceScript(t, 4, 30, MeshConfig{Copies: 8, Up: up})
	for n := 1; n <= 30; n++ {
		for i := range uint8(4) {
			s.subscribe(n, i, true)
		}
	}
	wire, media := 0.0, 0
	for i := range uint64(400) { // 10 s, with a quarter more on the wire than was counted
		all := s.run(gap, 0, i)
		media += pushBytes(all)
		wire += 1.25 * float64(pushBytes(all))
		if i%2 == 0 {
			s.do(Traffic{Sent: uint64(wire)})
		}
	}
	if rate := 8 * wire / 10; rate > 1.05*up || rate < 0.9*up {
		t.Errorf("%.0f bit/s on the wire, want %d", rate, up)
	}
}

// Who has too little uplink sheds children, the weakest first; with room and little waiting it takes on more, and believes in more.
func TestShedAndGrow(t *testing.T) {
	s := serving(t, 4, 20, MeshConfig{Known: 8_000_000})
	for n := 2; n <= 12; n++ {
		s.subscribe(n, uint8(n%4), n%2 == 0)
	}
	used := s.m.used()
	s.m.up.free = s.now.Add(time.Hour)
	for i := uint64(100); s.m.up.backlog() < 500*ms; i++ {
		s.block(1, today, i, false)
	}
	all := s.after(TickEvery)
	moved, to := sent[*quicwire.Moved](all)
	if len(moved) == 0 || moved[0].Reason != quicwire.Shed || slices.ContainsFunc(to, func(id SessionID) bool { return id%2 == 0 }) {
		t.Errorf("got MOVED %+v to %v, want leaves shed", moved, to)
	}
	if s.m.used() != used-len(moved) {
		t.Errorf("%d places used after %d of %d were moved", s.m.used(), len(moved), used)
	}
	if again, _ := sent[*quicwire.Moved](s.after(shedEvery - 2*TickEvery)); len(again) > 0 {
		t.Errorf("got MOVED again after %v, want %v in between", shedEvery-2*TickEvery, shedEvery)
	}

	s = serving(t, 4, 40, MeshConfig{})
	before := s.m.up.rate()
	for n := 2; n <= 40; n++ {
		s.subscribe(n, uint8(n%4), true)
	}
	s.run(3*time.Second, 1, 100)
	if got := s.m.up.rate(); got <= before {
		t.Errorf("believes in %.0f bytes a second after %.0f, want more: all places are used and nothing waits", got, before)
	}
}

// The cap can be changed while it runs.
func TestCapChanges(t *testing.T) {
	s := serving(t, 4, 4, MeshConfig{Up: 8_000_000})
	s.do(Capped{800_000})
	s.after(TickEvery)
	if got := s.m.up.rate(); got != 100_000 || s.m.slots() > 5 {
		t.Errorf("rate %.0f and %d slots after the cap fell to 800 kbit/s of a stream of 640", got, s.m.slots())
	}
}

// Where the uplink turns out to be less than was thought, places are taken back, also while nothing waits yet.
func TestPlacesAreTakenBack(t *testing.T) {
	s := serving(t, 4, 20, MeshConfig{Up: 4_000_000})
	for n := 2; n <= 20; n++ {
		s.subscribe(n, uint8(n%4), true)
	}
	before := s.m.used()
	s.do(Capped{3_000_000})
	s.after(lasts)
	if used, slots := s.m.used(), s.m.slots(); before < slots+slots/5+2 || used > slots+slots/5+1 {
		t.Errorf("%d of before %d stripes are pushed %v after the uplink became that of %d", used, before, lasts, slots)
	}
}

// What waits for a child that has left, or has lost its place, does not go out: nobody would wait for it.
func TestNothingForWhoHasLeft(t *testing.T) {
	s := queueing(t)
	for i := uint64(100); i < 120; i++ {
		s.block(1, today, i, false)
	}
	s.says(2, &quicwire.Unsub{Log: tv(today), Stripe: 0})
	if got := s.drain(12); slices.Contains(got, 2) || !slices.Contains(got, 3) {
		t.Errorf("blocks go to %v, want none to 2, which has left, and some to 3", got)
	}
}
