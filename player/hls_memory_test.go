package player

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"tailcast/ingest"
)

// hostile is a channel whose newest segment has large pictures in a row, as far apart as step, after three ordinary seconds; then one more begins.
func hostile(n, size int, step int64) []ingest.Sample {
	r := rand.New(rand.NewPCG(3, 4))
	in := track(paced(90, 30, func(i int) int64 { return int64(i) * 3000 }), picture)
	at := int64(90 * 3000)
	in = append(in, ingest.Sample{Track: picture, DTS: at, PTS: at, Data: h264Unit(r, true, sps480), Flags: ingest.RandomAccess})
	large := append([]byte{0, 0, 0, 1, 0x41}, noise(r, size)...)
	for range n {
		at += step
		in = append(in, ingest.Sample{Track: picture, DTS: at, PTS: at, Data: large})
	}
	return in
}

// remembered counts the bytes of parts, and of the part being filled that can be had.
func (e *edge) remembered() (open, closed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open != nil {
		open = bytesOf(e.open.parts)
	}
	for _, s := range e.tape.list {
		closed += bytesOf(s.parts)
	}
	return open, closed
}

// TestHLSMemory: whatever a broadcaster sends, parts end after maxPart bytes, and together stay within BacklogBytes; a segment that is larger is listed, without
// parts, and who asks for it is told why he cannot have it.
func TestHLSMemory(t *testing.T) {
	for _, c := range []struct {
		name string
		step int64
	}{{"pictures one tick apart", 1}, {"keyframes far apart", 9000}} {
		t.Run(c.name, func(t *testing.T) {
			const backlog = 8 << 20
			ch := newChannel(t, Config{BacklogBytes: backlog})
			p := syntheticProgram()
			p.Tracks = p.Tracks[:1]
			b := ch.broadcast(p)
			defer b.stop()
			in := hostile(100, 200<<10, c.step)
			b.write(in[:91])
			before := ch.past("")
			for i, s := range in[91:] {
				b.write([]ingest.Sample{s})
				if i%10 == 0 {
					ch.past("")
				}
				if open, closed := ch.server.hls.remembered(); open+closed > backlog {
					t.Fatalf("after %d large pictures %d and %d bytes are remembered, BacklogBytes is %d", i, open, closed, backlog)
				}
			}
			last := in[len(in)-1].DTS
			b.write(later(in[:61], last+3000))
			m := before
			for m.number+len(m.segments) < before.number+len(before.segments)+2 {
				m = ch.past(fmt.Sprintf("?_HLS_msn=%d", m.number+len(m.segments)))
			}
			if open, closed := ch.server.hls.remembered(); open+closed > backlog {
				t.Errorf("%d and %d bytes are remembered", open, closed)
			}
			large := m.segments[before.number+len(before.segments)-m.number]
			if len(large.parts) > 0 {
				t.Errorf("the large segment is listed with %d parts", len(large.parts))
			}
			if status, text, _ := ch.fetch(large.uri); status != http.StatusNotFound {
				t.Errorf("the large segment: %d, %d bytes, want 404", status, len(text))
			}
			ch.have(m.segments[0].uri)
		})
	}
}

// TestPartsEndByBytes: no part has much more than maxPart.
func TestPartsEndByBytes(t *testing.T) {
	ch := newChannel(t, Config{})
	p := syntheticProgram()
	p.Tracks = p.Tracks[:1]
	b := ch.broadcast(p)
	defer b.stop()
	in := hostile(100, 200<<10, 1)
	b.write(in)
	b.write(later(in[:31], in[len(in)-1].DTS+3000))
	m := ch.past("")
	for len(m.segments) < 4 {
		m = ch.past(fmt.Sprintf("?_HLS_msn=%d", m.number+len(m.segments)))
	}
	e := ch.server.hls
	e.mu.Lock()
	s := *e.tape.list[3]
	e.mu.Unlock()
	s.parts = nil
	pieces, _, err := e.segment(&s)
	if err != nil || len(pieces) < 4 {
		t.Fatalf("%d parts, %v, want several of 20 MB", len(pieces), err)
	}
	for i, piece := range pieces {
		if len(piece) > maxPart+300<<10 {
			t.Errorf("part %d has %d bytes", i, len(piece))
		}
	}
}

// TestCutsAreShared: what many ask for at once is cut once, few are cut at a time, and an error is not kept.
func TestCutsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCuts(100)
		var mu sync.Mutex
		running, most, cuts := 0, 0, 0
		release := make(chan struct{})
		cut := func() ([]part, error) {
			mu.Lock()
			running, cuts = running+1, cuts+1
			most = max(most, running)
			mu.Unlock()
			<-release
			mu.Lock()
			running--
			mu.Unlock()
			return []part{{data: make([]byte, 30)}}, nil
		}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if parts, err := c.get(fmt.Sprint(i%4), cut); err != nil || len(parts) != 1 {
					t.Errorf("%d parts, %v", len(parts), err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if cuts != 4 || most != cutsAtOnce {
			t.Errorf("cut %d times, %d at once; want 4, %d", cuts, most, cutsAtOnce)
		}
		if len(c.parts) != 3 || c.size != 90 || len(c.order) != 3 {
			t.Errorf("%d segments of %d bytes are kept, 100 may be", len(c.parts), c.size)
		}
		if _, err := c.get("x", func() ([]part, error) { return nil, errGone }); !errors.Is(err, errGone) {
			t.Errorf("got %v", err)
		}
		if parts, err := c.get("x", cut); err != nil || len(parts) != 1 {
			t.Errorf("after an error: %d parts, %v", len(parts), err)
		}
	})
}

// TestHLSSendingIsBounded: clients that take their time keep little in memory altogether.
func TestHLSSendingIsBounded(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	m := c.media("")
	e := c.server.hls
	under := int64(sendingFactor * e.server.cfg.BacklogBytes)
	e.sending.Add(under) // as slow clients would
	if status, _, header := c.fetch(m.segments[0].uri); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("one more: %d, want 503", status)
	}
	e.sending.Add(-under)
	c.have(m.segments[0].uri)
	for e.sending.Load() != 0 { // until the answer has ended
		runtime.Gosched()
	}
}
