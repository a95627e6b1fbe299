package lan

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"

	"tailcast/discovery"
)

// These tests speak real multicast DNS, on the loopback interface.

func loopback(t *testing.T) net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 })
	if i < 0 {
		t.Skip("needs a loopback interface")
	}
	return all[i]
}

var group = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}

// A foreigner speaks multicast DNS too, with another parser.
type foreigner struct {
	t    *testing.T
	conn *net.UDPConn
}

// listen skips the test where multicast does not come back on loopback.
func listen(t *testing.T) *foreigner {
	t.Helper()
	lo := loopback(t)
	conn, err := net.ListenMulticastUDP("udp4", &lo, group)
	if err != nil {
		t.Skipf("needs multicast on loopback: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	p := ipv4.NewPacketConn(conn)
	if err := errorOf(p.SetMulticastInterface(&lo), p.SetMulticastLoopback(true)); err != nil {
		t.Skipf("needs multicast on loopback: %v", err)
	}
	f := &foreigner{t, conn}
	hello := []byte("tailcast test")
	f.send(hello)
	if f.read(2*time.Second, func(b []byte) bool { return bytes.Equal(b, hello) }) == nil {
		t.Skip("needs multicast on loopback: what is sent there does not come back")
	}
	return f
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *foreigner) send(packet []byte) {
	f.t.Helper()
	if _, err := f.conn.WriteTo(packet, group); err != nil {
		f.t.Fatal(err)
	}
}

// read returns the first packet that want wants; nil if none comes in time.
func (f *foreigner) read(within time.Duration, want func([]byte) bool) []byte {
	f.t.Helper()
	if err := f.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		f.t.Fatal(err)
	}
	buf := make([]byte, 65536)
	for {
		n, err := f.conn.Read(buf)
		if err != nil {
			return nil
		}
		if want(buf[:n]) {
			return slices.Clone(buf[:n])
		}
	}
}

func (f *foreigner) ask() {
	f.t.Helper()
	q := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName("_tailcast._udp.local."), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET,
	}}}
	b, err := q.Pack()
	if err != nil {
		f.t.Fatal(err)
	}
	f.send(b)
}

// announced returns the records of an answer about the instance with that TXT string, and how long they are good for.
func announced(packet []byte, txt string) (all []dnsmessage.Resource, ttl uint32) {
	var m dnsmessage.Message
	if m.Unpack(packet) != nil || !m.Response {
		return nil, 0
	}
	all = append(m.Answers, m.Additionals...)
	for _, r := range all {
		if body, ok := r.Body.(*dnsmessage.TXTResource); ok && slices.Contains(body.TXT, txt) {
			return all, r.Header.TTL
		}
	}
	return nil, 0
}

