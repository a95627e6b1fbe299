package mpegts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"tailcast/ingest"
	"tailcast/internal/pace"
	"tailcast/internal/ts"
)

// silence is how long nothing arrives before what is complete is delivered though its end was not declared.
const silence = 20 * time.Millisecond

// Reader takes a live stream from a pipe or a connection that somebody else opened. A regular file, as stdin can be, is
// paced like a File.
type Reader struct {
	Config
	// R is closed, if it is an io.Closer, when Run ends. Run then waits a moment for a Read in progress to return; one that does
	// not, as that of a terminal, is left behind with its buffer until its input moves.
	R io.Reader
}

// Run implements ingest.Source.
func (r *Reader) Run(ctx context.Context, sink ingest.Sink) error {
	if isRegular(r.R) {
		sink = pace.NewPacer(ctx, sink, 1)
	}
	scanner := r.scanner(sink)
	err := pump(ctx, r.R, scanner, 0)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = scanner.Diagnose()
	}
	if err != nil {
		return fmt.Errorf("couldn't take the stream: %w", err)
	}
	return nil
}

func isRegular(r io.Reader) bool {
	f, ok := r.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// chunk is the outcome of one Read.
type chunk struct {
	buf []byte
	err error
}

// pump gives the scanner what comes from r until it ends (nil), breaks, ctx ends, nothing comes for stall (if not 0), or it is
// evident that it is no transport stream. It closes r.
func pump(ctx context.Context, r io.Reader, scanner *ts.Scanner, stall time.Duration) error {
	chunks, free, stop := make(chan chunk), make(chan []byte, 2), make(chan struct{})
	free <- make([]byte, portion)
	free <- make([]byte, portion)
	done := make(chan struct{})
	go func() {
		defer close(done)
		read(r, chunks, free, stop)
	}()
	defer scanner.Flush()
	defer func() {
		close(stop)
		if c, ok := r.(io.Closer); ok {
			_ = c.Close() // the stream is over, however it takes that
		}
		select {
		case <-done:
		case <-time.After(5 * silence):
		}
	}()
	return drain(ctx, scanner, chunks, free, stall)
}

// read fills free buffers from r until that fails or stop is closed.
func read(r io.Reader, chunks chan<- chunk, free <-chan []byte, stop <-chan struct{}) {
	for {
		select {
		case buf := <-free:
			n, err := r.Read(buf)
			select {
			case chunks <- chunk{buf[:n], err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		case <-stop:
			return
		}
	}
}

// drain empties chunks into the scanner.
func drain(ctx context.Context, scanner *ts.Scanner, chunks <-chan chunk, free chan<- []byte, stall time.Duration) error {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	var stalled <-chan time.Time
	var limit *time.Timer
	if stall > 0 {
		limit = time.NewTimer(stall)
		defer limit.Stop()
		stalled = limit.C
	}
	for total := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-quiet.C:
			scanner.Idle()
		case <-stalled:
			return fmt.Errorf("nothing came for %v", stall)
		case c := <-chunks:
			scanner.Write(c.buf)
			if errors.Is(c.err, io.EOF) {
				return nil
			}
			if c.err != nil {
				return c.err
			}
			if total += len(c.buf); total > patience && total-len(c.buf) <= patience {
				if err := scanner.Diagnose(); errors.Is(err, ts.ErrNotTS) {
					return err
				}
			}
			free <- c.buf[:cap(c.buf)]
			quiet.Reset(silence)
			if limit != nil {
				limit.Reset(stall)
			}
		}
	}
}
