package quicwire

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"tailcast/feed"
	"tailcast/feed/merkle"
	"tailcast/internal/netsim"
)

// A stranger is a QUIC client that does as the test likes.
type stranger struct {
	t    *testing.T
	conn *quic.Conn
	ctl  *quic.Stream
}

// strangerTo connects to e with a certificate of its own; the control stream is open, nothing has been sent on it.
func strangerTo(t *testing.T, pc net.PacketConn, e *Endpoint, conf *tls.Config) (*stranger, error) {
	t.Helper()
	tr := &quic.Transport{Conn: pc}
	t.Cleanup(func() { tr.Close() })
	conn, err := tr.Dial(t.Context(), net.UDPAddrFromAddrPort(e.Addr()), conf, &quic.Config{MaxIdleTimeout: time.Minute})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	ctl, err := conn.OpenStream()
	return &stranger{t, conn, ctl}, err
}

func nodeTLS(t *testing.T, name string) *tls.Config {
	cert, err := nodeCertificate(testKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return tlsConfig(cert, nil)
}

// proof returns the right link proof for the test's channel.
func (s *stranger) proof(peer *Endpoint) []byte {
	b, err := newBinding(s.conn.ConnectionState().TLS, public("stranger"), peer.Node(), false)
	if err != nil {
		s.t.Fatal(err)
	}
	return b.proof(testRoot(), dialLabel)
}

// send writes to the control stream.
func (s *stranger) send(b ...[]byte) {
	if _, err := s.ctl.Write(bytes.Join(b, nil)); err != nil {
		s.t.Log("stranger: ", err)
	}
}

// wantClosed waits for the end of the connection.
func (s *stranger) wantClosed(code Code, reason string) {
	s.t.Helper()
	select {
	case <-s.conn.Context().Done():
	case <-time.After(30 * time.Second):
		s.t.Fatalf("the connection is still there, want it closed with %v", code)
	}
	var e *Error
	err := sessionError(context.Cause(s.conn.Context()))
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Reason, reason) || !e.Remote {
		s.t.Errorf("the stranger was told %v; want %v, %q", err, code, reason)
	}
}

// hello returns a HELLO as it travels.
func hello() []byte {
	b, _ := appendMessage(nil, &Hello{Role: Viewer, Wall: time.Unix(1, 0)}, new(logNumbers))
	return b
}

// message returns a message as it travels, from somebody who has bound testLog as 1.
func message(m Message) []byte {
	b, err := appendMessage(nil, m, boundLogs())
	if err != nil {
		panic(err)
	}
	return b
}

// bind returns the NOTES that binds the numbers of boundLogs.
func bind() []byte { return message(&Notes{Logs: []LogBinding{{0, testCatalog()}, {1, testLog()}}}) }

