// Package rtsp brings media that travels by RTSP (RFC 2326) and RTP (RFC 3550) into the vocabulary of package ingest. Server waits
// for an encoder that pushes (ANNOUNCE and RECORD, over TCP or UDP); Pull plays a camera's or a server's URL and comes back
// after every failure. The RTSP dialogue and the RTP payload formats are gortsplib's; what is ours is what a broadcast needs on
// top: times that are exact and aligned, decoding times, loss that is counted and marked, and samples in the form MPEG-TS carries.
//
//	RTP packets ─▶ depacketizer ─▶ units (raw RTP time) ─▶ decoding times ─▶ hold ─▶ alignment ─▶ ingest.Sink
//	RTCP sender reports ──────────────────────────────────────────────────────────────▲
//
// What is carried: H.264, H.265, AV1, VP9, AAC (also LATM, which becomes ADTS), MPEG audio, AC-3, Opus, and KLV as a data track.
// Everything else has no form in MPEG-TS a receiver would understand: it is left out, with a logged sentence that names it.
package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"tailcast/ingest"
)

// ServerConfig says where to listen and whom to let in. The zero value listens on the usual port of this machine alone.
type ServerConfig struct {
	// Addr is the TCP address of the RTSP listener; port 0 picks a free one. If empty, 127.0.0.1:8554. Without a Key an empty
	// host means 127.0.0.1 and any host that is not loopback is an error: publishing is closed until a key is set.
	Addr string
	// UDPPort is the even UDP port for RTP; RTCP takes the next. If zero, a free pair.
	UDPPort int
	// Key lets a publisher in that shows it as the last element of the path (rtsp://host/live/KEY) or as the password of any user
	// name. If empty, anybody who reaches the listener may publish.
	Key string
	// Logger, if nil, is slog.Default().
	Logger *slog.Logger
}

// Server is an ingest.Source fed by whoever publishes to its listener: one publisher at a time, and the next when it has left.
type Server struct {
	stats ingest.Stats
}

// Listen binds the listeners of cfg, so that errors come early and the address is known; Run serves them.
func Listen(cfg ServerConfig) (*Server, error) { return nil, errors.New("rtsp: not there yet") }

// Addr is where the RTSP listener is bound.
func (s *Server) Addr() netip.AddrPort { return netip.AddrPort{} }

// Stats counts what has come in; safe at any time.
func (s *Server) Stats() *ingest.Stats { return &s.stats }

// Close releases the listeners of a Server that is never run; Run does it by itself.
func (s *Server) Close() error { return nil }

// Run implements ingest.Source: it takes publishers in until ctx ends. Call it once.
func (s *Server) Run(ctx context.Context, sink ingest.Sink) error { return ctx.Err() }
