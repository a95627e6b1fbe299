package hls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

// start pulls a path of o; stop ends it and returns how it ended.
func start(t *testing.T, o *origin, cfg Config, path string) (s *sink, stats *ingest.Stats, stop func() error, ended <-chan error) {
	t.Helper()
	s, stats = &sink{}, new(ingest.Stats)
	cfg.URL, cfg.Stats, cfg.Client = base+path, stats, &http.Client{Transport: o}
	p, err := NewPull(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, s) }()
	return s, stats, func() error {
		cancel()
		return <-done
	}, done
}

// whole pulls a recording to its end.
func whole(t *testing.T, o *origin, path string) (*sink, *ingest.Stats) {
	t.Helper()
	s, stats, _, ended := start(t, o, Config{}, path)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return s, stats
}

// same fails the test unless got are the samples of want, moved by a time.
func same(t *testing.T, got []taken, want []ingest.Sample, by int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d samples, want %d", len(got), len(want))
	}
	for i, w := range want {
		if g := got[i]; !bytes.Equal(g.Data, w.Data) || g.PTS != w.PTS+by || g.DTS != w.DTS+by || g.Flags != w.Flags {
			t.Fatalf("sample %d: got %d bytes, PTS %d, DTS %d, flags %b, want %d, %d, %d, %b", i,
				len(g.Data), g.PTS, g.DTS, g.Flags, len(w.Data), w.PTS+by, w.DTS+by, w.Flags)
		}
	}
}

// even fails the test unless samples came when they were due.
func even(t *testing.T, got []taken, tolerance time.Duration) {
	t.Helper()
	for i, g := range got {
		due := got[0].at.Add(span(g.DTS - got[0].DTS))
		if off := g.at.Sub(due); off.Abs() > tolerance {
			t.Fatalf("sample %d of %d came %v off its time", i, len(got), off)
		}
	}
}

// head is the beginning of a playlist of segments of a second.
const head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n"

// recording puts the clip on o as one recording, in TS.
func recording(t *testing.T, o *origin, src *source) (list string) {
	t.Helper()
	list = head
	for i, seg := range src.segments {
		o.put(fmt.Sprintf("s%d.ts", i), src.ts(t, seg, 0))
		list += fmt.Sprintf("#EXTINF:1,\ns%d.ts\n", i)
	}
	o.put("index.m3u8", []byte(list+"#EXT-X-ENDLIST\n"))
	return list
}

func everything(src *source) (all []ingest.Sample) {
	for _, seg := range src.segments {
		all = append(all, seg...)
	}
	return all
}

func TestRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, o := newSource(t), &origin{}
		recording(t, o, src)
		began := time.Now()
		s, stats := whole(t, o, "index.m3u8")
		all := everything(src)
		same(t, s.of(t, true, 0), of(true, src.program, all), 0)
		same(t, s.of(t, false, 0), of(false, src.program, all), 0)
		even(t, s.of(t, true, 0), time.Millisecond)
		if d := time.Since(began); d < 7*time.Second || d > 9*time.Second {
			t.Errorf("it took %v, want 8 s", d)
		}
		if n := stats.LostSegments.Load() + stats.LostPackets.Load() + stats.DamagedSamples.Load() + stats.Discontinuities.Load(); n != 0 {
			t.Errorf("got %d losses, want none", n)
		}
	})
}

func TestRecordingLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, o := newSource(t), &origin{}
		recording(t, o, src)
		s, stats, stop, _ := start(t, o, Config{Loop: true}, "index.m3u8")
		time.Sleep(25 * time.Second)
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was ended", err)
		}
		got := s.of(t, true, 0)
		even(t, got, time.Millisecond)
		for i := range got[1:] {
			if d := got[i+1].DTS - got[i].DTS; d != 3750 {
				t.Fatalf("picture %d lasts %d ticks, want 3750", i, d)
			}
		}
		if len(got) < 24*24 || len(s.programs) != 1 || stats.Discontinuities.Load() != 0 {
			t.Errorf("got %d pictures, %d programs, %d discontinuities", len(got), len(s.programs), stats.Discontinuities.Load())
		}
	})
}

// broadcast is a live playlist of the clip, over and over with times that go on: a segment a second, six are listed.
type broadcast struct {
	src   *source
	began time.Time
	dates bool
	skew  time.Duration // segments come so much earlier for each that came before
	// change may alter a list and its answer; nil leaves it as it is.
	change func(n int, list string) string
}

// newest is the number of the newest segment that is complete.
func (b *broadcast) newest() int {
	return int(time.Since(b.began)/(time.Second-b.skew)) + 9
}

func (b *broadcast) segment(t testing.TB, n int) []byte {
	k := len(b.src.segments)
	return b.src.ts(t, b.src.segments[n%k], int64(n/k)*720000)
}

