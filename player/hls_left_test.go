package player

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/segmenter"
)

// TestHLSOfWhatWasLeft: a rendition was left and is followed again. Who asks for its list gets one that ends live, whose segments can all be had: neither
// the end of before, nor the beginning of a segment of which no more has come than its first block.
func TestHLSOfWhatWasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHoley(t)
		h.air(4)
		h.copyAll("high")
		h.copyAll("low")
		before := h.have("/hls/r/low/main.m3u8")
		if strings.Count(before, "#EXTINF") < 3 {
			t.Fatalf("the list of the beginning is %s", before)
		}
		h.air(2)
		h.copy("low", h.at["low"], h.segments("low", h.at["low"])[0]+1) // and one block of a segment
		h.airFor(5)
		h.copyAll("high")
		again := h.segments("low", h.at["low"])
		edge := again[len(again)-1]
		answer := make(chan string)
		go func() { answer <- h.have("/hls/r/low/main.m3u8") }()
		waits := func(of string) {
			synctest.Wait()
			select {
			case text := <-answer:
				t.Fatalf("answered with %s:\n%s", of, text)
			default:
			}
		}
		waits("what was left")
		h.log("low").Abandon(edge)
		h.copy("low", edge, edge+8)
		waits("a moment of the new")
		h.air(2)
		begun := time.Now()
		h.copyAll("low")
		text := <-answer
		if took := time.Since(begun); took != 0 {
			t.Errorf("answered %v after the new had come", took)
		}
		_, after, ok := strings.Cut(text, "#EXT-X-DISCONTINUITY\n")
		if !ok || strings.Count(after, "#EXT-X-PART:") < partsFor {
			t.Errorf("want the new behind a discontinuity, as long as players stay behind:\n%s", text)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "s/") && len(h.have("/hls/r/low/"+strings.TrimSpace(line))) == 0 {
				t.Errorf("%s is empty", line)
			}
		}
	})
}

// TestReloadGivesUp: who waits for what does not come is told to come back after three target durations (RFC 8216bis, 6.2.5.2).
func TestReloadGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHoley(t)
		h.air(4)
		h.copyAll("high")
		h.have("/hls/r/high/main.m3u8") // it wakes
		synctest.Wait()
		m := parseMedia(t, h.have("/hls/r/high/main.m3u8"))
		next := m.number + len(m.segments)
		for _, path := range []string{
			fmt.Sprintf("/hls/r/high/main.m3u8?_HLS_msn=%d", next), fmt.Sprintf("/hls/r/high/main.m3u8?_HLS_msn=%d&_HLS_part=%d", next, len(m.open.parts)), "/hls/r/high/" + m.hint,
		} {
			begun, answer := time.Now(), httptest.NewRecorder()
			h.server.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			if took, want := time.Since(begun), time.Duration(3*m.target)*time.Second; answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" || took != want {
				t.Errorf("%s: %d after %v, want 503 after %v", path, answer.Code, took, want)
			}
		}
	})
}

// holey is a channel of two renditions, and a player to which comes what is copied.
type holey struct {
	*channelTest
	rungs  map[string]*segmenter.Segmenter
	aired  int64 // ticks
	viewer *feed.Replica
	at     map[string]uint64 // how far each log is copied
}

func newHoley(t *testing.T) *holey {
	t.Helper()
	station, err1 := feed.OpenStation(t.TempDir(), time.Now)
	source, err2 := feed.Open(station.Root(), feed.Config{})
	viewer, err3 := feed.Open(station.Root(), feed.Config{})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	h := &holey{channelTest: &channelTest{t: t, station: station, replica: source, server: New(Config{Replica: viewer})}, viewer: viewer, at: map[string]uint64{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, source.Close(), viewer.Close(), station.Close()); err != nil {
			t.Error(err)
		}
	})
	h.rungs, _ = h.channelTest.rungs("high", "low")
	if _, err := viewer.AddNotes(source.Notes()); err != nil {
		t.Fatal(err)
	}
	h.copyAll(feed.CatalogLog)
	return h
}

// air writes seconds of both renditions at once; airFor takes as long as that.
func (h *holey) air(seconds int) {
	samples := synthetic(seconds, h.aired)
	for i := range samples {
		if s := &samples[i]; s.Flags&ingest.RandomAccess != 0 {
			s.Data = append(s.Data, bytes.Repeat([]byte{0x5a}, 40000)...) // a block holds less
		}
	}
	for _, to := range h.rungs {
		write(to, samples)
	}
	h.aired += int64(seconds) * 90000
}

func (h *holey) airFor(seconds int) {
	for range seconds {
		time.Sleep(time.Second)
		h.air(1)
	}
}

func (h *holey) log(name string) *feed.Log {
	h.t.Helper()
	log, err := h.viewer.Current().Log(name)
	if err != nil {
		h.t.Fatal(err)
	}
	return log
}

func (h *holey) source(name string) *feed.Log {
	h.t.Helper()
	log, err := h.replica.Current().Log(name)
	if err != nil {
		h.t.Fatal(err)
	}
	return log
}

// segments are the blocks of the source from one on with which segments begin.
func (h *holey) segments(name string, from uint64) (firsts []uint64) {
	log := h.source(name)
	for i := from; i < log.Head().Size; i++ {
		if b, err := log.Record(i); err == nil && begins(&b.Record) {
			firsts = append(firsts, i)
		}
	}
	return firsts
}

func (h *holey) copyAll(name string) {
	h.t.Helper()
	h.copy(name, h.at[name], h.source(name).Head().Size)
}

func (h *holey) copy(name string, from, to uint64) {
	h.t.Helper()
	source, log := h.source(name), h.log(name)
	for i := from; i < to; i++ {
		b, err1 := source.Block(i)
		f, err2 := source.Frontier(i)
		b.Payload = bytes.Clone(b.Payload)
		if _, err := log.Put(b, f); errors.Join(err, err1, err2) != nil {
			h.t.Fatal(err, err1, err2)
		}
	}
	h.at[name] = to
}

// have asks for a path, without a network, which has no place in virtual time.
func (h *holey) have(path string) string {
	answer := httptest.NewRecorder()
	h.server.ServeHTTP(answer, httptest.NewRequestWithContext(h.t.Context(), http.MethodGet, path, nil))
	if answer.Code != http.StatusOK {
		h.t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
	}
	return answer.Body.String()
}
