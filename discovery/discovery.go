// Package discovery finds nodes of a channel: addresses that may be worth a dial. It knows no protocol between nodes and trusts nobody:
// whoever is found must still prove by the link that it belongs to the channel, and by signatures what it sends.
//
// A Source looks in one place. Those below this folder look on the local network (lan); a Cache remembers who was there the last time.
package discovery

import (
	"context"
	"net/netip"
)

// A Found is an address at which a node of the channel may be.
type Found struct {
	Addr netip.AddrPort
	Node []byte // Ed25519 public key to expect there, 32 bytes; nil: anybody
	LAN  bool   // on this network, so that private addresses are fine
}

// A Source looks for nodes of one channel.
type Source interface {
	// Run reports what it finds until ctx ends; then everything it started has ended, and it returns nil. An error says that this source
	// is of no use here; the others go on. found may be called from several goroutines, and with the same address again; it may block.
	Run(ctx context.Context, found func(Found)) error
}
