package main

import (
	"context"
	"log/slog"
	"os"

	"tailcast/ingest"
	"tailcast/ingest/mpegts"
	"tailcast/ingest/rtsp"
	"tailcast/internal/clip"
	"tailcast/node"
)

// source is what an input became: how it is run, what it counts, and the ways in if it waits for an encoder.
type source struct {
	run   func(ctx context.Context, sink ingest.Sink) error
	stats []*ingest.Stats
	ways  []way // nil if the input is not a push
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
