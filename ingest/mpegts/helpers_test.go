package mpegts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/ts"
)

// sink keeps what it gets and when. Its methods are called by the source, the others by the test.
type sink struct {
	mu       sync.Mutex
	programs []*ingest.Program
	samples  []arrival
	limit    int           // after which full is closed; 0: never
	full     chan struct{} //
}

type arrival struct {
	ingest.Sample
	pid uint16
	at  time.Time
}

func newSink(limit int) *sink { return &sink{limit: limit, full: make(chan struct{})} }

func (s *sink) SetProgram(p *ingest.Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs = append(s.programs, p)
}

func (s *sink) WriteSample(x ingest.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := arrival{Sample: x, at: time.Now()}
	a.Data = bytes.Clone(x.Data)
	for _, t := range s.programs[len(s.programs)-1].Tracks {
		if t.ID == x.Track {
			a.pid = t.PID
		}
	}
	if s.samples = append(s.samples, a); len(s.samples) == s.limit {
		close(s.full)
	}
}

func (s *sink) of(pid uint16) (out []arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.samples {
		if a.pid == pid {
			out = append(out, a)
		}
	}
	return out
}

func (s *sink) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.samples)
}

// want is what the clip holds, and of its pictures and sound.
func want(t testing.TB) *sink {
	t.Helper()
	s := newSink(0)
	scanner := ts.NewScanner(ts.Config{Sink: s})
	scanner.Write(clip.Bytes())
	scanner.Flush()
	return s
}

const pictures, sound = 256, 257 // PIDs in the clip

// same fails the test unless got are the samples of want from the first on.
func same(t testing.TB, got, want []arrival) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d samples, want %d", len(got), len(want))
	}
	for i, w := range want {
		if g := got[i]; !bytes.Equal(g.Data, w.Data) || g.PTS != w.PTS || g.DTS != w.DTS || g.Flags != w.Flags {
			t.Fatalf("sample %d: got %d bytes, PTS %d, DTS %d, flags %b, want %d, %d, %d, %b", i,
				len(g.Data), g.PTS, g.DTS, g.Flags, len(w.Data), w.PTS, w.DTS, w.Flags)
		}
	}
}

// opener opens bytes as a File does.
func opener(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// start runs a source; the returned function ends it and waits.
func start(t testing.TB, s ingest.Source, to ingest.Sink) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, to) }()
	return func() error {
		cancel()
		return <-done
	}
}

// wait fails the test if c is not closed within ten seconds.
func wait(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited ten seconds for %s", what)
	}
}

func canceled(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
