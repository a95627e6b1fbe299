package mpegts

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// group is a multicast group to be joined.
type group struct {
	addr   *net.UDPAddr
	on     *net.Interface // nil: the system chooses
	source netip.Addr     // not valid: any
}

// specific tells whether the group is of the range that routers serve only to who names a source (RFC 4607).
func (g group) specific() bool {
	if v4 := g.addr.IP.To4(); v4 != nil {
		return v4[0] == 232
	}
	return g.addr.IP[0] == 0xff && g.addr.IP[1]&0xf0 == 0x30
}

// join opens a socket on the group. The standard library knows groups, with all that sharing a port takes on each system, but no
// sources: where one is named, the membership is exchanged.
func (g group) join() (*net.UDPConn, error) {
	conn, err := net.ListenMulticastUDP("udp", g.on, g.addr)
	if err != nil || !g.source.IsValid() {
		return conn, err
	}
	from := &net.UDPAddr{IP: g.source.AsSlice()}
	if g.addr.IP.To4() != nil {
		p := ipv4.NewPacketConn(conn)
		err = errors.Join(p.LeaveGroup(g.on, g.addr), p.JoinSourceSpecificGroup(g.on, g.addr, from))
	} else {
		p := ipv6.NewPacketConn(conn)
		err = errors.Join(p.LeaveGroup(g.on, g.addr), p.JoinSourceSpecificGroup(g.on, g.addr, from))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
