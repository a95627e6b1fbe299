package ts

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

// each calls f for every transport packet of b.
func each(b []byte, f func(i int, p []byte)) {
	for i := 0; i+188 <= len(b); i += 188 {
		f(i/188, b[i:i+188])
	}
}

// without leaves out packets.
func without(b []byte, drop func(i int, p []byte) bool) (out []byte, dropped int) {
	each(b, func(i int, p []byte) {
		if drop(i, p) {
			dropped++
			return
		}
		out = append(out, p...)
	})
	return out, dropped
}

// identity is what makes a sample the same.
func identity(s ingest.Sample) string { return fmt.Sprint(s.Track, s.PTS, s.DTS, string(s.Data)) }

// unmarked counts the samples that are neither those of the whole stream nor marked as damaged.
func unmarked(whole, got []ingest.Sample) (n int) {
	known := make(map[string]bool)
	for _, s := range whole {
		known[identity(s)] = true
	}
	for _, s := range got {
		if s.Flags&ingest.Damaged == 0 && !known[identity(s)] {
			n++
		}
	}
	return n
}

func TestScannerFindsPackets(t *testing.T) {
	in := clip.Bytes()
	whole, _ := scanAll(in)
	var in192, in204, twice []byte
	each(in, func(i int, p []byte) {
		in192 = append(append(in192, 0x47, byte(i), 0, 0), p...)
		in204 = append(append(in204, p...), bytes.Repeat([]byte{0x47}, 16)...)
		twice = append(append(twice, p...), p...)
	})
	cut := func(from, to int) []byte { return append(bytes.Clone(in[:from]), in[to:]...) }
	flipped := bytes.Clone(in)
	flipped[188*1000] = 0
	for _, c := range []struct {
		name             string
		in               []byte
		missing, skipped int // at most
	}{
		{"packets of 188 bytes", in, 0, 0},
		{"packets of 192 bytes", in192, 0, 4},
		{"packets of 204 bytes", in204, 0, 0},
		{"each packet twice", twice, 0, 0},
		{"garbage in front", append(bytes.Repeat([]byte{0x47, 1}, 77), in...), 0, 154},
		{"garbage in the middle", append(append(bytes.Clone(in[:188*1000]), bytes.Repeat([]byte("garbage"), 999)...), in[188*1000:]...), 1, 7000},
		{"one byte lost", cut(188*1000+50, 188*1000+51), 2, 188},
		{"a packet and a half lost", cut(188*1000+50, 188*1001+144), 2, 188},
		{"a sync byte wrong", flipped, 2, 188},
		{"cut in mid-packet", in[:len(in)-100], 2, 88},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, portion := range []int{1316, 7*188 + 5, 64 << 10} {
				got, stats := scan(c.in, portion, Config{})
				if n := unmarked(whole.samples, got.samples); n != 0 {
					t.Errorf("got %d samples that are wrong and not marked", n)
				}
				intact := len(got.samples) - flagged(got.samples, ingest.Damaged)
				if want := len(whole.samples) - 11 - c.missing; c.missing > 0 && intact < want || c.missing == 0 && intact != len(whole.samples) {
					t.Errorf("got %d intact samples of %d", intact, len(whole.samples))
				}
				if n := int(stats.SkippedBytes.Load()); n > c.skipped || c.skipped > 0 && n == 0 {
					t.Errorf("got %d bytes skipped, want %d at most", n, c.skipped)
				}
				if c.missing == 0 && stats.LostPackets.Load() > 0 {
					t.Errorf("got %d packets lost, want none", stats.LostPackets.Load())
				}
			}
		})
	}
}

// TestScannerLoss drops one packet in a hundred: every one is counted, and no sample that misses bytes is unmarked or dropped.
func TestScannerLoss(t *testing.T) {
	in := clip.Bytes()
	whole, _ := scanAll(in)
	lossy, dropped := without(in, func(i int, p []byte) bool { return i%100 == 99 && p[1]&0x1f == 1 })
	got, stats := scanAll(lossy)
	if n := stats.LostPackets.Load(); int(n) != dropped {
		t.Errorf("got %d packets counted as lost, want %d", n, dropped)
	}
	if n := unmarked(whole.samples, got.samples); n != 0 {
		t.Errorf("got %d samples that are wrong and not marked", n)
	}
	if n := int(stats.DamagedSamples.Load()); n != flagged(got.samples, ingest.Damaged) || n == 0 {
		t.Errorf("got %d damaged samples counted, want %d", n, flagged(got.samples, ingest.Damaged))
	}
	// Where the first packet of a picture is lost, nothing tells its bytes from those of the picture before.
	if n := len(got.of(256)); n < 185 {
		t.Errorf("got %d pictures of 192: damaged ones are to be kept", n)
	}
}

