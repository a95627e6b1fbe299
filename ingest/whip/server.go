// Package whip takes in what encoders and browsers push by WHIP (RFC 9725): an HTTP POST brings the offer of a WebRTC session and is
// answered at once, the media comes over UDP. WebRTC itself (ICE, DTLS, SRTP, negative acknowledgements, reports) is pion's; what comes
// out of it goes through package ingest/rtp.
//
//	POST offer ─▶ one codec a media is chosen ─▶ 201, answer, Location ─▶ ICE, DTLS ─▶ RTP ─▶ ingest/rtp ─▶ ingest.Sink
//	DELETE Location ─▶ the session ends                                  ◀─ NACK, PLI, reports
//
// What is carried: H.264, H.265, VP9, AV1 and Opus. An offer with a media of which nothing is carried (VP8 alone, say) is refused as a whole,
// with a sentence: the RFC wants no half answers (4.4.3). Of a browser, which offers much, H.264 is taken, since it plays everywhere.
//
// ICE is lite: the encoder looks for us, we never send to an address that we were told. So no STUN server is needed, candidates of the
// encoder are of no use (browsers hide theirs behind mDNS names, which nobody resolves here), and there is nothing to trickle: PATCH is
// answered with 405, as the RFC allows who supports neither trickle ICE nor restarts (4.3).
//
// Who may publish is for the handler around this one to decide.
package whip

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/rtp"
)

// Config says where media arrives.
type Config struct {
	// Addr is the UDP address that media of all sessions comes to; port 0 picks a free one. If empty, 127.0.0.1:8189. It is what the
	// answers name: with an unspecified host (0.0.0.0), the addresses of all interfaces. No host means this machine alone.
	Addr string
	// Public are addresses by which this machine is reached although it has not got them: behind a NAT that forwards the port of Addr
	// unchanged. Answers name them besides.
	Public []netip.Addr
	// Path is where the handler is served; with several streams, each has its name below. If empty, /whip.
	Path string
	// Gate is that of the handler around this one. If it is nil, an address that others than this machine can reach is an error.
	Gate *admit.Gate
	// Logger, if nil, is slog.Default().
	Logger *slog.Logger
}

// defaultAddr has the port that other WebRTC servers use for media.
const defaultAddr = "127.0.0.1:8189"

const udpBuffer = 4 << 20 // bytes asked for; the kernel gives what it allows

// Server is an http.Handler for publishers, and the ingest.Source of what they send: one publisher at a time, of each stream if there are several.
// While one sends, another is refused; who has fallen silent makes way. Time never goes back between publishers; the first sample of each
// track of a later one is marked as a discontinuity.
type Server struct {
	ingest.NamedStats
	log      *slog.Logger
	udp      *net.UDPConn
	public   []netip.Addr
	path     string
	patience time.Duration // within what time of its offer a publisher sends, or is given up
	silence  time.Duration // without a packet: another may publish
	wait     time.Duration // for packets that are to be sent again

	mu  sync.Mutex // guards all below, and the rooms
	run *running   // nil while Run is not running
}

// Listen binds the UDP address of cfg, so that errors come early and the address is known; Run takes publishers in.
func Listen(cfg Config) (*Server, error) {
	addr, err := resolve(cmp.Or(cfg.Addr, defaultAddr), cfg.Gate)
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("whip: %w", err)
	}
	_ = udp.SetReadBuffer(udpBuffer) // less loses packets under load, and then says so
	return &Server{
		log: cmp.Or(cfg.Logger, slog.Default()), udp: udp, public: cfg.Public, path: cmp.Or(cfg.Path, "/whip"),
		patience: becomeWithin, silence: silence, wait: waitForResent,
	}, nil
}

// resolve reads an address under the rule that publishing is closed until there is a key.
func resolve(addr string, gate *admit.Gate) (*net.UDPAddr, error) {
	addr, err := gate.Addr(context.Background(), addr)
	if err != nil {
		return nil, fmt.Errorf("whip: %w", err)
	}
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("whip: address %q: %w", addr, err)
	}
	return a, nil
}

// Addr is where media arrives.
func (s *Server) Addr() netip.AddrPort { return s.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close releases the address of a Server that is never run; Run does it by itself.
func (s *Server) Close() error { return s.udp.Close() }

// Run implements ingest.Source: it takes publishers in until ctx ends, whatever their path. Call it, or RunPaths, once.
func (s *Server) Run(ctx context.Context, sink ingest.Sink) error {
	return s.RunPaths(ctx, map[string]ingest.Sink{"": sink})
}

// RunPaths takes publishers of several streams in: what is published at a name below the path goes to the sink of that name. If there is one
// alone, it takes every name.
func (s *Server) RunPaths(ctx context.Context, sinks map[string]ingest.Sink) error {
	mux := webrtc.NewICEUDPMux(quiet{s.log}, s.udp)
	defer mux.Close() // and s.udp with it
	run := &running{ctx: ctx, mux: mux, rooms: map[string]*room{}}
	for name, sink := range sinks {
		stats := s.StatsOf(name)
		run.rooms[name] = &room{out: rtp.NewOutput(sink, stats, s.log, time.Now()), stats: stats}
	}
	s.mu.Lock()
	s.run = run
	s.mu.Unlock()

	<-ctx.Done()
	for _, last := range s.stop() {
		<-last.gone
	}
	return ctx.Err()
}

// stop lets nobody in any more, and returns who is there.
func (s *Server) stop() (last []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.run.rooms {
		if r.pub != nil {
			last = append(last, r.pub)
		}
	}
	s.run = nil
	return last
}
