package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"testing"

	"tailcast/feed"
	"tailcast/quicwire"
)

// endpoint returns one on loopback with a key of its own, registered for roots.
func endpoint(t *testing.T, roots ...feed.PublicKey) *quicwire.Endpoint {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := quicwire.New(quicwire.Config{Conn: conn, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		e.Register(root, func() quicwire.Hello { return quicwire.Hello{Role: Relay} })
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func newRoot(t *testing.T) feed.PublicKey {
	t.Helper()
	key, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return feed.PublicKey(key)
}

// dial makes a session from an endpoint of its own.
func dial(t *testing.T, to *quicwire.Endpoint, root feed.PublicKey) *quicwire.Session {
	t.Helper()
	s, err := endpoint(t).Dial(t.Context(), root, to.Addr().String(), nil, quicwire.Hello{Role: Viewer})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantCode(t *testing.T, s *quicwire.Session, want quicwire.Code) {
	t.Helper()
	<-s.Done()
	wantError(t, s.Err(), want)
}

func wantError(t *testing.T, err error, want quicwire.Code) {
	t.Helper()
	var e *quicwire.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("the session ended with %v, want %v", err, want)
	}
}

// refused wants a session to be ended with that code, as soon as it is there or before.
func refused(t *testing.T, by *quicwire.Endpoint, root feed.PublicKey, want quicwire.Code) {
	t.Helper()
	s, err := endpoint(t).Dial(t.Context(), root, by.Addr().String(), nil, quicwire.Hello{Role: Viewer})
	if err != nil {
		wantError(t, err, want)
		return
	}
	wantCode(t, s, want)
}

// Sessions go to the channel that they are for, in whatever order they come; who is for a channel that has left is told.
func TestRouterHandsSessionsToTheirChannels(t *testing.T) {
	a, b, gone := newRoot(t), newRoot(t), newRoot(t)
	e := endpoint(t, a, b, gone)
	r := newRouter(e.Accept)
	acceptA, leaveA, _ := r.join(a)
	acceptB, leaveB, _ := r.join(b)
	defer leaveB()
	if _, _, ok := r.join(a); ok {
		t.Error("a channel has joined twice")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	for range 3 {
		refused(t, e, gone, quicwire.CodeInternal)
		toB, toA := dial(t, e, b), dial(t, e, a)
		for root, accept := range map[feed.PublicKey]func(context.Context) (*quicwire.Session, error){a: acceptA, b: acceptB} {
			if s, err := accept(t.Context()); err != nil || s.Root() != root {
				t.Fatalf("got %v, %v, want a session of the channel", s, err)
			}
		}
		toA.Close(quicwire.CodeGoingAway, "")
		toB.Close(quicwire.CodeGoingAway, "")
	}
	leaveA()
	refused(t, e, a, quicwire.CodeInternal)
	if _, _, ok := r.join(a); !ok {
		t.Error("a channel that has left cannot join again")
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("run ended with %v", err)
	}
	if _, err := acceptB(t.Context()); !errors.Is(err, quicwire.ErrClosed) {
		t.Errorf("when nobody hands out sessions any more: got %v, want ErrClosed", err)
	}
}

// A channel that takes no sessions holds up nobody else; those that wait for it end when it leaves.
func TestRouterQueuesAreBounded(t *testing.T) {
	stuck, other := newRoot(t), newRoot(t)
	e := endpoint(t, stuck, other)
	r := newRouter(e.Accept)
	_, leave, _ := r.join(stuck)
	accept, _, _ := r.join(other)
	go func() { _ = r.run(t.Context()) }()
	var waiting []*quicwire.Session
	for range maxWaiting {
		waiting = append(waiting, dial(t, e, stuck))
	}
	dial(t, e, other)
	if _, err := accept(t.Context()); err != nil { // and so all before it are where they belong
		t.Fatal(err)
	}
	refused(t, e, stuck, quicwire.CodeBusy)
	for _, s := range waiting {
		if s.Err() != nil {
			t.Fatalf("a session that waits has ended: %v", s.Err())
		}
	}
	leave()
	for _, s := range waiting {
		wantCode(t, s, quicwire.CodeGoingAway)
	}
}
