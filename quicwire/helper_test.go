package quicwire

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
	"tailcast/internal/netsim"
)

// testKey returns the private key made of a name.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// public returns the public half of the key made of a name.
func public(name string) feed.PublicKey {
	return feed.PublicKey(testKey(name).Public().(ed25519.PublicKey))
}

// testRoot is the channel of most tests, testLog one of its logs.
func testRoot() feed.PublicKey { return public("root") }
func testLog() LogID           { return LogID{public("epoch").EpochID(), "tv"} }
func testCatalog() LogID       { return LogID{public("epoch").EpochID(), feed.CatalogLog} }

// loopback returns a UDP socket on 127.0.0.1.
func loopback(t testing.TB) net.PacketConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// newEndpoint returns an endpoint whose node key is made of name, registered for testRoot. It is closed with the test.
func newEndpoint(t testing.TB, name string, conn net.PacketConn) *Endpoint {
	t.Helper()
	e, err := New(Config{Conn: conn, Key: testKey(name), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e.Register(testRoot(), func() Hello { return Hello{Role: Streamer} })
	t.Cleanup(func() { e.Close() })
	return e
}

// connect dials b from a and returns the session of either.
func connect(t testing.TB, a, b *Endpoint) (dialled, accepted *Session) {
	t.Helper()
	node := b.Node()
	dialled, err := a.Dial(t.Context(), testRoot(), b.Addr().String(), &node, Hello{Role: Viewer})
	if err != nil {
		t.Fatal("dial: ", err)
	}
	accepted, err = b.Accept(t.Context())
	if err != nil {
		t.Fatal("accept: ", err)
	}
	return dialled, accepted
}

// simulate runs f with the two ends of a session in virtual time, one way taking 25 ms.
func simulate(t *testing.T, f func(t *testing.T, n *netsim.Net, a, b *Session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 25 * time.Millisecond})
		a, b := connect(t, newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{})))
		f(t, n, a, b)
	})
}

// wantEnd waits for the end of s and checks who ended it and with which code.
func wantEnd(t *testing.T, s *Session, code Code, remote bool) *Error {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatalf("session did not end, want %v", code)
	}
	var e *Error
	if !errors.As(s.Err(), &e) || e.Code != code || e.Remote != remote {
		t.Fatalf("session ended with %v; want code %v, remote %v", s.Err(), code, remote)
	}
	return e
}

// receive returns the next message of s.
func receive[M Message](t *testing.T, s *Session) M {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, err := s.Receive(ctx)
	if err != nil {
		t.Fatal("receive: ", err)
	}
	got, ok := m.(M)
	if !ok {
		t.Fatalf("received %T, want %T", m, got)
	}
	return got
}

// pump lets s receive messages until it ends, so that what the session does by itself happens.
func pump(t *testing.T, s *Session) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := s.Receive(context.Background()); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		s.Close(CodeDone, "")
		<-done
	})
}

// testBlocks returns n signed blocks of testLog with payloads of size bytes, ten to a segment, and the frontier before each.
func testBlocks(n, size int) []StripeBlock {
	epoch := testKey("epoch")
	origin := feed.Origin(testRoot(), testLog().Epoch, testLog().Name)
	blocks := make([]StripeBlock, n)
	var f merkle.Frontier
	for i := range blocks {
		payload := make([]byte, size)
		for j := range payload {
			payload[j] = byte(i*7 + j)
		}
		r := feed.Record{
			Kind: feed.Media, Length: uint32(size), Wall: int64(i), Segment: uint32(i / 10), Back: uint32(i % 10),
			Offset: uint64(i * size), Hash: sha256.Sum256(payload),
		}
		if r.Back == 0 {
			r.Flags = feed.SegmentFirst | feed.RandomAccess
		}
		blocks[i] = StripeBlock{Frontier: f}
		f.Append(r.Leaf())
		head := feed.SignHead(epoch, origin, f.Size(), f.Root())
		blocks[i].Block = feed.Block{Index: uint64(i), Record: r, Signature: head.Signature, Payload: payload}
	}
	return blocks
}

// verify checks that b, with its frontier, makes the root that its signature is for.
func verify(t *testing.T, b feed.Block, f merkle.Frontier) {
	t.Helper()
	if err := b.Record.CheckPayload(b.Payload); err != nil {
		t.Errorf("block %d: %v", b.Index, err)
	}
	f.Append(b.Record.Leaf())
	head := feed.Head{Size: b.Index + 1, Root: f.Root(), Signature: b.Signature}
	if !head.Verify(public("epoch"), feed.Origin(testRoot(), testLog().Epoch, testLog().Name)) {
		t.Errorf("block %d: its signature is not for the root that its frontier makes", b.Index)
	}
}
