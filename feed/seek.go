package feed

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// This file finds places in a log: by time, by offset, by media time. A log is in ascending order of wall clock, offset and segment, since
// its signer broke a rule otherwise; so places are found by halving, in O(log n) reads of single rows and without an index. Three things
// stand in the way:
//
//   - Rows may be missing. A probe that finds none goes on to the next row that is there (nextRow), and if that is too far, what lies
//     between is ruled out with it.
//   - Rows on disk are not verified. A rotten one may mislead the search; but the two rows between which the place is found are verified,
//     and since the order is the signer's, there is only one such place. If one of them fails, it does not count, and the search begins anew.
//   - Payloads may be gone, though their records are held (playable).

// end returns where the blocks end that are held and can be trusted.
func (l *Log) end() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var end uint64
	if l.tail.lo < l.tail.hi {
		end = l.tail.hi
	}
	if l.store != nil {
		_, rows, _ := l.store.span()
		end = max(end, rows)
	}
	if l.fault != nil {
		end = min(end, l.fault.Index)
	}
	return end
}

// nextRow returns the first block held of [i, hi), without its payload and not verified if it is on disk only.
func (l *Log) nextRow(i, hi uint64) (uint64, Block, bool) {
	inMemory, ok := l.nextInMemory(i, hi)
	if ok {
		hi = inMemory
	}
	for l.store != nil && i < hi {
		var onDisk bool
		if i, onDisk, _ = l.store.next(i, hi); !onDisk {
			break
		}
		if b, good := l.lookup(i); good {
			return i, b, true
		}
		i++ // it turned out to be bad
	}
	if !ok {
		return 0, Block{}, false
	}
	b, ok := l.lookup(inMemory) // it may have moved to disk meanwhile
	return inMemory, b, ok
}

func (l *Log) nextInMemory(i, hi uint64) (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i = max(i, l.tail.lo); i < min(hi, l.tail.hi); i++ {
		if l.tail.get(i) != nil {
			return i, true
		}
	}
	return 0, false
}

// proved reports whether a block that was looked up is signed. One that is not does not count as held from then on.
func (l *Log) proved(b *Block) bool {
	if known, ok := l.inMemory(b.Index); ok {
		return known.Record == b.Record
	}
	if l.store == nil {
		return false
	}
	err := l.prove(b)
	if err != nil {
		l.distrust(b.Index, err)
	}
	return err == nil
}

// A place lies between two neighbours among the blocks held, both of them proved.
type place struct {
	before, after Block // without payloads
	begin, end    bool  // there is no before, no after
}

// maxMisled is how often rotten rows may mislead a search: each time costs 1 to 4 ms, since the hashes over it do not help.
const maxMisled = 256

// find returns the place in [lo, hi) where after begins to be true. Along a log it must be false, then true.
func (l *Log) find(lo, hi uint64, after func(*Record) bool) (place, error) {
	for range maxMisled {
		p := l.halve(lo, hi, after)
		if (p.begin || l.proved(&p.before)) && (p.end || l.proved(&p.after)) {
			return p, nil
		}
	}
	return place{}, fmt.Errorf("too many rows of %s are rotten: %w", l.origin, ErrNotHeld)
}

// halve is find without proof.
func (l *Log) halve(lo, hi uint64, after func(*Record) bool) place {
	p := place{begin: true, end: true}
	for lo < hi {
		mid := lo + (hi-lo)/2
		i, b, ok := l.nextRow(mid, hi)
		switch {
		case !ok:
			hi = mid
		case after(&b.Record):
			// Nothing is held from mid to i.
			hi, p.after, p.end = mid, b, false
		default:
			lo, p.before, p.begin = i+1, b, false
		}
	}
	return p
}

// OnAir returns the first block of the segment that was on air at t: of the last segment, among those whose first block is held, that began at t or before, by the
// wall clock of its first record. Whether its payloads are held, reading tells. The error is ErrNotHeld if none began by then.
func (l *Log) OnAir(t time.Time) (Block, error) {
	at := t.UnixMicro()
	for hi := l.end(); ; {
		p, err := l.find(0, hi, func(r *Record) bool { return r.Wall > at })
		if err != nil {
			return Block{}, err
		}
		if p.begin {
			return Block{}, fmt.Errorf("%s at %s: %w", l.origin, t.UTC().Format(time.RFC3339), ErrNotHeld)
		}
		hi = p.before.Index - min(p.before.Index, uint64(p.before.Record.Back))
		if first, ok := l.lookup(hi); ok && first.Record.Flags&SegmentFirst != 0 && l.proved(&first) {
			return first, nil
		}
		// The first block of that segment is missing: the segment before it.
	}
}

// AtTime returns the first record held whose wall clock is t or later.
func (l *Log) AtTime(t time.Time) (Block, error) {
	at := t.UnixMicro()
	return l.firstHeld(func(r *Record) bool { return r.Wall >= at })
}

