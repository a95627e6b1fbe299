package node

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// ChannelConfig says how a node takes part in a channel.
type ChannelConfig struct {
	Replica  *feed.Replica
	Anchors  []feed.Anchor // of the link; none for a streamer
	NoShare  bool
	MaxPeers int           // If zero, the swarm's own
	Up       uint64        // bits per second to all peers. If zero, no cap. SetUp changes it
	Copies   int           // streamers: how often each block is sent. If zero, the swarm's own
	Pinned   []feed.Anchor // streamers: relays of ours
	// Renditions are those to follow: names, BestRendition or LeastRendition. If empty, all. Choose and Want change it.
	Renditions []string
	Leave      time.Duration // how long peers are served at the end, while they look for others. If zero, the swarm's own
}

// A Channel is what a node has to do with one channel: the replica that it holds, its place in the swarm, and what it says of both.
type Channel struct {
	cfg   ChannelConfig
	host  *Host
	link  feed.Link
	watch *watch
	lag   prometheus.Histogram
	find  *discover

	audience audience
	choice   *choice
	leave    func() // undoes what join did

	metrics prometheus.Registerer

	accept func(context.Context) (*quicwire.Session, error)
	ingest func() []*Ingest // streamers: how the inputs do

	mu     sync.Mutex         // guards all below
	swarm  *swarm.Swarm       // the one that runs, or the next to run
	up     uint64             // its cap
	stop   context.CancelFunc // ends its Run; nil while it does not run
	gone   totals             // of those before
	paused string             // why nothing is followed and served; empty: it is
	turn   chan struct{}      // closed when paused changes
}

// Join takes part in a channel from Run on. Its metrics carry the channel's name. After Run, Close is due.
func (h *Host) Join(cfg ChannelConfig) (*Channel, error) {
	label := prometheus.Labels{"channel": ShortRoot(cfg.Replica.Root())}
	return h.join(cfg, prometheus.WrapRegistererWith(label, h.metrics))
}

// JoinAll takes part in channels that are all there is: a single one's metrics need no name.
func (h *Host) JoinAll(cfgs ...ChannelConfig) (channels []*Channel, err error) {
	join := h.Join
	if len(cfgs) == 1 {
		join = func(cfg ChannelConfig) (*Channel, error) { return h.join(cfg, h.metrics) }
	}
	for _, cfg := range cfgs {
		c, err := join(cfg)
		if err != nil {
			for _, c := range channels {
				c.Close()
			}
			return nil, err
		}
		channels = append(channels, c)
	}
	return channels, nil
}

// ShortRoot is how metrics and pages name a channel: long enough that nobody can make another one of that name.
func ShortRoot(root feed.PublicKey) string { return root.String()[:16] }

func (h *Host) join(cfg ChannelConfig, metrics prometheus.Registerer) (*Channel, error) {
	root := cfg.Replica.Root()
	link, err := h.link(root)
	if err != nil {
		return nil, err
	}
	accept, leave, ok := h.router.join(root)
	if !ok {
		return nil, errTwice(root)
	}
	c := &Channel{
		cfg: cfg, host: h, link: link, watch: &watch{now: time.Now}, lag: newLag(), find: h.newDiscover(cfg), accept: accept,
		up: cfg.Up, turn: make(chan struct{}), metrics: metrics,
	}
	c.choice = newChoice(cfg.Renditions, c.setRenditions)
	c.swarm = c.newSwarm()
	report := &statusCollector{c}
	c.leave = func() {
		leave()
		metrics.Unregister(c.lag)
		metrics.Unregister(report)
	}
	metrics.MustRegister(c.lag, report)
	return c, nil
}

// newSwarm makes the next swarm. The caller holds mu, or is the only one to know c.
func (c *Channel) newSwarm() *swarm.Swarm {
	return swarm.New(swarm.Config{
		Endpoint: c.host.endpoint, Accept: c.accept, Replica: c.cfg.Replica, Role: c.host.cfg.Role, Anchors: c.cfg.Anchors,
		Renditions: c.choice.current(), NoShare: c.cfg.NoShare, MaxPeers: c.cfg.MaxPeers, Up: c.up, Copies: c.cfg.Copies, Pinned: c.cfg.Pinned, Leave: c.cfg.Leave,
		Sources: c.find.sources, Looking: c.find.looking, Dialable: c.host.dialable, Known: c.find.cache.Uplink(),
		OnBlock: func(lag time.Duration) { c.lag.Observe(lag.Seconds()) }, Logger: c.host.cfg.Logger,
	})
}

// Root names the channel.
func (c *Channel) Root() feed.PublicKey { return c.cfg.Replica.Root() }

// Link is the channel's, with this node to begin at.
func (c *Channel) Link() feed.Link { return c.link }

// Register adds collectors to /metrics, with the channel's name if there are others.
func (c *Channel) Register(list ...prometheus.Collector) {
	for _, m := range list {
		c.metrics.MustRegister(m)
	}
}

// Begins reports whether there is anybody to begin with: the link names somebody, or others are looked for.
func (c *Channel) Begins() bool { return len(c.cfg.Anchors) > 0 || c.find.looking != "" }

