package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// NetworkName names the network that this machine is on: the same name whenever it is there again, another one elsewhere, and empty if it is
// nowhere. It is the hash of the interfaces' names and their IPv4 networks; IPv6 ones count only where there is nothing else, since many
// providers change them every day. So a cable and the radio of one router are two networks, which suits their speeds, and two homes whose
// routers came with the same 192.168.1.0/24 are one: what is kept under a name may only ever be a guess.
func NetworkName() string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return ""
	}
	var v4, v6 []string
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0 {
			continue
		}
		for _, p := range Prefixes(i) {
			if line := i.Name + " " + p.Masked().String() + "\n"; p.Addr().Is4() {
				v4 = append(v4, line)
			} else if !p.Addr().IsLinkLocalUnicast() {
				v6 = append(v6, line)
			}
		}
	}
	return networkName(v4, v6)
}

func networkName(v4, v6 []string) string {
	lines := v4
	if len(lines) == 0 {
		lines = v6
	}
	if len(lines) == 0 {
		return ""
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(lines), "")))
	return hex.EncodeToString(sum[:8])
}

// Prefixes returns the addresses of an interface, each with the length of its network's prefix; none if they cannot be had.
func Prefixes(i net.Interface) (all []netip.Prefix) {
	addrs, _ := i.Addrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p)
		}
	}
	return all
}
