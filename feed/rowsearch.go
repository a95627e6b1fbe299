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
	for {
		if at, ok, err = s.next(i, hi); !ok || err != nil {
			return 0, Record{}, false, err
		}
		if r, ok = s.fitting(at); ok {
			return at, r, true, nil
		}
		i = at + 1
	}
}

// fitting returns the record of row i if it does not contradict its neighbours.
func (s *store) fitting(i uint64) (Record, bool) {
	r, _, ok := s.row(i)
	if before, _, known := s.row(i - 1); known && r.Follows(&before) != nil { // there is no row before 0
		return r, false
	}
	after, _, known := s.row(i + 1)
	return r, ok && (!known || after.Follows(&r) == nil)
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
