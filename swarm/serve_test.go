package swarm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tailcast/quicwire"
)

// Who is served, and who is refused.
func TestServing(t *testing.T) {
	sub := func(log quicwire.LogID, stripe, stripes uint8) *quicwire.Sub {
		return &quicwire.Sub{Log: log, Stripe: stripe, Stripes: stripes, Start: quicwire.StartNext, Home: true, Patience: patience}
	}
	tests := map[string]struct {
		cfg  MeshConfig
		from int
		sub  *quicwire.Sub
		want quicwire.Refusal
	}{
		"a stripe":             {MeshConfig{}, 3, sub(tv(today), 1, 2), 0},
		"the catalog":          {MeshConfig{}, 3, sub(catalog(today), 0, 1), 0},
		"no sharing":           {MeshConfig{NoShare: true}, 3, sub(tv(today), 1, 2), quicwire.RefusedUnwilling},
		"another log":          {MeshConfig{}, 3, sub(quicwire.LogID{Epoch: today.ID, Name: "no"}, 1, 2), quicwire.RefusedLog},
		"an epoch long gone":   {MeshConfig{}, 3, sub(tv(yesterday), 1, 2), quicwire.RefusedNotHeld},
		"other stripes":        {MeshConfig{}, 3, sub(tv(today), 1, 4), quicwire.RefusedStripes},
		"from whom we get it":  {MeshConfig{}, 1, sub(tv(today), 1, 2), quicwire.RefusedLoop},
		"who is on the path":   {MeshConfig{}, 4, sub(tv(today), 1, 2), quicwire.RefusedLoop},
		"another streamer":     {MeshConfig{}, 5, sub(catalog(today), 0, 1), 0},
		"too little uplink":    {MeshConfig{Up: 100_000}, 3, sub(tv(today), 1, 2), quicwire.RefusedBusy},
		"no uplink, a catalog": {MeshConfig{Up: 100_000}, 3, sub(catalog(today), 0, 1), 0},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			s := following(t, c.cfg)
			path := []quicwire.ShortID{quicwire.ShortIDOf(key(4)), {7}, quicwire.ShortIDOf(key(1))}
			s.says(1, &quicwire.Path{Log: tv(today), Stripe: 1, Path: path})
			s.joins(3, 10*ms)
			s.joins(4, 10*ms)
			s.opens(SessionUp{Session: 5, Contact: -1, Peer: key(5), Addr: host(5), Role: quicwire.Streamer, Epoch: yesterday})
			all := s.says(c.from, c.sub)
			oks, nos := sentTo[*quicwire.SubOK](all, c.from), sentTo[*quicwire.SubNo](all, c.from)
			if c.want == 0 && (len(oks) != 1 || len(nos) > 0) || c.want != 0 && (len(nos) != 1 || nos[0].Reason != c.want || len(oks) > 0) {
				t.Fatalf("got %+v and %+v, want refusal %d", oks, nos, c.want)
			}
			if c.want == 0 && c.sub.Log == tv(today) && !slices.Equal(oks[0].Path, append(path, quicwire.ShortID{9})) {
				t.Errorf("got path %v, want that of the stripe and ourselves", oks[0].Path)
			}
			if c.want == 0 {
				if stops := of[Stop](s.says(c.from, &quicwire.Unsub{Log: c.sub.Log, Stripe: c.sub.Stripe})); len(stops) != 1 {
					t.Errorf("got %+v for UNSUB, want one Stop", stops)
				}
			}
		})
	}
}

// A path that is full goes no further.
func TestDeepPath(t *testing.T) {
	s := following(t, MeshConfig{})
	s.joins(3, 10*ms)
	var path []quicwire.ShortID
	for i := range byte(quicwire.MaxPath - 1) {
		path = append(path, quicwire.ShortID{1, i})
	}
	s.says(1, &quicwire.Path{Log: tv(today), Stripe: 0, Path: path})
	if nos := sentTo[*quicwire.SubNo](s.subscribe(3, 0, true), 3); len(nos) != 1 || nos[0].Reason != quicwire.RefusedDeep {
		t.Errorf("got %+v, want it refused: we are the last on a path of %d", nos, quicwire.MaxPath)
	}
}

