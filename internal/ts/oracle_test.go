package ts

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/asticode/go-astits"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

// oracle reads in with go-astits: units of PES packets, with raw times.
func oracle(t testing.TB, in []byte) map[uint16][]ingest.Sample {
	t.Helper()
	d := astits.NewDemuxer(context.Background(), bytes.NewReader(in))
	out := make(map[uint16][]ingest.Sample)
	for {
		x, err := d.NextData()
		if errors.Is(err, astits.ErrNoMorePackets) {
			return out
		}
		if err != nil {
			t.Fatalf("couldn't read with go-astits: %v", err)
		}
		if x.PES == nil {
			continue
		}
		s := ingest.Sample{Data: x.PES.Data}
		if h := x.PES.Header.OptionalHeader; h.PTS != nil {
			s.PTS, s.DTS = h.PTS.Base, h.PTS.Base
			if h.DTS != nil {
				s.DTS = h.DTS.Base
			}
		}
		if a := x.FirstPacket.AdaptationField; a != nil && a.RandomAccessIndicator {
			s.Flags = ingest.RandomAccess
		}
		out[x.PID] = append(out[x.PID], s)
	}
}

// TestScannerEqualsAstits compares every access unit of the clip; AAC frames joined to the PES packets they came in.
func TestScannerEqualsAstits(t *testing.T) {
	in := clip.Bytes()
	want := oracle(t, in)
	for _, portion := range []int{1, 187, 188, 1316, 64 << 10, len(in)} {
		got, stats := scan(in, portion, Config{})
		compareVideo(t, got.of(256), want[256])
		compareSound(t, got.of(257), want[257])
		if n := stats.Samples.Load(); n != 192+375 {
			t.Errorf("in portions of %d: got %d samples, want 567", portion, n)
		}
		if l, d, s := stats.LostPackets.Load(), stats.Discontinuities.Load(), stats.SkippedBytes.Load(); l+d+s != 0 {
			t.Errorf("in portions of %d: lost %d, jumps %d, skipped %d, want none", portion, l, d, s)
		}
		if stats.Bytes.Load() != uint64(len(in)) {
			t.Errorf("got %d bytes counted, want %d", stats.Bytes.Load(), len(in))
		}
	}
}

func compareVideo(t *testing.T, got, want []ingest.Sample) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d pictures, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if !bytes.Equal(g.Data, w.Data) || g.PTS != w.PTS || g.DTS != w.DTS || g.Flags != w.Flags {
			t.Fatalf("picture %d: got %d bytes, PTS %d, DTS %d, flags %b, want %d, %d, %d, %b", i,
				len(g.Data), g.PTS, g.DTS, g.Flags, len(w.Data), w.PTS, w.DTS, w.Flags)
		}
	}
}

func compareSound(t *testing.T, got, want []ingest.Sample) {
	t.Helper()
	for i, w := range want {
		for pts := w.PTS; len(w.Data) > 0; pts += 1920 {
			if len(got) == 0 {
				t.Fatalf("got no frame for byte %d from the end of PES packet %d", len(w.Data), i)
			}
			g := got[0]
			if !bytes.HasPrefix(w.Data, g.Data) || len(g.Data) == 0 || g.PTS != pts || g.DTS != pts || g.Flags != 0 {
				t.Fatalf("PES packet %d: got a frame of %d bytes, PTS %d, DTS %d, flags %b, want PTS %d", i, len(g.Data), g.PTS, g.DTS, g.Flags, pts)
			}
			w.Data, got = w.Data[len(g.Data):], got[1:]
		}
	}
	if len(got) != 0 {
		t.Errorf("got %d frames more than PES packets hold", len(got))
	}
}

func TestScannerProgram(t *testing.T) {
	r, _ := scanAll(clip.Bytes())
	if len(r.programs) != 1 {
		t.Errorf("got %d programs, want one that is complete from the start", len(r.programs))
	}
	p := r.program(t)
	if p.Number != 1 || p.PMTPID != 4096 || p.PCRPID != 256 || p.Name != "Big Buck Bunny" || len(p.Tracks) != 2 {
		t.Fatalf("got program %+v", p)
	}
	v, a := p.Tracks[0], p.Tracks[1]
	if v.Codec != ingest.H264 || v.Width != 854 || v.Height != 480 || v.PID != 256 || v.StreamType != 0x1b || v.StreamID != 0xe0 {
		t.Errorf("got video track %+v", v)
	}
	if !bytes.HasPrefix(v.Config, []byte{0, 0, 0, 1, 0x67}) || !bytes.Contains(v.Config, []byte{0, 0, 0, 1, 0x68}) {
		t.Errorf("got video config %x, want SPS and PPS with start codes", v.Config)
	}
	if a.Codec != ingest.AAC || a.SampleRate != 48000 || a.Channels != 2 || !bytes.Equal(a.Config, []byte{0x11, 0x90}) || a.StreamID != 0xc0 {
		t.Errorf("got audio track %+v, config %x", a, a.Config)
	}
}
