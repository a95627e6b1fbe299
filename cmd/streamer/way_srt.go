package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/srt"
	"tailcast/node"
)

// srtWay listens at --srt. The stream id names the rendition, and holds the key.
func srtWay(o *options, log *slog.Logger) (*way, error) {
	if o.srt == "" {
		return nil, nil
	}
	server, err := free(o, "srt", o.srt, log, func(addr string) (*srt.Server, error) {
		return srt.Listen(o.srtServer(addr, o.passphrase, log))
	})
	if err != nil {
		return nil, err
	}
	begin := "srt://" + server.Addr().String() + "?streamid=publish:"
	return &way{
		name: "SRT",
		many: &many{
			run:   server.RunPaths,
			stats: server.StatsOf,
			tell: func(p *node.Push, _, path string, mark func(string) string) {
				p.SRT = o.srtAddress(begin, strings.TrimPrefix(path, "/"), mark)
			},
		},
	}, nil
}

// srtServer is how every SRT listener is configured. The stream key opens it in the stream id or, if it is long enough for one, as the passphrase;
// a passphrase of its own closes it to all who do not have that, and counts them if there is no key.
func (o *options) srtServer(addr, passphrase string, log *slog.Logger) srt.ServerConfig {
	c := srt.ServerConfig{Addr: addr, Gate: o.gate, Latency: o.srtLatency, Program: o.program, Service: o.service, Logger: log}
	switch {
	case passphrase != "":
		c.Passphrase, c.Encrypted = passphrase, true
		if !c.Gate.Keyed() {
			c.Gate = admit.NewGate(passphrase, log)
			o.closed = append(o.closed, c.Gate)
		}
	case len(o.key) >= srt.ShortestPassphrase && len(o.key) <= srt.LongestPassphrase:
		c.Passphrase = o.key
	}
	return c
}

// srtAddress is where encoders send to. Who encrypts with the passphrase need not show the key.
func (o *options) srtAddress(begin, name string, mark func(string) string) string {
	if o.passphrase == "" {
		if marked := mark(begin + name); marked != begin {
			return marked
		}
		return begin + mainRendition
	}
	if name == "" {
		name = mainRendition
	}
	return begin + name + "&passphrase=YOUR-PASSPHRASE"
}

// openSRT is the source of INPUT srt://, which calls, or waits there with ?mode=listener.
func openSRT(o *options, u *url.URL, log *slog.Logger) (ingest.Source, *ingest.Stats, error) {
	a, err := srt.ParseURL(u)
	if err != nil {
		return nil, nil, err
	}
	passphrase, err := readSecret("passphrase-file of INPUT", a.PassphraseFile, srt.ShortestPassphrase)
	if err != nil {
		return nil, nil, err
	}
	a.Latency = cmp.Or(a.Latency, o.srtLatency)
	if a.Listen {
		c := o.srtServer(a.Addr, cmp.Or(passphrase, o.passphrase), log)
		c.Latency = a.Latency
		s, err := srt.Listen(c)
		if err != nil {
			return nil, nil, err
		}
		return s, s.StatsOf(""), nil
	}
	c, err := srt.NewCaller(srt.CallerConfig{
		Addr: a.Addr, StreamID: a.StreamID, Passphrase: passphrase, Latency: a.Latency, Program: o.program, Service: o.service, Logger: log,
	})
	if err != nil {
		return nil, nil, err
	}
	return c, c.Stats(), nil
}

// checkSRT refuses early what openSRT would refuse later.
func checkSRT(u *url.URL) error {
	a, err := srt.ParseURL(u)
	if err == nil && a.Listen && a.StreamID != "" {
		err = errors.New("who waits does not choose the stream id: leave streamid out, or call with mode=caller")
	}
	if err != nil {
		return fmt.Errorf("INPUT: %w", err)
	}
	return nil
}
