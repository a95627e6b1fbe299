package model

import (
	"math"
	"time"
)

// A Transfer is a block on its way from one end of a connection to the other.
type Transfer struct {
	Conn   int32
	End    uint8  // of the sender
	Stream uint32 // blocks with the same number arrive in order
	Size   int32  // bytes of the stream
	Proofs int32  // so many of them are not payload
	Repair bool   // it was asked for
	Ref    int32  // the caller's
}

// wire returns how many bytes a transfer takes on the wire.
func (t *Transfer) wire() int { return framed(int(t.Size)) }

// A Sent says what becomes of a Transfer.
type Sent struct {
	Transfer
	Done  time.Duration // the sender's uplink is free again: call Next
	Taken time.Duration // QUIC has taken all of it; Never if it cannot: the other end acknowledges nothing
	Reach time.Duration // its first packet has reached the other end's downlink: call Land; Never if nobody is there
	Last  time.Duration // its last one has, at the earliest
}

// Never is later than everything.
const Never = time.Duration(math.MaxInt64)

// Push hands a block to QUIC. It reports whether the uplink was idle: Next must be called then.
func (n *Net) Push(t Transfer) (idle bool) {
	u := &n.hosts[n.conns[t.Conn].Ends[t.End]].up
	u.queue.push(t)
	return !u.busy
}

// Drop takes back blocks that wait for a host's uplink. Each is shown to gone once, which says whether it goes.
func (n *Net) Drop(host int32, gone func(*Transfer) bool) int {
	return n.hosts[host].up.queue.drop(gone)
}

// Next begins to send the next block of a host. It returns false if there is none; then the uplink is idle.
func (n *Net) Next(host int32, now time.Duration) (s Sent, ok bool) {
	h := &n.hosts[host]
	u := &h.up
	u.settle(now)
	if u.queue.len() == 0 {
		u.busy, u.since = false, now
		return s, false
	}
	s.Transfer = u.queue.pop()
	c := n.conns[s.Conn]
	other := c.Ends[1-s.End]
	d := &c.dirs[s.End]
	count := packets(int(s.Size))
	if n.dead[other] && float64(d.inflight(now)+count) > d.window {
		s.Done, s.Taken, s.Reach = now, Never, Never
		u.busy, u.since = false, now
		return s, true
	}
	u.busy, u.since = true, now
	start := max(now+u.debt, u.control)
	u.debt = 0
	s.Done = start + takes(s.wire(), h.Up)
	n.count(h, &s.Transfer, s.wire())
	if n.dead[other] {
		s.Taken, s.Reach = s.Done, Never
		d.launch(Never, count, 0)
		return s, true
	}
	n.carry(h, c, d, &s, max(start, d.taken), count)
	return s, true
}

// carry says when a block whose first packet is due at a time arrives.
func (n *Net) carry(h *Host, c *Conn, d *direction, s *Sent, first time.Duration, count int) {
	rtt := n.rtt(c, first)
	s.Taken = max(s.Done, d.admit(first, s.Done, count, rtt))
	d.taken = s.Taken
	s.Reach = first + takes(min(s.wire(), packetSize), h.Up) + c.base/2
	s.Last = s.Taken + c.base/2
	if lost := n.losses(count); lost > 0 {
		d.congested()
		s.Last += n.repaired(lost, count, rtt)
		h.up.debt += takes(lost*packetSize, h.Up)
		n.count(h, &s.Transfer, lost*packetSize)
	}
}

// count counts what a host sends of a block.
func (n *Net) count(h *Host, t *Transfer, wire int) {
	if t.Repair {
		h.Sent[Repair] += int64(wire)
		return
	}
	proofs := min(int(t.Proofs), wire)
	h.Sent[Proofs] += int64(proofs)
	h.Sent[Media] += int64(wire - proofs)
}

// Land lets a block through the downlink at the time s.Reach. It returns when all of it is there; or false if there is no room in the queue,
// then s.Reach is when it comes again.
func (n *Net) Land(s *Sent, now time.Duration) (at time.Duration, ok bool) {
	c := n.conns[s.Conn]
	d := &c.dirs[s.End]
	h, to := &n.hosts[c.Ends[s.End]], &n.hosts[c.Ends[1-s.End]]
	wire, rtt := s.wire(), n.rtt(c, now)
	if to.queued(now) > n.cfg.Buffer {
		d.congested()
		s.Reach = now + rtt + rtt/8
		s.Last = max(s.Last, s.Reach)
		d.taken = max(d.taken, s.Reach-c.base/2) // what comes after it waits for the window, too
		h.up.debt += takes(wire, h.Up)
		n.count(h, &s.Transfer, wire)
		return 0, false
	}
	to.down = max(to.down, now) + takes(wire, to.Down)
	to.Received += int64(wire)
	to.acks(now, (packets(int(s.Size))+ackEvery-1)/ackEvery*ackSize)
	d.measure(rtt)
	return d.ordered(s.Stream, now, max(s.Last, to.down)), true
}

// Message sends a message of so many bytes from one end of a connection to the other. It returns when it reaches the downlink there, where
// LandMessage is due; or false if nobody is there. Messages of the same moment share packets.
func (n *Net) Message(conn int32, end uint8, kind Kind, size int, now time.Duration) (reach time.Duration, ok bool) {
	c := n.conns[conn]
	d := &c.dirs[end]
	h := &n.hosts[c.Ends[end]]
	wire := size
	if joins := d.packedAt == now && d.packed+size <= packetData; joins {
		d.packed += size
	} else {
		wire = framed(size)
		d.packed, d.packedAt = size%packetData, now
	}
	h.Sent[kind] += int64(wire)
	leaves := h.message(now, wire)
	if n.dead[c.Ends[1-end]] {
		return 0, false
	}
	if wire != size {
		leaves += n.unlucky(h, c, kind, size, now)
		n.acknowledge(c, end, now)
	}
	d.arrived = max(d.arrived, leaves+c.base/2)
	return d.arrived, true
}

// unlucky draws how much later a message comes because a packet of it is lost: only a timer notices.
func (n *Net) unlucky(h *Host, c *Conn, kind Kind, size int, now time.Duration) (late time.Duration) {
	for n.losses(packets(size)) > 0 {
		late += n.rtt(c, now) + n.rtt(c, now)/2 + ackDelay
		h.Sent[kind] += int64(min(size, packetData) + packetFrame)
	}
	return late
}

// acknowledge counts the ACK of a message, which waits a moment for others.
func (n *Net) acknowledge(c *Conn, end uint8, now time.Duration) {
	d := &c.dirs[end]
	if now-d.acked < ackDelay {
		return
	}
	d.acked = now
	n.hosts[c.Ends[1-end]].acks(now, ackSize)
	d.measure(n.rtt(c, now))
}

// LandMessage lets a message of so many bytes through the downlink of a host. It returns when it is there: now, if nothing waits.
func (n *Net) LandMessage(host int32, size int, now time.Duration) (at time.Duration) {
	h := &n.hosts[host]
	at = max(h.down, now)
	h.down = at + takes(size, h.Down)
	h.Received += int64(size)
	return at
}
