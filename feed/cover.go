package feed

import (
	"fmt"

	"tailcast/feed/merkle"
)

// Cover returns cover(a, b) (docs/feed.md, section 5): with frontier(a) it leads to the root of size b, so that what was proved by a head of size
// a, or up to a, is proved by that of size b. It is checked against the signed head before it is returned. It reads O(log^2 n) peaks and at most 64 chunks
// of rows, a few as a rule; rows between a and b need not be held one by one where the hashes over them are.
func (l *Log) Cover(a, b uint64) ([]merkle.Hash, error) {
	if a > b {
		return nil, fmt.Errorf("cover of [%d, %d) of %s: it ends before it begins", a, b, l.origin)
	}
	left, err := l.Frontier(a)
	if err != nil {
		return nil, err
	}
	whole, err := l.Frontier(b)
	if err != nil {
		return nil, err
	}
	// A hash that is stored may have rotted, and so may a row; not both, as a rule.
	for _, computed := range []bool{false, true} {
		c := coverer{log: l, computed: computed}
		var hashes []merkle.Hash
		if hashes, err = merkle.Cover(a, b, c.node); err != nil {
			continue
		}
		if _, err = merkle.Verify(a, left.Peaks(), nil, b, hashes, whole.Root()); err == nil {
			return hashes, nil
		}
	}
	return nil, fmt.Errorf("cover of [%d, %d) of %s: %w: %w", a, b, l.origin, ErrNotHeld, err)
}

// A coverer reads hashes of subtrees. It does not verify them.
type coverer struct {
	log      *Log
	computed bool   // from rows alone
	chunk    *chunk // read last
	reads    int
}

// maxCoverReads bounds how many chunks one cover may read: without holes, one for each odd subtree above a chunk.
const maxCoverReads = 64

// node is a merkle.HashReader.
func (c *coverer) node(height int, index uint64) (merkle.Hash, error) {
	from, to := index<<height, (index+1)<<height
	if h, ok := c.inMemory(height, from, to); ok {
		return h, nil
	}
	if height > chunkHeight && index%2 == 0 {
		// A left child is the last peak of the tree that ends with it.
		if f, ok := c.frontier(to); ok {
			return f.Peaks()[merkle.PeakCount(to)-1], nil
		}
	}
	if height <= chunkHeight {
		if h, ok := c.inChunk(height, from); ok {
			return h, nil
		}
	}
	if height == 0 {
		return merkle.Hash{}, c.log.notHeld(index, nil)
	}
	left, err := c.node(height-1, 2*index)
	if err != nil {
		return merkle.Hash{}, err
	}
	right, err := c.node(height-1, 2*index+1)
	if err != nil {
		return merkle.Hash{}, err
	}
	return merkle.NodeHash(left, right), nil
}

// inMemory makes the hash of the blocks [from, to) if all are in memory.
func (c *coverer) inMemory(height int, from, to uint64) (merkle.Hash, bool) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if from < l.tail.lo || to > l.tail.hi {
		return merkle.Hash{}, false
	}
	var tree merkle.Frontier
	for i := from; i < to; i++ {
		s := l.tail.get(i)
		if s == nil {
			return merkle.Hash{}, false
		}
		tree.Append(s.block.Record.Leaf())
	}
	return tree.Root(), true
}

// frontier returns that of size n, a multiple of 4096, if it is stored or in memory.
func (c *coverer) frontier(n uint64) (*merkle.Frontier, bool) {
	if f, ok := c.log.frontierInMemory(n); ok {
		return &f, true
	}
	if c.log.store == nil {
		return nil, false
	}
	if base, _, ok := c.log.store.span(); !ok || n < base {
		return nil, false
	}
	f := c.log.store.readSlot(n)
	return f, f != nil
}

// inChunk returns the hash of the subtree over the rows of one chunk from row from on, if it follows from what is on disk.
func (c *coverer) inChunk(height int, from uint64) (merkle.Hash, bool) {
	start := from &^ (chunkRows - 1)
	if c.chunk == nil || c.chunk.start != start {
		if c.log.store == nil || c.reads == maxCoverReads {
			return merkle.Hash{}, false
		}
		c.reads++
		chunk, err := c.log.store.readChunk(start)
		if err != nil {
			return merkle.Hash{}, false
		}
		if c.computed {
			clear(chunk.stored)
		}
		c.chunk = chunk
	}
	return c.chunk.node(height, from-start, c.chunk.stored)
}
