package mpegts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/ts"
)

func TestFilePace(t *testing.T) {
	for _, speed := range []float64{0, 1, 4} {
		synctest.Test(t, func(t *testing.T) {
			s, stats := newSink(0), new(ingest.Stats)
			began := time.Now()
			f := &File{Config: Config{Stats: stats}, Open: clip.Open, Speed: speed}
			if err := f.Run(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			same(t, s.of(pictures), want(t).of(pictures))
			same(t, s.of(sound), want(t).of(sound))
			if n := stats.Samples.Load(); n != 567 || stats.Bytes.Load() != uint64(len(clip.Bytes())) || stats.LastSample.Load() == 0 {
				t.Errorf("got %d samples and %d bytes counted", n, stats.Bytes.Load())
			}
			v := s.of(pictures)
			for i, a := range v {
				due := time.Duration(float64(a.DTS-v[0].DTS) / max(speed, 1) * float64(time.Second) / ingest.ClockRate)
				if d := a.at.Sub(began) - due; d < 0 || d > time.Millisecond {
					t.Fatalf("speed %v, picture %d came at %v, want %v", speed, i, a.at.Sub(began), due)
				}
			}
			for i, a := range s.of(sound) { // comes in PES packets of eleven frames
				due := time.Duration(float64(a.DTS-v[0].DTS) / max(speed, 1) * float64(time.Second) / ingest.ClockRate)
				if d := a.at.Sub(began) - due; d.Abs() > time.Second/2 {
					t.Fatalf("speed %v, frame %d came at %v, want about %v", speed, i, a.at.Sub(began), due)
				}
			}
		})
	}
}

// TestFileLoop: three rounds, and neither track has a jump, a gap or an overlap.
func TestFileLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stats := newSink(3*567), new(ingest.Stats)
		began := time.Now()
		stop := start(t, &File{Config: Config{Stats: stats}, Open: clip.Open, Loop: true}, s)
		<-s.full
		if d := time.Since(began); d < 23*time.Second || d > 24*time.Second {
			t.Errorf("three rounds took %v, want 24 s less the last picture", d)
		}
		canceled(t, stop())
		once := want(t)
		for pid, step := range map[uint16]int64{pictures: 3750, sound: 1920} {
			got, round := s.of(pid), once.of(pid)
			for i, a := range got[:3*len(round)-1] {
				w := round[i%len(round)]
				shift := int64(i/len(round)) * 720000
				if !bytes.Equal(a.Data, w.Data) || a.DTS != w.DTS+shift || a.PTS != w.PTS+shift || a.Flags != w.Flags {
					t.Fatalf("PID %d, sample %d: got PTS %d, DTS %d, flags %b, want %d, %d, %b", pid, i, a.PTS, a.DTS, a.Flags, w.PTS+shift, w.DTS+shift, w.Flags)
				}
				if i > 0 && a.DTS-got[i-1].DTS != step {
					t.Fatalf("PID %d, sample %d is %d ticks after the last, want %d", pid, i, a.DTS-got[i-1].DTS, step)
				}
			}
		}
		if n := stats.Discontinuities.Load() + stats.LostPackets.Load() + stats.DamagedSamples.Load(); n != 0 || len(s.programs) != 1 {
			t.Errorf("got %d jumps, losses or damages, and %d programs, want 0 and 1", n, len(s.programs))
		}
	})
}

// TestFileLoopUneven: the tracks are not equally long; the longest goes on without a gap and none goes back.
func TestFileLoopUneven(t *testing.T) {
	in := clip.Bytes()
	in = in[:len(in)*2/5/188*188]
	s := newSink(1000)
	stop := start(t, &File{Open: opener(in), Loop: true, Speed: math.Inf(1)}, s)
	wait(t, s.full, "1000 samples")
	canceled(t, stop())
	whole := 0
	for pid, step := range map[uint16]int64{pictures: 3750, sound: 1920} {
		gap := int64(0)
		got := s.of(pid)
		for i := range got[1:] {
			d := got[i+1].DTS - got[i].DTS
			if gap = max(gap, d-step); d < step-1 {
				t.Fatalf("PID %d, sample %d is %d ticks after the last, want %d at least", pid, i+1, d, step)
			}
		}
		if gap <= 1 {
			whole++
		}
		if gap > 45000 {
			t.Errorf("PID %d has a gap of %d ticks", pid, gap)
		}
	}
	if whole == 0 {
		t.Error("both tracks have gaps, want one without")
	}
}

