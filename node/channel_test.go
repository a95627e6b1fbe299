package node

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// patience bounds the waits of these tests; none passes because time went by.
const patience = 30 * time.Second

func testFlags(t *testing.T) *Flags {
	t.Helper()
	f := new(Flags)
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.Register(set, t.TempDir())
	if err := set.Parse([]string{"--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	return f
}

func newHost(t *testing.T, role Role) *Host {
	t.Helper()
	h, err := NewHost(HostConfig{Role: role, Flags: testFlags(t), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// inBackground runs a host until the returned function is called, or the test ends.
func (h *Host) inBackground(t *testing.T, work func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	face := Face{Status: func() any { return nil }, Page: http.NotFoundHandler(), Ready: func() (bool, string) { return true, "" }}
	go func() { done <- h.Run(ctx, face, work) }()
	stopped := false
	stop = func() {
		if cancel(); stopped {
			return
		}
		stopped = true
		if err := <-done; err != nil {
			t.Errorf("a node ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// mustJoin joins and fails the test if that fails.
func (h *Host) mustJoin(t *testing.T, cfg ChannelConfig) *Channel {
	t.Helper()
	c, err := h.Join(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// anchor is the host in a link.
func (h *Host) anchor() []feed.Anchor { return []feed.Anchor{{Addr: h.Addrs()[0]}} }

// hasAll waits until a replica holds all blocks of a channel, to be followed from its edge.
func hasAll(t *testing.T, c *feedtest.Channel, r *feed.Replica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	newest := c.Log.Log().Head().Size - 1
	for {
		changed := r.Changed()
		if e := r.Current(); e != nil {
			if l, err := e.Log(feedtest.Rendition); err == nil && l.Has(newest) {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("block %d has not come", newest)
		}
	}
}

func memory(t *testing.T, root feed.PublicKey) *feed.Replica {
	t.Helper()
	r, err := feed.Open(root, feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// follower runs a viewer that knows a host and nobody else.
func follower(t *testing.T, c *feedtest.Channel, from *Host) *feed.Replica {
	t.Helper()
	r := memory(t, c.Station.Root())
	h := newHost(t, Viewer)
	h.inBackground(t, h.mustJoin(t, ChannelConfig{Replica: r, Anchors: from.anchor()}).Run)
	return r
}

// onAir runs a streamer.
func onAir(t *testing.T) (*feedtest.Channel, *Host) {
	t.Helper()
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	h := newHost(t, Streamer)
	h.inBackground(t, h.mustJoin(t, ChannelConfig{Replica: c.Replica}).Run)
	c.Append(t, 3, 1000)
	return c, h
}

// One socket carries many channels, that come and go without disturbing one another.
func TestChannelsShareASocket(t *testing.T) {
	a, fromA := onAir(t)
	b, fromB := onAir(t)
	h := newHost(t, Relay)
	toA := h.mustJoin(t, ChannelConfig{Replica: memory(t, a.Station.Root()), Anchors: fromA.anchor()})
	toB := h.mustJoin(t, ChannelConfig{Replica: memory(t, b.Station.Root()), Anchors: fromB.anchor()})
	if _, err := h.Join(ChannelConfig{Replica: memory(t, a.Station.Root())}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a channel joined twice: got %v", err)
	}
	ctxA, leaveA := context.WithCancel(t.Context())
	endedA := make(chan error, 1)
	h.inBackground(t, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { endedA <- toA.Run(ctxA); return nil })
		group.Go(func() error { return toB.Run(ctx) })
		return group.Wait()
	})
	watchA, watchB := follower(t, a, h), follower(t, b, h)
	hasAll(t, a, watchA)
	hasAll(t, b, watchB)
	checkLabels(t, h, ShortRoot(a.Station.Root()), ShortRoot(b.Station.Root()))

	leaveA()
	if err := <-endedA; err != nil {
		t.Errorf("a channel ended with %v", err)
	}
	toA.Close()
	b.Append(t, 3, 1000)
	hasAll(t, b, watchB)
	checkLabels(t, h, ShortRoot(b.Station.Root()))
	if s := withPeers(t, toB, 2); s.Role != "relay" || !strings.Contains(s.Link, "~"+h.Node().String()) {
		t.Errorf("got %+v, want a link with the node's key", s)
	}
	again := h.mustJoin(t, ChannelConfig{Replica: memory(t, a.Station.Root()), Anchors: fromA.anchor()})
	again.Close()
}

// withPeers waits for a status that shows so many peers: it is taken a few times a second.
func withPeers(t *testing.T, c *Channel, want int) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for look := time.NewTicker(10 * time.Millisecond); ; {
		s := c.Status()
		if len(s.Peers) == want {
			return s
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("got %+v, want %d peers", s, want)
		}
	}
}

// checkLabels wants metrics of these channels and no other.
func checkLabels(t *testing.T, h *Host, want ...string) {
	t.Helper()
	families, err := h.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "channel" {
					got[l.GetValue()] = true
				}
			}
		}
	}
	for _, w := range want {
		if !got[w] || len(got) != len(want) {
			t.Errorf("got metrics of %v, want %v", got, want)
		}
	}
}

// A channel that is paused lets its peers go and says why; when it goes on, it goes on counting.
func TestPause(t *testing.T) {
	a, streamer := onAir(t)
	h := newHost(t, Relay)
	c := h.mustJoin(t, ChannelConfig{Replica: memory(t, a.Station.Root()), Anchors: streamer.anchor(), Leave: time.Millisecond})
	c.SetUp(5e6)
	stop := h.inBackground(t, c.Run)
	watcher := follower(t, a, h)
	hasAll(t, a, watcher)
	waitUntil(t, func() bool { return c.Status().Bytes.Received.Media > 0 })

	c.Pause("used up")
	if s := c.Status(); s.State != StateStalled || s.Reason != "used up" || s.Upload.Limit != 5e6 {
		t.Errorf("got %s (%s), cap %d, want stalled, used up, and 5 Mbit/s", s.State, s.Reason, s.Upload.Limit)
	}
	waitUntil(t, func() bool { return len(c.Status().Peers) == 0 })
	before := c.Status().Bytes
	if before.WireSent == 0 || before.Received.Media == 0 {
		t.Errorf("got %+v, want what was carried before the pause", before)
	}
	a.Append(t, 3, 1000)
	c.Resume()
	hasAll(t, a, watcher)
	if s := c.Status(); s.Reason == "used up" || s.Bytes.WireSent < before.WireSent || s.Bytes.Received.Media < before.Received.Media {
		t.Errorf("after the pause: got %+v, want more than %+v", s.Bytes, before)
	}
	c.Pause("for good")
	stop()
}

// waitUntil polls; what it waits for sends no event.
func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it did not happen")
		}
	}
}