// Whoever breaks form, time or measure loses the session, and is told why.
func TestStrangers(t *testing.T) {
	var long []byte
	for range 200 {
		long = append(long, message(&Unsub{Log: testLog()})...)
	}
	tests := map[string]struct {
		act    func(s *stranger, e *Endpoint)
		code   Code
		reason string
		within time.Duration
	}{
		"says nothing":         {func(s *stranger, e *Endpoint) {}, CodeTimeout, "no link proof within 3 s", proofTimeout},
		"half a proof":         {func(s *stranger, e *Endpoint) { s.send(s.proof(e)[:20]) }, CodeTimeout, "no link proof", proofTimeout},
		"a wrong proof":        {func(s *stranger, e *Endpoint) { s.send(make([]byte, proofSize)) }, CodeLink, "link proof failed", time.Second},
		"a proof of type 2":    {func(s *stranger, e *Endpoint) { s.send([]byte{2}, s.proof(e)[1:]) }, CodeLink, "link proof failed", time.Second},
		"HTTP":                 {func(s *stranger, e *Endpoint) { s.send([]byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")) }, CodeLink, "link proof failed", time.Second},
		"ends after its proof": {func(s *stranger, e *Endpoint) { s.send(s.proof(e)); s.ctl.Close() }, CodeMalformed, "control stream ended", time.Second},
		"no HELLO":             {func(s *stranger, e *Endpoint) { s.send(s.proof(e)) }, CodeTimeout, "no HELLO within 5 s", messageTimeout},
		"half a HELLO":         {func(s *stranger, e *Endpoint) { s.send(s.proof(e), hello()[:5]) }, CodeTimeout, "", messageTimeout},
		"not HELLO first":      {func(s *stranger, e *Endpoint) { s.send(s.proof(e), bind()) }, CodeMalformed, "want HELLO", time.Second},
		"a broken HELLO":       {func(s *stranger, e *Endpoint) { s.send(s.proof(e), []byte{1, 2, 3, 0}) }, CodeMalformed, "HELLO", time.Second},
		"a huge HELLO":         {func(s *stranger, e *Endpoint) { s.send(s.proof(e), []byte{1, 0xbf, 0xff, 0xff, 0xff}) }, CodeMalformed, "want at most", time.Second},
		"two HELLOs":           {func(s *stranger, e *Endpoint) { s.send(s.proof(e), hello(), hello()) }, CodeMalformed, "second HELLO", time.Second},
		"half a message":       {func(s *stranger, e *Endpoint) { s.send(s.proof(e), hello(), []byte{4, 8, 1}) }, CodeTimeout, "not complete", messageTimeout},
		"a message by drops": {func(s *stranger, e *Endpoint) {
			s.send(s.proof(e), hello())
			for b := []byte{4}; s.conn.Context().Err() == nil; b = []byte{60} {
				s.send(b)
				time.Sleep(time.Second)
			}
		}, CodeTimeout, "not complete", messageTimeout + 2*time.Second},
		"a log without a number": {func(s *stranger, e *Endpoint) { s.send(s.proof(e), hello(), message(&Status{Log: testLog()})) }, CodeMalformed, "log number 1 is not bound", time.Second},
		"an answer to nothing":   {func(s *stranger, e *Endpoint) { s.send(s.proof(e), hello(), message(&SubOK{Log: testLog()})) }, CodeMalformed, "not bound", time.Second},
		"a number bound twice":   {func(s *stranger, e *Endpoint) { s.send(s.proof(e), hello(), bind(), bind()) }, CodeMalformed, "log number 0, want the next, 2", time.Second},
		"65 SUBs at once": {func(s *stranger, e *Endpoint) {
			s.send(s.proof(e), hello(), bind(), bytes.Repeat(message(&Sub{Log: testLog(), Stripes: 1}), subBurst+1))
		}, CodeFlood, "too many SUBs", time.Second},
		"129 REQs at once": {func(s *stranger, e *Endpoint) {
			s.send(s.proof(e), hello(), bind(), bytes.Repeat(message(&Req{Log: testLog()}), reqBurst+1))
		}, CodeFlood, "too many REQs", time.Second},
		"17 FAULTs at once": {func(s *stranger, e *Endpoint) {
			s.send(s.proof(e), hello(), bytes.Repeat(message(&Fault{Proof: []byte{1}}), forkBurst+1))
		}, CodeFlood, "too many FORKs and FAULTs", time.Second},
		"9 NOTES at once": {func(s *stranger, e *Endpoint) {
			s.send(s.proof(e), hello(), bytes.Repeat(message(&Notes{Notes: feed.Notes{Channel: []byte("c"), Epoch: []byte("e")}}), notesBurst+1))
		}, CodeFlood, "too many NOTES", time.Second},
		"messages without end": {func(s *stranger, e *Endpoint) { s.send(s.proof(e), hello(), bind(), bytes.Repeat(long, 10)) }, CodeFlood, "too many messages", time.Second},
		"unknown types forever": {func(s *stranger, e *Endpoint) {
			s.send(s.proof(e), hello(), bytes.Repeat([]byte{0x3f, 0}, messageBurst+1))
		}, CodeFlood, "too many messages", time.Second},
		"the control stream ends": {func(s *stranger, e *Endpoint) { s.send(s.proof(e), hello()); s.ctl.Close() }, CodeMalformed, "control stream ended", time.Second},
		"the control stream is reset": {func(s *stranger, e *Endpoint) {
			s.send(s.proof(e), hello())
			time.Sleep(time.Second)
			s.ctl.CancelWrite(1)
		}, CodeMalformed, "control stream ended", 2 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := netsim.New(t, netsim.Config{Latency: time.Millisecond})
				e := newEndpoint(t, "b", n.Host(netsim.Link{}))
				takeAll(t, e)
				s, err := strangerTo(t, n.Host(netsim.Link{}), e, nodeTLS(t, "stranger"))
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				acted := make(chan struct{})
				go func() {
					defer close(acted)
					test.act(s, e)
				}()
				s.wantClosed(test.code, test.reason)
				if took := time.Since(start); took > test.within+100*time.Millisecond {
					t.Errorf("closed after %v, want %v", took, test.within)
				}
				// Nobody else has noticed.
				good := newEndpoint(t, "good", n.Host(netsim.Link{}))
				if _, err := good.Dial(t.Context(), testRoot(), e.Addr().String(), nil, Hello{}); err != nil {
					t.Errorf("another node: %v", err)
				}
				<-acted
			})
		})
	}
}

