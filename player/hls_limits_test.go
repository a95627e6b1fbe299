package player

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
)

// TestHLSForgets: what is no longer held is no longer listed, its number does not come back, and who asks for it is told at once.
func TestHLSForgets(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannelOn(t, Config{}, feed.Config{TailBytes: 600 << 10})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	before := c.media("")
	m := before
	for round := range int64(5) {
		for second := range slices.Chunk(later(in, (1+round)*clipTicks), len(in)/8) {
			b.write(second)
			m = c.media(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=0", m.number+len(m.segments)))
		}
	}
	m.follows(t, before)
	if m.number <= before.number {
		t.Errorf("the playlist still begins with %d", m.number)
	}
	if status, _, _ := c.fetch(before.segments[0].uri); status != http.StatusNotFound { // who is kept waiting for it gets 503
		t.Errorf("a segment that is gone: %d, want 404", status)
	}
	c.have(m.segments[len(m.segments)/2].uri) // the first may have gone since
	c.have(m.segments[0].mapURI)
}

// TestHLSForgetsDiscontinuities: when one has left the playlist, EXT-X-DISCONTINUITY-SEQUENCE counts it, so that segments keep theirs (RFC 8216, 6.2.2).
func TestHLSForgetsDiscontinuities(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannelOn(t, Config{}, feed.Config{TailBytes: 600 << 10})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	m := c.media("")
	listed := false
	for round := range int64(8) {
		if round == 1 {
			other := *program
			other.Tracks = slices.Clone(program.Tracks)
			other.Tracks[1].Language = "fra" // another program is another EXT-X-MAP, behind a discontinuity
			b.cut.SetProgram(&other)
		}
		for second := range slices.Chunk(later(in, (1+round)*clipTicks), len(in)/8) {
			b.write(second)
			before := m
			m = c.upTo(m)
			m.follows(t, before)
			listed = listed || slices.ContainsFunc(m.segments, func(s mediaSegment) bool { return s.broken })
		}
		if m.breaks > 0 {
			break
		}
	}
	if !listed || m.breaks != 1 {
		t.Errorf("a discontinuity was listed: %v; afterwards %d have left the playlist, want 1", listed, m.breaks)
	}
}

// upTo is the playlist when the newest complete segment of the feed is in it. Who writes on without it can write more than the feed keeps.
func (c *channelTest) upTo(m *media) *media {
	c.t.Helper()
	log, err := c.replica.Current().Log("main")
	if err != nil {
		c.t.Fatal(err)
	}
	open, _ := lastStart(log)
	newest := open.block.Index - 1
	for b, err := log.Record(newest); err == nil && !begins(&b.Record); b, err = log.Record(newest) {
		newest--
	}
	for last := fmt.Sprintf("-%d.m4s", newest); !strings.HasSuffix(m.segments[len(m.segments)-1].uri, last); {
		m = c.past(fmt.Sprintf("?_HLS_msn=%d", m.number+len(m.segments)))
	}
	return m
}

// TestHLSIsBounded: requests that wait are counted, and beyond the bound others are told to come back.
func TestHLSIsBounded(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{MaxClients: 3})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	m := c.media("")
	waits, over := make(chan struct{}, 3), make(chan struct{}, 3)
	for range 3 {
		r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/hls/main.m3u8?_HLS_msn=%d", m.number+len(m.segments)), nil)
		r = r.WithContext(&waited{Context: t.Context(), waits: waits})
		go func() {
			c.server.ServeHTTP(httptest.NewRecorder(), r)
			over <- struct{}{}
		}()
		soon(t, waits, "a request waits")
	}
	status, _, header := c.fetch("main.m3u8")
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("request 4 got %d, want 503", status)
	}
	b.write(later(in, clipTicks))
	for range 3 {
		soon(t, over, "a request that waited is answered")
	}
	c.have("main.m3u8")
}

// soon waits for what happens in an instant; only what never happens takes long.
func soon(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatalf("in vain: %s", what)
	}
}

// A waited tells when somebody first wants to know about its end: a request that was let in, and waits.
type waited struct {
	context.Context
	waits chan<- struct{}
	once  sync.Once
}

func (w *waited) Done() <-chan struct{} {
	w.once.Do(func() { w.waits <- struct{}{} })
	return w.Context.Done()
}

// count is how many there are.
func (a *audience) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

// heavy makes the pictures of a clip so large that no socket holds a segment of them. Nobody decodes them here.
func heavy(t *testing.T) (*ingest.Program, []ingest.Sample) {
	program, clip := clipSamples(t)
	in := slices.Clone(clip)
	for i := range in {
		if program.Tracks[0].ID == in[i].Track {
			in[i].Data = append(bytes.Clone(in[i].Data), bytes.Repeat([]byte{0x55}, 20<<10)...)
		}
	}
	return program, in
}

// small serves the channel through sockets that hold less than a segment, and tells of each request that is over.
func (c *channelTest) small() (url string, over <-chan struct{}) {
	ends := make(chan struct{}, 100)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.server.ServeHTTP(w, r)
		ends <- struct{}{}
	}))
	web.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		_ = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		return ctx
	}
	web.Start()
	c.t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	return web.URL + "/hls/", ends
}

// TestSlowHLSClient takes nothing of a segment; others get theirs, and the edge goes on.
func TestSlowHLSClient(t *testing.T) {
	const slow = 8
	program, in := heavy(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	m := c.media("")
	uri := m.segments[0].uri
	want := c.have(uri)
	url, over := c.small()
	var bodies []io.Closer
	for range slow {
		bodies = append(bodies, getSmall(t, url+uri).Body) // the header has come, and of the body nothing is read
	}
	if got := c.server.hls.audience.count(); got < slow {
		t.Fatalf("%d requests are under way, want %d: what the sockets hold is no test", got, slow)
	}
	if got := c.have(uri); !bytes.Equal(got, want) {
		t.Error("another client got other bytes")
	}
	b.write(later(in, clipTicks))
	c.media(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=0", m.number+len(m.segments)+2))
	if got := c.server.hls.audience.count(); got < slow {
		t.Errorf("%d requests are under way, want still %d: nobody had to wait for the slow ones, who left", got, slow)
	}
	for _, body := range bodies {
		body.Close()
		soon(t, over, "a slow client that has left is noticed")
	}
}

// TestStalledHLSClient reads nothing for StallTimeout, and is dropped.
func TestStalledHLSClient(t *testing.T) {
	program, in := heavy(t)
	c := newChannel(t, Config{StallTimeout: 50 * time.Millisecond})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	url, over := c.small()
	stalled := getSmall(t, url+c.media("").segments[0].uri)
	soon(t, over, "a client that reads nothing is dropped")
	if got, err := io.ReadAll(stalled.Body); err == nil {
		t.Errorf("it got all %d bytes: what the sockets hold is no test", len(got))
	}
}

// TestHLSWindow: DVR bounds what is listed, seen from the newest segment by the signer's clock.
func TestHLSWindow(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{DVR: time.Nanosecond})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	listed := make(chan *media, 1)
	go func() { listed <- c.media("") }()
	edge := c.server.hls
	if err := edge.await(t.Context(), func() (bool, error) { return edge.open != nil, nil }); err != nil {
		t.Fatal(err)
	}
	b.write(later(in, clipTicks)) // completes segments at the edge: until then, what is kept is older than DVR
	if m := <-listed; len(m.segments) != 1 {
		t.Errorf("%d segments are listed, want the newest alone", len(m.segments))
	}
}
