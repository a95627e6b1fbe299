package discovery

import (
	"errors"
	"fmt"
	"net/netip"
)

// A Scope says what somebody who names an address may mean by it. Addresses that come from others are dialled only if their scope allows:
// else anybody could make every node of a channel send packets to a printer in its own network, or to port 53 of somebody he dislikes.
type Scope uint8

// The scopes. All exclude what is no node's address (multicast, documentation, reserved) and ports below 1024 but 443.
const (
	Internet Scope = iota // what means the same everywhere, and nothing else
	Network               // the Internet, and private, shared and link-local addresses: who names them is on a network of ours
	Machine               // loopback, and nothing else: we listen there alone
)

// ScopeOf returns the scope of what a peer says that we see at the address seen, while our socket is bound to listen.
func ScopeOf(listen, seen netip.Addr) Scope {
	switch {
	case isA(loopback, listen):
		return Machine
	case isA(private, seen):
		return Network
	}
	return Internet
}

// Dialable returns nil if addr may be dialled, else what is wrong with it. An IPv4 address that is mapped into IPv6 counts as what it is.
func (s Scope) Dialable(addr netip.AddrPort) error {
	err := s.check(addr.Addr().Unmap())
	if err == nil && addr.Port() < 1024 && addr.Port() != 443 {
		err = errors.New("of the ports below 1024 only 443 is allowed")
	}
	if err != nil {
		return fmt.Errorf("%v is not to be dialled: %w", addr, err)
	}
	return nil
}

func (s Scope) check(ip netip.Addr) error {
	class, what := classify(ip)
	switch {
	case class == unusable:
		return errors.New("it is " + what)
	case s == Machine && class != loopback:
		return errors.New("this node listens on loopback alone and reaches nothing else")
	case s != Machine && class == loopback:
		return errors.New("it is " + what + ", which means another machine to everybody")
	case s == Internet && class == private:
		return errors.New("it is " + what + ", and who names it is on another network")
	case s == Internet && ip.Zone() != "":
		return errors.New("its zone means something on one machine alone")
	case ip.Is6() && ip.IsLinkLocalUnicast() && ip.Zone() == "":
		return errors.New("it is " + what + " without the interface that it belongs to")
	}
	return nil
}

// A class is what kinds of addresses have in common for us.
type class uint8

const (
	public   class = iota
	private        // means something else on another network
	loopback       // means something else on another machine
	unusable       // no node can be there
)

func isA(c class, ip netip.Addr) bool {
	got, _ := classify(ip.Unmap())
	return got == c
}

// blocks are those of the IANA registries of special-purpose addresses (RFC 6890) that matter here; the first that holds an address counts.
var blocks = []struct {
	prefix string
	class  class
	what   string
}{
	{"255.255.255.255/32", unusable, "the broadcast address"},
	{"0.0.0.0/8", unusable, "no address"}, // RFC 791
	{"10.0.0.0/8", private, "a private address"},
	{"100.64.0.0/10", private, "a carrier's private address"}, // RFC 6598, CGNAT
	{"127.0.0.0/8", loopback, "a loopback address"},
	{"169.254.0.0/16", private, "a link-local address"},
	{"172.16.0.0/12", private, "a private address"},
	{"192.0.0.0/24", unusable, "reserved for protocols"},
	{"192.0.2.0/24", unusable, "an address for documentation"},
	{"192.88.99.0/24", unusable, "a 6to4 relay"},
	{"192.168.0.0/16", private, "a private address"},
	{"198.18.0.0/15", unusable, "an address for benchmarks"},
	{"198.51.100.0/24", unusable, "an address for documentation"},
	{"203.0.113.0/24", unusable, "an address for documentation"},
	{"224.0.0.0/4", unusable, "a multicast address"},
	{"240.0.0.0/4", unusable, "reserved"},
	{"0.0.0.0/0", public, "public"},

	{"::/128", unusable, "no address"},
	{"::1/128", loopback, "a loopback address"},
	{"fc00::/7", private, "a private address"}, // unique local
	{"fe80::/10", private, "a link-local address"},
	{"ff00::/8", unusable, "a multicast address"},
	{"2001::/23", unusable, "reserved for protocols"}, // Teredo holds an IPv4 address, private ones too
	{"2001:db8::/32", unusable, "an address for documentation"},
	{"2002::/16", unusable, "a 6to4 address"}, // likewise
	{"3fff::/20", unusable, "an address for documentation"},
	{"2000::/3", public, "public"},
	{"::/0", unusable, "reserved"}, // NAT64 too: 64:ff9b::10.0.0.1 is a private address behind a translator
}

// classify returns the class of an address and how to say it.
func classify(ip netip.Addr) (class, string) {
	ip = ip.WithZone("") // a Prefix never holds an address with a zone
	for _, b := range blocks {
		if netip.MustParsePrefix(b.prefix).Contains(ip) {
			return b.class, b.what
		}
	}
	return unusable, "no address"
}