// takeAll accepts sessions of e and receives all that comes on them.
func takeAll(t *testing.T, e *Endpoint) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			s, err := e.Accept(ctx)
			if err != nil {
				return
			}
			go func() {
				for {
					if _, err := s.Receive(context.Background()); err != nil {
						return
					}
				}
			}()
			go func() {
				for {
					r, err := s.AcceptStripe(context.Background())
					if err != nil {
						return
					}
					go func() {
						for err := error(nil); err == nil; {
							_, err = r.ReadBlock()
						}
					}()
				}
			}()
			go func() {
				for {
					q, err := s.AcceptFetch(context.Background())
					if err != nil {
						return
					}
					go func() {
						if _, err := q.Read(); err == nil {
							q.Refuse(RangeRefused{Reason: RefusedNotHeld})
						}
					}()
				}
			}()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// Garbage on streams: unknown types are reset, wrong form ends the session, slowness ends the stream.
func TestGarbageOnStreams(t *testing.T) {
	blocks := testBlocks(20, 100)
	good := stripeStream(t, StripeHeader{Log: testLog(), Stripe: 3, Stripes: 8, First: 3}, blocks[3], blocks[11])
	spoil := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	last := lastBlock(t)
	edge := stripeStream(t, StripeHeader{Log: testCatalog(), Stripes: 1, First: last.Index}, last)
	const header = 5 + 8
	beyond := append(bytes.Clone(edge), edge[header:]...)
	beyond[len(edge)] = 1 // one step on from the last block that a log can have
	first := bytes.Clone(edge)
	copy(first[5:], quicvarint.Append(nil, merkle.MaxSize))
	for name, test := range map[string]struct {
		b      []byte
		open   bool // do not end the stream
		code   Code // of the session; CodeDone: it goes on
		reason string
		reset  StreamCode // of the stream, if the session goes on
	}{
		"unknown type":      {b: []byte{0x55, 1, 2, 3}, open: true, reset: StreamUnknown},
		"nothing":           {b: nil, code: CodeMalformed, reason: "ends too early"},
		"half a header":     {b: good[:3], code: CodeMalformed, reason: "ends too early"},
		"half a block":      {b: good[:100], code: CodeMalformed, reason: "ends too early"},
		"half a payload":    {b: good[:len(good)-3], code: CodeMalformed, reason: "ends too early"},
		"a log not bound":   {b: spoil(1, 9), code: CodeMalformed, reason: "log number 9"},
		"stripe 8 of 8":     {b: spoil(2, 8), code: CodeMalformed, reason: "stripe 8 of 8"},
		"not of the stripe": {b: spoil(5, 4), code: CodeMalformed, reason: "block 4 in stripe 3 of 8"},
		"begins later":      {b: spoil(6, 1), code: CodeMalformed, reason: "want 0 for the first"},
		"no record":         {b: spoil(10, 9), code: CodeMalformed, reason: "not a record"},
		"begins at 2^40-1":  {b: first, code: CodeMalformed, reason: "1099511627775 is over 1099511627774"},
		"goes on to 2^40-1": {b: beyond, code: CodeMalformed, reason: "1 steps of 1 lead beyond any log"},
		"stalls":            {b: good[:100], open: true, reset: StreamStale},
		"header stalls":     {b: good[:3], open: true, reset: StreamStale},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
				subscribe(t, child, parent, testCatalog(), 0, 1)
				subscribe(t, child, parent, testLog(), 3, 8)
				stream, err := parent.conn.OpenUniStream()
				if err != nil {
					t.Fatal(err)
				}
				stream.Write(test.b)
				if !test.open {
					stream.Close()
				}
				r := acceptStripe(t, child)
				for err == nil {
					_, err = r.ReadBlock()
				}
				if test.code == CodeDone {
					wantReset(t, err, test.reset, false)
					time.Sleep(time.Second)
					if _, err := stream.Write([]byte{1}); err == nil || child.Err() != nil {
						t.Errorf("stream: %v, session: %v", err, child.Err())
					}
					return
				}
				e := wantEnd(t, child, test.code, false)
				if !errors.Is(err, e) || !strings.Contains(e.Reason, test.reason) {
					t.Errorf("got %v and %v, want %q", err, e, test.reason)
				}
				wantEnd(t, parent, test.code, true)
			})
		})
	}
}

