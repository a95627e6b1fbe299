package e2e

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/ts"
)

// unit is an access unit of a recording that goes on air.
type unit struct {
	source string
	video  bool
	pts    int64 // in the recording
}

// library knows what every access unit is that can come; those that come twice are of no use.
type library struct {
	units  map[[32]byte]unit
	source string
	video  [ingest.MaxTracks]bool
}

func (l *library) SetProgram(p *ingest.Program) { l.video = videoOf(p) }

func (l *library) WriteSample(s ingest.Sample) {
	h := sha256.Sum256(s.Data)
	if _, twice := l.units[h]; twice {
		l.units[h] = unit{}
		return
	}
	l.units[h] = unit{l.source, l.video[s.Track], s.PTS}
}

func videoOf(p *ingest.Program) (video [ingest.MaxTracks]bool) {
	for _, t := range p.Tracks {
		video[t.ID] = t.Codec.IsVideo()
	}
	return video
}

func (l *library) learn(source string, data []byte) {
	l.source = source
	s := ts.NewScanner(ts.Config{Sink: l})
	_, _ = s.Write(data)
	s.Flush()
}

// sight is an access unit that a viewer got.
type sight struct {
	unit
	at  time.Time
	out int64 // PTS at the viewer
}

// onlooker watches what a viewer's player is given. It is a Sink after a demultiplexer.
type onlooker struct {
	t     *testing.T
	known *library

	mu     sync.Mutex
	video  [ingest.MaxTracks]bool
	last   map[bool]int64 // DTS of the newest picture, and of the newest sound: each input has one track of each, and its own table
	sights []sight
	more   chan struct{} // closed when there is another
	odd    int           // units that nobody sent
	mended int           // times that the player has put together a clock that is not one, and tells its receivers
}

func (w *onlooker) SetProgram(p *ingest.Program) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.video = videoOf(p)
}

func (w *onlooker) WriteSample(s ingest.Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	video := w.video[s.Track]
	last, begun := w.last[video]
	if begun && s.DTS < last {
		w.t.Errorf("time goes back (picture %v), from %d to %d", video, last, s.DTS)
	}
	if begun && video && s.Flags&ingest.Discontinuity != 0 && s.DTS-last < ingest.ClockRate { // what is merely later is told of, too
		w.mended++
	}
	w.last[video] = s.DTS
	u, ok := w.known.units[sha256.Sum256(s.Data)]
	if !ok {
		w.odd++
		return
	}
	if u.source == "" {
		return
	}
	w.sights = append(w.sights, sight{u, time.Now(), s.PTS})
	close(w.more)
	w.more = make(chan struct{})
}

// until waits for n pictures of a source that come after since; it returns when the first of them came.
func (w *onlooker) until(source string, since time.Time, n int) time.Time {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		first, seen := time.Time{}, 0
		for _, s := range w.sights {
			if s.video && s.source == source && s.at.After(since) {
				if seen++; seen == 1 {
					first = s.at
				}
			}
		}
		more := w.more
		w.mu.Unlock()
		if seen >= n {
			return first
		}
		select {
		case <-more:
		case <-deadline:
			w.t.Fatalf("%d pictures of the %s input came, want %d", seen, source, n)
		}
	}
}

// watch plays a viewer's stream into w and into file.
func (w *onlooker) watch(ctx context.Context, url, file string) {
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer r.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer f.Close()
	_, _ = io.Copy(io.MultiWriter(f, ts.NewScanner(ts.Config{Sink: w})), r.Body)
}

