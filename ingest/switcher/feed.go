package switcher

import (
	"context"
	"errors"
	"time"

	"tailcast/ingest"
)

// steady is how long a run lasts before its end is no reason to wait longer.
const steady = 10 * time.Second

// feed runs the source of l again and again, until it ends for good or ctx does.
//
//	waiting for a call (slate) ─▶ running ── error, panic ──▶ pausing ─▶ running
//	                                 └────── nil ─▶ ended
func (s *Switcher) feed(ctx context.Context, l *lane, source ingest.Source) {
	for pause := (ingest.Backoff{}); ; {
		running, ok := s.awaited(ctx, l)
		if !ok {
			return
		}
		begin := time.Now()
		err := s.run(running, l, source)
		l.stopped(err)
		switch {
		case ctx.Err() != nil:
			return
		case running.Err() != nil:
			continue // dismissed
		case err == nil || s.lone && !errors.Is(err, ingest.ErrPanic):
			l.end(err)
			return
		}
		if time.Since(begin) >= steady {
			pause.Reset()
		}
		delay := pause.Next()
		s.log.Warn("input ended, running it again", "input", l.name, "error", err, "delay", delay.Round(time.Millisecond))
		if !ingest.Sleep(ctx, delay) {
			return
		}
	}
}

// awaited is the context of the next run; a slate's begins when it is called.
func (s *Switcher) awaited(ctx context.Context, l *lane) (context.Context, bool) {
	if !l.slate || s.lone {
		return ctx, ctx.Err() == nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case c := <-l.demand:
			if c.Err() == nil {
				select {
				case l.demand <- c: // for a run after an error
				default: // a newer call is there
				}
				return c, true
			}
		}
	}
}

// run is one run of a source. What panics in it ends it and nothing else.
func (s *Switcher) run(ctx context.Context, l *lane, source ingest.Source) error {
	return ingest.Guard(s.log.With("input", l.name), func() error {
		l.restart()
		return source.Run(ctx, l)
	})
}