// A subscription begins near what there is, or is refused.
func TestSubFar(t *testing.T) {
	s := following(t, MeshConfig{})
	s.joins(3, 10*ms)
	for from, want := range map[uint64]int{0: 0, 100: 0, 100 + maxAhead: 0, 101 + maxAhead: 1, 1<<40 - 1: 1} {
		all := s.says(3, &quicwire.Sub{Log: tv(today), Stripes: 2, Start: quicwire.StartIndex, From: from})
		if nos := sentTo[*quicwire.SubNo](all, 3); len(nos) != want || len(sentTo[*quicwire.SubOK](all, 3)) != 1-want {
			t.Errorf("from %d: got %d refusals, want %d", from, len(nos), want)
		}
	}
}

// Where a subscription begins: with the newest segment, the next block, or what is missing, if that is not too old.
func TestSubStarts(t *testing.T) {
	for name, c := range map[string]struct {
		sub   quicwire.Sub
		first uint64
		n     int // blocks that are pushed at once
	}{
		"the segment":                 {quicwire.Sub{Start: quicwire.StartSegment}, 201, 10},
		"the next":                    {quicwire.Sub{Start: quicwire.StartNext}, 221, 0},
		"what is missing":             {quicwire.Sub{Start: quicwire.StartIndex, From: 215}, 215, 3},
		"of another stripe":           {quicwire.Sub{Start: quicwire.StartIndex, From: 214}, 215, 3},
		"of before the segment":       {quicwire.Sub{Start: quicwire.StartIndex, From: 181, Patience: 2 * time.Second}, 181, 20},
		"older than it is of use for": {quicwire.Sub{Start: quicwire.StartIndex, From: 101, Patience: 2 * time.Second}, 201, 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := following(t, MeshConfig{})
			s.flow(100, 220) // segments have 100 blocks
			s.joins(3, 10*ms)
			x := c.sub
			x.Log, x.Stripe, x.Stripes, x.Home = tv(today), 1, 2, true
			all := s.says(3, &x)
			for range 40 {
				all = append(all, s.after(TickEvery)...)
			}
			oks := sentTo[*quicwire.SubOK](all, 3)
			if len(oks) != 1 || oks[0].First != c.first {
				t.Fatalf("got %+v, want to begin with %d", oks, c.first)
			}
			var got []uint64
			for _, p := range of[Push](all) {
				if p.Session == 3 {
					got = append(got, p.Blocks...)
				}
			}
			if len(got) != c.n || len(got) > 0 && got[0] != c.first || !slices.IsSorted(got) {
				t.Errorf("pushed %v, want %d from %d on", got, c.n, c.first)
			}
		})
	}
}

// Who subscribes again within two seconds does not get the same blocks again.
func TestSubAgain(t *testing.T) {
	s := following(t, MeshConfig{Up: 50_000_000})
	s.flow(100, 150)
	s.joins(3, 10*ms)
	x := &quicwire.Sub{Log: tv(today), Stripes: 2, Start: quicwire.StartSegment, Home: true, Patience: patience}
	old := func() (n int) { // blocks of before it came that are pushed within a second
		for _, p := range of[Push](append(s.says(3, x), s.flow(s.size(), s.size()+20)...)) {
			if p.Session == 3 && p.Blocks[0] < 150 {
				n++
			}
		}
		return n
	}
	if first, again := old(), old(); first != 25 || again != 0 {
		t.Errorf("pushed %d blocks and then %d, want the 25 of the segment once", first, again)
	}
	s.flow(s.size(), 191)
	s.now = s.now.Add(rewindEvery)
	if later := old(); later != 25 {
		t.Errorf("pushed %d blocks more than 2 s later, want all 25 again: it may have lost them", later)
	}
}

// While a child catches up, new blocks wait for the old ones; nothing comes twice or in the wrong order.
func TestCatchingUp(t *testing.T) {
	s := following(t, MeshConfig{Up: 3_000_000})
	s.flow(100, 150)
	s.joins(3, 10*ms)
	all := s.says(3, &quicwire.Sub{Log: tv(today), Stripes: 2, Start: quicwire.StartSegment, Home: true, Patience: patience})
	var got []uint64
	for _, p := range of[Push](append(all, s.flow(150, 190)...)) {
		if p.Session == 3 {
			got = append(got, p.Blocks...)
		}
	}
	for k := range got {
		if got[k] != uint64(100+2*k) {
			t.Fatalf("pushed %v, want all even blocks in order", got)
		}
	}
	if len(got) != 45 {
		t.Errorf("pushed %d blocks of 45 after a second", len(got))
	}
}

