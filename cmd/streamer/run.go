package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/node"
	"tailcast/player"
)

// linger is how long a streamer whose input has ended goes on serving, so that viewers get the last blocks.
const linger = 5 * time.Second

// opener makes the source; `streamer` and `streamer demo` differ in nothing else.
type opener func(*options, input, *slog.Logger) (*source, error)

// run builds the parts and airs the input until it ends or ctx does.
func run(ctx context.Context, o *options, in input, open opener) (err error) {
	if err := o.Load(); err != nil {
		return err
	}
	log, err := o.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if o.copies != 1 && o.copies != 2 {
		return node.Usagef("--copies %d: want 1 or 2", o.copies)
	}
	history, err := o.History(true)
	if err != nil {
		return err
	}
	if o.key, err = streamKey(o.keyFile); err != nil {
		return err
	}
	station, err := feed.OpenStation(o.Data, nil)
	if err != nil {
		return node.DataError(o.withHelp(err))
	}
	defer func() { err = errors.Join(err, station.Close()) }()
	replica, err := node.OpenReplica(station.Root(), filepath.Join(o.Data, "feed"), history, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, replica.Close()) }()
	key, err := node.Key(o.Data)
	if err != nil {
		return err
	}
	n, err := node.New(node.Config{
		Role: node.Streamer, Flags: &o.Flags, Key: key, Logger: log,
		Channel: node.ChannelConfig{Replica: replica, Copies: o.copies, Pinned: o.pinned},
	})
	if err != nil {
		return err
	}
	// After the node, which takes what it finds in the Replica for an earlier run's.
	config := feed.WriterConfig{Replica: replica, Station: station, Logger: log, Rival: n.Superseded}
	writer, err := feed.NewWriter(config)
	if err != nil {
		return errors.Join(o.withHelp(err), n.Close())
	}
	src, err := open(o, in, log)
	if err != nil {
		return errors.Join(err, n.Close())
	}
	p := &programme{
		node: n, config: config, writer: writer, source: src, log: log,
		sink: &onAir{outlet: outlet{writer: writer}, title: o.title, log: log},
		page: player.New(player.Config{Replica: replica, Logger: log}),
		note: &noteWatch{station: station, renewal: o.renewal, log: log, now: time.Now},
	}
	p.health = newHealth(p.sink)
	n.Ingest(func() *node.Ingest {
		h := src.health(in)
		p.health.report(h)
		h.Push = src.pushes(n.URL(), o.key != "")
		return h
	})
	n.Register(p.page.Metrics()...)
	if err := o.Announce(n.Ready(src.ready(in))); err != nil {
		return errors.Join(err, n.Close())
	}
	return o.withHelp(p.air(ctx))
}

// programme is what is on air: the parts that run, and the order in which they end.
type programme struct {
	node   *node.Node
	config feed.WriterConfig
	writer *feed.Writer // of the first epoch
	source *source
	sink   *onAir
	health *health // before the sink
	page   *player.Server
	note   *noteWatch
	log    *slog.Logger
}

// air runs until the input ends, ctx does, or a part fails. The parts end one after the other, so that nothing is lost: first
// the source, then the log is ended and signed, then those who listen have got it.
func (p *programme) air(ctx context.Context) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	group, airing := errgroup.WithContext(ctx)
	group.Go(func() error { return p.node.Run(serving, p.handler()) })
	group.Go(func() error { return p.page.Run(serving) })
	group.Go(func() error { return p.note.run(serving) })
	group.Go(func() error {
		defer stopServing()
		err := p.write(writing)
		p.goodbye(airing)
		return err
	})
	group.Go(func() error {
		defer stopWriting()
		err := p.source.run(airing, p.health)
		return errors.Join(err, p.sink.Close())
	})
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// write runs the writer, in one epoch after the other: the next one begins when the system clock is set, when the keys
// are rotated, when a fault of the epoch is proved, and when somebody remembers a higher epoch that is over, as after a lost data directory.
func (p *programme) write(ctx context.Context) error {
	var olds sync.WaitGroup
	defer olds.Wait()
	w := p.writer
	for {
		err := w.Run(ctx)
		switch {
		case errors.Is(err, feed.ErrSuperseded):
			return fmt.Errorf("%w: this one stops. Stop one of the two streamers for good, they share the keys of this channel", err)
		case errors.Is(err, feed.ErrOvertaken):
			p.config.Reclaims = true
		case !errors.Is(err, feed.ErrClockStep) && !errors.Is(err, feed.ErrRotated) && !errors.Is(err, feed.ErrCondemned):
			return err
		}
		p.log.Warn("going on in a new epoch", "reason", err)
		if w, err = p.change(ctx, w, &olds); err != nil {
			return err
		}
	}
}

// crossing is how long an epoch lasts beside the next, so that viewers have found that before this one ends.
const crossing = time.Second

// change opens the next epoch. The one before goes on until then, and a little longer; then olds is done with it.
func (p *programme) change(ctx context.Context, w *feed.Writer, olds *sync.WaitGroup) (next *feed.Writer, err error) {
	lingering, stop := context.WithCancel(ctx)
	olds.Go(func() {
		if err := w.Linger(lingering); err != nil {
			p.log.Error("couldn't end an epoch", "epoch", w.Epoch().ID().String(), "error", err)
		}
	})
	next, err = p.sink.move(ctx, func() (*feed.Writer, error) { return feed.NewWriter(p.config) })
	time.AfterFunc(crossing, stop)
	return next, err
}

// goodbye gives those who listen time for the last blocks, unless somebody is in a hurry.
func (p *programme) goodbye(airing context.Context) {
	select {
	case <-airing.Done():
	case <-time.After(linger):
	}
}

// handler adds the ways in for encoders to the page.
func (p *programme) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p.page)
	for _, w := range p.source.ways {
		if w.handler != nil {
			mux.Handle(w.path, w.handler)
		}
	}
	return mux
}