// lastBlock returns the last block that a log can have, unsigned.
func lastBlock(t testing.TB) StripeBlock {
	t.Helper()
	b := testBlocks(1, 10)[0]
	b.Index = merkle.MaxSize - 1
	var err error
	if b.Frontier, err = merkle.NewFrontier(b.Index, make([]merkle.Hash, merkle.PeakCount(b.Index))); err != nil {
		t.Fatal(err)
	}
	return b
}

// No index that comes from the wire leads beyond the largest tree, wherever it stands.
func TestIndexBounds(t *testing.T) {
	var c codec
	most := uint64(merkle.MaxSize)
	for name, f := range map[string]func(c *codec){
		"Range.From":  func(c *codec) { (&Range{Log: testLog(), From: most, To: most + 1}).fields(c) },
		"Range.To":    func(c *codec) { (&Range{Log: testLog(), From: most - 1, To: most + 1}).fields(c) },
		"rangeAnswer": func(c *codec) { (&rangeAnswer{from: most, to: most + 1}).fields(c) },
		"blocks":      func(c *codec) { c.indices(&[]uint64{most}) },
		"index":       func(c *codec) { c.index(&most) },
	} {
		c = codec{logs: boundLogs()}
		if f(&c); c.err == nil {
			t.Errorf("%s of 2^40-1 was taken", name)
		}
	}
	for _, v := range [][]uint64{{most, 1}, {most - 1, 2}, {most - 3, MaxBits}} {
		b := quicvarint.Append(quicvarint.Append(nil, v[0]), v[1])
		b = append(b, bytes.Repeat([]byte{0xff}, MaxBits/8)...)
		c = codec{buf: b, reading: true}
		var got []uint64
		if c.indices(&got); c.err == nil {
			t.Errorf("a bitmap of %d from %d on was read as %d blocks", v[1], v[0], len(got))
		}
	}
	st := stripeState{step: 1, first: most}
	if i, err := st.index(0); err == nil {
		t.Errorf("a stream that begins with block %d", i)
	}
}

func TestGarbageOnRanges(t *testing.T) {
	blocks := testBlocks(20, 100)
	answer := rangeStream(blocks[3:9]...)
	for name, test := range map[string]struct {
		b      []byte
		reason string
	}{
		"nothing":           {nil, "ends too early"},
		"half an answer":    {answer[:30], "ends too early"},
		"half a block":      {answer[:len(answer)-1], "ends too early"},
		"serves nothing":    {[]byte{0, 5, 5}, "serves [5, 5)"},
		"serves too much":   {[]byte{0, 5, 0x60, 0}, "serves [5, 8192)"},
		"beyond any log":    {append([]byte{0}, bytes.Repeat([]byte{0xff}, 16)...), "is over"},
		"an unknown reason": {[]byte{200, 1, 2}, "ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
				serve(t, b, func(q *RangeRequest, _ Range) {
					q.stream.Write(test.b)
					q.stream.Close()
				})
				rd, err := a.Fetch(t.Context(), Range{Log: testLog(), From: 3, To: 9})
				for err == nil {
					_, _, err = rd.ReadBlock()
				}
				if e := wantEnd(t, a, CodeMalformed, false); !strings.Contains(e.Reason, test.reason) || !errors.Is(err, e) {
					t.Errorf("got %v and %v, want %q", err, e, test.reason)
				}
				wantEnd(t, b, CodeMalformed, true)
			})
		})
	}
}

