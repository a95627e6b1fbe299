package main

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// The children are this test's own program again.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == roleFlag {
		os.Exit(child(os.Args[2]))
	}
	os.Exit(m.Run())
}

// A short run over real sockets, six seconds with all that belongs to it, brings figures from every child. How good they are depends on the machine,
// and is not tested.
func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	o := &options{warm: 500 * time.Millisecond, window: 1500 * time.Millisecond, join: time.Millisecond, each: 2}
	m, err := o.swarm(t.Context(), spec{Stream: newStream(1_000_000), Viewers: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.viewers) != 2 || len(m.viewers[0].Viewers) != 2 || len(m.viewers[1].Viewers) != 1 {
		t.Fatalf("got reports %+v, want those of two viewers and of one", m.viewers)
	}
	x := m.outcome()
	if x.egress <= 0 || x.streamerRSS <= 0 || x.viewerRSS <= 0 || len(m.streamer.Late) == 0 {
		t.Errorf("got %+v, want bytes, memory and the delays of signing", x)
	}
	if list, _ := os.ReadDir(os.Getenv("TMPDIR")); len(list) > 0 {
		t.Errorf("%v was left behind", list)
	}
}

// Ctrl-C ends the children, whatever they do.
func TestInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := launch(ctx, "streamer", spec{Stream: newStream(1_000_000), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var up ready
	if err := p.out.Decode(&up); err != nil || up.Link == "" {
		t.Fatalf("got %+v, %v; want a link", up, err)
	}
	cancel()
	if err := p.cmd.Wait(); err == nil {
		t.Error("the child ended by itself, want it killed")
	}
	o := &options{window: time.Hour, each: 2}
	if _, err := o.swarm(ctx, spec{Stream: newStream(1_000_000), Viewers: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// Who loses its parent ends by itself: its stdin ends.
func TestOrphan(t *testing.T) {
	p, err := launch(t.Context(), "streamer", spec{Stream: newStream(1_000_000), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var up ready
	if err := p.out.Decode(&up); err != nil {
		t.Fatal(err)
	}
	var died error
	go p.await(func(err error) { died = err })
	if _, err := p.report(); err == nil || died == nil {
		t.Errorf("a child that heard of no window ended with %v, told %v; want errors", err, died)
	}
}

// A child that dies ends the run at once.
func TestChildDies(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	o := &options{window: time.Hour, each: 2}
	begun := time.Now()
	_, err := o.swarm(t.Context(), spec{Stream: stream{Rate: 1_000_000, Block: 4096, Stripes: 33}, Viewers: 1})
	if err == nil || time.Since(begun) > time.Minute {
		t.Errorf("got %v after %v, want an error at once: there are no 33 stripes", err, time.Since(begun))
	}
}