// Face is what the HTTP server shows of the channel; page answers what is not the node's.
func (c *Channel) Face(page http.Handler) Face {
	face := Face{
		Status: func() any { return c.Status() }, Link: func() string { return c.link.String() }, LAN: c.lanAddress, Page: page,
		Ready: func() (bool, string) {
			s := c.Status()
			return s.State == StateLive, s.Reason
		},
	}
	if !c.choice.all() {
		face.Choose, face.Token = c.Choose, c.host.token
	}
	return face
}

// lanAddress is the first address for the home network; empty if the page is not open to it.
func (c *Channel) lanAddress() string {
	for _, url := range c.host.LAN() {
		return url
	}
	return ""
}

// Ingest lets the status tell how the inputs do, best rendition first; call it before Run.
func (c *Channel) Ingest(status func() []*Ingest) { c.ingest = status }

// Close takes the channel away from the Host, when Run has ended or if it never began. The replica is the caller's to close.
func (c *Channel) Close() { c.leave() }

// Run follows and serves the channel until ctx ends.
func (c *Channel) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.observe(ctx) })
	group.Go(func() error { return c.follow(ctx) })
	group.Go(func() error { return c.find.remember(ctx, c.learned) })
	return ignoreEnd(group.Wait())
}

// observe looks at the newest record once a second; a streamer also counts who watches, whether somebody asks or not.
func (c *Channel) observe(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		c.choice.expire()
		if c.watch.look(c.rendition()); c.host.cfg.Role == Streamer {
			c.Status()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow runs a swarm whenever the channel is not paused.
func (c *Channel) follow(ctx context.Context) error {
	for {
		running, s, err := c.begin(ctx)
		if err != nil {
			return err
		}
		err = s.Run(running)
		c.end(s, err == nil && ctx.Err() == nil)
		if err != nil {
			return err
		}
	}
}

// begin waits until the channel is not paused. It returns the swarm to run, and how long.
func (c *Channel) begin(ctx context.Context) (context.Context, *swarm.Swarm, error) {
	for ctx.Err() == nil {
		c.mu.Lock()
		paused, turn := c.paused, c.turn
		if paused == "" {
			defer c.mu.Unlock()
			running, stop := context.WithCancel(ctx)
			c.stop = stop
			return running, c.swarm, nil
		}
		c.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
		}
	}
	return nil, nil, ctx.Err()
}

// end keeps what a swarm that has ended counted, and makes the next one if there is to be one.
func (c *Channel) end(s *swarm.Swarm, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop()
	c.stop = nil
	if more {
		c.gone.add(s.Status())
		c.swarm = c.newSwarm()
	}
}

// Pause says goodbye to all peers, and stays away from the channel until Resume. reason is what the status says.
func (c *Channel) Pause(reason string) { c.setPaused(cmp.Or(reason, "paused")) }

// Resume takes part in the channel again.
func (c *Channel) Resume() { c.setPaused("") }

func (c *Channel) setPaused(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason == c.paused {
		return
	}
	c.paused = reason
	close(c.turn)
	c.turn = make(chan struct{})
	if reason != "" && c.stop != nil {
		c.stop()
	}
}

// setRenditions tells the swarm what to follow.
func (c *Channel) setRenditions(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swarm.Follow(names)
}

// SetUp caps what is sent to all peers of the channel, in bits per second on the wire; 0 is no cap.
func (c *Channel) SetUp(bitsPerSecond uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = bitsPerSecond
	c.swarm.SetUp(bitsPerSecond)
}

// Superseded tells a streamer whether a higher epoch of its channel has turned out to be live.
func (c *Channel) Superseded() bool { return c.now().Superseded != nil }

// now is what the swarm says, with the totals of those before it.
func (c *Channel) now() swarm.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.swarm.Status()
	sum := c.gone
	sum.add(s)
	sum.into(&s)
	return s
}

// learned is what the next run should know. What a capped uplink carries is our own doing.
func (c *Channel) learned() swarm.Status {
	s := c.now()
	if up, _ := c.limits(); up > 0 {
		s.Measured = 0
	}
	return s
}

// limits returns what SetUp said, and why the channel is paused.
func (c *Channel) limits() (up uint64, paused string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up, c.paused
}

// totals are what adds up when one swarm follows the other.
type totals struct {
	sent, received         quicwire.Bytes
	wireSent, wireReceived uint64
	blocks                 swarm.Blocks
}

func (t *totals) add(s swarm.Status) {
	addBytes(&t.sent, s.Sent)
	addBytes(&t.received, s.Received)
	t.wireSent += s.WireSent
	t.wireReceived += s.WireReceived
	t.blocks.Verified += s.Blocks.Verified
	t.blocks.Rejected += s.Blocks.Rejected
	t.blocks.Missed += s.Blocks.Missed
	t.blocks.Duplicate += s.Blocks.Duplicate
	t.blocks.Repaired += s.Blocks.Repaired
	t.blocks.ByOthers += s.Blocks.ByOthers
}

func (t *totals) into(s *swarm.Status) {
	s.Sent, s.Received, s.WireSent, s.WireReceived, s.Blocks = t.sent, t.received, t.wireSent, t.wireReceived, t.blocks
}

func addBytes(sum *quicwire.Bytes, b quicwire.Bytes) {
	sum.Media += b.Media
	sum.Proofs += b.Proofs
	sum.Control += b.Control
	sum.Repair += b.Repair
}
