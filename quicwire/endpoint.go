package quicwire

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"tailcast/feed"
)

// An Endpoint is one UDP socket that listens and dials, for any number of channels. Its methods may be called concurrently.
type Endpoint struct {
	cfg       Config
	node      feed.PublicKey // public half of cfg.Key
	cert      tls.Certificate
	transport *quic.Transport
	listener  *quic.Listener
	gate      gate
	windows   windowBudget
	buffers   sync.Pool // *[]byte: one for each block under way

	ctx      context.Context // ends at Close
	cancel   context.CancelFunc
	running  sync.WaitGroup // all goroutines of the Endpoint and its sessions
	accepted chan *Session  // proven sessions that wait for Accept; a session that waits for messageTimeout is closed

	mu       sync.Mutex                  // guards all below
	closed   bool                        // nothing joins running any more
	channels map[feed.PublicKey]*channel // by root
	sessions map[sessionKey]*Session     // those in use: at most one for each pair and channel, but for what sessionKey says
	swept    time.Time                   // when makeRoom last looked
}

// A channel is one that peers may ask for.
type channel struct{ hello func() Hello }

// A sessionKey names a session among those of an Endpoint. One key at two addresses that we dialled may be two nodes: streamers with copies of
// one data directory. If it is one node, that one closes one of the two.
type sessionKey struct {
	root, peer feed.PublicKey
	dialled    netip.AddrPort // zero if the peer dialled us
}

func (s *Session) key() sessionKey {
	key := sessionKey{root: s.root, peer: s.peer}
	if !s.inbound {
		key.dialled = s.Addr()
	}
	return key
}

// New listens on cfg.Conn. It accepts nothing before a channel is registered. After an error the socket is still the caller's.
func New(cfg Config) (*Endpoint, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	node, err := feed.ParsePublicKey(cfg.Key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	cert, err := nodeCertificate(cfg.Key)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{
		cfg: cfg, node: node, cert: cert,
		gate:     gate{max: cfg.MaxSessions, subnets: make(map[netip.Prefix]held)},
		windows:  windowBudget{left: cfg.WindowBudget, parents: make(map[*quic.Conn]int), grown: make(map[*quic.Conn]int64)},
		accepted: make(chan *Session),
		channels: make(map[feed.PublicKey]*channel),
		sessions: make(map[sessionKey]*Session),
	}
	e.gate.full = func() { e.start(e.makeRoom) }
	if err := e.listen(); err != nil {
		return nil, err
	}
	return e, nil
}

// listen opens the transport and starts to accept.
func (e *Endpoint) listen() error {
	e.transport = &quic.Transport{
		Conn:                e.cfg.Conn,
		ConnContext:         e.gate.admit,
		VerifySourceAddress: e.gate.retry,
		StatelessResetKey:   resetKey(e.cfg.Key),
	}
	listener, err := e.transport.Listen(tlsConfig(e.cert, nil), e.quicConfig())
	if err != nil {
		e.transport.Close()
		return fmt.Errorf("couldn't listen on %v: %w", e.cfg.Conn.LocalAddr(), err)
	}
	e.listener = listener
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.running.Go(e.acceptAll)
	return nil
}

// resetKey lets a node with a lasting key end the connections of its former life (RFC 9000, section 10.3), so that neighbours of a
// restarted streamer redial at once instead of after idleTimeout.
func resetKey(key ed25519.PrivateKey) *quic.StatelessResetKey {
	mac := hmac.New(sha256.New, key.Seed())
	mac.Write([]byte("tailcast/1 stateless reset"))
	return (*quic.StatelessResetKey)(mac.Sum(nil))
}

func (e *Endpoint) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           proofTimeout,
		MaxIdleTimeout:                 idleTimeout,
		KeepAlivePeriod:                keepAlive,
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         maxStreamWindow,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     maxConnWindow,
		AllowConnectionWindowIncrease:  e.windows.allow,
		MaxIncomingStreams:             maxIncomingBidi,
		MaxIncomingUniStreams:          maxIncomingUni,
	}
}

// Node returns the public node key.
func (e *Endpoint) Node() feed.PublicKey { return e.node }

// ShortID returns the node's name on paths.
func (e *Endpoint) ShortID() ShortID { return ShortIDOf(e.node) }

// Addr returns the address of the socket.
func (e *Endpoint) Addr() netip.AddrPort { return addrPort(e.cfg.Conn.LocalAddr()) }

// SignPeer returns p as this node's own record for the channel of root, with its key and signature.
func (e *Endpoint) SignPeer(root feed.PublicKey, p PeerRecord) PeerRecord {
	return signPeer(e.cfg.Key, root, p)
}

// Register lets peers in that know the link of root. They get what hello returns at that moment; it is called from goroutines of the
// Endpoint. unregister shuts the door again; sessions that exist go on.
func (e *Endpoint) Register(root feed.PublicKey, hello func() Hello) (unregister func()) {
	c := &channel{hello}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.channels[root] = c
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.channels[root] == c {
			delete(e.channels, root)
		}
	}
}

// Accept returns the next inbound session: one whose peer knows the link and has said HELLO. It must be called all the time:
// sessions that nobody takes for 5 s are closed. After Close it returns ErrClosed.
func (e *Endpoint) Accept(ctx context.Context) (*Session, error) {
	select {
	case s := <-e.accepted:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.ctx.Done():
		return nil, ErrClosed
	}
}

