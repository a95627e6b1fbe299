package player

import (
	"math"

	"tailcast/ingest"
)

// Limits of what counts as the same time, in ticks.
const (
	backwards = ingest.ClockRate      // a track that falls back further than this has begun a new time
	gap       = 3 * ingest.ClockRate  // a jump of less than this forwards is a gap, and stays one
	firstStep = ingest.ClockRate / 25 // between a track's samples while there is only one
	longStep  = ingest.ClockRate / 5  // a sample lasts no longer: what comes more seldom is text
)

// A timeline makes one unbroken time out of the sections a channel is made of: another epoch, the far side of a hole, and a
// source whose clock jumped all begin a section with times of their own. Each section is moved, as a whole, to where the one
// before ended; the first is not moved at all. Within a section all differences stay exact, between tracks too.
//
// A jump of the source's clock reaches its tracks one after the other, since their samples are interleaved; so each track (a
// lane here) changes over by itself, to the section that the first of them began.
type timeline struct {
	lanes   [ingest.MaxTracks]lane
	section int   // the newest; 0 is the first
	floor   int   // lanes in a section before this one are behind a reset: they change over whatever comes
	offset  int64 // of the newest section
	started bool
	pending bool // the next sample begins a section
}

// lane is one track's place in the timeline.
type lane struct {
	used    bool
	section int
	offset  int64 // of that section
	last    int64 // DTS of the newest sample, moved
	step    int64 // between the last two samples
	late    bool  // samples of the new section would still come before last
}

// reset begins a section with whatever sample comes next.
func (t *timeline) reset() { t.pending = t.started }

// move moves a sample. section says that it is the first of a new section; ok is false if the sample must go, since it would
// come before what its track has played already.
func (t *timeline) move(s *ingest.Sample) (section, ok bool) {
	l := &t.lanes[s.Track%ingest.MaxTracks]
	jumped := l.used && !l.late && l.section >= t.floor && t.jumped(l, s)
	switch {
	case t.pending, jumped && (l.section == t.section || !t.near(s)):
		t.begin(s.DTS)
		section = true
		t.enter(l)
	case !l.used, l.section < t.floor, jumped:
		t.enter(l)
	}
	l.late = l.late && s.DTS+l.offset <= l.last
	if l.late {
		return section, false
	}
	s.PTS += l.offset
	s.DTS += l.offset
	t.note(l, s.DTS)
	return section, true
}

// jumped tells whether the sample does not continue the lane's section.
func (t *timeline) jumped(l *lane, s *ingest.Sample) bool {
	d := s.DTS + l.offset - l.last
	return d < -backwards || s.Flags&ingest.Discontinuity != 0 && (d <= 0 || d > gap)
}

// near tells whether the sample would fit into the newest section.
func (t *timeline) near(s *ingest.Sample) bool {
	d := s.DTS + t.offset - t.end()
	return -gap < d && d < gap
}

func (t *timeline) begin(dts int64) {
	t.section++
	t.offset = t.end() - dts
	if t.pending {
		t.pending, t.floor = false, t.section
	}
}

func (t *timeline) enter(l *lane) {
	l.section, l.offset, l.late = t.section, t.offset, l.used
}

func (t *timeline) note(l *lane, dts int64) {
	if d := dts - l.last; l.used && 0 < d && d < gap {
		l.step = d
	} else if l.step == 0 {
		l.step = firstStep
	}
	l.last, l.used, t.started = dts, true, true
}

// end is where the samples so far end, moved.
func (t *timeline) end() int64 {
	end := int64(math.MinInt64)
	for i := range t.lanes {
		if l := &t.lanes[i]; l.used {
			end = max(end, l.last+min(l.step, longStep))
		}
	}
	return end
}
