package segmenter

import "tailcast/ingest"

const (
	// maxStep is the longest pause between two samples of a track that still counts as time passing; more is a jump.
	maxStep = 10 * ingest.ClockRate
	// maxSilence is how long the lead may be silent before another track takes over.
	maxSilence = ingest.ClockRate
)

// class orders tracks by how fit they are to lead.
type class uint8

const (
	absent class = iota
	data
	audio
	video
)

func classOf(c ingest.Codec) class {
	switch {
	case c.IsVideo():
		return video
	case c.IsAudio():
		return audio
	}
	return data
}

// mediaClock counts the media time that has passed. It follows the decoding times of one track, the lead: the first video
// track, else the first audio track, else the first; where that one is silent for a second, whichever speaks, until it is back.
// Jumps of the times do not move it. Since it does not look at a wall clock, input faster than real time is cut like live input.
type mediaClock struct {
	now    int64 // ticks passed since the beginning; never goes back
	step   int64 // between the lead's newest two samples; 0 if unknown
	lead   uint8
	best   class // of the program's tracks
	tracks [ingest.MaxTracks]clockTrack
}

type clockTrack struct {
	class class
	seen  bool
	dts   int64 // of the newest sample
	idle  int64 // ticks passed on this track since the lead's newest sample
}

// program begins a new table of tracks. Time goes on.
func (c *mediaClock) program(p *ingest.Program) {
	*c = mediaClock{now: c.now}
	for _, t := range usable(p.Tracks) {
		k := classOf(t.Codec)
		c.tracks[t.ID].class = k
		if k > c.best {
			c.best, c.lead = k, t.ID
		}
	}
}

func (c *mediaClock) class(track uint8) class {
	if track >= ingest.MaxTracks {
		return absent
	}
	return c.tracks[track].class
}

// observe counts m and tells whether it is the lead's.
func (c *mediaClock) observe(m *ingest.Sample) bool {
	t := &c.tracks[m.Track]
	step := t.advance(m)
	if lead := &c.tracks[c.lead]; m.Track != c.lead && lead.seen && t.idle == 0 {
		step = min(step, max(0, m.DTS-lead.dts)) // what comes seldom began its step before the lead's newest sample
	}
	switch {
	case m.Track == c.lead:
	case t.class > c.tracks[c.lead].class:
		step = 0 // whoever led meanwhile has counted it
	case t.idle+step >= maxSilence:
		step += t.idle
	default:
		t.idle += step
		return false
	}
	c.lead, c.step = m.Track, step
	c.now += step
	for i := range c.tracks {
		c.tracks[i].idle = 0
	}
	return true
}

// advance is how far m is from the sample before; 0 if that says nothing.
func (t *clockTrack) advance(m *ingest.Sample) int64 {
	step := m.DTS - t.dts
	if !t.seen || m.Flags&ingest.Discontinuity != 0 || step < 0 || step > maxStep {
		step = 0
	}
	t.dts, t.seen = m.DTS, true
	return step
}
