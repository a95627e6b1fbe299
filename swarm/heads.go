package swarm

import (
	"sync"

	"tailcast/feed"
	"tailcast/quicwire"
)

// heads remembers the newest signed heads that have been verified. Peers show the same ones, again and again: the catalog's go with each
// STATUS, and a signature costs as much to verify as a block does.
type heads struct {
	mu   sync.Mutex // guards ring
	ring [64]signedHead
}

type signedHead struct {
	log  quicwire.LogID
	head feed.Head
}

// known reports whether this very head has been verified lately.
func (h *heads) known(x signedHead) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ring[x.head.Size%uint64(len(h.ring))] == x
}

// note remembers a head that has been verified.
func (h *heads) note(x signedHead) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring[x.head.Size%uint64(len(h.ring))] = x
}

// verify reports whether the key of the epoch e has signed a head.
func (h *heads) verify(root feed.PublicKey, e *feed.Epoch, x signedHead) bool {
	if h.known(x) {
		return true
	}
	if !x.head.Verify(e.Note().Key, feed.Origin(root, x.log.Epoch, x.log.Name)) {
		return false
	}
	h.note(x)
	return true
}
