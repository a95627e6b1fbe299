package simulate

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/internal/netsim/model"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// A node is a streamer, viewer or relay: a policy, what it holds, and its sessions.
type node struct {
	index  int32 // in World.nodes; of its host too
	life   int32 // counts its processes
	alive  bool
	kind   nodeKind
	key    feed.PublicKey
	short  quicwire.ShortID
	addr   netip.AddrPort
	role   quicwire.Role
	flags  quicwire.NodeFlags
	uplink float64 // bits per second

	policy Policy
	tick   time.Duration // when it gets its next Tick
	heard  time.Duration // when it got its last Traffic

	known    uint64     // epochs, as bits
	newest   *epoch     // the highest of them
	signs    *epoch     // nil but for sources
	logs     []*holding // by number of the log
	sessions []side     // by SessionID - 1, ended ones included
	open     []side     // those that have not ended
	arriving int        // handshakes of others with it

	joined time.Duration
	ends   time.Duration // when it goes
	died   time.Duration // when its last process was killed
	gentle bool          // it says BYE then
	crash  bool          // it is one of those that vanish together
	seen   viewing
}

// A side is one end of a connection.
type side struct {
	conn int32
	end  uint8
}

type nodeKind uint8

const (
	viewerNode nodeKind = iota
	sourceNode
	relayNode
	anchorNode // a viewer that the link names
	hostileNode
	oldSource // signs what replayers show
)

// A NodeConfig is what a policy is made of.
type NodeConfig struct {
	Self    quicwire.ShortID
	Node    feed.PublicKey
	Role    quicwire.Role
	Anchors []feed.Anchor
	Pinned  []feed.Anchor
	NoShare bool
	Known   uint64 // bits per second that the uplink carried the last time; 0: not known
	Copies  int
	Shelf   swarm.Shelf
	Silence func(swarm.SessionID) time.Duration
	Seed    uint64
}

// A person is who starts a node.
type person struct {
	kind     nodeKind
	up, down float64 // bits per second
	noUpload bool
	nat      bool
	subnet   int // 0: its own
}

// join brings a node and starts it.
func (w *World) join(p person) *node {
	n := w.make(p)
	w.begin(n)
	return n
}

// make brings a node that has not started.
func (w *World) make(p person) *node {
	n := &node{kind: p.kind, joined: w.now(), uplink: p.up, role: quicwire.Viewer, ends: model.Never, tick: model.Never}
	n.index = w.net.Add(model.Host{Up: p.up, Down: p.down, X: w.rand.Float64(), Y: w.rand.Float64(), NAT: p.nat})
	w.nodes = append(w.nodes, n)
	n.addr = w.address(p.subnet, n.index)
	w.at[n.addr] = n.index
	binary.BigEndian.PutUint64(n.key[:], w.rand.Uint64())
	binary.BigEndian.PutUint32(n.key[8:], uint32(n.index))
	sum := sha256.Sum256(n.key[:])
	n.short = quicwire.ShortID(sum[:4])
	switch p.kind {
	case sourceNode, oldSource:
		n.role = quicwire.Streamer
	case relayNode:
		n.role = quicwire.Relay
	}
	if p.noUpload {
		n.flags = quicwire.NoUpload
	}
	w.schedule(n)
	return n
}

// begin starts the process of a node.
func (w *World) begin(n *node) {
	n.alive, n.life = true, n.life+1
	n.known, n.newest, n.signs, n.logs, n.sessions, n.open, n.arriving = 0, nil, nil, nil, nil, nil, 0
	cfg := NodeConfig{
		Self: n.short, Node: n.key, Role: n.role, NoShare: n.flags&quicwire.NoUpload != 0, Copies: w.cfg.Copies,
		Shelf: shelf{w, n}, Seed: w.rand.Uint64(),
		Silence: func(id swarm.SessionID) time.Duration { return w.silence(n, id) },
	}
	if n.role != quicwire.Streamer {
		cfg.Anchors = w.anchorsOf(w.anchors)
	}
	if n.role == quicwire.Streamer && w.cfg.Pinned {
		cfg.Pinned = w.pinned()
	}
	if !w.cfg.Guess || n.role == quicwire.Streamer {
		cfg.Known = uint64(n.uplink)
	}
	if n.kind == hostileNode && w.old > 0 {
		cfg.Anchors = append(w.anchorsOf([]int32{w.old}), cfg.Anchors...)
	}
	n.policy = w.cfg.New(cfg)
	if n.kind == hostileNode {
		n.policy = &attacker{inner: n.policy, world: w, node: n, kind: w.cfg.Attack}
	}
	w.tell(n, swarm.Tick{})
}

