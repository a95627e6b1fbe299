package rtmp

import (
	"time"

	"tailcast/ingest"
)

// ticksPerMS is a millisecond in 90 kHz.
const ticksPerMS = ingest.ClockRate / 1000

// clock puts the milliseconds of a connection on the program's time. All tracks of the connection share it.
type clock struct {
	started bool
	last    int64     // newest stamp, continued beyond 32 bits; ms
	at      time.Time // and its arrival
	offset  int64     // program time minus stamps; 90 kHz
}

// Stamps that go back a little are of tracks that are not sorted; those that run ahead of the time that has passed by this much, or go back
// by more, are of a clock that was set.
const (
	maxAhead = 10 * time.Second
	maxBack  = 2 * time.Second
)

// place returns the program time of a stamp. The first begins at base; one that jumps is put where the time that has passed since the
// newest puts it.
func (c *clock) place(stamp time.Duration, base int64, now time.Time) (ticks int64, jumped bool) {
	ms := uint32(stamp / time.Millisecond)
	if !c.started {
		c.started, c.last, c.at = true, int64(ms), now
		c.offset = base - c.last*ticksPerMS
		return base, false
	}
	step := int64(int32(ms - uint32(c.last)))
	moved, passed := time.Duration(step)*time.Millisecond, now.Sub(c.at)
	if jumped = moved > passed+maxAhead || moved < -maxBack; jumped {
		c.offset -= (step - passed.Milliseconds()) * ticksPerMS
	}
	here := c.last + step
	if step > 0 || jumped {
		c.last, c.at = here, now
	}
	return here*ticksPerMS + c.offset, jumped
}

// steady takes the rounding to milliseconds out of the times of one track, by counting. Its times are the stamps' to within a millisecond
// or two, and where they are not, as after a gap or where the encoder's clock drifts, it begins to count anew.
type steady struct {
	rate  int64 // units of count in a second; 0: nothing is counted
	base  int64 // program time at which count was 0
	count int64
	stamp int64 // the one before
}

// agrees is how far a stamp may be from what was counted: both it and the first may be rounded by a millisecond.
const agrees = 2 * ticksPerMS

// sound returns the time of a frame of so many samples.
func (s *steady) sound(stamp, samples, rate int64) int64 {
	if rate <= 0 {
		s.rate = 0
		return stamp
	}
	at := s.base + scale(s.count, s.rate)
	if s.rate != rate || (at-stamp > agrees || stamp-at > agrees) {
		s.rate, s.base, s.count, at = rate, stamp, 0, stamp
	}
	s.count += samples
	return at
}

// picture returns the time of a picture that is decoded at stamp and shown delta later, if pictures last units/rate seconds.
func (s *steady) picture(stamp, delta int64, r frameRate) (dts, pts int64) {
	if r.units <= 0 {
		s.rate = 0
		return stamp, stamp + delta
	}
	s.count += max(r.nearest(stamp-s.stamp), 1) * r.units
	s.stamp = stamp
	dts = s.base + scale(s.count, s.rate)
	if s.rate != r.rate || dts-stamp > agrees || stamp-dts > agrees {
		s.rate, s.base, s.count, dts = r.rate, stamp, 0, stamp
	}
	pts = s.base + scale(s.count+r.nearest(delta)*r.units, s.rate)
	if off := pts - stamp - delta; off > agrees || off < -agrees {
		pts = dts + delta
	}
	return dts, pts
}

// frameRate is rate/units pictures a second.
type frameRate struct{ units, rate int64 }

// rateOf is the frame rate of pictures that last so many whole ticks of 90 kHz. Those of the NTSC family last fractions.
func rateOf(ticks int64) frameRate {
	switch ticks {
	case 750:
		return frameRate{1001, 120000}
	case 1501:
		return frameRate{1001, 60000}
	case 3753:
		return frameRate{1001, 24000}
	}
	return frameRate{ticks, ingest.ClockRate}
}

// nearest is how many pictures n ticks are, rounded.
func (r frameRate) nearest(n int64) int64 {
	one := r.units * ingest.ClockRate
	return (2*n*r.rate + one) / (2 * one)
}

// scale turns n parts of a second, of which there are rate, into ticks of 90 kHz.
func scale(n, rate int64) int64 {
	if rate == 0 {
		return 0
	}
	return n/rate*ingest.ClockRate + n%rate*ingest.ClockRate/rate
}
