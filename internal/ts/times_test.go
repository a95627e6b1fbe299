package ts

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"tailcast/ingest"
)

// television begins a program of H.264 (0x101) and AAC (0x102), with its clock on the pictures' PID.
func television() *build {
	b := new(build)
	b.pat(0, 1, 0x100)
	b.pmt(0x100, 1, 0, 0x101, nil, es(typeH264, 0x101), es(typeAAC, 0x102))
	return b
}

// aac is a frame of AAC LC, 48 kHz, stereo, of n bytes.
func aac(n int) []byte {
	return append([]byte{0xff, 0xf1, 0x4c, 0x80 | byte(n>>11), byte(n >> 3), byte(n<<5) | 0x1f, 0xfc}, bytes.Repeat([]byte{0x21}, n-7)...)
}

// picture and frames append one PES packet.
func (b *build) picture(pts, dts int64) {
	b.unit(0x101, nil, pes(idVideo, pts, dts, false, slice(300)))
}

func (b *build) frames(pts int64, n int) {
	b.unit(0x102, nil, pes(idAudio, pts, pts, true, bytes.Repeat(aac(100), n)))
}

// second appends a second of pictures and sound from t.
func (b *build) second(t int64) {
	for i := range int64(25) {
		b.picture(t+(i+2)*3600, t+i*3600)
		if i%5 == 0 {
			b.frames(t+i/5*18000, 9)
		}
	}
}

func dtsOf(samples []ingest.Sample) (out []int64) {
	for _, s := range samples {
		out = append(out, s.DTS)
	}
	return out
}

func TestScannerTimes(t *testing.T) {
	const hour = 3600 * ingest.ClockRate
	for _, c := range []struct {
		name     string
		from, to int64 // the second second begins at to
		want     int64 // unwrapped
		jumps    int
	}{
		{"in order", 1000, 91000, 91000, 0},
		{"wrap in between", 1<<33 - 90000, 0, 1 << 33, 0},
		{"wrap in the second before", 1<<33 - 45000, 45000, 1<<33 + 45000, 0},
		{"five seconds missing", 1000, 91000 + 450000, 91000 + 450000, 0},
		{"back an hour", hour, 90000, 90000, 2},
		{"forward an hour", 90000, hour, hour, 2},
		{"back over the wrap", 3600, 1<<33 - 900000, -900000, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := television()
			b.second(c.from)
			b.second(c.to)
			r, stats := scan(b.Bytes(), 1316, Config{})
			video, sound := r.of(0x101), r.of(0x102)
			if len(video) != 50 || len(sound) != 90 {
				t.Fatalf("got %d pictures and %d frames, want 50 and 90", len(video), len(sound))
			}
			for i, s := range video {
				want := c.from + int64(i)*3600
				if i >= 25 {
					want = c.want + int64(i-25)*3600
				}
				if s.DTS != want || s.PTS != want+7200 || s.Flags&ingest.Discontinuity != 0 != (i == 25 && c.jumps > 0) {
					t.Fatalf("picture %d: got PTS %d, DTS %d, flags %b, want %d, %d", i, s.PTS, s.DTS, s.Flags, want+7200, want)
				}
			}
			for i, s := range sound {
				want := c.from + int64(i/9)*18000 + int64(i%9)*1920
				if i >= 45 {
					want += c.want - c.from - 90000
				}
				if s.DTS != want || s.PTS != want || s.Flags&ingest.Discontinuity != 0 != (i == 45 && c.jumps > 0) {
					t.Fatalf("frame %d: got PTS %d, DTS %d, flags %b, want %d", i, s.PTS, s.DTS, s.Flags, want)
				}
			}
			if n := stats.Discontinuities.Load(); int(n) != c.jumps {
				t.Errorf("got %d jumps counted, want %d: one for each track", n, c.jumps)
			}
		})
	}
}

