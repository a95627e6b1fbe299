package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/node"
)

// A member is a channel that is seeded.
//
//	joined ──start──▶ running ──leave──▶ leaving ──its Run has ended──▶ gone
type member struct {
	link    feed.Link // as the operator gave it
	replica replica
	channel seeded

	// All below is owned by the relay's loop.
	leave   context.CancelFunc // nil: joined
	leaving bool
	counted uint64 // bytes on the wire that the month knows of
	load    load
	held    int64 // bytes of payload on disk, of late
	window  feed.Retention
}

// A seeded channel is a *node.Channel, or a fake that needs no network. SetUp takes bits per second; 0 is no cap.
type seeded interface {
	Run(ctx context.Context) error
	Close()
	Link() feed.Link
	Status() node.Status
	SetUp(bitsPerSecond uint64)
	Pause(reason string)
	Resume()
}

// A replica is a *feed.Replica, or a fake that needs no disk.
type replica interface {
	Stored() feed.Stored
	SetRetention(feed.Retention)
	Close() error
}

const (
	// leaveTime is how long the peers of a channel are served while they look for others; less if all have found some. The process ends within
	// node.ShutdownTime, and files are closed after it.
	leaveTime = 8 * time.Second

	maxPeers = 256 // of a channel
)

// open opens what is held of a channel and takes part in it. up is its cap.
func (r *relay) open(link feed.Link, up uint64, window feed.Retention) (seeded, replica, error) {
	history := node.History{Keep: r.history.Keep, Window: window}
	held, err := node.OpenReplica(link.Root, r.folder(link.Root), history, r.log)
	if err != nil {
		return nil, nil, err
	}
	channel, err := r.host.Join(node.ChannelConfig{Replica: held, Anchors: link.Anchors, MaxPeers: maxPeers, Up: up, Leave: leaveTime, Renditions: r.named})
	if err != nil {
		return nil, nil, errors.Join(err, held.Close())
	}
	return channel, held, nil
}

// gone is a member that has ended.
type gone struct {
	member *member
	err    error // that ended it; nil: it was told to leave
	closed error // of its files
}

// start lets a member run until ctx ends or it is told to leave; then it tells the loop.
func (r *relay) start(ctx context.Context, m *member) {
	ctx, m.leave = context.WithCancel(ctx)
	go func() {
		err := m.channel.Run(ctx)
		r.gone <- gone{m, err, m.close()}
	}()
}

// close ends a member that does not run.
func (m *member) close() error {
	m.channel.Close()
	return m.replica.Close()
}

// is reports whether the link is that of the member, with the same addresses.
func (m *member) is(link feed.Link) bool {
	same := func(a, b feed.Anchor) bool { return a.String() == b.String() }
	return m.link.Root == link.Root && slices.EqualFunc(m.link.Anchors, link.Anchors, same)
}

// sent returns the bytes on the wire since it was last called.
func (m *member) sent() uint64 {
	now := m.channel.Status().Bytes.WireSent
	fresh := now - min(now, m.counted)
	m.counted = now
	return fresh
}

// measure looks at what the member makes of its cap. A peak is remembered for some seconds: a cap that follows every breath would be in the way
// of the next.
func (m *member) measure() {
	up := m.channel.Status().Upload
	m.load.used = max(uint64(up.Rate), m.load.used-m.load.used/8)
	m.load.full = up.Slots > 0 && up.Used >= up.Slots
	if stored := m.replica.Stored(); stored.Bytes > 0 {
		m.held = stored.Bytes
	}
}

// setUp changes the cap.
func (m *member) setUp(up uint64) {
	if up != m.load.cap {
		m.load.cap = up
		m.channel.SetUp(up)
	}
}

// setWindow changes what is kept on disk.
func (m *member) setWindow(w feed.Retention) {
	if w != m.window {
		m.window = w
		m.replica.SetRetention(w)
	}
}