// ErrClosed says that the Endpoint was closed.
var ErrClosed = errors.New("quicwire: endpoint is closed")

// acceptAll takes connections until the listener ends, each in a goroutine: maxUnproven bounds them.
func (e *Endpoint) acceptAll() {
	for {
		conn, err := e.listener.Accept(e.ctx)
		if err != nil {
			return
		}
		if !e.start(func() { e.welcome(conn) }) {
			conn.CloseWithError(quic.ApplicationErrorCode(CodeGoingAway), "")
		}
	}
}

// start runs f in a goroutine that Close waits for. After Close it does nothing and returns false.
func (e *Endpoint) start(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.running.Go(f)
	return true
}

// welcome makes a session of an inbound connection and hands it to Accept.
func (e *Endpoint) welcome(conn *quic.Conn) {
	s, err := e.acceptSession(conn)
	if err != nil {
		e.cfg.Logger.Debug("refused a connection", "addr", conn.RemoteAddr().String(), "error", err)
		return
	}
	e.makeRoom()
	timeout := time.NewTimer(messageTimeout)
	defer timeout.Stop()
	select {
	case e.accepted <- s:
	case <-timeout.C:
		s.Close(CodeBusy, "nobody takes new sessions here")
	case <-s.Done():
	case <-e.ctx.Done():
		s.Close(CodeGoingAway, "")
	}
}

// Close ends all sessions (CodeGoingAway), waits for every goroutine of the Endpoint and closes the socket. Only the first call counts.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	all := slices.Collect(maps.Values(e.sessions))
	e.mu.Unlock()
	for _, s := range all {
		s.Close(CodeGoingAway, "the node shuts down")
	}
	e.cancel()
	e.listener.Close()
	e.running.Wait()
	e.transport.Close()
	return e.cfg.Conn.Close()
}

// adopt makes s the session of its pair and channel. If there is one already, one of the two is closed: in general the older,
// which the peer may have forgotten; but if both ends have just dialled each other, they must choose alike, and the one that the
// smaller node key dialled stays.
func (e *Endpoint) adopt(s *Session) error {
	e.mu.Lock()
	old := e.sameAs(s)
	keepOld := old != nil && old.Err() == nil && old.inbound != s.inbound && time.Since(old.began) < crossing && old.dialledBySmaller()
	if !keepOld && !e.closed {
		if old != nil {
			delete(e.sessions, old.key())
		}
		e.sessions[s.key()] = s
	}
	closed := e.closed
	e.mu.Unlock()
	switch {
	case closed:
		s.Close(CodeGoingAway, "the node shuts down")
	case keepOld:
		s.Close(CodeDuplicate, "both ends dialled; the other session stays")
	case old != nil:
		old.Close(CodeDuplicate, "a newer session takes its place")
	}
	return s.Err()
}

// sameAs returns the session whose place s may take; nil if there is none.
func (e *Endpoint) sameAs(s *Session) *Session {
	if old := e.sessions[s.key()]; old != nil {
		return old
	}
	other := sessionKey{root: s.root, peer: s.peer}
	if s.inbound {
		other.dialled = s.Addr()
	}
	return e.sessions[other]
}

// crossing is how much later than a first session a second one may be the other half of a mutual dial.
const crossing = 3 * time.Second

// dialledBySmaller reports whether the smaller of the two node keys dialled.
func (s *Session) dialledBySmaller() bool {
	own := s.endpoint.node
	if s.inbound {
		return string(s.peer[:]) < string(own[:])
	}
	return string(own[:]) < string(s.peer[:])
}

// forget drops a session that has ended.
func (e *Endpoint) forget(s *Session) {
	e.windows.forget(s.conn)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sessions[s.key()] == s {
		delete(e.sessions, s.key())
	}
}

const (
	idleSession = 30 * time.Second       // without a block either way, then its place may go to another
	sweepEvery  = 100 * time.Millisecond // at most: packets of strangers can ask for it
)

// makeRoom ends the inbound session that has carried no block for longest, if the sessions run out.
func (e *Endpoint) makeRoom() {
	if !e.gate.crowded() {
		return
	}
	if s := e.idlest(time.Now()); s != nil {
		s.Close(CodeBusy, "no block for 30 s, and others want to come in")
	}
}

// idlest returns the inbound session that has carried no block for longest; nil if all have lately.
func (e *Endpoint) idlest(now time.Time) (idle *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.swept) < sweepEvery {
		return nil
	}
	e.swept = now
	for _, s := range e.sessions {
		if n := s.stats.blocks(); n != s.blocks {
			s.blocks, s.used = n, now
		}
		if s.inbound && now.Sub(s.used) >= idleSession && (idle == nil || s.used.Before(idle.used)) {
			idle = s
		}
	}
	return idle
}

// buffer returns an empty buffer for a block to send. Streams are many and mostly idle, so they have none of their own.
func (e *Endpoint) buffer() *[]byte {
	if b, ok := e.buffers.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

// recycle takes a buffer back.
func (e *Endpoint) recycle(b *[]byte) {
	*b = (*b)[:0]
	e.buffers.Put(b)
}
