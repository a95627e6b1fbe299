package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

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
	rest    *node.Rest // nil: it is followed whether somebody watches or not
}

// run follows the channel and serves it until ctx ends.
func (m *member) run(ctx context.Context) error {
	defer m.node.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.node.Run(ctx) })
	group.Go(func() error { return m.page.Run(ctx) })
	if m.rest != nil {
		group.Go(func() error { return m.rest.Run(ctx) })
	}
	return group.Wait()
}

// face is what the HTTP server shows of the channel.
func (m *member) face() node.Face {
	var page http.Handler = m.page
	if m.rest != nil {
		page = m.rest.Count(page)
	}
	return m.node.Face(page)
}

// open opens what is kept of the channels.
func (o *options) open(list []channel, log *slog.Logger) (members []*member, err error) {
	for _, c := range list {
		replica, err := o.openReplica(c.link, log)
		if err != nil {
			return nil, errors.Join(err, closeAll(members))
		}
		members = append(members, &member{channel: c, replica: replica})
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
		if i == 0 || o.all {
			up.add(m.node)
		} else {
			m.rest = node.NewRest(sharing{m.node, up})
		}
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
