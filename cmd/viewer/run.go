package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/node"
	"tailcast/player"
)

// run watches until ctx ends.
func run(ctx context.Context, o *options, args []string) (err error) {
	links, err := node.LinkArguments(args)
	if err != nil {
		return err
	}
	if err := o.Load(); err != nil {
		return err
	}
	line := newStatusLine(os.Stderr, o.LogLevel != "debug" && !o.JSON)
	log, err := o.LoggerTo(os.Stderr, line)
	if err != nil {
		return err
	}
	list, err := o.channels(links, log)
	if err != nil {
		return err
	}
	members, err := o.open(list, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll(members)) }()
	return o.watch(ctx, members, line, log)
}

// channels are those of the command line, else those of the list, which must be readable only then: it names the others.
func (o *options) channels(links []feed.Link, log *slog.Logger) (list []channel, err error) {
	for _, l := range links {
		list = append(list, channel{Link: l.String(), link: l})
	}
	saved, err := readChannels(o.Data)
	if err != nil && len(list) == 0 {
		return nil, err
	} else if err != nil {
		log.Warn("the list of channels cannot be read, names and logos of this run are the broadcaster's", "err", err)
	}
	if len(list) == 0 {
		list = saved.Channels
	}
	for i := range list { // what the list says of one, it says wherever it comes from
		if at := saved.find(list[i].link.Root); at >= 0 {
			list[i].Name, list[i].Group, list[i].Logo = saved.Channels[at].Name, saved.Channels[at].Group, saved.Channels[at].Logo
		}
	}
	switch {
	case len(list) == 0:
		return nil, node.Usagef("which channel? name its LINK: tailcast:…; or keep channels on a list: viewer channels add LINK")
	case len(list) > maxChannels:
		return nil, node.Usagef("%d channels, at most %d", len(list), maxChannels)
	}
	return list, nil
}

// watch joins the channels and serves them until ctx ends.
func (o *options) watch(ctx context.Context, members []*member, line *statusLine, log *slog.Logger) error {
	token, err := "", error(nil)
	if o.lan {
		if token, err = node.LANToken(o.Data); err != nil {
			return err
		}
	}
	host, err := node.NewHost(node.HostConfig{Role: node.Viewer, Flags: &o.Flags, Logger: log, LAN: token})
	if err != nil {
		return err
	}
	if err = o.join(host, members, log); err == nil {
		err = o.begins(members, log)
	}
	var outs []output
	if err == nil { // files come last: what fails before leaves none that would be in the way of the corrected command
		outs, err = o.outputs()
	}
	if err == nil {
		err = o.announce(ready(host, members))
	}
	if err != nil {
		return errors.Join(err, closeOutputs(outs), host.Close())
	}
	showQR(os.Stderr, host.LAN())
	return ignoreCanceled(host.Run(ctx, lineup(members), func(ctx context.Context) error { return o.play(ctx, host, members, outs, line, log) }))
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// play runs the channels, and what the stream of the first one goes to. It closes outs.
func (o *options) play(ctx context.Context, host *node.Host, members []*member, outs []output, line *statusLine, log *slog.Logger) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range members {
		group.Go(func() error { return m.run(ctx) })
		told := log
		if len(members) > 1 {
			told = log.With("channel", m.id())
		}
		group.Go(func() error { return tell(ctx, m.node, told, o.giveUp) })
	}
	group.Go(func() error { return line.run(ctx, members[0].node) })
	for _, out := range outs {
		group.Go(func() error {
			if out.path == "" {
				name := awaitChosen(ctx, members[0].node)
				defer members[0].node.Want(name)() // until then, whatever else is chosen
				return prove(ctx, members[0].replica, name, out, log)
			}
			return copyStream(ctx, host.URL()+out.path, out)
		})
	}
	if o.player != "" {
		group.Go(func() error { return open(ctx, o.player, host.URL()) })
	}
	return group.Wait()
}

// ready says what others need to know.
func ready(host *node.Host, members []*member) node.Ready {
	r := node.Ready{Role: node.Viewer.String(), HTTP: host.URL(), LAN: host.LAN(), Listen: host.Addrs(), Link: members[0].node.Link().String()}
	if len(members) > 1 {
		for _, m := range members {
			r.Links = append(r.Links, m.node.Link().String())
		}
	}
	return r
}

// lineup is what the HTTP server shows: the first channel at /, all of them below /c/, and the lists of them.
func lineup(members []*member) node.Face {
	channels := map[string]node.Face{}
	var stations []player.Station
	for _, m := range members {
		channels[m.id()] = m.face()
		stations = append(stations, player.Station{Server: m.page, Path: "c/" + m.id() + "/", Name: m.Name, Group: m.Group, Logo: m.Logo})
	}
	face := members[0].face()
	face.Page, face.Channels = player.NewLineup(face.Page, stations...), channels
	return face
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

// tell says on stderr when the state changes, and gives up if nothing has arrived in time.
func tell(ctx context.Context, n *node.Channel, log *slog.Logger, giveUp time.Duration) error {
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