// A newcomer, who can follow nothing before it has the catalog, gets it from us also when others would not.
func TestCatalogForNewcomers(t *testing.T) {
	s := serving(t, 2, 40, MeshConfig{Role: quicwire.Relay}) // as a viewer has fewer sessions
	ask := func(from, to int, urgent bool) (oks int) {
		for n := from; n <= to; n++ {
			all := s.says(n, &quicwire.Sub{Log: catalog(today), Stripes: 1, Urgent: urgent, Patience: patience})
			oks += len(sentTo[*quicwire.SubOK](all, n))
		}
		return oks
	}
	if n := ask(2, 20, false); n != catalogFan {
		t.Errorf("%d get it, want %d", n, catalogFan)
	}
	if n := ask(21, 40, true); n != catalogFan {
		t.Errorf("%d newcomers get it then, want as many more", n)
	}
}

// A REQ is answered with what is held, and a NACK names the rest.
func TestReq(t *testing.T) {
	s := following(t, MeshConfig{})
	s.joins(3, 10*ms)
	req := &quicwire.Req{ID: 7, Log: tv(today), Blocks: []uint64{50, 51, 300}}
	all := s.says(3, req)
	pushes, nacks := of[Push](all), sentTo[*quicwire.Nack](all, 3)
	if len(pushes) != 1 || pushes[0].Request != 7 || pushes[0].Session != 3 || !slices.Equal(pushes[0].Blocks, []uint64{50, 51}) {
		t.Errorf("got %+v, want one answer with 50 and 51", pushes)
	}
	if len(nacks) != 1 || nacks[0].ID != 7 || !slices.Equal(nacks[0].Blocks, []uint64{300}) || nacks[0].Reason != quicwire.RefusedNotHeld || nacks[0].Size != 100 {
		t.Errorf("got %+v, want a NACK for 300 that says we have 100", nacks)
	}
	long := &quicwire.Req{ID: 8, Log: tv(today)}
	for i := range uint64(40) {
		long.Blocks = append(long.Blocks, i)
	}
	all = append(s.says(3, long), s.after(200*ms)...)
	if p, n := of[Push](all), sentTo[*quicwire.Nack](all, 3); len(p) != 1 || len(p[0].Blocks) != mostAnswer || len(n) != 1 || len(n[0].Blocks) != 40-mostAnswer {
		t.Errorf("of 40 blocks %+v are given and %+v are not, want %d and the rest", p, n, mostAnswer)
	}
}

// Who asks for much gets its share, and no more; others are served all the while.
func TestReqShare(t *testing.T) {
	s := serving(t, 2, 12, MeshConfig{Up: 100_000_000})
	got := 0
	for k := range 40 {
		req := &quicwire.Req{ID: uint64(k + 1), Log: tv(today), Orphan: true}
		for i := range uint64(mostReq) {
			req.Blocks = append(req.Blocks, i+20)
		}
		for _, a := range of[Push](append(s.says(3, req), s.after(10*ms)...)) {
			got += len(a.Blocks)
		}
	}
	if most := mostAsked + 10; got < mostAsked-mostReq || got > most { // a tenth of 40 blocks a second
		t.Errorf("one peer got %d of 320 blocks within 0.4 s, want the first %d or so", got, mostAsked)
	}
	all := append(s.says(4, &quicwire.Req{ID: 1, Log: tv(today), Blocks: []uint64{50}}), s.after(10*ms)...)
	if p := of[Push](all); len(p) != 1 {
		t.Errorf("another got %+v, want its block", p)
	}
}

// Who asks for more than a starving node can must go; one that asks for as much as that all the time stays.
func TestReqFlood(t *testing.T) {
	for rate, want := range map[int]bool{reqRate * mostReq: false, 4 * reqRate * mostReq: true} {
		s := serving(t, 2, 3, MeshConfig{})
		s.answers(3)
		var closed []Close
		for range 40 * 10 { // 40 s
			req := &quicwire.Req{ID: 1, Log: tv(today)}
			for i := range uint64(rate / 10) {
				req.Blocks = append(req.Blocks, i)
			}
			closed = append(closed, of[Close](append(s.says(3, req), s.after(100*ms)...))...)
		}
		closed = slices.DeleteFunc(closed, func(c Close) bool { return c.Code != quicwire.CodeFlood })
		if (len(closed) > 0) != want || want && closed[0].Session != 3 {
			t.Errorf("%d blocks a second: got %+v, want session 3 closed: %v", rate, closed, want)
		}
	}
}

