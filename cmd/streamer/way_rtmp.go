package main

import (
	"crypto/tls"
	"log/slog"
	"strings"

	"tailcast/ingest/rtmp"
	"tailcast/node"
)

// rtmpWay listens at --rtmp. An element of the path names the rendition, as /live/NAME, and the key comes last: OBS has "Server" for
// what is before the last element, and "Stream Key" for that.
func rtmpWay(o *options, log *slog.Logger) (*way, error) {
	return rtmpAt(o, "rtmp", o.rtmp, nil, log, func(p *node.Push, url string) { p.RTMP = url })
}

// rtmpsWay listens at --rtmps, behind TLS.
func rtmpsWay(o *options, log *slog.Logger) (*way, error) {
	if o.rtmps == "" {
		return nil, nil
	}
	config, err := o.tls(log)
	if err != nil {
		return nil, err
	}
	return rtmpAt(o, "rtmps", o.rtmps, config, log, func(p *node.Push, url string) { p.RTMPS = url })
}

func rtmpAt(o *options, scheme, addr string, config *tls.Config, log *slog.Logger, put func(p *node.Push, url string)) (*way, error) {
	if addr == "" {
		return nil, nil
	}
	server, err := free(o, scheme, addr, log, func(addr string) (*rtmp.Server, error) {
		return rtmp.Listen(rtmp.ServerConfig{Addr: addr, TLS: config, Gate: o.gate, Logger: log})
	})
	if err != nil {
		return nil, err
	}
	url := scheme + "://" + server.Addr().String() + "/live"
	return &way{
		name: strings.ToUpper(scheme),
		many: &many{
			run:   server.RunPaths,
			stats: server.StatsOf,
			tell: func(p *node.Push, _, path string, mark func(string) string) {
				put(p, named(mark(url+path), url, mainRendition))
			},
		},
	}, nil
}

// named is an address that ends with more than what all begin with: protocols want a name where there is neither key nor rendition.
func named(address, begin, name string) string {
	if address == begin {
		return address + "/" + name
	}
	return address
}
