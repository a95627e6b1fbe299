package swarm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/internal/netsim"
	"tailcast/quicwire"
)

// A stream is what a source signs: blocks of one size, evenly, a segment a second.
type stream struct {
	rate    int // bits of payload per second
	block   int // bytes of payload
	stripes int
}

// gap returns the time from one block to the next.
func (s stream) gap() time.Duration {
	return time.Duration(float64(8*s.block) / float64(s.rate) * float64(time.Second))
}

// television is what docs/swarm.md has for it.
var television = stream{4_000_000, 8 << 10, 16}

// half returns a stream of half the rate and stripes.
func half(s stream) stream { return stream{s.rate / 2, s.block, s.stripes / 2} }

// A crowd is a source and its viewers, real nodes on a network where round trips are 20 to 120 ms. Viewers know nothing but the address of
// the source.
type crowd struct {
	*world
	cfg     crowdConfig
	random  *rand.Rand
	source  *node
	host    place // of source
	viewers []*watching
	clock   *ticket
	gate    gate // of all nodes
	guard   guard
}

// A crowdConfig says who takes part.
type crowdConfig struct {
	stream  stream
	source  Config    // of the source
	uplink  int       // of the source, bits per second. If zero, 1 Gbit/s
	mix     []float64 // uplinks of viewers in streams, one after the other and again; 0: shares nothing
	guess   bool      // viewers do not know their uplinks from an earlier run
	viewers Config    // of all viewers
	loss    float64
	seed    uint64
}

// tightMix has uplinks of 2 streams on average: half of the viewers have less than they take. It is swarm/simulate's Std.
var tightMix = []float64{2, .5, 2, .5, 10, .5, 2, 0, 2, .5}

// gather runs f in virtual time with a source that is on the air.
func gather(t *testing.T, cfg crowdConfig, f func(t *testing.T, c *crowd)) {
	t.Helper()
	simulate(t, func(t *testing.T, w *world) {
		w.net = netsim.New(t, netsim.Config{Latency: 10 * time.Millisecond, Spread: 50 * time.Millisecond, Loss: cfg.loss, Seed: cfg.seed})
		c := &crowd{world: w, cfg: cfg, random: rand.New(rand.NewPCG(cfg.seed, 9)), clock: new(ticket)}
		c.guard.crowd = c
		c.host = w.place(netsim.Link{Up: cfg.uplink, X: c.random.Float64(), Y: c.random.Float64()})
		c.begin()
		f(t, c)
	})
}

// begin starts the source.
func (c *crowd) begin() {
	c.t.Helper()
	replica, err := feed.Open(c.station.Root(), feed.Config{})
	if err != nil {
		c.t.Fatal(err)
	}
	writer, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: c.station})
	if err != nil {
		c.t.Fatal(err)
	}
	s := c.cfg.stream
	state := feed.State{Title: "Test", Renditions: []feed.Rendition{{Name: feedtest.Rendition, Stripes: s.stripes, Bitrate: int64(s.rate)}}}
	if err := writer.SetState(state); err != nil {
		c.t.Fatal(err)
	}
	log, err := writer.Log(feedtest.Rendition)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg := c.cfg.source
	cfg.Role, cfg.Now = quicwire.Streamer, c.gate.now
	c.source = start(c.t, "source", c.host, replica, cfg)
	c.source.also(func(ctx context.Context) { writer.Run(ctx) })
	c.source.also(func(ctx context.Context) { c.air(ctx, log) })
}

