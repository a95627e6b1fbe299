package mpegts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// receiveBuffer is what the kernel is asked to hold while we are busy: at 50 Mbit/s more than a second. It may grant less.
const receiveBuffer = 8 << 20

// UDPConfig says where a UDP source listens and to whom.
type UDPConfig struct {
	Config
	Addr      string // host:port; a multicast group is joined. VLC's @ in front is understood.
	Interface string // to join the group on. If empty, the system chooses.
	Source    string // address of the only sender that is taken; with a group, SSM. If empty, whoever sends.
}

// UDP receives datagrams of transport packets, bare or in RTP (RFC 2250). Which of the two they are it sees for itself. Without a Source it
// takes them from whoever sends them: an encoder that restarts at another address goes on.
type UDP struct {
	cfg    Config
	conn   *net.UDPConn
	source netip.Addr // not valid if anybody may send
}

// ListenUDP opens the socket.
func ListenUDP(cfg UDPConfig) (*UDP, error) {
	u := &UDP{cfg: cfg.Config}
	if err := u.listen(cfg); err != nil {
		return nil, fmt.Errorf("couldn't listen for a stream on %s: %w", cfg.Addr, err)
	}
	u.cfg.Stats = u.cfg.stats()
	u.enlarge()
	return u, nil
}

func (u *UDP) listen(cfg UDPConfig) error {
	addr, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(cfg.Addr, "@"))
	if err != nil {
		return err
	}
	if cfg.Source != "" {
		if u.source, err = netip.ParseAddr(cfg.Source); err != nil {
			return fmt.Errorf("source %q is no IP address", cfg.Source)
		}
		if addr.IP != nil && (addr.IP.To4() != nil) != u.source.Unmap().Is4() {
			return fmt.Errorf("source %s: that and the address to listen on must both be IPv4 or both IPv6", cfg.Source)
		}
	}
	if !addr.IP.IsMulticast() {
		u.conn, err = net.ListenUDP("udp", addr)
		return err
	}
	g := group{addr: addr, source: u.source}
	if cfg.Interface == "" {
		cfg.Interface = addr.Zone
	}
	if cfg.Interface != "" {
		if g.on, err = net.InterfaceByName(cfg.Interface); err != nil {
			return fmt.Errorf("interface %q: %w", cfg.Interface, err)
		}
	}
	if !u.source.IsValid() && g.specific() {
		u.cfg.logger().Warn("this group is one of source-specific multicast: name the sender with ?source=ADDRESS if nothing comes", "group", addr.IP.String())
	}
	u.conn, err = g.join()
	return err
}

// enlarge asks for a large receive buffer and says so if the kernel gives less: bursts would be lost without a trace.
func (u *UDP) enlarge() {
	err := u.conn.SetReadBuffer(receiveBuffer)
	if granted := receiveBufferOf(u.conn); err != nil || granted > 0 && granted < receiveBuffer {
		u.cfg.logger().Warn("the kernel grants a small receive buffer, bursts may be lost; on Linux: sysctl -w net.core.rmem_max=8388608",
			"bytes", granted, "wanted", receiveBuffer)
	}
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
	in := &datagrams{scanner: scanner, stats: u.cfg.stats(), log: u.cfg.logger()}
	err := u.receive(ctx, in, scanner)
	in.flush()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("couldn't receive on %s: %w", u.Addr(), err)
}

func (u *UDP) receive(ctx context.Context, in *datagrams, scanner *ts.Scanner) error {
	strangers := 0
	for buf := make([]byte, 64<<10); ; {
		n, from, err := u.conn.ReadFromUDPAddrPort(buf)
		next := time.Now().Add(silence)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			in.expire()
			scanner.Idle()
			if !in.waiting() {
				next = time.Time{}
			}
		case err != nil:
			return err
		case u.source.IsValid() && from.Addr().Unmap() != u.source.Unmap():
			if strangers++; strangers == 1 {
				u.cfg.logger().Warn("somebody else sends here too and is not listened to", "from", from.String(), "source", u.source.String())
			}
			continue
		default:
			in.take(buf[:n])
		}
		if err := u.conn.SetReadDeadline(next); err != nil {
			return err
		}
	}
}
