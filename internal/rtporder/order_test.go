package rtporder

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
	"pgregory.net/rapid"
)

func TestReorder(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []uint16 // one packet each 10 ms
		want []uint16
	}{
		{"in order", []uint16{65534, 65535, 0, 1}, []uint16{65534, 65535, 0, 1}},
		{"overtaken", []uint16{65534, 0, 65535, 2, 1}, []uint16{65534, 65535, 0, 1, 2}},
		{"twice", []uint16{1, 1, 3, 3, 2, 2, 3}, []uint16{1, 2, 3}},
		{"lost", []uint16{1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, []uint16{1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
		{"lost and not yet given up", []uint16{1, 3, 4}, []uint16{1}},
		{"two losses are given up one after the other", []uint16{1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, []uint16{1, 3, 4}},
		{"too late", []uint16{1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 2, 15}, []uint16{1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
		{"begun anew", append([]uint16{1000, 1001}, count16(tooOld+1)...), []uint16{1000, 1001, tooOld - 1, tooOld}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var q Queue
			var got []uint16
			emit := func(a Arrived) { got = append(got, a.Packet.SequenceNumber) }
			now := time.Unix(0, 0)
			for _, n := range c.in {
				now = now.Add(10 * time.Millisecond)
				q.Push(&rtp.Packet{Header: rtp.Header{SequenceNumber: n}}, now, emit)
				q.Expire(now, emit)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// count16 is 0, 1, ... n-1.
func count16(n int) (out []uint16) {
	for i := range n {
		out = append(out, uint16(i))
	}
	return out
}

// Whatever comes, numbers come out in order until the sender begins anew, none twice, and what waits is bounded.
func TestReorderAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		out, last := 0, -1
		emit := func(a Arrived) {
			if n := int(a.Packet.SequenceNumber); n <= last {
				t.Fatalf("%d follows %d", n, last)
			} else {
				last = n
			}
			out++
		}
		now, in := time.Unix(0, 0), map[uint16]bool{}
		for range rapid.IntRange(1, 100).Draw(t, "packets") {
			n := uint16(rapid.IntRange(0, tooOld-2).Draw(t, "number"))
			now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "pause")) * time.Millisecond)
			in[n] = true
			q.old = 0 // a new beginning is allowed to go back; the table has it
			q.Push(&rtp.Packet{Header: rtp.Header{SequenceNumber: n}}, now, emit)
			q.Expire(now, emit)
		}
		q.Flush(emit)
		if out > len(in) || len(q.waiting) != 0 {
			t.Fatalf("%d packets came out of %d, %d wait", out, len(in), len(q.waiting))
		}
	})
}
