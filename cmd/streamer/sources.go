package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"tailcast/ingest"
	"tailcast/ingest/hls"
	"tailcast/ingest/mpegts"
	"tailcast/ingest/rtsp"
	"tailcast/internal/clip"
	"tailcast/node"
)

// source is what an input became: how it is run, and what it counts. To put something between inputs and a rendition (a backup that takes over, say),
// make a source of sources: its run runs theirs.
type source struct {
	run   func(ctx context.Context, sink ingest.Sink) error
	stats []*ingest.Stats
	ways  []string // of stats: what it comes by
	// refused counts who wanted to push and did not show the key, by all ways in; nil of what stands by itself.
	refused func() uint64
	push    func(page string) *node.Push // where an encoder can send to; nil if the input is fetched. page is our HTTP address

	standby *standby // what may go on air in its place; nil of what stands by itself
}

// open makes the source that in asks for, which waits for an encoder at one of d. What it binds is closed by run.
func open(o *options, in input, d *doors, log *slog.Logger) (*source, error) {
	if in.kind == push {
		return d.source(in.name), nil
	}
	stats := &ingest.Stats{}
	cfg := mpegts.Config{Program: o.program, Service: o.service, Stats: stats, Logger: log}
	var s ingest.Source
	switch in.kind {
	case file:
		s = &mpegts.File{Config: cfg, Path: in.text, Loop: o.loop}
	case playout:
		s = &mpegts.Playout{Config: cfg, Items: in.files, Loop: o.loop}
	case stdin:
		s = &mpegts.Reader{Config: cfg, R: os.Stdin}
	case udp:
		q := in.url.Query()
		u, err := mpegts.ListenUDP(mpegts.UDPConfig{Config: cfg, Addr: in.url.Host, Interface: q.Get("interface"), Source: q.Get("source")})
		if err != nil {
			return nil, err
		}
		s = u
	case httpPull:
		s = &webPull{HTTPPull: mpegts.HTTPPull{Config: cfg, URL: in.url.String()}, hls: hlsConfig(o, in, stats, log)}
	case hlsPull:
		p, err := hls.NewPull(hlsConfig(o, in, stats, log))
		if err != nil {
			return nil, err
		}
		s = p
	case rtspPull:
		p, err := rtsp.NewPull(rtsp.PullConfig{URL: in.url.String(), UDP: o.rtspUDP, Logger: log})
		if err != nil {
			return nil, err
		}
		s, stats = p, p.Stats()
	case srtInput:
		var err error
		if s, stats, err = openSRT(o, in.url, log); err != nil {
			return nil, err
		}
	}
	src := &source{run: s.Run}
	src.add(in.by(o), stats)
	return src, nil
}

func hlsConfig(o *options, in input, stats *ingest.Stats, log *slog.Logger) hls.Config {
	return hls.Config{URL: in.url.String(), Program: o.program, Service: o.service, Loop: o.loop, Stats: stats, Logger: log}
}

// webPull fetches a stream, or follows the playlist that the server turns out to have there.
type webPull struct {
	mpegts.HTTPPull
	hls hls.Config
}

// Run implements ingest.Source.
func (w *webPull) Run(ctx context.Context, sink ingest.Sink) error {
	err := w.HTTPPull.Run(ctx, sink)
	if !errors.Is(err, mpegts.ErrPlaylist) {
		return err
	}
	p, err := hls.NewPull(w.hls)
	if err != nil {
		return err
	}
	return p.Run(ctx, sink)
}

// demo is the built-in clip for ever.
func demo(_ *options, _ input, _ *doors, log *slog.Logger) (*source, error) {
	stats := &ingest.Stats{}
	f := &mpegts.File{Config: mpegts.Config{Stats: stats, Logger: log}, Path: "the built-in clip", Open: clip.Open, Loop: true}
	return fromFile(f), nil
}

// left is what the ways of an input left out.
func (s *source) left() (sum ingest.Left) {
	for _, st := range s.stats {
		sum.Add(st.Left())
	}
	return sum
}

// health sums up what the ways of an input counted.
func (s *source) health(in input, page string) *node.Ingest {
	h := &node.Ingest{Rendition: in.name, Input: in.text}
	if s.push != nil {
		h.Push = s.push(page)
	}
	if s.refused != nil {
		h.Refused = s.refused()
	}
	for _, st := range s.stats {
		h.Bytes += st.Bytes.Load()
		h.Samples += st.Samples.Load()
		h.LostPackets += st.LostPackets.Load()
		h.LostSegments += st.LostSegments.Load()
		h.LostDatagrams += st.LostDatagrams.Load()
		h.Retransmitted += st.Retransmitted.Load()
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

// fromFile is the source of a clip that is ours.
func fromFile(f *mpegts.File) *source {
	s := &source{run: f.Run}
	s.add(byUs, f.Stats)
	return s
}
