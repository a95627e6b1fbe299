package model

import (
	"time"
)

// What QUIC takes. Sizes in bytes on the wire.
const (
	packetData  = 1340 // of a stream in a full packet
	packetFrame = 60   // IPv4, UDP, QUIC's short header, frame header, AEAD
	packetSize  = packetData + packetFrame
	ackSize     = 60 // a packet that only acknowledges
	ackEvery    = 3  // packets of blocks

	initialWindow = 32 // packets
	leastWindow   = 2
	afterLoss     = 0.7  // of the window
	pacing        = 1.25 // windows per round trip
	pacerBurst    = 10   // packets
	ackDelay      = 25 * time.Millisecond
)

// packets returns how many packets n bytes of a stream take.
func packets(n int) int { return (n + packetData - 1) / packetData }

// framed returns n bytes of a stream as they are on the wire.
func framed(n int) int { return n + packets(n)*packetFrame }

// A Conn is a QUIC connection. Its ends are called 0 (who dialled) and 1.
type Conn struct {
	Ends [2]int32 // hosts
	base time.Duration
	dirs [2]direction // [i]: from end i
}

// A direction is what the sender of a connection knows, and the order in which things arrive.
type direction struct {
	window   float64 // packets
	cautious bool    // slow start is over
	flight   [6]flight
	pacer    time.Duration // when the pacer would have sent all so far, without bursts
	taken    time.Duration // when QUIC has taken all blocks so far
	arrived  time.Duration // when the last message arrives
	streams  []stream      // those whose last block may still be on its way
	srtt     time.Duration

	packed   int           // bytes in the last packet of messages, while others may still join it
	packedAt time.Duration // when it was made
	acked    time.Duration // when messages in this direction were acknowledged last
}

// A flight is some packets that are not acknowledged.
type flight struct {
	acked   time.Duration
	packets int
	limited bool // the window held them up, or nearly: if they arrive, it may grow
}

// A stream remembers when its last block arrives.
type stream struct {
	id   uint32
	last time.Duration
}

func newDirection(rtt time.Duration) direction {
	return direction{window: initialWindow, srtt: rtt, acked: -ackDelay, packedAt: -1}
}

// inflight returns how many packets are not acknowledged at a time.
func (d *direction) inflight(at time.Duration) (n int) {
	for i := range d.flight {
		if d.flight[i].acked > at {
			n += d.flight[i].packets
		}
	}
	return n
}

// settle takes in what has been acknowledged until a time. The window grows by it: by as much in slow start, else by one packet a window.
func (d *direction) settle(at time.Duration) {
	for i := range d.flight {
		f := &d.flight[i]
		if f.acked > at || f.packets == 0 {
			continue
		}
		switch {
		case f.limited && d.cautious:
			d.window += float64(f.packets) / d.window
		case f.limited:
			d.window += float64(f.packets)
		}
		*f = flight{}
	}
}

// admit sends n packets, the first of which is due at a time and the last of which has left the uplink at done, if nothing holds them up. It
// returns when the congestion window and the pacer let the last one out.
func (d *direction) admit(at, done time.Duration, n int, rtt time.Duration) time.Duration {
	paced := d.paced(at, n, rtt)
	for {
		d.settle(at)
		flying := d.inflight(at)
		if k := min(n, int(d.window)-flying); k > 0 {
			d.launch(max(at, done)+rtt, k, float64(flying+n))
			n -= k
		}
		if n == 0 {
			return max(at, paced)
		}
		at = d.nextAck()
	}
}

// paced returns when the pacer lets the last of n packets out: 10 of them at once, else 1.25 windows a round trip.
func (d *direction) paced(at time.Duration, n int, rtt time.Duration) time.Duration {
	each := time.Duration(float64(rtt) / (pacing * d.window))
	d.pacer = max(d.pacer, at) + time.Duration(n)*each
	return max(at, d.pacer-pacerBurst*each)
}

// nextAck returns when the next packets are acknowledged.
func (d *direction) nextAck() time.Duration {
	next := Never
	for i := range d.flight {
		if d.flight[i].packets > 0 {
			next = min(next, d.flight[i].acked)
		}
	}
	return next
}

// launch notes packets that will be acknowledged at a time. If nearly as many are wanted as the window has (in slow start: half), it may grow.
func (d *direction) launch(acked time.Duration, n int, wanted float64) {
	f := flight{acked, n, wanted >= d.window-3 || !d.cautious && wanted > d.window/2}
	slot := &d.flight[0]
	for i := range d.flight {
		if d.flight[i].packets == 0 {
			d.flight[i] = f
			return
		}
		if d.flight[i].acked > slot.acked {
			slot = &d.flight[i]
		}
	}
	slot.packets += n // with the latest; there are seldom so many
	slot.acked = max(slot.acked, acked)
}

// congested is what a loss does.
func (d *direction) congested() {
	d.cautious = true
	d.window = max(leastWindow, afterLoss*d.window)
}

// ordered returns when a block arrives on a stream that would arrive at a time by itself: not before the one before it.
func (d *direction) ordered(id uint32, now, at time.Duration) time.Duration {
	for i := 0; i < len(d.streams); i++ {
		s := &d.streams[i]
		if s.id == id {
			s.last = max(s.last, at)
			return s.last
		}
		if s.last <= now { // it no longer holds anybody up
			*s = d.streams[len(d.streams)-1]
			d.streams = d.streams[:len(d.streams)-1]
			i--
		}
	}
	d.streams = append(d.streams, stream{id, at})
	return at
}
