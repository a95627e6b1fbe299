package lan

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/libp2p/zeroconf/v2"
)

// A radio speaks multicast DNS. Tests have one without a network.
type radio interface {
	// browse asks who is there and hands over the answers, one at a time, until ctx ends or it fails. heard must not wait.
	browse(ctx context.Context, on []net.Interface, heard func(answer)) error
	// announce answers for us on these interfaces until stop, which says goodbye.
	announce(on []net.Interface, own claim) (stop func(), err error)
}

// mdns is zeroconf v2.2.0. What there is to know about it:
//
//   - Browse with both families gives up if one is missing, and leaks the other's socket: one Browse for each.
//   - Browse blocks while nobody takes an entry, also when its context has ended: entries are taken until it returns.
//   - It closes the channel in the end, but not if it failed to begin: whoever waits for the channel alone waits forever.
//   - It keeps what it has seen for as long as the sender wants, and does not tell it again: a Browse lives for seconds here.
//   - It asks again and again, and every node answers to everybody, twice: n nodes send n² packets. See enough.
//   - Its receivers end a moment after Browse has returned.
//   - Register puts the machine's name on the network; RegisterProxy with a name of ours does not.
//   - With addresses of ours it would tell each network those of all others; without, it tells each its own, as they are by then.
//     (On Windows it then answers questions without addresses. Others are not found from there, but it finds them.)
//   - It announces for 3200 s at a time; a node that was killed would be shown for an hour. We say 120 s, as RFC 6762, section 10 does.
//   - It answers questions from anywhere, not only from the link: isLocal keeps it away from machines that are in the open.
//   - A parser of packets from strangers that panics takes the process along; go.mod has a newer github.com/miekg/dns than zeroconf asks for.
//   - Where there is no IPv6 at all it says so through package log.
type mdns struct{ listen netip.AddrPort }

const ttl = 120 // seconds

func (m mdns) announce(on []net.Interface, own claim) (stop func(), err error) {
	var addrs []string
	if !m.listen.Addr().IsUnspecified() {
		addrs = []string{m.listen.Addr().Unmap().String()}
	}
	server, err := zeroconf.RegisterProxy(own.name(), service, domain, int(m.listen.Port()), own.name(), addrs, own.text(), on, zeroconf.TTL(ttl))
	if err != nil {
		return nil, err
	}
	return server.Shutdown, nil
}

func (m mdns) browse(ctx context.Context, on []net.Interface, heard func(answer)) error {
	var mu sync.Mutex
	one := func(e *zeroconf.ServiceEntry) {
		mu.Lock()
		defer mu.Unlock()
		heard(answerOf(e))
	}
	v4 := make(chan error, 1)
	go func() { v4 <- browse(ctx, zeroconf.IPv4, on, one) }()
	err6 := browse(ctx, zeroconf.IPv6, on, one)
	err4 := <-v4
	if err4 == nil || err6 == nil {
		return nil // one is enough: the addresses that travel are of both
	}
	return errors.Join(err4, err6)
}

// browse asks in one family.
func browse(ctx context.Context, family zeroconf.IPType, on []net.Interface, heard func(*zeroconf.ServiceEntry)) error {
	entries := make(chan *zeroconf.ServiceEntry)
	done := make(chan error, 1)
	go func() {
		done <- zeroconf.Browse(ctx, service, domain, entries, zeroconf.SelectIPTraffic(family), zeroconf.SelectIfaces(on))
	}()
	for {
		select {
		case e, ok := <-entries:
			if !ok {
				return <-done
			}
			heard(e)
		case err := <-done:
			return err
		}
	}
}

func answerOf(e *zeroconf.ServiceEntry) answer {
	a := answer{txt: e.Text, port: uint16(e.Port)}
	for _, ip := range append(e.AddrIPv4, e.AddrIPv6...) {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			a.addrs = append(a.addrs, addr.Unmap())
		}
	}
	return a
}