// AtOffset returns the record whose payload has the byte at that offset of the log's payloads. The error is ErrNotHeld if that record is not held.
func (l *Log) AtOffset(offset uint64) (Block, error) {
	b, err := l.firstHeld(func(r *Record) bool { return r.Offset+uint64(r.Length) > offset })
	if err == nil && b.Record.Offset > offset {
		err = fmt.Errorf("payload byte %d of %s: %w", offset, l.origin, ErrNotHeld)
	}
	return b, err
}

func (l *Log) firstHeld(after func(*Record) bool) (Block, error) {
	p, err := l.find(0, l.end(), after)
	if err == nil && p.end {
		err = fmt.Errorf("%s so late: %w", l.origin, ErrNotHeld)
	}
	return p.after, err
}

// maxLinear is how many records are looked at for the next segment before it is searched for: segments of honest signers are shorter.
const maxLinear = 4096

// nextSegment returns the first block held of [i, hi) that begins a segment.
func (l *Log) nextSegment(i, hi uint64) (Block, bool) {
	for range maxLinear {
		at, b, ok := l.nextRow(i, hi)
		if !ok || b.Record.Flags&SegmentFirst != 0 {
			return b, ok
		}
		i = at + 1
	}
	_, b, ok := l.nextRow(i, hi)
	if !ok || !l.proved(&b) {
		return Block{}, false
	}
	p, err := l.find(i, hi, func(r *Record) bool { return r.Segment > b.Record.Segment })
	return p.after, err == nil && !p.end
}

// stride returns how far to go on from a row that is there and worth nothing, after so many like it: to the next one as a rule; in a log that is
// rotten all over, where each costs a millisecond or more, further and further.
func stride(bad int) uint64 { return 1 << min(max(bad-256, 0), 40) }

// playable returns the first block at i or after it that begins a segment and is held with its payload: where to read on behind a hole.
func (l *Log) playable(i uint64) (Block, bool) {
	hi := l.end()
	for bad := 0; ; bad++ {
		first, ok := l.nextSegment(i, hi)
		if !ok {
			return Block{}, false
		}
		if b, err := l.Block(first.Index); err == nil {
			return b, true
		}
		i = first.Index + stride(bad)
		if l.withoutPayload(&first) && l.proved(&first) {
			i = l.unpruned(&first)
		}
	}
}

// withoutPayload reports whether a row is on disk whose payload is not.
func (l *Log) withoutPayload(b *Block) bool {
	row, ok := l.lookupOnDisk(b.Index)
	return ok && !l.store.whole(&row)
}

// unpruned returns where the payloads begin that are held after a block whose payload was removed.
func (l *Log) unpruned(b *Block) uint64 {
	next := max(b.Index+1, l.pruned().To)
	if b.Index+1 < next {
		return next
	}
	offset, ok := l.store.payloads.next(b.Record.Offset)
	if !ok {
		return next
	}
	p, err := l.find(next, l.end(), func(r *Record) bool { return r.Offset >= offset })
	if err != nil || p.end {
		return next
	}
	if s, ok := l.nextInMemory(next, p.after.Index); ok {
		return s
	}
	return p.after.Index
}

// next returns where the next file begins that is there, after the one of an offset.
func (p *payloads) next(offset uint64) (uint64, bool) {
	p.mu.Lock()
	end := p.end
	p.mu.Unlock()
	start := p.startOf(offset) + p.size
	if start >= end {
		return 0, false
	}
	if p.there(start) {
		return start, true
	}
	starts, err := p.list() // a hole may be as long as its signer likes
	k, _ := slices.BinarySearch(starts, start)
	if err != nil || k == len(starts) || starts[k] >= end {
		return 0, false
	}
	return starts[k], true
}

// next returns the first row of [i, hi) that is there, and the first error that stood in its way. Long holes are passed by peaks: behind a missing row, a chunk
// without its slot has no row that can be proved.
func (s *store) next(i, hi uint64) (at uint64, found bool, err error) {
	base, end, ok := s.span()
	i, hi = max(i, base), min(hi, end)
	for ok && i < hi {
		stop := min(hi, i&^(chunkRows-1)+chunkRows)
		at, found, e := s.nextIn(i, stop)
		if err = cmp.Or(err, e); found {
			return at, true, err
		}
		i = s.skipChunks(stop, hi)
	}
	return 0, false, err
}

// nextIn reads the rows [i, stop) of one chunk, more and more at once. What cannot be read is passed over.
func (s *store) nextIn(i, stop uint64) (at uint64, found bool, err error) {
	var one [rowSize]byte
	buf := one[:]
	for n := uint64(1); i < stop; n = min(8*n, 512) {
		n = min(n, stop-i)
		if uint64(len(buf)) < n*rowSize {
			buf = make([]byte, n*rowSize)
		}
		rows := buf[:n*rowSize]
		if got, e := s.records.ReadAt(rows, s.rowAt(i)); e != nil {
			clear(rows[got:])
			err = cmp.Or(err, e)
		}
		for r := range n {
			if isRow(rows[r*rowSize:]) {
				return i + r, true, err
			}
		}
		i += n
	}
	return 0, false, err
}

// isRow reports whether the bytes begin with a record.
func isRow(b []byte) bool {
	if [rowSize]byte(b) == zeroRow {
		return false
	}
	_, err := ParseRecord(b[:RecordSize])
	return err == nil
}
