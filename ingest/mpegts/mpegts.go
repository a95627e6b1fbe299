// Package mpegts brings programs that arrive as MPEG transport streams: from a file paced by its own clock, a pipe, UDP, and HTTP in
// both directions. What the packets mean is internal/ts's business; this package knows where bytes come from, when they
// pause, when they stop, and how to begin again.
//
//	File      a recording, at the speed of its clock, once or looped without a seam
//	Playout   recordings and lists of them, as a channel
//	Reader    a pipe or connection that somebody else opened
//	UDP       datagrams, unicast or multicast, bare or in RTP
//	HTTPPull  GET, again and again
//	Push      an http.Handler for PUT and POST
package mpegts

import (
	"errors"
	"log/slog"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// Config is what all sources of this package share. The zero value is right.
type Config struct {
	Program uint16        // program_number to take. If zero, the first in the stream, or Service.
	Service string        // Name of the service to take, in upper or lower case. If empty, any.
	Stats   *ingest.Stats // If nil, counted for nobody.
	Logger  *slog.Logger  // If nil, silent.
}

func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

func (c Config) stats() *ingest.Stats {
	if c.Stats == nil {
		return new(ingest.Stats)
	}
	return c.Stats
}

func (c Config) scanner(sink ingest.Sink) *ts.Scanner {
	return ts.NewScanner(ts.Config{Sink: sink, Stats: c.Stats, Program: c.Program, Service: c.Service, Logger: c.Logger})
}

// guard is ingest.Guard, and has the scanner that a panic left half done replaced.
func (c Config) guard(f func() error, replace func()) error {
	err := ingest.Guard(c.logger(), f)
	if errors.Is(err, ingest.ErrPanic) {
		replace()
	}
	return err
}