func TestGarbageOnRequests(t *testing.T) {
	request, _ := (&Range{Log: testLog(), From: 3, To: 9}).append(nil)
	for name, test := range map[string]struct {
		b      []byte
		code   Code
		reason string
	}{
		"unknown type":    {[]byte{0x20, 1}, CodeDone, ""},
		"nothing":         {nil, CodeMalformed, "ends too early"},
		"half":            {request[:8], CodeMalformed, "ends too early"},
		"no log name":     {bytes.Replace(request, []byte("tv"), []byte("t\n"), 1), CodeMalformed, "cannot name a log"},
		"backwards":       {append(request[:len(request)-4:len(request)-4], 9, 3, 0, 0), CodeMalformed, "blocks [9, 3)"},
		"a name too long": {append(request[:11:11], 33), CodeMalformed, "33 is over 32"},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
				stream, err := a.conn.OpenStream()
				if err != nil {
					t.Fatal(err)
				}
				stream.Write(test.b)
				stream.Close()
				q, err := b.AcceptFetch(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, err = q.Read()
				if test.code == CodeDone {
					wantReset(t, err, StreamUnknown, false)
					return
				}
				if e := wantEnd(t, b, test.code, false); !strings.Contains(e.Reason, test.reason) || !errors.Is(err, e) {
					t.Errorf("got %v and %v, want %q", err, e, test.reason)
				}
			})
		})
	}
}

// Streams that nobody asked for, again and again.
func TestStrayStreamsFlood(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		child.Send(&Ping{Log: testLog()}) // so that the log has a number
		receive[*Ping](t, parent)
		blocks := testBlocks(1, 10)
		pump(t, parent)
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			for parent.Err() == nil {
				w, err := parent.OpenStripe(StripeHeader{Log: testLog(), Stripes: 1})
				if err == nil {
					w.WriteBlock(&blocks[0], time.Time{})
					w.Close()
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		for n := 0; child.Err() == nil; n++ {
			if r, err := child.AcceptStripe(t.Context()); err == nil {
				r.Header()
			}
			if n > 1000 {
				t.Fatal("1000 streams that nobody asked for")
			}
		}
		wantEnd(t, child, CodeFlood, false)
		wantEnd(t, parent, CodeFlood, true)
		<-flooded
	})
}

// A peer that does not read its messages loses the session; sending never blocks.
func TestSlowPeer(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		start := time.Now()
		var err error
		for n := 0; err == nil && n < 1_000_000; n++ {
			err = a.Send(&Bye{Reason: strings.Repeat("x", 200)})
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("sending took %v", took)
		}
		wantEnd(t, a, CodeSlow, false)
		if e := wantEnd(t, b, CodeSlow, true); !strings.Contains(e.Reason, "wait to be sent") {
			t.Errorf("reason %q", e.Reason)
		}
	})
	// The same slowly: the queue never fills, but what is in it waits too long.
	simulate(t, func(t *testing.T, _ *netsim.Net, a, _ *Session) {
		var err error
		for n := 0; err == nil && n < 3000; n++ {
			err = a.Send(&Bye{Reason: strings.Repeat("x", 200)})
			time.Sleep(20 * time.Millisecond)
		}
		if e := wantEnd(t, a, CodeSlow, false); !strings.Contains(e.Reason, "could not be sent for 5s") {
			t.Errorf("reason %q", e.Reason)
		}
	})
}

func TestSessionCaps(t *testing.T) {
	g := &gate{max: 16, subnets: make(map[netip.Prefix]held)}
	from := func(addr string) *ticket {
		ctx, err := g.admit(t.Context(), &quic.ClientInfo{RemoteAddr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))})
		if err != nil {
			return nil
		}
		return ctx.Value(ticketKey{}).(*ticket)
	}
	// One subnet may have it all while there is room.
	for i := range 12 {
		if from("192.0.2.7:1") == nil {
			t.Fatalf("connection %d refused at %d of 16", i, g.total)
		}
		if i < 11 && g.retry(nil) {
			t.Errorf("Retry at %d of 16", g.total)
		}
	}
	if !g.retry(nil) {
		t.Error("no Retry at 12 of 16")
	}
	if from("192.0.2.200:1") != nil {
		t.Error("a /24 with over a quarter of the sessions gets another at 75 % load")
	}
	v6 := from("[2001:db8:1:2::1]:1")
	if v6 == nil || from("198.51.100.1:1") == nil || from("[2001:db8:2::1]:1") == nil || from("[2001:db8:3::1]:1") == nil {
		t.Error("another subnet is refused")
	}
	if from("203.0.113.1:1") != nil {
		t.Error("a 17th connection")
	}
	v6.release()
	if from("203.0.113.1:1") == nil {
		t.Error("no room after one has left")
	}
}

