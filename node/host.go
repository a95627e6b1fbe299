package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/quicwire"
)

// HostConfig is what a Host works with.
type HostConfig struct {
	Role        Role
	Flags       *Flags
	Key         ed25519.PrivateKey // If nil, a new one for this start
	MaxSessions int                // of all channels. If zero, 256
	LAN         string             // if not empty, --http is open to the local network, for requests whose path begins with this secret
	Logger      *slog.Logger

	inside bool // another Host of this process shows its channels: it has no HTTP server
}

// A Host is the place in the network that the channels of one process share: one UDP socket, one node key, one HTTP server. Streamers and
// viewers have one channel (Node), a relay many.
type Host struct {
	cfg      HostConfig
	started  time.Time
	endpoint *quicwire.Endpoint
	router   *router
	page     net.Listener // nil: it is inside another one
	metrics  *prometheus.Registry
	token    string          // who shows it may change something by HTTP
	inner    *feed.PublicKey // the node inside this one, if there is one; set before Run
}

// NewHost opens the sockets. Run or Close closes them.
func NewHost(cfg HostConfig) (*Host, error) {
	f := cfg.Flags
	udp, err := ListenUDP(cfg.Logger, f.Listen, f.Explicit("listen"))
	if err != nil {
		return nil, err
	}
	endpoint, err := quicwire.New(quicwire.Config{Conn: udp, Key: cfg.Key, MaxSessions: cfg.MaxSessions, Logger: cfg.Logger})
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	h := &Host{
		cfg: cfg, started: time.Now(), endpoint: endpoint, router: newRouter(endpoint.Accept), metrics: prometheus.NewRegistry(), token: rand.Text(),
	}
	if cfg.inside {
		return h, nil
	}
	if h.page, err = cfg.listen(); err != nil {
		return nil, errors.Join(err, endpoint.Close())
	}
	h.Register(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return h, nil
}

// listen opens the HTTP server's listener.
func (cfg *HostConfig) listen() (net.Listener, error) {
	addr := cfg.Flags.HTTP
	if cfg.LAN != "" {
		addr = everywhere(addr)
	}
	return ListenTCP(cfg.Logger, "--http", addr, cfg.Flags.Explicit("http"))
}

// Close closes the sockets of a Host that is not run.
func (h *Host) Close() error {
	err := h.endpoint.Close()
	if h.page != nil {
		err = errors.Join(err, h.page.Close())
	}
	return err
}

// Node is the key by which other nodes know this one.
func (h *Host) Node() feed.PublicKey { return h.endpoint.Node() }

// Addrs are those that other nodes can dial, as far as this machine knows.
func (h *Host) Addrs() []string { return Reachable(h.endpoint.Addr()) }

// Anchors name this node in links, a relay with its key: others have no business to answer for it.
func (h *Host) Anchors() (anchors []feed.Anchor, err error) {
	for _, addr := range h.advertised() {
		a, err := feed.ParseAnchor(addr)
		if err != nil {
			return nil, Usagef("--advertise %s: %v", addr, err)
		}
		if h.cfg.Role == Relay {
			key := h.Node()
			a.Node = &key
		}
		anchors = append(anchors, a)
	}
	return anchors, nil
}

// advertised are the addresses to put into links.
func (h *Host) advertised() []string {
	if list := h.cfg.Flags.Advertise; len(list) > 0 {
		return list
	}
	return h.Addrs()
}

// link names this node as an anchor: whoever is given the link can begin here.
func (h *Host) link(root feed.PublicKey) (feed.Link, error) {
	anchors, err := h.Anchors()
	if err != nil {
		return feed.Link{}, err
	}
	link := feed.Link{Root: root, Anchors: anchors}
	if _, err := feed.ParseLink(link.String()); err != nil {
		return link, Usagef("--advertise: %v", err)
	}
	return link, nil
}

// URL is where the page is.
func (h *Host) URL() string {
	addr := h.page.Addr().String()
	if host, port, err := net.SplitHostPort(addr); err == nil && (host == "::" || host == "0.0.0.0") {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + addr
}

// LAN lists the URLs under which others on the local network have the page; none if it is not open to them.
func (h *Host) LAN() (urls []string) {
	if h.cfg.LAN == "" {
		return nil
	}
	tcp, ok := h.page.Addr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	for _, addr := range Reachable(tcp.AddrPort()) {
		if ip := netip.MustParseAddrPort(addr).Addr(); !ip.IsLoopback() {
			urls = append(urls, "http://"+addr+"/"+h.cfg.LAN+"/")
		}
	}
	return urls
}

// Uptime is how long ago the Host was made.
func (h *Host) Uptime() time.Duration { return time.Since(h.started) }

// Register adds collectors to /metrics.
func (h *Host) Register(c ...prometheus.Collector) { h.metrics.MustRegister(c...) }

// Run answers at its sockets until work has ended, which runs the channels and is to end when its context does. Peers are still let in
// while work ends. It returns an error that ends the command, or nil.
func (h *Host) Run(ctx context.Context, face Face, work func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	routing, stop := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return ignoreEnd(h.router.run(routing)) })
	if h.page != nil {
		group.Go(func() error { return Serve(ctx, h.page, gate(h.cfg.LAN, Handler(face, h.metrics)), h.cfg.Logger) })
	}
	group.Go(func() error {
		defer stop()
		defer cancel()
		return work(ctx)
	})
	err := group.Wait()
	return errors.Join(ignoreEnd(err), h.endpoint.Close())
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// errTwice says that a channel is here already.
func errTwice(root feed.PublicKey) error { return fmt.Errorf("channel %s is here already", root) }

// A Face is what the HTTP server of a node shows.
type Face struct {
	Status func() any                      // the answer of /api/v1/status
	Link   func() string                   // what /api/v1/link.svg shows as a QR code; nil: nothing
	LAN    func() string                   // likewise /api/v1/lan.svg
	Ready  func() (ok bool, reason string) // of /readyz
	Page   http.Handler                    // of everything that is not the node's

	Choose func(rendition string) error // POST /api/v1/rendition; nil: there is nothing to choose
	Token  string                       // what a POST must show

	Channels map[string]Face // what is below /c/<id>/; their own Channels do not count
}
