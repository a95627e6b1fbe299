package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
)

// ListenUDP opens the socket other nodes connect to. A default address that is taken is replaced by a free port of the same host;
// one the user named (explicit) is an error.
func ListenUDP(log *slog.Logger, addr string, explicit bool) (*net.UDPConn, error) {
	return listen(log, "--listen", addr, explicit, func(a string) (*net.UDPConn, error) {
		udp, err := net.ResolveUDPAddr("udp", a)
		if err != nil {
			return nil, err
		}
		return net.ListenUDP("udp", udp)
	})
}

// ListenTCP opens a listener for people and their programs, with the rules of ListenUDP; flag is named in errors.
func ListenTCP(log *slog.Logger, flag, addr string, explicit bool) (net.Listener, error) {
	return listen(log, flag, addr, explicit, func(a string) (net.Listener, error) { return net.Listen("tcp", a) })
}

func listen[T any](log *slog.Logger, flag, addr string, explicit bool, open func(string) (T, error)) (T, error) {
	got, err := open(addr)
	if err == nil {
		return got, nil
	}
	inUse := errors.Is(err, syscall.EADDRINUSE)
	if inUse && !explicit {
		host, _, _ := net.SplitHostPort(addr)
		log.Warn("default port is taken, using a free one", "flag", flag, "taken", addr)
		return open(net.JoinHostPort(host, "0"))
	}
	var none T
	if inUse {
		return none, fmt.Errorf("%s %s: another program uses this port; name another one, or port 0 for a free one", flag, addr)
	}
	var wrong *net.AddrError
	if errors.As(err, &wrong) {
		return none, Usagef("%s %q: %s; want host:port", flag, addr, wrong.Err)
	}
	return none, fmt.Errorf("%s %s: %w", flag, addr, err)
}

// maxAdvertised bounds the addresses a link carries by itself: enough for two families and a second interface.
const maxAdvertised = 4

// Reachable lists the addresses under which others can dial a socket bound to local: itself, or, if bound to all interfaces,
// the global unicast addresses of this machine, IPv4 first, else loopback.
func Reachable(local netip.AddrPort) []string {
	if !local.Addr().IsUnspecified() {
		return []string{netip.AddrPortFrom(local.Addr().Unmap(), local.Port()).String()}
	}
	var v4, v6 []string
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().IsGlobalUnicast() {
			continue
		}
		s := netip.AddrPortFrom(prefix.Addr(), local.Port()).String()
		if prefix.Addr().Is4() {
			v4 = append(v4, s)
		} else {
			v6 = append(v6, s)
		}
	}
	all := append(v4, v6...)
	if len(all) == 0 {
		return []string{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), local.Port()).String()}
	}
	return all[:min(len(all), maxAdvertised)]
}