// What is clear without a look is said at once: who shares nothing, is busy, or does not know the log. Orphans are served longer.
func TestReqRefused(t *testing.T) {
	want := func(s *script, req *quicwire.Req, why quicwire.Refusal) {
		t.Helper()
		req.ID++
		all := s.says(3, req)
		nacks := sentTo[*quicwire.Nack](all, 3)
		if why == 0 && len(nacks) > 0 || why != 0 && (len(nacks) != 1 || nacks[0].Reason != why || nacks[0].ID != req.ID || len(of[Push](all)) > 0) {
			t.Errorf("got %+v, want NACK %v", nacks, why)
		}
	}
	req := quicwire.Req{Log: quicwire.LogID{Epoch: today.ID, Name: "no"}, Blocks: []uint64{50}}
	s := following(t, MeshConfig{Up: 2_000_000})
	s.joins(3, 10*ms)
	want(s, &req, quicwire.RefusedLog)
	req.Log = tv(today)
	want(s, &req, 0)
	s.m.up.queued = int(s.m.up.rate() * 0.2)
	want(s, &req, quicwire.RefusedBusy)
	req.Orphan = true
	want(s, &req, 0)
	s.m.up.queued = int(s.m.up.rate() * 0.5)
	want(s, &req, quicwire.RefusedBusy)

	s = following(t, MeshConfig{NoShare: true})
	s.joins(3, 10*ms)
	want(s, &req, quicwire.RefusedUnwilling)
}

// An answer that is of no use any more is not sent.
func TestReqDeadline(t *testing.T) {
	s := queueing(t)
	s.says(4, &quicwire.Req{ID: 1, Log: tv(today), Deadline: time.Second, Blocks: []uint64{50}})
	s.now = s.now.Add(1100 * ms)
	if got := s.drain(3); slices.Contains(got, 4) {
		t.Error("an answer was sent after its deadline")
	}
}

// Places are bounded by the uplink; those who say they pass on come before those who do not, and who has sent us much before who has not.
// Half of the places of those who pass on are kept by lot whatever comes.
func TestPreemption(t *testing.T) {
	s := serving(t, 2, 40, MeshConfig{Up: 2_000_000, MaxPeers: 64, Role: quicwire.Relay}) // 4 stripes
	if got := s.m.slots(); got != 4 {
		t.Fatalf("%d slots, want 4", got)
	}
	s.flow(100, 100+uint64(newcomer/gap)) // nobody is new any more
	for n := 2; n <= 5; n++ {
		s.subscribe(n, uint8(n%2), false)
	}
	if got := s.m.used(); got != 4 {
		t.Fatalf("%d places used, want all 4", got)
	}
	all := s.subscribe(6, 0, false)
	if nos := sentTo[*quicwire.SubNo](all, 6); len(nos) != 1 || nos[0].Reason != quicwire.RefusedBusy {
		t.Errorf("got %+v for a fifth leaf, want it refused", nos)
	}
	all = s.subscribe(7, 0, true)
	moved, to := sent[*quicwire.Moved](all)
	if len(moved) != 1 || moved[0].Reason != quicwire.Preempted || to[0]%2 != 0 || len(moved[0].Referrals) == 0 || moved[0].Referrals[0].Node != key(7) {
		t.Errorf("got MOVED %+v to %v, want a leaf of stripe 0 moved, and told of 7", moved, to)
	}
	if oks := sentTo[*quicwire.SubOK](all, 7); len(oks) != 1 {
		t.Errorf("got %+v for one who passes on, want a place", oks)
	}
	if used := s.m.used(); used > s.m.slots() {
		t.Errorf("%d of %d places used", used, s.m.slots())
	}
}

