package discovery

import (
	"net/netip"
	"strings"
	"testing"
)

func TestDialable(t *testing.T) {
	for _, c := range []struct {
		addr  string
		scope Scope
		want  string // part of the error; empty: may be dialled
	}{
		{"1.2.3.4:4433", Internet, ""},
		{"[::ffff:1.2.3.4]:4433", Internet, ""},
		{"1.2.3.4:443", Internet, ""},
		{"1.2.3.4:1024", Internet, ""},
		{"1.2.3.4:1023", Internet, "only 443"},
		{"1.2.3.4:53", Network, "only 443"},
		{"1.2.3.4:0", Internet, "only 443"},
		{"[2606:4700::1]:4433", Internet, ""},
		{"[2606:4700::1%eth0]:4433", Internet, "zone"},
		{"172.15.255.255:4433", Internet, ""},
		{"172.32.0.0:4433", Internet, ""},
		{"100.63.255.255:4433", Internet, ""},
		{"192.169.0.1:4433", Internet, ""},

		{"10.1.2.3:4433", Internet, "a private address, and who names it is on another network"},
		{"10.1.2.3:4433", Network, ""},
		{"[::ffff:10.1.2.3]:4433", Internet, "a private address"},
		{"172.16.0.1:4433", Internet, "a private address"},
		{"172.31.255.255:4433", Internet, "a private address"},
		{"192.168.1.2:4433", Internet, "a private address"},
		{"192.168.1.2:4433", Network, ""},
		{"100.64.0.1:4433", Internet, "carrier"},
		{"100.127.255.255:4433", Network, ""},
		{"169.254.3.4:4433", Internet, "link-local"},
		{"169.254.3.4:4433", Network, ""},
		{"[fd00::1]:4433", Internet, "a private address"},
		{"[fd00::1]:4433", Network, ""},
		{"[fe80::1]:4433", Internet, "link-local"},
		{"[fe80::1]:4433", Network, "without the interface"},
		{"[fe80::1%eth0]:4433", Network, ""},

		{"127.0.0.1:4433", Internet, "loopback"},
		{"127.8.9.1:4433", Network, "loopback"},
		{"[::1]:4433", Network, "loopback"},
		{"[::ffff:127.0.0.1]:4433", Network, "loopback"},
		{"127.0.0.1:4433", Machine, ""},
		{"[::1]:4433", Machine, ""},
		{"127.0.0.1:22", Machine, "only 443"},
		{"1.2.3.4:4433", Machine, "listens on loopback alone"},
		{"192.168.1.2:4433", Machine, "listens on loopback alone"},

		{"0.0.0.0:4433", Machine, "no address"},
		{"0.1.2.3:4433", Internet, "no address"},
		{"[::]:4433", Network, "no address"},
		{"255.255.255.255:4433", Network, "broadcast"},
		{"224.0.0.251:5353", Network, "multicast"},
		{"239.1.2.3:4433", Internet, "multicast"},
		{"[ff02::fb]:5353", Network, "multicast"},
		{"[ff02::fb%eth0]:5353", Network, "multicast"},
		{"240.0.0.1:4433", Internet, "reserved"},
		{"192.0.2.1:4433", Network, "documentation"},
		{"198.51.100.1:4433", Network, "documentation"},
		{"203.0.113.1:4433", Network, "documentation"},
		{"[2001:db8::1]:4433", Network, "documentation"},
		{"[3fff::1]:4433", Network, "documentation"},
		{"198.19.0.1:4433", Network, "benchmarks"},
		{"[64:ff9b::a00:1]:4433", Internet, "reserved"},
		{"[2002:a00:1::1]:4433", Internet, "6to4"},
		{"[2001::1]:4433", Internet, "reserved"},
		{"[::10.0.0.1]:4433", Internet, "reserved"},
		{"[100::1]:4433", Internet, "reserved"},
	} {
		err := c.scope.Dialable(netip.MustParseAddrPort(c.addr))
		if c.want == "" && err != nil {
			t.Errorf("scope %d: %v, want it allowed", c.scope, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("scope %d, %s: got error %v, want one with %q", c.scope, c.addr, err, c.want)
		}
	}
	if err := Internet.Dialable(netip.AddrPort{}); err == nil {
		t.Error("no address at all was allowed")
	}
}

func TestScopeOf(t *testing.T) {
	for _, c := range []struct {
		listen, seen string
		want         Scope
	}{
		{"127.0.0.1", "127.0.0.1", Machine},
		{"::1", "::1", Machine},
		{"::ffff:127.0.0.1", "127.0.0.1", Machine},
		{"::", "127.0.0.1", Internet}, // whoever is dialled from here could be told to look at our own machine
		{"::", "192.168.1.2", Network},
		{"::", "::ffff:192.168.1.2", Network},
		{"::", "fe80::1%eth0", Network},
		{"192.168.1.1", "100.64.3.4", Network},
		{"192.168.1.1", "1.2.3.4", Internet},
		{"0.0.0.0", "2606:4700::1", Internet},
	} {
		if got := ScopeOf(netip.MustParseAddr(c.listen), netip.MustParseAddr(c.seen)); got != c.want {
			t.Errorf("bound to %s, peer at %s: got scope %d, want %d", c.listen, c.seen, got, c.want)
		}
	}
	if got := ScopeOf(netip.Addr{}, netip.Addr{}); got != Internet {
		t.Errorf("nothing known: got scope %d, want that of the Internet", got)
	}
}

// FuzzDialable compares the table of blocks with what the standard library says of an address.
func FuzzDialable(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "10.0.0.1", "127.0.0.1", "224.0.0.1", "::1", "fe80::1", "fd00::1", "2606:4700::1", "::ffff:10.0.0.1"} {
		f.Add(netip.MustParseAddr(s).AsSlice(), uint16(4433), "")
	}
	f.Add(netip.MustParseAddr("fe80::1").AsSlice(), uint16(443), "eth0")
	f.Add([]byte{}, uint16(80), "")
	f.Fuzz(func(t *testing.T, b []byte, port uint16, zone string) {
		ip, _ := netip.AddrFromSlice(b)
		if ip.Is6() {
			ip = ip.WithZone(zone)
		}
		addr := netip.AddrPortFrom(ip, port)
		internet, network, machine := Internet.Dialable(addr) == nil, Network.Dialable(addr) == nil, Machine.Dialable(addr) == nil
		bare := ip.Unmap()
		switch {
		case internet && (!bare.IsGlobalUnicast() || bare.IsPrivate() || bare.Zone() != ""):
			t.Errorf("%v is allowed on the Internet", addr)
		case network && !bare.IsGlobalUnicast() && !bare.IsLinkLocalUnicast():
			t.Errorf("%v is allowed on a network", addr)
		case machine != (bare.IsLoopback() && (port >= 1024 || port == 443)):
			t.Errorf("%v on this machine: allowed %v", addr, machine)
		case internet && !network:
			t.Errorf("%v is allowed on the Internet, but not on a network", addr)
		case (internet || network || machine) && port < 1024 && port != 443:
			t.Errorf("%v is allowed", addr)
		}
		if ip.Is4() {
			mapped := netip.AddrPortFrom(netip.AddrFrom16(ip.As16()), port)
			if (Internet.Dialable(mapped) == nil) != internet || (Network.Dialable(mapped) == nil) != network || (Machine.Dialable(mapped) == nil) != machine {
				t.Errorf("%v and %v: want the same answer", addr, mapped)
			}
		}
	})
}
