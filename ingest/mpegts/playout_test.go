package mpegts

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// piece is the clip from one time to another, per track as if a cutter had been there, with its times moved and on PIDs of its own.
type piece struct {
	from, to map[uint16]int64 // of PIDs; ticks since the clip's first picture
	move     int64
	pids     uint16 // added to each
}

func (p piece) ts(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	m := ts.NewMuxer(&out)
	in := want(t)
	program := *in.programs[len(in.programs)-1]
	program.PCRPID += p.pids
	program.Tracks = append([]ingest.Track(nil), program.Tracks...)
	for i := range program.Tracks {
		program.Tracks[i].PID += p.pids
	}
	if err := m.SetProgram(&program); err != nil {
		t.Fatal(err)
	}
	base := in.of(pictures)[0].DTS
	for _, a := range in.samples {
		if at := a.DTS - base; at < p.from[a.pid] || p.to[a.pid] != 0 && at >= p.to[a.pid] {
			continue
		}
		a.DTS, a.PTS = a.DTS+p.move, a.PTS+p.move
		if err := m.WriteSample(a.Sample); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// airing is what went out of one recording.
type airing struct{ pictures, sound []arrival }

// cut splits what went out of a channel of recordings with so many pictures and frames of sound each.
func cut(t *testing.T, s *sink, pids []uint16, sizes ...[2]int) (out []airing) {
	t.Helper()
	taken := make(map[uint16]int)
	for i, n := range sizes {
		v, a := pictures+pids[i], sound+pids[i]
		allV, allA := s.of(v), s.of(a)
		if len(allV) < taken[v]+n[0] || len(allA) < taken[a]+n[1] {
			t.Fatalf("recording %d: got %d pictures and %d frames so far, want %d and %d", i, len(allV), len(allA), taken[v]+n[0], taken[a]+n[1])
		}
		out = append(out, airing{allV[taken[v]:][:n[0]], allA[taken[a]:][:n[1]]})
		taken[v], taken[a] = taken[v]+n[0], taken[a]+n[1]
	}
	return out
}

const frame, sounding = 3750, 1920 // ticks that a picture and a frame of sound of the clip last

// TestPlayoutJoins: recordings of other times, lengths and PIDs follow one another; nothing overlaps, one track has no gap, sound and
// pictures of each are as far apart as they were made, and only another program is a discontinuity.
func TestPlayoutJoins(t *testing.T) {
	dir := t.TempDir()
	long := piece{to: map[uint16]int64{pictures: 2 * 90000, sound: 2*90000 + 20000}}             // sound is longer
	short := piece{to: map[uint16]int64{pictures: 3 * 90000, sound: 2 * 90000}, move: 5 << 32}   // pictures are
	other := piece{to: map[uint16]int64{pictures: 90000, sound: 90000}, pids: 32, move: -900000} // another table
	items := []string{
		write(t, filepath.Join(dir, "long.ts"), long.ts(t)), write(t, filepath.Join(dir, "short.ts"), short.ts(t)),
		write(t, filepath.Join(dir, "other.ts"), other.ts(t)), write(t, filepath.Join(dir, "other2.ts"), other.ts(t)),
	}
	s, stats := newSink(0), new(ingest.Stats)
	if err := (&Playout{Config: Config{Stats: stats}, Items: items, Speed: math.Inf(1)}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	count := func(b []byte) (n [2]int) {
		one := newSink(0)
		scanner := ts.NewScanner(ts.Config{Sink: one})
		scanner.Write(b)
		scanner.Flush()
		for _, a := range one.samples {
			n[(a.pid-pictures)%32]++
		}
		return n
	}
	all := cut(t, s, []uint16{0, 0, 32, 32}, count(long.ts(t)), count(short.ts(t)), count(other.ts(t)), count(other.ts(t)))
	offset := want(t).of(sound)[0].PTS - want(t).of(pictures)[0].PTS
	for i, a := range all {
		if got := a.sound[0].PTS - a.pictures[0].PTS; got != offset {
			t.Errorf("recording %d: sound begins %d ticks after the picture, want %d", i, got, offset)
		}
		for k := range a.pictures[1:] {
			if d := a.pictures[k+1].DTS - a.pictures[k].DTS; d != frame {
				t.Fatalf("recording %d: picture %d lasts %d ticks, want %d", i, k, d, frame)
			}
		}
		if i == 0 {
			continue
		}
		b := all[i-1]
		gapV, gapA := a.pictures[0].DTS-b.pictures[len(b.pictures)-1].DTS-frame, a.sound[0].DTS-b.sound[len(b.sound)-1].DTS-sounding
		if gapV < 0 || gapA < 0 || gapV > 1 && gapA > 1 {
			t.Errorf("recording %d begins %d ticks after the last picture and %d after the sound, want none below 0 and one of them 0", i, gapV, gapA)
		}
		broken := a.pictures[0].Flags&ingest.Discontinuity != 0 && a.sound[0].Flags&ingest.Discontinuity != 0
		if want := i == 2; broken != want {
			t.Errorf("recording %d: discontinuity %v, want %v", i, broken, want)
		}
	}
	if n := stats.LostPackets.Load() + stats.DamagedSamples.Load() + stats.SkippedBytes.Load(); n != 0 {
		t.Errorf("got %d losses, want none", n)
	}
}

// TestPlayoutPassesOver: what is missing or no TS is passed over, at no cost of time, and aired once it is there.
func TestPlayoutPassesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		short := piece{to: map[uint16]int64{pictures: 90000, sound: 90000}}.ts(t)
		good, missing := write(t, filepath.Join(dir, "good.ts"), short), filepath.Join(dir, "missing.ts")
		page := write(t, filepath.Join(dir, "page.ts"), bytes.Repeat([]byte("<html>"), 1<<18))
		began, s, stats := time.Now(), newSink(0), new(ingest.Stats)
		stop := start(t, &Playout{Config: Config{Stats: stats}, Items: []string{missing, page, good, dir}, Loop: true}, s)
		time.Sleep(10*time.Second + 500*time.Millisecond)
		v := s.of(pictures)
		if got, want := len(v), 24*10; got < want || got > want+24 {
			t.Errorf("got %d pictures in %v, want %d", got, time.Since(began), want)
		}
		if text := stats.LastError(); !strings.Contains(text, "couldn't air "+dir) {
			t.Errorf("got %q, want the last of the troubles", text)
		}
		other := piece{from: map[uint16]int64{pictures: 4 * 90000, sound: 4 * 90000}, to: map[uint16]int64{pictures: 5 * 90000, sound: 5 * 90000}}.ts(t)
		write(t, missing, other)
		write(t, good, other) // on air: it goes on with what is there now
		time.Sleep(3 * time.Second)
		canceled(t, stop())
		for i, a := range s.of(pictures)[1:] {
			if d := a.DTS - s.of(pictures)[i].DTS; d < frame || d > frame+sounding {
				t.Fatalf("picture %d came %d ticks after the one before", i+1, d)
			}
		}
		if a := s.of(pictures); bytes.Equal(a[len(a)-24].Data, v[len(v)-24].Data) {
			t.Error("the files that came later are not on air")
		}
	})
}

