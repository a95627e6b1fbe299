package swarm

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A fakeShelf holds what the test says.
type fakeShelf struct {
	renditions []feed.Rendition
	held       map[quicwire.LogID]Holding
}

func (s *fakeShelf) Notes() feed.Notes                        { return feed.Notes{Channel: []byte("c"), Epoch: []byte("e")} }
func (s *fakeShelf) Renditions(feed.EpochID) []feed.Rendition { return s.renditions }
func (s *fakeShelf) Look(log quicwire.LogID) (Holding, bool) {
	h, ok := s.held[log]
	return h, ok
}

// A script plays events to a Direct.
type script struct {
	t     *testing.T
	d     *Direct
	shelf *fakeShelf
	start time.Time
	now   time.Time
}

var (
	today     = Epoch{1, 200, feed.EpochID{2}}
	yesterday = Epoch{1, 100, feed.EpochID{1}}
)

func tv(e Epoch) quicwire.LogID      { return quicwire.LogID{Epoch: e.ID, Name: "tv"} }
func catalog(e Epoch) quicwire.LogID { return quicwire.LogID{Epoch: e.ID, Name: feed.CatalogLog} }

// newScript begins with n anchors, a0:1, a1:1 and so on, and a rendition tv of two stripes in every epoch.
func newScript(t *testing.T, n int, cfg DirectConfig) *script {
	s := &script{t: t, start: time.Unix(1_800_000_000, 0), shelf: &fakeShelf{
		renditions: []feed.Rendition{{Name: "tv", Stripes: 2}},
		held:       make(map[quicwire.LogID]Holding),
	}}
	for _, e := range []Epoch{today, yesterday} {
		s.shelf.held[tv(e)] = Holding{Stripes: 2}
		s.shelf.held[catalog(e)] = Holding{Stripes: 1}
	}
	for i := range n {
		cfg.Anchors = append(cfg.Anchors, feed.Anchor{Addr: fmt.Sprintf("a%d:1", i)})
	}
	if cfg.MaxPeers == 0 {
		cfg.MaxPeers = 4
	}
	cfg.Self, cfg.Shelf = quicwire.ShortID{9}, s.shelf
	s.d, s.now = NewDirect(cfg), s.start
	return s
}

// at moves the clock to so long after the start, with a Tick each TickEvery, and returns the actions of these.
func (s *script) at(d time.Duration) (all []Action) {
	for s.now.Before(s.start.Add(d)) {
		s.now = s.now.Add(min(TickEvery, s.start.Add(d).Sub(s.now)))
		all = append(all, s.do(Tick{})...)
	}
	return all
}

func (s *script) do(e Event) []Action { return slices.Clone(s.d.Handle(e, s.now)) }

// key returns the node key of a peer; its number is that of its session.
func key(n int) feed.PublicKey { return feed.PublicKey{byte(n), 1} }

// up opens session n with an anchor, or from outside with -1.
func (s *script) up(n, anchor int, e Epoch, rtt time.Duration) []Action {
	var all []Action
	if e.Compare(s.d.epoch) > 0 {
		all = s.do(EpochKnown{e})
	}
	return append(all, s.do(SessionUp{
		Session: SessionID(n), Contact: anchor, Peer: key(n), Addr: fmt.Sprintf("a%d:1", anchor), Role: quicwire.Relay, Epoch: e, RTT: rtt,
	})...)
}

// says lets session n send a message.
func (s *script) says(n int, m quicwire.Message) []Action {
	return s.do(Heard{Session: SessionID(n), Message: m, Proved: true})
}

// status lets session n claim, and prove, sizes for the catalog and tv.
func (s *script) status(n int, e Epoch, catalogSize, tvSize uint64) []Action {
	all := s.says(n, &quicwire.Status{Log: tv(e), Size: tvSize, Lags: []time.Duration{0, 0}})
	return append(all, s.says(n, &quicwire.Status{Log: catalog(e), Size: catalogSize, Lags: []time.Duration{0}})...)
}

// push brings blocks [from, to) of tv from session n.
func (s *script) push(n int, e Epoch, from, to uint64) (all []Action) {
	for i := from; i < to; i++ {
		all = append(all, s.block(n, e, i, false)...)
	}
	return all
}

func (s *script) block(n int, e Epoch, i uint64, repaired bool) []Action {
	return s.do(BlockIn{
		Session: SessionID(n), Log: tv(e), Index: i, Kind: feed.Media, Back: uint32(i % 100), Wall: s.now, Fresh: true, Repaired: repaired,
		Path: []quicwire.ShortID{{byte(n)}},
	})
}

// of returns the actions of one type.
func of[A Action](all []Action) (list []A) {
	for _, a := range all {
		if a, ok := a.(A); ok {
			list = append(list, a)
		}
	}
	return list
}

// sent returns the messages of one type, with whom they go to.
func sent[M quicwire.Message](all []Action) (list []M, to []SessionID) {
	for _, a := range of[Send](all) {
		if m, ok := a.Message.(M); ok {
			list, to = append(list, m), append(to, a.Session)
		}
	}
	return list, to
}

