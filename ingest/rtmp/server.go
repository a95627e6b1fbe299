// Package rtmp brings media that encoders push by RTMP or, behind TLS, RTMPS: what OBS and every other encoder can do. Enhanced RTMP
// (veovera.org) is understood as far as gortmplib does, with H.265, AV1, VP9, Opus and AC-3 beside H.264, AAC and MP3, and with several
// tracks. The protocol is gortmplib's; its Reader is not used: that holds the first two seconds back to find out what tracks there
// are, and ends a connection when another appears. Here a track appears when it does, and the program is told anew.
//
//	TCP ─▶ wire: deadlines, limits ─▶ gortmplib: messages ─▶ stream: tracks, MPEG-TS form, times ─▶ ingest.Sink
//
// RTMP has whole milliseconds, in 32 bits. They are continued beyond their 49 days, and their rounding is taken out where the
// stream itself says how long its units last: sound is counted in samples, pictures at the frame rate of their parameter sets. All
// tracks are on one clock, so sound stays with the picture.
package rtmp

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"tailcast/ingest"
	"tailcast/ingest/admit"
)

// ServerConfig says where to listen and whom to let in. The zero value listens on the usual port of this machine alone.
type ServerConfig struct {
	// Addr is the TCP address; port 0 picks a free one. If empty, 127.0.0.1:1935. Beyond this machine the Gate needs a key.
	Addr string
	// TLS, if not nil, makes this RTMPS.
	TLS *tls.Config
	// Gate asks publishers for the stream key, as the last element of the path: what OBS calls "Stream Key". If nil, anybody who
	// reaches the listener may publish.
	Gate   *admit.Gate
	Logger *slog.Logger // If nil, slog.Default().
}

const defaultAddr = "127.0.0.1:1935"

// Server is an ingest.Source fed by whoever publishes to its listener: one publisher at a time, and the next when it has left. Time
// never goes back between publishers; the first sample of each track of a later one is marked as a discontinuity.
type Server struct {
	ingest.NamedStats
	cfg      ServerConfig
	listener *admit.Listener

	mu      sync.Mutex // guards all below
	refused admit.Limiter
}

// Listen binds the listener of cfg, so that errors come early and the address is known; Run serves it.
func Listen(cfg ServerConfig) (*Server, error) {
	cfg.Addr = cmp.Or(cfg.Addr, defaultAddr)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	addr, err := cfg.Gate.Addr(context.Background(), cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.scheme(), err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.scheme(), err)
	}
	return &Server{cfg: cfg, listener: admit.NewListener(l)}, nil
}

func (c ServerConfig) scheme() string {
	if c.TLS != nil {
		return "rtmps"
	}
	return "rtmp"
}

// Addr is where the listener is bound.
func (s *Server) Addr() netip.AddrPort { return s.listener.Addr().(*net.TCPAddr).AddrPort() }

// Close releases the listener of a Server that is never run; Run does it by itself.
func (s *Server) Close() error { return s.listener.Close() }

// Run implements ingest.Source: it takes publishers in until ctx ends, whatever their path. Call it once.
func (s *Server) Run(ctx context.Context, sink ingest.Sink) error {
	return s.RunPaths(ctx, map[string]ingest.Sink{"": sink})
}

// RunPaths takes publishers of several streams in, one at a time of each: an element of the path names the stream, as in
// rtmp://host/live/NAME, and what is published there goes to the sink of that name. One sink alone takes every path.
func (s *Server) RunPaths(ctx context.Context, sinks map[string]ingest.Sink) error {
	defer s.Close()
	rooms := map[string]*room{}
	for name, sink := range sinks {
		rooms[name] = &room{Room: admit.NewRoom(), out: output{sink: sink, stats: s.StatsOf(name), log: s.cfg.Logger, start: time.Now()}}
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := s.listener.Accept()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: listener ended: %w", s.cfg.scheme(), err)
		}
		conns.Go(func() { s.serve(ctx, c, rooms) })
	}
}
