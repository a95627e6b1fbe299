package swarm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A fakeShelf holds what the test says, and the blocks that the script has brought.
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

// put notes that a block is held.
func (s *fakeShelf) put(log quicwire.LogID, i uint64) {
	if h, ok := s.held[log]; ok {
		h.Head.Size = max(h.Head.Size, i+1)
		s.held[log] = h
	}
}

// A script plays events to a Mesh. Nothing in it takes time but what the test lets pass.
type script struct {
	t       *testing.T
	m       *Mesh
	shelf   *fakeShelf
	start   time.Time
	now     time.Time
	stripes int
	bots    []*bot             // in the order of their sessions
	full    map[SessionID]bool // they take no blocks: their Pushes stay under way
	under   []Push             // those under way to them
	dialled []int              // contacts, since the test looked last
}

// A bot is a peer that answers by itself, at once.
type bot struct {
	id      SessionID
	stuck   bool                               // says SUBOK, and pushes nothing
	keeps   map[uint8]bool                     // likewise stripes of tv
	refuses bool                               // says SUBNO
	first   uint64                             // promises nothing before
	pong    func(*quicwire.Ping) quicwire.Pong // what it answers; nil: nothing
	subs    map[subKey]bool                    // what it has said SUBOK to
}

var (
	today     = Epoch{1, 200, feed.EpochID{2}}
	yesterday = Epoch{1, 100, feed.EpochID{1}}
)

func tv(e Epoch) quicwire.LogID      { return quicwire.LogID{Epoch: e.ID, Name: "tv"} }
func catalog(e Epoch) quicwire.LogID { return quicwire.LogID{Epoch: e.ID, Name: feed.CatalogLog} }

const (
	gap     = 25 * time.Millisecond // between two blocks of tv
	tvBlock = 2000                  // bytes of payload
)

// newScript begins with n anchors, a0:1, a1:1 and so on, and a rendition tv of two stripes in every epoch.
func newScript(t *testing.T, n int, cfg MeshConfig) *script { return newStriped(t, n, 2, cfg) }

// newStriped is newScript with any number of stripes.
func newStriped(t *testing.T, n, stripes int, cfg MeshConfig) *script {
	s := &script{t: t, start: time.Unix(1_800_000_000, 0), stripes: stripes, full: make(map[SessionID]bool), shelf: &fakeShelf{
		renditions: []feed.Rendition{{Name: "tv", Stripes: stripes, Bitrate: 8 * tvBlock * int64(time.Second/gap)}},
		held:       make(map[quicwire.LogID]Holding),
	}}
	for _, e := range []Epoch{today, yesterday} {
		s.know(e)
	}
	for i := range n {
		cfg.Anchors = append(cfg.Anchors, feed.Anchor{Addr: fmt.Sprintf("a%d:1", i)})
	}
	cfg.Self, cfg.Shelf = quicwire.ShortID{9}, s.shelf
	s.m, s.now = NewMesh(cfg), s.start
	return s
}

// know lets the shelf know an epoch.
func (s *script) know(e Epoch) {
	s.shelf.held[tv(e)], s.shelf.held[catalog(e)] = Holding{Stripes: s.stripes}, Holding{Stripes: 1}
}

// at moves the clock to so long after the start, with a Tick whenever one is wanted, and returns the actions of these.
func (s *script) at(d time.Duration) (all []Action) {
	for end := s.start.Add(d); s.now.Before(end); {
		step := max(time.Millisecond, s.m.Next().Sub(s.now))
		s.now = s.now.Add(min(step, TickEvery, end.Sub(s.now)))
		all = append(all, s.do(Tick{})...)
	}
	return all
}

// after returns what ticks do until so long from now.
func (s *script) after(d time.Duration) []Action { return s.at(s.now.Sub(s.start) + d) }

// do lets something happen. The bots answer, peers take what is pushed to them, and sessions that are closed are down.
func (s *script) do(e Event) []Action {
	if b, ok := e.(BlockIn); ok {
		s.shelf.put(b.Log, b.Index)
	}
	first := slices.Clone(s.m.Handle(e, s.now))
	all := slices.Clone(first)
	for _, a := range first {
		switch a := a.(type) {
		case Dial:
			s.dialled = append(s.dialled, a.Contact)
		case Close:
			all = append(all, s.do(SessionDown{a.Session, &quicwire.Error{Code: a.Code, Reason: a.Reason}})...)
		case Send:
			if b := s.bot(a.Session); b != nil {
				all = append(all, s.react(b, a.Message)...)
			}
		case Push:
			if s.full[a.Session] {
				s.under = append(s.under, a)
			} else {
				all = append(all, s.do(Pushed{a.Session, a.Log, a.Stripe, a.Request, a.Bytes, false})...)
			}
		}
	}
	return all
}

// takes lets a session that is full take the oldest Push that is under way to it.
func (s *script) takes(id SessionID) []Action {
	at := slices.IndexFunc(s.under, func(a Push) bool { return a.Session == id })
	if at < 0 {
		return nil
	}
	a := s.under[at]
	s.under = slices.Delete(s.under, at, at+1)
	return s.do(Pushed{a.Session, a.Log, a.Stripe, a.Request, a.Bytes, false})
}