// wantSubs checks that the Subs among the actions are for so many stripes, all to one session.
func wantSubs(t *testing.T, all []Action, n int, session SessionID) []*quicwire.Sub {
	t.Helper()
	list, to := sent[*quicwire.Sub](all)
	if len(list) != n || slices.ContainsFunc(to, func(id SessionID) bool { return id != session }) {
		t.Fatalf("got SUBs %+v to sessions %v; want %d to session %d", list, to, n, session)
	}
	return list
}

var errNoAnswer = &quicwire.Error{Code: quicwire.CodeLost, Reason: "no answer"}

// All anchors are dialled at once, eight at most; the pauses between dials double up to 4 s, with a little chance.
func TestDialsAndPauses(t *testing.T) {
	s := newScript(t, 12, DirectConfig{})
	dials := of[Dial](s.do(Tick{}))
	if len(dials) != maxDials || dials[0].Addr != "a0:1" {
		t.Fatalf("got %+v first, want the first %d anchors", dials, maxDials)
	}
	if more := of[Dial](s.do(DialFailed{0, errNoAnswer})); len(more) != 1 || more[0].Addr != "a8:1" {
		t.Errorf("after one has failed: got %+v, want the next anchor", more)
	}

	s = newScript(t, 1, DirectConfig{})
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
	s := newScript(t, 1, DirectConfig{})
	s.do(Tick{})
	s.up(1, 0, today, 0)
	s.do(SessionDown{1, errNoAnswer})
	dials := 0
	for s.now.Sub(s.start) < 15*time.Second {
		if len(of[Dial](s.do(Tick{}))) > 0 {
			dials++
			s.do(DialFailed{0, errNoAnswer})
		}
		s.now = s.now.Add(10 * time.Millisecond)
	}
	if dials < 45 || dials > 60 {
		t.Errorf("got %d dials in 15 s, want one each 250 to 312 ms", dials)
	}
	late := 0
	for s.now.Sub(s.start) < 75*time.Second {
		if len(of[Dial](s.do(Tick{}))) > 0 {
			late++
			s.do(DialFailed{0, errNoAnswer})
		}
		s.now = s.now.Add(10 * time.Millisecond)
	}
	if late < 12 || late > 17 {
		t.Errorf("got %d dials in the minute after, want one each 4 to 5 s", late)
	}
}

// Who is chosen first, and when.
func TestFirstParent(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		play func(s *script) []Action
		want SessionID
	}{
		"the only one, at once": {func(s *script) []Action {
			s.do(DialFailed{1, errNoAnswer})
			return s.up(1, 0, today, 0)
		}, 1},
		"the first, if no second comes": {func(s *script) []Action {
			if all := s.up(1, 0, today, 0); len(of[Send](all)) > 1 {
				s.t.Errorf("got %+v at once, want to wait for a second HELLO", all)
			}
			if early, _ := sent[*quicwire.Sub](s.at(helloWait - TickEvery)); len(early) > 0 {
				s.t.Errorf("got %+v within 250 ms", early)
			}
			return s.at(helloWait)
		}, 1},
		"the nearer": {func(s *script) []Action {
			s.up(1, 0, today, 80*ms)
			s.up(2, 1, today, 20*ms)
			s.status(1, today, 50, 2000)
			return s.status(2, today, 51, 2040)
		}, 2},
		"the first in the link, if both are near": {func(s *script) []Action {
			s.up(2, 1, today, 20*ms)
			s.status(2, today, 51, 2040)
			s.up(1, 0, today, 21*ms)
			return s.status(1, today, 50, 2000)
		}, 1},
		"the one that is further, though not nearer": {func(s *script) []Action {
			s.up(1, 0, today, 80*ms)
			s.up(2, 1, today, 20*ms)
			s.status(2, today, 9, 360)
			return s.status(1, today, 50, 2000)
		}, 1},
		"the one that flows, though not nearer": {func(s *script) []Action {
			s.up(1, 0, today, 80*ms)
			s.up(2, 1, today, 20*ms)
			s.says(2, &quicwire.Status{Log: catalog(today), Size: 50, Lags: []time.Duration{quicwire.NoLag}})
			return s.status(1, today, 50, 2000)
		}, 1},
		"today's, though yesterday's is nearer": {func(s *script) []Action {
			s.up(1, 0, yesterday, 1*ms)
			s.status(1, yesterday, 5000, 100_000)
			return append(s.up(2, 1, today, 80*ms), s.at(helloWait)...)
		}, 2},
		"today's, though yesterday's comes later": {func(s *script) []Action {
			s.up(2, 1, today, 80*ms)
			s.up(1, 0, yesterday, 1*ms)
			return s.at(helloWait)
		}, 2},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, 2, DirectConfig{})
			s.do(Tick{})
			list := wantSubs(t, c.play(s), 3, c.want)
			if list[0].Log != catalog(today) || list[1].Log != tv(today) || list[1].Start != quicwire.StartSegment {
				t.Errorf("got %+v, want the catalog first, and the newest segment", list)
			}
		})
	}
}

