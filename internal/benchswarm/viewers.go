package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// viewerTail is how much of a log a viewer keeps. A real one keeps more, which would fill in minutes.
const viewerTail = 4 << 20

// A viewer is one node.
type viewer struct {
	replica  *feed.Replica
	endpoint *quicwire.Endpoint
	swarm    *swarm.Swarm
	window   window
	lags     []time.Duration          // owned by the swarm's loop until Run returns
	log      atomic.Pointer[feed.Log] // nil until the catalog names it
	report   viewerReport             // owned by join, but Missed by judgeAll, until they return
}

// A viewerReport says how one viewer did.
type viewerReport struct {
	Joined time.Duration // from its start to the first block; 0: never
	Begun  time.Duration // from its start to the beginning of a segment, whole as far as a decoder needs it; 0: never
	Missed int           // blocks of the window not verified within 2 s
}

// viewers runs some viewers in this process, until its parent says that it is enough.
func viewers(s spec, in *json.Decoder, out *json.Encoder) error {
	var w window
	if err := in.Decode(&w); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var all errgroup.Group
	list, nodes, err := newViewers(s, w)
	if err != nil {
		return err
	}
	for k, v := range list {
		start := s.Join.Add(time.Duration(k) * s.Every)
		all.Go(func() error { return v.run(ctx, start) })
		all.Go(func() error { v.join(ctx, start, s.Stream.Stripes); return nil })
	}
	missed := make([]int, w.seconds())
	all.Go(func() error { judgeAll(ctx, s, w, list, missed); return nil })
	r := measureWindow(untilEOF(in), w, s.Profile, nodes)
	stop()
	err = all.Wait()
	for _, v := range list {
		r.Lags = append(r.Lags, v.lags...)
		r.Viewers = append(r.Viewers, v.report)
		err = errors.Join(err, v.endpoint.Close(), v.replica.Close())
	}
	r.MissedAt, r.Left = missed, goroutinesLeft()
	return errors.Join(err, out.Encode(r))
}

// judgeAll counts what viewers miss, by viewer and by second of the window.
func judgeAll(ctx context.Context, s spec, w window, list []*viewer, missed []int) {
	has := func(k int, i uint64) bool { return list[k].has(i) }
	judge(ctx, s, w, len(list), has, func(k, second int) {
		list[k].report.Missed++
		missed[second]++
	})
}

func newViewers(s spec, w window) (list []*viewer, nodes []*swarm.Swarm, err error) {
	link, err := feed.ParseLink(s.Link)
	if err != nil {
		return nil, nil, err
	}
	for range s.Viewers {
		v, err := newViewer(link, s, w)
		if err != nil {
			return nil, nil, err
		}
		list, nodes = append(list, v), append(nodes, v.swarm)
	}
	return list, nodes, nil
}

func newViewer(link feed.Link, s spec, w window) (v *viewer, err error) {
	v = &viewer{window: w}
	if v.replica, err = feed.Open(link.Root, feed.Config{TailBytes: viewerTail}); err != nil {
		return nil, err
	}
	if v.endpoint, err = newEndpoint(0); err != nil {
		return nil, err
	}
	cfg := swarm.Config{Endpoint: v.endpoint, Replica: v.replica, Anchors: link.Anchors, NoShare: s.NoShare, OnBlock: v.onBlock}
	if s.Idle {
		cfg.Renditions = []string{"none"}
	}
	v.swarm = swarm.New(cfg)
	return v, nil
}

func (v *viewer) onBlock(lag time.Duration) {
	if v.window.contains(time.Now()) {
		v.lags = append(v.lags, lag)
	}
}

// run follows the channel from start on.
func (v *viewer) run(ctx context.Context, start time.Time) error {
	if !sleep(ctx, start) {
		return nil
	}
	return v.swarm.Run(ctx)
}

// join notes when the first block is here, and when a decoder could begin: with the first block of a segment and one more of each stripe, which is
// about a quarter of a second of the stream, and so as much as a key frame.
func (v *viewer) join(ctx context.Context, start time.Time, stripes int) {
	for v.report.Begun == 0 {
		changed := v.replica.Changed()
		if l := v.media(); l != nil && l.Head().Size > 0 {
			now := time.Since(start)
			if v.report.Joined == 0 {
				v.report.Joined = now
			}
			if first, ok := l.NewestSegment(); ok && len(l.Missing(first, first+uint64(stripes), 1)) == 0 && l.Head().Size >= first+uint64(stripes) {
				v.report.Begun = now
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// media returns the log of the rendition; nil if the catalog has not named it yet.
func (v *viewer) media() *feed.Log {
	if l := v.log.Load(); l != nil {
		return l
	}
	e := v.replica.Current()
	if e == nil {
		return nil
	}
	if state, _ := e.State(); !slices.ContainsFunc(state.Renditions, func(r feed.Rendition) bool { return r.Name == rendition }) {
		return nil
	}
	l, err := e.Log(rendition)
	if err != nil {
		return nil
	}
	v.log.Store(l)
	return l
}

// has reports whether block i is held and verified.
func (v *viewer) has(i uint64) bool {
	l := v.media()
	return l != nil && l.Has(i)
}