// TestScannerOneClock: tracks whose times wrap or jump in turns do not come apart.
func TestScannerOneClock(t *testing.T) {
	b := television()
	const top = 1 << 33
	for i := range int64(20) { // sound is a second late in the stream, so the pictures wrap first
		b.picture(top-40000+i*3600, top-40000+i*3600)
		b.frames(top-130000+i*3840, 2)
	}
	r, _ := scanAll(b.Bytes())
	v, a := r.of(0x101), r.of(0x102)
	if got := v[19].DTS - a[38].DTS; got != 90000+19*(3600-3840) {
		t.Errorf("pictures are %d ticks ahead of the sound, want %d", got, 90000+19*(3600-3840))
	}
}

// TestScannerSignalledJump: discontinuity_indicator with a PCR marks the next unit of each track, though times go on.
func TestScannerSignalledJump(t *testing.T) {
	b := television()
	b.second(90000)
	pcr := appendPCR([]byte{0x90}, 180000)
	b.packet(0x101, false, append([]byte{}, pcr...), nil)
	b.second(180000)
	r, _ := scanAll(b.Bytes())
	for pid, n := range map[uint16]int{0x101: 25, 0x102: 45} {
		for i, s := range r.of(pid) {
			if got := s.Flags&ingest.Discontinuity != 0; got != (i == n) {
				t.Errorf("PID %#x, sample %d: discontinuity %v, want %v", pid, i, got, i == n)
			}
		}
	}
}

func TestScannerSparseTrack(t *testing.T) {
	b := new(build)
	b.pat(0, 1, 0x100)
	b.pmt(0x100, 1, 0, 0x101, nil, es(typeH264, 0x101), es(typePrivatePES, 0x103))
	for i := range int64(60) { // one subtitle in a minute
		b.second(i * 90000)
		if i%59 == 0 {
			b.unit(0x103, nil, pes(idPrivate1, i*90000, i*90000, true, []byte("subtitle")))
		}
	}
	r, stats := scanAll(b.Bytes())
	if n := stats.Discontinuities.Load(); n != 0 || len(r.of(0x103)) != 2 {
		t.Errorf("got %d jumps and %d subtitles, want 0 and 2", n, len(r.of(0x103)))
	}
}

// TestScannerImpossibleTimes: a PTS before its DTS.
func TestScannerImpossibleTimes(t *testing.T) {
	b := television()
	b.picture(90000, 93600)
	b.picture(97200, 97200)
	r, stats := scanAll(b.Bytes())
	if got := r.of(0x101)[0]; got.PTS < got.DTS || stats.DTSFallbacks.Load() != 1 {
		t.Errorf("got PTS %d, DTS %d, %d fallbacks, want a possible time and 1", got.PTS, got.DTS, stats.DTSFallbacks.Load())
	}
}

// TestScannerUntimedPictures: of several pictures in one PES packet only the first has times, and a PES packet need have none.
func TestScannerUntimedPictures(t *testing.T) {
	b := television()
	b.unit(0x101, nil, pes(idVideo, 90000, 90000, false, idr(50)))
	b.unit(0x101, nil, pes(idVideo, 97200, 97200, false, append(slice(50), slice(40)...)))
	untimed := append([]byte{0, 0, 1, idVideo, 0, 0, 0x80, 0, 0}, slice(30)...)
	b.unit(0x101, nil, untimed)
	b.unit(0x101, nil, pes(idVideo, 111600, 111600, false, slice(20)))
	r, stats := scanAll(b.Bytes())
	if got, want := dtsOf(r.of(0x101)), []int64{90000, 97200, 100800, 104400, 111600}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := stats.DTSFallbacks.Load(); n != 2 {
		t.Errorf("got %d times guessed, want 2", n)
	}
}

