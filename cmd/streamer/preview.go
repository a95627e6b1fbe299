package main

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/node"
	"tailcast/player"
)

// previewID is where its page is: below /c/ of the streamer's.
const previewID = "viewer"

// A preview is a viewer of our own channel in this process. What the streamer's page plays is what is signed here; this one joins the swarm as others do,
// verifies every block, and shows what they see. It passes nothing on, and follows the channel only while somebody watches it.
type preview struct {
	replica *feed.Replica
	host    *node.Host
	channel *node.Channel
	page    *player.Server
	rest    *node.Rest
	log     *slog.Logger
}

// newPreview makes the viewer inside n. close is due.
func newPreview(n *node.Node, root feed.PublicKey, log *slog.Logger) (*preview, error) {
	replica, err := node.OpenReplica(root, "", node.History{}, log)
	if err != nil {
		return nil, err
	}
	p := &preview{replica: replica, log: log}
	if p.host, err = n.NewInner(node.Viewer); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := p.join(n.Addrs()); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// join takes part in the channel by these addresses of the streamer.
func (p *preview) join(addrs []string) (err error) {
	cfg := node.ChannelConfig{Replica: p.replica, NoShare: true, Renditions: []string{node.BestRendition}}
	for _, a := range addrs {
		cfg.Anchors = append(cfg.Anchors, feed.Anchor{Addr: a})
	}
	if p.channel, err = p.host.Join(cfg); err != nil {
		return err
	}
	p.page = player.New(player.Config{Replica: p.replica, Choice: p.channel, Logger: p.log})
	p.rest = node.NewRest(p.channel)
	return nil
}

// faces is what the streamer's HTTP server shows of it.
func (p *preview) faces() map[string]node.Face {
	return map[string]node.Face{previewID: p.channel.Face(p.rest.Count(p.page))}
}

// run answers until ctx ends. What goes wrong here is not the channel's: that stays on air.
func (p *preview) run(ctx context.Context) error {
	if err := p.host.Run(ctx, node.Face{}, p.watch); err != nil && ctx.Err() == nil {
		p.log.Error("the page shows no longer what viewers see", "error", err)
	}
	return nil
}

func (p *preview) watch(ctx context.Context) error {
	defer p.channel.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.channel.Run(ctx) })
	group.Go(func() error { return p.page.Run(ctx) })
	group.Go(func() error { return p.rest.Run(ctx) })
	return group.Wait()
}

// close closes what run leaves open, or all if it was not run.
func (p *preview) close() error {
	err := p.replica.Close()
	if p.host != nil {
		err = errors.Join(err, p.host.Close())
	}
	return err
}
