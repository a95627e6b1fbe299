package node

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// Role is what a node is for; other nodes and the status show it.
type Role = quicwire.Role

// The roles of our commands.
const (
	Streamer = quicwire.Streamer
	Viewer   = quicwire.Viewer
)

// Config is what a command hands over to become a node.
type Config struct {
	Role    Role
	Flags   *Flags
	Replica *feed.Replica
	Anchors []feed.Anchor      // of the link; none for a streamer
	Key     ed25519.PrivateKey // If nil, a new one for this start.
	NoShare bool
	Logger  *slog.Logger
}

// Node is one node of a channel: its socket, its place in the swarm, and the HTTP server that tells about it.
type Node struct {
	cfg      Config
	started  time.Time
	endpoint *quicwire.Endpoint
	swarm    *swarm.Swarm
	page     net.Listener
	link     feed.Link
	metrics  *prometheus.Registry
	lag      prometheus.Histogram
	watch    *watch
	discover *discover

	ingest func() *Ingest // streamers: how the input does
}

// New opens the sockets. Run closes them.
func New(cfg Config) (*Node, error) {
	f := cfg.Flags
	udp, err := ListenUDP(cfg.Logger, f.Listen, f.Explicit("listen"))
	if err != nil {
		return nil, err
	}
	page, err := ListenTCP(cfg.Logger, "--http", f.HTTP, f.Explicit("http"))
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	endpoint, err := quicwire.New(quicwire.Config{Conn: udp, Key: cfg.Key, Logger: cfg.Logger})
	if err != nil {
		return nil, errors.Join(err, udp.Close(), page.Close())
	}
	n := &Node{cfg: cfg, started: time.Now(), endpoint: endpoint, page: page, watch: &watch{now: time.Now}, discover: newDiscover(cfg, endpoint)}
	n.registerMetrics()
	n.swarm = swarm.New(swarm.Config{
		Endpoint: endpoint, Replica: cfg.Replica, Role: cfg.Role, Anchors: cfg.Anchors, NoShare: cfg.NoShare, Logger: cfg.Logger,
		OnBlock: func(lag time.Duration) { n.lag.Observe(lag.Seconds()) },
		Sources: n.discover.sources, Known: n.discover.cache.Uplink(),
	})
	n.link, err = n.makeLink()
	if err != nil {
		return nil, errors.Join(err, endpoint.Close(), page.Close())
	}
	return n, nil
}

// makeLink names this node as an anchor: whoever is given the link can begin here.
func (n *Node) makeLink() (feed.Link, error) {
	addrs := n.cfg.Flags.Advertise
	if len(addrs) == 0 {
		addrs = Reachable(n.endpoint.Addr())
	}
	link := feed.Link{Root: n.cfg.Replica.Root()}
	for _, a := range addrs {
		link.Anchors = append(link.Anchors, feed.Anchor{Addr: a})
	}
	if _, err := feed.ParseLink(link.String()); err != nil {
		return link, Usagef("--advertise: %v", err)
	}
	return link, nil
}

// Ready says that the node is up; more is what the command itself wants to say.
func (n *Node) Ready(more Ready) Ready {
	more.Role, more.Link, more.HTTP = n.cfg.Role.String(), n.link.String(), n.URL()
	more.Listen = Reachable(n.endpoint.Addr())
	return more
}

