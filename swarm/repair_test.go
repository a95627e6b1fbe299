package swarm

import (
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// reqs returns the blocks that Reqs among the actions ask session n for.
func reqs(all []Action, n int) (blocks []uint64) {
	for _, x := range sentTo[*quicwire.Req](all, n) {
		blocks = append(blocks, x.Blocks...)
	}
	return blocks
}

// Two Reqs without an answer, and a peer is not asked for half a minute; one, of however many blocks, may have been lost.
func TestTwoReqsUnanswered(t *testing.T) {
	s := following(t, MeshConfig{})
	for n := 3; n <= 6; n++ {
		s.answers(n)
		s.joins(n, 40*ms)
	}
	s.m.peer(1).deaf, s.m.peer(2).deaf = s.now.Add(time.Hour), s.now.Add(time.Hour)
	s.lack(100, 107, 3) // 3 is the only one to ask
	p := s.m.peer(3)
	var asked []time.Time
	for at := uint64(108); p.deaf.IsZero() && at < 300; at++ {
		if got := reqs(s.flow(at, at+1), 3); len(got) > 0 {
			if asked = append(asked, s.now); len(got) != 7 {
				t.Fatalf("asked for %v, want all seven at once", got)
			}
		}
	}
	if len(asked) != 2 || s.now.Sub(asked[1]) < repairTimeout || p.deaf.Sub(s.now) < shunTime-100*ms {
		t.Fatalf("asked at %v, left alone until %v at %v; want two REQs, and 30 s", asked, p.deaf, s.now)
	}
	s.flow(s.size(), s.size()+40*20)
	s.lack(s.size(), s.size()+5, 3)
	if got := reqs(s.flow(s.size(), s.size()+40), 3); len(got) > 0 {
		t.Errorf("asked for %v after 20 s", got)
	}
	s.flow(s.size(), s.size()+40*10)
	s.lack(s.size(), s.size()+5, 3)
	if got := reqs(s.flow(s.size(), s.size()+40), 3); len(got) == 0 {
		t.Error("not asked again after 30 s")
	}
}

// lack lets blocks [from, to) be missing for long; session n says that it has them.
func (s *script) lack(from, to uint64, n int) {
	s.push(1, today, to, to+1)
	s.status(n, today, to/40+1, to+1)
	for k := range s.tv().holes {
		s.tv().holes[k].signed = s.now.Add(-time.Second)
	}
}

// list returns the indices of holes.
func (f *follow) list() (list []uint64) {
	for _, h := range f.holes {
		list = append(list, h.index)
	}
	return list
}

// Holes are asked for after some patience, of one peer after the other, at once after the first NACK, and given up in the end.
func TestHoles(t *testing.T) {
	s := following(t, MeshConfig{})
	s.status(1, today, 3, 110)
	s.status(2, today, 3, 110)
	s.after(5 * gap)
	early := s.flow(105, 100+uint64(overdueAfter/gap)-1)
	if got := append(reqs(early, 1), reqs(early, 2)...); len(got) > 0 {
		t.Fatalf("asked for %v within 175 ms", got)
	}
	asked := make(map[uint64]SessionID)
	for at := s.size(); len(asked) < 5 && at < 130; at++ {
		all := s.flow(at, at+1)
		for n := 1; n <= 2; n++ {
			for _, i := range reqs(all, n) {
				if asked[i] != 0 {
					t.Errorf("block %d is asked of %d while %d may still answer", i, n, asked[i])
				}
				asked[i] = SessionID(n)
			}
		}
	}
	if len(asked) != 5 || asked[100] == 0 || asked[104] == 0 {
		t.Fatalf("asked for %v, want blocks 100 to 104", asked)
	}
	first := int(asked[100])
	s.now = s.now.Add(gap)
	got := reqs(s.says(first, &quicwire.Nack{Log: tv(today), Blocks: []uint64{100}}), 3-first)
	if !slices.Equal(got, []uint64{100}) {
		t.Errorf("after a NACK: asked the other one for %v, want block 100 at once", got)
	}
	s.block(3-first, today, 100, true)
	s.block(1, today, 102, false) // late, but here
	n := 0
	all := s.flow(s.size(), s.size()+40*4)
	for k := 1; k <= 2; k++ {
		for _, i := range reqs(all, k) {
			if n++; i == 100 || i == 102 {
				t.Errorf("block %d is asked for again", i)
			}
		}
	}
	if n < 6 || n > 36 {
		t.Errorf("asked %d times in 4 s for three blocks that nobody has", n)
	}
	s.flow(s.size(), s.size()+40)
	if b := s.m.blocks; b.Missed != 3 || b.Repaired != 1 || len(s.tv().holes) != 0 {
		t.Errorf("got %+v, want 3 missed, 1 repaired, no holes left", b)
	}
}

// However large a hole, what is asked for and remembered is bounded.
func TestHolesAreBounded(t *testing.T) {
	s := following(t, MeshConfig{})
	s.push(1, today, 5000, 5001)
	if f := s.tv(); len(f.holes) != maxHoles || s.m.blocks.Missed != 4900-maxHoles {
		t.Errorf("got %d holes, %d missed; want %d, %d", len(f.holes), s.m.blocks.Missed, maxHoles, 4900-maxHoles)
	}
	s.lack(5000, 5001, 2)
	all := s.after(repairTimeout - TickEvery)
	if n := len(reqs(all, 1)) + len(reqs(all, 2)); n == 0 || n > mostAsked {
		t.Errorf("asked for %d blocks at a time, want at most %d", n, mostAsked)
	}
}

// After a long silence nobody wants what was missed.
func TestLongSilence(t *testing.T) {
	s := following(t, MeshConfig{})
	s.bot(1).stuck, s.bot(2).stuck = true, true
	s.after(giveUpAfter + time.Second)
	if list := of[Abandon](s.push(2, today, 502, 504)); !slices.Equal(list, []Abandon{{tv(today), 500}}) {
		t.Errorf("got %v, want all below 500 abandoned", list)
	}
	if f := s.tv(); !slices.Equal(f.list(), []uint64{500, 501}) || f.edge != 504 {
		t.Errorf("got holes %v, edge %d; want 500 and 501 only, as the segment begins at 500", f.list(), f.edge)
	}
}

// What an earlier run has left is no hole: it is looked up elsewhere, before anybody is asked for it.
func TestLeftOnDisk(t *testing.T) {
	s := newScript(t, 1, MeshConfig{})
	s.shelf.held[tv(today)] = Holding{Head: feed.Head{Size: 104}, Stripes: 2}
	s.answers(1)
	s.up(1, 0, today, 0)
	s.status(1, today, 3, 110)
	if x := sentTo[*quicwire.Sub](s.at(helloWait), 1); len(x) > 0 {
		t.Fatalf("subscribed late: %+v", x)
	}
	lookups := of[LookUp](s.push(1, today, 106, 107))
	if len(lookups) != 1 || !slices.Equal(lookups[0].Blocks, []uint64{100, 101, 102, 103}) {
		t.Fatalf("got %+v, want what is below 104 looked up", lookups)
	}
	s.do(Found{tv(today), []uint64{100, 101, 103}})
	if got := s.tv().list(); !slices.Equal(got, []uint64{102, 104, 105}) {
		t.Errorf("holes %v, want 102, 104 and 105", got)
	}
}

// What came lately is known, whatever the order; what is long ago is not.
func TestHere(t *testing.T) {
	var h here
	for _, i := range []uint64{10_000, 10_003, 10_001, 10_000 + hereBlocks} {
		h.add(i)
	}
	for i, want := range map[uint64]bool{
		9_999: false, 10_000: false, 10_001: true, 10_002: false, 10_003: true, 10_000 + hereBlocks: true, 10_001 + hereBlocks: false,
	} {
		if got := h.has(i); got != want {
			t.Errorf("has(%d) is %v, want %v", i, got, want)
		}
	}
	if h.add(1); h.has(1) {
		t.Error("a block of long ago is remembered")
	}
}

// Whom to ask for a missing block: who has it by now, as his lag tells; not who starves, is deaf, says that he is going, has refused it, or
// shares nothing; the source only when it is late, or when there are few.
func TestHolders(t *testing.T) {
	s := following(t, MeshConfig{})
	for n := 3; n <= 10; n++ {
		s.answers(n)
		s.joins(n, 20*ms)
		s.claims(n, 20, 0, 0)
	}
	s.flow(100, 110)
	f := s.tv()
	h := &hole{index: 108, signed: s.now.Add(-300 * ms)}
	candidates := func() (list []SessionID) {
		seen := make(map[SessionID]bool)
		for range 300 {
			if p := s.m.holder(f, h); p != nil && !seen[p.id] {
				seen[p.id] = true
				list = append(list, p.id)
			}
		}
		slices.Sort(list)
		return list
	}
	s.claims(3, 20, quicwire.NoLag, 0) // starves
	s.claims(4, 20, 800*ms, 0)         // will have it later
	s.m.peer(5).deaf = s.now.Add(time.Minute)
	s.says(6, &quicwire.Bye{Leaving: 5 * time.Second})
	s.m.peer(7).flags |= quicwire.NoUpload
	s.m.peer(8).role = quicwire.Streamer
	h.nacks[1] = s.m.peer(9)
	s.m.peer(1).mute = true
	s.m.peer(2).backlog = time.Hour
	if got := candidates(); !slices.Equal(got, []SessionID{10}) {
		t.Errorf("asks %v, want 10 only", got)
	}
	h.signed = s.now.Add(-sourceAfter)
	if got := candidates(); !slices.Contains(got, 8) || !slices.Contains(got, 4) {
		t.Errorf("asks %v when the block is late, want the source 8 too, and 4, who has it by now", got)
	}
	h.signed = s.now.Add(-giveUpAfter/2 - ms)
	s.m.peer(3).claimOf(tv(today)).size = 100
	if got := candidates(); slices.Contains(got, 3) {
		t.Errorf("asks %v, want not 3, who never had it", got)
	}
	s.claims(3, 20, quicwire.NoLag, 0)
	if got := candidates(); !slices.Contains(got, 3) {
		t.Errorf("asks %v for a block of long ago, want 3, too, who has got as far", got)
	}
}

// The window of what may be asked for grows with what comes of it, and shrinks with what comes twice; while our own downlink is full, little is
// asked for.
func TestRequestWindow(t *testing.T) {
	s := following(t, MeshConfig{})
	f := s.tv()
	f.window = 10
	for range 20 {
		s.do(BlockIn{Session: 1, Log: tv(today), Index: 50, Kind: feed.Media, Size: tvBlock, Wall: s.now, Repaired: true}) // had it
	}
	if f.window != leastAsked {
		t.Errorf("window %.1f after duplicates, want %d", f.window, leastAsked)
	}
	for range 3 {
		s.lack(s.size(), s.size()+8, 1)
		for _, i := range reqs(s.after(TickEvery), 1) {
			s.block(1, today, i, true)
		}
	}
	if f.window < leastAsked+8 {
		t.Errorf("window %.1f after blocks that came of REQs, want one more for each", f.window)
	}
	f.window = mostAsked
	for n := 1; n <= 2; n++ {
		p := s.m.peer(SessionID(n))
		p.minRTT, p.rtt = 10*ms, 500*ms
	}
	s.lack(s.size(), s.size()+60, 1)
	s.after(12 * repairEvery)
	if f.window != fullAsked {
		t.Errorf("window %.1f while all round trips have grown by half a second, want %d", f.window, fullAsked)
	}
}

// Outstanding requests do not leak: whatever becomes of a hole and of who was asked, as many can be asked for afterwards as before.
func TestRequestsDoNotLeak(t *testing.T) {
	s := following(t, MeshConfig{})
	ways := []func(i uint64, n SessionID){
		func(i uint64, n SessionID) { s.block(int(n), today, i, true) },
		func(i uint64, n SessionID) { s.block(int(3-n), today, i, false) }, // by another
		func(i uint64, n SessionID) { s.says(int(n), &quicwire.Nack{Log: tv(today), Blocks: []uint64{i}}) },
		func(uint64, SessionID) {}, // no answer
		func(i uint64, n SessionID) { s.do(Found{tv(today), []uint64{i}}) },
	}
	for round := range 40 {
		forgive(s.m.peer(1), s.m.peer(2))
		s.lack(s.size(), s.size()+20, 1+round%2)
		all := s.after(TickEvery)
		for n := SessionID(1); n <= 2; n++ {
			for k, i := range reqs(all, int(n)) {
				ways[(k+round)%len(ways)](i, n)
			}
		}
		if round%10 == 9 { // who was asked is gone
			s.do(SessionDown{2, errNoAnswer})
			s.up(2, 1, today, 400*ms)
			s.status(2, today, 1, s.size())
		}
		s.after(400 * ms)
	}
	forgive(s.m.peer(1), s.m.peer(2))
	s.flow(s.size(), s.size()+40*6)
	open := 0
	for _, h := range s.tv().holes {
		if !h.asked.IsZero() {
			open++
		}
	}
	if open > 0 || len(s.tv().holes) > 0 {
		t.Errorf("%d of %d holes are being asked for 6 s later, want none left", open, len(s.tv().holes))
	}
	s.tv().window = mostAsked
	s.m.peer(1).reqs.level, s.m.peer(2).reqs.level = reqBurst, reqBurst
	forgive(s.m.peer(1), s.m.peer(2))
	s.lack(s.size(), s.size()+60, 1)
	all := s.after(TickEvery)
	if n := len(reqs(all, 1)) + len(reqs(all, 2)); n < mostAsked-2 {
		t.Errorf("only %d blocks can be asked for afterwards, want %d", n, mostAsked)
	}
}

// forgive lets the Mesh forget what peers did wrong.
func forgive(peers ...*peer) {
	for _, p := range peers {
		p.refused, p.deaf, p.fails, p.silent = time.Time{}, time.Time{}, 0, 0
	}
}

// A newcomer asks eagerly for what it lacks, for three seconds; then it has the patience of all others, whatever is still missing.
func TestStartingEnds(t *testing.T) {
	s := newScript(t, 1, MeshConfig{})
	s.do(Tick{})
	s.answers(1).keeps[0] = true // the first block of this stripe never comes
	s.up(1, 0, today, 10*ms)
	s.status(1, today, 1, 1)
	early, late := s.flow(0, 100), s.flow(100, 400)
	starting := func(all []Action) (yes, no int) {
		for _, x := range sentTo[*quicwire.Req](all, 1) {
			if x.Starting {
				yes++
			} else {
				no++
			}
		}
		return yes, no
	}
	if yes, no := starting(early); yes == 0 || no > 0 {
		t.Errorf("in the first 2.5 s %d REQs say that we have just joined, %d do not; want all", yes, no)
	}
	if yes, no := starting(late[len(late)/4:]); yes > 0 || no == 0 {
		t.Errorf("later %d REQs say that we have just joined, %d do not; want none", yes, no)
	}
	if n, blocks := len(reqs(late, 1)), 150; n > 8*blocks {
		t.Errorf("asked %d times for %d blocks", n, blocks)
	}
}

// Where half of everything is missing and everybody says no, REQs stay few: one for each block and NACK at first, then fewer and fewer.
func TestNackStorm(t *testing.T) {
	s := followingStriped(t, 8, MeshConfig{})
	for n := 3; n <= 12; n++ {
		s.answers(n)
		s.joins(n, 30*ms)
		s.claims(n, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	for i := range uint8(4) {
		s.bot(1).keeps[i], s.bot(2).keeps[i] = true, true
	}
	asked, began := make(map[uint64]int), s.size()
	for i := began; i < began+200; i++ { // 5 s
		all := s.flow(i, i+1)
		for len(all) > 0 { // NACKs may bring forth more REQs
			var more []Action
			for n := 1; n <= 12; n++ {
				for _, x := range sentTo[*quicwire.Req](all, n) {
					for _, b := range x.Blocks {
						asked[b]++
					}
					more = append(more, s.says(n, &quicwire.Nack{ID: x.ID, Log: x.Log, Reason: quicwire.RefusedNotHeld, Blocks: x.Blocks})...)
				}
			}
			all = more
		}
	}
	total, most := 0, 0
	for _, n := range asked {
		total, most = total+n, max(most, n)
	}
	if most > 12 || total > 400 {
		t.Errorf("asked %d times for 100 missing blocks, %d times for one of them", total, most)
	}
}

// A block that comes from another is cancelled where it was asked for, and where it is due to be pushed.
func TestCancels(t *testing.T) {
	s := following(t, MeshConfig{})
	s.answers(3)
	s.joins(3, 10*ms)
	s.bot(1).keeps[0] = true
	s.claims(3, 20, 0, 0)
	s.m.peer(1).deaf, s.m.peer(2).deaf = s.now.Add(time.Hour), s.now.Add(time.Hour)
	s.m.peer(2).rtt = time.Second
	at := uint64(100)
	for ; at < 140; at++ {
		if got := reqs(s.flow(at, at+1), 3); slices.Contains(got, 100) {
			break
		}
	}
	all := s.block(2, today, 100, true)
	if x := sentTo[*quicwire.Cancel](all, 3); len(x) != 1 || !slices.Equal(x[0].Blocks, []uint64{100}) {
		t.Errorf("got %+v to whom it was asked of, want a CANCEL", x)
	}
	if x := sentTo[*quicwire.Cancel](all, 1); len(x) != 1 {
		t.Errorf("got %+v to the parent, want a CANCEL", x)
	}
}

// What the source looks for and we lack, we ask it for: it has reason to think that the block did not spread.
func TestSourceAsksAfterABlock(t *testing.T) {
	s := following(t, MeshConfig{})
	s.opens(SessionUp{Session: 3, Contact: -1, Peer: key(3), Addr: host(3), Role: quicwire.Streamer, Epoch: today, RTT: 20 * ms})
	s.claims(3, 20, 0, 0)
	s.flow(100, 110)
	if got := reqs(s.says(3, &quicwire.Ping{ID: 1, Log: tv(today), Stripe: 1, Index: 111}), 3); !slices.Equal(got, []uint64{111}) {
		t.Errorf("asked the source for %v, want the block that it looks for", got)
	}
	if got := reqs(s.says(2, &quicwire.Ping{ID: 1, Log: tv(today), Stripe: 1, Index: 113}), 2); len(got) > 0 {
		t.Errorf("asked a viewer for %v, want nothing", got)
	}
	if got := reqs(s.says(3, &quicwire.Ping{ID: 2, Log: tv(today), Stripe: 1, Index: 1 << 30}), 3); len(got) > 0 {
		t.Errorf("asked for %v, which is far off", got)
	}
}

// Headers of blocks that never come, and what somebody says the source looks for, do not make us believe that the log is longer than its clock
// allows: we would ask for thousands of blocks that do not exist, and for none that do.
func TestEdgeFollowsNoClaims(t *testing.T) {
	s := following(t, MeshConfig{})
	s.opens(SessionUp{Session: 3, Contact: -1, Peer: key(3), Addr: host(3), Role: quicwire.Streamer, Epoch: today, RTT: 20 * ms})
	f := s.tv()
	for i := uint64(100); i < 180; i++ {
		s.flow(i, i+1)
		s.do(Coming{Session: 1, Log: tv(today), Index: f.edge + mostAsked - 1})
		s.says(3, &quicwire.Ping{ID: i, Log: tv(today), Stripe: 1, Index: f.edge + mostAsked - 1})
	}
	if ahead := f.edge - s.size(); ahead > mostAsked+4 {
		t.Errorf("the edge is %d blocks further than the log", ahead)
	}
	s.flow(180, 400)
	if b := s.m.blocks; b.Missed > 0 || len(f.holes) > mostAsked+4 {
		t.Errorf("got %+v and %d holes, want nothing missed: all that there is has come", b, len(f.holes))
	}
}

// What was asked of one that goes is asked of another at once.
func TestAskedOfOneThatGoes(t *testing.T) {
	s := following(t, MeshConfig{})
	s.lack(100, 105, 2)
	s.m.peer(1).backlog = time.Minute
	if got := reqs(s.after(repairEvery), 2); len(got) != 5 {
		t.Fatalf("asked 2 for %v, want all five", got)
	}
	s.m.peer(1).backlog = 0
	s.status(1, today, 3, 110)
	all := append(s.do(SessionDown{2, errNoAnswer}), s.after(2*repairEvery)...)
	if got := reqs(all, 1); len(got) != 5 {
		t.Errorf("asked 1 for %v when 2 had gone, want all five", got)
	}
}

// While our own downlink is full, a block that is late is not asked for, a REQ without an answer is nobody's fault, and nobody is dead
// because a PONG takes a second.
func TestFullDownlinkWaits(t *testing.T) {
	s := following(t, MeshConfig{})
	for n := SessionID(1); n <= 2; n++ {
		s.m.peer(n).minRTT, s.m.peer(n).rtt = 10*ms, 160*ms
	}
	s.after(TickEvery)
	s.push(1, today, 108, 109)
	all := s.after(queuedAfter / 2)
	for _, i := range append(reqs(all, 1), reqs(all, 2)...) {
		if i%2 == 1 { // of the other stripe its parent has sent a later one: these do not come any more
			t.Errorf("asked for block %d, which waits before our downlink", i)
		}
	}
	s.bot(1).pong = nil
	s.m.peer(1).pinged, s.m.peer(1).pings = time.Time{}, nil
	s.m.ping(s.m.peer(1), s.tv(), 1, 109)
	s.after(time.Second)
	if s.m.peer(1).mute {
		t.Error("1 counts as dead after a second without PONG")
	}
	h := &hole{index: 100, of: s.m.peer(2)}
	for k := range 2 * maxSilent {
		h.of, h.asked = s.m.peer(2), s.now.Add(time.Duration(k-10)*ms)
		s.m.timedOut(s.tv(), h)
	}
	if p := s.m.peer(2); !p.deaf.IsZero() || p.silent > 0 {
		t.Errorf("2 is blamed for %d REQs without an answer, deaf until %v", p.silent, p.deaf)
	}
}
