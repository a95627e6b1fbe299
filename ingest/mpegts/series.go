package mpegts

import (
	"context"
	"fmt"
	"io"
	"time"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// Series takes one connection after the other as one program, for sources whose connections come and go: the next one continues the
// program of the last; what does not fit together in time is flagged as discontinuous.
type Series struct {
	cfg     Config
	sink    ingest.Sink
	scanner *ts.Scanner
}

// Series begins one that delivers to sink.
func (c Config) Series(sink ingest.Sink) *Series { return &Series{c, sink, c.scanner(sink)} }

// Take takes what comes from r, which may hold it back for delay, to its end. It closes r, if it is an io.Closer, as Reader does. One at a time.
// A panic under what came is an error like others; the next connection begins a program anew, since nobody knows in what state the last was left.
func (s *Series) Take(ctx context.Context, r io.Reader, delay time.Duration) error {
	return s.cfg.guard(func() error { return s.take(ctx, r, delay) }, func() { s.scanner = s.cfg.scanner(s.sink) })
}

func (s *Series) take(ctx context.Context, r io.Reader, delay time.Duration) error {
	err := pump(ctx, r, s.scanner, stallTime+delay)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = s.scanner.Diagnose()
	}
	if err != nil {
		return fmt.Errorf("couldn't take the stream: %w", err)
	}
	return nil
}
