package quicwire

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/quic-go/quic-go"

	"tailcast/feed"
)

// Dial makes a session with the node at addr ("host:port") for the channel of root. If node is not nil, the node there must have that
// key. The peer gets hello. The error wraps an *Error that says what came of it (CodeLost: nobody answered), unless ctx has ended or the
// name cannot be looked up.
func (e *Endpoint) Dial(ctx context.Context, root feed.PublicKey, addr string, node *feed.PublicKey, hello Hello) (*Session, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	targets, err := resolve(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("couldn't look up %s: %w", addr, err)
	}
	var s *Session
	for _, target := range targets {
		if s, err = e.dial(ctx, root, target, node, hello); err == nil {
			return s, nil
		}
	}
	switch {
	case e.ctx.Err() != nil:
		err = ErrClosed
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	return nil, fmt.Errorf("couldn't reach %s: %w", addr, err)
}

// resolve returns the addresses of "host:port".
func resolve(ctx context.Context, addr string) ([]netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return []netip.AddrPort{ap}, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var list []netip.AddrPort
	for _, ip := range ips {
		list = append(list, netip.AddrPortFrom(ip.Unmap(), uint16(n)))
	}
	return list, err
}

// dial makes a session with the node at one address.
func (e *Endpoint) dial(ctx context.Context, root feed.PublicKey, addr netip.AddrPort, node *feed.PublicKey, hello Hello) (*Session, error) {
	conn, err := e.transport.Dial(ctx, net.UDPAddrFromAddrPort(addr), tlsConfig(e.cert, node), e.quicConfig())
	if err != nil {
		return nil, sessionError(err)
	}
	e.gate.dialled(conn.Context())
	s, err := e.prepare(conn, false)
	if err != nil {
		return nil, err
	}
	if s.peer == e.node {
		return nil, s.fail(CodeSelf, errors.New("the node has dialled itself"))
	}
	s.root = root
	return s, s.handshake(ctx, func() Hello { return hello })
}

// acceptSession makes a session of an inbound connection.
func (e *Endpoint) acceptSession(conn *quic.Conn) (*Session, error) {
	s, err := e.prepare(conn, true)
	if err != nil {
		return nil, err
	}
	return s, s.handshake(e.ctx, nil)
}

// prepare makes a session of a connection whose TLS handshake is complete.
func (e *Endpoint) prepare(conn *quic.Conn, inbound bool) (*Session, error) {
	peer, err := peerKey(conn.ConnectionState().TLS, nil)
	if err != nil {
		conn.CloseWithError(quic.ApplicationErrorCode(CodeMalformed), "")
		return nil, err
	}
	return e.newSession(conn, peer, inbound), nil
}

// handshake does all between TLS and the first message that is anybody's business. For inbound sessions hello is nil: the channel,
// found by its proof, knows.
func (s *Session) handshake(ctx context.Context, hello func() Hello) error {
	stop := context.AfterFunc(ctx, func() { s.Close(CodeDone, "given up before HELLO") })
	defer stop()
	err := s.within(proofTimeout, "no link proof within 3 s", func() (err error) {
		hello, err = s.proveLink(ctx, hello)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.within(messageTimeout, "no HELLO within 5 s", func() error { return s.exchangeHello(hello) }); err != nil {
		return err
	}
	return s.open()
}

// within runs a part of the handshake that has limit to complete. Whatever goes wrong ends the session.
func (s *Session) within(limit time.Duration, late string, part func() error) error {
	timer := time.AfterFunc(limit, func() { s.Close(CodeTimeout, late) })
	err := part()
	if !timer.Stop() && err == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		return s.receiveError(err)
	}
	return nil
}

// errLink is all that anybody learns from a proof that does not hold: unknown channel, wrong proof and unknown type of proof are one case.
var errLink = errors.New("link proof failed")

// proveLink opens the control stream and exchanges link proofs on it. It returns what makes our HELLO.
func (s *Session) proveLink(ctx context.Context, hello func() Hello) (func() Hello, error) {
	b, err := newBinding(s.conn.ConnectionState().TLS, s.endpoint.node, s.peer, s.inbound)
	if err != nil {
		return nil, err
	}
	if s.inbound {
		return s.checkLink(ctx, &b)
	}
	stream, err := s.conn.OpenStream()
	if err != nil {
		return nil, err
	}
	s.control(stream)
	if err := s.write(b.proof(s.root, dialLabel)); err != nil {
		return nil, err
	}
	got, err := s.in.take(proofSize)
	if err != nil {
		return nil, err
	}
	if _, ok := b.match(got, acceptLabel, []feed.PublicKey{s.root}); !ok {
		return nil, s.fail(CodeLink, errLink)
	}
	return hello, nil
}

// checkLink is the acceptor's part of proveLink: it finds the channel that the dialer means.
func (s *Session) checkLink(ctx context.Context, b *binding) (func() Hello, error) {
	stream, err := s.conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	s.control(stream)
	got, err := s.in.take(proofSize)
	if err != nil {
		return nil, err
	}
	root, hello, ok := s.endpoint.channel(b, got)
	if !ok {
		return nil, s.fail(CodeLink, errLink)
	}
	s.root = root
	if t, ok := s.conn.Context().Value(ticketKey{}).(*ticket); ok {
		t.prove()
	}
	return hello, s.write(b.proof(root, acceptLabel))
}

// channel returns the channel that a dialer's proof is for.
func (e *Endpoint) channel(b *binding, got []byte) (feed.PublicKey, func() Hello, bool) {
	e.mu.Lock()
	channels := maps.Clone(e.channels)
	e.mu.Unlock()
	root, ok := b.match(got, dialLabel, slices.Collect(maps.Keys(channels)))
	if !ok {
		return root, nil, false
	}
	return root, channels[root].hello, true
}

// exchangeHello says HELLO and hears the peer's.
func (s *Session) exchangeHello(hello func() Hello) error {
	own := hello()
	own.Seen = s.Addr()
	if own.Wall.IsZero() {
		own.Wall = s.endpoint.cfg.Now()
	}
	b, err := appendMessage(nil, &own, &s.logs)
	if err != nil {
		return s.fail(CodeInternal, err)
	}
	if err := s.write(b); err != nil {
		return err
	}
	kind, body, err := s.nextFrame(context.Background())
	if err != nil {
		return err
	}
	if kind != typeHello {
		return fmt.Errorf("%w: the first message has type %#x, want HELLO", errMalformed, kind)
	}
	m, err := decodeMessage(specHello, body, &s.logs)
	if err == nil {
		s.hello = *m.(*Hello)
	}
	return err
}

// open makes the session one of the Endpoint's and starts its goroutine.
func (s *Session) open() error {
	if err := s.endpoint.adopt(s); err != nil {
		return err
	}
	if !s.endpoint.start(s.flush) {
		s.Close(CodeGoingAway, "the node shuts down")
		return ErrClosed
	}
	return nil
}
