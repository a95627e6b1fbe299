package node

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// This file keeps strangers from using up the HTTP server: whoever reaches its port, without the secret of the home network too, gets few
// connections, and each of them little time. The owner's machine has connections of its own.

const (
	// maxConns bounds connections from this machine: what a player, a page and a proxy need many times over. Others wait.
	maxConns = 1024
	// maxGuests bounds those from other machines, and maxFromOne those from one address. What is more is closed at once.
	maxGuests  = 512
	maxFromOne = 128
	// answerTime is how long an answer may take to be read. Streams, HLS media and events set deadlines of their own with each write.
	answerTime = time.Minute
	// unwantedTime is how long the rest of a body that nobody wants is listened to, so that its sender reads why (RFC 9112, 9.6).
	unwantedTime = 2 * time.Second
)

// Where encoders send to is all that takes a body: streams, and offers of WebRTC. Whoever takes one sets its own deadline, or none.
const (
	ingestPath = "/ingest"
	whipPath   = "/whip"
)

// takesBody tells whether a body is wanted at a path.
func takesBody(path string) bool {
	for _, way := range []string{ingestPath, whipPath} {
		if path == way || strings.HasPrefix(path, way+"/") {
			return true
		}
	}
	return false
}

// A door is a listener that counts who comes in.
type door struct {
	net.Listener
	here   chan struct{} // a token for each connection from this machine
	closed context.Context
	close  context.CancelFunc

	mu     sync.Mutex // guards all below
	guests int
	from   map[netip.Addr]int
}

func newDoor(ln net.Listener) *door {
	d := &door{Listener: ln, here: make(chan struct{}, maxConns), from: map[netip.Addr]int{}}
	d.closed, d.close = context.WithCancel(context.Background())
	return d
}

// Accept returns the next connection for which there is room.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leave, err := d.enter(c)
		if leave != nil {
			return &visit{c, sync.OnceFunc(leave)}, nil
		}
		_ = c.Close()
		if err != nil {
			return nil, err
		}
	}
}

// enter counts a connection until leave is called; leave is nil if there is no room. One from this machine waits for room.
func (d *door) enter(c net.Conn) (leave func(), err error) {
	addr, here := whence(c.LocalAddr().String(), c.RemoteAddr().String())
	if !here {
		return d.admit(addr), nil
	}
	select {
	case d.here <- struct{}{}:
		return func() { <-d.here }, nil
	case <-d.closed.Done():
		return nil, net.ErrClosed
	}
}

func (d *door) admit(addr netip.Addr) (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.guests >= maxGuests || d.from[addr] >= maxFromOne {
		return nil
	}
	d.guests++
	d.from[addr]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.guests--
		if d.from[addr]--; d.from[addr] == 0 {
			delete(d.from, addr)
		}
	}
}

// Close ends Accept, also one that waits for room.
func (d *door) Close() error {
	d.close()
	return d.Listener.Close()
}

// A visit is a connection that makes room when it is closed.
type visit struct {
	net.Conn
	leave func()
}

func (v *visit) Close() error {
	defer v.leave()
	return v.Conn.Close()
}

// whence is the address that a connection comes from, and whether it is this machine: by a loopback address, or by the very address that it came
// to, which no other machine can have.
func whence(local, remote string) (from netip.Addr, here bool) {
	r, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, false
	}
	from = r.Addr().Unmap().WithZone("")
	l, err := netip.ParseAddrPort(local)
	return from, from.IsLoopback() || err == nil && l.Addr().Unmap().WithZone("") == from
}

// FromHere tells whether a request comes from this machine, and not through a proxy on it: then it may come from anywhere.
func FromHere(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	local := ""
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		local = addr.String()
	}
	_, here := whence(local, r.RemoteAddr)
	return here
}

// brief refuses bodies where none is wanted, and does not wait for them: net/http would read what is left of one, however long that takes, before
// it looks at the connection again.
func brief(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unwantedTime)) // a writer without deadlines is a test's
		if takesBody(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		http.Error(w, "nothing can be sent to this address; leave out the body", http.StatusRequestEntityTooLarge)
	})
}
