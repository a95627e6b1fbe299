package main

import (
	"math"
	"sync"
	"time"

	"tailcast/ingest"
)

// This file gives the renditions of a channel one clock, so that a player can change from one to another: what was there at one moment has one
// decoding time in all of them. docs/ingest.md says what is promised.
//
// The clock of an input is known by its skew: decoding time minus time of day, for the sample that came soonest of late, since the others waited
// somewhere. Two inputs whose skews agree come from one encoder, and stay as they are to each other, exactly. Any other is moved to where the
// leader's clock says that it is now: the leader is the best rendition that comes.

// Bounds of alignment.
const (
	sameClock = 1 * ingest.ClockRate     // skews that are nearer are one encoder's
	driftMost = ingest.ClockRate / 2     // so far may an input of its own drift away, before it is moved again
	restMost  = 3 * ingest.ClockRate / 2 // and so far one that has another's clock: the way is longer by now, or it has paused
	jumpLeast = 3 * ingest.ClockRate / 2 // times that go on otherwise than the time of day by more than this have jumped; see below
	skewTime  = 10                       // seconds over which the soonest sample is looked for
	aliveFor  = 3 * time.Second          // without a sample an input says nothing of the time any more
)

// jumpLeast is more than what a failover takes: the switcher finds after a second and two pictures that an input is silent, goes on with what another
// has sent since, all at once, and marks that as discontinuous. Its times have not jumped, they are late.

// wrap is the period of the clocks of MPEG-TS (ISO/IEC 13818-1, 2.4.3.6): of two outputs of one encoder, one may have been met after it.
const wrap = 1 << 33

// A programClock is what the renditions of a channel are aligned by.
type programClock struct {
	now func() time.Time

	mu      sync.Mutex // guards all below, and the timings
	timings []*timing  // best first
	arrival int64      // skew of the clock of the channel, by arrival
	capture int64      // the same by when samples were captured
	known   bool       // arrival is
	dated   bool       // capture is
}

// timing is how one input's clock is moved.
type timing struct {
	clock *programClock
	lead  uint8                  // the track by which the skew is measured; 255: none
	media [ingest.MaxTracks]bool // tracks of pictures or sound: only these tell of the input's clock

	section int       // counts jumps of its clock
	since   time.Time // of the first picture or sound of the section; zero: none has come
	last    time.Time // when a sample came
	bins    [skewTime]skewBin
	set     bool  // offset is
	offset  int64 // to be added
	shared  bool  // the offset is another input's: one encoder
	move    int   // counts offsets
	lanes   [ingest.MaxTracks]timeLane
}

// skewBin is the greatest skew of one second.
type skewBin struct {
	second           int64
	arrival, capture int64
	dated            bool // capture is known
}

// timeLane is one track: it changes over by itself when the input's clock jumps, since samples of tracks are interleaved.
type timeLane struct {
	used    bool
	dts     int64 // of the newest sample, as it came
	at      time.Time
	section int   // of the input's clock that it is in
	offset  int64 // what it is moved by
	move    int   // which offset that is; 0: none yet
	out     bool  // something of it was let out
	broken  bool  // it has jumped since
}

func newProgramClock() *programClock { return &programClock{now: time.Now} }

// timing adds an input, below those that are there.
func (c *programClock) timing() *timing {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timing{clock: c, lead: math.MaxUint8}
	c.timings = append(c.timings, t)
	return t
}

// setProgram chooses the track by which the skew is measured: the first with pictures, else the first with sound.
func (t *timing) setProgram(p *ingest.Program) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.lead, t.media = math.MaxUint8, [ingest.MaxTracks]bool{}
	for _, track := range p.Tracks {
		t.media[track.ID%ingest.MaxTracks] = track.Codec.IsVideo() || track.Codec.IsAudio()
	}
	if lead := p.Lead(); lead != nil && t.media[lead.ID%ingest.MaxTracks] {
		t.lead = lead.ID
	}
}

// observe takes in a sample as it came. It is called for each one, before shift. Data says nothing of the clock: private times of one track, or one
// damaged sample, would move all of the rendition.
func (t *timing) observe(s *ingest.Sample) {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	l := &t.lanes[s.Track%ingest.MaxTracks]
	media := t.media[s.Track%ingest.MaxTracks]
	first := media && t.since.IsZero()
	switch {
	case l.used && irregular(s, l, now):
		l.broken = true
		if media && !t.fits(s, now) { // no other track has shown it yet
			t.restart()
			first = true
		}
		l.section = t.section
	case !l.used || !t.torn():
		l.section = t.section
	}
	if first {
		t.since = now
	}
	if first || s.Track == t.lead && l.section == t.section {
		t.note(s, now)
	}
	l.used, l.dts, l.at, t.last = true, s.DTS, now, now
}

// fits tells whether a sample agrees with the skew as it is known.
func (t *timing) fits(s *ingest.Sample, now time.Time) bool {
	est, ok := t.skew()
	off := skewOf(s.DTS, now) - est.arrival
	return ok && -jumpLeast < off && off < jumpLeast
}

