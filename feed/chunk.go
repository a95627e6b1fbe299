package feed

import (
	"math/bits"

	"tailcast/feed/merkle"
)

// This file reads what store.go wrote: frontiers, out of chunks.

// A chunk is 4096 rows and the hashes over them, in memory while frontiers are computed.
type chunk struct {
	store *store
	start uint64
	rows  []byte // as on disk; may be short
	// Hashes over the rows, in the places of file nodes: those on disk and, where there are none, what follows from below; and what follows
	// from below, and where that is not enough those on disk. They differ where a row rotted, or a hash.
	stored, computed []byte
	// The frontiers of size start: as its slot says, and as the chunk before gives it. Nil: not there, or not looked for yet.
	slot, before *merkle.Frontier
	depth        int  // how many chunks asked for the one before
	healed       bool // before proved something, and slot did not
}

var zeroRow [rowSize]byte

// maxDepth is how many missing slots in a row are made up for: each costs the reading of a chunk, 1 to 2 ms.
const maxDepth = 64

// readChunk reads the chunk of row i.
func (s *store) readChunk(i uint64) (*chunk, error) {
	base, end, ok := s.span()
	if !ok || i < base || i > end {
		return nil, ErrNotHeld
	}
	c := &chunk{store: s, start: i &^ (chunkRows - 1)}
	rows := min(chunkRows, end-min(end, c.start))
	c.rows, c.stored = make([]byte, rows*rowSize), make([]byte, min(nodeAt(rows+1), areaSize))
	if _, err := s.records.ReadAt(c.rows, s.rowAt(c.start)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	nodes := s.nodes
	s.mu.Unlock()
	if nodes != nil {
		// The file ends after the last hash that was stored. What cannot be read is not there; what is wrong fails its verification.
		_, _ = nodes.ReadAt(c.stored, s.areaAt(c.start>>chunkHeight))
	}
	c.slot = s.readSlot(c.start)
	return c, nil
}

// readSlot reads the peaks before the chunk that begins at start, nil if they are not there.
func (s *store) readSlot(start uint64) *merkle.Frontier {
	var slot [slotSize]byte
	n := merkle.PeakCount(start)
	if _, err := s.peaks.ReadAt(slot[:n*merkle.HashSize], s.slotAt(start>>chunkHeight)); n > 0 && err != nil {
		return nil
	}
	peaks := make([]merkle.Hash, n)
	for k := range peaks {
		peaks[k] = merkle.Hash(slot[k*merkle.HashSize:])
	}
	f, err := merkle.NewFrontier(start, peaks)
	if err != nil || n > 0 && peaks[0] == (merkle.Hash{}) {
		return nil
	}
	return &f
}

// fromBefore returns the frontier before the chunk as the chunk before it gives it, nil if it lacks rows.
func (c *chunk) fromBefore() *merkle.Frontier {
	if c.before != nil || c.start == 0 || c.depth == maxDepth {
		return c.before
	}
	prev, err := c.store.readChunk(c.start - 1)
	if err != nil {
		return nil
	}
	prev.depth = c.depth + 1
	left := prev.slot
	if left == nil {
		left = prev.fromBefore()
	}
	if f, err := prev.frontier(c.start, left, prev.stored); err == nil {
		c.before = &f
	}
	return c.before
}

// row returns the bytes of a row, nil if it is missing.
func (c *chunk) row(r uint64) []byte {
	at := int(r) * rowSize
	if at+rowSize > len(c.rows) || [rowSize]byte(c.rows[at:]) == zeroRow {
		return nil
	}
	return c.rows[at : at+rowSize]
}

// node returns the hash of the subtree of height h over the rows from r on: the one in hashes, else from its children, else the one on disk.
func (c *chunk) node(h int, r uint64, hashes []byte) (merkle.Hash, bool) {
	// A right child is no peak and has no place, and neither has the whole chunk: they end where a larger subtree does.
	end := r + 1<<h
	at, peak := nodeAt(end), bits.TrailingZeros64(end) == h && nodeAt(end) < int64(len(hashes))
	if peak {
		if hash := merkle.Hash(hashes[at:]); hash != (merkle.Hash{}) {
			return hash, true
		}
	}
	hash, ok := c.below(h, r, hashes)
	if !ok && peak {
		hash = merkle.Hash(c.stored[at:])
		ok = hash != merkle.Hash{}
	}
	if ok && peak {
		copy(hashes[at:], hash[:])
	}
	return hash, ok
}

// below returns the hash of a subtree from its row or its children.
func (c *chunk) below(h int, r uint64, hashes []byte) (merkle.Hash, bool) {
	if h == 0 {
		row := c.row(r)
		if row == nil {
			return merkle.Hash{}, false
		}
		return merkle.LeafHash(row[:RecordSize]), true
	}
	left, ok := c.node(h-1, r, hashes)
	if !ok {
		return merkle.Hash{}, false
	}
	right, ok := c.node(h-1, r+1<<(h-1), hashes)
	if !ok {
		return merkle.Hash{}, false
	}
	return merkle.NodeHash(left, right), true
}

// frontier returns frontier(i) for a row i of the chunk, or the one after it, from the frontier before the chunk. It is not verified.
func (c *chunk) frontier(i uint64, left *merkle.Frontier, hashes []byte) (merkle.Frontier, error) {
	if left == nil {
		return merkle.Frontier{}, errGap
	}
	f := *left
	for h := chunkHeight; h >= 0; h-- {
		// Each 1 bit of the rows before i is a subtree, the larger ones left of the smaller ones.
		if (i-c.start)>>h&1 == 0 {
			continue
		}
		hash, ok := c.node(h, f.Size()-c.start, hashes)
		if !ok {
			return merkle.Frontier{}, errGap
		}
		f.AppendSubtree(h, hash)
	}
	return f, nil
}

// prove returns the frontier(i) that good accepts. What is stored twice, in rows and as a hash over them, may have rotted in one place:
// the fast way is tried first, the others are for that.
func (c *chunk) prove(i uint64, good func(*merkle.Frontier) bool) (merkle.Frontier, error) {
	if f, err := c.frontier(i, c.slot, c.stored); err == nil && good(&f) {
		return f, nil
	}
	if c.computed == nil {
		c.computed = make([]byte, len(c.stored))
	}
	if f, err := c.frontier(i, c.slot, c.computed); err == nil && good(&f) {
		return f, nil
	}
	before := c.fromBefore()
	if before == nil || c.slot != nil && *before == *c.slot {
		return merkle.Frontier{}, errGap
	}
	for _, hashes := range [][]byte{c.stored, c.computed} {
		if f, err := c.frontier(i, before, hashes); err == nil && good(&f) {
			c.healed = true
			return f, nil
		}
	}
	return merkle.Frontier{}, errGap
}

// frontier returns the frontier(i) that good accepts, as the disk has it. It reads up to 64 rows as a rule, 0.1 ms; else a chunk, 1 to 2 ms.
func (s *store) frontier(i uint64, good func(*merkle.Frontier) bool) (merkle.Frontier, error) {
	if f, ok := s.near(i); ok && good(&f) {
		return f, nil
	}
	c, err := s.readChunk(i)
	if err != nil {
		return merkle.Frontier{}, err
	}
	return c.prove(i, good)
}

// near returns frontier(i) from the peaks stored before the 64th row at i or below, and the rows from there on. It is not verified. False: some of that
// is not there.
func (s *store) near(i uint64) (merkle.Frontier, bool) {
	base, end, ok := s.span()
	if !ok || i < base || i > end {
		return merkle.Frontier{}, false
	}
	f := s.readSlot(i &^ (chunkRows - 1))
	if f == nil || !s.addNodes(f, i&^(nodesEvery-1)) || !s.addRows(f, i) {
		return merkle.Frontier{}, false
	}
	return *f, true
}

// addNodes makes of the frontier before a chunk that before row i of it, from the hashes stored for it.
func (s *store) addNodes(f *merkle.Frontier, i uint64) bool {
	s.mu.Lock()
	nodes := s.nodes
	s.mu.Unlock()
	start := f.Size()
	for h := chunkHeight - 1; h >= 0; h-- {
		if (i-start)>>h&1 == 0 {
			continue
		}
		var hash merkle.Hash
		at := s.areaAt(start>>chunkHeight) + nodeAt(f.Size()-start+1<<h)
		if nodes == nil {
			return false
		}
		if _, err := nodes.ReadAt(hash[:], at); err != nil || hash == (merkle.Hash{}) {
			return false
		}
		f.AppendSubtree(h, hash)
	}
	return true
}

// addRows appends the rows before i to a frontier.
func (s *store) addRows(f *merkle.Frontier, i uint64) bool {
	rows := make([]byte, (i-f.Size())*rowSize)
	if len(rows) == 0 {
		return true
	}
	if _, err := s.records.ReadAt(rows, s.rowAt(f.Size())); err != nil {
		return false
	}
	for ; len(rows) > 0; rows = rows[rowSize:] {
		if [rowSize]byte(rows) == zeroRow {
			return false
		}
		f.Append(merkle.LeafHash(rows[:RecordSize]))
	}
	return true
}

// empty reports whether no row of the chunk before end is held: a crash may leave a file longer than what was written to it.
func (c *chunk) empty(end uint64) bool {
	for i := c.start; i < end; i++ {
		if c.row(i-c.start) != nil {
			return false
		}
	}
	return true
}