// URL is where the page is.
func (n *Node) URL() string {
	addr := n.page.Addr().String()
	if host, port, err := net.SplitHostPort(addr); err == nil && (host == "::" || host == "0.0.0.0") {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + addr
}

// Ingest lets the status tell how the input does; call it before Run.
func (n *Node) Ingest(status func() *Ingest) { n.ingest = status }

// Register adds collectors to /metrics.
func (n *Node) Register(c ...prometheus.Collector) { n.metrics.MustRegister(c...) }

// Run serves until ctx ends; page answers what the node does not. It returns an error that ends the command, or ctx's.
func (n *Node) Run(ctx context.Context, page http.Handler) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.swarm.Run(ctx) })
	group.Go(func() error { return n.observe(ctx) })
	group.Go(func() error { return n.discover.remember(ctx, n.swarm.Status) })
	group.Go(func() error { return Serve(ctx, n.page, Handler(n.Status, n.metrics, page), n.cfg.Logger) })
	err := group.Wait()
	return errors.Join(ignoreEnd(err), n.endpoint.Close())
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// observe looks at the newest record once a second.
func (n *Node) observe(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		n.watch.look(n.rendition())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Superseded tells a streamer whether a higher epoch of its channel has turned out to be live.
func (n *Node) Superseded() bool { return n.swarm.Status().Superseded != nil }

// shown is the epoch that this node shows: of a streamer its own, else the newest that says what it consists of. A note alone is nothing to see
// yet. Nil if there is none.
func (n *Node) shown() *feed.Epoch {
	if n.cfg.Role == Streamer {
		if e := n.cfg.Replica.Epoch(n.swarm.Status().Epoch.ID); e != nil && hasState(e) {
			return e
		}
		return nil
	}
	for _, e := range n.cfg.Replica.Epochs() {
		if hasState(e) {
			return e
		}
	}
	return nil
}

func hasState(e *feed.Epoch) bool {
	_, ok := e.State()
	return ok
}

// rendition is the log that this node watches: the first one of the newest STATE. Nil if there is none yet.
func (n *Node) rendition() *feed.Log {
	e := n.shown()
	if e == nil {
		return nil
	}
	state, _ := e.State()
	log, err := e.Log(state.Renditions[0].Name)
	if err != nil {
		return nil
	}
	return log
}

// Status tells how the node does, now.
func (n *Node) Status() Status {
	sw := n.swarm.Status()
	n.watch.look(n.rendition())
	s := Status{
		Role: n.cfg.Role.String(), Link: n.link.String(), Uptime: time.Since(n.started).Seconds(),
		Lag:   Lag{P50: sw.LagP50.Seconds(), P99: sw.LagP99.Seconds()},
		Peers: peers(sw.Peers),
		Bytes: Bytes{Sent: traffic(sw.Sent), Received: traffic(sw.Received)},
		Blocks: Blocks{
			Verified: sw.Blocks.Verified, Rejected: sw.Blocks.Rejected, Missed: sw.Blocks.Missed,
			Duplicate: sw.Blocks.Duplicate, Repaired: sw.Blocks.Repaired,
		},
	}
	n.describe(&s)
	s.State, s.Reason = n.watch.verdict(sw.Clocks, sw.Ahead)
	if s.State != StateLive && s.State != StateEnded && sw.Reason != "" {
		s.Reason = sw.Reason
	}
	s.condemn(n.cfg.Replica)
	if h := n.cfg.Replica.Stored(); !h.From.IsZero() { // there is more than a catalog
		s.History = &Stored{From: h.From.UTC(), Bytes: h.Bytes, Short: h.Short}
	}
	if err := n.cfg.Replica.DiskError(); err != nil {
		s.DiskError = err.Error()
	}
	if n.ingest != nil {
		s.Ingest = n.ingest()
		if s.State == StateWaiting || s.State == StateStarting {
			s.Reason = "waiting for media from " + cmp.Or(s.Ingest.Input, "an encoder")
		}
	}
	n.warnOfNote(&s)
	return s
}

// warnOfNote fills in when the channel note ends, and for who can do something about it a warning.
func (n *Node) warnOfNote(s *Status) {
	e := n.cfg.Replica.Current()
	if e == nil {
		return
	}
	expires := e.Channel().NotAfter
	s.NoteExpires = &expires
	if n.cfg.Role == Streamer {
		s.Reason += noteWarning(time.Until(expires))
	}
}

// noteWarning is what a broadcaster should hear besides, while the channel note is about to end.
func noteWarning(left time.Duration) string {
	if left > feed.NoteWarning || left < 0 { // what has expired is the reason itself
		return ""
	}
	return fmt.Sprintf("; the channel note ends in %d days: renew it with the root key (streamer key renew)", int(left/(24*time.Hour)))
}

// describe fills in what the newest epoch says of itself.
func (n *Node) describe(s *Status) {
	s.Renditions = []Rendition{}
	e := n.shown()
	if e == nil {
		return
	}
	state, _ := e.State()
	s.Title = state.Title
	for _, r := range state.Renditions {
		log, err := e.Log(r.Name)
		if err != nil {
			continue
		}
		s.Renditions = append(s.Renditions, Rendition{
			Name: r.Name, Epoch: e.ID().String(), Head: log.Head().Size, Base: log.Base(), Bitrate: r.Bitrate, Codecs: r.Codecs,
		})
		if n.cfg.Role == Streamer {
			s.Bytes.Appended += appended(log)
		}
	}
}

// appended is the payload of all records of log.
func appended(log *feed.Log) uint64 {
	size := log.Head().Size
	if size == 0 {
		return 0
	}
	b, err := log.Block(size - 1)
	if err != nil {
		return 0
	}
	return b.Record.Offset + uint64(b.Record.Length)
}

func peers(list []swarm.Peer) []Peer {
	out := make([]Peer, 0, len(list))
	for _, p := range list {
		out = append(out, Peer{
			ID: p.ID, Addr: p.Addr, Role: p.Role.String(), RTT: float64(p.RTT.Microseconds()) / 1000,
			Up: p.Up, Down: p.Down, Lag: lagSeconds(p.Lag), Stripes: p.Stripes,
		})
	}
	return out
}

// lagSeconds is null for a peer with which nothing flows.
func lagSeconds(lag time.Duration) *float64 {
	if lag >= quicwire.NoLag {
		return nil
	}
	s := lag.Seconds()
	return &s
}

func traffic(b quicwire.Bytes) Traffic {
	return Traffic{Media: b.Media, Proofs: b.Proofs, Control: b.Control, Repair: b.Repair}
}

// tailBytes is what a node keeps of each log in memory: 20 s at 6 Mbit/s. What is older comes from disk.
const tailBytes = 16 << 20

// OpenReplica opens what the node keeps of the channel in dir; in memory if dir is empty. Without history no blocks are kept on disk,
// only what guards against going back to an older epoch.
func OpenReplica(root feed.PublicKey, dir string, h History, log *slog.Logger) (*feed.Replica, error) {
	r, err := feed.Open(root, feed.Config{Dir: dir, NoHistory: !h.Keep, Retention: h.Window, Logger: log, TailBytes: tailBytes})
	return r, DataError(err)
}

// DataError is Configuration, and for a directory that is in use names the flag that helps.
func DataError(err error) error {
	if errors.Is(err, feed.ErrLocked) {
		err = fmt.Errorf("%w: see --data", err)
	}
	return Configuration(err)
}

// LinkArgument reads the LINK of a command line.
func LinkArgument(args []string) (feed.Link, error) {
	switch {
	case len(args) == 0:
		return feed.Link{}, Usagef("which channel? name its LINK: tailcast:…")
	case len(args) > 1:
		return feed.Link{}, Usagef("%d LINKs: want one; quote it if it holds an &", len(args))
	}
	link, err := feed.ParseLink(strings.TrimSpace(args[0]))
	if err != nil {
		return feed.Link{}, Usagef("%v", err)
	}
	return link, nil
}

// Announce prints the facts on stdout.
func (f *Flags) Announce(r Ready) error { return r.Print(os.Stdout, f.JSON) }

// Close closes the sockets of a Node that is not run.
func (n *Node) Close() error { return errors.Join(n.endpoint.Close(), n.page.Close()) }