// following returns a script in which session 1 is the parent and has pushed tv up to block 100, and session 2 could take over.
func following(t *testing.T, cfg DirectConfig) *script {
	s := newScript(t, 2, cfg)
	s.do(Tick{})
	s.up(1, 0, today, 10*time.Millisecond)
	s.up(2, 1, today, 90*time.Millisecond)
	s.status(1, today, 1, 1)
	s.status(2, today, 1, 1)
	s.flow(1, 0, 100)
	return s
}

// flow lets session n push blocks [from, to) of tv, one each 25 ms, and the catalog's heartbeat.
func (s *script) flow(n int, from, to uint64) (all []Action) {
	for i := from; i < to; i++ {
		if i%40 == 0 {
			s.heartbeat(n, i/40)
		}
		all = append(all, s.block(n, today, i, false)...)
		s.now = s.now.Add(25 * time.Millisecond)
		all = append(all, s.do(Tick{})...)
	}
	return all
}

func (s *script) heartbeat(n int, i uint64) {
	s.do(BlockIn{Session: SessionID(n), Log: catalog(today), Index: i, Kind: feed.Heartbeat, Back: uint32(i), Wall: s.now, Fresh: true})
}

// after returns what ticks do until so long from now; the catalog goes on.
func (s *script) after(d time.Duration) []Action { return s.at(s.now.Sub(s.start) + d) }

// A parent whose session ends is replaced at once, from where it stopped.
func TestParentLost(t *testing.T) {
	s := following(t, DirectConfig{})
	all := s.do(SessionDown{1, errNoAnswer})
	list := wantSubs(t, all, 3, 2)
	if list[1].Start != quicwire.StartIndex || list[1].From != 100 || list[2].From != 101 {
		t.Errorf("got %+v, want tv from blocks 100 and 101 on", list)
	}
	s.flow(2, 100, 140)
	if all := s.up(3, 0, today, 10*time.Millisecond); len(of[Send](all)) > 2 {
		t.Errorf("the former parent is back: got %+v, want to stay with the new one", all)
	}
}

// A parent that does not deliver is asked; it is left if it keeps blocks to itself, or if it has none and another has.
func TestOverdueParent(t *testing.T) {
	pong := func(next uint64) *quicwire.Pong { return &quicwire.Pong{Log: tv(today), Next: next, Flows: true} }
	tests := map[string]struct {
		parent, other *quicwire.Pong // nil: no answer
		left          bool
		closed        bool
		earliest      time.Duration // since the last block
		latest        time.Duration
	}{
		"has more":                    {pong(105), pong(105), true, false, leaveLiar, 1500 * time.Millisecond},
		"starves, the other does not": {pong(100), pong(105), true, false, leaveHungry, 1800 * time.Millisecond},
		"starves, so does the other":  {pong(100), pong(100), false, false, 0, 0},
		"does not answer":             {nil, pong(105), true, false, leaveHungry, 1800 * time.Millisecond},
		"nobody answers":              {nil, nil, true, true, deadAfter, 3500 * time.Millisecond},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			s := following(t, DirectConfig{})
			last := s.now
			var closed []Close
			left := false
			for s.now.Sub(last) < 4*time.Second && !left {
				all := s.after(TickEvery)
				closed = append(closed, of[Close](all)...)
				unsubs, _ := sent[*quicwire.Unsub](all)
				left = len(unsubs) > 0 || len(closed) > 0
				pings, to := sent[*quicwire.Ping](all)
				for i, id := range to {
					if answer := []*quicwire.Pong{c.parent, c.other}[id-1]; answer != nil {
						answer.ID = pings[i].ID
						s.says(int(id), answer)
					}
				}
			}
			if got := s.now.Sub(last); left != c.left || left && (got < c.earliest || got > c.latest) {
				t.Errorf("left: %v after %v; want %v, after %v to %v", left, got, c.left, c.earliest, c.latest)
			}
			if (len(closed) > 0) != c.closed {
				t.Errorf("closed %+v, want that: %v", closed, c.closed)
			}
		})
	}
}

// A parent that delivers the past only is left for one that proves to be further.
func TestParentBehind(t *testing.T) {
	s := following(t, DirectConfig{})
	var all []Action
	for i := range uint64(5) {
		s.status(2, today, 60+i, 2400+40*i)
		all = append(all, s.flow(1, 100+40*i, 140+40*i)...)
	}
	wantSubs(t, all, 3, 2)
}

// A parent that withholds a stripe is left, although the stripe comes by repair.
func TestUnfairParent(t *testing.T) {
	s := following(t, DirectConfig{})
	var all []Action
	for i := uint64(100); i < 400; i += 2 {
		s.status(2, today, i/40, i)
		if i%40 == 0 {
			s.heartbeat(1, i/40)
		}
		all = append(all, s.block(1, today, i, false)...)
		all = append(all, s.block(2, today, i+1, true)...)
		all = append(all, s.after(TickEvery)...)
	}
	wantSubs(t, all, 3, 2)
}

