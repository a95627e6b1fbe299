package lan

import (
	"bytes"
	"net/netip"
	"slices"

	"tailcast/discovery"
)

// What one look takes in at most. Whoever is on this network can send as much as he likes.
const (
	maxNodes   = 64
	maxAddrs   = 4    // of one node
	maxAnswers = 1024 // of all channels and of nobody; then the look ends
)

// An answer is what multicast DNS tells of one instance of our service: whatever somebody on this network has sent.
type answer struct {
	txt   []string
	port  uint16
	addrs []netip.Addr
}

// A sieve lets through the nodes of one channel, at addresses that can be theirs.
type sieve struct {
	root, self []byte
	scope      discovery.Scope
	prefixes   []netip.Prefix // of our own networks
	nodes      map[[keySize]byte][]netip.AddrPort
}

// take returns what is new in an answer.
func (s *sieve) take(a answer) (all []discovery.Found) {
	c, err := parseClaim(a.txt)
	if err != nil || !c.of(s.root) || bytes.Equal(c.node[:], s.self) {
		return nil
	}
	for _, ip := range a.addrs {
		addr := netip.AddrPortFrom(ip.Unmap(), a.port)
		if s.near(addr) && s.isNew(c.node, addr) {
			all = append(all, discovery.Found{Addr: addr, Node: slices.Clone(c.node[:]), LAN: true})
		}
	}
	return all
}

// near reports whether a node of this network can be at addr. An address that means something everywhere must be in one of our own networks;
// else a single packet could send a whole school to a victim outside.
func (s *sieve) near(addr netip.AddrPort) bool {
	if s.scope.Dialable(addr) != nil {
		return false
	}
	everywhere := discovery.Internet.Dialable(addr) == nil
	return !everywhere || slices.ContainsFunc(s.prefixes, func(p netip.Prefix) bool { return p.Contains(addr.Addr()) })
}

// isNew reports whether addr of that node is new, and there is room for it.
func (s *sieve) isNew(node [keySize]byte, addr netip.AddrPort) bool {
	known, ok := s.nodes[node]
	if !ok && len(s.nodes) == maxNodes || len(known) == maxAddrs || slices.Contains(known, addr) {
		return false
	}
	s.nodes[node] = append(known, addr)
	return true
}
