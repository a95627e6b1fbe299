package player

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
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
	begun := time.Now()
	if status, _, _ := c.fetch(before.segments[0].uri); status != http.StatusNotFound {
		t.Errorf("a segment that is gone: %d, want 404", status)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the answer took %v", took)
	}
	c.have(m.segments[0].uri)
	c.have(m.segments[0].mapURI)
}

// TestHLSIsBounded: requests that wait are counted, and beyond the bound others are told to come back.
func TestHLSIsBounded(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{MaxClients: 3})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	m := c.media("")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { c.fetch(fmt.Sprintf("main.m3u8?_HLS_msn=%d", m.number+len(m.segments))) })
	}
	for c.server.hls.audience.count() < 3 {
		<-c.server.hls.next()
	}
	status, _, header := c.fetch("main.m3u8")
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("request 4 got %d, want 503", status)
	}
	b.write(later(in, clipTicks))
	wg.Wait()
	c.have("main.m3u8")
}

// count is how many there are; next is closed at the next change, or soon: requests that begin to wait change nothing.
func (a *audience) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

func (e *edge) next() <-chan time.Time { return time.After(5 * time.Millisecond) }

// TestSlowHLSClient takes nothing of a segment; others get theirs, and the edge goes on.
func TestSlowHLSClient(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{StallTimeout: 2 * time.Second})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	m := c.media("")
	uri := m.segments[0].uri
	want := c.have(uri)
	for range 8 {
		getSmall(t, c.url+"/hls/"+uri) // reads nothing of the body
	}
	if got := c.have(uri); !bytes.Equal(got, want) {
		t.Error("another client got other bytes")
	}
	b.write(later(in, clipTicks))
	c.media(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=0", m.number+len(m.segments)+2))
}

// TestHLSWindow: DVR bounds what is listed, seen from the newest segment by the signer's clock.
func TestHLSWindow(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{DVR: time.Nanosecond})
	b := c.broadcast(program)
	defer b.stop()
	listed := make(chan *media)
	go func() { listed <- c.media("") }()
	for round := range int64(1000) {
		b.write(later(in, round*clipTicks))
		select {
		case m := <-listed:
			if len(m.segments) != 1 {
				t.Errorf("%d segments are listed, want the newest alone", len(m.segments))
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Error("no playlist came")
}