// TestScannerAnyLoss: whatever packets are lost, what is not marked is right. A counter has four bits, so up to 15 in a row are seen.
func TestScannerAnyLoss(t *testing.T) {
	in := clip.Bytes()
	in = in[:188*1200]
	whole, _ := scanAll(in)
	rapid.Check(t, func(t *rapid.T) {
		lose := make(map[int]bool)
		for range rapid.IntRange(1, 20).Draw(t, "bursts") {
			first := rapid.IntRange(5, 1190).Draw(t, "first")
			for i := range rapid.IntRange(1, 6).Draw(t, "length") {
				lose[first+i] = true
			}
		}
		if countersHide(in, lose) {
			t.Skip("continuity counters have four bits: sixteen packets lost in a row leave no trace")
		}
		lossy, _ := without(in, func(i int, _ []byte) bool { return lose[i] })
		got, _ := scanAll(lossy)
		// A lost beginning of a PES packet takes its times along: what follows is marked.
		if n := unmarked(whole.samples, got.samples); n != 0 {
			t.Fatalf("got %d samples that are wrong and not marked", n)
		}
	})
}

// countersHide reports whether a PID loses a multiple of sixteen packets between two that come: its counter goes on as if none were lost.
func countersHide(in []byte, lose map[int]bool) bool {
	missing := make(map[uint16]int)
	for i := range len(in) / 188 {
		pid := uint16(in[188*i+1]&0x1f)<<8 | uint16(in[188*i+2])
		if lose[i] {
			missing[pid]++
			continue
		}
		if missing[pid] > 0 && missing[pid]%16 == 0 {
			return true
		}
		missing[pid] = 0
	}
	return false
}

func TestScannerMarksWhatCameBeforeLostSync(t *testing.T) {
	// Ten bytes are lost inside a packet in the middle of a picture, at the end of a portion: only the next one tells.
	in := clip.Bytes()
	s, r := NewScanner(Config{}), new(recorder)
	s.out.sink = r
	at := 188*20 + 100
	s.Write(in[:at])
	s.Write(in[at+10 : 188*21+10])
	s.Write(in[188*21+10 : 188*60])
	s.Flush()
	whole, _ := scanAll(in)
	if n := unmarked(whole.samples, r.samples); n > 1 { // the last picture is not complete, yet nothing was lost
		t.Errorf("got %d samples that are wrong and not marked", n)
	}
}

func TestScannerSignalledCounterJump(t *testing.T) {
	var b build
	b.pat(0, 1, 0x100)
	b.pmt(0x100, 1, 0, 0x101, nil, es(typeH264, 0x101))
	for i := range int64(4) {
		b.counters[0x101] += 5 // jumps, announced by discontinuity_indicator
		b.unit(0x101, []byte{0x80}, pes(idVideo, i*3600, i*3600, false, idr(100)))
	}
	r, stats := scanAll(b.Bytes())
	if n := stats.LostPackets.Load(); n != 0 || len(r.samples) != 4 {
		t.Errorf("got %d lost and %d samples, want 0 and 4", n, len(r.samples))
	}
	if n := flagged(r.samples, ingest.Discontinuity|ingest.Damaged); n != 0 {
		t.Errorf("got %d flagged: a jump of the counter is none of the clock", n)
	}
}

// TestScannerBoundsMemory: PES packets that never end, in every track there can be.
func TestScannerBoundsMemory(t *testing.T) {
	var b build
	b.pat(0, 1, 0x100)
	var streams [][]byte
	for i := range uint16(ingest.MaxTracks) {
		streams = append(streams, es(typeH264, 0x200+i))
	}
	b.pmt(0x100, 1, 0, 0x200, nil, streams...)
	for i := range uint16(ingest.MaxTracks) {
		b.packet(0x200+i, true, nil, pes(idVideo, 0, 0, false, make([]byte, 170)))
	}
	r, stats := new(counter), new(ingest.Stats)
	s := NewScanner(Config{Sink: r, Stats: stats})
	s.Write(b.Bytes())
	filler := make([]byte, 184)
	for range 30 {
		b.Reset()
		for i := range uint16(ingest.MaxTracks) {
			for range 100 {
				b.packet(0x200+i, false, nil, filler)
			}
		}
		s.Write(b.Bytes())
		if s.held > maxHeld {
			t.Fatalf("holding %d bytes, want %d at most", s.held, maxHeld)
		}
	}
	s.Flush()
	kept := 0
	for _, es := range s.tables.streams {
		kept += cap(es.buf)
	}
	if s.held != 0 || kept > ingest.MaxTracks*maxKept {
		t.Errorf("holding %d bytes and keeping %d at the end", s.held, kept)
	}
	if r.bytes == 0 || stats.DamagedSamples.Load() == 0 {
		t.Errorf("got %d bytes in %d damaged samples, want what there was, marked", r.bytes, stats.DamagedSamples.Load())
	}
}

type counter struct{ bytes int }

func (*counter) SetProgram(*ingest.Program)    {}
func (c *counter) WriteSample(s ingest.Sample) { c.bytes += len(s.Data) }
