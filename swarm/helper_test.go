package swarm

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/internal/netsim"
	"tailcast/quicwire"
)

// testKey returns the private key made of a name.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// A world is a network in virtual time with a broadcaster's station.
type world struct {
	t       *testing.T
	net     *netsim.Net
	station *feed.Station
}

// simulate runs f in virtual time, on a network where one way takes 25 ms.
func simulate(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		station, err := feed.OpenStation(t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { station.Close() })
		f(t, &world{t, netsim.New(t, netsim.Config{Latency: 25 * time.Millisecond, Seed: 1}), station})
	})
}

// A place is a host that outlives the processes on it.
type place struct{ *netsim.Host }

// Close leaves the socket open for the next process; the Endpoint has stopped to read from it.
func (place) Close() error { return nil }

func (w *world) place(link netsim.Link) place { return place{w.net.Host(link)} }

// A node is a process: a Swarm with what it needs.
type node struct {
	t        testing.TB
	name     string
	place    net.PacketConn
	replica  *feed.Replica
	endpoint *quicwire.Endpoint
	swarm    *Swarm
	channel  *feedtest.Channel // of a streamer
	cancel   context.CancelFunc
	done     chan error
	tasks    []chan struct{} // what else runs until cancel
}

// start runs a Swarm on a socket; cfg is completed. It ends with the test, if not earlier.
func start(t testing.TB, name string, conn net.PacketConn, replica *feed.Replica, cfg Config) *node {
	t.Helper()
	endpoint, err := quicwire.New(quicwire.Config{Conn: conn, Key: testKey(name), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Endpoint, cfg.Replica, cfg.Logger = endpoint, replica, slog.New(slog.DiscardHandler)
	n := &node{t: t, name: name, place: conn, replica: replica, endpoint: endpoint, swarm: New(cfg), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.plug(true)
	go func() { n.done <- n.swarm.Run(ctx) }()
	t.Cleanup(n.stop)
	return n
}

// also runs f until the node stops.
func (n *node) also(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done, old := make(chan struct{}), n.cancel
	n.cancel = func() { cancel(); old() }
	n.tasks = append(n.tasks, done)
	go func() { defer close(done); f(ctx) }()
}

// stop ends the process in order.
func (n *node) stop() {
	if n.cancel == nil {
		return
	}
	n.cancel()
	n.cancel = nil
	for _, done := range n.tasks {
		<-done
	}
	if err := <-n.done; err != nil {
		n.t.Errorf("%s: Run returned %v, want nil", n.name, err)
	}
	n.wantSound()
	n.endpoint.Close()
	n.replica.Close()
	n.plug(false)
}

// plug puts the plug of n's host in, or pulls it.
func (n *node) plug(in bool) {
	if p, ok := n.place.(place); ok {
		p.Cut(!in)
	}
}

// kill ends the process without a word to anybody.
func (n *node) kill() {
	n.plug(false)
	n.stop()
}

// viewer starts a viewer that knows these addresses.
func (w *world) viewer(name string, at place, cfg Config, anchors ...place) *node {
	w.t.Helper()
	replica, err := feed.Open(w.station.Root(), feed.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range anchors {
		cfg.Anchors = append(cfg.Anchors, feed.Anchor{Addr: a.AddrPort().String()})
	}
	return start(w.t, name, at, replica, cfg)
}

const testStripes = 4

// streamer starts a streamer that signs 40 blocks of 2 KiB a second, a segment a second.
func (w *world) streamer(name string, at place, cfg feed.Config) *node {
	w.t.Helper()
	c := feedtest.Broadcast(w.t, w.station, cfg, testStripes)
	n := start(w.t, name, at, c.Replica, Config{Role: quicwire.Streamer})
	n.channel = c
	n.also(func(ctx context.Context) { c.Writer.Run(ctx) })
	log := c.Log // of the first epoch, whatever becomes of the channel
	n.also(func(ctx context.Context) { program(ctx, log) })
	return n
}

const (
	blocksASecond = 40
	blockSize     = 2048
)

// program signs blocks until ctx or the epoch ends.
func program(ctx context.Context, log *feed.LogWriter) {
	tick := time.NewTicker(time.Second / blocksASecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		var flags feed.Flags
		if i%blocksASecond == 0 {
			flags = feed.SegmentFirst | feed.RandomAccess
		}
		payload := feedtest.Payload(uint64(i), blockSize)
		if _, err := log.Append(feed.Entry{Kind: feed.Media, Flags: flags, Payload: payload}); err != nil {
			return // the epoch has ended
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// media returns the log of the rendition in the epoch that n follows; nil if it has none yet.
func (n *node) media() *feed.Log {
	e := n.replica.Current()
	if e == nil {
		return nil
	}
	if _, ok := e.State(); !ok {
		return nil
	}
	l, err := e.Log(feedtest.Rendition)
	if err != nil {
		n.t.Fatal(err)
	}
	return l
}

// size returns how far n is with the rendition.
func (n *node) size() uint64 {
	if l := n.media(); l != nil {
		return l.Head().Size
	}
	return 0
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantFlow checks that n is at most so many blocks behind the streamer, and says that all is well.
func wantFlow(t *testing.T, src *node, behind uint64, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		st := n.swarm.Status()
		if n.size()+behind < src.size() || st.State != Flowing || st.Reason != "" {
			t.Errorf("%s: has %d of %d blocks, is %v %q; want flowing, at most %d behind", n.name, n.size(), src.size(), st.State, st.Reason, behind)
		}
	}
}

// wantReason checks what n says of itself: one of the reasons.
func wantReason(t *testing.T, n *node, state State, reasons ...string) {
	t.Helper()
	st := n.swarm.Status()
	if st.State != state || !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(st.Reason, r) }) {
		t.Errorf("%s is %v, %q; want %v, %q", n.name, st.State, st.Reason, state, reasons)
	}
}

// wantWhole checks that n holds every block of its log from where it joined, but for so many. What may be on its way does not count: stripes
// do not arrive in step.
func wantWhole(t *testing.T, n *node, less int) {
	t.Helper()
	l := n.media()
	missing, end := 0, l.Head().Size-min(l.Head().Size, onTheWay)
	for _, r := range l.Missing(l.Base(), max(end, l.Base()), 100) {
		missing += int(r.To - r.From)
	}
	if missing > less {
		t.Errorf("%s misses %d blocks of [%d, %d), want at most %d", n.name, missing, l.Base(), end, less)
	}
}

// onTheWay is how many of the newest blocks may be on their way: those of 200 ms.
const onTheWay = blocksASecond / 5

// wantSame checks that what n holds of the rendition is what the streamer signed, byte by byte.
func wantSame(t *testing.T, src, n *node) {
	t.Helper()
	l, of := n.media(), src.media()
	compared := 0
	for i := l.Base(); i < l.Head().Size; i++ {
		if !l.Has(i) {
			continue
		}
		got, err := l.Block(i)
		want, err2 := of.Block(i)
		if err != nil || err2 != nil {
			continue // not in memory any more
		}
		compared++
		if !bytes.Equal(got.Payload, want.Payload) || got.Record != want.Record {
			t.Errorf("%s: block %d is not what was signed", n.name, i)
		}
	}
	if compared == 0 {
		t.Errorf("%s: no block to compare", n.name)
	}
}

func (n *node) String() string {
	st := n.swarm.Status()
	return fmt.Sprintf("%s: %v %q size %d blocks %+v lag %v/%v peers %+v", n.name, st.State, st.Reason, n.size(), st.Blocks, st.LagP50, st.LagP99, st.Peers)
}