// Rank is what a peer has sent us, lately; what it says of itself does not count. Half of the places go by lot.
func TestRank(t *testing.T) {
	kept, tries := 0, 60
	for k := range tries {
		s := serving(t, 2, 5, MeshConfig{Up: 1_000_000, Seed: uint64(k)})
		s.flow(100, 100+uint64(newcomer/gap))
		s.subscribe(2, 0, true)
		s.subscribe(3, 1, true)
		if s.m.used() != 2 || s.m.slots() != 2 {
			t.Fatalf("%d of %d places used, want both", s.m.used(), s.m.slots())
		}
		if oks := sentTo[*quicwire.SubOK](s.subscribe(4, 0, true), 4); len(oks) > 0 {
			t.Fatal("one who has sent nothing has taken the place of one who has sent nothing")
		}
		for i := range uint64(80) { // 5 has sent us much
			s.block(5, today, i, true)
			s.flow(s.size(), s.size()+1)
		}
		if oks := sentTo[*quicwire.SubOK](s.subscribe(5, 0, true), 5); len(oks) == 0 {
			kept++
		}
	}
	if kept < tries/4 || kept > tries*3/4 {
		t.Errorf("%d of %d places were kept from one who has sent us much, want about half", kept, tries)
	}
}

// Who has sent us much long ago, and nothing since, ranks no higher than who never has.
func TestRankForgets(t *testing.T) {
	s := serving(t, 2, 3, MeshConfig{})
	for i := range uint64(80) {
		s.block(3, today, i, true)
		s.flow(s.size(), s.size()+1)
	}
	p := s.m.peer(3)
	if r := s.m.rank(p, true); r < 1.5 {
		t.Fatalf("rank %.2f of one who has sent as much as the whole stream", r)
	}
	s.flow(s.size(), s.size()+40*20)
	if r := s.m.rank(p, true); r > 0.6 {
		t.Errorf("rank %.2f of one who has sent nothing for 20 s, want 0.5", r)
	}
}

// Above three quarters one subnet has at most a quarter of the places; this machine may have all.
func TestServedSubnets(t *testing.T) {
	for addr, want := range map[string]int{"192.0.2.%d:1": 9, "[2001:db8::%d]:1": 9, "127.0.0.%d:1": 12} {
		s := serving(t, 4, 1, MeshConfig{Up: 2_700_000})
		if got := s.m.slots(); got < 12 || got > 13 {
			t.Fatalf("%d slots, want about 12", got)
		}
		for n := 3; n < 40; n++ {
			s.do(SessionUp{Session: SessionID(n), Contact: -1, Peer: key(n), Addr: fmt.Sprintf(addr, n), Role: quicwire.Viewer, Epoch: today})
			s.says(n, &quicwire.Sub{Log: tv(today), Stripe: uint8(n % 4), Stripes: 4, Start: quicwire.StartNext, Urgent: true})
		}
		if got := s.m.used(); got != want && got != want+1 {
			t.Errorf("%d of %s are served, want %d", got, addr, want)
		}
	}
}

// A catalog goes to sixteen, whatever the uplink.
func TestCatalogFan(t *testing.T) {
	s := serving(t, 2, 40, MeshConfig{})
	got := 0
	for n := 2; n <= 40; n++ {
		got += len(sentTo[*quicwire.SubOK](s.says(n, &quicwire.Sub{Log: catalog(today), Stripes: 1}), n))
	}
	if got != catalogFan {
		t.Errorf("the catalog goes to %d, want %d", got, catalogFan)
	}
}

// A child that is moved gets what it was promised, and no more; then it is no child any more.
func TestMovedChild(t *testing.T) {
	s := serving(t, 2, 4, MeshConfig{})
	s.subscribe(2, 0, true)
	s.flow(100, 110)
	f := s.tv()
	s.m.move(f, 0, f.childOf(0, s.m.peer(2)), quicwire.Shed, nil)
	moved := sentTo[*quicwire.Moved](s.m.out, 2)
	if len(moved) != 1 {
		t.Fatalf("got %+v, want MOVED", moved)
	}
	var got []uint64
	for _, p := range of[Push](s.flow(110, 130)) {
		if p.Session == 2 {
			got = append(got, p.Blocks...)
		}
	}
	if len(got) != 1 || got[0] != moved[0].Until || f.childOf(0, s.m.peer(2)) != nil || !s.m.peer(2).served.IsZero() {
		t.Errorf("pushed %v after MOVED until %d, want that one, and the child gone", got, moved[0].Until)
	}
}