// TestScannerMessageBeforeDelimiter: what comes before the first delimiter of a PES packet is of the same picture, as in the first one that OBS sends by SRT.
func TestScannerMessageBeforeDelimiter(t *testing.T) {
	b := television()
	first := append([]byte{0, 0, 0, 1, 6, 5, 2, 1, 2, 0x80}, idr(50)...)
	b.unit(0x101, nil, pes(idVideo, 90000, 90000, false, first))
	b.unit(0x101, nil, pes(idVideo, 93600, 93600, false, slice(50)))
	r, stats := scanAll(b.Bytes())
	got := r.of(0x101)
	if len(got) != 2 || !bytes.Equal(got[0].Data, first) || got[0].Flags&ingest.RandomAccess == 0 || stats.DTSFallbacks.Load() != 0 {
		t.Errorf("got %d pictures, the first of %d bytes, with %d times guessed; want 2, the first of all %d", len(got), len(got[0].Data), stats.DTSFallbacks.Load(), len(first))
	}
}

// TestScannerOnlyPresentationTimes: pictures in decoding order, and nothing but the times at which they are shown. A few are late, at the
// beginning; from then on all is as the encoder meant it, up to a constant.
func TestScannerOnlyPresentationTimes(t *testing.T) {
	for _, c := range []struct {
		name  string
		group []int64 // order of what is shown, in each group
		rough int     // the first pictures
	}{
		{"as shown", []int64{0}, 0},
		{"one picture back", []int64{2, 0, 1}, 6},
		{"a pyramid", []int64{7, 3, 1, 0, 2, 5, 4, 6}, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := television()
			n := int64(len(c.group))
			for i := range int64(20) {
				for _, j := range c.group {
					at := (1<<33 - 90000 + (i*n+j)*3600) & timeMask // wraps on the way
					b.picture(at, at)
				}
			}
			r, stats := scanAll(b.Bytes())
			got := r.of(0x101)
			if len(got) != 20*len(c.group) || flagged(got, ingest.Discontinuity) != 0 {
				t.Fatalf("got %d pictures and %d jumps", len(got), flagged(got, ingest.Discontinuity))
			}
			for i, s := range got {
				if s.DTS > s.PTS || i > 0 && s.DTS <= got[i-1].DTS {
					t.Fatalf("picture %d: PTS %d, DTS %d after %d", i, s.PTS, s.DTS, got[max(i, 1)-1].DTS)
				}
				want := 1<<33 - 90000 + (int64(i)/n*n+c.group[int64(i)%n])*3600
				if i >= c.rough && (s.PTS != want || s.DTS-got[i-1+max(0, 1-i)].DTS != 3600 && i > c.rough) {
					t.Errorf("picture %d: got PTS %d, DTS %d, want PTS %d and a frame to the one before", i, s.PTS, s.DTS, want)
				}
			}
			if n := int(stats.DTSFallbacks.Load()); n > c.rough || c.rough == 0 && n != 0 {
				t.Errorf("got %d times guessed, want %d at most", n, c.rough)
			}
		})
	}
}

// TestScannerEmptyPES: a header and nothing else is no picture.
func TestScannerEmptyPES(t *testing.T) {
	b := television()
	b.picture(90000, 90000)
	for range 3 {
		b.unit(0x101, nil, pes(idVideo, 91000, 91000, true, nil))
		b.unit(0x102, nil, pes(idAudio, 91000, 91000, true, nil))
		b.unit(0x101, nil, []byte{0, 0, 1, idVideo, 0, 0})
	}
	b.picture(93600, 93600)
	r, stats := scanAll(b.Bytes())
	if got := dtsOf(r.samples); !slices.Equal(got, []int64{90000, 93600}) || stats.DamagedSamples.Load() != 0 {
		t.Errorf("got samples at %v, %d damaged, want the two pictures", got, stats.DamagedSamples.Load())
	}
}

