package quicwire

import (
	"sync"

	"github.com/quic-go/quic-go"
)

// A windowBudget decides which receive windows may grow. A window is memory that a peer can make us hold: it sends what comes after
// a hole. So only the windows of peers from whom we want something grow, and all together at most by left.
type windowBudget struct {
	mu      sync.Mutex // guards all below; held for look-ups only, as quic-go calls in from within a connection
	left    int64
	parents map[*quic.Conn]int   // how much we want from a peer: subscriptions and ranges
	grown   map[*quic.Conn]int64 // what has been granted
}

// want adds n to what we want from the peer.
func (b *windowBudget) want(c *quic.Conn, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parents[c] += n; b.parents[c] <= 0 {
		delete(b.parents, c)
	}
}

// allow is quic.Config.AllowConnectionWindowIncrease.
func (b *windowBudget) allow(c *quic.Conn, delta uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parents[c] == 0 || delta > uint64(b.left) {
		return false
	}
	b.left -= int64(delta)
	b.grown[c] += int64(delta)
	return true
}

// forget gives back what a connection that has ended was granted.
func (b *windowBudget) forget(c *quic.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += b.grown[c]
	delete(b.grown, c)
	delete(b.parents, c)
}