// TestFileLeadsInNameOnly: pictures are in the table but never come; the sound is not held up, nor does it all come at once.
func TestFileLeadsInNameOnly(t *testing.T) {
	var soundOnly []byte
	in := clip.Bytes()
	for i := 0; i < len(in); i += 188 {
		if pid := int(in[i+1]&0x1f)<<8 | int(in[i+2]); pid != pictures {
			soundOnly = append(soundOnly, in[i:i+188]...)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSink(0)
		began := time.Now()
		if err := (&File{Open: opener(soundOnly)}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); len(s.samples) != 375 || d < 6*time.Second || d > 9*time.Second {
			t.Errorf("got %d frames in %v, want 375 in about 7 s", len(s.samples), d)
		}
	})
}

func TestFileEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(100)
		stop := start(t, &File{Open: clip.Open, Loop: true}, s)
		<-s.full
		began := time.Now()
		canceled(t, stop())
		if d := time.Since(began); d != 0 || s.len() > 101 {
			t.Errorf("took %v and %d samples more to stop, want none", d, s.len()-100)
		}
	})
}

// remux writes the clip's samples again, with other times.
func remux(t testing.TB, change func(a ingest.Sample, pid uint16) (ingest.Sample, bool)) []byte {
	t.Helper()
	var out bytes.Buffer
	in := want(t)
	m := ts.NewMuxer(&out)
	if err := m.SetProgram(in.programs[0]); err != nil {
		t.Fatal(err)
	}
	for _, a := range in.samples {
		if x, ok := change(a.Sample, a.pid); ok {
			if err := m.WriteSample(x); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out.Bytes()
}

// TestBadFiles: each goes on, or ends with one sentence that says why.
func TestBadFiles(t *testing.T) {
	in := clip.Bytes()
	shifted := func(ticks, from int64) []byte {
		return remux(t, func(a ingest.Sample, _ uint16) (ingest.Sample, bool) {
			if a.DTS >= from {
				a.PTS, a.DTS = a.PTS+ticks, a.DTS+ticks
			}
			return a, true
		})
	}
	only := func(keep uint16) []byte {
		return remux(t, func(a ingest.Sample, pid uint16) (ingest.Sample, bool) { return a, pid == keep })
	}
	var lossy []byte
	for i := 0; i < len(in); i += 188 {
		if i/188%100 != 50 {
			lossy = append(lossy, in[i:i+188]...)
		}
	}
	for _, c := range []struct {
		name    string
		in      []byte
		err     string
		samples int // at least
		lasts   time.Duration
	}{
		{"not TS", bytes.Repeat([]byte("MP4 or so "), 500_000), "couldn't air x.ts: this is not MPEG-TS: no packets found in 11", 0, 0},
		{"not TS, short", []byte("hello"), "couldn't air x.ts: this is not MPEG-TS: no packets found in 5 bytes", 0, 0},
		{"empty", nil, "couldn't air x.ts: the input is empty: not a single byte arrived", 0, 0},
		{"cut in mid-packet", in[:188*2000+77], "", 200, 4 * time.Second},
		{"begun in mid-packet", in[188*2000+77:], "", 200, 2 * time.Second},
		{"1 % of packets lost", lossy, "", 550, 7 * time.Second},
		{"sound only", only(sound), "", 375, 6 * time.Second},
		{"pictures only", only(pictures), "", 192, 7 * time.Second},
		{"a wrap", shifted(1<<33-500000, 0), "", 567, 7 * time.Second},
		{"back an hour", shifted(-3600*90000, 500000), "", 567, 7 * time.Second},
		{"forward an hour", shifted(3600*90000, 500000), "", 567, 7 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSink(0)
				began := time.Now()
				err := (&File{Path: "x.ts", Open: opener(c.in)}).Run(t.Context(), s)
				switch {
				case c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)):
					t.Errorf("got error %v, want %q", err, c.err)
				case c.err == "" && err != nil:
					t.Errorf("got error %v", err)
				case len(s.samples) < c.samples:
					t.Errorf("got %d samples, want %d at least", len(s.samples), c.samples)
				}
				if d := time.Since(began); d < c.lasts || d > c.lasts+2*time.Second {
					t.Errorf("lasted %v, want about %v", d, c.lasts)
				}
			})
		})
	}
}

func TestFileErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.ts")
	err := (&File{Path: missing}).Run(t.Context(), newSink(0))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "couldn't air") {
		t.Errorf("got %v, want that it is not there", err)
	}
	broken := errors.New("the disk is broken")
	s := newSink(0)
	err = (&File{Path: "x.ts", Speed: math.Inf(1), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(clip.Bytes()), errorReader{broken})), nil
	}}).Run(t.Context(), s)
	if !errors.Is(err, broken) || s.len() < 500 {
		t.Errorf("got %v after %d samples, want %v", err, s.len(), broken)
	}
	one := remux(t, func(a ingest.Sample, pid uint16) (ingest.Sample, bool) { return a, a.DTS == 126000 })
	err = (&File{Path: "x.ts", Open: opener(one), Loop: true}).Run(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("got %v, want that one picture is too short to loop", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	canceled(t, (&File{Open: clip.Open}).Run(ctx, s))
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
