package swarm

import (
	"slices"
	"sort"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A lab is a few Meshes that talk with each other, without QUIC and feeds: what one says the other hears a little later.
type lab struct {
	t     *testing.T
	now   time.Time
	queue []happening // by time
	nodes []*labNode
	way   time.Duration // of everything, one way
	every time.Duration // a block of tv
}

type happening struct {
	at   time.Time
	node *labNode
	e    Event
}

// A labNode is a node of a lab. Session k leads to the node with the number k; the source is number 0, and so has session 100.
type labNode struct {
	*Mesh
	lab    *lab
	number int
	shelf  *fakeShelf
	ticked time.Time
}

const labSource = 100

// newLab begins with a source that has so many places a stripe, and so many viewers; everybody is connected with everybody.
func newLab(t *testing.T, viewers, stripes, copies int, way, every time.Duration) *lab {
	l := &lab{t: t, now: time.Unix(1_800_000_000, 0), way: way, every: every}
	for n := range viewers + 1 {
		shelf := &fakeShelf{
			renditions: []feed.Rendition{{Name: "tv", Stripes: stripes, Bitrate: 8 * tvBlock * int64(time.Second/every)}},
			held:       map[quicwire.LogID]Holding{tv(today): {Stripes: stripes}, catalog(today): {Stripes: 1}},
		}
		cfg := MeshConfig{Self: quicwire.ShortIDOf(key(n)), Node: key(n), Shelf: shelf, Seed: uint64(n), Copies: copies, Up: 100_000_000}
		if n == 0 {
			cfg.Role = quicwire.Streamer
		}
		l.nodes = append(l.nodes, &labNode{Mesh: NewMesh(cfg), lab: l, number: n, shelf: shelf, ticked: l.now})
	}
	l.nodes[0].play(Publishing{today})
	for _, a := range l.nodes {
		for _, b := range l.nodes {
			if a != b {
				a.play(EpochKnown{today})
				a.play(SessionUp{
					Session: b.session(), Contact: 1000, Peer: key(b.number), Addr: host(b.number), Role: b.cfg.Role, Epoch: today, RTT: 2 * way,
					Limits: quicwire.Limits{Slots: 20, Uplink: 100_000_000},
				})
			}
		}
	}
	return l
}

func (n *labNode) session() SessionID {
	if n.number == 0 {
		return labSource
	}
	return SessionID(n.number)
}

func (l *lab) at(id SessionID) *labNode {
	if id == labSource {
		return l.nodes[0]
	}
	return l.nodes[id]
}

// later lets something happen at a node.
func (l *lab) later(d time.Duration, n *labNode, e Event) {
	at := l.now.Add(d)
	k := sort.Search(len(l.queue), func(k int) bool { return l.queue[k].at.After(at) })
	l.queue = slices.Insert(l.queue, k, happening{at, n, e})
}

// play lets something happen, and does what the Mesh says.
func (n *labNode) play(e Event) {
	l := n.lab
	if b, ok := e.(BlockIn); ok {
		if f := n.follow(b.Log); f != nil && b.Session != 0 {
			b.Fresh = !f.here.has(b.Index)
		}
		n.shelf.put(b.Log, b.Index)
		e = b
	}
	for _, a := range slices.Clone(n.Handle(e, l.now)) {
		n.do(a)
	}
}

func (n *labNode) do(a Action) {
	l := n.lab
	switch a := a.(type) {
	case Send:
		l.later(l.way, l.at(a.Session), Heard{Session: n.session(), Message: a.Message, RTT: 2 * l.way, Proved: true})
	case Push:
		l.later(time.Millisecond, n, Pushed{a.Session, a.Log, a.Stripe, a.Request, a.Bytes, false})
		for _, i := range a.Blocks {
			signed := l.nodes[0].follow(a.Log).clock.of(i)
			l.later(l.way, l.at(a.Session), BlockIn{
				Session: n.session(), Log: a.Log, Index: i, Kind: feed.Media, Back: uint32(i % 100), Size: tvBlock, Wall: signed,
				Age: l.now.Add(l.way).Sub(signed), Repaired: a.Request != 0, Path: slices.Clone(a.Path),
			})
		}
	}
}

// run lets time pass.
func (l *lab) run(d time.Duration, each func()) {
	for end := l.now.Add(d); l.now.Before(end); l.now = l.now.Add(time.Millisecond) {
		for len(l.queue) > 0 && !l.queue[0].at.After(l.now) {
			h := l.queue[0]
			l.queue = l.queue[1:]
			h.node.play(h.e)
		}
		if l.now.UnixMilli()%l.every.Milliseconds() == 0 {
			l.sign()
		}
		for _, n := range l.nodes {
			if !n.Next().After(l.now) {
				n.play(Tick{})
			}
		}
		if each != nil {
			each()
		}
	}
}

func (l *lab) sign() {
	s := l.nodes[0]
	size := s.shelf.held[tv(today)].Head.Size
	if l.now.UnixMilli()%1000 == 0 {
		i := s.shelf.held[catalog(today)].Head.Size
		s.play(BlockIn{Log: catalog(today), Index: i, Kind: feed.Heartbeat, Back: uint32(i), Wall: l.now, Fresh: true})
	}
	s.play(BlockIn{Log: tv(today), Index: size, Kind: feed.Media, Back: uint32(size % 100), Size: tvBlock, Wall: l.now, Fresh: true})
}

// tvOf returns what node n keeps of tv.
func (l *lab) tvOf(n int) *follow { return l.nodes[n].follow(tv(today)) }

// looped reports whether the parents of node n in a stripe lead back to n.
func (l *lab) looped(n, stripe int) bool {
	at := n
	for range l.nodes {
		p := l.tvOf(at).stripes[stripe].parent
		if p == nil || p.id == labSource {
			return false
		}
		if at = int(p.id); at == n {
			return true
		}
	}
	return false
}

// Three nodes that switch to one another at the same moment make a ring, as none of them can see it yet. It is over within a round trip, since
// each tells its children at once that its own way has changed; and nothing is missed.
func TestCrossingSwitches(t *testing.T) {
	const way = 50 * time.Millisecond
	l := newLab(t, 3, 1, 3, way, 500*ms) // blocks tell the way, too; but they are rare
	l.run(5*time.Second, nil)
	for n := 1; n <= 3; n++ {
		if p := l.tvOf(n).stripes[0].parent; p == nil || p.id != labSource {
			t.Fatalf("node %d does not begin as a child of the source", n)
		}
	}
	for n := 1; n <= 3; n++ {
		m, to := l.nodes[n].Mesh, SessionID(n%3+1)
		m.now, m.out = l.now, m.out[:0]
		m.sub(m.peer(to), l.tvOf(n), 0, false)
		for _, a := range slices.Clone(m.out) {
			l.nodes[n].do(a)
		}
	}
	var began, ended time.Time
	l.run(3*time.Second, func() {
		switch looped := l.looped(1, 0) || l.looped(2, 0) || l.looped(3, 0); {
		case looped && began.IsZero():
			began = l.now
		case looped:
			ended = l.now
		}
	})
	if began.IsZero() {
		t.Fatal("no ring was made: the test shows nothing")
	}
	if d := ended.Sub(began); d > 2*way { //
		t.Errorf("the ring lasted for %v, want at most a round trip of %v", d, 2*way)
	}
	l.run(3*time.Second, nil)
	for n := 1; n <= 3; n++ {
		f := l.tvOf(n)
		if b := l.nodes[n].blocks; b.Missed > 0 || len(f.holes) > 0 || f.edge+8 < l.tvOf(0).edge {
			t.Errorf("node %d: %+v, %d holes, edge %d of %d; want nothing missed", n, b, len(f.holes), f.edge, l.tvOf(0).edge)
		}
	}
}
