package feed

import (
	"errors"
	"fmt"
	"math"

	"tailcast/feed/merkle"
)

// This file reads what store.go wrote: frontiers out of chunks, and after a start, the end of a log.

// A chunk is 4096 rows and the hashes over them, in memory while frontiers are computed.
type chunk struct {
	start uint64
	left  merkle.Frontier // frontier(start)
	rows  []byte          // as on disk; may be short
	nodes []byte          // as on disk; filled up with what is computed
}

var zeroRow [rowSize]byte

// readChunk reads the chunk of row i.
func (s *store) readChunk(i uint64) (*chunk, error) {
	base, end, ok := s.span()
	if !ok || i < base || i > end {
		return nil, ErrNotHeld
	}
	c := &chunk{start: i &^ (chunkRows - 1), nodes: make([]byte, areaSize)}
	c.rows = make([]byte, min(chunkRows, end-min(end, c.start))*rowSize)
	if _, err := s.records.ReadAt(c.rows, s.rowAt(c.start)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	nodes := s.nodes
	s.mu.Unlock()
	if nodes != nil {
		// The file ends after the last hash that was stored. What cannot be read is not there; what is wrong fails its verification.
		_, _ = nodes.ReadAt(c.nodes, s.areaAt(c.start>>chunkHeight))
	}
	return c, s.readSlot(c)
}

// readSlot reads the peaks before a chunk.
func (s *store) readSlot(c *chunk) error {
	var slot [slotSize]byte
	n := merkle.PeakCount(c.start)
	if n == 0 {
		return nil
	}
	if _, err := s.peaks.ReadAt(slot[:n*merkle.HashSize], s.slotAt(c.start>>chunkHeight)); err != nil {
		return errGap
	}
	peaks := make([]merkle.Hash, n)
	for k := range peaks {
		peaks[k] = merkle.Hash(slot[k*merkle.HashSize:])
	}
	var err error
	c.left, err = merkle.NewFrontier(c.start, peaks)
	return err
}

// row returns the bytes of a row, nil if it is missing.
func (c *chunk) row(r uint64) []byte {
	at := int(r) * rowSize
	if at+rowSize > len(c.rows) || [rowSize]byte(c.rows[at:]) == zeroRow {
		return nil
	}
	return c.rows[at : at+rowSize]
}

// node returns the hash of the subtree of height h over the rows from r on: the stored one, else from its children.
func (c *chunk) node(h int, r uint64) (merkle.Hash, bool) {
	at := nodeAt(h, r)
	if hash := merkle.Hash(c.nodes[at:]); hash != (merkle.Hash{}) {
		return hash, true
	}
	if h == 0 {
		row := c.row(r)
		if row == nil {
			return merkle.Hash{}, false
		}
		return merkle.LeafHash(row[:RecordSize]), true
	}
	left, ok1 := c.node(h-1, r)
	if !ok1 {
		return merkle.Hash{}, false
	}
	right, ok2 := c.node(h-1, r+1<<(h-1))
	if !ok2 {
		return merkle.Hash{}, false
	}
	hash := merkle.NodeHash(left, right)
	copy(c.nodes[at:], hash[:])
	return hash, true
}

// frontier returns frontier(i) for a row i of the chunk, or the one after it. It is not verified.
func (c *chunk) frontier(i uint64) (merkle.Frontier, error) {
	f := c.left
	for h := chunkHeight; h >= 0; h-- {
		// Each 1 bit of the rows before i is a subtree, the larger ones left of the smaller ones.
		if (i-c.start)>>h&1 == 0 {
			continue
		}
		hash, ok := c.subtree(h, f.Size()-c.start)
		if !ok {
			return merkle.Frontier{}, errGap
		}
		f.AppendSubtree(h, hash)
	}
	return f, nil
}

// subtree is node, but for the whole chunk, which has no place in nodes.
func (c *chunk) subtree(h int, r uint64) (merkle.Hash, bool) {
	if h < chunkHeight {
		return c.node(h, r)
	}
	left, ok1 := c.node(h-1, 0)
	right, ok2 := c.node(h-1, chunkRows/2)
	return merkle.NodeHash(left, right), ok1 && ok2
}

// frontier returns frontier(i) as the disk has it, not verified. It reads at most one chunk: 1 to 2 ms.
func (s *store) frontier(i uint64) (merkle.Frontier, error) {
	c, err := s.readChunk(i)
	if err != nil {
		return merkle.Frontier{}, err
	}
	return c.frontier(i)
}

// The end of a log after a crash is looked for in so many chunks that have rows, and in so many chunks at all. A power cut takes what
// was written since the last sync: a second or two, a few hundred rows.
const (
	searchChunks = 2
	skipChunks   = 64
)

// recover opens the store and finds its end: it drops rows from the end until one verifies, payload included, by the
// function that verifies what peers send. It returns the frontier after that row and its head; a zero head if there is none.
// It takes the time of one chunk, whatever the length of the log.
func (s *store) recover(verify func(*Block, *merkle.Frontier) (merkle.Frontier, Head, error)) (merkle.Frontier, Head, error) {
	found, err := s.open()
	if err != nil || !found {
		return merkle.Frontier{}, Head{}, err
	}
	size, err := s.records.Size()
	if err != nil {
		return merkle.Frontier{}, Head{}, err
	}
	s.end = s.base + min(uint64(size)/rowSize, merkle.MaxSize-s.base)
	f, head, err := s.findEnd(verify)
	if err != nil || head.Size == 0 {
		s.first, s.end = math.MaxUint64, s.base // what there is proves nothing; rows written later count again, one by one
		return merkle.Frontier{}, Head{}, err
	}
	s.end = head.Size
	s.first = s.findFirst()
	// Dropped rows must not stand behind what is appended now, as if they had been verified. A crash before the truncation
	// is on disk leaves them, and the next start drops them again.
	return f, head, s.records.Truncate(s.rowAt(s.end))
}

func (s *store) findEnd(verify func(*Block, *merkle.Frontier) (merkle.Frontier, Head, error)) (merkle.Frontier, Head, error) {
	end := s.end
	for searched, skipped := 0, 0; end > s.base && searched < searchChunks && skipped < skipChunks; skipped++ {
		c, err := s.readChunk(end - 1)
		if err != nil && !errors.Is(err, errGap) {
			return merkle.Frontier{}, Head{}, fmt.Errorf("couldn't read %s: %w", s.dir, err)
		}
		if c.empty(end) {
			end = c.start
			continue
		}
		searched++
		for ; err == nil && end > c.start; end-- {
			if f, head, ok := s.verifyRow(c, end-1, verify); ok {
				return f, head, nil
			}
		}
		end = c.start
	}
	return merkle.Frontier{}, Head{}, nil
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

// verifyRow verifies row i with its payload.
func (s *store) verifyRow(c *chunk, i uint64, verify func(*Block, *merkle.Frontier) (merkle.Frontier, Head, error)) (f merkle.Frontier, h Head, ok bool) {
	row := c.row(i - c.start)
	if row == nil {
		return f, h, false
	}
	record, err := ParseRecord(row[:RecordSize])
	if err != nil {
		return f, h, false
	}
	payload, err := s.readPayload(&record)
	if err != nil {
		return f, h, false
	}
	before, err := c.frontier(i)
	if err != nil {
		return f, h, false
	}
	b := Block{Index: i, Record: record, Signature: Signature(row[RecordSize:]), Payload: payload}
	f, h, err = verify(&b, &before)
	return f, h, err == nil
}

// findFirst returns the lowest row held. The base lies at most two chunks below the first row ever written.
func (s *store) findFirst() uint64 {
	for _, at := range []uint64{s.base, s.base + chunkRows} {
		c, err := s.readChunk(min(at, s.end))
		if err != nil && !errors.Is(err, errGap) {
			break
		}
		for r := range uint64(chunkRows) {
			if c.row(r) != nil {
				return c.start + r
			}
		}
	}
	return s.end
}
