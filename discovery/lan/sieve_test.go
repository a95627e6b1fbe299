package lan

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"reflect"
	"testing"

	"tailcast/discovery"
)

func testSieve(scope discovery.Scope) *sieve {
	return &sieve{
		root: testRoot(), self: bytes.Repeat([]byte{7}, keySize), scope: scope,
		prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.1.5/24"), netip.MustParsePrefix("2606:4700:1::5/64")},
		nodes:    map[[keySize]byte][]netip.AddrPort{},
	}
}

// said is the answer of a node with these addresses.
func said(c claim, port uint16, addrs ...string) answer {
	a := answer{txt: c.text(), port: port}
	for _, s := range addrs {
		a.addrs = append(a.addrs, netip.MustParseAddr(s))
	}
	return a
}

func TestSieve(t *testing.T) {
	c := testClaim(testRoot(), 2, 3)
	none := []string(nil)
	for _, d := range []struct {
		name  string
		scope discovery.Scope
		a     answer
		want  []string
	}{
		{"a node", discovery.Network, said(c, 4433, "192.168.1.6", "2606:4700:1::6"), []string{"192.168.1.6:4433", "[2606:4700:1::6]:4433"}},
		{"mapped", discovery.Network, said(c, 4433, "::ffff:192.168.1.6"), []string{"192.168.1.6:4433"}},
		{"behind a router of the same house", discovery.Network, said(c, 4433, "10.0.0.6", "fd00::6", "169.254.1.6"), []string{"10.0.0.6:4433", "[fd00::6]:4433", "169.254.1.6:4433"}},
		{"another channel", discovery.Network, said(testClaim(bytes.Repeat([]byte{9}, keySize), 2, 3), 4433, "192.168.1.6"), none},
		{"ourselves", discovery.Network, said(testClaim(testRoot(), 7, 3), 4433, "192.168.1.5"), none},
		{"a victim outside", discovery.Network, said(c, 4433, "8.8.8.8", "2606:4700:2::6"), none},
		{"a service", discovery.Network, said(c, 53, "192.168.1.1"), none},
		{"no port", discovery.Network, said(c, 0, "192.168.1.6"), none},
		{"loopback, multicast, all", discovery.Network, said(c, 4433, "127.0.0.1", "224.0.0.251", "0.0.0.0", "255.255.255.255", "ff02::fb"), none},
		{"an interface unknown", discovery.Network, said(c, 4433, "fe80::1"), none},
		{"loopback alone", discovery.Machine, said(c, 4433, "127.0.0.1", "192.168.1.6"), []string{"127.0.0.1:4433"}},
		{"garbage", discovery.Network, answer{txt: []string{"v=1", "garbage"}, port: 4433, addrs: []netip.Addr{netip.MustParseAddr("192.168.1.6")}}, none},
		{"too many addresses", discovery.Network, said(c, 4433, "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"), []string{"10.0.0.1:4433", "10.0.0.2:4433", "10.0.0.3:4433", "10.0.0.4:4433"}},
	} {
		s := testSieve(d.scope)
		var got []string
		for _, f := range s.take(d.a) {
			got = append(got, f.Addr.String())
			if !f.LAN || !bytes.Equal(f.Node, c.node[:]) {
				t.Errorf("%s: found %+v, want it on this network, with its key", d.name, f)
			}
		}
		if !reflect.DeepEqual(got, d.want) {
			t.Errorf("%s: found %q, want %q", d.name, got, d.want)
		}
		if again := s.take(d.a); again != nil {
			t.Errorf("%s: found again %v", d.name, again)
		}
	}
}

func TestSieveIsBounded(t *testing.T) {
	s, got := testSieve(discovery.Network), 0
	for i := range 4 * maxNodes {
		c := testClaim(testRoot(), 2, 3)
		binary.BigEndian.PutUint32(c.node[:], uint32(i))
		c.tag = c.expect(testRoot())
		got += len(s.take(said(c, 4433, "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5")))
	}
	if got != maxNodes*maxAddrs || len(s.nodes) != maxNodes {
		t.Errorf("%d addresses of %d nodes were let through, want %d of %d", got, len(s.nodes), maxNodes*maxAddrs, maxNodes)
	}
}

func TestIsLocal(t *testing.T) {
	const up = net.FlagUp | net.FlagMulticast
	for _, c := range []struct {
		name     string
		flags    net.Flags
		prefixes []string
		listen   string
		want     bool
	}{
		{"home", up, []string{"192.168.1.5/24", "fe80::1/64"}, "::", true},
		{"home, IPv6", up, []string{"fd00::5/64"}, "::", true},
		{"two laptops and a cable", up, []string{"169.254.1.5/16"}, "0.0.0.0", true},
		{"bound to this one", up, []string{"192.168.1.5/24"}, "192.168.1.5", true},
		{"bound to another one", up, []string{"192.168.1.5/24"}, "10.0.0.1", false},
		{"a server in the open", up, []string{"1.2.3.4/24", "2606:4700::1/64", "fe80::1/64"}, "::", false},
		{"a carrier's network", up, []string{"100.64.0.5/10"}, "::", false},
		{"down", net.FlagMulticast, []string{"192.168.1.5/24"}, "::", false},
		{"no multicast", net.FlagUp, []string{"192.168.1.5/24"}, "::", false},
		{"a tunnel", up | net.FlagPointToPoint, []string{"10.8.0.2/24"}, "::", false},
		{"loopback", up | net.FlagLoopback, []string{"127.0.0.1/8"}, "::", false},
		{"no address", up, nil, "::", false},
	} {
		var prefixes []netip.Prefix
		for _, p := range c.prefixes {
			prefixes = append(prefixes, netip.MustParsePrefix(p))
		}
		if got := isLocal(c.flags, prefixes, netip.MustParseAddr(c.listen)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
