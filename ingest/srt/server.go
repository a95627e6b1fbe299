// Package srt brings MPEG transport streams that travel by SRT (draft-sharabayko-srt): Server waits for encoders that call, Caller calls
// an encoder or a gateway that waits, and calls again after every failure. The protocol is gosrt's, the transport stream is
// ingest/mpegts's; what is ours is who is let in, one stream after the other as one program, what is counted, and what keeps gosrt's
// traps from doing harm (each is named where it is met).
//
//	datagrams ─▶ gosrt: order, repair, decryption, a delay of Latency ─▶ link: loss is counted ─▶ mpegts.Series ─▶ ingest.Sink
//
// Latency is the time a packet has to be asked for again and to come: everything is delayed by it, lost or not. Four times the round
// trip and the jitter of the way is a good value; caller and listener take the greater of what each has set.
package srt

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gosrt "github.com/datarhei/gosrt"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/mpegts"
)

// ServerConfig says where to listen and whom to let in. The zero value listens on the usual port of this machine alone.
type ServerConfig struct {
	// Addr is the UDP address; port 0 picks a free one. If empty, 127.0.0.1:8890. Beyond this machine the Gate needs a key, or there
	// has to be a Passphrase.
	Addr string
	// Gate asks publishers for the stream key in the stream id. If nil, anybody who reaches the listener may publish.
	Gate *admit.Gate
	// Passphrase is what encrypted streams are decrypted with: the key, or one for SRT alone. Who can encrypt with it may publish,
	// whatever the stream id. If empty, encrypted streams are refused.
	Passphrase string
	Encrypted  bool          // refuse streams that are not
	Latency    time.Duration // If zero, 120 ms.
	Program    uint16        // program_number to take. If zero, the first in the stream, or that of Service.
	Service    string        // name of the programme to take
	Logger     *slog.Logger  // If nil, slog.Default().
}

const (
	defaultAddr    = "127.0.0.1:8890"
	defaultLatency = 120 * time.Millisecond
)

// Server is an ingest.Source fed by whoever calls its listener: one publisher at a time, and the next when it has left. A publisher of
// whom nothing was heard for a second makes way for the next.
type Server struct {
	ingest.NamedStats
	cfg      ServerConfig
	listener gosrt.Listener
	waiting  atomic.Int64 // callers that are not answered yet

	mu      sync.Mutex // guards all below
	trouble admit.Limiter
}

// Listen binds the listener of cfg, so that errors come early and the address is known; Run serves it.
func Listen(cfg ServerConfig) (*Server, error) {
	cfg.Addr = cmp.Or(cfg.Addr, defaultAddr)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if !cfg.Gate.Keyed() && cfg.Encrypted {
		cfg.Gate = admit.NewGate(cfg.Passphrase, cfg.Logger) // closed by that
	}
	config, err := configure(cfg.Passphrase, cfg.Latency)
	if err != nil {
		return nil, err
	}
	config.Passphrase = "" // each stream is asked for it, see judge
	l, err := listen(cfg, config)
	if err != nil {
		return nil, fmt.Errorf("srt: %w", err)
	}
	return &Server{cfg: cfg, listener: l}, nil
}

// numeric resolves the host of an address: gosrt wants numbers, and for IPv4 and IPv6 at once none.
func numeric(ctx context.Context, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("address %q is not host:port", addr)
	}
	if host == "" || host == "::" {
		return ":" + port, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", fmt.Errorf("couldn't resolve %s: %w", host, err)
	}
	return net.JoinHostPort(ips[0].Unmap().String(), port), nil
}

// listen binds the socket. gosrt's shares its port (SO_REUSEADDR), so two programs would take each other's packets without an
// error: a socket that does not share finds out first whether the port is free.
func listen(cfg ServerConfig, config gosrt.Config) (gosrt.Listener, error) {
	addr, err := cfg.Gate.Addr(context.Background(), cfg.Addr)
	if err != nil {
		return nil, err
	}
	if addr, err = numeric(context.Background(), addr); err != nil {
		return nil, err
	}
	l, err := bind(addr, config)
	for tries := 0; err != nil && tries < triesToBind && strings.HasSuffix(addr, ":0"); tries++ {
		l, err = bind(addr, config) // somebody else was given the port meanwhile
	}
	return l, err
}