// Who is refused for want of room is told of children that say they have some.
func TestReferrals(t *testing.T) {
	s := serving(t, 2, 12, MeshConfig{Up: 900_000})
	s.subscribe(2, 0, true)
	s.subscribe(3, 0, true)
	s.claims(2, 5, 0, 0)
	s.claims(3, 0, 0, 0)
	nos := sentTo[*quicwire.SubNo](s.subscribe(4, 0, false), 4)
	if len(nos) != 1 || len(nos[0].Referrals) != 1 || nos[0].Referrals[0].Node != key(2) || nos[0].Referrals[0].Addr.String() != host(2) {
		t.Errorf("got %+v, want a referral to 2, who has room", nos)
	}
}

// A child that falls behind is taken to the newest segment.
func TestSkip(t *testing.T) {
	s := serving(t, 2, 4, MeshConfig{Up: 50_000_000})
	s.answers(2)
	s.says(2, &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 2, Start: quicwire.StartNext, Home: true, Patience: time.Second})
	s.full[2] = true
	s.flow(100, 250) // 3.75 s; a segment begins with 200
	s.full[2] = false
	var got []uint64
	all := s.takes(2)
	for _, p := range of[Push](append(all, s.flow(250, 260)...)) {
		if p.Session == 2 {
			got = append(got, p.Blocks...)
		}
	}
	if len(got) == 0 || got[0] < 200 || !slices.IsSorted(got) || s.m.skipped == 0 {
		t.Errorf("pushed %v, skipped %d times; want nothing of before 200", got, s.m.skipped)
	}
}

// The way of a stripe goes on to the children when it changes; who finds itself on it leaves at once, and asks another.
func TestPaths(t *testing.T) {
	s := following(t, MeshConfig{})
	s.joins(3, 10*ms)
	s.subscribe(3, 0, true)
	all := s.says(1, &quicwire.Path{Log: tv(today), Stripe: 0, Path: []quicwire.ShortID{{5}, {6}}})
	paths, to := sent[*quicwire.Path](all)
	if len(paths) != 1 || to[0] != 3 || !slices.Equal(paths[0].Path, []quicwire.ShortID{{5}, {6}, {9}}) {
		t.Errorf("got %+v to %v, want the path with ourselves to session 3", paths, to)
	}
	s.bot(2).first = 100
	all = s.says(1, &quicwire.Path{Log: tv(today), Stripe: 0, Path: []quicwire.ShortID{{5}, {9}, {6}}})
	unsubs := sentTo[*quicwire.Unsub](all, 1)
	if len(unsubs) != 1 || unsubs[0].Stripe != 0 || unsubs[0].Reason != quicwire.UnsubLoop {
		t.Errorf("got %+v, want UNSUB of the stripe because of the loop", unsubs)
	}
	s.wantParent(0, 2)
	s.wantParent(1, 1)
	x := s.blockIn(1, today, 101, false)
	x.Path = []quicwire.ShortID{{5}, {9}}
	s.do(x) // a block may bring a new path, too
	s.wantParent(1, 2)
}

// Who joins by accepting a path with itself in it does not join.
func TestLoopInSubOK(t *testing.T) {
	s := following(t, MeshConfig{})
	s.says(1, &quicwire.Moved{Log: tv(today), Stripe: 0, Retry: time.Minute})
	s.wantParent(0, 2)
	s.bot(2).subs = map[subKey]bool{}
	s.says(2, &quicwire.Moved{Log: tv(today), Stripe: 0, Retry: time.Minute})
	s.joins(3, 10*ms)
	s.claims(3, 20, 0, 0)
	for asked := 0; asked == 0; asked = len(sentTo[*quicwire.Sub](s.after(TickEvery), 3)) {
		if s.now.Sub(s.start) > 10*time.Second {
			t.Fatal("3 is not asked")
		}
	}
	all := s.says(3, &quicwire.SubOK{Log: tv(today), Stripe: 0, First: 100, Path: []quicwire.ShortID{{5}, {9}, {6}}})
	if x := sentTo[*quicwire.Unsub](all, 3); len(x) != 1 || x[0].Reason != quicwire.UnsubLoop || s.parent(0) == 3 {
		t.Errorf("got %+v, parent %d; want UNSUB because of the loop", x, s.parent(0))
	}
}

