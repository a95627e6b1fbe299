package quicwire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"tailcast/feed"
	"tailcast/internal/netsim"
)

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 25 * time.Millisecond})
		a, b := newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{}))
		notes := feed.Notes{Channel: []byte("channel"), Epoch: []byte("epoch")}
		b.Register(testRoot(), func() Hello { return Hello{Role: Relay, Flags: Metered, Limits: Limits{3, 4, 5}, Notes: notes} })
		start := time.Now()
		sa, sb := connect(t, a, b)
		// TLS one round trip, link proof and HELLO another.
		if took := time.Since(start); took > 130*time.Millisecond {
			t.Errorf("a session over an RTT of 50 ms took %v, want two round trips and a half at most", took)
		}
		if sa.Peer() != public("b") || sb.Peer() != public("a") || sa.Inbound() || !sb.Inbound() {
			t.Errorf("peers %v and %v, inbound %v and %v", sa.Peer(), sb.Peer(), sa.Inbound(), sb.Inbound())
		}
		if sa.Root() != testRoot() || sb.Root() != testRoot() {
			t.Errorf("roots %v and %v", sa.Root(), sb.Root())
		}
		want := Hello{Role: Relay, Flags: Metered, Limits: Limits{3, 4, 5}, Notes: notes, Seen: a.Addr(), Wall: sa.Hello().Wall}
		if !reflect.DeepEqual(sa.Hello(), want) {
			t.Errorf("dialler heard %+v, want %+v", sa.Hello(), want)
		}
		if got := time.Since(sa.Hello().Wall); got < 0 || got > time.Second {
			t.Errorf("the peer's clock is %v behind", got)
		}
		if rtt := sa.RTT(); rtt < 49*time.Millisecond || rtt > 60*time.Millisecond {
			t.Errorf("RTT %v, want 50 ms", rtt)
		}
		if sa.Addr() != b.Addr() || sb.Addr() != a.Addr() {
			t.Errorf("addresses %v and %v", sa.Addr(), sb.Addr())
		}
	})
}

func TestSessionOnLoopback(t *testing.T) {
	a, b := newEndpoint(t, "a", loopback(t)), newEndpoint(t, "b", loopback(t))
	sa, sb := connect(t, a, b)
	if err := sa.Send(&Sub{Log: testLog(), Stripe: 1, Stripes: 8}); err != nil {
		t.Fatal(err)
	}
	if got := receive[*Sub](t, sb); got.Log != testLog() || got.Stripe != 1 {
		t.Errorf("received %+v", got)
	}
	sb.Close(CodeShunned, "for a test")
	if e := wantEnd(t, sa, CodeShunned, true); e.Reason != "for a test" {
		t.Errorf("reason %q", e.Reason)
	}
	wantEnd(t, sb, CodeShunned, false)
}

func TestMessagesBothWays(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		// Either end numbers logs for itself: here in another order.
		a.Send(&Sub{Log: testLog(), Stripe: 3, Stripes: 8})
		b.Send(&Status{Log: testCatalog(), Size: 1})
		b.Send(&Status{Log: testLog(), Size: 2})
		receive[*Sub](t, b)
		b.Send(&SubOK{Log: testLog(), Stripe: 3, First: 11})
		if got := receive[*Status](t, a); got.Log != testCatalog() {
			t.Errorf("first status is of %v", got.Log)
		}
		if got := receive[*Status](t, a); got.Log != testLog() {
			t.Errorf("second status is of %v", got.Log)
		}
		if got := receive[*SubOK](t, a); got.Log != testLog() || got.First != 11 {
			t.Errorf("got %+v", got)
		}
		if err := a.Send(&SubOK{Log: testCatalog()}); err == nil {
			// b has numbered the catalog, so this can be said; nobody else could.
			receive[*SubOK](t, b)
		}
		other := LogID{testLog().Epoch, "radio"}
		if err := a.Send(&SubOK{Log: other}); err == nil || !strings.Contains(err.Error(), "not asked") {
			t.Errorf("an answer about a log that the peer has not asked for: %v", err)
		}
		b.Send(&Notes{Notes: feed.Notes{Channel: []byte("c")}})
		if got := receive[*Notes](t, a); string(got.Notes.Channel) != "c" || got.Logs != nil {
			t.Errorf("got %+v", got)
		}
	})
}

