// Package netsim is a network for tests: real quic-go endpoints exchange packets in virtual time, so that a minute of streaming
// takes milliseconds and every run sees the same delays. Call it inside a testing/synctest bubble:
//
//	synctest.Test(t, func(t *testing.T) {
//		n := netsim.New(t, netsim.Config{Latency: 25 * time.Millisecond, Loss: 0.01})
//		a, b := n.Host(netsim.Link{}), n.Host(netsim.Link{Up: 16_000_000})
//		// quicwire.New(quicwire.Config{Conn: a}), ...: close them before the bubble ends
//	})
//
// Links come from simnet: rate limits with FQ-CoDel queues, which are kinder than most routers, and a delay for each packet. Loss, outages,
// distances and counters are ours. A Link's rate is that of UDP payloads; counters have the headers before them, too. What it cannot show:
// GSO, ECN and batched system calls (a Host is no UDP socket), CPU limits, full queues.
package netsim

import (
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/marcopolo/simnet"
)

// A Config says how the network is. The zero value has no delay and no loss.
type Config struct {
	Latency time.Duration // one way, between neighbours
	Spread  time.Duration // what the way from one corner of the map to the opposite one adds
	Loss    float64       // share of packets that vanish, 0 to 1
	Seed    uint64        // of the loss
}

// A Link says what one host can carry, in bits per second, and where it is.
type Link struct {
	Up   int     // If zero, 1 Gbit/s
	Down int     // If zero, 1 Gbit/s
	X, Y float64 // on the map, 0 to 1
}

const (
	fast  = 1_000_000_000
	flows = 4096 // queues of a link: so many that two connections seldom share one, which would be chance
)

// A Net is a network. Its methods may be called concurrently.
type Net struct {
	sim *simnet.Simnet
	cfg Config

	mu     sync.Mutex // guards all below
	loss   float64
	hosts  []*Host
	byAddr map[netip.Addr]*Host
}

// New returns a running network, which ends with the test, after all that the test has set up later.
func New(t testing.TB, cfg Config) *Net {
	n := &Net{
		sim: &simnet.Simnet{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))},
		cfg: cfg, loss: cfg.Loss, byAddr: make(map[netip.Addr]*Host),
	}
	n.sim.LatencyFunc = func(p *simnet.Packet) time.Duration { return n.latency(n.at(p.From), n.at(p.To)) }
	n.sim.Start()
	t.Cleanup(n.close)
	return n
}

func (n *Net) close() {
	n.mu.Lock()
	hosts := n.hosts
	n.mu.Unlock()
	for _, h := range hosts {
		h.Close()
	}
	n.sim.Close()
}

// Host returns the socket of a new host, port 4433 of a public IPv4 address in a /24 of its own.
func (n *Net) Host(link Link) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	index := len(n.hosts)
	addr := &net.UDPAddr{IP: simnet.IntToPublicIPv4(index << 8).To4(), Port: 4433}
	settings := simnet.NodeBiDiLinkSettings{
		Uplink:   simnet.LinkSettings{BitsPerSecond: orFast(link.Up), FlowBucketCount: flows},
		Downlink: simnet.LinkSettings{BitsPerSecond: orFast(link.Down), FlowBucketCount: flows},
	}
	h := newHost(n, n.sim.NewEndpoint(addr, settings), link, rand.New(rand.NewPCG(n.cfg.Seed, uint64(index)+1)))
	n.hosts = append(n.hosts, h)
	n.byAddr[h.AddrPort().Addr()] = h
	return h
}

// at returns the host of an address; nil if there is none.
func (n *Net) at(addr net.Addr) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byAddr[addr.(*net.UDPAddr).AddrPort().Addr().Unmap()]
}

// latency is how long a packet is under way between two hosts, links aside.
func (n *Net) latency(a, b *Host) time.Duration {
	if a == nil || b == nil {
		return n.cfg.Latency
	}
	return n.cfg.Latency + time.Duration(math.Hypot(a.link.X-b.link.X, a.link.Y-b.link.Y)/math.Sqrt2*float64(n.cfg.Spread))
}

// RTT returns the round trip between two hosts, links aside.
func (n *Net) RTT(a, b *Host) time.Duration { return 2 * n.latency(a, b) }

func orFast(rate int) int {
	if rate == 0 {
		return fast
	}
	return rate
}

// SetLoss changes the share of packets that vanish.
func (n *Net) SetLoss(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// lost draws whether a host's next packet vanishes: the same of its packets each time, whatever others do.
func (n *Net) lost(h *Host) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.loss > 0 && h.rand.Float64() < n.loss
}
