// Package player is the local HTTP server that people watch with: a page for browsers, MPEG-TS for mpv, VLC and television
// software, fragmented MP4 for the page. It reads verified blocks from a feed.Replica and nothing else; it does not know where
// they came from. docs/architecture.md shows where it stands.
//
//	GET /                          the page
//	GET /live.ts?join=last|next    MPEG-TS, everything the broadcaster sends; 406 if TS cannot carry a codec
//	GET /live.mp4?join=last|next   fMP4, one fragment a picture; Content-Type names the codecs, X-Tailcast-Omitted what is left out
//	GET /live.ts?at=-60s           the past, from the segment that was on air then, and on into live; or at=2026-01-02T15:04:05Z. 404 if
//	                               that is not kept; X-Tailcast-From is when what comes was aired. Also /live.mp4
//	GET /radio.aac                 ADTS, the first AAC track alone, with ICY metadata for who asks for it; also with join= and at=
//	GET /hls/index.m3u8?dvr=2h     low-latency HLS with what is kept of the past (docs/player.md)
//	GET /logo.png                  a picture drawn of the channel's key
//	GET /live.m3u                  a playlist of one entry, for the player of a computer
//	GET /live.ts?rendition=480p    one of several renditions; without it, the one that was chosen. Also /live.mp4 and /radio.aac
//	GET /live.mp4?audio=0          with one sound track, of those that X-Tailcast-Audio lists, or with none; also with at=
//
// join=last begins at the newest random access point, which starts fastest; join=next waits for the next one, which lags least in
// players that never catch up (mpv, VLC). Blocks are turned into each container once, for all clients, and only while there are
// clients. A client that cannot keep up is moved to the live edge; none can delay another. Who watches the past has containers of its own, made
// as fast as it takes them.
//
// The package does not check the Host header and does not serve status or metrics: that is node's.
package player

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"tailcast/feed"
)

// Config is what a Server needs; only Replica is required.
type Config struct {
	Replica *feed.Replica
	// Log names the rendition, and nothing else is served. If empty, all are, as renditions.go says.
	Log string
	// Choice says which rendition is played if none is named, and is told what is watched. If nil, the Replica holds all, and it is the first of the
	// newest STATE.
	Choice Choice
	// Status is what GET /api/v1/status answers, as JSON. If nil, 404: then whoever wraps the Server answers.
	Status func() any
	// Logger gets what an operator would act on. If nil, none.
	Logger *slog.Logger
	// MaxClients bounds the streams served at once. If zero, 128.
	MaxClients int
	// Patience is how long a hole in the log is waited for. If zero, 2 seconds.
	Patience time.Duration
	// StartTimeout is how long a request waits for something to play before it is told to come back. If zero, 15 seconds.
	StartTimeout time.Duration
	// StallTimeout is how long a client may read nothing, paused for example, before it is dropped. If zero, 5 minutes.
	StallTimeout time.Duration
	// Linger is how long the streams are still made when the last client has left. If zero, 10 seconds.
	Linger time.Duration
	// Backlog is how long a client may be behind before it is moved to the live edge, unless the newest random access point is
	// older still. If zero, 4 seconds.
	Backlog time.Duration
	// DVR is how much of the past the HLS playlist lists, of what is kept. If zero, 4 hours.
	DVR time.Duration
	// BacklogBytes bounds what is kept of each container. If zero, 32 MiB.
	BacklogBytes int
}

