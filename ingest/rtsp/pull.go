package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tailcast/ingest"
)

// PullConfig says what to play.
type PullConfig struct {
	// URL is rtsp://[user:password@]host[:port]/path, or rtsps:// for TLS. User, password and query are never logged.
	URL string
	// UDP asks for RTP over UDP instead of inside the RTSP connection.
	UDP bool
	// RetryMin and RetryMax bound the pause between two attempts, which doubles from one to the other and is spread by a third.
	// If zero, 500 ms and 15 s.
	RetryMin, RetryMax time.Duration
	// Logger, if nil, is slog.Default().
	Logger *slog.Logger
}

// Pull is an ingest.Source that plays an RTSP URL and connects again whenever that ends.
type Pull struct {
	stats ingest.Stats
}

// NewPull checks cfg; nothing is dialled before Run.
func NewPull(cfg PullConfig) (*Pull, error) { return nil, errors.New("rtsp: not there yet") }

// Stats counts what has come in; safe at any time.
func (p *Pull) Stats() *ingest.Stats { return &p.stats }

// Run implements ingest.Source: it plays until ctx ends, or until the server refuses our credentials at the first attempt.
func (p *Pull) Run(ctx context.Context, sink ingest.Sink) error { return ctx.Err() }
