package mpegts

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip"
)

// TestSeriesPanic: a panic is an error, and what comes next is whole.
func TestSeriesPanic(t *testing.T) {
	f := &ingesttest.Fragile{Record: ingesttest.NewRecord(), Left: 2}
	s := Config{Stats: new(ingest.Stats)}.Series(f)
	broken := s.scanner
	if err := s.Take(t.Context(), bytes.NewReader(clip.Bytes()), 0); err == nil || !strings.Contains(err.Error(), "parser panic: glass") {
		t.Errorf("got %v, want that it panicked", err)
	}
	if s.scanner == broken {
		t.Error("the scanner that was left half done is used again")
	}
	before := len(f.All())
	if err := s.Take(t.Context(), bytes.NewReader(clip.Bytes()), 0); err != nil {
		t.Fatal(err)
	}
	if n := len(f.All()) - before; n != 567 {
		t.Errorf("%d samples after it, want 567", n)
	}
}

// TestPushPanic: the same for publishers by HTTP.
func TestPushPanic(t *testing.T) {
	p := &Push{Config: Config{Stats: new(ingest.Stats)}}
	server := httptest.NewServer(p)
	defer server.Close()
	f := &ingesttest.Fragile{Record: ingesttest.NewRecord(), Left: 2}
	stop := start(t, p, f)
	running(p)
	broken := p.scanner
	if status, text := publish(t, "PUT", server.URL, bytes.NewReader(clip.Bytes())); status != 400 || !strings.Contains(text, "parser panic") {
		t.Errorf("the publisher got %d %q, want 400", status, text)
	}
	if p.scanner == broken {
		t.Error("the scanner that was left half done is used again")
	}
	before := len(f.All())
	if !strings.Contains(p.Stats.LastError(), "parser panic: glass") {
		t.Errorf("last error is %q, want it to tell of the panic", p.Stats.LastError())
	}
	if status, text := publish(t, "PUT", server.URL, bytes.NewReader(clip.Bytes())); status != 200 {
		t.Errorf("the next publisher got %d %q", status, text)
	}
	if n := len(f.All()) - before; n != 567 {
		t.Errorf("%d samples after it, want 567", n)
	}
	canceled(t, stop())
}
