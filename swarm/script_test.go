package swarm

import (
	"fmt"
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

// A script plays events to a Mesh.
type script struct {
	t     *testing.T
	m     *Mesh
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
func newScript(t *testing.T, n int, cfg MeshConfig) *script {
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
	s.m, s.now = NewMesh(cfg), s.start
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

func (s *script) do(e Event) []Action { return slices.Clone(s.m.Handle(e, s.now)) }

// key returns the node key of a peer; its number is that of its session.
func key(n int) feed.PublicKey { return feed.PublicKey{byte(n), 1} }

// up opens session n with an anchor, or from outside with -1.
func (s *script) up(n, anchor int, e Epoch, rtt time.Duration) []Action {
	var all []Action
	if e.Compare(s.m.epoch) > 0 {
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

// following returns a script in which session 1 is the parent and has pushed tv up to block 100, and session 2 could take over.
func following(t *testing.T, cfg MeshConfig) *script {
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
