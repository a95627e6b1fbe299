package admit

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// MaxConns bounds the connections of a listener: one publishes, the others are on their way in or out.
const MaxConns = 64

const (
	maxFromOne   = 16               // of these, from one network; so one stranger does not keep the encoder out
	becomeWithin = 10 * time.Second // of its connection an encoder publishes, or is cut off
)

// Listener is a listener that strangers cannot wear out: it bounds their number and the time they have to become publishers.
type Listener struct {
	net.Listener
	done chan struct{} // closed by Close
	once sync.Once

	mu    sync.Mutex
	conns int
	from  map[string]int // connections by network
}

// NewListener guards l.
func NewListener(l net.Listener) *Listener {
	return &Listener{Listener: l, done: make(chan struct{}), from: map[string]int{}}
}

// Accept implements net.Listener. Only Close ends it: a want of descriptors, or a connection that was reset before it was
// accepted, is no reason to stop listening.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			if !l.pause() {
				return nil, net.ErrClosed
			}
			continue
		}
		if guarded := l.enter(c); guarded != nil {
			return guarded, nil
		}
		c.Close() // full
	}
}

// enter counts a connection; nil if there are too many.
func (l *Listener) enter(c net.Conn) *Conn {
	where := network(AddrOf(c.RemoteAddr()))
	local := where.Addr().IsLoopback() // tests, proxies and many encoders on one machine
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns >= MaxConns || !local && l.from[where.String()] >= maxFromOne {
		return nil
	}
	l.conns++
	l.from[where.String()]++
	return &Conn{Conn: c, leave: sync.OnceFunc(func() { l.leave(where.String()) })}
}

func (l *Listener) leave(where string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns--
	if l.from[where]--; l.from[where] == 0 {
		delete(l.from, where)
	}
}

func (l *Listener) pause() bool {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.done:
		return false
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// Conn is a connection that may stay silent only while it publishes.
type Conn struct {
	net.Conn
	leave   func()
	trusted atomic.Bool
}

// SetReadDeadline implements net.Conn: "none" means becomeWithin for who is not trusted.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if t.IsZero() && !c.trusted.Load() {
		t = time.Now().Add(becomeWithin)
	}
	return c.Conn.SetReadDeadline(t)
}

// Trust lifts the deadline, or puts it back.
func (c *Conn) Trust(yes bool) {
	c.trusted.Store(yes)
	_ = c.SetReadDeadline(time.Time{}) // of a closed connection it matters no more
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.leave()
	return c.Conn.Close()
}
