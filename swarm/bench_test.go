package swarm

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/quicwire"
)

// A rig is a chain of nodes on the loopback interface: the first is a streamer, each other knows only the one before.
type rig struct {
	channel *feedtest.Channel
	nodes   []*node // without the streamer
}

func newRig(tb testing.TB, hops int) *rig {
	tb.Helper()
	c := feedtest.NewChannel(tb, feed.Config{}, 16)
	n := start(tb, "streamer", loopback(tb), c.Replica, Config{Role: quicwire.Streamer})
	c.Append(tb, 1, 100)
	r := &rig{channel: c}
	for i := range hops {
		replica, err := feed.Open(c.Replica.Root(), feed.Config{})
		if err != nil {
			tb.Fatal(err)
		}
		n = start(tb, fmt.Sprint("viewer ", i), loopback(tb), replica, Config{Anchors: []feed.Anchor{{Addr: n.place.LocalAddr().String()}}})
		r.nodes = append(r.nodes, n)
	}
	for _, n := range r.nodes {
		r.await(tb, n, 1)
	}
	return r
}

func loopback(tb testing.TB) net.PacketConn {
	tb.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	return conn
}

// await waits until n has so many blocks.
func (r *rig) await(tb testing.TB, n *node, size uint64) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		changed := n.replica.Changed()
		if n.size() >= size {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			tb.Fatalf("%v: want %d blocks", n, size)
		}
	}
}

// hop signs a block and returns how long it took to be verified at the last node. The signature is not in it.
func (r *rig) hop(tb testing.TB, size int) time.Duration {
	b := r.channel.Append(tb, 1, size)
	begun := time.Now()
	r.await(tb, r.nodes[len(r.nodes)-1], b[0].Index+1)
	return time.Since(begun)
}

// Over real sockets: join, then block by block, in order and whole.
func TestLoopback(t *testing.T) {
	r := newRig(t, 2)
	var took []time.Duration
	for range 200 {
		took = append(took, r.hop(t, 8192))
	}
	slices.Sort(took)
	t.Logf("signed here, verified two hops on: p50 %v, p99 %v", took[100], took[198])
	for _, n := range r.nodes {
		wantWhole(t, n, 0)
	}
}

// BenchmarkHop measures how long after its signature a block is verified at the end of a chain on the loopback interface.
func BenchmarkHop(b *testing.B) {
	for _, hops := range []int{1, 3} {
		b.Run(fmt.Sprintf("hops=%d", hops), func(b *testing.B) {
			r := newRig(b, hops)
			var took []time.Duration
			for b.Loop() {
				took = append(took, r.hop(b, 8192))
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
			b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
			b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
		})
	}
}
