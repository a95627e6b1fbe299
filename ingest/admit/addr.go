package admit

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Beyond tells whether others than this machine can reach a listening address. No host means this machine alone, as
// long as there is no key: whoever wants every interface then writes 0.0.0.0 or [::].
func Beyond(ctx context.Context, addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("address %q is not host:port", addr)
	}
	if host == "" {
		return false, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false, fmt.Errorf("couldn't resolve %s: %w", host, err)
	}
	for _, ip := range ips {
		if !ip.IsLoopback() {
			return true, nil
		}
	}
	return false, nil
}

// Addr is the address to listen at, under the rule that publishing is closed until there is a key: then no host means every interface.
func (g *Gate) Addr(ctx context.Context, addr string) (string, error) {
	beyond, err := Beyond(ctx, addr)
	if err != nil {
		return "", err
	}
	if beyond && !g.Keyed() {
		return "", fmt.Errorf("anybody could publish on %s: set a stream key, or listen on 127.0.0.1", addr)
	}
	if host, port, _ := net.SplitHostPort(addr); host == "" && !g.Keyed() {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	return addr, nil
}

// Split tells the name of a stream from the key, in a path that may end with the key: live/KEY, or KEY alone. Where no key is needed
// all of it is the name.
func (g *Gate) Split(path string) (name, shown string) {
	path = strings.Trim(path, "/")
	if !g.Keyed() {
		return path, ""
	}
	i := strings.LastIndexByte(path, '/')
	return strings.TrimSuffix(path[:i+1], "/"), path[i+1:]
}

// AddrOf is the address of a peer; the zero Addr if it has none that is understood.
func AddrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr()
}
