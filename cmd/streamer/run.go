package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/ingest/admit"
	"tailcast/node"
	"tailcast/player"
)

// linger is how long a streamer whose input has ended goes on serving, so that viewers get the last blocks.
const linger = 5 * time.Second

// opener makes the source; `streamer` and `streamer demo` differ in nothing else.
type opener func(*options, input, *doors, *slog.Logger) (*source, error)

// run builds the parts and airs the inputs until they end or ctx does.
func run(ctx context.Context, o *options, list []input, open opener) (err error) {
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
	if err := o.standby.parse(list); err != nil {
		return err
	}
	history, err := o.History(true)
	if err != nil {
		return err
	}
	made, err := o.loadSecrets(ctx, list, log)
	if err != nil {
		return err
	}
	o.gate = admit.NewGate(o.key, log)
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
	inside, err := newPreview(n, station.Root(), log)
	if err != nil {
		return errors.Join(err, n.Close())
	}
	defer func() { err = errors.Join(err, inside.close()) }()
	// After the node, which takes what it finds in the Replica for an earlier run's.
	config := feed.WriterConfig{Replica: replica, Station: station, Logger: log, Rival: n.Superseded}
	writer, err := feed.NewWriter(config)
	if err != nil {
		return errors.Join(o.withHelp(err), n.Close())
	}
	b := &broadcast{
		node: n, config: config, writer: writer, log: log, desk: &desk{title: o.title, writer: writer},
		page: player.New(player.Config{Replica: replica, Logger: log}), preview: inside,
		note: &noteWatch{station: station, renewal: o.renewal, log: log, now: time.Now},
	}
	if err := b.take(o, list, open); err != nil {
		return errors.Join(err, n.Close())
	}
	if made {
		if err := printFields(os.Stderr, b.doors.best(n.URL()), o.key, filepath.Join(o.Data, keyName)); err != nil {
			return errors.Join(err, b.doors.abandon(), n.Close())
		}
	}
	n.Ingest(b.inputs)
	n.Register(b.page.Metrics()...)
	if err := o.Announce(n.Ready(b.doors.ready(list, n.URL()))); err != nil {
		return errors.Join(err, n.Close())
	}
	return o.withHelp(b.air(ctx))
}

// broadcast is what is on air: the parts that run, and the order in which they end.
type broadcast struct {
	node       *node.Node
	config     feed.WriterConfig
	writer     *feed.Writer // of the first epoch
	desk       *desk
	doors      *doors
	renditions []*rendition // best first
	page       *player.Server
	preview    *preview
	note       *noteWatch
	log        *slog.Logger
}

// take opens the inputs.
func (b *broadcast) take(o *options, list []input, open opener) (err error) {
	if b.doors, err = openDoors(o, waiting(slices.Concat(list, o.standby.inputs())), b.log); err != nil {
		return err
	}
	clock := newProgramClock()
	for _, in := range list {
		log := b.log
		var t *timing
		if len(list) > 1 {
			log, t = b.log.With("rendition", in.name), clock.timing()
		}
		src, err := open(o, in, b.doors, log)
		if err == nil {
			src, err = withStandby(src, in, o, b.doors, log)
		}
		if err != nil {
			return errors.Join(err, b.doors.abandon())
		}
		r := newRendition(in, src, b.desk, t, log)
		r.air.assume = src.standby.assume
		b.renditions = append(b.renditions, r)
	}
	return nil
}

// inputs says how the inputs do.
func (b *broadcast) inputs() (list []*node.Ingest) {
	for _, r := range b.renditions {
		list = append(list, r.report(b.node.URL()))
	}
	return list
}

// air runs until the inputs end, ctx does, or a part fails. The parts end one after the other, so that nothing is lost: first
// the sources, then the logs are ended and signed, then those who listen have got it.
func (b *broadcast) air(ctx context.Context) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	group, airing := errgroup.WithContext(ctx)
	group.Go(func() error { return b.node.Run(serving, b.handler(), b.preview.faces()) })
	group.Go(func() error { return b.preview.run(serving) })
	group.Go(func() error { return b.page.Run(serving) })
	group.Go(func() error { return b.note.run(serving) })
	group.Go(func() error {
		defer stopServing()
		err := b.write(writing)
		b.goodbye(airing)
		return err
	})
	group.Go(func() error {
		defer stopWriting()
		return b.play(airing)
	})
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// play runs the inputs until all have ended. One of several that fails does not take the others with it: what it brought stays listed.
func (b *broadcast) play(ctx context.Context) error {
	letting, stop := context.WithCancel(ctx)
	group, playing := errgroup.WithContext(letting)
	group.Go(func() error { return b.doors.run(playing) })
	group.Go(func() error {
		defer stop() // there is nobody to let in any more
		return b.playAll(playing)
	})
	if err := group.Wait(); ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (b *broadcast) playAll(ctx context.Context) error {
	ends := make([]error, len(b.renditions))
	var running sync.WaitGroup
	for i, r := range b.renditions {
		running.Go(func() {
			if ends[i] = r.run(ctx); ends[i] != nil && ctx.Err() == nil && len(ends) > 1 {
				r.log.Error("a rendition has lost its input; the others go on", "error", ends[i])
			}
		})
	}
	running.Wait()
	if slices.Contains(ends, nil) {
		return nil
	}
	return errors.Join(ends...)
}

// write runs the writer, in one epoch after the other: the next one begins when the system clock is set, when the keys
// are rotated, when a fault of the epoch is proved, and when somebody remembers a higher epoch that is over, as after a lost data directory.
func (b *broadcast) write(ctx context.Context) error {
	var olds sync.WaitGroup
	defer olds.Wait()
	w := b.writer
	for {
		err := w.Run(ctx)
		switch {
		case errors.Is(err, feed.ErrSuperseded):
			return fmt.Errorf("%w: this one stops. Stop one of the two streamers for good, they share the keys of this channel", err)
		case errors.Is(err, feed.ErrOvertaken):
			b.config.Reclaims = true
		case !errors.Is(err, feed.ErrClockStep) && !errors.Is(err, feed.ErrRotated) && !errors.Is(err, feed.ErrCondemned):
			return err
		}
		b.log.Warn("going on in a new epoch", "reason", err)
		if w, err = b.change(ctx, w, &olds); err != nil {
			return err
		}
	}
}

// crossing is how long an epoch lasts beside the next, so that viewers have found that before this one ends.
const crossing = time.Second

// change opens the next epoch. The one before goes on until all renditions have left it, and a little longer; then olds is done with it.
func (b *broadcast) change(ctx context.Context, w *feed.Writer, olds *sync.WaitGroup) (next *feed.Writer, err error) {
	lingering, stop := context.WithCancel(ctx)
	olds.Go(func() {
		if err := w.Linger(lingering); err != nil {
			b.log.Error("couldn't end an epoch", "epoch", w.Epoch().ID().String(), "error", err)
		}
	})
	next, err = b.desk.move(ctx, func() (*feed.Writer, error) { return feed.NewWriter(b.config) })
	olds.Go(func() {
		defer stop()
		if err == nil {
			b.desk.leave(ctx, w)
			rest(ctx, crossing)
		}
	})
	return next, err
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// goodbye gives those who listen time for the last blocks, unless somebody is in a hurry.
func (b *broadcast) goodbye(airing context.Context) {
	select {
	case <-airing.Done():
	case <-time.After(linger):
	}
}

// handler adds the ways in for encoders to the page.
func (b *broadcast) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", b.page)
	b.doors.handlers(mux)
	return mux
}
