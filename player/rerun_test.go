package player

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/ingest"
)

// segments returns the first blocks of all segments of the current epoch.
func segments(t *testing.T, r *feed.Replica) (firsts []feed.Block) {
	t.Helper()
	l, err := r.Current().Log("main")
	if err != nil {
		t.Fatal(err)
	}
	for i := range l.Head().Size {
		if b, err := l.Block(i); err == nil && b.Record.Flags&feed.SegmentFirst != 0 {
			firsts = append(firsts, b)
		}
	}
	return firsts
}

// at is a request for what was on air when a block was signed.
func at(path string, b feed.Block) string {
	return path + "?at=" + time.UnixMicro(b.Record.Wall).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

// Who asks for a time gets all from the segment that was on air then, into the next epoch, and on when it happens.
func TestPastToTS(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	first := c.broadcast(program)
	first.write(in)
	first.stop()
	firsts := segments(t, c.replica)
	if len(firsts) < 4 {
		t.Fatalf("the clip has %d segments", len(firsts))
	}
	second := c.broadcast(program)
	defer second.stop()
	second.write(in[:len(in)/2])
	answer := c.watch(at("/live.ts", firsts[2]))
	if got, want := answer.Header.Get("X-Tailcast-From"), time.UnixMicro(firsts[2].Record.Wall).UTC().Format(fineClock); got != want {
		t.Errorf("X-Tailcast-From: got %s, want %s", got, want)
	}
	zone := time.UnixMicro(firsts[2].Record.Wall).In(time.FixedZone("", 2*3600)).Format("2006-01-02T15:04:05.000000Z07:00")
	if got, want := c.watch("/live.ts?at="+url.QueryEscape(zone)).Header.Get("X-Tailcast-From"), answer.Header.Get("X-Tailcast-From"); got != want {
		t.Errorf("at=%s: it begins at %s, want %s", zone, got, want)
	}
	video := program.Tracks[0].ID
	sent := track(in, video)
	past := len(sent) - pictureOf(t, sent, firsts[2])
	half := len(track(in[:len(in)/2], video))
	body := readUntil(t, answer.Body, pictures(video, past+half-40))
	second.write(in[len(in)/2:])
	body = append(body, readUntil(t, answer.Body, pictures(video, len(sent)-half-40))...)
	got := track(scan(body).samples, video)
	if got[0].Flags&ingest.RandomAccess == 0 {
		t.Error("it begins with a picture that cannot be decoded")
	}
	want := append(sent[len(sent)-past:], sent...)
	for k := range got[:len(got)-1] {
		if !bytes.Equal(got[k].Data, want[k].Data) {
			t.Fatalf("picture %d is another", k)
		}
		if d := got[k+1].DTS - got[k].DTS; d <= 0 || d > ingest.ClockRate {
			t.Fatalf("picture %d is %d ticks after the one before", k+1, d)
		}
	}
}

// pictureOf returns the number of the picture that a segment begins with.
func pictureOf(t *testing.T, sent []ingest.Sample, b feed.Block) int {
	t.Helper()
	for k, s := range sent {
		if s.DTS >= b.Record.DTS && s.Flags&ingest.RandomAccess != 0 {
			return k
		}
	}
	t.Fatal("the segment begins with a picture that was never sent")
	return 0
}

func TestPastToMP4(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	firsts := segments(t, c.replica)
	sent := track(in, program.Tracks[0].ID)
	late := sent[len(sent)-40].Data
	for _, k := range []int{0, len(firsts) - 2} {
		r := c.watch(at("/live.mp4", firsts[k]))
		body := readUntil(t, r.Body, func(b []byte) bool { return bytes.Contains(b, late[len(late)-30:]) })
		init := bytes.Index(body, []byte("moof")) - 4
		body = body[:bytes.LastIndex(body, []byte("moof"))-4]
		p := parse(t, body[:init], body)
		want := len(sent) - pictureOf(t, sent, firsts[k])
		if got := len(p.times[1]); got < want-45 || got > want {
			t.Errorf("from segment %d: got %d pictures, want about the last %d", k, got, want-40)
		}
	}
}

// A duration counts from the newest moment that is kept: a viewer that was started again has the past too.
func TestPastOfARestart(t *testing.T) {
	program, in := clipSamples(t)
	r, _ := archived(t, program, in)
	server := httptest.NewServer(New(Config{Replica: r, StartTimeout: time.Second}))
	defer server.Close()
	for query, want := range map[string]int{"-0s": 200, "-1ns": 200, "-1h": 404, "2020-01-02T03:04:05Z": 404, "2099-01-02T03:04:05+01:00": 404} {
		answer, err := http.Get(server.URL + "/live.ts?at=" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != want || err != nil {
			t.Errorf("at=%s: got %s, %v, want %d", query, answer.Status, err, want)
		}
		if want == 404 && !strings.Contains(string(body), "kept from 20") {
			t.Errorf("at=%s: got %q, want from when to when it is kept", query, body)
		}
		if want == 200 && len(track(scan(body).samples, program.Tracks[0].ID)) == 0 {
			t.Errorf("at=%s: got no picture in %d bytes", query, len(body))
		}
	}
}

// archived airs samples and returns what is on disk of them, opened to be read, and how many payloads were read so far.
func archived(t *testing.T, p *ingest.Program, in []ingest.Sample) (*feed.Replica, *atomic.Int64) {
	t.Helper()
	disk := feedtest.NewDisk()
	c := newChannel(t, Config{})
	replica, err := feed.Open(c.station.Root(), feed.Config{Files: disk})
	if err != nil {
		t.Fatal(err)
	}
	c.replica = replica
	b := c.broadcast(p)
	b.write(in)
	b.stop()
	if err := replica.Close(); err != nil {
		t.Fatal(err)
	}
	files := &countingFiles{Files: disk}
	r, err := feed.Open(c.station.Root(), feed.Config{Files: files, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, &files.payloads
}

type countingFiles struct {
	feed.Files
	payloads atomic.Int64 // how often a payload file was opened
}

func (f *countingFiles) Open(name string, create bool) (feed.File, error) {
	if strings.Contains(name, "/payload/") {
		f.payloads.Add(1)
	}
	return f.Files.Open(name, create)
}

// A stuck client takes a few writes and then no more.
type stuck struct {
	header http.Header
	left   int
	taken  int
	stuck  chan struct{} // closed when it takes no more
	free   chan struct{}
}

func (s *stuck) Header() http.Header { return s.header }
func (s *stuck) WriteHeader(int)     {}
func (s *stuck) Flush()              {}
func (s *stuck) Write(b []byte) (int, error) {
	if s.left--; s.left == 0 {
		close(s.stuck)
		<-s.free
	}
	s.taken += len(b)
	return len(b), nil
}

// The past is read as fast as the client takes it, no faster.
func TestPastWaitsForTheClient(t *testing.T) {
	program, in := clipSamples(t)
	r, payloads := archived(t, program, in)
	server := New(Config{Replica: r})
	w := &stuck{header: http.Header{}, left: 5, stuck: make(chan struct{}), free: make(chan struct{})}
	request := httptest.NewRequest(http.MethodGet, at("/live.ts", segments(t, r)[0]), nil)
	before := payloads.Load()
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeHTTP(w, request)
	}()
	<-w.stuck
	// Kept, OnAir and a few blocks. Opening twice for each is what it takes to see whether it is still there.
	if n := payloads.Load() - before; n > 40 {
		t.Errorf("%d payloads were read for a client that took 4 pieces", n)
	}
	close(w.free)
	<-done
	if n := payloads.Load() - before; n < 150 || w.taken < 800_000 {
		t.Errorf("%d payloads were read and %d bytes sent in the end, want all", n, w.taken)
	}
}

// Who watches the past counts as a client, and does not make live streams run.
func TestPastCounts(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{MaxClients: 1})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	r := c.watch("/live.ts?at=-1ms")
	readUntil(t, r.Body, pictures(program.Tracks[0].ID, 1))
	if s, _ := c.server.ts.now(); s != nil {
		t.Error("a live stream is made though nobody watches it")
	}
	answer, err := http.Get(c.url + "/live.ts")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %s, want 503: there is room for one", answer.Status)
	}
}

// TestPastEndsWithItsRendition: who watches the past of a rendition that is no longer the first is let go, as live clients are.
func TestPastEndsWithItsRendition(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	first := c.broadcast(program, "main")
	first.write(in)
	r := c.watch("/live.ts?at=-0s")
	first.stop()
	second := c.broadcast(program, "better")
	defer second.stop()
	second.write(in)
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Fatalf("it does not end cleanly: %v", err)
	}
}

func FuzzMoment(f *testing.F) {
	for _, s := range []string{"-60s", "-1h30m", "--1s", "60s", "2026-01-02T15:04:05Z", "2026-01-02T15:04:05 01:00", "2026-01-02", "-", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMoment(s)
		if err != nil {
			return
		}
		if m.before < 0 || m.at.IsZero() == (m.before == 0 && !strings.HasPrefix(s, "-")) {
			t.Errorf("%q: got %+v", s, m)
		}
		from, to := time.Unix(1e9, 0), time.Unix(2e9, 0)
		if at, err := m.in(from, to); err == nil && (at.Before(from) || at.After(to.Add(time.Minute))) {
			t.Errorf("%q: got %v, which is not kept", s, at)
		}
	})
}
