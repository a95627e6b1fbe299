package mpegts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"tailcast/ingest"
	"tailcast/internal/pace"
	"tailcast/internal/ts"
)

const (
	portion = 64 << 10 // what is read at once
	// A stream that has not shown one packet by then will not.
	patience = 1 << 20
)

// File airs a recording at the pace of its own clock.
type File struct {
	Config
	Path  string
	Open  func() (io.ReadCloser, error) // If nil, os.Open(Path).
	Loop  bool                          // begin again at the end; times go on as if the recording were longer
	Speed float64                       // If zero, 1: real time. math.Inf(1) does not wait at all.
}

// Run implements ingest.Source.
func (f *File) Run(ctx context.Context, sink ingest.Sink) error {
	r := newReel(ctx, f.Config, sink, f.Speed)
	for {
		err := r.play(item{path: f.Path, open: f.Open})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("couldn't air %s: %w", f.Path, err)
		}
		if !f.Loop {
			return nil
		}
		if !r.took {
			return fmt.Errorf("couldn't loop %s: it is too short", f.Path)
		}
	}
}

// item is one recording to be aired.
type item struct {
	path      string
	open      func() (io.ReadCloser, error) // If nil, os.Open(path).
	err       error                         // why it cannot be aired, if that is known already
	continues bool                          // its times go on from those of the item before, as of segments of one recording
}

// reel airs one recording after the other on one clock.
type reel struct {
	ctx     context.Context
	cfg     Config
	join    *pace.Joiner
	scanner *ts.Scanner // of path; nil before the first
	path    string
	took    bool // the last item took some time
}

func newReel(ctx context.Context, cfg Config, sink ingest.Sink, speed float64) *reel {
	return &reel{ctx: ctx, cfg: cfg, join: pace.NewJoiner(pace.NewPacer(ctx, sink, speed))}
}

// play airs x to its end.
func (r *reel) play(x item) error {
	in, err := x.reader()
	if err != nil {
		return err
	}
	defer in.Close()
	r.thread(x)
	err = r.read(in)
	r.scanner.Flush()
	if err == nil {
		err = r.scanner.Diagnose()
	}
	r.took = r.join.Took()
	return err
}

func (x item) reader() (io.ReadCloser, error) {
	if x.err != nil {
		return nil, x.err
	}
	if x.open != nil {
		return x.open()
	}
	return os.Open(x.path)
}

// thread makes ready for x: what is known of one recording says nothing of another.
func (r *reel) thread(x item) {
	switch {
	case r.scanner != nil && x.continues:
		return
	case r.scanner != nil && r.path == x.path:
		r.scanner.Rewind()
	default:
		r.scanner, r.path = r.cfg.scanner(r.join), x.path
	}
	r.join.Next()
}

func (r *reel) read(in io.Reader) error {
	buf := make([]byte, portion)
	for total := 0; r.ctx.Err() == nil; {
		n, err := in.Read(buf)
		r.scanner.Write(buf[:n])
		if total += n; errors.Is(err, io.EOF) || total > patience && errors.Is(r.scanner.Diagnose(), ts.ErrNotTS) {
			break
		}
		if err != nil {
			return err
		}
	}
	return nil
}
