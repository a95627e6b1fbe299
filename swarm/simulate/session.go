package simulate

import (
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/internal/netsim/model"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// A conn is a session as both ends see it. End 0 dialled.
type conn struct {
	nodes   [2]int32
	lives   [2]int32 // of the nodes' processes
	ids     [2]swarm.SessionID
	up      [2]bool // the end has a session
	contact int     // of the dialler
	began   time.Duration
	used    time.Duration // when a block last went either way
	closed  bool          // an end has closed it: nothing is sent any more
	errs    [2]error      // why, as each end will hear
	out     [2]outbox
	subs    [2]stripeSets // what each end has subscribed
	fed     [2]stripeSets // and what the other end has promised to push
	refused [2]stripeSets // streams to each end that nobody asked for
}

// A stripeSet is stripes of each log, by its number; there are seldom more than two epochs.
type stripeSets [8]uint32

func (s *stripeSets) has(l *log, stripe uint8) bool { return s[l.number%len(s)]>>stripe&1 == 1 }
func (s *stripeSets) add(l *log, stripe uint8)      { s[l.number%len(s)] |= 1 << stripe }
func (s *stripeSets) drop(l *log, stripe uint8)     { s[l.number%len(s)] &^= 1 << stripe }

// Bounds of package quicwire.
const (
	maxSessions = 256
	dialTimeout = 5 * time.Second
	idleTimeout = 15 * time.Second
	idleSession = 30 * time.Second // without a block, then its place may go to another
	crossing    = 3 * time.Second  // how long both ends may have dialled at once
)

// dial asks a node for a session.
func (w *World) dial(n *node, a swarm.Dial) {
	timeout := a.Timeout
	if timeout == 0 {
		timeout = dialTimeout
	}
	fail := func(after time.Duration, code quicwire.Code, remote bool) {
		w.soon(n, after, evNoDial, swarm.DialFailed{Contact: a.Contact, Err: &quicwire.Error{Code: code, Remote: remote}})
	}
	addr, err := netip.ParseAddrPort(a.Addr)
	to, known := w.at[addr]
	if err != nil || !known {
		fail(timeout, quicwire.CodeLost, false)
		return
	}
	w.measure.dials++
	peer := w.nodes[to]
	way := w.net.RTT(n.index, to)
	g, ok := w.net.Dial(n.index, to, w.now())
	switch {
	case !ok || g.Up[0]-w.now() > timeout:
		fail(timeout, quicwire.CodeLost, false)
	case to == n.index:
		fail(2*way, quicwire.CodeSelf, false)
	case a.Node != nil && *a.Node != peer.key:
		fail(way, quicwire.CodeTLS, false)
	case !w.admit(peer, n):
		w.net.Refuse(n.index, to)
		fail(g.Asked-w.now()+way/2, quicwire.CodeBusy, true)
	default:
		w.greet(n, peer, a.Contact, g)
	}
}

// admit reports whether a node has a place for one more session, as quicwire's gate decides.
func (w *World) admit(n, from *node) bool {
	total := len(n.open) + n.arriving
	if total >= w.maxSessions(n) {
		return false
	}
	if 4*total < 3*w.maxSessions(n) {
		return true
	}
	same := 0
	for _, s := range n.open {
		if subnet(w.nodes[w.conns[s.conn].nodes[1-s.end]].addr) == subnet(from.addr) {
			same++
		}
	}
	return 4*same < w.maxSessions(n)
}

func (w *World) maxSessions(n *node) int {
	if n.role == quicwire.Relay {
		return 4 * maxSessions
	}
	return maxSessions
}

func subnet(a netip.AddrPort) netip.Prefix {
	p, _ := a.Addr().Prefix(24)
	return p
}

// greet begins a session that will be up after the handshake.
func (w *World) greet(n, peer *node, contact int, g model.Greeting) {
	i := w.net.Connect(n.index, peer.index)
	w.conns = append(w.conns, &conn{
		nodes: [2]int32{n.index, peer.index}, lives: [2]int32{n.life, peer.life}, contact: contact, began: g.Up[0], used: g.Up[0],
	})
	peer.arriving++
	w.queue.Add(g.Up[0], event{kind: evUp, conn: i, end: 0})
	w.queue.Add(g.Up[1], event{kind: evUp, conn: i, end: 1})
}

// up ends a handshake at one end.
func (w *World) up(i int32, end uint8) {
	c := w.conns[i]
	if c == nil {
		return
	}
	n, peer := w.nodes[c.nodes[end]], w.nodes[c.nodes[1-end]]
	if end == 1 && n.alive && n.life == c.lives[1] {
		n.arriving--
	}
	if c.closed || !n.alive || n.life != c.lives[end] {
		w.release(i)
		return
	}
	if end == 0 && !w.adopt(n, peer, c) {
		return
	}
	c.up[end] = true
	n.sessions = append(n.sessions, side{i, end})
	n.open = append(n.open, side{i, end})
	c.ids[end] = swarm.SessionID(len(n.sessions))
	if end == 1 {
		w.makeRoom(n)
	}
	if !peer.alive || peer.life != c.lives[1-end] {
		w.later(idleTimeout, event{kind: evIdle, conn: i, end: end})
	}
	w.tellUp(n, peer, c, i, end)
}

// tellUp tells a node of a session, and first of the epoch that the peer shows.
func (w *World) tellUp(n, peer *node, c *conn, i int32, end uint8) {
	up := swarm.SessionUp{
		Session: c.ids[end], Contact: -1, Peer: peer.key, Addr: peer.addr.String(), Role: peer.role, Flags: peer.flags, Limits: w.limits(peer),
		Seen: n.addr, RTT: w.net.ConnRTT(i, end), Wall: w.wall(w.now() - w.net.RTT(n.index, peer.index)/2),
	}
	if end == 0 {
		up.Contact = c.contact
	}
	if e := peer.shown(); e != nil && !n.deaf(e) {
		up.Epoch = e.name
		w.learn(n, e)
	}
	w.tell(n, up)
}

// shown returns the epoch whose notes a node shows.
func (n *node) shown() *epoch {
	if n.alive {
		return n.newest
	}
	return nil
}

// learn tells a node of an epoch, if it is news.
func (w *World) learn(n *node, e *epoch) {
	if n.learn(e) {
		w.tell(n, swarm.EpochKnown{Epoch: e.name})
	}
}

// adopt decides between two sessions of one pair as quicwire does. It reports whether the new one, which n has dialled, stays.
func (w *World) adopt(n, peer *node, c *conn) bool {
	old, ok := w.between(n, peer)
	if !ok {
		return true
	}
	o := w.conns[old.conn]
	smaller := string(w.nodes[o.nodes[0]].key[:]) < string(w.nodes[o.nodes[1]].key[:])
	if old.end == 1 && w.now()-o.began < crossing && smaller {
		c.closed = true
		w.soon(n, 0, evNoDial, swarm.DialFailed{Contact: c.contact, Err: &quicwire.Error{Code: quicwire.CodeDuplicate}})
		return false
	}
	w.end(old, quicwire.CodeDuplicate, "a newer session takes its place")
	return true
}

// between returns n's side of a session with a peer, which only one of them may know of yet.
func (w *World) between(n, peer *node) (side, bool) {
	for _, s := range n.open {
		if c := w.conns[s.conn]; c.nodes[1-s.end] == peer.index && !c.closed {
			return s, true
		}
	}
	for _, s := range peer.open {
		if c := w.conns[s.conn]; c.nodes[1-s.end] == n.index && !c.closed {
			return side{s.conn, 1 - s.end}, true
		}
	}
	return side{}, false
}

// makeRoom ends the inbound session that has carried no block for longest, if sessions run out.
func (w *World) makeRoom(n *node) {
	if 8*len(n.open) <= 7*w.maxSessions(n) {
		return
	}
	idle := side{conn: -1}
	for _, s := range n.open {
		c := w.conns[s.conn]
		if s.end == 1 && w.now()-c.used >= idleSession && (idle.conn < 0 || c.used < w.conns[idle.conn].used) {
			idle = s
		}
	}
	if idle.conn >= 0 {
		w.end(idle, quicwire.CodeBusy, "no block for 30 s, and others want to come in")
	}
}

// session returns the connection of a session; nil if it has ended.
func (w *World) session(n *node, id swarm.SessionID) (*conn, side) {
	if id == 0 || id > swarm.SessionID(len(n.sessions)) {
		return nil, side{}
	}
	s := n.sessions[id-1]
	c := w.conns[s.conn]
	if c == nil || !c.up[s.end] || c.closed {
		return nil, s
	}
	return c, s
}

// close ends a session as a policy wants it.
func (w *World) close(n *node, a swarm.Close) {
	if c, s := w.session(n, a.Session); c != nil {
		w.end(s, a.Code, a.Reason)
	}
}

// end closes a session from one end. Both hear of it.
func (w *World) end(s side, code quicwire.Code, reason string) {
	c := w.conns[s.conn]
	if c.closed {
		return
	}
	c.closed = true
	c.errs[s.end] = &quicwire.Error{Code: code, Reason: reason}
	c.errs[1-s.end] = &quicwire.Error{Code: code, Reason: reason, Remote: true}
	w.dropQueued(s.conn, c)
	w.later(0, event{kind: evDown, conn: s.conn, end: s.end})
	w.later(w.net.RTT(c.nodes[0], c.nodes[1])/2, event{kind: evDown, conn: s.conn, end: 1 - s.end})
	w.forgetOpen(w.nodes[c.nodes[s.end]], s)
}

// down tells a node that a session has ended.
func (w *World) down(e event) {
	c := w.conns[e.conn]
	if c == nil || e.kind == evIdle && c.closed {
		return
	}
	n := w.nodes[c.nodes[e.end]]
	s := side{e.conn, e.end}
	was := c.up[e.end]
	c.up[e.end] = false
	if e.kind == evIdle {
		c.closed = true
		c.errs[e.end] = &quicwire.Error{Code: quicwire.CodeLost}
		w.dropQueued(e.conn, c)
	}
	w.forgetOpen(n, s)
	w.unfeed(c, e.end)
	err := c.errs[e.end]
	w.release(e.conn)
	if was && n.alive && n.life == c.lives[e.end] {
		w.tell(n, swarm.SessionDown{Session: c.ids[e.end], Err: err})
	}
}

// abandon leaves a connection whose end was killed: QUIC at the other one gives up after a while.
func (w *World) abandon(s side) {
	c := w.conns[s.conn]
	c.up[s.end] = false
	w.clearOutbox(&c.out[s.end])
	w.unfeed(c, s.end)
	w.unfeed(c, 1-s.end)
	if c.up[1-s.end] && !c.closed {
		w.later(idleTimeout, event{kind: evIdle, conn: s.conn, end: 1 - s.end})
	}
	w.release(s.conn)
}

// release forgets a connection when neither end has a session any more.
func (w *World) release(i int32) {
	c := w.conns[i]
	if c == nil || c.up[0] || c.up[1] || !c.closed && w.arriving(c) {
		return
	}
	w.dropQueued(i, c)
	w.conns[i] = nil
	w.net.Close(i)
}

// arriving reports whether an end may still come up.
func (w *World) arriving(c *conn) bool { return w.now() <= c.began+dialTimeout && !c.closed }

// dropQueued forgets all that waits to be sent on a connection.
func (w *World) dropQueued(i int32, c *conn) {
	for end := range uint8(2) {
		w.clearOutbox(&c.out[end])
		w.net.Drop(c.nodes[end], func(t *model.Transfer) bool { return t.Conn == i })
	}
}

func (w *World) forgetOpen(n *node, s side) {
	if i := slices.Index(n.open, s); i >= 0 {
		n.open = slices.Delete(n.open, i, i+1)
	}
}

// anchorsOf returns nodes as a link names them.
func (w *World) anchorsOf(list []int32) (out []feed.Anchor) {
	for _, i := range list {
		out = append(out, feed.Anchor{Addr: w.nodes[i].addr.String(), Node: &w.nodes[i].key})
	}
	return out
}