func TestReceiveGivesUpWithItsContext(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("receive: %v", err)
		}
		if _, err := a.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("receive with a context that has ended: %v", err)
		}
		b.Send(&Ping{ID: 7, Log: testLog()})
		if got := receive[*Ping](t, a); got.ID != 7 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestPinning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 5 * time.Millisecond})
		a, b := newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{}))
		other := public("c")
		_, err := a.Dial(t.Context(), testRoot(), b.Addr().String(), &other, Hello{})
		if !errors.Is(err, &Error{Code: CodeTLS}) || !strings.Contains(err.Error(), "another key") {
			t.Errorf("dial with another node's key: %v", err)
		}
		if _, err := a.Dial(t.Context(), testRoot(), b.Addr().String(), nil, Hello{}); err != nil {
			t.Errorf("dial without a node key: %v", err)
		}
		_, err = a.Dial(t.Context(), testRoot(), a.Addr().String(), nil, Hello{})
		if !errors.Is(err, &Error{Code: CodeSelf}) {
			t.Errorf("dial of oneself: %v", err)
		}
	})
}

func TestWrongLinkLooksLikeUnknownChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 5 * time.Millisecond})
		a := newEndpoint(t, "a", n.Host(netsim.Link{}))
		serving, empty := newEndpoint(t, "b", n.Host(netsim.Link{})), newEndpoint(t, "c", n.Host(netsim.Link{}))
		empty.Register(testRoot(), nil)()
		fail := func(to *Endpoint, root feed.PublicKey) string {
			start := time.Now()
			_, err := a.Dial(t.Context(), root, to.Addr().String(), nil, Hello{})
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeLink || !e.Remote {
				t.Fatalf("dial: %v, want the peer to refuse the link", err)
			}
			return fmt.Sprint(e, time.Since(start))
		}
		want := fail(serving, public("another root"))
		if got := fail(empty, testRoot()); got != want {
			t.Errorf("unknown channel: %s\nwrong proof: %s", got, want)
		}
	})
}

func TestUnregister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{})
		a, b := newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{}))
		unregister := b.Register(public("second"), func() Hello { return Hello{Role: Viewer} })
		s, err := a.Dial(t.Context(), public("second"), b.Addr().String(), nil, Hello{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Root() != public("second") || s.Hello().Role != Viewer {
			t.Errorf("session for %v with %v", s.Root(), s.Hello())
		}
		unregister()
		if _, err := a.Dial(t.Context(), public("second"), b.Addr().String(), nil, Hello{}); !errors.Is(err, &Error{Code: CodeLink}) {
			t.Errorf("dial of a channel that is gone: %v", err)
		}
		if s.Err() != nil {
			t.Errorf("the session before: %v", s.Err())
		}
	})
}

func TestDialNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{})
		a, b := newEndpoint(t, "a", n.Host(netsim.Link{})), n.Host(netsim.Link{})
		b.Cut(true)
		start := time.Now()
		_, err := a.Dial(t.Context(), testRoot(), b.AddrPort().String(), nil, Hello{})
		if !errors.Is(err, &Error{Code: CodeLost}) || time.Since(start) > 7*time.Second {
			t.Errorf("dial of nobody: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Dial(ctx, testRoot(), b.AddrPort().String(), nil, Hello{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial with a context of a second: %v", err)
		}
		for _, addr := range []string{"", "nonsense", "1.2.3.4", "1.2.3.4:port"} {
			if _, err := a.Dial(t.Context(), testRoot(), addr, nil, Hello{}); err == nil {
				t.Errorf("dial of %q succeeds", addr)
			}
		}
	})
}

func TestOneSessionForEachPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 10 * time.Millisecond})
		a, b := newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{}))
		first, _ := connect(t, a, b)
		second, _ := connect(t, a, b)
		wantEnd(t, first, CodeDuplicate, first.Err().(*Error).Remote)
		// Long after, whoever dials again has forgotten the session before.
		time.Sleep(crossing)
		third, _ := connect(t, b, a)
		wantEnd(t, second, CodeDuplicate, second.Err().(*Error).Remote)
		if third.Err() != nil {
			t.Error(third.Err())
		}
	})
}

func TestMutualDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 10 * time.Millisecond})
		a, b := newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{}))
		sessions := make(chan *Session, 4)
		collect := func(s *Session, err error) {
			if err != nil {
				s = nil
			}
			sessions <- s
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() { collect(a.Dial(ctx, testRoot(), b.Addr().String(), nil, Hello{})) }()
		go func() { collect(b.Dial(ctx, testRoot(), a.Addr().String(), nil, Hello{})) }()
		go func() { collect(a.Accept(ctx)) }()
		go func() { collect(b.Accept(ctx)) }()
		var open []*Session
		for range 4 {
			if s := <-sessions; s != nil {
				open = append(open, s)
			}
		}
		time.Sleep(time.Second)
		smaller := public("a")
		if larger := public("b"); bytes.Compare(larger[:], smaller[:]) < 0 {
			smaller = larger
		}
		left := 0
		for _, s := range open {
			if s.Err() == nil {
				left++
				if s.Peer() == smaller != s.Inbound() {
					t.Errorf("the session that the larger key dialled is left")
				}
			} else if !errors.Is(s.Err(), &Error{Code: CodeDuplicate}) {
				t.Errorf("a session ended with %v", s.Err())
			}
		}
		if left != 2 {
			t.Errorf("%d ends of sessions are left, want the 2 of one session", left)
		}
	})
}

func TestShutdown(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		referral := Referral{public("c"), netip.MustParseAddrPort("192.0.2.1:443")}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			b.Shutdown(ctx, &Bye{Reason: "update", Leaving: 10 * time.Second, Referrals: []Referral{referral}})
		}()
		got := receive[*Bye](t, a)
		want := &Bye{Reason: "update", Leaving: 10 * time.Second, Referrals: []Referral{referral}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		// The one who leaves goes on serving; the other one closes when it has found somebody else.
		if err := a.Send(&Ping{Log: testLog()}); err != nil {
			t.Error(err)
		}
		receive[*Ping](t, b)
		a.Close(CodeDone, "")
		wantEnd(t, b, CodeDone, true)
	})
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b.Shutdown(ctx, &Bye{Reason: "update"})
		wantEnd(t, a, CodeGoingAway, true)
	})
}

func TestEndpointClose(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		if err := b.endpoint.Close(); err != nil {
			t.Error(err)
		}
		wantEnd(t, b, CodeGoingAway, false)
		wantEnd(t, a, CodeGoingAway, true)
		if _, err := b.endpoint.Accept(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("accept: %v", err)
		}
		if _, err := b.endpoint.Dial(t.Context(), testRoot(), a.endpoint.Addr().String(), nil, Hello{}); !errors.Is(err, ErrClosed) {
			t.Errorf("dial: %v", err)
		}
		if err := b.Send(&Ping{Log: testLog()}); !errors.Is(err, &Error{Code: CodeGoingAway}) {
			t.Errorf("send: %v", err)
		}
	})
}

func TestPeerVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{})
		host := n.Host(netsim.Link{})
		a, b := newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", host)
		s, _ := connect(t, a, b)
		time.Sleep(time.Minute)
		if s.Err() != nil {
			t.Fatalf("a silent session ended: %v", s.Err())
		}
		host.Cut(true)
		start := time.Now()
		wantEnd(t, s, CodeLost, false)
		if took := time.Since(start); took > idleTimeout+keepAlive {
			t.Errorf("noticed after %v", took)
		}
	})
}

// A mute is a socket from which nothing comes out, once told so.
type mute struct {
	net.PacketConn
	silent atomic.Bool
}

func (m *mute) WriteTo(p []byte, to net.Addr) (int, error) {
	if m.silent.Load() {
		return len(p), nil
	}
	return m.PacketConn.WriteTo(p, to)
}

// A node that was killed and is back with its key tells its former peers at their next packet (stateless reset).
func TestRestart(t *testing.T) {
	a, socket := newEndpoint(t, "a", loopback(t)), &mute{PacketConn: loopback(t)}
	b := newEndpoint(t, "b", socket)
	s, _ := connect(t, a, b)
	socket.silent.Store(true)
	b.Close()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(b.Addr()))
	if err != nil {
		t.Skip("somebody has taken the port: ", err)
	}
	newEndpoint(t, "b", conn)
	// A short packet gets no reset (RFC 9000, section 10.3).
	s.Send(&Bye{Reason: strings.Repeat("x", 100)})
	if e := wantEnd(t, s, CodeLost, true); !strings.Contains(e.Reason, "restarted") {
		t.Errorf("reason %q", e.Reason)
	}
}

