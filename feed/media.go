package feed

import (
	"fmt"
	"time"
)

// This file finds places by media time. DTS says nothing by itself: it jumps at discontinuities, and no index says where these are. But between
// them it runs as fast as the wall clock, which never jumps within a log. So the wall clock says about where to look.

const (
	// maxGuesses bounds the steps to a media time. Where the clocks agree, one is enough; each further one corrects what they differ by.
	maxGuesses = 16
	// maxTicks is 12,000 years.
	maxTicks = 1 << 55
)

// AtMedia returns the first block of the segment at the media time of block from and so many ticks of 1/90000 s more: the one whose DTS is that or
// less while that of the next segment is more, found where the wall clock says, within 2 s and 5 %. Where no next one continues the times, it ends a second
// after the DTS of its last record. The error is ErrNotHeld if there is none: the times do not continue up to there. Heartbeats have the DTS before them.
func (l *Log) AtMedia(from uint64, ticks int64) (Block, error) {
	start, ok := l.lookup(from)
	if !ok || !l.proved(&start) {
		return Block{}, l.notHeld(from, nil)
	}
	past, ok := micros(ticks, 0)
	target := start.Record.DTS + ticks
	wall := start.Record.Wall + past
	slack := (2 * time.Second).Microseconds() + max(past, -past)/20
	for guess, n := wall, 0; ok && n < maxGuesses && wall-slack <= guess && guess <= wall+slack; n++ {
		s, err := l.OnAir(time.UnixMicro(guess))
		if err != nil {
			return Block{}, err
		}
		next := l.mediaAfter(&s)
		var off int64
		off, ok = micros(target, s.Record.DTS)
		switch {
		case target < s.Record.DTS:
			guess = min(s.Record.Wall+off, s.Record.Wall-1)
		case target >= next.DTS:
			guess = max(s.Record.Wall+off, next.Wall)
		default:
			return s, nil
		}
	}
	return Block{}, fmt.Errorf("%d ticks from record %d of %s, where the times do not continue: %w", ticks, from, l.origin, ErrNotHeld)
}

// mediaAfter returns the first record of the segment that continues the times of segment s; else one that could, a second after its last record.
func (l *Log) mediaAfter(s *Block) Record {
	p, err := l.find(s.Index, l.end(), func(r *Record) bool { return r.Segment > s.Record.Segment })
	if err != nil || p.begin {
		return s.Record
	}
	next := &p.after.Record
	if !p.end && next.Flags&(SegmentFirst|Discontinuity) == SegmentFirst && next.DTS > s.Record.DTS {
		return *next
	}
	return Record{DTS: p.before.Record.DTS + 90_000, Wall: p.before.Record.Wall + time.Second.Microseconds()}
}

// micros returns a - b ticks in microseconds; false if that is longer than anything here.
func micros(a, b int64) (int64, bool) {
	d := a - b
	if (d < 0) != (a < b) || d > maxTicks || d < -maxTicks {
		return 0, false
	}
	return d * 100 / 9, true
}
