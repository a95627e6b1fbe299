package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxConns     = 64               // at a time: one publishes, the others are on their way in or out
	becomeWithin = 10 * time.Second // of its connection an encoder publishes, or is cut off
	udpBuffer    = 4 << 20          // bytes asked for; the kernel gives what it allows
)

// checkAddr resolves a listening address under the rule that publishing is closed until there is a key: no host means this machine
// alone, and a host that others can reach is an error.
func checkAddr(ctx context.Context, addr, key string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("rtsp: address %q is not host:port", addr)
	}
	if key != "" {
		return addr, nil
	}
	if host == "" {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return "", fmt.Errorf("rtsp: couldn't resolve %s: %w", host, err)
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return "", fmt.Errorf("rtsp: anybody could publish on %s: set a stream key, or listen on 127.0.0.1", addr)
		}
	}
	return addr, nil
}

// listenPair binds an even UDP port of host and the next, for RTP and RTCP (RFC 3550, section 11). Port 0 finds a free pair.
func listenPair(host string, port int) (rtp, rtcp *net.UDPConn, err error) {
	if port%2 != 0 {
		return nil, nil, fmt.Errorf("rtsp: UDP port %d is odd: RTP takes an even port and RTCP the next", port)
	}
	for range 64 { // half of the ports that the kernel offers are odd, and some have a busy neighbour
		if rtp, err = listenUDP(host, port); err != nil {
			return nil, nil, fmt.Errorf("rtsp: %w", err)
		}
		even := rtp.LocalAddr().(*net.UDPAddr).Port
		if even%2 == 0 {
			if rtcp, err = listenUDP(host, even+1); err == nil {
				return rtp, rtcp, nil
			}
		}
		rtp.Close()
		if port != 0 {
			break
		}
	}
	return nil, nil, fmt.Errorf("rtsp: no free pair of UDP ports: %w", err)
}

func listenUDP(host string, port int) (*net.UDPConn, error) {
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return nil, err
	}
	udp := c.(*net.UDPConn)
	_ = udp.SetReadBuffer(udpBuffer) // less loses packets under load, and then says so
	return udp, nil
}

// guard is a listener that strangers cannot wear out: it bounds their number and the time they have to become publishers.
type guard struct {
	net.Listener
	slots chan struct{}
	done  chan struct{} // closed by Close
	once  sync.Once
}

func newGuard(l net.Listener) *guard {
	return &guard{Listener: l, slots: make(chan struct{}, maxConns), done: make(chan struct{})}
}

// Accept implements net.Listener. Only Close ends it: a want of descriptors, or a connection that was reset before it was
// accepted, is no reason to stop listening.
func (g *guard) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			if !g.pause() {
				return nil, net.ErrClosed
			}
			continue
		}
		select {
		case g.slots <- struct{}{}:
			return &guardedConn{Conn: c, leave: sync.OnceFunc(func() { <-g.slots })}, nil
		default:
			c.Close() // full
		}
	}
}

func (g *guard) pause() bool {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.done:
		return false
	}
}

func (g *guard) Close() error {
	g.once.Do(func() { close(g.done) })
	return g.Listener.Close()
}

// guardedConn is a connection that may stay silent only while it publishes.
type guardedConn struct {
	net.Conn
	leave   func()
	trusted atomic.Bool
}

// SetReadDeadline implements net.Conn: "none" means becomeWithin for who is not trusted.
func (c *guardedConn) SetReadDeadline(t time.Time) error {
	if t.IsZero() && !c.trusted.Load() {
		t = time.Now().Add(becomeWithin)
	}
	return c.Conn.SetReadDeadline(t)
}

// trust lifts the deadline, or puts it back.
func (c *guardedConn) trust(yes bool) {
	c.trusted.Store(yes)
	_ = c.SetReadDeadline(time.Time{}) // of a closed connection it matters no more
}

func (c *guardedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
