package mpegts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pion/rtp"

	"tailcast/ingest"
)

// receiveBuffer is what the kernel is asked to hold while we are busy: at 50 Mbit/s more than a second. It may grant less.
const receiveBuffer = 8 << 20

// UDP receives datagrams of transport packets, bare or in RTP (RFC 2250), from whoever sends them: an encoder that restarts at
// another address goes on.
type UDP struct {
	cfg  Config
	conn *net.UDPConn
}

// ListenUDP opens addr, host:port. If the host is a multicast group, it is joined on the named interface, or on one that the system
// chooses if ifname is empty.
func ListenUDP(cfg Config, addr, ifname string) (*UDP, error) {
	a, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(addr, "@")) // VLC's way to write "listen here"
	if err != nil {
		return nil, fmt.Errorf("couldn't listen for a stream on %q: %w", addr, err)
	}
	var conn *net.UDPConn
	if a.IP.IsMulticast() {
		conn, err = joinGroup(a, ifname)
	} else {
		conn, err = net.ListenUDP("udp", a)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't listen for a stream on %s: %w", addr, err)
	}
	if err := conn.SetReadBuffer(receiveBuffer); err != nil {
		cfg.logger().Warn("receive buffer stays small, bursts may be lost", "error", err)
	}
	return &UDP{cfg: cfg, conn: conn}, nil
}

func joinGroup(group *net.UDPAddr, ifname string) (*net.UDPConn, error) {
	var ifi *net.Interface
	if ifname != "" {
		var err error
		if ifi, err = net.InterfaceByName(ifname); err != nil {
			return nil, fmt.Errorf("interface %q: %w", ifname, err)
		}
	}
	return net.ListenMulticastUDP("udp", ifi, group)
}

// Addr is the address that is listened on.
func (u *UDP) Addr() net.Addr { return u.conn.LocalAddr() }

// Close ends a UDP that is not running.
func (u *UDP) Close() error { return u.conn.Close() }

// Run implements ingest.Source. It closes the socket at the end.
func (u *UDP) Run(ctx context.Context, sink ingest.Sink) error {
	stop := context.AfterFunc(ctx, func() { u.conn.Close() })
	defer stop()
	defer u.conn.Close()
	scanner := u.cfg.scanner(sink)
	defer scanner.Flush()
	for buf := make([]byte, 64<<10); ; {
		n, _, err := u.conn.ReadFromUDPAddrPort(buf)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			scanner.Idle()
			err = u.conn.SetReadDeadline(time.Time{})
		case err == nil:
			scanner.Write(transportPackets(buf[:n]))
			err = u.conn.SetReadDeadline(time.Now().Add(silence))
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("couldn't receive on %s: %w", u.Addr(), err)
		}
	}
}

// transportPackets is what a datagram holds: all of it, or the payload if it is RTP with transport packets in it.
func transportPackets(b []byte) []byte {
	const payloadTypeMP2T = 33 // RFC 3551, 6
	if len(b) < 12 || b[0]>>6 != 2 || b[1]&0x7f != payloadTypeMP2T {
		return b
	}
	var p rtp.Packet
	if p.Unmarshal(b) != nil {
		return b
	}
	return p.Payload
}
