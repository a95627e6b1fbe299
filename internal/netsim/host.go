package netsim

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marcopolo/simnet"
)

// A Host is a UDP socket on a Net.
type Host struct {
	*simnet.SimConn
	net  *Net
	link Link
	rand *rand.Rand // guarded by net.mu
	cut  atomic.Bool

	// What has arrived waits here, as in the buffer of a socket: if nobody reads, it is dropped. simnet itself would wait for the reader, and
	// with it the whole network.
	inbox chan datagram

	mu       sync.Mutex // guards deadline and changed
	deadline time.Time
	changed  chan struct{} // closed when deadline changes

	sent, received counter
}

type datagram struct {
	bytes []byte
	from  net.Addr
}

// inboxSize is how many packets wait for a reader: those of about 2 MB, as much as quic-go asks of a real socket.
const inboxSize = 1500

func newHost(n *Net, conn *simnet.SimConn, link Link, random *rand.Rand) *Host {
	h := &Host{SimConn: conn, net: n, link: link, rand: random, inbox: make(chan datagram, inboxSize), changed: make(chan struct{})}
	go h.receive()
	return h
}

// receive takes in packets until the host is closed.
func (h *Host) receive() {
	defer close(h.inbox)
	buf := make([]byte, 1<<16)
	for {
		n, from, err := h.SimConn.ReadFrom(buf)
		if err != nil {
			return
		}
		if h.cut.Load() {
			continue
		}
		h.received.add(n)
		select {
		case h.inbox <- datagram{bytes.Clone(buf[:n]), from}:
		default:
		}
	}
}

// AddrPort returns the address of the host.
func (h *Host) AddrPort() netip.AddrPort {
	ap := h.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Cut pulls the plug (true) or puts it back: nothing leaves or reaches the host, and nobody is told.
func (h *Host) Cut(off bool) { h.cut.Store(off) }

// WriteTo sends a packet, unless it vanishes. simnet tells 4 bytes of an IPv4 address from the same in 16; we do not.
func (h *Host) WriteTo(p []byte, to net.Addr) (int, error) {
	if u, ok := to.(*net.UDPAddr); ok && len(u.IP) == net.IPv6len && u.IP.To4() != nil {
		to = &net.UDPAddr{IP: u.IP.To4(), Port: u.Port}
	}
	if h.cut.Load() {
		return len(p), nil
	}
	h.sent.add(len(p))
	if h.net.lost(h) {
		return len(p), nil
	}
	return h.SimConn.WriteTo(p, to)
}

// ReadFrom receives a packet.
func (h *Host) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		deadline, changed := h.readDeadline()
		var timeout <-chan time.Time
		if !deadline.IsZero() {
			wait := time.Until(deadline)
			if wait <= 0 {
				return 0, nil, os.ErrDeadlineExceeded
			}
			timeout = time.After(wait)
		}
		select {
		case d, ok := <-h.inbox:
			if !ok {
				return 0, nil, net.ErrClosed
			}
			return copy(p, d.bytes), d.from, nil
		case <-timeout:
			return 0, nil, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

func (h *Host) readDeadline() (time.Time, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deadline, h.changed
}

// SetReadDeadline sets until when ReadFrom waits, also one that waits already.
func (h *Host) SetReadDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = t
	close(h.changed)
	h.changed = make(chan struct{})
	return nil
}

// SetDeadline is SetReadDeadline: a write never waits.
func (h *Host) SetDeadline(t time.Time) error { return h.SetReadDeadline(t) }

// Traffic is what a host has sent or received, in bytes on the wire: with UDP and IPv4 headers.
type Traffic struct{ Packets, Bytes uint64 }

// A counter is Traffic while it counts.
type counter struct{ packets, bytes atomic.Uint64 }

// headers are the bytes of IPv4 and UDP headers of a packet.
const headers = 28

func (c *counter) add(n int) {
	c.packets.Add(1)
	c.bytes.Add(uint64(n + headers))
}

func (c *counter) traffic() Traffic { return Traffic{c.packets.Load(), c.bytes.Load()} }

// Sent returns what was sent so far, packets that vanish included.
func (h *Host) Sent() Traffic { return h.sent.traffic() }

// Received returns what has arrived so far.
func (h *Host) Received() Traffic { return h.received.traffic() }
