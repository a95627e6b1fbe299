package lan

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"tailcast/discovery"
)

// A network is where a look looks: our interfaces, as they are at one moment.
type network struct {
	interfaces []net.Interface
	prefixes   []netip.Prefix
	key        string // differs if anything has changed
}

func survey(interfaces []net.Interface) network {
	n := network{interfaces: interfaces}
	var key strings.Builder
	for _, i := range interfaces {
		all := discovery.Prefixes(i)
		n.prefixes = append(n.prefixes, all...)
		slices.SortFunc(all, netip.Prefix.Compare)
		fmt.Fprintln(&key, i.Index, i.Name, all)
	}
	n.key = key.String()
	return n
}

// local returns a function that lists the interfaces through which a socket that is bound to listen reaches a home, a school or a company.
func local(listen netip.Addr) func() ([]net.Interface, error) {
	return func() ([]net.Interface, error) {
		all, err := net.Interfaces()
		return slices.DeleteFunc(all, func(i net.Interface) bool { return !isLocal(i.Flags, discovery.Prefixes(i), listen) }), err
	}
}

// isLocal wants a private address: a server that has public ones alone shares its wire with strangers, whose provider takes multicast DNS for an
// attack. Tunnels lead elsewhere, and there the other end would learn what is watched here.
func isLocal(flags net.Flags, prefixes []netip.Prefix, listen netip.Addr) bool {
	const must, mustNot = net.FlagUp | net.FlagMulticast, net.FlagLoopback | net.FlagPointToPoint
	private := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool {
		return p.Addr().IsPrivate() || p.Addr().Is4() && p.Addr().IsLinkLocalUnicast() // every interface has one of IPv6
	})
	bound := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr() == listen })
	return flags&must == must && flags&mustNot == 0 && private && (bound || listen.IsUnspecified())
}
