// Package netsim is a network for tests: real quic-go endpoints exchange packets in virtual time, so that a minute of streaming
// takes milliseconds and every run sees the same delays. Call it inside a testing/synctest bubble:
//
//	synctest.Test(t, func(t *testing.T) {
//		n := netsim.New(t, netsim.Config{Latency: 25 * time.Millisecond, Loss: 0.01})
//		a, b := n.Host(netsim.Link{}), n.Host(netsim.Link{Up: 16_000_000})
//		// quicwire.New(quicwire.Config{Conn: a}), ...: close them before the bubble ends
//	})
//
// Links come from simnet: rate limits with FQ-CoDel queues, which are kinder than most routers, and a delay for each packet. Loss and
// outages are ours. What it cannot show: GSO, ECN and batched system calls (a Host is no UDP socket), CPU limits, full queues.
package netsim

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marcopolo/simnet"
)

// A Config says how the network is. The zero value has no delay and no loss.
type Config struct {
	Latency time.Duration // one way
	Loss    float64       // share of packets that vanish, 0 to 1
	Seed    uint64        // of the loss
}

// A Link says what one host can carry, in bits per second.
type Link struct {
	Up   int // If zero, 1 Gbit/s
	Down int // If zero, 1 Gbit/s
}

const fast = 1_000_000_000

// A Net is a network. Its methods may be called concurrently.
type Net struct {
	sim *simnet.Simnet

	mu    sync.Mutex // guards all below
	loss  float64
	rand  *rand.Rand
	hosts []*Host
	at    map[netip.AddrPort]*Host
}

// New returns a running network, which ends with the test, after all that the test has set up later.
func New(t testing.TB, cfg Config) *Net {
	n := &Net{
		sim:  &simnet.Simnet{LatencyFunc: simnet.StaticLatency(cfg.Latency), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))},
		loss: cfg.Loss,
		rand: rand.New(rand.NewPCG(cfg.Seed, 1)),
		at:   make(map[netip.AddrPort]*Host),
	}
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
	addr := &net.UDPAddr{IP: simnet.IntToPublicIPv4(len(n.hosts) << 8).To4(), Port: 4433}
	settings := simnet.NodeBiDiLinkSettings{
		Uplink:   simnet.LinkSettings{BitsPerSecond: orFast(link.Up)},
		Downlink: simnet.LinkSettings{BitsPerSecond: orFast(link.Down)},
	}
	h := &Host{SimConn: n.sim.NewEndpoint(addr, settings), net: n}
	n.hosts = append(n.hosts, h)
	n.at[addr.AddrPort()] = h
	return h
}

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

// lost draws whether one packet vanishes.
func (n *Net) lost() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.loss > 0 && n.rand.Float64() < n.loss
}

// A Host is a UDP socket on a Net.
type Host struct {
	*simnet.SimConn
	net *Net
	cut atomic.Bool
}

// AddrPort returns the address of the host.
func (h *Host) AddrPort() netip.AddrPort {
	ap := h.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Cut pulls the plug (true) or puts it back: nothing leaves or reaches the host, and nobody is told. A host on which nothing runs must be cut.
func (h *Host) Cut(off bool) { h.cut.Store(off) }

// WriteTo sends a packet, unless it vanishes. simnet tells 4 bytes of an IPv4 address from the same in 16; we do not.
func (h *Host) WriteTo(p []byte, to net.Addr) (int, error) {
	if u, ok := to.(*net.UDPAddr); ok && len(u.IP) == net.IPv6len && u.IP.To4() != nil {
		to = &net.UDPAddr{IP: u.IP.To4(), Port: u.Port}
	}
	if h.cut.Load() || h.net.cut(to) || h.net.lost() {
		return len(p), nil
	}
	return h.SimConn.WriteTo(p, to)
}

// cut reports whether the host with that address is cut. simnet would let packets wait for a socket that nobody reads from, and the whole
// network with them.
func (n *Net) cut(to net.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return false
	}
	h := n.at[u.AddrPort()]
	return h != nil && h.cut.Load()
}

// ReadFrom receives a packet.
func (h *Host) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := h.SimConn.ReadFrom(p)
		if err != nil || !h.cut.Load() {
			return n, from, err
		}
	}
}
