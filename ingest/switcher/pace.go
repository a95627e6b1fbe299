package switcher

import (
	"slices"
	"time"

	"tailcast/ingest"
)

// ticks is d in 90 kHz.
func ticks(d time.Duration) int64 {
	return int64(d/time.Second)*ingest.ClockRate + int64(d%time.Second)*ingest.ClockRate/int64(time.Second)
}

// duration is n ticks of 90 kHz.
func duration(n int64) time.Duration {
	return time.Duration(n/ingest.ClockRate)*time.Second + time.Duration(n%ingest.ClockRate)*time.Second/ingest.ClockRate
}

// pace tells how long after its own time a sample comes: arrival minus DTS, the least of the last few seconds. What delays samples on
// the way differs from one to the next and is never negative, so the least is the truest, and a mean would be wrong by half of the jitter.
type pace struct {
	known      bool
	turn       int64 // when the younger window began
	old, young int64 // the least of each window
}

const paceWindow = 2 * ingest.ClockRate

func (p *pace) observe(at, dts int64) {
	late := at - dts
	switch {
	case !p.known:
		*p = pace{true, at, late, late}
	case at-p.turn >= paceWindow:
		p.turn, p.old, p.young = at, p.young, late
	default:
		p.young = min(p.young, late)
	}
}

func (p *pace) least() int64 { return min(p.old, p.young) }

// drift measures how fast an encoder's clock runs against ours: the slope of the least delays of ten seconds each, over up to ten
// minutes. It is the median of the slopes of all pairs (Theil and Sen), which a burst, a pause or a change of the way does not move.
type drift struct {
	points []point
	least  point // of the window at hand
	begun  int64 // when that began
	some   bool
}

type point struct{ at, late int64 }

const (
	driftWindow = 10 * ingest.ClockRate
	driftPoints = 60
	driftFew    = 7 // points that say something: a minute
)

func (d *drift) observe(at, dts int64) {
	now := point{at, at - dts}
	switch {
	case !d.some:
		d.some, d.begun, d.least = true, at, now
	case at-d.begun < driftWindow:
		if now.late < d.least.late {
			d.least = now
		}
	default:
		d.points = append(d.points, d.least)
		if len(d.points) > driftPoints {
			d.points = slices.Delete(d.points, 0, 1)
		}
		d.begun, d.least = at, now
	}
}

// ppm is by how many millionths the encoder's clock is faster than ours; false while that is not known.
func (d *drift) ppm() (float64, bool) {
	if len(d.points) < driftFew {
		return 0, false
	}
	var slopes []float64
	for i, a := range d.points {
		for _, b := range d.points[i+1:] {
			slopes = append(slopes, float64(a.late-b.late)/float64(b.at-a.at))
		}
	}
	slices.Sort(slopes)
	return slopes[len(slopes)/2] * 1e6, true
}
