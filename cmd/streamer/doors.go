package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/node"
)

// Doors are where encoders push to the renditions that wait for them: all ways in, each with one listener for all renditions. An encoder says by the
// path which one it brings; while only one waits, it need not. Of a rendition, who delivers first is on air, by whatever way it came.
type doors struct {
	names  []string // of the renditions that wait, best first
	stages map[string]*stage
	ways   []*way
	gate   *admit.Gate
}

// openDoors opens every way in, if there are renditions that wait.
func openDoors(o *options, names []string, log *slog.Logger) (*doors, error) {
	d := &doors{names: names, stages: map[string]*stage{}, gate: o.gate}
	if len(names) == 0 {
		return d, nil
	}
	for _, name := range names {
		d.stages[name] = &stage{log: log, now: time.Now}
	}
	for _, open := range waysIn {
		w, err := open(o, log)
		if err != nil {
			return nil, errors.Join(err, d.abandon())
		}
		if w == nil {
			continue
		}
		if d.ways = append(d.ways, w); w.many == nil && len(names) > 1 {
			log.Info("this way in takes one stream, which goes to the best rendition that waits", "way", w.name, "rendition", names[0])
		}
	}
	return d, nil
}

// abandon closes the listeners of ways that are not going to be run: each closes its own at the end of its run.
func (d *doors) abandon() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// run lets encoders in until ctx ends.
func (d *doors) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range d.ways {
		sinks := map[string]ingest.Sink{}
		for _, name := range d.names {
			sinks[name] = &entrance{stage: d.stages[name], name: w.name, stats: w.statsOf(name)}
		}
		group.Go(func() error {
			if w.many == nil {
				return w.source.Run(ctx, sinks[d.names[0]])
			}
			return w.many.run(ctx, sinks)
		})
	}
	return group.Wait()
}

// source is what a rendition has that waits for an encoder.
func (d *doors) source(rendition string) *source {
	s := &source{push: func(page string) *node.Push { return d.pushes(rendition, page, d.gate.Keyed()) }}
	for _, w := range d.reach(rendition) {
		s.add(w.name, w.statsOf(rendition))
	}
	s.run = func(ctx context.Context, sink ingest.Sink) error {
		d.stages[rendition].perform(sink)
		<-ctx.Done()
		d.stages[rendition].perform(nil)
		return ctx.Err()
	}
	return s
}

// reach are the ways by which a rendition can come.
func (d *doors) reach(rendition string) (list []*way) {
	for _, w := range d.ways {
		if w.many != nil || rendition == d.names[0] {
			list = append(list, w)
		}
	}
	return list
}

// pushes says where an encoder can send a rendition to. page is our HTTP address. The key itself is shown to nobody: who sees the page need not be who
// may publish.
func (d *doors) pushes(rendition, page string, keyed bool) *node.Push {
	p := &node.Push{}
	mark := func(url string) string { return url }
	if keyed {
		mark = withKey
	}
	for _, w := range d.reach(rendition) {
		if w.many == nil {
			w.tell(p, page, mark)
		} else {
			w.many.tell(p, page, d.path(rendition), mark)
		}
	}
	return p
}

// path is what an address ends with that names a rendition; the one that nobody has named, alone, needs none.
func (d *doors) path(rendition string) string {
	if len(d.names) == 1 && rendition == mainRendition {
		return ""
	}
	return "/" + rendition
}

// ready is what scripts are told of the inputs: the addresses are those without a key, of the best rendition that waits.
func (d *doors) ready(list []input, page string) node.Ready {
	r := node.Ready{Input: list[0].text}
	if len(d.names) > 0 {
		p := d.pushes(d.names[0], page, false)
		r.RTSP, r.RTMP, r.RTMPS, r.SRT, r.WHIP = p.RTSP, p.RTMP, p.RTMPS, p.SRT, p.WHIP
	}
	return r
}

// best is where an encoder can send the best rendition to that waits, as others dial it; nil if none waits.
func (d *doors) best(page string) *node.Push {
	if len(d.names) == 0 {
		return nil
	}
	p := d.pushes(d.names[0], page, d.gate.Keyed())
	for _, address := range []*string{&p.HTTP, &p.RTSP, &p.RTMP, &p.RTMPS, &p.SRT, &p.WHIP} {
		if u, err := url.Parse(*address); err == nil && u.Host != "" {
			*address = strings.Replace(*address, u.Host, reachable(u.Host), 1)
		}
	}
	return p
}

// handlers adds what encoders push to by HTTP.
func (d *doors) handlers(mux *http.ServeMux) {
	for _, w := range d.ways {
		if w.handler != nil {
			mux.Handle(w.path, w.handler)
			mux.Handle(w.path+"/", w.handler)
		}
	}
}

// waiting are the renditions of a list that encoders push.
func waiting(list []input) (names []string) {
	for _, in := range list {
		if in.kind == push {
			names = append(names, in.name)
		}
	}
	return names
}