func TestUnprovenCap(t *testing.T) {
	g := &gate{max: 1000, subnets: make(map[netip.Prefix]held)}
	take := func(addr string) *ticket {
		tk := &ticket{gate: g, subnet: subnetOf(netip.MustParseAddr(addr))}
		if !tk.take() {
			return nil
		}
		return tk
	}
	var tickets []*ticket
	for i := range maxUnproven / 2 {
		if got, want := g.retry(nil), i >= retryUnproven; got != want {
			t.Errorf("with %d unproven connections, Retry is %v", i, got)
		}
		tickets = append(tickets, take("192.0.2.1"))
	}
	if take("192.0.2.99") != nil {
		t.Error("a /24 that holds half of the places gets another")
	}
	for i := range maxUnproven / 2 {
		tickets = append(tickets, take(netip.AddrFrom4([4]byte{198, 51, byte(i), 1}).String()))
	}
	if slices.Contains(tickets, nil) {
		t.Error("a connection is refused while there is room")
	}
	if take("203.0.113.1") != nil {
		t.Error("one connection too many")
	}
	tickets[0].prove()
	tickets[0].prove()
	if g.unproven != maxUnproven-1 {
		t.Errorf("%d unproven after one proof", g.unproven)
	}
	for _, tk := range tickets {
		tk.release()
	}
	if g.total != 0 || g.unproven != 0 || len(g.subnets) != 0 {
		t.Errorf("in the end %d, %d unproven, %v", g.total, g.unproven, g.subnets)
	}
}

func TestFullEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 5 * time.Millisecond})
		b, err := New(Config{Conn: n.Host(netsim.Link{}), MaxSessions: 4})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		b.Register(testRoot(), func() Hello { return Hello{} })
		var first *Session
		for i := range 4 {
			// With Retry from three on: the addresses are real, so all get in.
			s, err := newEndpoint(t, string(rune('c'+i)), n.Host(netsim.Link{})).Dial(t.Context(), testRoot(), b.Addr().String(), nil, Hello{})
			if err != nil {
				t.Fatalf("session %d: %v", i, err)
			}
			if i == 0 {
				first = s
			}
			b.Accept(t.Context())
		}
		late := newEndpoint(t, "late", n.Host(netsim.Link{}))
		if _, err := late.Dial(t.Context(), testRoot(), b.Addr().String(), nil, Hello{}); !errors.Is(err, &Error{Code: CodeBusy}) {
			t.Errorf("a fifth session: %v", err)
		}
		first.Close(CodeDone, "")
		time.Sleep(time.Second)
		if _, err := late.Dial(t.Context(), testRoot(), b.Addr().String(), nil, Hello{}); err != nil {
			t.Errorf("after one has left: %v", err)
		}
	})
}

// Sessions that carry nothing make room for newcomers, one by one; young ones and used ones stay.
func TestIdleSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 5 * time.Millisecond})
		b, err := New(Config{Conn: n.Host(netsim.Link{}), MaxSessions: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		b.Register(testRoot(), func() Hello { return Hello{} })
		dial := func(name string) (*Session, error) {
			s, err := newEndpoint(t, name, n.Host(netsim.Link{})).Dial(t.Context(), testRoot(), b.Addr().String(), nil, Hello{})
			if err == nil {
				_, err = b.Accept(t.Context())
			}
			return s, err
		}
		var all []*Session
		for _, name := range []string{"c", "d", "e"} {
			s, err := dial(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
			time.Sleep(time.Second)
		}
		if _, err := dial("early"); !errors.Is(err, &Error{Code: CodeBusy}) {
			t.Errorf("a fourth session within 30 s: %v", err)
		}
		time.Sleep(idleSession)
		b.mu.Lock()
		for _, s := range b.sessions {
			if s.peer == public("c") {
				s.stats.sent.media.Add(1)
			}
		}
		b.mu.Unlock()
		if _, err := dial("late"); !errors.Is(err, &Error{Code: CodeBusy}) {
			t.Errorf("a fourth session while the others are there: %v", err)
		}
		wantEnd(t, all[1], CodeBusy, true)
		if _, err := dial("later"); err != nil || all[0].Err() != nil || all[2].Err() != nil {
			t.Errorf("in the place of the idle one: %v; the others: %v, %v", err, all[0].Err(), all[2].Err())
		}
	})
}

func TestNobodyAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{})
		a, b := newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{}))
		s, err := a.Dial(t.Context(), testRoot(), b.Addr().String(), nil, Hello{})
		if err != nil {
			t.Fatal(err)
		}
		wantEnd(t, s, CodeBusy, true)
	})
}

func TestCertificates(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ec.Public(), ec)
	if err != nil {
		t.Fatal(err)
	}
	node, _ := nodeCertificate(testKey("stranger"))
	large := *template
	large.DNSNames = []string{strings.Repeat("x", maxCertificate)}
	largeDER, err := x509.CreateCertificate(rand.Reader, &large, &large, testKey("stranger").Public(), testKey("stranger"))
	if err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string]tls.Certificate{
		"none":    {},
		"ECDSA":   {Certificate: [][]byte{der}, PrivateKey: ec},
		"a chain": {Certificate: [][]byte{node.Certificate[0], node.Certificate[0]}, PrivateKey: node.PrivateKey},
		"large":   {Certificate: [][]byte{largeDER}, PrivateKey: node.PrivateKey},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := netsim.New(t, netsim.Config{})
			e := newEndpoint(t, "b", n.Host(netsim.Link{}))
			conf := tlsConfig(cert, nil)
			if name == "none" {
				conf.Certificates = nil
			}
			s, err := strangerTo(t, n.Host(netsim.Link{}), e, conf)
			if err != nil {
				t.Fatal(name, err)
			}
			// TLS 1.3: the client learns of it after its handshake.
			s.wantClosed(CodeTLS, "")
		})
	}
	conf := nodeTLS(t, "stranger")
	conf.NextProtos = []string{"tailcast/2"}
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{})
		_, err := strangerTo(t, n.Host(netsim.Link{}), newEndpoint(t, "b", n.Host(netsim.Link{})), conf)
		if !errors.Is(sessionError(err), &Error{Code: CodeVersion}) && err == nil {
			t.Errorf("another version: %v", err)
		}
	})
}

func TestWindowBudget(t *testing.T) {
	b := windowBudget{left: 100, parents: make(map[*quic.Conn]int), grown: make(map[*quic.Conn]int64)}
	one, two := new(quic.Conn), new(quic.Conn)
	if b.allow(one, 10) {
		t.Error("the window of a peer from whom we want nothing grows")
	}
	b.want(one, 1)
	b.want(two, 1)
	if !b.allow(one, 60) || b.allow(two, 60) || !b.allow(two, 40) || b.allow(two, 1) {
		t.Error("100 bytes are not shared out as 60 and 40")
	}
	b.want(two, -1)
	b.forget(one)
	if b.left != 60 || b.allow(two, 10) {
		t.Errorf("%d left after the first has gone, want 60", b.left)
	}
	b.forget(two)
	if b.left != 100 || len(b.parents)+len(b.grown) != 0 {
		t.Errorf("in the end %+v", &b)
	}
}

// With subscriptions, the windows follow the path: more than 256 KiB under way at 50 ms, so over 40 Mbit/s.
func TestWindowsGrowForParents(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		blocks := testBlocks(200, 65536)
		pumpMessages := func(s *Session) { pump(t, s) }
		subscribe(t, child, parent, testLog(), 0, 1)
		pumpMessages(parent)
		start := time.Now()
		go func() {
			w, err := parent.OpenStripe(StripeHeader{Log: testLog(), Stripes: 1})
			for i := 0; err == nil && i < len(blocks); i++ {
				err = w.WriteBlock(&blocks[i], time.Time{})
			}
			if err == nil {
				w.Close()
			}
		}()
		r := acceptStripe(t, child)
		for err := error(nil); err == nil; {
			_, err = r.ReadBlock()
		}
		rate := float64(len(blocks)*65536*8) / time.Since(start).Seconds() / 1e6
		if rate < 40 {
			t.Errorf("%.0f Mbit/s, want at least 40", rate)
		}
	})
}
