package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"tailcast/ingest"
	"tailcast/ingest/mpegts"
	"tailcast/ingest/rtsp"
	"tailcast/node"
)

// A way is one protocol by which encoders can push, and where people point their encoder. One that can tell streams apart has many; another is a
// waiting Source, whose stream goes to the best rendition that waits.
type way struct {
	name   string        // for people: "RTSP"
	source ingest.Source // this and stats and tell are of a way without many
	stats  *ingest.Stats
	many   *many

	handler http.Handler // what the HTTP server serves at path and below; nil if the way has a listener of its own
	path    string
	// tell writes into p where an encoder can send to. base is our HTTP address; mark shows where in a URL the stream key goes.
	tell func(p *node.Push, base string, mark func(url string) string)
}

// Many is how a way takes the streams of several renditions at once, which encoders name by a path.
type many struct {
	// run lets encoders in until ctx ends, and gives what they bring for a rendition to the sink of that name. If there is one alone, it should take
	// whatever name encoders use.
	run func(ctx context.Context, sinks map[string]ingest.Sink) error
	// stats counts what came for a rendition. It is called before run, for each of them.
	stats func(rendition string) *ingest.Stats
	// tell is as way's. path is "/" and the name, or empty if encoders need not name it.
	tell func(p *node.Push, base, path string, mark func(url string) string)
}

func (w *way) statsOf(rendition string) *ingest.Stats {
	if w.many == nil {
		return w.stats
	}
	return w.many.stats(rendition)
}

// waysIn are all protocols that encoders can push by. Each opens what it listens on, and is nil if it is switched off.
var waysIn = []func(*options, *slog.Logger) (*way, error){httpWay, rtspWay, rtmpWay, rtmpsWay, srtWay, whipWay}

// httpWay takes a TS body by PUT or POST, at /ingest or /ingest/NAME.
func httpWay(o *options, log *slog.Logger) (*way, error) {
	b := &bodies{list: map[string]*mpegts.Push{}, config: mpegts.Config{Program: o.program, Service: o.service, Logger: log}}
	return &way{
		name: "HTTP", handler: guard(o.gate, b), path: "/ingest",
		many: &many{
			run:   b.run,
			stats: func(rendition string) *ingest.Stats { return b.of(rendition).Stats },
			tell: func(p *node.Push, base, path string, mark func(string) string) {
				p.HTTP = mark(base + "/ingest" + path)
			},
		},
	}, nil
}

// bodies are where TS bodies go, one for each rendition. The list is complete, and only read, once they are served.
type bodies struct {
	config mpegts.Config
	list   map[string]*mpegts.Push
}

func (b *bodies) of(rendition string) *mpegts.Push {
	if b.list[rendition] == nil {
		p := &mpegts.Push{Config: b.config}
		p.Stats = &ingest.Stats{}
		b.list[rendition] = p
	}
	return b.list[rendition]
}

func (b *bodies) run(ctx context.Context, sinks map[string]ingest.Sink) error {
	group, ctx := errgroup.WithContext(ctx)
	for name, sink := range sinks {
		body := b.of(name)
		group.Go(func() error { return body.Run(ctx, sink) })
	}
	return group.Wait()
}

func (b *bodies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/ingest"), "/")
	names := slices.Sorted(maps.Keys(b.list))
	if len(names) == 1 {
		name = names[0] // which takes every path, see admit.Pick
	}
	if body := b.list[name]; body != nil {
		body.ServeHTTP(w, r)
		return
	}
	http.Error(w, "nothing of this name is waited for: publish to /ingest/"+strings.Join(names, " or /ingest/"), http.StatusNotFound)
}

// rtspWay listens at --rtsp. Of several renditions the path names one: rtsp://host/NAME.
func rtspWay(o *options, log *slog.Logger) (*way, error) {
	if o.rtsp == "" {
		return nil, nil
	}
	server, err := free(o, "rtsp", o.rtsp, log, func(addr string) (*rtsp.Server, error) {
		return rtsp.Listen(rtsp.ServerConfig{Addr: addr, Key: o.key, Gate: o.gate, Logger: log})
	})
	if err != nil {
		return nil, err
	}
	url := "rtsp://" + server.Addr().String()
	return &way{
		name: "RTSP",
		many: &many{
			run:   server.RunPaths,
			stats: server.StatsOf,
			tell: func(p *node.Push, _, path string, mark func(string) string) {
				p.RTSP = mark(url + cmp.Or(path, "/live"))
			},
		},
	}, nil
}

// free opens the listener of a flag by the rules of all listeners: a default port that is taken is replaced by a free one.
func free[T any](o *options, flag, addr string, log *slog.Logger, listen func(addr string) (T, error)) (T, error) {
	l, err := listen(addr)
	if err == nil || o.Explicit(flag) || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	log.Warn("default port is taken, using a free one", "flag", "--"+flag, "taken", addr)
	return listen("127.0.0.1:0")
}