// A source that falls silent is no reason to run from one parent to the other.
func TestSilenceIsNoFault(t *testing.T) {
	s := following(t, DirectConfig{})
	s.status(1, today, 3, 100)
	s.status(2, today, 3, 100)
	var all []Action
	for range 100 {
		next := s.after(TickEvery)
		pings, to := sent[*quicwire.Ping](next)
		for i, id := range to {
			next = append(next, s.says(int(id), &quicwire.Pong{ID: pings[i].ID, Log: tv(today), Next: 100})...)
		}
		all = append(all, next...)
	}
	pings, _ := sent[*quicwire.Ping](all)
	unsubs, _ := sent[*quicwire.Unsub](all)
	if len(pings) < 10 || len(pings) > 30 || len(unsubs) > 0 {
		t.Errorf("got %d PINGs and %d UNSUBs in 5 s; want some, and none", len(pings), len(unsubs))
	}
	if state, why := s.d.State(s.now); state != Stalled || why != "connected to the relay a0:1, which itself receives nothing" {
		t.Errorf("got %v %q, want stalled, because the relay receives nothing", state, why)
	}
}

// A higher epoch wins at any time; the old one is followed until the new one delivers.
func TestNewEpoch(t *testing.T) {
	s := newScript(t, 2, DirectConfig{})
	s.do(Tick{})
	s.up(1, 0, yesterday, 0)
	s.up(2, 1, yesterday, 0)
	wantSubs(t, s.at(helloWait), 3, 1)
	s.push(1, yesterday, 0, 50)

	all := append(s.do(NotesHeard{Session: 2, Epoch: today}), s.do(EpochKnown{today})...)
	wantSubs(t, all, 3, 2)
	if unsubs, _ := sent[*quicwire.Unsub](all); len(unsubs) > 0 {
		t.Errorf("got %+v before the new epoch delivers", unsubs)
	}
	if _, to := sent[*quicwire.Notes](all); !slices.Contains(to, 1) {
		t.Errorf("the new notes went to %v, want session 1 among them", to)
	}
	unsubs, to := sent[*quicwire.Unsub](s.push(2, today, 0, 1))
	if len(unsubs) != 3 || to[0] != 1 || unsubs[0].Log != catalog(yesterday) {
		t.Errorf("got %+v to %v with the first block; want the old epoch given up", unsubs, to)
	}
	if all := append(s.do(NotesHeard{Session: 1, Epoch: yesterday}), s.do(EpochKnown{yesterday})...); len(of[Send](all)) > 0 {
		t.Errorf("got %+v for old notes, want nothing", all)
	}
}

// Holes are asked for after some patience, once, of one peer after the other, and given up in the end.
func TestHoles(t *testing.T) {
	s := following(t, DirectConfig{})
	s.status(2, today, 3, 110)
	s.push(1, today, 105, 106)
	if reqs, _ := sent[*quicwire.Req](s.after(repairAfter - TickEvery)); len(reqs) > 0 {
		t.Fatalf("got %+v within 150 ms", reqs)
	}
	want := func(all []Action, to SessionID, blocks ...uint64) {
		t.Helper()
		reqs, ids := sent[*quicwire.Req](all)
		if len(reqs) != 1 || ids[0] != to || !slices.Equal(reqs[0].Blocks, blocks) {
			t.Fatalf("got %+v to %v; want one for %v to %d", reqs, ids, blocks, to)
		}
	}
	want(s.after(TickEvery), 1, 100, 101, 102, 103, 104)
	s.block(1, today, 102, true)
	s.block(1, today, 103, false)
	s.says(1, &quicwire.Nack{Log: tv(today), Blocks: []uint64{100, 101}})
	want(s.after(repairEvery), 2, 100, 101)
	want(s.after(repairTimeout-repairEvery), 2, 104)
	var late []*quicwire.Req
	for range 60 {
		all := s.after(TickEvery)
		reqs, _ := sent[*quicwire.Req](all)
		late = append(late, reqs...)
	}
	if len(late) < 4 || len(late) > 14 {
		t.Errorf("got %d REQs in 3 s for three blocks that nobody has", len(late))
	}
	s.after(giveUpAfter)
	if b := s.d.blocks; b.Missed != 3 || b.Repaired != 1 || len(s.d.run.follow(tv(today)).holes) != 0 {
		t.Errorf("got %+v, want 3 missed, 1 repaired, no holes left", b)
	}
}

// However large a hole, what is asked for and remembered is bounded.
func TestHolesAreBounded(t *testing.T) {
	s := following(t, DirectConfig{})
	f := s.d.run.follow(tv(today))
	s.push(1, today, 5000, 5001)
	if len(f.holes) != maxHoles || s.d.blocks.Missed != 4900-maxHoles {
		t.Errorf("got %d holes, %d missed; want %d, %d", len(f.holes), s.d.blocks.Missed, maxHoles, 4900-maxHoles)
	}
	asked := 0
	for _, a := range of[Send](s.after(repairAfter + repairEvery)) {
		if m, ok := a.Message.(*quicwire.Req); ok {
			asked += len(m.Blocks)
		}
	}
	if asked != maxAsked {
		t.Errorf("asked for %d blocks at a time, want %d", asked, maxAsked)
	}
}

