package ts

import (
	"slices"

	"tailcast/ingest"
)

const (
	// maxDepth is the most pictures that H.264 and H.265 let a decoder hold back.
	maxDepth = 16
	// maxBack is how far the time of a picture may be before that of the one sent before it and still mean another order.
	maxBack = ingest.ClockRate / 2
)

// order finds decoding times where a sender tells only when pictures are shown, though it sends them in another order (which
// H.222.0, 2.4.3.7 forbids, and some do). A stream reordered by at most depth pictures is decoded in the order of its presentation times,
// depth pictures earlier: the decoding time of each is the smallest of the last depth+1 presentation times that was not
// used yet. The depth is learnt from the pictures that belie it; those few come out with a time that is too late.
type order struct {
	told    bool    // the sender tells decoding times: nothing to do
	depth   int     // 0: pictures come in the order in which they are shown
	waiting []int64 // ascending: the depth presentation times that are not decoding times yet
}

// next returns the times of the picture shown at pts; last is the decoding time before it. guessed says that they are not what
// the encoder meant.
func (o *order) next(pts, last int64) (outPTS, dts int64, guessed bool) {
	back := last - pts
	switch {
	case back > maxBack || back < -jump: // another time begins
		o.waiting, o.depth = o.waiting[:0], 0
		return pts, pts, false
	case back > 0 && o.depth < maxDepth:
		o.insert(pts)
		o.depth++
		return last + 1, last + 1, true
	case o.depth == 0:
		return pts, pts, false
	}
	o.insert(pts)
	dts = max(o.waiting[0], last+1)
	o.waiting = slices.Delete(o.waiting, 0, 1)
	return max(pts, dts), dts, dts > pts
}

func (o *order) insert(pts int64) {
	at, _ := slices.BinarySearch(o.waiting, pts)
	o.waiting = slices.Insert(o.waiting, at, pts)
}

// reorder gives u a decoding time if its sender told none and pictures need one, as those before it tell.
func (s *Scanner) reorder(es *elementary, u *unit) {
	es.order.told = es.order.told || u.decoding
	if es.order.told || !es.sure {
		return
	}
	before, guessed := es.order.depth, false
	u.pts, u.dts, guessed = es.order.next(u.pts, es.dts)
	if guessed {
		s.stats.DTSFallbacks.Add(1)
	}
	if before == 0 && es.order.depth > 0 {
		s.log.Warn("pictures come without decoding times, in another order than they are shown: these are derived", "pid", es.pid)
	}
}
