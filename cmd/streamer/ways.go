package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/ingest"
	"tailcast/ingest/mpegts"
	"tailcast/ingest/rtsp"
	"tailcast/node"
)

// A way is one protocol by which an encoder can push: a waiting Source, and where people point their encoder.
type way struct {
	name   string // for people: "RTSP"
	source ingest.Source
	stats  *ingest.Stats

	handler http.Handler // what the HTTP server serves at path; nil if the way has a listener of its own
	path    string
	// tell writes into p where an encoder can send to. base is our HTTP address; mark shows where in a URL the stream key goes.
	tell func(p *node.Push, base string, mark func(url string) string)
}

// waysIn are all protocols that encoders can push by. Each opens what it listens on, and is nil if it is switched off.
var waysIn = []func(*options, *slog.Logger) (*way, error){httpWay, rtspWay}

// waitForPush opens every way in. Who delivers first is on air.
func waitForPush(o *options, log *slog.Logger) (*source, error) {
	s := &source{}
	for _, open := range waysIn {
		w, err := open(o, log)
		if err != nil {
			return nil, errors.Join(err, s.abandon())
		}
		if w != nil {
			s.ways, s.stats = append(s.ways, *w), append(s.stats, w.stats)
		}
	}
	s.run = func(ctx context.Context, sink ingest.Sink) error {
		shared := &stage{sink: sink, log: log, now: time.Now}
		group, ctx := errgroup.WithContext(ctx)
		for _, w := range s.ways {
			group.Go(func() error { return w.source.Run(ctx, &entrance{stage: shared, name: w.name}) })
		}
		return group.Wait()
	}
	return s, nil
}

// abandon closes the listeners of ways that are not going to be run: each closes its own at the end of Run.
func (s *source) abandon() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, w := range s.ways {
		if err := w.source.Run(ctx, nil); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// pushes says where an encoder can send to; nil if this is no push. page is our HTTP address. The key itself is shown to nobody:
// who sees the page need not be who may publish.
func (s *source) pushes(page string, keyed bool) *node.Push {
	if s.ways == nil {
		return nil
	}
	p := &node.Push{}
	mark := func(url string) string { return url }
	if keyed {
		mark = withKey
	}
	for _, w := range s.ways {
		w.tell(p, page, mark)
	}
	return p
}

// ready is what scripts are told of the input: the addresses are those without a key.
func (s *source) ready(in input) node.Ready {
	r := node.Ready{Input: in.text}
	if p := s.pushes("", false); p != nil {
		r.RTSP = p.RTSP
	}
	return r
}

// httpWay takes a TS body by PUT or POST.
func httpWay(o *options, log *slog.Logger) (*way, error) {
	body := &mpegts.Push{Config: mpegts.Config{Program: o.program, Stats: &ingest.Stats{}, Logger: log}}
	return &way{
		name: "HTTP", source: body, stats: body.Stats, handler: guard(o.key, body), path: "/ingest",
		tell: func(p *node.Push, base string, mark func(string) string) { p.HTTP = mark(base + "/ingest") },
	}, nil
}

// rtspWay listens at --rtsp.
func rtspWay(o *options, log *slog.Logger) (*way, error) {
	if o.rtsp == "" {
		return nil, nil
	}
	server, err := free(o, "rtsp", o.rtsp, log, func(addr string) (*rtsp.Server, error) {
		return rtsp.Listen(rtsp.ServerConfig{Addr: addr, Key: o.key, Logger: log})
	})
	if err != nil {
		return nil, err
	}
	url := "rtsp://" + server.Addr().String() + "/live"
	return &way{
		name: "RTSP", source: server, stats: server.Stats(),
		tell: func(p *node.Push, _ string, mark func(string) string) { p.RTSP = mark(url) },
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