func TestPlayoutErrors(t *testing.T) {
	dir := t.TempDir()
	empty := write(t, filepath.Join(dir, "empty.ts"), nil)
	err := (&Playout{Items: []string{filepath.Join(dir, "none.ts"), empty}, Loop: true}).Run(t.Context(), newSink(0))
	if err == nil || !strings.Contains(err.Error(), "couldn't air anything of the 2 inputs") || !strings.Contains(err.Error(), "empty") {
		t.Errorf("got %v, want that nothing can be aired", err)
	}
}

// TestPlayoutList: a list is read again in each round, and one that is broken does not end the channel.
func TestPlayoutList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first := piece{to: map[uint16]int64{pictures: 90000, sound: 90000}}.ts(t)
		second := piece{to: map[uint16]int64{pictures: 90000, sound: 90000}, pids: 32}.ts(t)
		write(t, filepath.Join(dir, "first.ts"), first)
		write(t, filepath.Join(dir, "second.ts"), second)
		list := write(t, filepath.Join(dir, "channel.m3u"), []byte("\ufeff#EXTM3U\r\n# comment\r\n\r\nfirst.ts\r\nhttp://elsewhere/x.ts\r\n"))
		s := newSink(0)
		stop := start(t, &Playout{Items: []string{list}, Loop: true}, s)
		time.Sleep(2500 * time.Millisecond)
		if len(s.of(pictures+32)) != 0 || len(s.of(pictures)) < 2*24 {
			t.Fatalf("got %d and %d pictures, want only the first recording", len(s.of(pictures)), len(s.of(pictures+32)))
		}
		write(t, list, []byte("file://"+filepath.Join(dir, "second.ts")))
		time.Sleep(2 * time.Second)
		if len(s.of(pictures+32)) < 24 {
			t.Fatalf("got %d pictures of the second recording, want it on air", len(s.of(pictures+32)))
		}
		if err := os.Remove(list); err != nil {
			t.Fatal(err)
		}
		before := len(s.of(pictures + 32))
		time.Sleep(3 * time.Second)
		canceled(t, stop())
		if got := len(s.of(pictures + 32)); got < before+2*24 {
			t.Errorf("got %d pictures after the list was removed, want it to go on", got-before)
		}
	})
}

