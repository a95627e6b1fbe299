package player

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/segmenter"
)

// channelTest is a channel with its writer and a player that serves it, all in memory but the keys.
type channelTest struct {
	t       *testing.T
	station *feed.Station
	replica *feed.Replica
	server  *Server
	url     string
}

func newChannel(t *testing.T, cfg Config) *channelTest {
	t.Helper()
	return newChannelOn(t, cfg, feed.Config{})
}

// newChannelOn keeps what it has as kept says.
func newChannelOn(t *testing.T, cfg Config, kept feed.Config) *channelTest {
	t.Helper()
	station, err := feed.OpenStation(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	replica, err := feed.Open(station.Root(), kept)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Replica = replica
	server := New(cfg)
	web := httptest.NewServer(server)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = replica.Close()
		_ = station.Close()
	})
	return &channelTest{t: t, station: station, replica: replica, server: server, url: web.URL}
}

// broadcast is one run of a streamer.
type broadcast struct {
	t    *testing.T
	cut  *segmenter.Segmenter
	stop func()
}

// broadcast goes on air with the renditions named, of which only the first has anything; if none is, with "main".
func (c *channelTest) broadcast(p *ingest.Program, rendition ...string) *broadcast {
	c.t.Helper()
	if len(rendition) == 0 {
		rendition = []string{"main"}
	}
	name := rendition[0]
	var list []feed.Rendition
	for _, r := range rendition {
		list = append(list, feed.Rendition{Name: r, Codecs: []string{"avc1.4d401e"}, Stripes: 1})
	}
	w, err := feed.NewWriter(feed.WriterConfig{Replica: c.replica, Station: c.station})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := w.SetState(feed.State{Title: "test", Renditions: list}); err != nil {
		c.t.Fatal(err)
	}
	lw, err := w.Log(name)
	if err != nil {
		c.t.Fatal(err)
	}
	cut := segmenter.New(segmenter.Config{}, func(b segmenter.Block) error {
		e := feed.Entry{Kind: feed.Media, DTS: b.DTS, Duration: b.Duration, Payload: b.Payload}
		for flag, on := range map[feed.Flags]bool{feed.SegmentFirst: b.SegmentFirst, feed.RandomAccess: b.RandomAccess, feed.Discontinuity: b.Discontinuity} {
			if on {
				e.Flags |= flag
			}
		}
		_, err := lw.Append(e)
		return err
	})
	cut.SetProgram(p)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return &broadcast{t: c.t, cut: cut, stop: func() {
		_ = cut.Close()
		cancel()
		<-done
	}}
}

func (b *broadcast) write(samples []ingest.Sample) {
	for _, s := range samples {
		b.cut.WriteSample(s)
	}
}

// watch opens a stream and returns its response.
func (c *channelTest) watch(path string) *http.Response {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	c.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		c.t.Fatalf("%s: %s: %s", path, answer.Status, body)
	}
	return answer
}

// readUntil reads until it is enough.
func readUntil(t *testing.T, r io.Reader, enough func([]byte) bool) []byte {
	t.Helper()
	var out []byte
	buf := make([]byte, 64<<10)
	for !enough(out) {
		n, err := r.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil {
			t.Fatalf("not enough after %d bytes: %v", len(out), err)
		}
	}
	return out
}

// pictures says when the stream holds n of them.
func pictures(id uint8, n int) func([]byte) bool {
	return func(b []byte) bool { return len(track(scan(b).samples, id)) >= n }
}

// from is what of samples comes with and after the first one that equals first.
func from(t *testing.T, samples []ingest.Sample, first ingest.Sample) []ingest.Sample {
	t.Helper()
	for i, s := range samples {
		if bytes.Equal(s.Data, first.Data) {
			return samples[i:]
		}
	}
	t.Fatal("the first sample that came was never sent")
	return nil
}

