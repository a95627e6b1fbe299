package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"tailcast/feed/merkle"
)

// This file finds the end of a log after a start.

// A verifyFunc verifies record and signature of a block, without its payload, after the frontier before it (Log.verifyHead).
type verifyFunc func(*Block, *merkle.Frontier) (merkle.Frontier, Head, error)

// The end of a log after a crash is looked for in so many chunks that have rows, and in so many chunks at all.
const (
	searchChunks = 4
	skipChunks   = 64
)

// recover opens the store and finds its end: it drops rows from the end until one verifies, payload included, by the function that
// verifies what peers send. But it never drops more rows than one sync leaves to chance: if those do not verify, something rotted, and
// everything stays where it is; what cannot be proved when it is read is a hole. It returns the frontier after the last row that
// verified and its head; a zero head if there is none. It takes the time of a few chunks, whatever the length of the log.
func (s *store) recover(verify verifyFunc) (merkle.Frontier, Head, error) {
	found, err := s.openRows()
	if err != nil || !found {
		return merkle.Frontier{}, Head{}, err
	}
	search := search{store: s, verify: verify}
	if err := search.run(); err != nil {
		return merkle.Frontier{}, Head{}, err
	}
	if search.head.Size == 0 {
		s.first, s.end = math.MaxUint64, s.base // what there is proves nothing; rows written later count again, one by one
		return merkle.Frontier{}, Head{}, nil
	}
	if search.torn {
		s.end = search.head.Size
	}
	s.first = s.findFirst()
	if err := s.findPruned(); err != nil {
		return merkle.Frontier{}, Head{}, err
	}
	if !search.torn {
		return search.edge, search.head, nil
	}
	// Dropped rows must not stand behind what is appended now, as if they had been verified. A crash before the truncation
	// is on disk leaves them, and the next start drops them again.
	return search.edge, search.head, s.trim()
}

// A search looks for the last row of a log that verifies.
type search struct {
	store  *store
	verify verifyFunc

	edge    merkle.Frontier // after the row that was found
	head    Head
	torn    bool // what is behind it is what a crash may leave
	dropped int  // rows that are behind it
}

// run goes down from the end. Within what a crash may have torn, a row counts if its payload is right, or was removed; below that,
// the highest row that is signed counts.
func (q *search) run() error {
	end := q.store.end
	for searched, skipped := 0, 0; end > q.store.base && searched < searchChunks && skipped < skipChunks; skipped++ {
		c, err := q.store.readChunk(end - 1)
		if err != nil {
			return fmt.Errorf("couldn't read %s: %w", q.store.dir, err)
		}
		if !c.empty(end) {
			searched++
			if q.down(c, end) {
				return q.store.keepSlot(c)
			}
		}
		end = c.start
	}
	if q.dropped <= maxUnsynced {
		q.head = Head{} // all that is there may have been torn
	}
	return nil
}

// down looks at the rows of a chunk before end, from the last one down, and reports whether it found the end.
func (q *search) down(c *chunk, end uint64) bool {
	for i := end; i > c.start; {
		i--
		if c.row(i-c.start) == nil || q.dropped > maxUnsynced && i%nodesEvery != 0 {
			continue // beyond what a crash explains, rows that nodes prove are enough to find something good
		}
		b, edge, head, ok := q.row(c, i)
		intact := ok && q.store.intact(b)
		if intact || ok && q.head.Size == 0 {
			q.edge, q.head = edge, head
		}
		if intact && q.dropped <= maxUnsynced {
			q.torn = true
			return true
		}
		q.dropped++
		if q.dropped > maxUnsynced && q.head.Size > 0 {
			return true
		}
	}
	return false
}

// row verifies row i without its payload.
func (q *search) row(c *chunk, i uint64) (b *Block, edge merkle.Frontier, head Head, ok bool) {
	row := c.row(i - c.start)
	record, err := ParseRecord(row[:RecordSize])
	if err != nil {
		return nil, edge, head, false
	}
	b = &Block{Index: i, Record: record, Signature: Signature(row[RecordSize:])}
	_, err = c.prove(i, func(f *merkle.Frontier) bool {
		var err error
		edge, head, err = q.verify(b, f)
		return err == nil
	})
	return b, edge, head, err == nil
}

// intact reports whether the payload of a block is right, or its file was removed.
func (s *store) intact(b *Block) bool {
	payload, err := s.payloads.read(&b.Record)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return b.Record.CheckPayload(payload) == nil
}

// keepSlot puts the peaks before a chunk in their place again, if the chunk before it had to make up for them.
func (s *store) keepSlot(c *chunk) error {
	if !c.healed {
		return nil
	}
	return s.putSlot(c.start>>chunkHeight, c.before.Peaks())
}

// trim ends the files with the last row.
func (s *store) trim() error {
	if err := s.records.Truncate(s.rowAt(s.end)); err != nil {
		return err
	}
	last := (s.end - 1) >> chunkHeight
	if err := shorten(s.peaks, s.slotAt(last+1)); err != nil || s.nodes == nil {
		return err
	}
	// What is over rows before the end stays: it ends there or before.
	rows := s.end - last<<chunkHeight
	return shorten(s.nodes, s.areaAt(last)+min(nodeAt(rows+1), areaSize))
}

// shorten truncates a file that is longer.
func shorten(f File, size int64) error {
	if is, err := f.Size(); err != nil || is <= size {
		return err
	}
	return f.Truncate(size)
}

// findFirst returns the lowest row held. The base lies at most two chunks below the first row ever written.
func (s *store) findFirst() uint64 {
	for _, at := range []uint64{s.base, s.base + chunkRows} {
		c, err := s.readChunk(min(at, s.end))
		if err != nil {
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

// findPruned finds the rows that have lost their payloads to retention: those below the lowest file, or all that had bytes.
func (s *store) findPruned() error {
	_, first, ok, err := s.nextRow(s.first, s.end)
	if err != nil {
		return err
	}
	if ok {
		s.payloads.startAt(first.Offset)
	}
	floor := s.payloads.begins(math.MaxUint64)
	if floor < math.MaxUint64 {
		return s.giveUp(floor)
	}
	_, last, _, err := s.lastRow(func(*Record) bool { return true })
	if err != nil {
		return err
	}
	return s.giveUp(last.Offset + uint64(last.Length))
}

// giveUp announces that the payload bytes below floor are gone, or will be in a moment: from here on their rows count as pruned.
func (s *store) giveUp(floor uint64) error {
	last, _, ok, err := s.lastRow(func(r *Record) bool { return r.Offset < floor })
	if err != nil || !ok {
		return err // no row spoke of them
	}
	_, end, _ := s.span()
	next, _, ok, err := s.nextRow(last+1, end)
	if err != nil {
		return err
	}
	if !ok {
		next = end
	}
	s.payloads.giveUp(floor)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruned = max(s.pruned, next)
	return nil
}

// prunedRows returns the rows [from, to) that have lost their payloads to retention; those among them that are missing are not missed.
func (s *store) prunedRows() Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Range{min(s.first, s.pruned), s.pruned}
}
