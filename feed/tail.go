package feed

import (
	"math/bits"

	"tailcast/feed/merkle"
)

// A tail holds the newest blocks of a log in memory, each with the peaks before it, so that it can be proved onward without its neighbours.
// It is a window of indices: blocks come in any order, the oldest leave when there are too many bytes. Its owner is the Log.
type tail struct {
	limit int // bytes
	bytes int
	// The window is [lo, hi): nothing is held outside, and lo and hi-1 are held unless it is empty.
	lo, hi uint64
	ring   []*slot // index i at i modulo the length, a power of two; nil where nothing is held
	free   []*slot // for the next blocks: following a log allocates nothing
}

type slot struct {
	block Block
	peaks []merkle.Hash // of the frontier of size block.Index
}

const (
	// slotCost is what a block costs besides its payload, about.
	slotCost = 768
	// maxWindow bounds the ring: blocks far below the newest are given up.
	maxWindow = 1 << 16
	slabSlots = 64
)

// get returns the slot of block i, nil if it is not here.
func (t *tail) get(i uint64) *slot {
	if i < t.lo || i >= t.hi {
		return nil
	}
	return t.ring[i&uint64(len(t.ring)-1)]
}

// put adds a block that is not here yet. It returns false for one that is older than what there is room for.
func (t *tail) put(b *Block, f *merkle.Frontier) bool {
	cost := len(b.Payload) + slotCost
	if b.Index < t.lo && t.lo < t.hi && (t.bytes+cost > t.limit || t.hi-b.Index > maxWindow) {
		return false
	}
	t.widen(b.Index)
	s := t.take(b.Index)
	s.block = *b
	s.peaks = append(s.peaks[:0], f.Peaks()...)
	t.ring[b.Index&uint64(len(t.ring)-1)] = s
	t.bytes += cost
	for t.bytes > t.limit && t.hi-t.lo > 1 {
		t.dropOldest()
	}
	return true
}

// widen makes the window contain i.
func (t *tail) widen(i uint64) {
	for t.lo < t.hi && i >= t.lo+maxWindow {
		t.dropOldest()
	}
	if t.lo == t.hi {
		t.lo, t.hi = i, i
	}
	lo, hi := min(t.lo, i), max(t.hi, i+1)
	if hi-lo > uint64(len(t.ring)) {
		t.grow(1 << bits.Len64(hi-lo-1))
	}
	t.lo, t.hi = lo, hi
}

func (t *tail) grow(n int) {
	ring := make([]*slot, max(n, slabSlots))
	for i := t.lo; i < t.hi; i++ {
		if s := t.get(i); s != nil {
			ring[i&uint64(len(ring)-1)] = s
		}
	}
	t.ring = ring
}

// dropOldest gives up block lo and moves lo to the next block that is held.
func (t *tail) dropOldest() {
	at := &t.ring[t.lo&uint64(len(t.ring)-1)]
	if s := *at; s != nil {
		t.bytes -= len(s.block.Payload) + slotCost
		s.block = Block{}
		t.free = append(t.free, s)
		*at = nil
	}
	for t.lo++; t.lo < t.hi && t.get(t.lo) == nil; t.lo++ {
	}
}

// shrink makes room for less, and gives back what that frees.
func (t *tail) shrink(limit int) {
	t.limit = min(t.limit, limit)
	for t.bytes > t.limit && t.hi-t.lo > 1 {
		t.dropOldest()
	}
	t.free = nil
	if t.lo < t.hi {
		t.grow(1 << bits.Len64(t.hi-t.lo-1))
	}
}

// take returns an empty slot with room for the peaks of a frontier of n leaves.
func (t *tail) take(n uint64) *slot {
	if len(t.free) == 0 {
		t.slab(bits.Len64(n) + 1)
	}
	s := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	return s
}

// slab makes many slots at once, with room for that many peaks each.
func (t *tail) slab(peaks int) {
	slots, hashes := make([]slot, slabSlots), make([]merkle.Hash, slabSlots*peaks)
	for k := range slots {
		slots[k].peaks = hashes[k*peaks : k*peaks : (k+1)*peaks]
		t.free = append(t.free, &slots[k])
	}
}