// After a long silence nobody wants what was missed.
func TestLongSilence(t *testing.T) {
	s := following(t, DirectConfig{})
	s.after(giveUpAfter + time.Second)
	s.do(SessionDown{1, errNoAnswer})
	s.push(2, today, 502, 504)
	if f := s.d.run.follow(tv(today)); len(f.holes) != 2 || f.top != 504 {
		t.Errorf("got %d holes, top %d; want 500 and 501 only, as the segment begins at 500", len(f.holes), f.top)
	}
}

// Who is served, and who is refused.
func TestServing(t *testing.T) {
	sub := func(log quicwire.LogID, stripe, stripes uint8) *quicwire.Sub {
		return &quicwire.Sub{Log: log, Stripe: stripe, Stripes: stripes}
	}
	tests := map[string]struct {
		cfg  DirectConfig
		from int
		sub  *quicwire.Sub
		want quicwire.Refusal
	}{
		"a stripe":            {DirectConfig{}, 3, sub(tv(today), 1, 2), 0},
		"the catalog":         {DirectConfig{}, 3, sub(catalog(today), 0, 1), 0},
		"no sharing":          {DirectConfig{NoShare: true}, 3, sub(tv(today), 1, 2), quicwire.RefusedUnwilling},
		"another log":         {DirectConfig{}, 3, sub(quicwire.LogID{Epoch: today.ID, Name: "no"}, 1, 2), quicwire.RefusedLog},
		"other stripes":       {DirectConfig{}, 3, sub(tv(today), 1, 4), quicwire.RefusedStripes},
		"from whom we get it": {DirectConfig{}, 1, sub(tv(today), 1, 2), quicwire.RefusedLoop},
		"no room":             {DirectConfig{MaxPeers: 1}, 3, sub(tv(today), 1, 2), quicwire.RefusedBusy},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			s := following(t, c.cfg)
			for i := range uint8(2) {
				s.says(1, &quicwire.SubOK{Log: tv(today), Stripe: i, Path: []quicwire.ShortID{{7}, quicwire.ShortIDOf(key(1))}})
			}
			s.up(3, -1, today, 0)
			s.up(4, -1, today, 0)
			if c.cfg.MaxPeers == 1 {
				s.says(4, sub(tv(today), 0, 2))
			}
			all := s.says(c.from, c.sub)
			serves, refusals := of[Serve](all), []*quicwire.SubNo(nil)
			refusals, _ = sent[*quicwire.SubNo](all)
			if c.want == 0 && (len(serves) != 1 || len(refusals) > 0) || c.want != 0 && (len(refusals) != 1 || refusals[0].Reason != c.want) {
				t.Fatalf("got %+v, want refusal %d", all, c.want)
			}
			if c.want == 0 && c.sub.Log == tv(today) {
				if path := serves[0].OK.Path; len(path) != 3 || path[2] != (quicwire.ShortID{9}) {
					t.Errorf("got path %v, want that of the stripe and ourselves", path)
				}
				if all := s.says(3, &quicwire.Unsub{Log: c.sub.Log, Stripe: 1}); len(of[Stop](all)) != 1 {
					t.Errorf("got %+v for UNSUB, want Stop", all)
				}
			}
		})
	}
}

// Who finds itself on the path of a stripe leaves; others pass the new path on.
func TestPaths(t *testing.T) {
	s := following(t, DirectConfig{})
	s.up(3, -1, today, 0)
	s.says(3, &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 2})
	all := s.says(1, &quicwire.Path{Log: tv(today), Stripe: 0, Path: []quicwire.ShortID{{5}, {6}}})
	paths, to := sent[*quicwire.Path](all)
	if len(paths) != 1 || to[0] != 3 || len(paths[0].Path) != 3 || len(of[Reroute](all)) != 1 {
		t.Errorf("got %+v, want the path with ourselves to session 3 and its blocks", all)
	}
	all = s.says(1, &quicwire.Path{Log: tv(today), Stripe: 0, Path: []quicwire.ShortID{{5}, {9}, {6}}})
	unsubs, to := sent[*quicwire.Unsub](all)
	if len(unsubs) != 3 || to[0] != 1 || unsubs[0].Reason != quicwire.UnsubLoop {
		t.Errorf("got %+v to %v, want UNSUBs because of the loop", unsubs, to)
	}
	wantSubs(t, all, 3, 2)
}

// A Req is answered where the log may be read: not here. What is clear without that is said at once.
func TestReq(t *testing.T) {
	s := following(t, DirectConfig{})
	m := &quicwire.Req{ID: 7, Log: tv(today), Blocks: []uint64{50, 51}}
	if repairs := of[Repair](s.says(2, m)); len(repairs) != 1 || !slices.Equal(repairs[0].Req.Blocks, m.Blocks) {
		t.Errorf("got %+v, want the REQ as it came", repairs)
	}
	wantNack := func(all []Action, why quicwire.Refusal) {
		t.Helper()
		if nacks, _ := sent[*quicwire.Nack](all); len(all) != 1 || len(nacks) != 1 || nacks[0].ID != 7 || nacks[0].Reason != why {
			t.Errorf("got %+v, want NACK %v", all, why)
		}
	}
	m.Log.Name = "no"
	wantNack(s.says(2, m), quicwire.RefusedLog)
	m.Log = tv(today)
	wantNack(following(t, DirectConfig{NoShare: true}).says(2, m), quicwire.RefusedUnwilling)
}

