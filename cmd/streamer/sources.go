package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/ingest"
	"tailcast/ingest/mpegts"
	"tailcast/ingest/rtsp"
	"tailcast/internal/clip"
	"tailcast/node"
)

// source is what an input became: how it is run, what it counts, and where an encoder can push to if it is waiting for one.
type source struct {
	run     func(ctx context.Context, sink ingest.Sink) error
	stats   []*ingest.Stats
	rtsp    string       // URL an encoder can push to, without key
	keyed   bool         // pushing needs one
	publish http.Handler // takes TS bodies; nil if the input is not a push
}

// open makes the source that in asks for. What it binds is closed by run.
func open(o *options, in input, log *slog.Logger) (*source, error) {
	if in.kind == push {
		return waitForPush(o, log)
	}
	stats := &ingest.Stats{}
	cfg := mpegts.Config{Program: o.program, Stats: stats, Logger: log}
	var s ingest.Source
	switch in.kind {
	case file:
		s = &mpegts.File{Config: cfg, Path: in.text, Loop: o.loop}
	case stdin:
		s = &mpegts.Reader{Config: cfg, R: os.Stdin}
	case udp:
		u, err := mpegts.ListenUDP(cfg, in.url.Host, in.url.Query().Get("interface"))
		if err != nil {
			return nil, err
		}
		s = u
	case httpPull:
		s = &mpegts.HTTPPull{Config: cfg, URL: in.url.String()}
	case rtspPull:
		p, err := rtsp.NewPull(rtsp.PullConfig{URL: in.url.String(), UDP: o.rtspUDP, Logger: log})
		if err != nil {
			return nil, err
		}
		s, stats = p, p.Stats()
	}
	return &source{run: s.Run, stats: []*ingest.Stats{stats}}, nil
}

// demo is the built-in clip for ever.
func demo(_ *options, _ input, log *slog.Logger) (*source, error) {
	stats := &ingest.Stats{}
	f := &mpegts.File{Config: mpegts.Config{Stats: stats, Logger: log}, Path: "the built-in clip", Open: clip.Open, Loop: true}
	return &source{run: f.Run, stats: []*ingest.Stats{stats}}, nil
}

// waitForPush listens for encoders: RTSP if it is not switched off, and TS bodies over HTTP. Who delivers first is on air.
func waitForPush(o *options, log *slog.Logger) (*source, error) {
	body := &mpegts.Push{Config: mpegts.Config{Program: o.program, Stats: &ingest.Stats{}, Logger: log}}
	ways := map[string]ingest.Source{"HTTP": body}
	s := &source{stats: []*ingest.Stats{body.Stats}, publish: guard(o.key, body), keyed: o.key != ""}
	if o.rtsp != "" {
		server, err := listenRTSP(o, log)
		if err != nil {
			return nil, err
		}
		ways["RTSP"] = server
		s.stats = append(s.stats, server.Stats())
		s.rtsp = "rtsp://" + server.Addr().String() + "/live"
	}
	s.run = func(ctx context.Context, sink ingest.Sink) error {
		shared := &stage{sink: sink, log: log, now: time.Now}
		group, ctx := errgroup.WithContext(ctx)
		for name, way := range ways {
			group.Go(func() error { return way.Run(ctx, &entrance{stage: shared, name: name}) })
		}
		return group.Wait()
	}
	return s, nil
}

// listenRTSP opens --rtsp by the rules of all listeners: a default port that is taken is replaced by a free one.
func listenRTSP(o *options, log *slog.Logger) (*rtsp.Server, error) {
	server, err := rtsp.Listen(rtsp.ServerConfig{Addr: o.rtsp, Key: o.key, Logger: log})
	if err == nil || o.Explicit("rtsp") || !errors.Is(err, syscall.EADDRINUSE) {
		return server, err
	}
	log.Warn("default port is taken, using a free one", "flag", "--rtsp", "taken", o.rtsp)
	return rtsp.Listen(rtsp.ServerConfig{Addr: "127.0.0.1:0", Key: o.key, Logger: log})
}

// pushes says where an encoder can send to; nil if this is no push. page is our HTTP address.
func (s *source) pushes(page string) *node.Push {
	if s.publish == nil {
		return nil
	}
	return &node.Push{HTTP: s.withKey(page + "/ingest"), RTSP: s.withKey(s.rtsp)}
}

// withKey shows where in an address the stream key goes. The key itself is shown to nobody: who sees the page need not be who may publish.
func (s *source) withKey(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !s.keyed || !ok {
		return address
	}
	return scheme + "://key:YOUR-KEY@" + rest
}

// health sums up what the ways of an input counted.
func (s *source) health(in input) *node.Ingest {
	h := &node.Ingest{Input: in.text}
	for _, st := range s.stats {
		h.Bytes += st.Bytes.Load()
		h.Samples += st.Samples.Load()
		h.LostPackets += st.LostPackets.Load()
		h.DamagedSamples += st.DamagedSamples.Load()
		h.SkippedBytes += st.SkippedBytes.Load()
		h.Discontinuities += st.Discontinuities.Load()
		h.DTSFallbacks += st.DTSFallbacks.Load()
		h.Reconnects += st.Reconnects.Load()
		if text := st.LastError(); text != "" {
			h.LastError = text
		}
	}
	return h
}
