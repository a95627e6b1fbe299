package feed

import "tailcast/feed/merkle"

// This file finds rows by what their records say: offsets and wall clocks never go back in a log.

// lastRow returns the last row held of which below is true, given that it is true of all rows up to one and of none after it. It reads
// a few rows for each bit of the length, and believes none that contradicts its neighbours; nothing is verified.
func (s *store) lastRow(below func(*Record) bool) (last uint64, record Record, ok bool, err error) {
	lo, hi, some := s.span()
	for some && lo < hi {
		mid := lo + (hi-lo)/2
		i, r, found, err := s.nextRow(mid, hi)
		switch {
		case err != nil:
			return 0, Record{}, false, err
		case !found:
			hi = mid
		case below(&r):
			last, record, ok = i, r, true
			lo = i + 1
		default:
			hi = mid
		}
	}
	return last, record, ok, nil
}

// nextRow returns the first row of [i, hi) that is held and does not contradict its neighbours, as one does that has rotted.
func (s *store) nextRow(i, hi uint64) (at uint64, r Record, ok bool, err error) {
	for n := uint64(8); i < hi; n = min(2*n, chunkRows) {
		to := min(i+n, hi, (i|(chunkRows-1))+1)
		if at, r, ok, err = s.scan(i, to); ok || err != nil {
			return at, r, ok, err
		}
		if i = to; i%chunkRows == 0 {
			i = s.skipChunks(i, hi)
		}
	}
	return 0, Record{}, false, nil
}

// scan is nextRow within a few rows, which it reads at once.
func (s *store) scan(from, to uint64) (at uint64, r Record, ok bool, err error) {
	base, end, _ := s.span()
	first := max(from, base+1) - 1
	rows := make([]byte, (min(to+1, end)-first)*rowSize)
	if _, err := s.records.ReadAt(rows, s.rowAt(first)); err != nil {
		return 0, Record{}, false, err
	}
	parse := func(i uint64) (Record, bool) {
		k := i - first // of i = first-1, or before 0: beyond all
		if k >= uint64(len(rows)/rowSize) {
			return Record{}, false
		}
		r, err := ParseRecord(rows[k*rowSize : k*rowSize+RecordSize])
		return r, err == nil
	}
	for i := from; i < to; i++ {
		r, ok := parse(i)
		if !ok {
			continue
		}
		before, known := parse(i - 1)
		if known && r.Follows(&before) != nil {
			continue
		}
		if after, known := parse(i + 1); known && after.Follows(&r) != nil {
			continue
		}
		return i, r, true, nil
	}
	return 0, Record{}, false, nil
}

// skipChunks returns where the next chunk from i on begins that has rows, given that the rows right before i are missing: then the
// peaks before the chunk are stored.
func (s *store) skipChunks(i, hi uint64) uint64 {
	for ; i < hi; i += chunkRows {
		var peak merkle.Hash
		if _, err := s.peaks.ReadAt(peak[:], s.slotAt(i>>chunkHeight)); err == nil && peak != (merkle.Hash{}) {
			return i
		}
	}
	return hi
}