const triesToBind = 8 // for any free port

func bind(addr string, config gosrt.Config) (gosrt.Listener, error) {
	probe, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(addr)
	_, port, _ := net.SplitHostPort(probe.LocalAddr().String())
	probe.Close()
	return gosrt.Listen("srt", net.JoinHostPort(host, port), config)
}

// configure is gosrt's configuration for a receiver of live streams.
func configure(passphrase string, latency time.Duration) (gosrt.Config, error) {
	c := gosrt.DefaultConfig()
	if n := len(passphrase); n > 0 && (n < ShortestPassphrase || n > LongestPassphrase) {
		return c, fmt.Errorf("srt: the passphrase has %d characters: SRT takes %d to %d", n, ShortestPassphrase, LongestPassphrase)
	}
	latency = cmp.Or(latency, defaultLatency)
	if latency < 0 || latency > longestLatency {
		return c, fmt.Errorf("srt: a latency of %v is not between 0 and %v", latency, longestLatency)
	}
	c.Passphrase, c.ReceiverLatency, c.PeerLatency = passphrase, latency, latency
	c.Logger = silent{}
	return c, nil
}

// What SRT takes as a passphrase, in bytes.
const (
	ShortestPassphrase = gosrt.MIN_PASSPHRASE_SIZE
	LongestPassphrase  = 79 // by libsrt; gosrt would take one more
)

const longestLatency = 30 * time.Second

// Addr is where the listener is bound.
func (s *Server) Addr() netip.AddrPort {
	a := s.listener.Addr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Close releases the listener of a Server that is never run; Run does it by itself.
func (s *Server) Close() error {
	s.listener.Close()
	return nil
}

// Run implements ingest.Source: it takes publishers in until ctx ends, whatever the path in their stream id. Call it once.
func (s *Server) Run(ctx context.Context, sink ingest.Sink) error {
	return s.RunPaths(ctx, map[string]ingest.Sink{"": sink})
}

// RunPaths takes publishers of several streams in, one at a time of each: an element of the path names the stream, and what is published
// there goes to the sink of that name. One sink alone takes every path.
func (s *Server) RunPaths(parent context.Context, sinks map[string]ingest.Sink) error {
	defer s.Close()
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var publishers sync.WaitGroup
	stop := context.AfterFunc(ctx, s.listener.Close)
	defer stop()
	rooms := map[string]*room{}
	for name, sink := range sinks {
		stats := s.StatsOf(name)
		config := mpegts.Config{Program: s.cfg.Program, Service: s.cfg.Service, Stats: stats, Logger: s.cfg.Logger}
		rooms[name] = &room{Room: admit.NewRoom(), series: config.Series(sink), stats: stats, log: s.cfg.Logger}
	}
	for {
		req, err := s.accept()
		if err != nil {
			cancel()
			publishers.Wait()
			if parent.Err() != nil {
				return parent.Err()
			}
			return fmt.Errorf("srt: listener ended: %w", err)
		}
		if req != nil {
			s.welcome(ctx, &publishers, rooms, req)
		}
	}
}

// accept waits for a caller; nil without an error if what came was none. gosrt reads the handshake in here, and panics on some that end
// in the middle of an extension: anybody could send one, with any sender's address.
func (s *Server) accept() (req gosrt.ConnRequest, err error) {
	defer func() {
		if r := recover(); r != nil {
			req, err = nil, nil
			s.mu.Lock()
			n, ok := s.trouble.Pass(1, time.Now())
			s.mu.Unlock()
			if ok {
				s.cfg.Logger.Warn("srt handshake is malformed", "datagrams", n)
			}
		}
	}()
	return s.listener.Accept2()
}