// TestScannerPictureInParts: a large picture in several PES packets, of which only the first has a time.
func TestScannerPictureInParts(t *testing.T) {
	big := idr(150000)
	for _, declared := range []bool{true, false} {
		b := television()
		for i := range int64(2) {
			for rest := big; len(rest) > 0; {
				n := min(65000, len(rest))
				p := pes(idVideo, 90000+i*3600, 90000+i*3600, declared, rest[:n])
				if len(rest) < len(big) {
					p = append([]byte{0, 0, 1, idVideo, 0, 0, 0x80, 0, 0}, rest[:n]...)
					if declared {
						p[4], p[5] = byte((n+3)>>8), byte(n+3)
					}
				}
				b.unit(0x101, nil, p)
				rest = rest[n:]
			}
		}
		r, _ := scanAll(b.Bytes())
		v := r.of(0x101)
		if len(v) != 2 || !bytes.Equal(v[0].Data, big) || !bytes.Equal(v[1].Data, big) || v[0].Flags != ingest.RandomAccess {
			t.Errorf("declared %v: got %d pictures, the first of %d bytes, want 2 of %d", declared, len(v), len(v[0].Data), len(big))
		}
	}
}

func TestScannerIdle(t *testing.T) {
	b := television()
	b.picture(90000, 90000) // its last packet is stuffed
	r := new(recorder)
	s := NewScanner(Config{Sink: r})
	s.out.gathering = false
	s.Write(b.Bytes())
	if len(r.samples) != 0 {
		t.Fatal("a picture was delivered before its end was known")
	}
	s.Idle()
	if len(r.samples) != 1 || r.samples[0].Flags&ingest.Damaged != 0 || !bytes.Equal(r.samples[0].Data, slice(300)) {
		t.Fatalf("got %d samples after Idle, want the picture", len(r.samples))
	}

	// A picture that pauses in the middle is not cut.
	b.Reset()
	b.picture(93600, 93600)
	s.Write(b.Bytes()[:188])
	s.Idle()
	s.Write(b.Bytes()[188:])
	s.Idle()
	if len(r.samples) != 2 || !bytes.Equal(r.samples[1].Data, slice(300)) {
		t.Fatalf("got %d samples, want the second picture in one piece", len(r.samples))
	}

	// Nor, more than once, one whose sender stuffs in the middle.
	for i := range 3 {
		b.Reset()
		p := pes(idVideo, int64(97200+i*3600), int64(97200+i*3600), false, slice(300))
		b.packet(0x101, true, nil, p[:100])
		s.Write(b.Bytes())
		s.Idle()
		b.Reset()
		b.more(0x101, p[100:])
		s.Write(b.Bytes())
		s.Idle()
	}
	s.Flush()
	var got []string
	for _, x := range r.samples[2:] {
		got = append(got, fmt.Sprint(len(x.Data), x.Flags&ingest.Damaged != 0))
	}
	whole := len(slice(300))
	want := []string{"86 false", fmt.Sprint(whole-86, true), fmt.Sprint(whole, false), fmt.Sprint(whole, false)}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// more appends packets that continue a unit.
func (b *build) more(pid uint16, data []byte) {
	for len(data) > 0 {
		n := min(184, len(data))
		b.packet(pid, false, nil, data[:n])
		data = data[n:]
	}
}

// TestScannerDoesNotWaitForTheNext: after a second in which each picture ended where it seemed to, the next one comes out with its last
// packet. One that goes on nevertheless costs one picture, and that is not risked again.
func TestScannerDoesNotWaitForTheNext(t *testing.T) {
	untimed := append([]byte{0, 0, 1, idVideo, 0, 0, 0x80, 0, 0}, bytes.Repeat([]byte{0x77}, 50)...)
	for name, goOn := range map[string]func(b *build){
		"in the same PES packet": func(b *build) { b.more(0x101, bytes.Repeat([]byte{0x77}, 50)) },
		"in another PES packet":  func(b *build) { b.unit(0x101, nil, untimed) },
		"not at all":             nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := new(recorder)
			s := NewScanner(Config{Sink: r})
			s.out.gathering = false
			b := television()
			at := int64(0)
			next := func() (n int) {
				before := len(r.samples)
				at += 3600
				b.picture(at, at)
				s.Write(b.Bytes())
				b.Reset()
				return len(r.samples) - before
			}
			next()
			for i := range trusted {
				want := 1 // the one before
				if i == trusted-1 {
					want = 2 // and this one
				}
				if n := next(); n != want {
					t.Fatalf("picture %d: got %d pictures, want %d", i+1, n, want)
				}
			}
			for range 10 {
				if n := next(); n != 1 || r.samples[len(r.samples)-1].DTS != at {
					t.Fatal("the picture waits for the next")
				}
			}
			if goOn == nil {
				return
			}
			goOn(b)
			for range 2 * trusted {
				next()
			}
			if got := r.samples[len(r.samples)-1].DTS; got != at-3600 {
				t.Errorf("got a picture of %d when the newest is of %d, want none before the next", got, at)
			}
		})
	}
}