// dials returns which contacts were dialled since it was called last.
func (s *script) dials() []int {
	list := s.dialled
	s.dialled = nil
	return list
}

// react lets a bot answer.
func (s *script) react(b *bot, m quicwire.Message) []Action {
	switch m := m.(type) {
	case *quicwire.Sub:
		if b.refuses {
			return s.says(int(b.id), &quicwire.SubNo{Log: m.Log, Stripe: m.Stripe, Reason: quicwire.RefusedLog, Retry: time.Second})
		}
		b.subs[subKey{m.Log, m.Stripe}] = true
		return s.says(int(b.id), &quicwire.SubOK{Log: m.Log, Stripe: m.Stripe, First: max(m.From, b.first), Path: b.path()})
	case *quicwire.Unsub:
		delete(b.subs, subKey{m.Log, m.Stripe})
	case *quicwire.Ping:
		if b.pong != nil {
			x := b.pong(m)
			x.ID, x.Log, x.Stripe = m.ID, m.Log, m.Stripe
			return s.says(int(b.id), &x)
		}
	}
	return nil
}

// path is the way of everything that comes by a bot: from a source of which it is a child.
func (b *bot) path() []quicwire.ShortID {
	return []quicwire.ShortID{{200}, quicwire.ShortIDOf(key(int(b.id)))}
}

func (s *script) bot(id SessionID) *bot {
	for _, b := range s.bots {
		if b.id == id {
			return b
		}
	}
	return nil
}

// answers makes session n answer by itself.
func (s *script) answers(n int) *bot {
	b := &bot{id: SessionID(n), subs: make(map[subKey]bool), keeps: make(map[uint8]bool)}
	b.pong = func(m *quicwire.Ping) quicwire.Pong {
		return quicwire.Pong{Flows: true, Has: m.Index < s.size(), Next: s.size(), Wall: s.now}
	}
	s.bots = append(s.bots, b)
	return b
}

// size returns the index after the newest block of tv that a script has brought.
func (s *script) size() uint64 { return s.shelf.held[tv(today)].Head.Size }

// key returns the node key of a peer; its number is that of its session.
func key(n int) feed.PublicKey { return feed.PublicKey{byte(n), byte(n >> 8), 1} }

// host returns an address for session n, in a subnet of its own.
func host(n int) string { return fmt.Sprintf("198.%d.%d.1:4433", n>>8, n&255) }

// up opens session n with an anchor, or from outside with -1: a relay.
func (s *script) up(n, anchor int, e Epoch, rtt time.Duration) []Action {
	x := SessionUp{Session: SessionID(n), Contact: anchor, Peer: key(n), Addr: fmt.Sprintf("a%d:1", anchor), Role: quicwire.Relay, Epoch: e, RTT: rtt}
	if anchor < 0 {
		x.Addr = host(n)
	}
	return s.opens(x)
}

// joins opens session n from outside: a viewer with room and a fast uplink.
func (s *script) joins(n int, rtt time.Duration) []Action {
	return s.opens(SessionUp{
		Session: SessionID(n), Contact: -1, Peer: key(n), Addr: host(n), Role: quicwire.Viewer, Epoch: today, RTT: rtt,
		Limits: quicwire.Limits{Slots: 20, Uplink: 50_000_000},
	})
}

func (s *script) opens(x SessionUp) (all []Action) {
	if x.Epoch.Compare(s.m.epoch) > 0 {
		all = s.do(EpochKnown{x.Epoch})
	}
	return append(all, s.do(x)...)
}

// says lets session n send a message.
func (s *script) says(n int, m quicwire.Message) []Action {
	return s.do(Heard{Session: SessionID(n), Message: m, Proved: true})
}

// status lets session n claim, and prove, sizes for the catalog and tv. All stripes flow, and there is room.
func (s *script) status(n int, e Epoch, catalogSize, tvSize uint64) []Action {
	all := s.says(n, &quicwire.Status{Log: catalog(e), Size: catalogSize, Lags: []time.Duration{0}, Homes: 1, Slots: 20})
	return append(all, s.says(n, &quicwire.Status{
		Log: tv(e), Size: tvSize, Lags: make([]time.Duration, s.stripes), Homes: 1<<s.stripes - 1, Slots: 20,
	})...)
}

// claims lets session n say of today's tv what lag each stripe has there, and how much room there is.
func (s *script) claims(n int, slots uint32, lags ...time.Duration) []Action {
	return s.says(n, &quicwire.Status{Log: tv(today), Size: s.size(), Lags: lags, Homes: 1<<s.stripes - 1, Slots: slots})
}

// push brings blocks [from, to) of tv from session n.
func (s *script) push(n int, e Epoch, from, to uint64) (all []Action) {
	for i := from; i < to; i++ {
		all = append(all, s.block(n, e, i, false)...)
	}
	return all
}

// block brings one block of tv from session n; one of ours with 0.
func (s *script) block(n int, e Epoch, i uint64, repaired bool) []Action {
	return s.do(s.blockIn(n, e, i, repaired))
}