// What an earlier run has left is no hole: it is looked up elsewhere, before anybody is asked for it.
func TestLeftOnDisk(t *testing.T) {
	s := newScript(t, 1, DirectConfig{})
	s.shelf.held[tv(today)] = Holding{Head: feed.Head{Size: 104}, Stripes: 2}
	s.up(1, 0, today, 0)
	lookups := of[LookUp](s.push(1, today, 106, 107))
	if len(lookups) != 1 || !slices.Equal(lookups[0].Blocks, []uint64{100, 101, 102, 103}) {
		t.Fatalf("got %+v, want what is below 104 looked up", lookups)
	}
	s.do(Found{tv(today), []uint64{100, 101, 103}})
	if got := s.d.run.follow(tv(today)).list(); !slices.Equal(got, []uint64{102, 104, 105}) {
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

// A Pong that answers nothing sets no clock, and proves no life.
func TestStrayPong(t *testing.T) {
	s := following(t, DirectConfig{})
	p := s.d.peer(2)
	before := p.offset
	s.says(2, &quicwire.Pong{ID: 5, Log: tv(today), Wall: s.now.Add(time.Hour)})
	if p.offset != before || !p.pong.at.IsZero() {
		t.Errorf("offset %v and %+v by a PONG that answers no PING", p.offset, p.pong)
	}
	pings, _ := sent[*quicwire.Ping](s.after(2 * time.Second))
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

// Whom to ask for a missing block: what strangers claim counts least, what they did counts.
func TestHolders(t *testing.T) {
	s := following(t, DirectConfig{})
	for n := 3; n < 7; n++ {
		s.up(n, -1, today, 0)
		s.says(n, &quicwire.Status{Log: tv(today), Size: 1 << 30})
	}
	s.says(2, &quicwire.Status{Log: tv(today), Size: 200})
	s.d.peer(5).given = 3
	s.status(6, today, 9, 1<<30)
	f := s.d.run.follow(tv(today))
	for i, want := range []SessionID{1, 2, 5, 6, 3, 4} {
		if got := s.d.holder(f, 150, i); got.id != want {
			t.Errorf("try %d: session %d, want %d", i, got.id, want)
		}
	}

	// A NACK is no gift, and neither is a block that we had.
	s.push(1, today, 102, 103)
	p := s.d.peer(1)
	s.after(repairAfter)
	p.silent = 1
	s.says(1, &quicwire.Nack{Log: tv(today), Blocks: []uint64{100}})
	s.do(BlockIn{Session: 1, Log: tv(today), Index: 102, Kind: feed.Media, Wall: s.now, Repaired: true})
	if p.silent != 1 {
		t.Errorf("silent %d after a NACK and a duplicate, want 1", p.silent)
	}
	if s.block(1, today, 101, true); p.silent != 0 || p.given != 1 {
		t.Errorf("silent %d, given %d after a block that was asked for; want 0 and 1", p.silent, p.given)
	}
}

// Who takes nothing gives its place to a newcomer; who takes something keeps it.
func TestIdleChildren(t *testing.T) {
	s := following(t, DirectConfig{MaxPeers: 2})
	sub := &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 2}
	for n := 3; n < 6; n++ {
		s.up(n, -1, today, 0)
	}
	s.says(3, sub)
	s.says(4, sub)
	at := uint64(100)
	for range 12 {
		s.flow(1, at, at+40)
		at += 40
		s.do(Fed{3})
		if nos, _ := sent[*quicwire.SubNo](s.says(5, sub)); len(nos) == 0 {
			break
		}
	}
	moved, to := sent[*quicwire.Moved](s.d.out)
	if len(moved) != 1 || to[0] != 4 || moved[0].Reason != quicwire.Redrawn || len(of[Serve](s.d.out)) != 1 {
		t.Errorf("got %+v, want 4 moved and 5 served", s.d.out)
	}
	if waited := s.now.Sub(s.d.peer(4).since); waited < idleChild || waited > idleChild+2*time.Second {
		t.Errorf("after %v, want %v", waited, idleChild)
	}
}

// Above three quarters one subnet has at most a quarter of the places; this machine may have all.
func TestServedSubnets(t *testing.T) {
	for addr, want := range map[string]int{"192.0.2.%d:1": 6, "[2001:db8::%d]:1": 6, "127.0.0.%d:1": 8} {
		s := following(t, DirectConfig{MaxPeers: 8})
		for n := 3; n < 13; n++ {
			s.do(SessionUp{Session: SessionID(n), Contact: -1, Peer: key(n), Addr: fmt.Sprintf(addr, n), Role: quicwire.Viewer, Epoch: today})
			s.says(n, &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 2})
		}
		if got := s.d.served(); got != want {
			t.Errorf("%d of %s are served, want %d", got, addr, want)
		}
	}
}

// A subscription begins near what there is, or is refused.
func TestSubFar(t *testing.T) {
	s := following(t, DirectConfig{})
	s.shelf.held[tv(today)] = Holding{Head: feed.Head{Size: 100}, Stripes: 2}
	for from, want := range map[uint64]int{0: 0, 100: 0, 100 + maxAhead: 0, 101 + maxAhead: 1, 1<<40 - 1: 1} {
		all := s.says(2, &quicwire.Sub{Log: tv(today), Stripes: 2, Start: quicwire.StartIndex, From: from})
		if nos, _ := sent[*quicwire.SubNo](all); len(nos) != want || len(of[Serve](all)) != 1-want {
			t.Errorf("from %d: got %+v, want %d refusals", from, all, want)
		}
	}
}

// A Pong says how the stripe does here.
func TestPong(t *testing.T) {
	s := following(t, DirectConfig{})
	s.push(1, today, 100, 101)
	s.push(1, today, 103, 104)
	s.shelf.held[tv(today)] = Holding{Head: feed.Head{Size: 104}, Stripes: 2}
	ask := func() *quicwire.Pong {
		list, _ := sent[*quicwire.Pong](s.says(2, &quicwire.Ping{ID: 3, Log: tv(today), Stripe: 0, Index: 100}))
		return list[0]
	}
	if got := ask(); got.ID != 3 || !got.Flows || !got.Has || got.Next != 101 {
		t.Errorf("got %+v, want ID 3, flowing, block 100 held, next 101", got)
	}
	s.after(time.Second)
	if got := ask(); got.Flows {
		t.Errorf("got %+v after a second of silence, want not flowing", got)
	}
}

// Sessions that come and go leave nothing behind, and do not make us dial more.
func TestFlapping(t *testing.T) {
	s := newScript(t, 2, DirectConfig{})
	s.do(Tick{})
	dials := 0
	for i := range 500 {
		n := i + 1
		s.up(n, 0, today, 0)
		all := s.after(helloWait + TickEvery)
		s.up(n+1000, -1, today, 0)
		s.says(n+1000, &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 2})
		s.push(n, today, uint64(10*i), uint64(10*i+10))
		all = append(all, s.do(SessionDown{SessionID(n), errNoAnswer})...)
		s.do(SessionDown{SessionID(n + 1000), errNoAnswer})
		for len(of[Dial](all)) == 0 {
			all = append(all, s.after(TickEvery)...)
		}
		dials += len(of[Dial](all))
		s.do(DialFailed{1, errNoAnswer})
	}
	if len(s.d.peers) != 0 || s.d.run.parent != nil || s.d.served() != 0 || len(s.d.shunned) != 0 {
		t.Errorf("something is left of sessions that ended: %d peers", len(s.d.peers))
	}
	if dials > 1100 {
		t.Errorf("got %d dials of two anchors, want about one for each session and for each pause", dials)
	}
}

