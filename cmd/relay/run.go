package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"tailcast/feed"
	"tailcast/node"
)

// maxSessions is how many peers all channels together have at most: 50 KiB of memory each, when idle.
const maxSessions = 1024

// run seeds until ctx ends.
func run(ctx context.Context, o *options, args []string) (err error) {
	if err := o.Load(); err != nil {
		return err
	}
	log, err := o.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if err := o.check(args); err != nil {
		return err
	}
	lock, err := feed.LockDir(o.Data)
	if err != nil {
		return node.DataError(err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	key, err := node.Key(o.Data)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from now on it does not end the process
	defer signal.Stop(hup)
	host, err := node.NewHost(node.HostConfig{Role: node.Relay, Flags: &o.Flags, Key: key, MaxSessions: maxSessions, Logger: log})
	if err != nil {
		return err
	}
	r, err := o.relay(host, hup, log)
	if err != nil {
		return errors.Join(err, host.Close())
	}
	if err := o.Announce(r.ready()); err != nil {
		return errors.Join(err, r.abandon(), host.Close())
	}
	return host.Run(ctx, r.face(), r.run)
}

// check refuses what cannot be meant, and reads the links of the command line.
func (o *options) check(args []string) error {
	if len(args) == 0 && o.lists.file == "" {
		return node.Usagef("which channels? name a LINK (tailcast:…), or with --links a file of them")
	}
	if o.monthly.Bytes > 0 && o.up() == 0 {
		return node.Usagef("--monthly needs --max-up too: how much may be sent at a time? At most what the line carries, as 50M")
	}
	if o.Archive && o.disk.Bytes > 0 {
		return node.Usagef("--archive keeps everything, --disk %v does not: want one of them", &o.disk)
	}
	for _, arg := range args {
		link, err := feed.ParseLink(strings.TrimSpace(arg))
		if err != nil {
			return node.Usagef("%v", err)
		}
		o.lists.links = append(o.lists.links, link)
	}
	return nil
}

// relay joins the channels.
func (o *options) relay(host *node.Host, hup <-chan os.Signal, log *slog.Logger) (*relay, error) {
	history, err := o.History(o.disk.Bytes > 0)
	if err != nil {
		return nil, err
	}
	monthly, err := node.OpenMonthly(o.Data, uint64(o.monthly.Bytes), time.Now)
	if err != nil {
		return nil, err
	}
	r := &relay{
		host: host, log: log, dir: o.Data, history: history, monthly: monthly, lists: o.lists, named: o.named, reload: hup, gone: make(chan gone),
		limits: limits{up: o.up(), disk: o.disk.Bytes},
	}
	r.join = r.open
	r.obey(monthly.Status())
	host.Register(newMetrics(r))
	return r, r.begin()
}

// up is what all channels together may send, in bits per second: --max-up or --up, the smaller one if both are given. Zero is no limit.
func (o *options) up() uint64 {
	if a, b := o.maxUp.Bits, o.Up.Bits; a > 0 && b > 0 {
		return min(a, b)
	}
	return cmp.Or(o.maxUp.Bits, o.Up.Bits)
}

// ready says what others need to know of the relay: the link of each channel, and what a streamer's --pin takes.
func (r *relay) ready() node.Ready {
	ready := node.Ready{Role: node.Relay.String(), HTTP: r.host.URL(), Listen: r.host.Addrs(), Links: []string{}}
	for _, m := range r.list() {
		ready.Links = append(ready.Links, m.channel.Link().String())
	}
	if len(ready.Links) > 0 {
		ready.Link = ready.Links[0]
	}
	if anchors, err := r.host.Anchors(); err == nil && len(anchors) > 0 {
		ready.Pin = node.Pin(anchors[0])
	}
	return ready
}
