package swarm

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/quicwire"
)

// Invariants of a swarm, whatever happens in it. A guard looks at the Meshes themselves, in moments when nothing runs in the bubble.

// wantSound checks what is so at any moment, also when a node has stopped: what it counts of its uplink is there, and who shares nothing sends
// no blocks.
func (n *node) wantSound() {
	n.t.Helper()
	m := n.swarm.mesh
	queued, inflight := 0, 0
	for k := range m.up.queues {
		for _, it := range m.up.queues[k].items[m.up.queues[k].head:] {
			queued += it.bytes
		}
	}
	for _, p := range m.peers {
		inflight += p.bytes
		if p.inflight < 0 || p.inflight > maxInflight || p.inflight == 0 && p.bytes != 0 {
			n.t.Errorf("%s counts %d pushes of %d bytes to a peer", n.name, p.inflight, p.bytes)
		}
	}
	if queued != m.up.queued || inflight != m.up.inflight {
		n.t.Errorf("%s counts %d bytes queued and %d under way, and has %d and %d", n.name, m.up.queued, m.up.inflight, queued, inflight)
	}
	if s := n.swarm.Status().Sent; m.cfg.NoShare && (s.Media > 0 || s.Repair > refusals) {
		n.t.Errorf("%s shares nothing and has sent %d bytes of media, %d of repairs", n.name, s.Media, s.Repair)
	}
}

// A gate lets a test look into the nodes: they read the clock through it, before they do anything, so that the race detector knows that the
// test has finished to look.
type gate struct{ mu sync.Mutex }

func (g *gate) now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now()
}

// A guard remembers since when something is not as it should be: in a network where everybody learns of everything late, that is an error
// only if it lasts.
type guard struct {
	crowd   *crowd
	settled bool // everybody has joined and has had time to find parents
	since   map[string]time.Time
	seen    map[string]time.Time // when it was last so
	said    map[string]bool
	nodes   map[feed.PublicKey]*node
}

// lasts is how long something may be wrong.
const lasts = 2 * time.Second

// wrong notes that something is wrong now. After lasts it is an error, which says how it is by then.
func (g *guard) wrong(what, format string, args ...any) {
	if g.since == nil {
		g.since, g.seen, g.said = make(map[string]time.Time), make(map[string]time.Time), make(map[string]bool)
	}
	if g.since[what].IsZero() {
		g.since[what] = time.Now()
	}
	g.seen[what] = time.Now()
	if time.Since(g.since[what]) > lasts && !g.said[what] {
		g.said[what] = true
		g.crowd.t.Errorf("%v: for over %v %s%s", time.Now().Format("05.0"), lasts, what, fmt.Sprintf(": "+format, args...))
	}
}

// look looks at all nodes. Slots are estimated anew all the time, and places once given are not taken back for a little.
func (g *guard) look() {
	g.crowd.gate.mu.Lock()
	defer g.crowd.gate.mu.Unlock()
	g.nodes = map[feed.PublicKey]*node{g.crowd.source.endpoint.Node(): g.crowd.source}
	for _, v := range g.crowd.viewers {
		if v.cancel != nil {
			g.nodes[v.endpoint.Node()] = v.node
		}
	}
	for _, n := range g.nodes {
		g.lookAt(n)
	}
	for what, at := range g.seen {
		if at.Before(time.Now()) {
			delete(g.since, what)
			delete(g.seen, what)
		}
	}
}

func (g *guard) lookAt(n *node) {
	m := n.swarm.mesh
	n.wantSound()
	if used, slots := m.used(), m.slots(); used > slots+slots/5+1 {
		g.wrong(n.name+" pushes clearly more stripes than it has slots for", "%d, %d", used, slots)
	}
	if f := m.follow(quicwire.LogID{Epoch: m.epoch.ID, Name: feedtest.Rendition}); f != nil {
		g.stripes(n, m, f)
	}
	if g.settled && m.up.backlog() > time.Second {
		g.wrong("pushes wait at "+n.name+" for over a second", "%v", m.up.backlog())
	}
}