// air signs blocks until ctx ends.
func (c *crowd) air(ctx context.Context, log *feed.LogWriter) {
	tick := time.NewTicker(c.cfg.stream.gap())
	defer tick.Stop()
	var segment time.Time
	for i := uint64(0); ; i++ {
		var flags feed.Flags
		if now := time.Now(); now.Sub(segment) >= time.Second {
			segment, flags = now, feed.SegmentFirst|feed.RandomAccess
		}
		c.clock.stamp()
		if _, err := log.Append(feed.Entry{Kind: feed.Media, Flags: flags, Payload: feedtest.Payload(i, c.cfg.stream.block)}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// join lets n viewers come, spread over some time.
func (c *crowd) join(n int, over time.Duration) {
	c.t.Helper()
	for range n {
		times, rate := c.cfg.mix[len(c.viewers)%len(c.cfg.mix)], float64(c.cfg.stream.rate)
		link := netsim.Link{Up: int(max(times, 0.25) * rate), Down: int(4 * rate), X: c.random.Float64(), Y: c.random.Float64()}
		cfg := c.cfg.viewers
		cfg.NoShare = cfg.NoShare || times == 0
		if !c.cfg.guess && times > 0 {
			cfg.Known = uint64(link.Up)
		}
		c.watch(fmt.Sprint("viewer ", len(c.viewers)), link, cfg)
		pass(over / time.Duration(n))
	}
}

// A ticket remembers when which block was signed.
type ticket struct {
	mu     sync.Mutex // guards signed
	signed []time.Time
}

func (k *ticket) stamp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signed = append(k.signed, time.Now())
}

// between returns the indices of the blocks that were signed from one time up to another.
func (k *ticket) between(from, to time.Time) (first, end int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	search := func(at time.Time) int {
		i, _ := slices.BinarySearchFunc(k.signed, at, time.Time.Compare)
		return i
	}
	return search(from), search(to)
}

// A watching is a viewer, and when which block was there.
type watching struct {
	*node
	host   place
	uplink int // bits per second
	joined time.Time

	mu sync.Mutex // guards at
	at []time.Time
}

// watch starts a viewer.
func (c *crowd) watch(name string, link netsim.Link, cfg Config) *watching {
	c.t.Helper()
	v := &watching{host: c.place(link), uplink: link.Up, joined: time.Now()}
	cfg.Now = c.gate.now
	v.node = c.viewer(name, v.host, cfg, c.host)
	v.also(v.run)
	c.viewers = append(c.viewers, v)
	return v
}

// run notes when blocks are there.
func (v *watching) run(ctx context.Context) {
	var missing []uint64
	for next := uint64(0); ; {
		changed := v.replica.Changed()
		if l := v.media(); l != nil {
			for next = max(next, l.Base()); next < l.Head().Size; next++ {
				missing = append(missing, next)
			}
			missing = slices.DeleteFunc(missing, func(i uint64) bool { return l.Has(i) && v.came(i) })
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// came notes that a block is there now.
func (v *watching) came(i uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if more := int(i) + 1 - len(v.at); more > 0 {
		v.at = append(v.at, make([]time.Time, more)...)
	}
	v.at[i] = time.Now()
	return true
}

// lag returns how long after a time block i was there; never if it is not.
func (v *watching) lag(i int, signed time.Time) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if i >= len(v.at) || v.at[i].IsZero() {
		return never
	}
	return v.at[i].Sub(signed)
}

const never = time.Hour

// figures are what a crowd did in a while.
type figures struct {
	Egress   float64         // bytes on the wire that the source sent, for one of payload
	Lags     []time.Duration // of all blocks at all viewers, ascending
	Received float64         // bytes of blocks that the viewer with most of them received, for one of payload
}

// Lag returns a quantile of the lags.
func (f *figures) Lag(q float64) time.Duration {
	if len(f.Lags) == 0 {
		return never
	}
	return f.Lags[min(len(f.Lags)-1, int(q*float64(len(f.Lags))))]
}

// Missed counts the blocks that were not there so long after they were signed.
func (f *figures) Missed(after time.Duration) int {
	i, _ := slices.BinarySearch(f.Lags, after+1)
	return len(f.Lags) - i
}

func (f *figures) String() string {
	ms := time.Millisecond
	return fmt.Sprintf("egress %.2f, lag p50 %v p99 %v, missed after 1 s %d, after 2 s %d of %d, receipts at most %.3f",
		f.Egress, f.Lag(0.5).Round(ms), f.Lag(0.99).Round(ms), f.Missed(time.Second), f.Missed(2*time.Second), len(f.Lags), f.Received)
}

// settle lets so much time pass after which everybody should have parents.
func (c *crowd) settle(d time.Duration) {
	c.pass(d)
	c.guard.settled = true
}

// measure measures for so long; what was signed in that time has two seconds more to arrive.
func (c *crowd) measure(d time.Duration) *figures {
	from, sent, received := time.Now(), c.host.Sent().Bytes, c.received()
	c.pass(d)
	to, sent, now := time.Now(), c.host.Sent().Bytes-sent, c.received()
	c.pass(2*time.Second + time.Millisecond)
	first, end := c.clock.between(from, to)
	payload := float64((end - first) * c.cfg.stream.block)
	f := &figures{Egress: float64(sent) / payload}
	for k, v := range c.viewers {
		f.Received = max(f.Received, float64(now[k]-received[k])/payload)
		for i := first; i < end; i++ {
			f.Lags = append(f.Lags, v.lag(i, c.clock.signed[i]))
		}
	}
	slices.Sort(f.Lags)
	return f
}

// received returns what each viewer has received of blocks so far: payloads, and all of repairs.
func (c *crowd) received() (list []uint64) {
	for _, v := range c.viewers {
		r := v.swarm.Status().Received
		list = append(list, r.Media+r.Repair)
	}
	return list
}

// pass lets time pass, and looks at the invariants meanwhile.
func (c *crowd) pass(d time.Duration) {
	const every = 100 * time.Millisecond
	for end := time.Now().Add(d); time.Now().Before(end); {
		pass(min(every, time.Until(end)))
		c.guard.look()
	}
}