// TestPrimaryKilledTenTimes kills the encoder of the primary input ten times and starts it again. A viewer sees the backup within two
// seconds each time, and the primary again; there is one epoch, no time goes back, and sound stays with its picture to the tick.
func TestPrimaryKilledTenTimes(t *testing.T) {
	need(t, "ffmpeg", "ffprobe")
	beside(t, wholeRoom-1) // of its two seconds one is the switcher's own
	dir := t.TempDir()
	main := filepath.Join(dir, "main.ts")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=size=426x240:rate=25", "-f", "lavfi", "-i", "anoisesrc=r=48000:a=0.1:seed=1", "-t", "30", "-c:v", "libx264", "-preset", "ultrafast",
		"-bf", "2", "-g", "25", "-keyint_min", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k", "-f", "mpegts", main)
	known := &library{units: map[[32]byte]unit{}}
	data, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	known.learn("primary", data)
	backup, err := os.ReadFile(clipFile)
	if err != nil {
		t.Fatal(err)
	}
	known.learn("backup", backup)

	to := "udp://127.0.0.1:" + freePort(t)
	s := streamer(t, to, "--backup", clipFile, "--loop", "--slate", "built-in", "--return-after", "1s")
	encode := func() *exec.Cmd {
		e := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-re", "-i", main, "-c", "copy", "-f", "mpegts", to+"?pkt_size=1316")
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Process.Kill(); _ = e.Wait() })
		return e
	}
	encoder := encode()
	v := viewer(t, s.LinkTo())
	before := until(t, v, "live", live)
	w := &onlooker{t: t, known: known, last: map[bool]int64{}, more: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done, file := make(chan struct{}), filepath.Join(dir, "seen.ts")
	go func() { defer close(done); w.watch(ctx, v.HTTP+"/live.ts?join=next", file) }()

	var takes []time.Duration
	for range 10 {
		w.until("primary", time.Now(), 25)
		killed := time.Now()
		_ = encoder.Process.Kill()
		_ = encoder.Wait()
		takes = append(takes, w.until("backup", killed, 12).Sub(killed))
		encoder = encode()
		w.until("primary", time.Now(), 1)
	}
	w.until("primary", time.Now(), 25)
	after := until(t, v, "live", live)
	cancel()
	<-done

	slices.Sort(takes)
	t.Logf("from the kill to the backup at the viewer: %v to %v", takes[0].Round(time.Millisecond), takes[9].Round(time.Millisecond))
	if takes[9] > 2*time.Second {
		t.Errorf("the backup was seen after %v", takes)
	}
	if before.Renditions[0].Epoch != after.Renditions[0].Epoch || after.Blocks.Missed+after.Blocks.Rejected != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if w.odd > 20 { // what was cut by a kill
		t.Errorf("%d access units were never sent", w.odd)
	}
	if w.mended > 0 {
		t.Errorf("the player had to mend the clock %d times: it goes on at a switch", w.mended)
	}
	w.synced()
	foreignTimes(t, file)
}

// synced checks that sound and picture of one run of a source are moved alike. The backup is a loop of eight seconds.
func (w *onlooker) synced() {
	w.mu.Lock()
	defer w.mu.Unlock()
	runs, source, shift, known, compared := 0, "", int64(0), false, 0
	loop := int64(clip.Duration/time.Second) * ingest.ClockRate
	for _, s := range w.sights {
		if s.video && s.source != source {
			source, known, runs = s.source, false, runs+1
		}
		moved := (s.out - s.pts) % (1 << 33)
		switch {
		case s.source != source: // sound of the source before
		case s.video && !known:
			shift, known = moved, true
		case known:
			compared++
			off := (moved - shift) % (1 << 33)
			if source == "backup" {
				off %= loop
			}
			if off != 0 {
				w.t.Fatalf("run %d, of the %s input: a unit (picture %v) is %d ticks off its first picture", runs, source, s.video, off)
			}
		}
	}
	if runs < 21 || compared < 1000 {
		w.t.Errorf("%d runs and %d units were compared, want 21 and many", runs, compared)
	}
}

// foreignTimes lets ffprobe say that no decoding time goes back.
func foreignTimes(t *testing.T, file string) {
	t.Helper()
	for stream, packets := range probe(t, file) {
		for i := 1; i < len(packets); i++ {
			if a, b := packets[i-1], packets[i]; b.DTS < a.DTS && b.DTS != 0 && i < len(packets)-1 {
				t.Errorf("ffprobe, stream %d: packet %d at %d after %d", stream, i, b.DTS, a.DTS)
			}
		}
	}
}
