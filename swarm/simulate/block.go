package simulate

import (
	"math"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
	"tailcast/internal/netsim/model"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// Here blocks travel. A Push waits until those before it to the same peer are taken, as a goroutine in the real driver writes them one after
// the other; then each of its blocks waits for the uplink, and for the congestion window.

// An outbox is what one end of a connection has to push.
type outbox struct {
	waiting []int32 // pushes; the first is under way if busy is set
	busy    bool
	queued  int32 // the flight that waits for the uplink, one more; 0: none does
	streams []pushStream
}

// A pushStream is what was sent last of a stripe.
type pushStream struct {
	log     *log
	stripe  uint8
	open    bool
	segment uint64
	last    uint64
	path    []quicwire.ShortID
}

// A push is a Push action that is not done.
type push struct {
	swarm.Push
	log    *log
	next   int    // of its blocks
	last   uint64 // the block sent before
	first  bool   // no block was sent yet
	failed bool
}

// A flight is a block on its way.
type flight struct {
	model.Sent
	log    *log
	index  uint64
	push   int32
	age    time.Duration
	path   []quicwire.ShortID
	repair bool
	opens  bool // its stream begins with it
	bad    bool // it does not verify
}

// Bytes of a block besides payload and hashes: steps, age and flags, a record, and a signature.
const (
	blockHead  = 4 + feed.RecordSize + feed.SignatureSize
	streamHead = 10
)

// push takes on a Push.
func (w *World) push(n *node, a swarm.Push) {
	c, s := w.session(n, a.Session)
	l := w.find(&a.Log)
	if c == nil || l == nil {
		return
	}
	w.measure.pushed(w, n, l, &a)
	o := &c.out[s.end]
	o.waiting = append(o.waiting, w.pushes.add(push{Push: a, log: l, first: true}))
	if !o.busy {
		w.pushNext(s)
	}
}

// pushNext hands the next block to QUIC.
func (w *World) pushNext(s side) {
	c := w.conns[s.conn]
	o := &c.out[s.end]
	n := w.nodes[c.nodes[s.end]]
	for len(o.waiting) > 0 {
		p := w.pushes.get(o.waiting[0])
		for p.next < len(p.Blocks) {
			i := p.Blocks[p.next]
			p.next++
			if !n.holding(p.log).held(i) {
				p.failed = true
				w.measure.violate(notHeld, n)
				continue
			}
			o.busy = true
			w.launch(s, c, o, n, p, i)
			return
		}
		w.later(0, event{kind: evTaken, conn: s.conn, end: s.end, ref: o.waiting[0]})
		o.busy = true
		return
	}
	o.busy = false
}

// launch puts one block into the queue of the uplink.
func (w *World) launch(s side, c *conn, o *outbox, n *node, p *push, i uint64) {
	f := flight{
		log: p.log, index: i, push: o.waiting[0], age: w.now() - n.holding(p.log).signedAt(i), path: p.Path, repair: p.Request != 0,
		bad: n.pollutes(),
	}
	proofs := blockHead + w.hashes(o, p, &f)
	t := model.Transfer{
		Conn: s.conn, End: s.end, Stream: uint32(p.log.number)<<8 | uint32(p.Stripe), Size: p.log.blocks[i].size + int32(proofs),
		Proofs: int32(proofs), Repair: f.repair,
	}
	if f.repair {
		t.Stream = 1<<31 | uint32(p.Request)
	}
	ref := w.flights.add(f)
	t.Ref = ref
	w.flights.get(ref).Transfer = t
	o.queued = ref + 1
	c.used = w.now()
	if w.net.Push(t) {
		w.transmit(n)
	}
}

// hashes returns how many bytes of peaks, path and stream header go with a block.
func (w *World) hashes(o *outbox, p *push, f *flight) int {
	if f.repair {
		have := p.last + 1
		if f.opens = p.first; f.opens {
			have = 0
		}
		p.first, p.last = false, f.index
		return merkle.HashSize*merkle.NewPeaks(have, f.index) + streamHead
	}
	st := o.stream(p.log, p.Stripe)
	segment := f.index - uint64(p.log.blocks[f.index].back)
	bytes, have := 0, st.last+1
	if !st.open || st.segment != segment || f.index <= st.last {
		st.open, st.segment, st.path = true, segment, nil
		bytes, have, f.opens = streamHead, 0, true
	}
	if len(st.path) != len(p.Path) || len(p.Path) > 0 && &st.path[0] != &p.Path[0] && !samePath(st.path, p.Path) {
		bytes += 1 + 4*len(p.Path)
	}
	st.last, st.path = f.index, p.Path
	return bytes + merkle.HashSize*merkle.NewPeaks(have, f.index)
}

func samePath(a, b []quicwire.ShortID) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// stream returns what was sent of a stripe.
func (o *outbox) stream(l *log, stripe uint8) *pushStream {
	for i := range o.streams {
		if st := &o.streams[i]; st.log == l && st.stripe == stripe {
			return st
		}
	}
	o.streams = append(o.streams, pushStream{log: l, stripe: stripe})
	return &o.streams[len(o.streams)-1]
}

// transmit lets a node's uplink carry what waits for it.
func (w *World) transmit(n *node) {
	for {
		s, ok := w.net.Next(n.index, w.now())
		if !ok {
			return
		}
		f := w.flights.get(s.Ref)
		f.Sent = s
		c := w.conns[s.Conn]
		c.out[s.End].queued = 0
		if s.Taken == model.Never {
			w.later(writeTimeout, event{kind: evStuck, conn: s.Conn, end: s.End, ref: f.push})
			w.flights.take(s.Ref)
			continue
		}
		if s.Taken > s.Done {
			w.queue.Add(s.Taken, event{kind: evTaken, conn: s.Conn, end: s.End, ref: f.push})
			w.queue.Add(s.Done, event{kind: evFree, node: n.index, ref: n.life, conn: -1})
		} else {
			w.queue.Add(s.Done, event{kind: evFree, node: n.index, ref: n.life, conn: s.Conn, end: s.End})
		}
		if s.Reach != model.Never {
			w.queue.Add(s.Reach, event{kind: evReach, conn: s.Conn, ref: s.Ref})
		} else {
			w.flights.take(s.Ref)
		}
		return
	}
}

// writeTimeout is how long the driver waits for QUIC to take a block.
const writeTimeout = 2 * time.Second

// uplinkFree goes on with the next block. If QUIC has taken the last one, its sender goes on, too.
func (w *World) uplinkFree(e event) {
	n := w.nodes[e.node]
	if !n.alive || n.life != e.ref {
		return
	}
	w.transmit(n)
	if e.conn >= 0 {
		if c := w.conns[e.conn]; c != nil && len(c.out[e.end].waiting) > 0 {
			w.taken(event{kind: evTaken, conn: e.conn, end: e.end, ref: c.out[e.end].waiting[0]})
		}
	}
}

// taken goes on after a block that QUIC has taken, or never will.
func (w *World) taken(e event) {
	c := w.conns[e.conn]
	if c == nil || c.closed {
		return
	}
	o := &c.out[e.end]
	if len(o.waiting) == 0 || o.waiting[0] != e.ref || !o.busy {
		return
	}
	p := w.pushes.get(e.ref)
	if e.kind == evStuck {
		p.failed, p.next = true, len(p.Blocks)
	}
	if p.next < len(p.Blocks) {
		w.pushNext(side{e.conn, e.end})
		return
	}
	done := swarm.Pushed{Session: p.Session, Log: p.Log, Bytes: p.Bytes, Failed: p.failed}
	w.pushes.take(e.ref)
	o.waiting = o.waiting[:copy(o.waiting, o.waiting[1:])]
	o.busy = false
	w.pushNext(side{e.conn, e.end})
	w.tell(w.nodes[c.nodes[e.end]], done)
}

// stop drops what is queued of a stripe.
func (w *World) stop(n *node, a swarm.Stop) {
	c, s := w.session(n, a.Session)
	l := w.find(&a.Log)
	if c == nil || l == nil {
		return
	}
	o := &c.out[s.end]
	o.stream(l, a.Stripe).open = false
	w.unfeedStripe(c, 1-s.end, l, a.Stripe)
	kept := o.waiting[:0]
	for k, ref := range o.waiting {
		p := w.pushes.get(ref)
		out := p.log == l && p.Stripe == a.Stripe && p.Request == 0
		if k == 0 && o.busy {
			out = out && w.unqueue(s, o)
			o.busy = !out
		}
		if !out {
			kept = append(kept, ref)
			continue
		}
		w.soon(n, 0, evDropped, swarm.Pushed{Session: p.Session, Log: p.Log, Bytes: p.Bytes, Failed: true})
		w.pushes.take(ref)
	}
	o.waiting = kept
	if !o.busy {
		w.pushNext(s)
	}
}

// unqueue takes a block back that waits for the uplink. It returns false if it is on its way already.
func (w *World) unqueue(s side, o *outbox) bool {
	if o.queued == 0 {
		return false
	}
	f := o.queued - 1
	if w.net.Drop(w.conns[s.conn].nodes[s.end], func(t *model.Transfer) bool { return t.Ref == f }) == 0 {
		return false
	}
	o.queued = 0
	w.flights.take(f)
	return true
}

// clearOutbox forgets all that is to be pushed.
func (w *World) clearOutbox(o *outbox) {
	for _, ref := range o.waiting {
		w.pushes.take(ref)
	}
	if o.queued > 0 {
		w.flights.take(o.queued - 1)
	}
	*o = outbox{}
}

// reach lets a block into the receiver's downlink.
func (w *World) reach(ref int32) {
	f := w.flights.get(ref)
	c := w.conns[f.Conn]
	if c == nil || w.net.Dead(c.nodes[1-f.End]) {
		w.flights.take(ref)
		return
	}
	head := w.now() + w.net.Waits(c.nodes[1-f.End], w.now()) + swarm.ComingAfter
	at, ok := w.net.Land(&f.Sent, w.now())
	if !ok {
		w.queue.Add(f.Reach, event{kind: evReach, conn: f.Conn, ref: ref})
		return
	}
	if head < at {
		w.queue.Add(head, event{kind: evComing, conn: f.Conn, ref: ref})
	}
	w.queue.Add(at, event{kind: evArrive, conn: f.Conn, ref: ref})
}

// coming says that a block is on its way whose first packet has been here for a while.
func (w *World) coming(ref int32) {
	f := w.flights.get(ref)
	c := w.conns[f.Conn]
	if c == nil || !c.up[1-f.End] || f.bad {
		return
	}
	if n := w.nodes[c.nodes[1-f.End]]; n.alive && n.life == c.lives[1-f.End] && n.knows(f.log.epoch) {
		w.tell(n, swarm.Coming{Session: c.ids[1-f.End], Log: f.log.id, Index: f.index})
	}
}

// arrive brings a block to who has asked for it.
func (w *World) arrive(ref int32) {
	f := w.flights.take(ref)
	c := w.conns[f.Conn]
	if c == nil || !c.up[1-f.End] {
		return
	}
	end := 1 - f.End
	n := w.nodes[c.nodes[end]]
	if !n.alive || n.life != c.lives[end] || !n.knows(f.log.epoch) || !w.solicited(n, c, end, &f) {
		return
	}
	c.used = w.now()
	session := c.ids[end]
	if f.bad {
		w.measure.bad++
		w.tell(n, swarm.BlockBad{Session: session, Log: f.log.id, Index: f.index, Err: feed.ErrPayload})
		return
	}
	b := &f.log.blocks[f.index]
	age := f.age + w.net.ConnRTT(f.Conn, end)/2
	fresh := n.hold(f.log, f.index, w.now()-age)
	w.measure.arrived(w, n, &f, b, fresh)
	w.tell(n, swarm.BlockIn{
		Session: session, Log: f.log.id, Index: f.index, Kind: f.log.kind(f.index), Back: b.back, Size: int(b.size), Wall: w.wall(b.at), Age: age,
		Path: f.path, Fresh: fresh, Repaired: f.repair,
	})
	if n.alive && f.log == f.log.epoch.media && w.rand.Uint32()%burstOne == 0 {
		w.burst(n, w.nodes[c.nodes[f.End]], session)
	}
}

// burstOne is of how many blocks one tells how fast its first packets came.
const burstOne = 6

// burst tells a node how fast the first packets of a block came: as the slower of both access links lets them, and not very exactly.
func (w *World) burst(n, from *node, session swarm.SessionID) {
	rate := min(w.net.Host(from.index).Up, w.net.Host(n.index).Down) * math.Exp(0.35*w.rand.NormFloat64())
	w.tell(n, swarm.Burst{Session: session, Rate: uint64(rate)})
}

// solicited reports whether a block's stream was asked for. If not, the receiver says so when it begins, as quicwire does.
func (w *World) solicited(n *node, c *conn, end uint8, f *flight) bool {
	if f.repair {
		return true
	}
	stripe := uint8(f.index % uint64(f.log.stripes))
	switch {
	case f.opens && c.subs[end].has(f.log, stripe):
		c.refused[end].drop(f.log, stripe)
	case f.opens:
		c.refused[end].add(f.log, stripe)
		w.measure.strays++
		w.post(n, c, end, &quicwire.Unsub{Log: f.log.id, Stripe: stripe, Reason: quicwire.UnsubUnsolicited})
	}
	return !c.refused[end].has(f.log, stripe)
}
