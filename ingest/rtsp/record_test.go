package rtsp

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"tailcast/ingest"
)

// record is a sink that keeps everything.
type record struct {
	mu       sync.Mutex
	programs []*ingest.Program
	samples  []ingest.Sample
	changed  chan struct{} // closed and replaced with each sample
}

func newRecord() *record { return &record{changed: make(chan struct{})} }

func (r *record) SetProgram(p *ingest.Program) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.programs = append(r.programs, p)
}

func (r *record) WriteSample(s ingest.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Data = append([]byte(nil), s.Data...)
	r.samples = append(r.samples, s)
	close(r.changed)
	r.changed = make(chan struct{})
}

// all is a copy of what has come so far.
func (r *record) all() []ingest.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]ingest.Sample(nil), r.samples...)
}

// of is what has come of one track.
func (r *record) of(track uint8) (out []ingest.Sample) {
	for _, s := range r.all() {
		if s.Track == track {
			out = append(out, s)
		}
	}
	return out
}

// program is the newest table.
func (r *record) program(t *testing.T) *ingest.Program {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.programs) == 0 {
		t.Fatal("no program was set")
	}
	return r.programs[len(r.programs)-1]
}

// wait returns when n samples are there.
func (r *record) wait(t *testing.T, n int) []ingest.Sample {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		have, changed := len(r.samples), r.changed
		r.mu.Unlock()
		if have >= n {
			return r.all()
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("after 10 s there are %d samples, want %d", have, n)
		}
	}
}

// checkTimes fails unless decoding times rise and stay at or below presentation times, in every track.
func checkTimes(t *testing.T, samples []ingest.Sample) {
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

// start runs a source until the test ends, and fails the test unless it ends by its context.
func start(t *testing.T, s ingest.Source, sink ingest.Sink) (stop func()) {
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

// quiet is a logger for tests that provoke complaints.
func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// listen starts a server on loopback.
func listen(t *testing.T, cfg ServerConfig) (*Server, *record) {
	t.Helper()
	cfg.Addr, cfg.Logger = "127.0.0.1:0", quiet()
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := newRecord()
	start(t, s, r)
	return s, r
}
