// Package ingesttest is what the tests of sources have in common: a Sink that keeps everything, and the rules that hold for whatever a
// Source delivers.
package ingesttest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"tailcast/ingest"
)

// Record is a Sink that keeps everything.
type Record struct {
	mu       sync.Mutex
	programs []*ingest.Program
	samples  []ingest.Sample
	changed  chan struct{} // closed and replaced with each sample
}

// NewRecord returns an empty one.
func NewRecord() *Record { return &Record{changed: make(chan struct{})} }

// SetProgram implements ingest.Sink.
func (r *Record) SetProgram(p *ingest.Program) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.programs = append(r.programs, p)
}

// WriteSample implements ingest.Sink.
func (r *Record) WriteSample(s ingest.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Data = append([]byte(nil), s.Data...)
	r.samples = append(r.samples, s)
	close(r.changed)
	r.changed = make(chan struct{})
}

// All is a copy of what has come so far.
func (r *Record) All() []ingest.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]ingest.Sample(nil), r.samples...)
}

// Of is what has come of one track.
func (r *Record) Of(track uint8) (out []ingest.Sample) {
	for _, s := range r.All() {
		if s.Track == track {
			out = append(out, s)
		}
	}
	return out
}

// Program is the newest table.
func (r *Record) Program(t testing.TB) *ingest.Program {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.programs) == 0 {
		t.Fatal("no program was set")
	}
	return r.programs[len(r.programs)-1]
}

// Programs are all tables that were set.
func (r *Record) Programs() []*ingest.Program {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*ingest.Program(nil), r.programs...)
}

// HasKey tells whether a picture has come with which decoding can begin.
func (r *Record) HasKey() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var pictures [ingest.MaxTracks]bool
	for _, p := range r.programs {
		for _, t := range p.Tracks {
			pictures[t.ID] = t.Codec.IsVideo()
		}
	}
	return slices.ContainsFunc(r.samples, func(s ingest.Sample) bool { return pictures[s.Track] && s.Flags&ingest.RandomAccess != 0 })
}

// Wait returns when n samples are there.
func (r *Record) Wait(t *testing.T, n int) []ingest.Sample {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		have, changed := len(r.samples), r.changed
		r.mu.Unlock()
		if have >= n {
			return r.All()
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("after 10 s there are %d samples, want %d", have, n)
		}
	}
}

// CheckTimes fails unless decoding times rise and stay at or below presentation times, in every track.
func CheckTimes(t *testing.T, samples []ingest.Sample) {
	t.Helper()
	last := map[uint8]int64{}
	for i, s := range samples {
		if s.DTS > s.PTS {
			t.Errorf("sample %d of track %d: DTS %d is above PTS %d", i, s.Track, s.DTS, s.PTS)
		}
		if before, ok := last[s.Track]; ok && s.DTS <= before {
			t.Errorf("sample %d of track %d: DTS %d follows %d", i, s.Track, s.DTS, before)
		}
		last[s.Track] = s.DTS
	}
}

// Start runs a source until the test ends, and fails the test unless it ends by its context.
func Start(t *testing.T, s ingest.Source, sink ingest.Sink) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, sink) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Run returned %v, want %v", err, context.Canceled)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Quiet is a logger for tests that provoke complaints.
func Quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// Fragile is a Record that panics once, after Left samples, as a library would.
type Fragile struct {
	*Record
	Left int
}

// WriteSample implements ingest.Sink.
func (f *Fragile) WriteSample(s ingest.Sample) {
	if f.Left--; f.Left == -1 {
		panic("glass")
	}
	f.Record.WriteSample(s)
}

// Until waits for something that nobody signals.
func Until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("after 15 s: not %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Lines is a log that can be read while it is written.
type Lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is what was written so far.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Logger writes to l, debugging too.
func (l *Lines) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
