package swarm

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"tailcast/discovery"
	"tailcast/feed"
	"tailcast/quicwire"
)

// A Config says what a Swarm works with.
type Config struct {
	Endpoint *quicwire.Endpoint
	Replica  *feed.Replica
	Role     quicwire.Role // If zero, quicwire.Viewer

	Anchors    []feed.Anchor // of the link: whom to follow, best first if nothing else tells them apart. A streamer has none
	Renditions []string      // which to follow: names, Best or Least. If empty, all. Swarm.Follow changes it
	NoShare    bool          // serve nobody
	MaxPeers   int           // sessions at a time, about. If zero, 96 for a streamer, 1000 for a relay and 64 for others

	// Up caps what is sent to peers: bits per second on the wire, headers, proofs, control and repair included. If zero, there is no cap,
	// and the uplink is estimated. SetUp changes it.
	Up     uint64
	Known  uint64        // what Status.Measured said when this node last ran on this network. If zero, a guess
	Copies int           // streamer: how often it sends each block: 1 or 2. If zero, 2
	Pinned []feed.Anchor // streamer: relays of ours. It dials them, and keeps one place a stripe for them

	// Dialable tells whether an address may be dialled that a peer has named; by is where we see that peer. It may be any node of the
	// channel, and who makes many nodes dial a victim should not find it easy. If nil, any address. Must not block.
	Dialable func(addr netip.AddrPort, by netip.Addr) bool

	Sources []discovery.Source // where to look for peers besides the link and other peers. Run until Run ends
	Looking string             // where that is, as Status.Reason says it while nobody is known. If empty, nowhere
	Leave   time.Duration      // how long peers are served when Run ends, while they look for others. If zero, 500 ms

	// Accept brings inbound sessions of the Replica's channel. If nil, Endpoint.Accept: the Swarm is then the only one at its Endpoint.
	Accept func(context.Context) (*quicwire.Session, error)

	// OnBlock is told how long after the wall clock of its record a block was verified: for every block of a rendition that a peer pushed to
	// us, but for those with which we catch up when we join. Called from one goroutine; must not block. May be nil.
	OnBlock func(lag time.Duration)

	Logger *slog.Logger     // If nil, slog.Default()
	Now    func() time.Time // If nil, time.Now. For what is compared with other clocks; delays follow the runtime's clock
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.Role == 0 {
		c.Role = quicwire.Viewer
	}
	if c.Leave == 0 {
		c.Leave = 500 * time.Millisecond
	}
	if c.Accept == nil {
		c.Accept = c.Endpoint.Accept
	}
	if c.OnBlock == nil {
		c.OnBlock = func(time.Duration) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}
