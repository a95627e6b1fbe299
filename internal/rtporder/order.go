// Package rtporder puts RTP packets that came as datagrams in order of their sequence numbers.
//
// Over UDP packets overtake one another, and get lost. gortsplib puts them in order, but where one is lost it waits until 64 later
// ones have come: two hundred milliseconds of video, and ten seconds of sound from ffmpeg, which sends seven packets a second.
// So we wait ourselves, and by the clock.
package rtporder

import (
	"cmp"
	"slices"
	"time"

	"github.com/pion/rtp"
)

// Patience is how much later than the one after it a packet may be before it counts as lost, unless somebody wants to wait longer.
const Patience = 100 * time.Millisecond

const (
	most   = 1024 // packets that wait
	tooOld = 32   // packets from the past, in a row, that mean that the sender began anew
)

// Queue puts the packets of one sender in order of their sequence numbers. The zero value is ready.
type Queue struct {
	Wait    time.Duration // for a packet that those after it have overtaken. If zero, Patience.
	started bool
	next    uint16    // the number that comes out next
	waiting []Arrived // ascending; all are after next
	old     int       // packets from the past since the last that was not
}

// Arrived is a packet and when it came.
type Arrived struct {
	Packet *rtp.Packet
	At     time.Time
}

// Passes tells whether Push will hand a packet of this number on at once and not keep it.
func (q *Queue) Passes(number uint16) bool {
	return len(q.waiting) == 0 && (!q.started || number == q.next)
}

// Len is how many packets wait.
func (q *Queue) Len() int { return len(q.waiting) }

// Push takes a packet that arrived now and hands on what is in order.
func (q *Queue) Push(p *rtp.Packet, now time.Time, emit func(Arrived)) {
	ahead := int16(p.SequenceNumber - q.next)
	if q.started && ahead < 0 {
		if q.old++; q.old < tooOld {
			return // a second time, or too late
		}
		q.Flush(emit)
		q.started = false
	}
	if !q.started {
		q.started, q.next = true, p.SequenceNumber
	}
	q.old = 0
	at, double := slices.BinarySearchFunc(q.waiting, p.SequenceNumber, func(a Arrived, n uint16) int {
		return int(a.Packet.SequenceNumber-q.next) - int(n-q.next)
	})
	if double {
		return
	}
	q.waiting = slices.Insert(q.waiting, at, Arrived{p, now})
	if len(q.waiting) > most {
		q.next = q.waiting[0].Packet.SequenceNumber
	}
	q.run(emit)
}

// Expire gives up on packets that are overdue.
func (q *Queue) Expire(now time.Time, emit func(Arrived)) {
	for len(q.waiting) > 0 && now.Sub(q.waiting[0].At) > cmp.Or(q.Wait, Patience) {
		q.next = q.waiting[0].Packet.SequenceNumber
		q.run(emit)
	}
}

// Flush hands on all that waits.
func (q *Queue) Flush(emit func(Arrived)) {
	for len(q.waiting) > 0 {
		q.next = q.waiting[0].Packet.SequenceNumber
		q.run(emit)
	}
}

// run hands on the packets that follow one another from next on.
func (q *Queue) run(emit func(Arrived)) {
	n := 0
	for n < len(q.waiting) && q.waiting[n].Packet.SequenceNumber == q.next {
		emit(q.waiting[n])
		n, q.next = n+1, q.next+1
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
}