// address returns one in a /24 of its own, or the next in a shared one.
func (w *World) address(subnet int, i int32) netip.AddrPort {
	if subnet == 0 {
		w.subnets++
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(11 + w.subnets>>16), byte(w.subnets >> 8), byte(w.subnets), 1}), 4433)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{200, byte(subnet), byte(i >> 8), byte(i)}), 4433)
}

// knows reports whether a node has an epoch's notes.
func (n *node) knows(e *epoch) bool { return n.known>>e.number&1 == 1 }

// learn takes in an epoch's notes. It reports whether it is the highest now.
func (n *node) learn(e *epoch) bool {
	if n.knows(e) {
		return false
	}
	n.known |= 1 << e.number
	if n.newest != nil && e.name.Compare(n.newest.name) < 0 {
		return false
	}
	n.newest = e
	return true
}

// knowsState reports whether a node holds the record that says what an epoch consists of.
func (n *node) knowsState(e *epoch) bool { return n.holding(e.catalog).held(0) }

// holding returns what a node holds of a log; nil if nothing.
func (n *node) holding(l *log) *holding {
	if l.number < len(n.logs) {
		return n.logs[l.number]
	}
	return nil
}

// hold takes in a block that was signed at a time, as far as is known. It reports whether it is news.
func (n *node) hold(l *log, i uint64, at time.Duration) bool {
	for l.number >= len(n.logs) {
		n.logs = append(n.logs, nil)
	}
	h := n.logs[l.number]
	if h == nil {
		h = &holding{ages: make([]time.Duration, l.ring)}
		n.logs[l.number] = h
	}
	if h.held(i) {
		return false
	}
	h.add(l, i, at)
	return true
}

// kill ends a node's process without a word. Its peers find out.
func (w *World) kill(n *node) {
	n.alive, n.died = false, w.now()
	w.net.Kill(n.index)
	for _, s := range n.open {
		w.abandon(s)
	}
	n.open = nil
	w.measure.left(w, n)
	n.policy, n.logs = nil, nil
}

// silence returns how long ago the last packet of a session came: who is there acknowledges at once.
func (w *World) silence(n *node, id swarm.SessionID) time.Duration {
	s := n.sessions[id-1]
	c := w.conns[s.conn]
	if c == nil {
		return 0
	}
	if peer := w.nodes[c.nodes[1-s.end]]; !peer.alive || peer.life != c.lives[1-s.end] {
		return w.now() - peer.died
	}
	return 0
}

// leave begins a departure.
func (w *World) leave(e event) {
	n := w.nodes[e.node]
	if !n.alive || n.life != e.ref {
		return
	}
	if !n.gentle {
		w.kill(n)
		w.replace(n)
		return
	}
	w.sayBye(n)
}

const farewell = 500 * time.Millisecond

// sayBye lets a node tell its peers that it goes, and serve them for a moment.
func (w *World) sayBye(n *node) {
	w.tell(n, swarm.Leaving{For: farewell})
	w.later(farewell, event{kind: evGone, node: n.index, ref: n.life})
}

// gone ends a departure: all sessions are closed.
func (w *World) gone(e event) {
	n := w.nodes[e.node]
	if !n.alive || n.life != e.ref {
		return
	}
	for _, s := range slices.Clone(n.open) {
		w.end(s, quicwire.CodeGoingAway, "the node shuts down")
	}
	w.kill(n)
	if n.kind != sourceNode {
		w.replace(n)
	}
}