// TestScannerLateTrack: sound is declared but comes ten seconds late; the pictures wait a second for it and no more.
func TestScannerLateTrack(t *testing.T) {
	b := television()
	r, stats := new(recorder), new(ingest.Stats)
	s := NewScanner(Config{Sink: r, Stats: stats})
	for i := range int64(12) {
		if i < 10 {
			for j := range int64(25) {
				b.picture(i*90000+j*3600, i*90000+j*3600)
			}
		} else {
			b.second(i * 90000)
		}
		s.Write(b.Bytes())
		b.Reset()
		if i == 1 && len(r.samples) < 45 {
			t.Fatalf("got %d pictures after two seconds, want them not to wait", len(r.samples))
		}
	}
	s.Flush()
	if v, a := len(r.of(0x101)), len(r.of(0x102)); v != 300 || a != 90 || stats.Discontinuities.Load() != 0 {
		t.Errorf("got %d pictures, %d frames, %d jumps, want 300, 90, 0", v, a, stats.Discontinuities.Load())
	}
	if n := len(r.programs); n != 2 || r.programs[0].Tracks[1].SampleRate != 0 || r.programs[1].Tracks[1].SampleRate != 48000 {
		t.Errorf("got %d programs, want one without and one with the sound's parameters", n)
	}
}

func TestScannerRewind(t *testing.T) {
	b := television()
	b.second(90000)
	r, stats := new(recorder), new(ingest.Stats)
	s := NewScanner(Config{Sink: r, Stats: stats})
	s.Write(b.Bytes())
	s.Rewind()
	s.Write(b.Bytes())
	s.Rewind()
	if v := r.of(0x101); len(v) != 50 || v[25].DTS != 90000 || v[0].DTS != 90000 {
		t.Errorf("got %v", dtsOf(v))
	}
	if n := stats.Discontinuities.Load() + stats.LostPackets.Load() + stats.DamagedSamples.Load(); n != 0 || len(r.programs) != 1 {
		t.Errorf("got %d jumps, losses or damages and %d programs, want 0 and 1", n, len(r.programs))
	}
}

// TestScannerRadio: without pictures every frame is a point to begin at.
func TestScannerRadio(t *testing.T) {
	b := new(build)
	b.pat(0, 1, 0x100)
	b.pmt(0x100, 1, 0, 0x102, nil, es(typeAAC, 0x102))
	b.frames(0, 10)
	r, _ := scanAll(b.Bytes())
	if n := flagged(r.samples, ingest.RandomAccess); n != 10 {
		t.Errorf("got %d random access points, want 10", n)
	}
}

func TestScannerNoKeyframe(t *testing.T) {
	b := television()
	for i := range int64(30) {
		b.second(i * 90000)
	}
	r, _ := scanAll(b.Bytes())
	if v := r.of(0x101); len(v) != 750 || flagged(v, ingest.RandomAccess) != 0 {
		t.Errorf("got %d pictures, %d of them to begin at, want 750 and 0", len(v), flagged(v, ingest.RandomAccess))
	}
}
