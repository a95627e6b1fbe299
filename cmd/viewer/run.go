package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/node"
	"tailcast/player"
)

// run watches until ctx ends.
func run(ctx context.Context, o *options, link feed.Link) (err error) {
	if err := o.Load(); err != nil {
		return err
	}
	log, err := o.Logger(os.Stderr)
	if err != nil {
		return err
	}
	replica, err := o.openReplica(link, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, replica.Close()) }()
	outs, err := o.outputs()
	if err != nil {
		return err
	}
	n, err := node.New(node.Config{
		Role: node.Viewer, Flags: &o.Flags, Logger: log,
		Channel: node.ChannelConfig{Replica: replica, Anchors: link.Anchors, NoShare: o.noShare},
	})
	if err != nil {
		return err
	}
	if !n.Begins() {
		return errors.Join(o.nobody(), n.Close())
	}
	if err := o.announce(n.Ready(node.Ready{})); err != nil {
		return errors.Join(err, n.Close())
	}
	page := player.New(player.Config{Replica: replica, Logger: log})
	n.Register(page.Metrics()...)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.Run(ctx, page) })
	group.Go(func() error { return page.Run(ctx) })
	group.Go(func() error { return tell(ctx, n, log, o.giveUp) })
	for _, out := range outs {
		group.Go(func() error { return copyStream(ctx, n.URL()+"/live.ts?join=last", out) })
	}
	if o.player != "" {
		group.Go(func() error { return open(ctx, o.player, n.URL()) })
	}
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// nobody says that there is nobody to begin with, and what helps.
func (o *options) nobody() error {
	also := ""
	if o.NoLAN {
		also = ", or leave out --no-lan"
	}
	return node.Usagef("this LINK names nobody to begin with: ask for one that ends in ?a=host:port, or add the address of anybody who watches%s", also)
}

// openReplica keeps each channel in a directory of its own. Two viewers of one channel on one machine may share the default
// directory: the second keeps its blocks in memory.
func (o *options) openReplica(link feed.Link, log *slog.Logger) (*feed.Replica, error) {
	history, err := o.History(false)
	if err != nil {
		return nil, err
	}
	replica, err := node.OpenReplica(link.Root, filepath.Join(o.Data, link.Root.String()), history, log)
	if errors.Is(err, feed.ErrLocked) && !o.Explicit("data") {
		log.Info("another viewer of this channel runs here, this one keeps its blocks in memory", "data", o.Data)
		return node.OpenReplica(link.Root, "", node.History{}, log)
	}
	return replica, err
}

// announce prints the facts; with --stdout they go to stderr, since stdout is the stream.
func (o *options) announce(r node.Ready) error {
	if o.stdout {
		return r.Print(os.Stderr, o.JSON)
	}
	return o.Announce(r)
}

// outputs opens what the stream is copied to besides the page.
func (o *options) outputs() (outs []io.WriteCloser, err error) {
	if o.player != "" && players[o.player] == nil {
		return nil, node.Usagef("--player %s: want mpv, vlc or browser", o.player)
	}
	if o.stdout {
		outs = append(outs, os.Stdout)
	}
	if o.record != "" {
		f, err := os.OpenFile(o.record, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, node.Usagef("--record: %v", err)
		}
		outs = append(outs, f)
	}
	return outs, nil
}

// retryTime is how long to wait before a stream that has ended is asked for again.
const retryTime = time.Second

// copyStream reads our own stream, as any player would, until ctx ends or out does not take it.
func copyStream(ctx context.Context, url string, out io.WriteCloser) (err error) {
	defer func() { err = errors.Join(err, out.Close()) }()
	for {
		if err := copyOnce(ctx, url, out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryTime):
		}
	}
}

// sink remembers whether it was the writing side that failed.
type sink struct {
	io.Writer
	err error
}

func (s *sink) Write(b []byte) (n int, err error) {
	n, s.err = s.Writer.Write(b)
	return n, s.err
}

func copyOnce(ctx context.Context, url string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return ctx.Err() // not listening yet, or ending
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusNotAcceptable {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 4<<10))
		return fmt.Errorf("%s", text)
	}
	if r.StatusCode != http.StatusOK {
		return ctx.Err() // nothing to play yet
	}
	to := &sink{Writer: out}
	if _, err := io.Copy(to, r.Body); to.err != nil {
		return fmt.Errorf("cannot write the stream: %w", err)
	}
	return ctx.Err()
}

// tell says on stderr when the state changes, and gives up if nothing has arrived in time.
func tell(ctx context.Context, n *node.Node, log *slog.Logger, giveUp time.Duration) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	begin, seen, said := time.Now(), false, node.Status{State: node.StateWaiting}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		s := n.Status()
		seen = seen || s.State == node.StateLive || s.Blocks.Verified > 0
		if !seen && giveUp > 0 && time.Since(begin) >= giveUp {
			return fmt.Errorf("nothing has arrived in %v (%s): is the streamer on air, and can its UDP port be reached?", giveUp, s.Reason)
		}
		if s.State != said.State || s.Reason != said.Reason && s.State != node.StateLive {
			log.Info(string(s.State), "reason", s.Reason)
			said = s
		}
	}
}