func (b *broadcast) list() string {
	n := b.newest()
	text := head + fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d\n", n-5)
	if b.dates {
		text += "#EXT-X-PROGRAM-DATE-TIME:" + b.date(n-5).Format(time.RFC3339Nano) + "\n"
	}
	for i := n - 5; i <= n; i++ {
		text += fmt.Sprintf("#EXTINF:1.0,\nseg%d.ts\n", i)
	}
	if b.change != nil {
		text = b.change(n, text)
	}
	return text
}

func (b *broadcast) date(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(n) * time.Second)
}

// serve answers for the broadcast; faults may answer in its place.
func (b *broadcast) serve(t testing.TB, faults func(r *http.Request) *http.Response) *origin {
	b.began = time.Now()
	return &origin{answer: func(r *http.Request) *http.Response {
		if faults != nil {
			if resp := faults(r); resp != nil {
				return resp
			}
		}
		var n int
		if r.URL.Path == "/live.m3u8" {
			return reply(r, 200, []byte(b.list()))
		}
		if _, err := fmt.Sscanf(r.URL.Path, "/seg%d.ts", &n); err != nil || n > b.newest() || n < b.newest()-8 {
			return nil
		}
		return reply(r, 200, b.segment(t, n))
	}}
}

// TestLive: it begins three target durations from the end, goes on evenly, and asks for the playlist as often as it should.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broadcast{src: newSource(t), dates: true}
		o := b.serve(t, nil)
		s, stats, stop, _ := start(t, o, Config{}, "live.m3u8")
		time.Sleep(20*time.Second + 100*time.Millisecond)
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was ended", err)
		}
		got := s.of(t, true, 0)
		even(t, got, time.Millisecond)
		first := b.src.all.samples[0]
		if want := first.DTS; got[0].DTS < want || len(got) < 19*24 {
			t.Errorf("got %d pictures from %d on", len(got), got[0].DTS)
		}
		// Segments 4 to 9 were listed: 7 is three from the end.
		want := of(true, b.src.program, b.src.segments[7])[0]
		if got[0].DTS != want.DTS || !bytes.Equal(got[0].Data, want.Data) {
			t.Errorf("begins at %d, want at %d", got[0].DTS, want.DTS)
		}
		if w := b.date(7); !got[0].Wall.Equal(w) {
			t.Errorf("captured at %v, want %v", got[0].Wall, w)
		}
		last := got[len(got)-1]
		if w := got[0].Wall.Add(span(last.PTS - got[0].PTS)); last.Wall.Sub(w).Abs() > time.Millisecond {
			t.Errorf("the last was captured at %v, want %v", last.Wall, w)
		}
		lists := o.requests("live.m3u8")
		for i := range lists[1:] {
			if d := lists[i+1].at.Sub(lists[i].at); d < 490*time.Millisecond || d > 1500*time.Millisecond {
				t.Errorf("reload %d after %v, want half a second to one", i+1, d)
			}
		}
		if n := stats.LostSegments.Load() + stats.Discontinuities.Load() + stats.DamagedSamples.Load(); n != 0 {
			t.Errorf("got %d losses, want none: %s", n, stats.LastError())
		}
	})
}

// TestLiveDrift: an encoder whose clock is faster than ours, or slower, is kept up with. Without, eight minutes of it would use up all that is in reserve.
func TestLiveDrift(t *testing.T) {
	for _, skew := range []time.Duration{8 * time.Millisecond, -8 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := &broadcast{src: newSource(t), skew: skew}
			o := b.serve(t, nil)
			s, stats, stop, _ := start(t, o, Config{}, "live.m3u8")
			time.Sleep(8 * time.Minute)
			newest := b.newest()
			stop()
			got := s.of(t, true, 0)
			at := int((got[len(got)-1].DTS - b.src.segments[0][0].DTS) / 90000)
			if behind := newest - at; behind < 0 || behind > 6 {
				t.Errorf("with %v a second it is %d segments behind the end, want three or so", skew, behind)
			}
			if n := stats.LostSegments.Load(); n != 0 {
				t.Errorf("with %v a second %d segments are lost: %s", skew, n, stats.LastError())
			}
		})
	}
}

// TestLiveEnds: a broadcast whose playlist ends is played to its end.
func TestLiveEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broadcast{src: newSource(t)}
		b.change = func(n int, list string) string {
			if n >= 14 {
				return head + "#EXT-X-MEDIA-SEQUENCE:13\n#EXTINF:1,\nseg13.ts\n#EXTINF:1,\nseg14.ts\n#EXT-X-ENDLIST"
			}
			return list
		}
		s, _, _, ended := start(t, b.serve(t, nil), Config{Loop: true}, "live.m3u8")
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if got := len(s.of(t, true, 0)); got != 8*24 {
			t.Errorf("got %d pictures, want those of segments 7 to 14", got)
		}
	})
}