// onLoopback runs a Source with a root key of the test's own, until stop.
func onLoopback(t *testing.T, root, node []byte, port uint16, cfg Config) (found <-chan discovery.Found, stop func()) {
	t.Helper()
	lo := loopback(t)
	cfg.Root, cfg.Node, cfg.Listen = root, node, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	cfg.Interfaces = func() ([]net.Interface, error) { return []net.Interface{lo}, nil }
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	queue, done := make(chan discovery.Found, 100), make(chan error, 1)
	go func() { done <- New(cfg).Run(ctx, func(f discovery.Found) { queue <- f }) }()
	return queue, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func wantFound(t *testing.T, found <-chan discovery.Found, node []byte, addr string) {
	t.Helper()
	select {
	case f := <-found:
		if !bytes.Equal(f.Node, node) || f.Addr.String() != addr || !f.LAN {
			t.Errorf("found %+v, want %x at %s", f, node, addr)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("found nobody in 10 s, want %x at %s", node, addr)
	}
}

// rootOf makes a root key for a test, so that tests that run at the same time do not find one another.
func rootOf(t *testing.T) []byte {
	c := newClaim(testRoot(), keyOf(0))
	return c.tag[:]
}

func TestNodesFindOneAnotherOnLoopback(t *testing.T) {
	listen(t)
	before, root := runtime.NumGoroutine(), rootOf(t)
	_, stop0 := onLoopback(t, root, keyOf(0), 4430, Config{Announce: Always, NoLook: true})
	_, stop9 := onLoopback(t, testRoot(), keyOf(9), 4439, Config{Announce: Always, NoLook: true}) // another channel
	found1, stop1 := onLoopback(t, root, keyOf(1), 4431, Config{Announce: Always})
	wantFound(t, found1, keyOf(0), "127.0.0.1:4430")
	found2, stop2 := onLoopback(t, root, keyOf(2), 4432, Config{Announce: Never})
	var got []string
	for range 2 {
		select {
		case f := <-found2:
			got = append(got, f.Addr.String())
		case <-time.After(10 * time.Second):
			t.Fatalf("found %q in 10 s, want two", got)
		}
	}
	if slices.Sort(got); !slices.Equal(got, []string{"127.0.0.1:4430", "127.0.0.1:4431"}) {
		t.Errorf("found %q, want those who announce themselves", got)
	}
	for _, stop := range []func(){stop0, stop1, stop2, stop9} {
		stop()
	}
	// Receivers of zeroconf end a moment after Browse.
	for begin := time.Now(); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Since(begin) > 5*time.Second {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// What is on the network is what docs/discovery.md says, and not more.
func TestWhatOthersSee(t *testing.T) {
	f := listen(t)
	root := rootOf(t)
	_, stop := onLoopback(t, root, keyOf(3), 4433, Config{Announce: Always, NoLook: true})
	mine := "n=" + encoding.EncodeToString(keyOf(3))
	is := func(ttl uint32) func([]byte) bool {
		return func(b []byte) bool { all, got := announced(b, mine); return all != nil && got == ttl }
	}
	unasked := f.read(10*time.Second, is(ttl))
	f.ask()
	asked := f.read(10*time.Second, is(ttl))
	stop()
	goodbye := f.read(10*time.Second, is(0))
	for name, packet := range map[string][]byte{"announcement": unasked, "answer": asked, "goodbye": goodbye} {
		if packet == nil {
			t.Fatalf("no %s came", name)
		}
		if len(packet) > 512 {
			t.Errorf("%s: %d bytes, want at most 512", name, len(packet))
		}
		hostname, _ := os.Hostname()
		for _, secret := range []string{string(root), hex.EncodeToString(root), encoding.EncodeToString(root), hostname} {
			if len(secret) > 3 && bytes.Contains(packet, []byte(secret)) {
				t.Errorf("%s: %q is on the network", name, secret)
			}
		}
	}
	all, _ := announced(asked, mine)
	checkRecords(t, all, root)
}

// checkRecords reads the records as docs/discovery.md says.
func checkRecords(t *testing.T, all []dnsmessage.Resource, root []byte) {
	t.Helper()
	var instance, host string
	seen := map[string]bool{}
	for _, r := range all {
		name := r.Header.Name.String()
		seen[r.Header.Type.String()] = true
		switch body := r.Body.(type) {
		case *dnsmessage.PTRResource:
			instance = body.PTR.String()
			if name != "_tailcast._udp.local." || !strings.HasSuffix(instance, "."+name) || len(instance) != 16+1+len(name) {
				t.Errorf("PTR of %s to %s", name, instance)
			}
		case *dnsmessage.SRVResource:
			host = body.Target.String()
			if body.Port != 4433 || host != instance[:16]+".local." || name != instance {
				t.Errorf("SRV of %s: port %d at %s", name, body.Port, host)
			}
		case *dnsmessage.TXTResource:
			c, err := parseClaim(body.TXT)
			if err != nil || !c.of(root) || len(body.TXT) != 4 || name != instance {
				t.Errorf("TXT of %s: %v, %q", name, err, body.TXT)
			}
		case *dnsmessage.AResource:
			if name != host || netip.AddrFrom4(body.A).String() != "127.0.0.1" {
				t.Errorf("A of %s: %v", name, body.A)
			}
		default:
			t.Errorf("%s has a record that nobody needs: %v", name, r)
		}
	}
	if len(seen) != 4 {
		t.Errorf("records of types %v, want PTR, SRV, TXT and A", seen)
	}
}

// Strangers send what they like; who is meant is found all the same.
func TestGarbageOnTheNetwork(t *testing.T) {
	f := listen(t)
	root := rootOf(t)
	found, stop := onLoopback(t, root, keyOf(4), 4434, Config{Announce: Always})
	defer stop()
	mine := "n=" + encoding.EncodeToString(keyOf(4))
	if f.read(10*time.Second, func(b []byte) bool { all, _ := announced(b, mine); return all != nil }) == nil {
		t.Fatal("the node does not announce itself")
	}
	for _, packet := range garbage(t) {
		f.send(packet)
	}
	_, stop5 := onLoopback(t, root, keyOf(5), 4435, Config{Announce: Always, NoLook: true})
	defer stop5()
	wantFound(t, found, keyOf(5), "127.0.0.1:4435")
	f.ask()
	if f.read(10*time.Second, func(b []byte) bool { all, _ := announced(b, mine); return all != nil }) == nil {
		t.Error("after garbage the node does not answer")
	}
}

// garbage is what breaks parsers: records without data, lies about lengths, pointers in circles, names of others.
func garbage(t *testing.T) [][]byte {
	t.Helper()
	service := dnsmessage.MustNewName("_tailcast._udp.local.")
	header := dnsmessage.ResourceHeader{Name: service, Class: dnsmessage.ClassINET, TTL: 1 << 31}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true},
		Questions: []dnsmessage.Question{{Name: service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}},
		Answers: []dnsmessage.Resource{
			{Header: header, Body: &dnsmessage.PTRResource{PTR: service}},
			{Header: header, Body: &dnsmessage.SRVResource{Port: 0, Target: service}},
			{Header: header, Body: &dnsmessage.TXTResource{TXT: []string{"", "=", "v=1", "\x00\xff\\\""}}},
			{Header: header, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}},
			{Header: header, Body: &dnsmessage.AAAAResource{}},
			{Header: header, Body: &dnsmessage.UnknownResource{Type: dnsmessage.TypePTR}}, // no data
			{Header: header, Body: &dnsmessage.UnknownResource{Type: dnsmessage.TypeA}},
			{Header: header, Body: &dnsmessage.UnknownResource{Type: dnsmessage.TypeTXT}},
			{Header: header, Body: &dnsmessage.UnknownResource{Type: dnsmessage.TypeSRV, Data: []byte{1}}},
			{Header: header, Body: &dnsmessage.UnknownResource{Type: 47, Data: []byte{0xc0, 0x0c, 0, 255}}},
		},
	}
	whole, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	all := [][]byte{{}, {0}, bytes.Repeat([]byte{0xff}, 9000), bytes.Repeat([]byte{0xc0, 0x0c}, 100)}
	for i := range whole {
		all = append(all, whole[:i], slices.Replace(slices.Clone(whole), i, i+1, whole[i]^0xff))
	}
	return append(all, whole)
}
