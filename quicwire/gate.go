package quicwire

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/quic-go/quic-go"
)

// maxUnproven is how many inbound connections may be without a link proof at a time; from retryUnproven on, addresses are verified
// first (Retry, RFC 9000 section 8.1.2), which costs strangers a round trip and us no state.
const (
	maxUnproven   = 128
	retryUnproven = 32
)

// A gate decides, at its first packet, whether a connection may come in. Caps bite late, so that a mobile operator behind one
// address is no attack: only above 75 % load, one /24 or /48 may hold at most a quarter of the sessions; and only when half of
// the places for the unproven are taken, at most a quarter of these.
type gate struct {
	max  int
	full func() // called when a connection is refused for want of room; must not wait. May be nil

	mu       sync.Mutex // guards all below
	total    int        // connections, both directions
	unproven int        // inbound ones without a link proof
	subnets  map[netip.Prefix]held
}

// held is what one subnet holds.
type held struct{ total, unproven int }

// A ticket is one inbound connection's place.
type ticket struct {
	gate   *gate
	subnet netip.Prefix
	proven bool // guarded by gate.mu
}

type ticketKey struct{}

var errFull = errors.New("no session is free")

// admit is quic.Transport.ConnContext: it refuses the connection or puts its ticket into the context.
func (g *gate) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	t := &ticket{gate: g, subnet: subnetOf(addrPort(info.RemoteAddr).Addr())}
	if !t.take() {
		if g.full != nil {
			g.full()
		}
		return nil, errFull
	}
	context.AfterFunc(ctx, t.release)
	return context.WithValue(ctx, ticketKey{}, t), nil
}

func (t *ticket) take() bool {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.subnets[t.subnet]
	switch {
	case g.total >= g.max || g.unproven >= maxUnproven:
		return false
	case g.loaded() && 4*h.total >= g.max && t.subnet.IsValid():
		return false
	case 2*g.unproven >= maxUnproven && 4*h.unproven >= maxUnproven && t.subnet.IsValid():
		return false
	}
	g.add(t.subnet, 1, 1)
	return true
}

// prove says that the link proof held.
func (t *ticket) prove() {
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	if !t.proven {
		t.proven = true
		t.gate.add(t.subnet, 0, -1)
	}
}

// release gives the place back.
func (t *ticket) release() {
	t.prove()
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	t.gate.add(t.subnet, -1, 0)
}

// add counts connections of a subnet. The caller holds mu.
func (g *gate) add(subnet netip.Prefix, total, unproven int) {
	g.total += total
	g.unproven += unproven
	h := g.subnets[subnet]
	h.total += total
	h.unproven += unproven
	if g.subnets[subnet] = h; h == (held{}) {
		delete(g.subnets, subnet)
	}
}

// dialled counts a session that we dialled, until ctx ends. It is our own decision, so it is never refused.
func (g *gate) dialled(ctx context.Context) {
	g.count(1)
	context.AfterFunc(ctx, func() { g.count(-1) })
}

func (g *gate) count(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total += n
}

// retry is quic.Transport.VerifySourceAddress.
func (g *gate) retry(net.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unproven >= retryUnproven || g.loaded()
}

// loaded reports whether over 75 % of the sessions are taken. The caller holds mu.
func (g *gate) loaded() bool { return 4*g.total >= 3*g.max }

// crowded reports whether over seven eighths of the sessions are taken.
func (g *gate) crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return 8*g.total > 7*g.max
}

// subnetOf returns the part of an address that one customer tends to hold: a /24, or a /48. For this machine it is invalid: many nodes may
// run here.
func subnetOf(ip netip.Addr) netip.Prefix {
	if ip.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, _ := ip.Prefix(bits)
	return p
}

// addrPort returns the address of a UDP peer; IPv4 ones as such, whatever the socket.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
