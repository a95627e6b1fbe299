package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/node"
	"tailcast/player"
)

// A member is a channel that is watched.
type member struct {
	channel
	replica *feed.Replica
	node    *node.Channel
	page    *player.Server
	rest    *rest // nil: it is followed whether somebody watches or not
}

// run follows the channel and serves it until ctx ends.
func (m *member) run(ctx context.Context) error {
	defer m.node.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.node.Run(ctx) })
	group.Go(func() error { return m.page.Run(ctx) })
	if m.rest != nil {
		group.Go(func() error { return m.rest.run(ctx, m.node) })
	}
	return group.Wait()
}

// face is what the HTTP server shows of the channel.
func (m *member) face() node.Face {
	var page http.Handler = m.page
	if m.rest != nil {
		page = m.rest.count(page)
	}
	return m.node.Face(page)
}

// open opens what is kept of the channels.
func (o *options) open(list []channel, log *slog.Logger) (members []*member, err error) {
	for i, c := range list {
		replica, err := o.openReplica(c.link, log)
		if err != nil {
			return nil, errors.Join(err, closeAll(members))
		}
		m := &member{channel: c, replica: replica}
		if i > 0 && !o.all {
			m.rest = newRest()
		}
		members = append(members, m)
	}
	return members, nil
}

func closeAll(members []*member) (err error) {
	for _, m := range members {
		err = errors.Join(err, m.replica.Close())
	}
	return err
}

// join takes part in the channels. Those that are followed share --up.
func (o *options) join(host *node.Host, members []*member, log *slog.Logger) error {
	up := &uplink{bits: o.Up.Bits}
	var cfgs []node.ChannelConfig
	for i, m := range members {
		named := node.BestRendition
		if i == 0 {
			named = o.named
		}
		cfgs = append(cfgs, node.ChannelConfig{Replica: m.replica, Anchors: m.link.Anchors, NoShare: o.noShare, Up: up.share(len(members)), Renditions: []string{named}})
	}
	channels, err := host.JoinAll(cfgs...)
	if err != nil {
		return err
	}
	for i, m := range members {
		m.node = channels[i]
		m.page = player.New(player.Config{Replica: m.replica, Choice: m.node, Logger: log})
		m.node.Register(m.page.Metrics()...)
		if m.rest == nil {
			up.add(m.node)
			continue
		}
		m.rest.up = up
		m.node.Pause(nobodyWatches)
	}
	return nil
}

// begins says if there is nobody to begin with.
func (o *options) begins(members []*member, log *slog.Logger) error {
	for _, m := range members {
		if m.node.Begins() {
			continue
		}
		if len(members) == 1 {
			return o.nobody()
		}
		log.Warn("this LINK names nobody to begin with, and nobody is looked for", "channel", m.id())
	}
	return nil
}

// restAfter is how long a channel is still followed when nobody watches it here any more: as long as people zap to and fro.
const restAfter = time.Minute

const nobodyWatches = "nobody watches this channel here; it begins when somebody does"

// A rest lets a channel rest while nobody asks for it: a list of channels would else fill the line.
//
//	resting ──a request──▶ followed ──no request for restAfter──▶ resting
type rest struct {
	up *uplink // what the channel has a share of while it is followed

	mu     sync.Mutex // guards all below
	open   int        // requests
	last   time.Time  // when the last one ended
	wanted chan struct{}
}

func newRest() *rest { return &rest{up: &uplink{}, wanted: make(chan struct{}, 1)} }

// count counts requests for the channel's streams; its page and pictures wake nobody.
func (r *rest) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !isStream(req.URL.Path) {
			next.ServeHTTP(w, req)
			return
		}
		r.come()
		defer func() { r.leave(time.Now()) }()
		next.ServeHTTP(w, req)
	})
}

// isStream tells requests for media from those for pages.
func isStream(path string) bool {
	return strings.HasPrefix(path, "/hls/") || strings.HasPrefix(path, "/live.") || strings.HasPrefix(path, "/radio.")
}

func (r *rest) come() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	select {
	case r.wanted <- struct{}{}:
	default:
	}
}

func (r *rest) leave(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	r.last = now
}

// idle tells whether nobody has asked for long. Requests until now have then been heard.
func (r *rest) idle(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open > 0 || now.Sub(r.last) < restAfter {
		return false
	}
	select {
	case <-r.wanted:
	default:
	}
	return true
}

// A pausable is a *node.Channel, or a fake.
type pausable interface {
	Pause(reason string)
	Resume()
	capped
}

func (r *rest) run(ctx context.Context, c pausable) error {
	for {
		c.Pause(nobodyWatches)
		r.up.drop(c)
		select {
		case <-r.wanted:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.up.add(c)
		c.Resume()
		if err := r.untilIdle(ctx); err != nil {
			return err
		}
	}
}

func (r *rest) untilIdle(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if r.idle(now) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