// Whoever misbehaves is closed with a reason and shunned, as an anchor and when it comes back by itself.
func TestShunned(t *testing.T) {
	s := following(t, DirectConfig{})
	all := s.do(BlockBad{Session: 1, Log: tv(today), Index: 100, Err: feed.ErrPayload})
	closed := of[Close](all)
	if len(closed) != 1 || closed[0].Code != quicwire.CodeBadBlock || closed[0].Reason == "" {
		t.Errorf("got %+v, want session 1 closed for a bad block", closed)
	}
	wantSubs(t, all, 3, 2)
	s.do(SessionDown{1, &quicwire.Error{Code: quicwire.CodeBadBlock}})
	if dials := of[Dial](s.after(shunTime - time.Second)); len(dials) > 0 {
		t.Errorf("dialled again: %+v", dials)
	}
	if dials := of[Dial](s.after(2 * time.Second)); len(dials) != 1 {
		t.Errorf("got %+v after 30 s, want one dial", dials)
	}

	s = following(t, DirectConfig{})
	s.do(BlockBad{Session: 1, Log: tv(today), Err: feed.ErrSignature})
	s.do(SessionDown{1, nil})
	all = s.do(SessionUp{Session: 5, Contact: -1, Peer: key(1), Addr: "elsewhere:1", Epoch: today})
	if closed := of[Close](all); len(closed) != 1 || closed[0].Code != quicwire.CodeShunned {
		t.Errorf("it came back by itself: got %+v, want it closed", all)
	}
}

// testFault is a fault of an epoch as Direct sees it: it verifies nothing.
func testFault(proved bool) *feed.Fault {
	f := &feed.Fault{Origin: feed.Origin(key(1), today.ID, "tv"), Index: 100, Cause: feed.ErrFork}
	if proved {
		f.Proof = &feed.ForkProof{Origin: f.Origin, A: feed.Head{Size: 4}, B: feed.Head{Size: 4}}
	}
	return f
}

