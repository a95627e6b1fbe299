package node

import (
	"context"
	"testing"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// TestInner: a streamer's inner viewer gets the channel from it as others do, and is among its peers, but not among its audience.
func TestInner(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	h := newHost(t, Streamer)
	streamer := h.mustJoin(t, ChannelConfig{Replica: c.Replica})
	inner, err := h.NewInner(Viewer)
	if err != nil {
		t.Fatal(err)
	}
	replica := memory(t, c.Station.Root())
	viewer := inner.mustJoin(t, ChannelConfig{Replica: replica, Anchors: h.anchor(), NoShare: true})
	h.inBackground(t, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return streamer.Run(ctx) })
		group.Go(func() error { return inner.Run(ctx, Face{}, viewer.Run) })
		return group.Wait()
	})
	c.Append(t, 3, 1000)
	hasAll(t, c, replica)
	if inner.Node() == h.Node() || inner.Addrs()[0] == h.Addrs()[0] {
		t.Error("it is the same node")
	}
	if got, want := viewer.Link().String(), streamer.Link().String(); got != want {
		t.Errorf("its link is %s, want the streamer's, %s", got, want)
	}
	if s := withPeers(t, streamer, 1); !s.Peers[0].Inner || s.Audience.Connected+s.Audience.HeardOf > 0 {
		t.Errorf("the streamer has %+v and counts %+v, want its inner viewer and nobody", s.Peers, s.Audience)
	}
	if s := withPeers(t, viewer, 1); s.Role != "viewer" || s.Peers[0].Inner {
		t.Errorf("the viewer is %s and has %+v, want the streamer", s.Role, s.Peers)
	}
}
