package rtporder

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// FuzzQueue: whatever numbers come, and whenever, each packet comes out once at most and in order until a sender begins anew, no more wait than may, and
// none after the end. What comes in order is not kept.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0xff, 0xfe, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0}, byte(0))                              // in order, across the wrap
	f.Add([]byte{0, 1, 5, 0, 3, 5, 0, 2, 5, 0, 6, 5, 0, 5, 5, 0, 4, 5}, byte(0))                        // overtaken
	f.Add([]byte{0, 1, 5, 0, 3, 200, 0, 4, 200, 0, 2, 1, 0, 2, 1}, byte(50))                            // lost, late and twice
	f.Add([]byte{0x70, 0, 0, 0, 9, 0, 0, 10, 0, 0, 11, 0, 0x70, 1, 0, 0xf0, 2, 0, 0x30, 3, 0}, byte(9)) // far apart
	f.Fuzz(func(t *testing.T, in []byte, wait byte) {
		q := &Queue{Wait: time.Duration(wait) * time.Millisecond}
		now, pushed, past, came := time.Unix(0, 0), 0, 0, map[*rtp.Packet]bool{}
		var next uint16
		var anew *rtp.Packet // with which a sender began anew
		emit := func(a Arrived) {
			if came[a.Packet] || a.At.After(now) {
				t.Fatalf("packet %d comes out twice, or before it came", a.Packet.SequenceNumber)
			}
			if len(came) > 0 && a.Packet != anew && int16(a.Packet.SequenceNumber-next) < 0 {
				t.Fatalf("packet %d comes out where %d is next", a.Packet.SequenceNumber, next)
			}
			came[a.Packet], next = true, a.Packet.SequenceNumber+1
		}
		for ; len(in) >= 3; in = in[3:] {
			now = now.Add(time.Duration(in[2]) * time.Millisecond)
			p := &rtp.Packet{Header: rtp.Header{SequenceNumber: binary.BigEndian.Uint16(in)}}
			if past = past + 1; !q.started || int16(p.SequenceNumber-q.next) >= 0 {
				past = 0
			}
			if past == tooOld {
				anew, past = p, 0
			}
			passes := q.Passes(p.SequenceNumber)
			if q.Push(p, now, emit); passes && (!came[p] || q.Len() > 0) {
				t.Fatalf("packet %d was to pass, and waits", p.SequenceNumber)
			}
			pushed++
			q.Expire(now, emit)
			if q.Len() > most {
				t.Fatalf("%d packets wait", q.Len())
			}
		}
		q.Flush(emit)
		if q.Len() != 0 || len(came) > pushed {
			t.Fatalf("%d packets wait after the end, and %d of %d came", q.Len(), len(came), pushed)
		}
	})
}
