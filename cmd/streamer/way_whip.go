package main

import (
	"log/slog"
	"net/http"
	"net/netip"

	"tailcast/ingest/admit"
	"tailcast/ingest/whip"
	"tailcast/node"
)

const whipPath = "/whip"

// whipWay takes WebRTC: offers at /whip or /whip/NAME of --http, media at --whip.
func whipWay(o *options, log *slog.Logger) (*way, error) {
	if o.whip == "" {
		return nil, nil
	}
	server, err := free(o, "whip", o.whip, log, func(addr string) (*whip.Server, error) {
		return whip.Listen(whip.Config{Addr: addr, Public: literal(o.Advertise), Path: whipPath, Gate: o.gate, Logger: log})
	})
	if err != nil {
		return nil, err
	}
	return &way{
		name: "WHIP", handler: guardPages(o.gate, server), path: whipPath,
		many: &many{
			run:   server.RunPaths,
			stats: server.StatsOf,
			tell: func(p *node.Push, base, path string, _ func(string) string) { // the key goes into a field of its own
				p.WHIP = base + whipPath + path
			},
		},
	}, nil
}

// literal are the addresses in a list of host:port, without the names.
func literal(list []string) (addrs []netip.Addr) {
	for _, text := range list {
		if ap, err := netip.ParseAddrPort(text); err == nil {
			addrs = append(addrs, ap.Addr())
		}
	}
	return addrs
}

// guardPages is guard for what web pages publish to as well as encoders: a page of any origin may, if it shows the stream key. Nothing else
// that a browser sends by itself, as cookies, counts here, so a page can do no more than who else has the key; and without a key,
// where being on this machine is enough, no page may.
func guardPages(gate *admit.Gate, next http.Handler) http.Handler {
	encoders := guard(gate, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin == "" || !gate.Keyed() {
			encoders.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Location, Retry-After")
		h.Add("Vary", "Origin")
		if r.Method == http.MethodOptions { // browsers ask without the key whether they may show it (Fetch, 3.3.5)
			h.Set("Access-Control-Allow-Methods", "POST, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", "600")
			next.ServeHTTP(w, r)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Del("Origin")
		r.Header.Del("Sec-Fetch-Site")
		encoders.ServeHTTP(w, r)
	})
}
