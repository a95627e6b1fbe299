package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tailcast/feed"
	"tailcast/node"
)

// A relay seeds the channels of its lists. Its loop owns all that changes, but for what mu guards.
type relay struct {
	host    *node.Host
	log     *slog.Logger
	dir     string
	history node.History // of each channel, before --disk
	limits  limits
	monthly *node.Monthly
	lists   lists
	named   []string         // renditions to seed; none: all
	reload  <-chan os.Signal // somebody asks to read the lists again

	join func(link feed.Link, up uint64, window feed.Retention) (seeded, replica, error) // open, or a fake

	wanted []feed.Link // what the lists say
	gone   chan gone   // read by loop until there is no member any more
	ticks  int
	broken bool // the month could not be saved the last time

	mu       sync.Mutex
	members  []*member // in the order in which they joined; changed by loop only
	allowed  uint64    // bits per second, of all together; 0: no cap
	paused   string    // why nothing is seeded; empty: something is
	leftover int64     // bytes on disk of channels that are not wanted
}

// limits are what the operator gives. Zero is no limit.
type limits struct {
	up   uint64 // bits per second
	disk int64  // bytes of payload
}

// folder is where a channel is kept.
func (r *relay) folder(root feed.PublicKey) string { return filepath.Join(r.dir, root.String()) }

// list returns the members.
func (r *relay) list() []*member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.members)
}

func (r *relay) setMembers(list []*member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = list
}

// begin joins all channels of the lists, before anything runs: an error ends the command.
func (r *relay) begin() error {
	if err := r.read(); err != nil {
		return node.Configuration(err)
	}
	for _, link := range r.wanted {
		if err := r.add(link); err != nil {
			return errors.Join(err, r.abandon())
		}
	}
	return nil
}

// abandon undoes begin.
func (r *relay) abandon() (err error) {
	for _, m := range r.list() {
		err = errors.Join(err, m.close())
	}
	return err
}

// read reads the lists, and checks that the disk has room for what they say.
func (r *relay) read() error {
	wanted, denied, err := r.lists.read()
	if err != nil {
		return err
	}
	leftover, err := r.room(wanted)
	if err != nil {
		return err
	}
	for _, link := range denied {
		r.log.Warn("not seeding a channel that the deny list names", "channel", link.Root.String(), "folder", r.folder(link.Root))
	}
	r.wanted = wanted
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leftover = leftover
	return nil
}

// run seeds until ctx ends; it returns when all channels have said goodbye and all is on disk.
func (r *relay) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ending := ctx.Done()
	var failed error
	for r.settle(ctx); ctx.Err() == nil || len(r.list()) > 0; {
		select {
		case <-ending:
			ending = nil // the members know it, too
		case <-r.reload:
			r.again(ctx)
		case <-tick.C:
			r.look()
		case g := <-r.gone:
			if err := r.remove(ctx, g); err != nil {
				failed = errors.Join(failed, err)
				cancel()
			}
			r.settle(ctx)
		}
	}
	return errors.Join(failed, r.monthly.Save())
}

// again reads the lists again. What is wrong in them changes nothing.
func (r *relay) again(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	if err := r.read(); err != nil {
		r.log.Error("couldn't take over the lists; all channels stay as they are", "err", err)
		return
	}
	r.settle(ctx)
	r.log.Info("the lists were read again", "channels", len(r.wanted))
}

// settle makes the members those that are wanted: who is not, leaves; who is missing joins, once nobody of that channel is left.
func (r *relay) settle(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	for _, m := range r.list() {
		if !m.leaving && !slices.ContainsFunc(r.wanted, m.is) {
			m.leaving = true
			m.leave()
			r.log.Info("leaving a channel", "channel", m.link.Root.String(), "folder", r.folder(m.link.Root))
		}
	}
	for _, link := range r.wanted {
		if slices.ContainsFunc(r.list(), func(m *member) bool { return m.link.Root == link.Root }) {
			continue
		}
		if err := r.add(link); err != nil {
			r.log.Error("couldn't seed a channel; the next SIGHUP tries again", "channel", link.Root.String(), "err", err)
		}
	}
	for _, m := range r.list() {
		if m.leave == nil {
			r.start(ctx, m)
			r.log.Info("joining a channel", "link", m.channel.Link().String())
		}
	}
}

// add joins a channel. The others make room for it.
func (r *relay) add(link feed.Link) error {
	held, err := payloadBytes(r.folder(link.Root))
	if err != nil {
		return err
	}
	m := &member{link: link, held: held}
	list := append(r.list(), m)
	caps, windows := r.divideUp(list), r.divideDisk(list)
	last := len(list) - 1
	for i, other := range list[:last] {
		other.setUp(min(other.load.cap, caps[i]))
		other.setWindow(windows[i])
	}
	m.load.cap, m.window = caps[last], windows[last]
	if m.channel, m.replica, err = r.join(link, m.load.cap, m.window); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = list
	if r.paused != "" {
		m.channel.Pause(r.paused)
	}
	return nil
}

// remove takes note that a member has ended. It returns what should end the command.
func (r *relay) remove(ctx context.Context, g gone) error {
	r.monthly.Add(g.member.sent())
	r.setMembers(slices.DeleteFunc(r.list(), func(m *member) bool { return m == g.member }))
	if ctx.Err() != nil {
		return errors.Join(g.err, g.closed)
	}
	if g.closed != nil {
		r.log.Error("a channel that was left is not whole on disk", "channel", g.member.link.Root.String(), "err", g.closed)
	}
	return g.err
}