// stripes checks who is whose parent in a log.
func (g *guard) stripes(n *node, m *Mesh, f *follow) {
	for i := range f.stripes {
		s := &f.stripes[i]
		if !f.run.ours {
			g.parent(n, f, uint8(i))
		}
		for _, c := range s.children {
			if c.until > 0 {
				continue
			}
			if o := g.nodes[c.peer.key]; o != nil && !takes(o, n, f.log, i) {
				g.wrong(fmt.Sprintf("%s pushes stripe %d to %s", n.name, i, o.name), "which does not want it from there")
			}
		}
	}
}

// takes reports whether o has n as a parent, or may have soon.
func takes(o, n *node, log quicwire.LogID, stripe int) bool {
	f := o.swarm.mesh.follow(log)
	return f != nil && slices.ContainsFunc([]*peer{f.stripes[stripe].parent, f.stripes[stripe].old, f.stripes[stripe].pending},
		func(p *peer) bool { return p != nil && p.key == n.endpoint.Node() })
}

// choice describes whom a node could ask for a stripe.
func (m *Mesh) choice(f *follow, i uint8) (text string) {
	s := &f.stripes[i]
	text = fmt.Sprintf("lost %v ago, home %v, pending %v", m.now.Sub(s.lost), s.home, s.pending != nil)
	for _, p := range m.peers {
		c := p.claimFor(f.log)
		text += fmt.Sprintf("\n\t%v of %s: flows %v, slots %d, homes %b, fails %d, refused for %v (%v), mute %v, asked %v ago, gives %d", p.role, p.addr, c.flows(i), p.slots, c.homes,
			p.fails, max(0, p.refused.Sub(m.now)), p.refusal, p.mute, m.now.Sub(c.subbed[i]), m.from(f, p))
	}
	return text
}

// parent checks that a stripe has a parent that pushes it, and does not come from itself.
func (g *guard) parent(n *node, f *follow, i uint8) {
	p := f.stripes[i].parent
	if p == nil {
		if g.settled {
			g.wrong(fmt.Sprintf("%s has no parent in stripe %d of %s", n.name, i, f.log.Name), "%s", n.swarm.mesh.choice(f, i))
		}
		return
	}
	o := g.nodes[p.key]
	if o == nil {
		g.wrong(fmt.Sprintf("%s has a parent in stripe %d", n.name, i), "which is gone")
		return
	}
	if q := o.swarm.mesh.follow(f.log); q == nil || !slices.ContainsFunc(q.stripes[i].children, func(c *child) bool { return c.peer.key == n.endpoint.Node() }) {
		g.wrong(fmt.Sprintf("%s has %s as a parent in stripe %d", n.name, o.name, i), "which does not push it")
	}
	for hops := 0; o != nil; hops++ {
		if o == n || hops > len(g.nodes) {
			g.wrong(fmt.Sprintf("stripe %d of %s goes round in a circle", i, n.name), "of %d", hops)
			return
		}
		q := o.swarm.mesh.follow(f.log)
		if q == nil || q.run.ours || q.stripes[i].parent == nil {
			return
		}
		o = g.nodes[q.stripes[i].parent.key]
	}
}

// wantSame checks that what viewers hold is what was signed.
func (c *crowd) wantSame() {
	c.t.Helper()
	held := 0
	for _, v := range c.viewers {
		l := v.media()
		if l == nil {
			continue
		}
		for i := l.Base(); i < l.Head().Size; i++ {
			b, err := l.Block(i)
			if err != nil {
				continue
			}
			if held++; !bytes.Equal(b.Payload, feedtest.Payload(i, c.cfg.stream.block)) {
				c.t.Errorf("%s holds something else than block %d", v.name, i)
			}
		}
	}
	if held == 0 {
		c.t.Error("nobody holds anything")
	}
}

// refusals is how many bytes of repair streams and ranges a node may send to say no.
const refusals = 200