func (s *script) blockIn(n int, e Epoch, i uint64, repaired bool) BlockIn {
	x := BlockIn{
		Session: SessionID(n), Log: tv(e), Index: i, Kind: feed.Media, Back: uint32(i % 100), Size: tvBlock, Wall: s.now, Repaired: repaired,
		Fresh: true, Path: []quicwire.ShortID{{200}, quicwire.ShortIDOf(key(n))},
	}
	if f := s.m.follow(tv(e)); f != nil {
		x.Fresh = !f.here.has(i)
	}
	return x
}

// heartbeat brings block i of the catalog from session n.
func (s *script) heartbeat(n int, i uint64) []Action {
	return s.do(BlockIn{
		Session: SessionID(n), Log: catalog(today), Index: i, Kind: feed.Heartbeat, Back: uint32(i), Wall: s.now, Fresh: true,
		Path: []quicwire.ShortID{{200}, quicwire.ShortIDOf(key(n))},
	})
}

// flow lets blocks [from, to) of tv be signed, one each 25 ms, and the catalog's heartbeat each second. Each comes from all bots that were
// asked for its stripe.
func (s *script) flow(from, to uint64) (all []Action) {
	for i := from; i < to; i++ {
		all = append(all, s.sign(i)...)
		all = append(all, s.after(gap)...)
	}
	return all
}

// sign lets block i come from the bots that push it.
func (s *script) sign(i uint64) (all []Action) {
	s.shelf.put(tv(today), i)
	for _, b := range s.bots {
		if b.stuck || s.m.peer(b.id) == nil {
			continue
		}
		if i%40 == 0 && b.subs[subKey{catalog(today), 0}] {
			all = append(all, s.heartbeat(int(b.id), i/40)...)
		}
		if stripe := uint8(i % uint64(s.stripes)); b.subs[subKey{tv(today), stripe}] && !b.keeps[stripe] {
			all = append(all, s.block(int(b.id), today, i, false)...)
		}
	}
	return all
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

// sentTo returns the messages of one type to one session.
func sentTo[M quicwire.Message](all []Action, n int) (list []M) {
	messages, to := sent[M](all)
	for k, m := range messages {
		if to[k] == SessionID(n) {
			list = append(list, m)
		}
	}
	return list
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

// wantParent checks whose session brings a stripe of tv; 0: nobody's.
func (s *script) wantParent(stripe int, want SessionID) {
	s.t.Helper()
	if got := s.parent(stripe); got != want {
		s.t.Errorf("stripe %d comes from session %d, want %d", stripe, got, want)
	}
}

// parent returns the session that is the parent of a stripe of today's tv; 0 if there is none.
func (s *script) parent(stripe int) SessionID {
	if p := s.tv().stripes[stripe].parent; p != nil {
		return p.id
	}
	return 0
}

// tv returns what the Mesh keeps of today's tv.
func (s *script) tv() *follow { return s.m.follow(tv(today)) }

var errNoAnswer = &quicwire.Error{Code: quicwire.CodeLost, Reason: "no answer"}

// following returns a script in which session 1 is the parent of everything, has pushed tv up to block 100, and session 2 could take over.
func following(t *testing.T, cfg MeshConfig) *script {
	t.Helper()
	return followingStriped(t, 2, cfg)
}

func followingStriped(t *testing.T, stripes int, cfg MeshConfig) *script {
	t.Helper()
	s := newStriped(t, 2, stripes, cfg)
	s.do(Tick{})
	s.answers(1)
	s.answers(2)
	s.up(1, 0, today, 10*time.Millisecond)
	s.up(2, 1, today, 400*time.Millisecond)
	s.status(1, today, 1, 1)
	s.status(2, today, 1, 1)
	s.flow(0, 100)
	for i := range stripes {
		if s.parent(i) != 1 {
			t.Fatalf("stripe %d comes from %d, want the nearer session 1", i, s.parent(i))
		}
	}
	return s
}

// serving returns a script in which the Mesh has 1 as a parent, sessions 2 and up to n are viewers that it does not ask, and tv flows.
func serving(t *testing.T, stripes, n int, cfg MeshConfig) *script {
	t.Helper()
	s := newStriped(t, 1, stripes, cfg)
	s.do(Tick{})
	s.answers(1)
	s.up(1, 0, today, 10*time.Millisecond)
	s.status(1, today, 1, 1)
	for k := 2; k <= n; k++ {
		s.joins(k, 20*time.Millisecond)
	}
	s.flow(0, 100)
	return s
}

// subscribe lets session n ask for a stripe of tv.
func (s *script) subscribe(n int, stripe uint8, home bool) []Action {
	return s.says(n, &quicwire.Sub{Log: tv(today), Stripe: stripe, Stripes: uint8(s.stripes), Start: quicwire.StartNext, Home: home, Patience: patience})
}

// children returns the sessions to which a stripe of tv goes.
func (s *script) children(stripe int) (list []SessionID) {
	for _, c := range s.tv().stripes[stripe].children {
		if c.until == 0 {
			list = append(list, c.peer.id)
		}
	}
	return list
}