// Who listens on the path learns neither names nor tickets.
func TestClientHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{})
		a, host := newEndpoint(t, "a", n.Host(netsim.Link{})), n.Host(netsim.Link{})
		hello := make(chan *tls.ClientHelloInfo, 1)
		conf := nodeTLS(t, "b")
		conf.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			hello <- h
			return nil, errors.New("enough")
		}
		tr := &quic.Transport{Conn: host}
		defer tr.Close()
		if _, err := tr.Listen(conf, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Dial(t.Context(), testRoot(), host.AddrPort().String(), nil, Hello{}); !errors.Is(err, &Error{Code: CodeTLS}) {
			t.Errorf("dial: %v", err)
		}
		h := <-hello
		if h.ServerName != "" || !slices.Equal(h.SupportedProtos, []string{ALPN}) || slices.Contains(h.Extensions, 41) {
			t.Errorf("server name %q, protocols %q, extensions %d", h.ServerName, h.SupportedProtos, h.Extensions)
		}
	})
}

// What a later version adds is skipped: messages of other types, and fields at the end.
func TestLaterVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{})
		e := newEndpoint(t, "b", n.Host(netsim.Link{}))
		s, err := strangerTo(t, n.Host(netsim.Link{}), e, nodeTLS(t, "stranger"))
		if err != nil {
			t.Fatal(err)
		}
		longer := func(b []byte) []byte { return append(append([]byte{b[0], b[1] + 3}, b[2:]...), 1, 2, 3) }
		s.send(s.proof(e), longer(hello()), []byte{0x3e, 2, 9, 9}, bind(), longer(message(&Unsub{Log: testLog(), Stripe: 3})))
		in, err := e.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := receive[*Unsub](t, in); got.Log != testLog() || got.Stripe != 3 {
			t.Errorf("got %+v", got)
		}
	})
}

// A stranger's words can neither steer a terminal nor turn the direction of writing.
func TestCleanReason(t *testing.T) {
	for in, want := range map[string]string{
		"two words, ünïcödé":           "two words, ünïcödé",
		"a\x1b[31mb\nc\x7f":            "a [31mb c ",
		"C1 \u009b31m":                 "C1  31m",
		"a\u202eb\u2066c\u200bd\ufeff": "a b c d ",
		"\xff":                         "?",
	} {
		if got := cleanReason(in); got != want {
			t.Errorf("cleanReason(%q) = %q, want %q", in, got, want)
		}
	}
}

// After MOVED streams of the stripe are as unasked for as after SUBNO.
func TestMovedEndsSubscription(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		subscribe(t, child, parent, testLog(), 3, 8)
		h := &StripeHeader{Log: testLog(), Stripe: 3, Stripes: 8, First: 3}
		if !child.expects(h) {
			t.Error("a stream is not expected after SUB")
		}
		parent.Send(&Moved{Log: testLog(), Stripe: 3, Reason: Shed})
		receive[*Moved](t, child)
		if child.expects(h) {
			t.Error("a stream is expected after MOVED")
		}
	})
}

// Two nodes with one key, copies of one data directory, are two sessions for who dials both.
func TestTwoNodesWithOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 10 * time.Millisecond})
		a := newEndpoint(t, "a", n.Host(netsim.Link{}))
		b, copied := newEndpoint(t, "b", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{}))
		first, _ := connect(t, a, b)
		second, _ := connect(t, a, copied)
		time.Sleep(time.Second)
		if first.Err() != nil || second.Err() != nil {
			t.Errorf("the sessions ended with %v and %v", first.Err(), second.Err())
		}
		third, _ := connect(t, a, copied)
		wantEnd(t, second, CodeDuplicate, second.Err().(*Error).Remote)
		if first.Err() != nil || third.Err() != nil {
			t.Errorf("the sessions ended with %v and %v", first.Err(), third.Err())
		}
	})
}
