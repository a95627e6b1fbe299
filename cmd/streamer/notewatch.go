package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tailcast/feed"
)

const (
	lookAtNote = time.Hour
	warnEvery  = 24 * time.Hour
)

// noteWatch warns, at the start and then once a day, while the channel note is about to end: with the root key sealed or elsewhere nobody renews
// it but people, and once it has ended viewers no longer take what we air for live.
type noteWatch struct {
	station *feed.Station
	renewal func() string // the command that helps
	log     *slog.Logger
	now     func() time.Time
}

func (w *noteWatch) run(ctx context.Context) error {
	tick := time.NewTicker(lookAtNote)
	defer tick.Stop()
	var warned time.Time
	for {
		if now := w.now(); now.Sub(warned) >= warnEvery && w.warn(now) {
			warned = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// warn reports whether there was something to warn of.
func (w *noteWatch) warn(now time.Time) bool {
	note := w.station.Note()
	left := note.NotAfter.Sub(now)
	switch {
	case left > feed.NoteWarning:
		return false
	case left < 0:
		w.log.Error("the channel note has expired: viewers no longer call this live", "not_after", note.NotAfter, "run", w.renewal())
	default:
		w.log.Warn("the channel note ends soon; after that viewers no longer call this live",
			"not_after", note.NotAfter, "days_left", int(left/(24*time.Hour)), "run", w.renewal())
	}
	return true
}

// renewal is the command that helps now, wherever the root key is by now.
func (o *options) renewal() string {
	keys, err := feed.ReadKeys(o.Data)
	if err != nil {
		return o.invocation("key", "renew")
	}
	return o.helps(keys.Root)
}

// withHelp adds to an error about keys the command that helps.
func (o *options) withHelp(err error) error {
	switch {
	case errors.Is(err, feed.ErrExpired):
		return fmt.Errorf("%w: run %s", err, o.renewal())
	case errors.Is(err, feed.ErrOlderGeneration):
		return fmt.Errorf("%w: the keys were rotated elsewhere; if this streamer is to go on, run %s, above that of the channel",
			err, o.invocation("key", "rotate", "--generation", "NUMBER"))
	}
	return err
}