func TestParseList(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n"
	for _, c := range []struct{ name, in, want string }{
		{"plain", "a.ts\n#x\n /b/c.ts \nsub/d.ts", "/d/a.ts /b/c.ts /d/sub/d.ts"},
		{"URL", "http://x/a.ts", "! no file"},
		{"list in a list", "a.m3u8", "! another list"},
		{"empty", "\n#x\n", "the list is empty"},
		{"master", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8", "master playlist"},
		{"HLS", head + "#EXTINF:4,\na.ts\n#EXTINF:4,\nb.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\nc.ts", "/d/a.ts +/d/b.ts /d/c.ts"},
		{"HLS of fMP4", head + "#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:4,\na.m4s\n", "are fMP4"},
		{"encrypted HLS", head + "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:4,\na.ts\n", "are encrypted"},
		{"HLS of one file", head + "#EXTINF:4,\n#EXT-X-BYTERANGE:5@0\na.ts\n", "parts of a file"},
		{"bad HLS", head + "#EXTINF:x,\na.ts\n", "no playlist of HLS"},
	} {
		items, err := parseList([]byte(c.in), "/d")
		var got []string
		for _, x := range items {
			mark := ""
			if x.continues {
				mark = "+"
			}
			if got = append(got, mark+x.path); x.err != nil {
				got = []string{"! " + x.err.Error()}
			}
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if want, exact := strings.CutPrefix(c.want, "! "); !strings.Contains(text, want) || exact && !strings.HasPrefix(text, "! ") {
			t.Errorf("%s: got %q, want %q", c.name, text, c.want)
		}
	}
}

func TestExpandErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := expand(filepath.Join(dir, "none.m3u")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that there is no such file", err)
	}
	big := write(t, filepath.Join(dir, "big.m3u"), bytes.Repeat([]byte("a.ts\n"), maxListBytes/5+1))
	if _, err := expand(big); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v, want that it is too long", err)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte("a.ts\n#x\nfile:///b.ts"))
	f.Add([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		items, err := parseList(in, "/d")
		if err == nil && len(items) == 0 {
			t.Error("got neither items nor an error")
		}
	})
}
