package swarm

import (
	"testing"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/quicwire"
)

// What was verified is known again, but only the very same: another signature, root, size or log is looked at anew.
func TestHeads(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	c.Append(t, 3, 100)
	e := c.Writer.Epoch()
	root, log := c.Replica.Root(), quicwire.LogID{Epoch: e.ID(), Name: feedtest.Rendition}
	good := signedHead{log, c.Log.Log().Head()}
	var h heads
	if h.known(good) {
		t.Error("a head is known that was never seen")
	}
	if !h.verify(root, e, good) || !h.known(good) || !h.verify(root, e, good) {
		t.Error("a signed head does not verify, or is not known afterwards")
	}
	for name, forge := range map[string]func(x *signedHead){
		"signature": func(x *signedHead) { x.head.Signature[5] ^= 1 },
		"root":      func(x *signedHead) { x.head.Root[5] ^= 1 },
		"size":      func(x *signedHead) { x.head.Size += uint64(len(h.ring)) }, // of the same place
		"log":       func(x *signedHead) { x.log.Name = feed.CatalogLog },
	} {
		bad := good
		forge(&bad)
		if h.verify(root, e, bad) || h.known(bad) {
			t.Errorf("a head with another %s counts as signed", name)
		}
	}
	if !h.known(good) {
		t.Error("a lie has made a true head unknown")
	}
}
