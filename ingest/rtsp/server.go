// Package rtsp brings media that travels by RTSP (RFC 2326) into the vocabulary of package ingest. Server waits for an encoder that
// pushes (ANNOUNCE and RECORD, over TCP or UDP); Pull plays a camera's or a server's URL and comes back after every failure. The RTSP
// dialogue is gortsplib's, the media goes through package ingest/rtp, which says what is carried.
package rtsp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/bluenviron/gortsplib/v4"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/rtp"
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
	// Gate is that of Key; if nil, one of its own, which counts for itself who guesses.
	Gate *admit.Gate
	// Logger, if nil, is slog.Default().
	Logger *slog.Logger
}

// defaultAddr is the port RTSP servers use where they have no right to 554.
const defaultAddr = "127.0.0.1:8554"

// Server is an ingest.Source fed by whoever publishes to its listener: one publisher at a time, and the next when it has left.
// Time never goes back between publishers; the first sample of each track of a later one is marked as a discontinuity.
type Server struct {
	ingest.NamedStats
	cfg       ServerConfig
	tcp       *admit.Listener
	rtp, rtcp *net.UDPConn
}

// Listen binds the listeners of cfg, so that errors come early and the address is known; Run serves them.
func Listen(cfg ServerConfig) (*Server, error) {
	cfg.Addr = cmp.Or(cfg.Addr, defaultAddr)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Gate == nil {
		cfg.Gate = admit.NewGate(cfg.Key, cfg.Logger)
	}
	addr, err := cfg.Gate.Addr(context.Background(), cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("rtsp: %w", err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("rtsp: %w", err)
	}
	host, _, _ := net.SplitHostPort(addr)
	rtp, rtcp, err := listenPair(host, cfg.UDPPort)
	if err != nil {
		l.Close()
		return nil, err
	}
	return &Server{cfg: cfg, tcp: admit.NewListener(l), rtp: rtp, rtcp: rtcp}, nil
}

// Addr is where the RTSP listener is bound.
func (s *Server) Addr() netip.AddrPort { return s.tcp.Addr().(*net.TCPAddr).AddrPort() }

// Close releases the listeners of a Server that is never run; Run does it by itself.
func (s *Server) Close() error {
	s.rtp.Close()
	s.rtcp.Close()
	return s.tcp.Close()
}

// Run implements ingest.Source: it takes publishers in until ctx ends, whatever their path. Call it, or RunPaths, once.
func (s *Server) Run(ctx context.Context, sink ingest.Sink) error {
	return s.RunPaths(ctx, map[string]ingest.Sink{"": sink})
}

// RunPaths takes publishers of several streams in, one at a time of each: the first element of the path names the stream, and what is published
// there goes to the sink of that name. If there is one alone, it takes every path.
func (s *Server) RunPaths(ctx context.Context, sinks map[string]ingest.Sink) error {
	defer s.Close()
	rooms := map[string]*handler{}
	for name, sink := range sinks {
		stats := s.StatsOf(name)
		out := rtp.NewOutput(sink, stats, s.cfg.Logger, time.Now())
		rooms[name] = &handler{out: out, stats: stats, key: s.cfg.Key, gate: s.cfg.Gate, log: s.cfg.Logger}
	}
	server := &gortsplib.Server{
		Handler:        s.newLobby(rooms),
		RTSPAddress:    s.tcp.Addr().String(),
		UDPRTPAddress:  s.rtp.LocalAddr().String(),
		UDPRTCPAddress: s.rtcp.LocalAddr().String(),
		Listen:         func(string, string) (net.Listener, error) { return s.tcp, nil },
		ListenPacket:   s.packetConn,
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("rtsp: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	select {
	case err := <-ended:
		return fmt.Errorf("rtsp: listener ended: %w", err)
	case <-ctx.Done():
		server.Close()
		<-ended
		return ctx.Err()
	}
}

// packetConn hands gortsplib the listener of the address it asks for.
func (s *Server) packetConn(_, address string) (net.PacketConn, error) {
	if address == s.rtp.LocalAddr().String() {
		return s.rtp, nil
	}
	return s.rtcp, nil
}