// Who is refused is referred to those with most room: a relay that has some takes it on.
func TestReferralsToTheWidest(t *testing.T) {
	s := serving(t, 2, 14, MeshConfig{Up: 100_000})
	for n := 2; n <= 13; n++ {
		slots := uint32(1)
		if n == 13 {
			slots = 500
		}
		s.claims(n, slots, 0, 0)
	}
	for range 10 {
		nos := sentTo[*quicwire.SubNo](s.subscribe(14, 0, false), 14)
		if len(nos) != 1 || !slices.ContainsFunc(nos[0].Referrals, func(r quicwire.Referral) bool { return r.Node == key(13) }) {
			t.Fatalf("got %+v, want 13 among those named, which has most room", nos)
		}
	}
}

// A stripe that hangs on nobody here, though others may hang on who asks for it, comes before one that is no home: else a root whose places others
// have in a hurry has none left for its own stripe. Leaves in a hurry, and stripes that do not flow here, move nobody.
func TestRootHasAPlace(t *testing.T) {
	for name, c := range map[string]struct {
		home, feeds, urgent, dry bool
		want                     bool
	}{
		"a home, a leaf":                        {true, false, true, false, true},
		"no home, one on whom others hang":      {false, true, true, false, true},
		"no home, a leaf":                       {false, false, true, false, false},
		"in no hurry":                           {true, false, false, false, false},
		"a home, but nothing flows":             {true, false, true, true, false},
		"no home, one who feeds, nothing flows": {false, true, true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := rooted(t, 1_100_000, false)
			f := s.tv()
			f.stripes[0].home, f.stripes[0].dry = c.home, c.dry
			full := len(s.children(1))
			got := s.urges(10, 0, c.urgent, c.feeds)
			if got != c.want {
				t.Errorf("a place: %v, want %v", got, c.want)
			}
			if moved := len(s.children(1)) < full; moved != c.want {
				t.Errorf("somebody was moved: %v, want %v", moved, c.want)
			}
			if s.m.used() > s.m.slots() {
				t.Errorf("%d of %d places used", s.m.used(), s.m.slots())
			}
		})
	}
}

// Who asks only says that others hang on it: it cannot take places again and again, nor one that a whole stripe hangs on, nor its own.
func TestPlacesAreClearedSeldom(t *testing.T) {
	s := rooted(t, 1_100_000, false)
	for k := range 5 {
		if got := s.urges(10, 0, true, true); got != (k == 0) {
			t.Errorf("a place, asked for the %d. time: %v", k+1, got)
		}
		s.says(10, &quicwire.Unsub{Log: tv(today)})
		s.fill(11, false)
		s.flow(100+uint64(k)*20, 120+uint64(k)*20) // half a second
	}
	s.flow(200, 200+uint64(clearEvery/gap))
	if !s.urges(10, 0, true, true) {
		t.Error("none after a while")
	}
	if s := rooted(t, 600_000, true); s.urges(10, 0, true, true) {
		t.Error("the only child of a stripe that passes it on was moved")
	}
	if s := rooted(t, 600_000, false); s.urges(int(s.children(1)[0]), 0, true, true) {
		t.Error("a child was moved for itself")
	}
}

// rooted is a Mesh with stripe 0 that hangs on nobody, and stripe 1, no home, that has all places: of leaves, or of those that pass it on.
func rooted(t *testing.T, up uint64, home bool) *script {
	t.Helper()
	s := serving(t, 2, 40, MeshConfig{Up: up, MaxPeers: 64, Role: quicwire.Relay})
	s.tv().stripes[0].home, s.tv().stripes[1].home = false, false
	s.fill(2, home)
	return s
}

// fill gives all places that are left to stripe 1, for sessions from n on.
func (s *script) fill(n int, home bool) {
	for ; s.m.used() < s.m.slots(); n++ {
		s.urges(n, 1, true, home)
	}
	for _, c := range s.tv().stripes[1].children {
		c.lot = false
	}
}

// urges lets session n ask for a stripe of tv, and reports whether it gets it.
func (s *script) urges(n int, stripe uint8, urgent, feeds bool) bool {
	all := s.says(n, &quicwire.Sub{Log: tv(today), Stripe: stripe, Stripes: 2, Start: quicwire.StartNext, Urgent: urgent, Home: feeds, Patience: patience})
	return len(sentTo[*quicwire.SubOK](all, n)) == 1
}
