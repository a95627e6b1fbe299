package mpegts

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/clip/cliptest"
	"tailcast/internal/ts"
)

// received is what becomes of datagrams, and what was counted.
func received(t *testing.T, packets [][]byte) (*sink, *ingest.Stats) {
	t.Helper()
	s, stats := newSink(0), new(ingest.Stats)
	synctest.Test(t, func(t *testing.T) {
		scanner := ts.NewScanner(ts.Config{Sink: s, Stats: stats})
		d := &datagrams{scanner: scanner, stats: stats, log: slog.New(slog.DiscardHandler)}
		for _, p := range packets {
			d.take(bytes.Clone(p))
			clear(p) // the buffer of a socket is used again
			time.Sleep(2 * time.Millisecond)
		}
		d.flush()
		scanner.Flush()
	})
	return s, stats
}

func wrapped(t *testing.T, kind uint8) (out [][]byte) {
	for i, p := range portions() {
		out = append(out, inRTP(t, rtp.Header{PayloadType: kind, SequenceNumber: uint16(65500 + i), SSRC: 7}, p))
	}
	return out
}

// TestDatagrams: what the network and encoders do to RTP and that leaves no trace.
func TestDatagrams(t *testing.T) {
	for _, c := range []struct {
		name string
		in   func() [][]byte
	}{
		{"bare", portions},
		{"RTP", func() [][]byte { return wrapped(t, 33) }},
		{"RTP of a type of its own", func() [][]byte { return wrapped(t, 96) }},
		{"out of order", func() [][]byte {
			in := wrapped(t, 33)
			r := rand.New(rand.NewPCG(1, 2))
			for i := 1; i+8 <= len(in); i += 8 {
				r.Shuffle(8, func(a, b int) { in[i+a], in[i+b] = in[i+b], in[i+a] })
			}
			return in
		}},
		{"each twice", func() (out [][]byte) {
			for _, p := range wrapped(t, 33) {
				out = append(out, p, bytes.Clone(p))
			}
			return out
		}},
		{"error correction and reports in between", func() (out [][]byte) {
			for i, p := range wrapped(t, 33) {
				out = append(out, p, inRTP(t, rtp.Header{PayloadType: 97, SequenceNumber: uint16(i), SSRC: 9}, p[20:300]), []byte("\x80\xc8\x00\x06RTCP with a sender report  "))
			}
			return out
		}},
		{"the sender begins anew", func() [][]byte {
			in := wrapped(t, 33)
			for i, p := range portions() {
				if i >= 200 {
					in[i] = inRTP(t, rtp.Header{PayloadType: 33, SequenceNumber: uint16(i), SSRC: 8}, p)
				}
			}
			return in
		}},
		{"extension and padding", func() (out [][]byte) {
			for i, p := range portions() {
				h := rtp.Header{PayloadType: 33, SequenceNumber: uint16(i), SSRC: 7, Extension: true, ExtensionProfile: 1, Padding: true, PaddingSize: 4}
				if err := h.SetExtension(0, []byte("abcd")); err != nil {
					t.Fatal(err)
				}
				out = append(out, inRTP(t, h, p))
			}
			return out
		}},
		{"204 bytes a packet", func() (out [][]byte) {
			for in := clip.Bytes(); len(in) > 0; in = in[188:] {
				if len(out) == 0 || len(out[len(out)-1]) >= 6*204 {
					out = append(out, nil)
				}
				last := &out[len(out)-1]
				*last = append(append(*last, in[:188]...), make([]byte, 16)...)
			}
			return out
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, stats := received(t, c.in())
			same(t, s.of(pictures), want(t).of(pictures))
			same(t, s.of(sound), want(t).of(sound))
			if n := stats.LostPackets.Load() + stats.DamagedSamples.Load(); n != 0 {
				t.Errorf("got %d losses, want none", n)
			}
		})
	}
}

// TestDatagramsLost: what is lost is counted, by however many datagrams: 16 packets of one stream, or a multiple, leave no trace in its
// own counter.
func TestDatagramsLost(t *testing.T) {
	for _, lost := range []int{1, 2, 3, 7, 16, 50} {
		in := wrapped(t, 33)
		in = append(in[:100], in[100+lost:]...)
		s, stats := received(t, in)
		if got := stats.LostPackets.Load(); got != uint64(7*lost) {
			t.Errorf("%d datagrams: got %d packets, want %d", lost, got, 7*lost)
		}
		damaged := 0
		for _, a := range s.samples {
			if a.Flags&ingest.Damaged != 0 {
				damaged++
			}
		}
		if damaged == 0 || stats.DamagedSamples.Load() != uint64(damaged) {
			t.Errorf("%d datagrams: %d samples are damaged and %d counted", lost, damaged, stats.DamagedSamples.Load())
		}
	}
}

func FuzzTransportPackets(f *testing.F) {
	f.Add([]byte("\xb3\x21\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\xbe\xde\x00\x01abcdG...\x00\x02"))
	f.Add([]byte("G..."))
	for _, clip := range cliptest.TS(f) {
		var bare, packed []byte
		for i, p := range slices.Collect(slices.Chunk(clip, 188))[:40] { // a byte says how long each is
			if i%8 == 7 {
				continue // lost
			}
			q := inRTP(f, rtp.Header{PayloadType: 33, SequenceNumber: uint16(65530 + i ^ i&2>>1), SSRC: 7}, p) // some overtake others
			bare, packed = append(append(bare, 189), p...), append(append(packed, byte(len(q)+1)), q...)
		}
		f.Add(bare)
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		stats := new(ingest.Stats)
		d := &datagrams{scanner: ts.NewScanner(ts.Config{Sink: newSink(0), Stats: stats}), stats: stats, log: slog.New(slog.DiscardHandler)}
		for len(in) > 0 { // a byte says how long the next datagram is
			n := min(1+int(in[0]), len(in))
			d.take(in[1:n])
			in = in[n:]
		}
		d.flush()
		if d.waiting() {
			t.Error("packets wait after the end")
		}
	})
}

// TestBareAfterRTP: who sends bare packets takes over from a sender of RTP that has fallen silent, and not before.
func TestBareAfterRTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stats := newSink(0), new(ingest.Stats)
		d := &datagrams{scanner: ts.NewScanner(ts.Config{Sink: s, Stats: stats}), stats: stats, log: slog.New(slog.DiscardHandler)}
		all := portions()
		for i, p := range wrapped(t, 33)[:100] {
			d.take(p)
			d.take(all[len(all)-1-i]) // another sender's, which does not get through
		}
		if n := stats.LostPackets.Load(); n != 0 {
			t.Errorf("%d packets are lost while both send, want none", n)
		}
		before := len(s.samples)
		time.Sleep(otherSender + time.Millisecond)
		for _, p := range all[100:] {
			d.take(p)
		}
		d.scanner.Flush()
		if n := stats.LostPackets.Load(); n != 0 || len(s.samples) < before+100 {
			t.Errorf("%d packets are lost and %d samples came after the change, want none and all that were left", n, len(s.samples)-before)
		}
	})
}
