package quicwire

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"tailcast/feed"
)

// A Session is a connection to one peer for one channel, after link proof and HELLO. Its methods may be called concurrently, but
// Receive, AcceptStripe and AcceptFetch each by one goroutine at a time. All three should run until they return the session's
// error: what is not received holds back the peer, and no other.
//
//	dialled or accepted ──▶ proven ──▶ HELLO exchanged ──▶ open ──▶ closed: by Close, the peer, a broken bound, or silence
//
// Callers see sessions from open on.
type Session struct {
	endpoint *Endpoint
	conn     *quic.Conn
	inbound  bool
	root     feed.PublicKey
	peer     feed.PublicKey
	began    time.Time
	hello    Hello // the peer's

	logs  logNumbers
	in    inbox
	out   outbox
	stats counters
	asked asked
	order streamOrder

	subs, reqs, notes, forks, all, stray *rate.Limiter // what the peer may still send

	blocks uint64    // bytes of blocks carried when Endpoint.makeRoom last looked; guarded by Endpoint.mu
	used   time.Time // when it last saw them grow; likewise

	ended atomic.Pointer[Error] // why we ended it, if we did
}

// newSession wraps a connection whose TLS handshake is complete.
func (e *Endpoint) newSession(conn *quic.Conn, peer feed.PublicKey, inbound bool) *Session {
	s := &Session{
		endpoint: e, conn: conn, inbound: inbound, peer: peer, began: time.Now(), used: time.Now(),
		subs:  rate.NewLimiter(subRate, subBurst),
		reqs:  rate.NewLimiter(reqRate, reqBurst),
		notes: rate.NewLimiter(notesRate, notesBurst),
		forks: rate.NewLimiter(forkRate, forkBurst),
		all:   rate.NewLimiter(messageRate, messageBurst),
		stray: rate.NewLimiter(strayRate, strayBurst),
	}
	s.out.wake = make(chan struct{}, 1)
	s.asked.subs, s.asked.reqs = make(map[subKey]bool), make(map[uint64]LogID)
	return s
}

// Peer returns the peer's node key, which TLS has verified.
func (s *Session) Peer() feed.PublicKey { return s.peer }

// Root returns the root key of the channel.
func (s *Session) Root() feed.PublicKey { return s.root }

// Inbound reports whether the peer dialled.
func (s *Session) Inbound() bool { return s.inbound }

// Hello returns the peer's first message.
func (s *Session) Hello() Hello { return s.hello }

// Addr returns the address at which we see the peer now.
func (s *Session) Addr() netip.AddrPort { return addrPort(s.conn.RemoteAddr()) }

// RTT returns the smoothed round-trip time.
func (s *Session) RTT() time.Duration { return s.conn.ConnectionStats().SmoothedRTT }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.conn.Context().Done() }

// Err returns nil while the session is open, and then an *Error that says who ended it and why.
func (s *Session) Err() error {
	if s.conn.Context().Err() != nil {
		return sessionError(context.Cause(s.conn.Context()))
	}
	if e := s.ended.Load(); e != nil {
		return e
	}
	return nil
}

// Close ends the session at once; the peer sees code and reason. Only the first call counts. It does not wait for the
// session's goroutine; Endpoint.Close does.
func (s *Session) Close(code Code, reason string) {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	if s.ended.CompareAndSwap(nil, &Error{Code: code, Reason: reason}) {
		s.conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
	}
}

// fail closes the session with the code that err deserves, and returns what Err says then.
func (s *Session) fail(code Code, err error) error {
	if s.conn.Context().Err() == nil {
		s.Close(code, err.Error())
	}
	return s.Err()
}

// Shutdown says m, goes on serving until the peer has closed the session or ctx ends, and closes it.
func (s *Session) Shutdown(ctx context.Context, m *Bye) {
	if s.Send(m) == nil {
		select {
		case <-s.Done():
		case <-ctx.Done():
		}
	}
	s.Close(CodeGoingAway, m.Reason)
}

// asked remembers what we have asked the peer for, so that streams that nobody asked for can be told apart.
type asked struct {
	mu   sync.Mutex
	subs map[subKey]bool
	reqs map[uint64]LogID // by id, those without a stream so far
	ids  []uint64         // of reqs in the order sent; the oldest are forgotten above maxAsked
}

// maxAsked is how many unanswered Reqs are remembered: 4 s of them at the highest rate.
const maxAsked = 256

type subKey struct {
	log    LogID
	stripe uint8
}

// sent notes what m asks for.
func (s *Session) sent(m Message) {
	a := &s.asked
	a.mu.Lock()
	defer a.mu.Unlock()
	switch m := m.(type) {
	case *Sub:
		if key := (subKey{m.Log, m.Stripe}); !a.subs[key] {
			a.subs[key] = true
			s.endpoint.windows.want(s.conn, 1)
		}
	case *Unsub:
		s.dropSub(subKey{m.Log, m.Stripe})
	case *Req:
		a.reqs[m.ID] = m.Log
		if a.ids = append(a.ids, m.ID); len(a.ids) > maxAsked {
			delete(a.reqs, a.ids[0])
			a.ids = a.ids[1:]
		}
	}
}

// dropSub forgets a subscription. The caller holds asked.mu.
func (s *Session) dropSub(key subKey) {
	if s.asked.subs[key] {
		delete(s.asked.subs, key)
		s.endpoint.windows.want(s.conn, -1)
	}
}

// heard notes what the peer's answer ends.
func (s *Session) heard(m Message) {
	s.asked.mu.Lock()
	defer s.asked.mu.Unlock()
	switch m := m.(type) {
	case *SubNo:
		s.dropSub(subKey{m.Log, m.Stripe})
	case *Moved:
		s.dropSub(subKey{m.Log, m.Stripe})
	}
}

// expects reports whether we have asked for the stream of that header. One stream answers a Req.
func (s *Session) expects(h *StripeHeader) bool {
	a := &s.asked
	a.mu.Lock()
	defer a.mu.Unlock()
	if !h.Repair {
		return a.subs[subKey{h.Log, h.Stripe}]
	}
	log, ok := a.reqs[h.Request]
	delete(a.reqs, h.Request)
	return ok && log == h.Log
}
