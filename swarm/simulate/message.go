package simulate

import (
	"tailcast/internal/netsim/model"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// A letter is a message on its way.
type letter struct {
	message quicwire.Message
	size    int32
}

// send sends a message of a policy's.
func (w *World) send(n *node, id swarm.SessionID, m quicwire.Message) {
	if c, s := w.session(n, id); c != nil {
		w.post(n, c, s.end, m)
	}
}

// post sends a message from one end of a connection.
func (w *World) post(n *node, c *conn, end uint8, m quicwire.Message) {
	w.noteSent(n, c, end, m)
	size := quicwire.Size(m)
	kind := model.Control
	if _, ok := m.(*quicwire.Status); ok {
		kind = model.Status
	}
	i := n.sessions[c.ids[end]-1].conn
	at, ok := w.net.Message(i, end, kind, size, w.now())
	if !ok {
		return
	}
	w.queue.Add(at, event{kind: evLetter, conn: i, end: end, ref: w.letters.add(letter{m, int32(size)})})
}

// noteSent does what quicwire does when it sends a message: it remembers what was asked for, and sets the clock of answers.
func (w *World) noteSent(n *node, c *conn, end uint8, m quicwire.Message) {
	switch m := m.(type) {
	case *quicwire.Sub:
		w.measure.subs++
		if l := w.find(&m.Log); l != nil {
			c.subs[end].add(l, m.Stripe)
		}
	case *quicwire.Unsub:
		if l := w.find(&m.Log); l != nil {
			c.subs[end].drop(l, m.Stripe)
			w.unfeedStripe(c, end, l, m.Stripe)
		}
	case *quicwire.Moved:
		if l := w.find(&m.Log); l != nil {
			w.unfeedStripe(c, 1-end, l, m.Stripe)
		}
	case *quicwire.Req:
		w.measure.requested(w, n, m)
	case *quicwire.Nack:
		w.measure.nacks += int64(len(m.Blocks))
	case *quicwire.Status:
		w.measure.status(w, n, m)
	case *quicwire.Pong:
		m.Wall = w.wall(w.now())
	}
}

// letterReached lets a message through the receiver's downlink.
func (w *World) letterReached(e event) {
	c := w.conns[e.conn]
	if c == nil || w.net.Dead(c.nodes[1-e.end]) {
		w.letters.take(e.ref)
		return
	}
	if n := w.nodes[c.nodes[1-e.end]]; n.alive && n.life != c.lives[1-e.end] {
		w.letters.take(e.ref)
		w.reset(e)
		return
	}
	if at := w.net.LandMessage(c.nodes[1-e.end], int(w.letters.get(e.ref).size), w.now()); at > w.now() {
		e.kind = evHeard
		w.queue.Add(at, e)
		return
	}
	w.heard(e)
}

// reset tells who wrote to a process that is no more, and whose successor has its key and address (QUIC's stateless reset, RFC 9000 10.3).
func (w *World) reset(e event) {
	c := w.conns[e.conn]
	w.later(w.net.RTT(c.nodes[0], c.nodes[1])/2, event{kind: evIdle, conn: e.conn, end: e.end})
}

// heard tells a node of a message.
func (w *World) heard(e event) {
	m := w.letters.take(e.ref).message
	c, end := w.conns[e.conn], 1-e.end
	if c == nil || !c.up[end] {
		return
	}
	n := w.nodes[c.nodes[end]]
	if !n.alive || n.life != c.lives[end] {
		return
	}
	id := c.ids[end]
	heard := swarm.Heard{Session: id, Message: m, RTT: w.net.ConnRTT(e.conn, end)}
	switch m := m.(type) {
	case *quicwire.Notes:
		w.heardNotes(n, id, m)
		return
	case *quicwire.Fork, *quicwire.Fault:
		return
	case *quicwire.Status:
		if l := w.find(&m.Log); l == nil || !n.knows(l.epoch) {
			return
		}
		heard.Proved = m.Signed != nil
	default:
		w.noteHeard(c, end, m)
	}
	w.tell(n, heard)
}

// heardNotes tells a node of an epoch.
func (w *World) heardNotes(n *node, id swarm.SessionID, m *quicwire.Notes) {
	e := w.epochOf(m.Notes)
	if e == nil || n.deaf(e) {
		return
	}
	w.learn(n, e)
	w.tell(n, swarm.NotesHeard{Session: id, Epoch: e.name})
}

// noteHeard does what quicwire does when it hears an answer.
func (w *World) noteHeard(c *conn, end uint8, m quicwire.Message) {
	switch m := m.(type) {
	case *quicwire.SubOK:
		if l := w.find(&m.Log); l != nil && c.subs[end].has(l, m.Stripe) {
			w.feed(c, end, l, m.Stripe)
		}
	case *quicwire.SubNo:
		w.measure.refusals++
		w.dropSub(c, end, m.Log, m.Stripe)
	case *quicwire.Moved:
		w.dropSub(c, end, m.Log, m.Stripe)
	}
}

func (w *World) dropSub(c *conn, end uint8, id quicwire.LogID, stripe uint8) {
	if l := w.find(&id); l != nil {
		c.subs[end].drop(l, stripe)
		w.unfeedStripe(c, end, l, stripe)
	}
}
