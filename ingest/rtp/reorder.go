package rtp

import (
	"slices"
	"time"

	"github.com/pion/rtp"
)

// Over UDP packets overtake one another, and get lost. For those that are late we wait by the clock: a number of later packets is a
// moment of video, and many seconds of sound.

const (
	reorderFor  = 100 * time.Millisecond // unless somebody wants to wait longer
	reorderMost = 1024                   // packets that wait
	reorderOld  = 32                     // packets from the past, in a row, that mean that the sender began anew
)

// reorder puts the packets of one track in order of their sequence numbers.
type reorder struct {
	wait    time.Duration // a packet that is later than the one after it by more is lost
	started bool
	next    uint16    // the number that comes out next
	waiting []arrived // ascending; all are after next
	old     int       // packets from the past since the last that was not
}

type arrived struct {
	packet *rtp.Packet
	at     time.Time
}

// push takes a packet that arrived now and hands on what is in order.
func (r *reorder) push(p *rtp.Packet, now time.Time, emit func(arrived)) {
	ahead := int16(p.SequenceNumber - r.next)
	if r.started && ahead < 0 {
		if r.old++; r.old < reorderOld {
			return // a second time, or too late
		}
		r.flush(emit)
		r.started = false
	}
	if !r.started {
		r.started, r.next = true, p.SequenceNumber
	}
	r.old = 0
	at, double := slices.BinarySearchFunc(r.waiting, p.SequenceNumber, func(a arrived, n uint16) int {
		return int(a.packet.SequenceNumber-r.next) - int(n-r.next)
	})
	if double {
		return
	}
	r.waiting = slices.Insert(r.waiting, at, arrived{p, now})
	if len(r.waiting) > reorderMost {
		r.next = r.waiting[0].packet.SequenceNumber
	}
	r.run(emit)
}

// expire gives up on packets that are overdue.
func (r *reorder) expire(now time.Time, emit func(arrived)) {
	for len(r.waiting) > 0 && now.Sub(r.waiting[0].at) > r.wait {
		r.next = r.waiting[0].packet.SequenceNumber
		r.run(emit)
	}
}

// flush hands on all that waits.
func (r *reorder) flush(emit func(arrived)) {
	for len(r.waiting) > 0 {
		r.next = r.waiting[0].packet.SequenceNumber
		r.run(emit)
	}
}

// run hands on the packets that follow one another from next on.
func (r *reorder) run(emit func(arrived)) {
	n := 0
	for n < len(r.waiting) && r.waiting[n].packet.SequenceNumber == r.next {
		emit(r.waiting[n])
		n, r.next = n+1, r.next+1
	}
	r.waiting = slices.Delete(r.waiting, 0, n)
}
