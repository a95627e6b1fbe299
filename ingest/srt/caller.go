package srt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	gosrt "github.com/datarhei/gosrt"

	"tailcast/ingest"
	"tailcast/ingest/mpegts"
)

// CallerConfig says whom to call, and what to say.
type CallerConfig struct {
	Addr       string // host:port
	StreamID   string
	Passphrase string        // If empty, the stream is not encrypted.
	Latency    time.Duration // If zero, 120 ms.
	Program    uint16        // program_number to take. If zero, the first in the stream, or that of Service.
	Service    string        // name of the programme to take
	Logger     *slog.Logger  // If nil, slog.Default().
}

// Caller is an ingest.Source that calls a sender which waits, and again whenever the connection ends, waiting a little longer after
// each failure in a row.
type Caller struct {
	cfg    CallerConfig
	config gosrt.Config
	dial   func(ctx context.Context, addr string, config gosrt.Config, log *slog.Logger) (*outgoing, error)
	stats  ingest.Stats
}

// Stats counts what has come in; safe at any time.
func (c *Caller) Stats() *ingest.Stats { return &c.stats }

// NewCaller refuses what SRT would.
func NewCaller(cfg CallerConfig) (*Caller, error) {
	config, err := configure(cfg.Passphrase, cfg.Latency)
	if err != nil {
		return nil, err
	}
	if len(cfg.StreamID) > gosrt.MAX_STREAMID_SIZE {
		return nil, fmt.Errorf("srt: the stream id has %d characters: SRT takes %d", len(cfg.StreamID), gosrt.MAX_STREAMID_SIZE)
	}
	config.StreamId, config.ConnectionTimeout = cfg.StreamID, answerTime
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	return &Caller{cfg: cfg, config: config, dial: dial}, nil
}

// A gateway that is back is called within 3 s, though gosrt asks but once a call: a call takes answerTime in vain, in which two round trips have
// room, and the pause is spread by a third.
const (
	answerTime   = 1500 * time.Millisecond
	longestPause = time.Second
)

// Run implements ingest.Source.
func (c *Caller) Run(ctx context.Context, sink ingest.Sink) error {
	series := mpegts.Config{Program: c.cfg.Program, Service: c.cfg.Service, Stats: &c.stats, Logger: c.cfg.Logger}.Series(sink)
	for pause := (ingest.Backoff{Max: longestPause}); ; {
		before := c.stats.Samples.Load()
		err := c.once(ctx, series)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c.stats.Samples.Load() > before {
			pause.Reset()
		}
		delay := pause.Next()
		c.stats.SetError(err)
		c.cfg.Logger.Warn("srt connection ended, calling again", "addr", c.cfg.Addr, "error", err, "delay", delay)
		if !ingest.Sleep(ctx, delay) {
			return ctx.Err()
		}
		c.stats.Reconnects.Add(1)
	}
}

// once calls once and takes what comes.
func (c *Caller) once(ctx context.Context, series *mpegts.Series) error {
	conn, err := c.dial(ctx, c.cfg.Addr, c.config, c.cfg.Logger)
	if err != nil {
		return fmt.Errorf("couldn't call %s: %w", c.cfg.Addr, err)
	}
	defer conn.hangUp()
	l := newLink(conn, &c.stats)
	defer l.watched()()
	c.cfg.Logger.Info("srt connected", "addr", c.cfg.Addr, "encrypted", c.cfg.Passphrase != "", "latency", l.latency())
	if err := take(ctx, series, l); err != nil {
		return err
	}
	return errors.New("the sender ended the connection, or nothing was heard of it for 5 s")
}

// outgoing is a connection to a sender, by way of a relay.
type outgoing struct {
	gosrt.Conn
	relay *relay
}

// dial calls addr. It takes as long as config says if nobody answers, ctx or not: gosrt's Dial knows no context.
func dial(ctx context.Context, addr string, config gosrt.Config, log *slog.Logger) (*outgoing, error) {
	addr, err := numeric(ctx, addr)
	if err != nil {
		return nil, err
	}
	r, addr, err := newRelay(addr, log)
	if err != nil {
		return nil, err
	}
	conn, err := gosrt.Dial("srt", addr, config)
	if err != nil {
		r.close()
		return nil, inWords(err)
	}
	return &outgoing{conn, r}, nil
}

// hangUp ends a connection. The reader of its socket waits for a Read to say farewell to.
func (c *outgoing) hangUp() {
	defer c.relay.close()
	_ = c.Close()
	for range 100 {
		if _, err := c.Read(nil); errors.Is(err, gosrt.ErrClientClosed) {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}
