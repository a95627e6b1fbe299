package node

import (
	"net/netip"

	"tailcast/swarm"
)

// NewInner makes a Host in the process of h: another node with a key, a socket and metrics of its own, as the viewer that shows a broadcaster what
// viewers see. h's HTTP server is to show its channels. It is not announced and keeps no addresses, its links name h, and h does not count it
// as audience. There is one at most; call it before Run.
//
// Its socket is where h's is: on loopback if that is, and else where it reaches other viewers too, which it needs when h has no place for it.
func (h *Host) NewInner(role Role) (*Host, error) {
	listen := netip.AddrPortFrom(h.endpoint.Addr().Addr().Unmap(), 0)
	flags := &Flags{Listen: listen.String(), Advertise: h.advertised(), NoLAN: true}
	inner, err := NewHost(HostConfig{Role: role, Flags: flags, Logger: h.cfg.Logger.With("inside", role.String()), inside: true})
	if err != nil {
		return nil, err
	}
	key := inner.Node()
	h.inner = &key
	return inner, nil
}

// isInner tells whether a peer is the node inside this one.
func (h *Host) isInner(p swarm.Peer) bool { return h.inner != nil && p.Node == *h.inner }