func (c Config) withDefaults() Config {
	c.MaxClients = cmp.Or(c.MaxClients, 128)
	c.Patience = cmp.Or(c.Patience, 2*time.Second)
	c.StartTimeout = cmp.Or(c.StartTimeout, 15*time.Second)
	c.StallTimeout = cmp.Or(c.StallTimeout, 5*time.Minute)
	c.Linger = cmp.Or(c.Linger, 10*time.Second)
	c.DVR = cmp.Or(c.DVR, 4*time.Hour)
	c.Backlog = cmp.Or(c.Backlog, 4*time.Second)
	c.BacklogBytes = cmp.Or(c.BacklogBytes, 32<<20)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

// A Server serves one channel: one rendition by itself, more than one by Servers of their own.
type Server struct {
	cfg      Config
	mux      *http.ServeMux
	audience *audience
	metrics  *metrics
	ts, mp4  *outlet
	aac      *outlet
	hls      *edge
	versions versions
	whole    *Server // that of the channel, if this one is of one of its renditions
	guide    guide
}

// New makes a Server. It serves nothing but the page until Run runs.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, mux: http.NewServeMux(), audience: newAudience(cfg.MaxClients), metrics: newMetrics(),
		ts: newOutlet(), mp4: newOutlet(), aac: newOutlet(),
	}
	s.hls = newEdge(s)
	s.routes()
	return s
}

// Metrics returns the player's collectors, to be registered once.
func (s *Server) Metrics() []prometheus.Collector { return s.metrics.collectors() }

// Run makes the streams while somebody watches, until ctx ends. Requests that wait for a stream need it.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.hls.run(ctx) })
	g.Go(func() error { return s.streams(ctx) })
	g.Go(func() error { return s.versions.run(ctx) })
	return g.Wait()
}

// streams makes the endless streams.
func (s *Server) streams(ctx context.Context) error {
	for {
		if s.audience.await(ctx) != nil {
			return nil
		}
		if err := s.play(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("couldn't play: %w", err)
		}
	}
}

// errDone ends a playing that nobody wants any more, or that another rendition replaces.
var errDone = errors.New("done")

// play follows one rendition until nobody watches, or the channel's first rendition is another.
func (s *Server) play(ctx context.Context) error {
	name, err := s.chooseLog(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.follow(ctx, name) })
	g.Go(func() error { return s.watch(ctx, s.audience, s.cfg.Linger, name) })
	if err := g.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
}

// follow turns blocks into streams.
func (s *Server) follow(ctx context.Context, name string) error {
	p := s.newPipeline()
	defer p.close()
	epoch, edge := s.edge(name)
	reader := s.cfg.Replica.Follow(name, feed.JoinLast, s.cfg.Patience)
	for {
		item, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		id := item.Epoch.ID()
		p.old = id == epoch && item.Block.Index < edge
		if err := p.block(&item.Block, id, item.Reset); err != nil {
			s.metrics.unread.Inc()
			s.cfg.Logger.Debug("couldn't read a block", "log", name, "block", item.Block.Index, "error", err)
		}
	}
}

func (s *Server) newPipeline() *pipeline {
	p := newPipeline(time.Now)
	open := func() *stream { return newStream(s.cfg.Backlog, s.cfg.BacklogBytes) }
	p.formats = []format{newTSFormat(s.ts, open, p.push), newMP4Format(s.mp4, open, p.push), newRadioFormat(s.aac, open, p.push)}
	return p
}

// edge is where the log ends now.
func (s *Server) edge(name string) (epoch feed.EpochID, size uint64) {
	e := s.cfg.Replica.Current()
	if e == nil {
		return epoch, 0
	}
	log, err := e.Log(name)
	if err != nil {
		return e.ID(), 0
	}
	return e.ID(), log.Head().Size
}

// watch returns when the playing of a log to an audience is to end: nobody has asked for so long, or the channel's first rendition is another.
func (s *Server) watch(ctx context.Context, a *audience, linger time.Duration, name string) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if other := s.log(); a.goneFor(linger, now) || other != "" && other != name || s.gone(name) {
				return errDone
			}
		}
	}
}

// chooseLog waits until it is known which log to play.
func (s *Server) chooseLog(ctx context.Context) (string, error) {
	for {
		changed := s.cfg.Replica.Changed()
		if name := s.log(); name != "" {
			return name, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// log is the name of the log to play, "" while it is unknown.
func (s *Server) log() string {
	if s.cfg.Log != "" {
		return s.cfg.Log
	}
	return s.chosen()
}