func TestFeedToTS(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	video := program.Tracks[0].ID
	half := len(in)/2 + 40 // not at a start: that would wait in the segmenter
	b.write(in[:half])

	last, next := bufio.NewReader(c.watch("/live.ts?join=last").Body), bufio.NewReader(c.watch("/live.ts?join=next").Body)
	more := half + 150
	if _, err := last.Peek(1); err != nil { // it has begun before more comes
		t.Fatal(err)
	}
	b.write(in[half:more])
	if _, err := next.Peek(1); err != nil {
		t.Fatal(err)
	}
	b.write(in[more:])
	sent := track(in, video)
	heldBefore := len(track(in[:half], video))
	for name, r := range map[string]io.Reader{"last": last, "next": next} {
		got := track(scan(readUntil(t, r, pictures(video, len(sent)-heldBefore-30))).samples, video)
		got = got[:len(got)-1] // cut off in the middle
		want := from(t, sent, got[0])
		same(t, got, want[:len(got)])
		if got[0].Flags&ingest.RandomAccess == 0 {
			t.Errorf("join=%s begins with a picture that cannot be decoded", name)
		}
		begins := len(sent) - len(want)
		if name == "last" && begins >= heldBefore || name == "next" && begins < heldBefore {
			t.Errorf("join=%s begins with picture %d, %d were there", name, begins, heldBefore)
		}
	}
}

func TestFeedToMP4AcrossEpochs(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	first := c.broadcast(program)
	first.write(in[:len(in)/2])
	r := c.watch("/live.mp4")
	first.stop()
	second := c.broadcast(program)
	defer second.stop()
	second.write(in)
	sent := track(in, program.Tracks[0].ID)
	late := sent[len(sent)-10].Data
	body := readUntil(t, r.Body, func(b []byte) bool { return bytes.Contains(b, late[len(late)-30:]) })
	init := bytes.Index(body, []byte("moof")) - 4
	body = body[:bytes.LastIndex(body, []byte("moof"))-4]
	p := parse(t, body[:init], body)
	for i := 1; i < len(p.times[1]); i++ {
		if d := p.times[1][i] - p.times[1][i-1]; d < 3750 || d > 20000 {
			t.Errorf("picture %d is %d ticks after the one before", i, d)
		}
	}
}

func TestNothingYet(t *testing.T) {
	c := newChannel(t, Config{StartTimeout: 20 * time.Millisecond})
	for _, path := range []string{"/live.ts", "/live.ts?at=-60s"} {
		answer, err := http.Get(c.url + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: got %s, want 503", path, answer.Status)
		}
	}
}

// TestNobodyWatching: nothing is made for nobody, and who comes later still gets everything.
func TestNobodyWatching(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{Linger: time.Nanosecond})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	for range 2 {
		if s, _ := c.server.ts.now(); s != nil {
			t.Fatal("a stream is made though nobody watches")
		}
		r := c.watch("/live.ts")
		readUntil(t, r.Body, pictures(program.Tracks[0].ID, 3))
		r.Body.Close()
		untilClosed(t, c.server.ts)
	}
}

// untilClosed waits until the outlet has no stream.
func untilClosed(t *testing.T, o *outlet) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		o.mu.Lock()
		s, changed := o.stream, o.changed
		o.mu.Unlock()
		if s == nil {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("the stream is still made")
		}
	}
}

// TestOtherRendition: when the broadcaster's first rendition is another, the playing goes over to it.
func TestOtherRendition(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	first := c.broadcast(program, "main")
	first.write(in)
	r := c.watch("/live.ts")
	readUntil(t, r.Body, pictures(program.Tracks[0].ID, 3))
	first.stop()
	second := c.broadcast(program, "better")
	defer second.stop()
	second.write(in)
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Fatalf("the stream of the old rendition does not end cleanly: %v", err)
	}
	readUntil(t, c.watch("/live.ts").Body, pictures(program.Tracks[0].ID, 3))
}