// A signer who breaks a rule ends his epoch, not the session that brought the proof.
func TestCondemned(t *testing.T) {
	s := following(t, DirectConfig{})
	all := append(s.do(Condemned{today, testFault(true)}), s.do(BlockBad{Session: 1, Log: tv(today), Index: 100, Err: testFault(true), Signer: true})...)
	if unsubs, _ := sent[*quicwire.Unsub](all); len(unsubs) != 3 || len(of[Close](all)) > 0 {
		t.Errorf("got %+v, want the subscriptions ended and the session kept", all)
	}
	if all := s.after(5 * time.Second); len(of[Close](all)) > 0 {
		t.Errorf("got %+v later, want the session kept", of[Close](all))
	}
	if subs, _ := sent[*quicwire.Sub](s.after(5 * time.Second)); len(subs) > 0 {
		t.Errorf("got %+v, want nothing of the epoch asked for", subs)
	}
	if state, why := s.d.State(s.now); state != Stalled || why == "" {
		t.Errorf("got %v %q, want stalled with a reason", state, why)
	}
	tomorrow := Epoch{1, 300, feed.EpochID{3}}
	s.shelf.held[tv(tomorrow)], s.shelf.held[catalog(tomorrow)] = Holding{Stripes: 2}, Holding{Stripes: 1}
	wantSubs(t, append(s.do(NotesHeard{Session: 1, Epoch: tomorrow}), s.do(EpochKnown{tomorrow})...), 3, 1)
}

// An epoch that is known to be condemned is not even begun, and the epoch before goes on only as far as it went.
func TestCondemnedBeforeItIsKnown(t *testing.T) {
	s := newScript(t, 2, DirectConfig{})
	s.do(Condemned{today, testFault(true)})
	s.do(Tick{})
	all := append(s.up(1, 0, today, 10*time.Millisecond), s.status(1, today, 1, 1)...)
	if subs, _ := sent[*quicwire.Sub](append(all, s.after(5*time.Second)...)); len(subs) > 0 {
		t.Errorf("got %+v, want nothing of the epoch asked for", subs)
	}
	if state, _ := s.d.State(s.now); state != Stalled {
		t.Errorf("got %v, want stalled", state)
	}
}

// A proof goes once to each peer that has not shown it, and to each that comes later.
func TestProofsArePassedOnOnce(t *testing.T) {
	s := following(t, DirectConfig{})
	s.do(FaultHeard{Session: 2, Epoch: today.ID})
	if _, to := sent[*quicwire.Fork](s.do(Condemned{today, testFault(false)})); len(to) > 0 {
		t.Errorf("without a proof, something was sent to %v", to)
	}
	if _, to := sent[*quicwire.Fork](s.do(Condemned{today, testFault(true)})); !slices.Equal(to, []SessionID{1}) {
		t.Errorf("the proof was sent to %v, want the one that has not shown it", to)
	}
	again := append(s.do(Condemned{today, testFault(true)}), s.after(20*time.Second)...)
	if _, to := sent[*quicwire.Fork](again); len(to) > 0 {
		t.Errorf("the proof was sent again to %v", to)
	}
	if _, to := sent[*quicwire.Fork](s.up(3, -1, today, time.Millisecond)); !slices.Equal(to, []SessionID{3}) {
		t.Errorf("a newcomer: the proof was sent to %v, want 3", to)
	}
	for n := range byte(10) { // a signer of many epochs
		s.do(Condemned{Epoch{1, 100, feed.EpochID{100 + n}}, testFault(true)})
	}
	if _, to := sent[*quicwire.Fork](s.up(4, -1, today, time.Millisecond)); len(to) != maxCondemned {
		t.Errorf("a newcomer was sent %d proofs, want %d", len(to), maxCondemned)
	}
}

// A proof about an epoch comes after its notes: who has not got them would skip it, and nobody would send it again.
func TestProofsComeAfterTheNotes(t *testing.T) {
	s := following(t, DirectConfig{})
	tomorrow := Epoch{1, 300, feed.EpochID{3}}
	if _, to := sent[*quicwire.Fork](s.do(Condemned{tomorrow, testFault(true)})); len(to) > 0 {
		t.Errorf("the proof was sent to %v before the notes", to)
	}
	got := make(map[SessionID][]string)
	for _, a := range of[Send](s.do(EpochKnown{tomorrow})) {
		switch a.Message.(type) {
		case *quicwire.Notes, *quicwire.Fork:
			got[a.Session] = append(got[a.Session], fmt.Sprintf("%T", a.Message))
		}
	}
	for _, p := range s.d.peers {
		if want := []string{"*quicwire.Notes", "*quicwire.Fork"}; !slices.Equal(got[p.id], want) {
			t.Errorf("peer %d was sent %v, want %v", p.id, got[p.id], want)
		}
	}
}

// The same events give the same actions.
func TestDeterministic(t *testing.T) {
	play := func() (all []Action) {
		s := following(t, DirectConfig{Seed: 7})
		s.status(2, today, 3, 200)
		s.push(1, today, 120, 160)
		all = append(all, s.after(10*time.Second)...)
		all = append(all, s.do(SessionDown{1, errNoAnswer})...)
		return append(all, s.after(10*time.Second)...)
	}
	if a, b := play(), play(); !reflect.DeepEqual(a, b) {
		t.Errorf("two runs of one script differ")
	}
}