// irregular tells whether a sample's time goes on otherwise than the time of day.
func irregular(s *ingest.Sample, l *timeLane, now time.Time) bool {
	step := s.DTS - l.dts
	off := step - ticksOf(now.Sub(l.at))
	return (off < -jumpLeast || off > jumpLeast) && (step < 0 || step > jumpLeast || s.Flags&ingest.Discontinuity != 0)
}

// restart forgets the skew: the input's clock is another one. What it is moved by is found anew.
func (t *timing) restart() {
	t.bins, t.set = [skewTime]skewBin{}, false
	t.section++
}

func skewOf(dts int64, at time.Time) int64 { return dts - ticksOf(at.Sub(time.Unix(0, 0))) }

// ticksOf is a duration in ticks of the media clock, rounded down.
func ticksOf(d time.Duration) int64 {
	return int64(d/time.Second)*ingest.ClockRate + int64(d%time.Second)*ingest.ClockRate/int64(time.Second)
}

// note takes a sample into the skew.
func (t *timing) note(s *ingest.Sample, now time.Time) {
	second := now.Unix()
	b := &t.bins[second%skewTime]
	if b.second != second {
		*b = skewBin{second: second, arrival: math.MinInt64, capture: math.MinInt64}
	}
	b.arrival = max(b.arrival, skewOf(s.DTS, now))
	if !s.Wall.IsZero() {
		b.capture, b.dated = max(b.capture, skewOf(s.DTS, s.Wall)), true
	}
}

// skew is that of the last seconds; false if there is none.
func (t *timing) skew() (s skewBin, ok bool) {
	s.arrival, s.capture = math.MinInt64, math.MinInt64
	for _, b := range t.bins {
		if b.second == 0 || t.last.Unix()-b.second >= skewTime {
			continue
		}
		ok = true
		s.arrival, s.dated = max(s.arrival, b.arrival), s.dated || b.dated
		if b.dated {
			s.capture = max(s.capture, b.capture)
		}
	}
	return s, ok
}

// shift moves a sample that was observed.
func (t *timing) shift(s *ingest.Sample) {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lead()
	if !t.set {
		t.anchor()
	} else if s.Track == t.lead && s.Flags&ingest.RandomAccess != 0 {
		t.correct()
	}
	l := &t.lanes[s.Track%ingest.MaxTracks]
	if l.move != t.move && (l.move == 0 || l.broken || !t.torn()) {
		if l.out && l.offset != t.offset {
			s.Flags |= ingest.Discontinuity
		}
		l.offset, l.move, l.broken = t.offset, t.move, false
	}
	l.out = true
	s.PTS += l.offset
	s.DTS += l.offset
}

// torn tells whether the input's clock has jumped for one of its tracks and not yet for another: that one still has the old times.
func (t *timing) torn() bool { return t.clock.now().Sub(t.since) < time.Second }

// anchor finds by how much an input is moved, when it begins and when its clock has jumped.
func (t *timing) anchor() {
	est, ok := t.skew()
	if !ok {
		return
	}
	t.set, t.shared = true, false
	t.move++
	for _, other := range t.clock.timings {
		if n, same := t.same(other, est); same {
			t.offset, t.shared = other.offset-n*wrap, true
			return
		}
	}
	if c := t.clock; c.known {
		t.offset = c.skew(est) - est.by(c.dated && est.dated)
	}
}

// same tells whether another input has the clock of this one, that many periods off.
func (t *timing) same(other *timing, est skewBin) (periods int64, ok bool) {
	theirs, known := other.skew()
	if other == t || !other.set || !known || t.clock.now().Sub(other.last) >= aliveFor {
		return 0, false
	}
	dated := est.dated && theirs.dated
	d := est.by(dated) - theirs.by(dated)
	n := (d + wrap/2) >> 33
	d -= n * wrap
	return n, -sameClock < d && d < sameClock
}

func (b skewBin) by(dated bool) int64 {
	if dated {
		return b.capture
	}
	return b.arrival
}

// skew is that of the channel's clock, measured as an input's is.
func (c *programClock) skew(as skewBin) int64 {
	if c.dated && as.dated {
		return c.capture
	}
	return c.arrival
}

// lead lets the best input that comes carry the channel's clock on.
func (c *programClock) lead() {
	for _, t := range c.timings {
		est, ok := t.skew()
		if !t.set || !ok || c.now().Sub(t.last) >= aliveFor {
			continue
		}
		c.arrival, c.known = est.arrival+t.offset, true
		if c.dated = est.dated; c.dated {
			c.capture = est.capture + t.offset
		}
		return
	}
}

// correct moves an input again that has been away from the channel's clock for as long as the skew is looked for.
func (t *timing) correct() {
	c := t.clock
	est, ok := t.skew()
	if !ok || !c.known || c.now().Sub(t.since) < skewTime*time.Second {
		return
	}
	off := est.by(c.dated && est.dated) + t.offset - c.skew(est)
	most := int64(driftMost)
	if t.shared {
		most = restMost
	}
	if off < -most || off > most {
		t.offset -= off
		t.shared = false
		t.move++
	}
}
