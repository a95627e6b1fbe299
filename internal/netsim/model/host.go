package model

import (
	"math"
	"time"
)

// A Kind is what bytes are for.
type Kind uint8

// The kinds of bytes.
const (
	Media     Kind = iota // payloads of pushed blocks, and the framing of their packets
	Proofs                // what else is on stripe streams: headers, records, signatures, hashes
	Repair                // all of blocks that were asked for one by one
	Status                // STATUS messages
	Control               // other messages
	Acks                  // packets that only acknowledge
	Handshake             // all before a session is up
	Kinds
)

// Bytes counts by kind.
type Bytes [Kinds]int64

// Total returns the sum.
func (b *Bytes) Total() (sum int64) {
	for _, n := range b {
		sum += n
	}
	return sum
}

// A Host is one node's place in the network.
type Host struct {
	Up, Down float64 // bits per second on the wire
	X, Y     float64 // where it is, 0 to 1: how far from others
	NAT      bool    // nobody can dial it, unless it has just dialled them

	Sent     Bytes // retransmissions included
	Received int64

	up   uplink
	down time.Duration // when the downlink has carried all that has reached it
	out  [8]dialled    // to whom its NAT lets packets back in: a ring
	outs int
}

// An uplink carries blocks one after the other, and messages before them.
type uplink struct {
	queue   ring[Transfer]
	busy    bool          // a block is being sent
	since   time.Duration // when busy changed last
	control time.Duration // when the last message leaves
	debt    time.Duration // time that messages and ACKs took while a block was being sent; the next block waits for it
}

// A dialled is somebody whom a host has dialled.
type dialled struct {
	host int32
	at   time.Duration
}

// mapping is how long a NAT remembers an outgoing packet.
const mapping = 10 * time.Second

// Position is the way between two hosts, one way: 10 to 60 ms.
func owd(a, b *Host) time.Duration {
	d := math.Hypot(a.X-b.X, a.Y-b.Y) / math.Sqrt2
	return 10*time.Millisecond + time.Duration(d*float64(50*time.Millisecond))
}

// takes returns how long a link of so many bits per second needs for n bytes.
func takes(n int, rate float64) time.Duration {
	return time.Duration(float64(n) * 8e9 / rate)
}

// Backlog returns how long what waits for the uplink will take, messages aside.
func (h *Host) Backlog() time.Duration {
	n := 0
	for i := range h.up.queue.len() {
		n += h.up.queue.at(i).wire()
	}
	return takes(n, h.Up) + h.up.debt
}

// queued returns how long a packet would wait for the downlink now.
func (h *Host) queued(now time.Duration) time.Duration { return max(0, h.down-now) }

// Waits returns how long a packet would wait for a host's downlink now.
func (n *Net) Waits(host int32, now time.Duration) time.Duration { return n.hosts[host].queued(now) }

// settle pays debts of the uplink with the time in which it was idle.
func (u *uplink) settle(now time.Duration) {
	if !u.busy && u.debt > 0 {
		u.debt = max(0, u.debt-(now-u.since))
		u.since = now
	}
}

// message takes n bytes of a message, and returns when the last of them leaves. It goes before blocks, but not before the packet that is
// on its way: half of one on average.
func (h *Host) message(now time.Duration, n int) time.Duration {
	u := &h.up
	took := takes(n, h.Up)
	from := max(now, u.control)
	if u.busy && u.control <= now {
		from += takes(packetSize/2, h.Up)
	}
	u.control = from + took
	if u.busy {
		u.debt += took
	}
	return u.control
}

// acks takes ACKs, which are so small that nothing waits for one; but together they take time from blocks.
func (h *Host) acks(now time.Duration, n int) {
	h.up.settle(now)
	h.up.debt += takes(n, h.Up)
	h.Sent[Acks] += int64(n)
}

// remember notes that the host has sent a packet to another, so that its NAT lets answers in.
func (h *Host) remember(to int32, now time.Duration) {
	h.out[h.outs%len(h.out)] = dialled{to, now}
	h.outs++
}

// open reports whether packets of a host that was not asked can reach h.
func (h *Host) open(from int32, now time.Duration) bool {
	if !h.NAT {
		return true
	}
	for i := range min(h.outs, len(h.out)) {
		if d := h.out[i]; d.host == from && now-d.at <= mapping {
			return true
		}
	}
	return false
}
