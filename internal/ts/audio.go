package ts

import (
	"bytes"

	"tailcast/ingest"
)

// framer cuts the sound of a track into the frames of its codec. Frames need not begin with a PES packet nor end with it: the
// time of a PES packet is that of the first frame that begins in it, and each further frame follows by as many samples as the
// one before has. What is no frame is delivered as well, as damaged, so that no byte is lost.
type framer struct {
	parse parser
	mark  byte // every frame begins with it

	rest    []byte // the beginning of a frame that goes on in the next PES packet
	damaged bool   // bytes of rest were lost
	locked  bool   // the last frame ended where another begins

	// The next frame's time is base and count samples at rate.
	known       bool // base is valid
	base, count int64
	rate        int
	channels    int  // of the last frame
	jumped      bool // the next frame's time does not continue those before
	sent        bool // last is valid
	last        int64
}

// parser reads the header of the frame that b begins with.
type parser func(b []byte) (frame, verdict)

// frame is what a header tells.
type frame struct {
	size           int    // bytes, header included
	samples        int    // 0 if it only adds to the frame before
	rate, channels int    // 0 if unknown
	config         []byte // AudioSpecificConfig; the parser's, valid until the next call
}

type verdict int

const (
	bad   verdict = iota // no frame begins here
	short                // too few bytes to tell
	good
)

// sound splits u into frames.
func (s *Scanner) sound(es *elementary, u unit) {
	f := es.frames
	if len(f.rest) > 0 && f.damaged && f.begins(u.data) {
		s.endSplit(es) // the end of that frame is lost: do not look for it in here
	}
	b, carried := u.data, len(f.rest)
	if carried > 0 {
		f.rest = append(f.rest, u.data...)
		b = f.rest
	}
	damaged, started, pos := u.flags&ingest.Damaged != 0, false, 0
	for pos < len(b) {
		if pos >= carried && !started {
			started = true
			f.start(u, s.now)
		}
		fr, v := f.next(b[pos:], pos == 0 && carried == 0)
		if v == short {
			break
		}
		broken := damaged || v == bad || pos < carried && f.damaged
		if !broken {
			s.configureSound(es, fr)
		}
		s.frame(es, b[pos:pos+fr.size], broken)
		f.advance(fr)
		pos += fr.size
	}
	f.damaged = damaged || pos < carried && f.damaged
	f.rest = append(f.rest[:0], b[pos:]...)
}

// frame delivers one frame.
func (s *Scanner) frame(es *elementary, b []byte, broken bool) {
	f := es.frames
	u := unit{data: b, pts: f.time(), dts: f.time()}
	if broken {
		u.flags = ingest.Damaged
	}
	if f.jumped || f.sent && u.dts < f.last { // wrong headers may have let the time run ahead
		u.flags |= ingest.Discontinuity
	}
	f.jumped, f.sent, f.last = false, true, u.dts
	s.send(es, u)
}

func (s *Scanner) configureSound(es *elementary, fr frame) {
	t := es.track
	if fr.rate == 0 || t.SampleRate == fr.rate && t.Channels == fr.channels && bytes.Equal(t.Config, fr.config) {
		return
	}
	t.SampleRate, t.Channels, t.Config = fr.rate, fr.channels, bytes.Clone(fr.config)
	s.out.changed = true
}

// endSplit delivers the beginning of a frame whose end will not come.
func (s *Scanner) endSplit(es *elementary) {
	f := es.frames
	if f == nil {
		return
	}
	if len(f.rest) > 0 {
		s.frame(es, f.rest, true)
	}
	f.rest, f.damaged, f.locked = f.rest[:0], false, false
}

// start takes the time of a PES packet for the first frame that begins in it.
func (f *framer) start(u unit, now int64) {
	f.jumped = f.jumped || u.flags&ingest.Discontinuity != 0
	switch {
	case u.timed:
		f.known, f.base, f.count = true, u.pts, 0
	case !f.known:
		f.known, f.base, f.count = true, now, 0
	}
}

func (f *framer) time() int64 {
	if f.rate == 0 {
		return f.base
	}
	return f.base + f.count*ingest.ClockRate/int64(f.rate)
}

func (f *framer) advance(fr frame) {
	if fr.rate != 0 && fr.rate != f.rate {
		f.base, f.count, f.rate = f.time(), 0, fr.rate
	}
	f.count += int64(fr.samples)
}

// next reads the frame, or what is none, that b begins with. The marks are short and occur by chance: a frame is believed in
// where a PES packet begins, where it follows another of its kind, or where another or nothing follows it.
func (f *framer) next(b []byte, aligned bool) (frame, verdict) {
	fr, v := f.parse(b)
	if v == good && fr.size > len(b) {
		v = short
	}
	follows := f.locked && (fr.samples == 0 || fr.rate == f.rate && fr.channels == f.channels)
	if v == good && !follows && !aligned {
		if !f.begins(b[fr.size:]) {
			v = bad
		}
		fr, _ = f.parse(b) // for what the parser remembers
	}
	if v == bad {
		f.locked = false
		return frame{size: f.skip(b)}, bad
	}
	if v == good && fr.samples != 0 {
		f.locked, f.channels = true, fr.channels
	}
	return fr, v
}

// begins tells whether b can be the beginning of a frame.
func (f *framer) begins(b []byte) bool {
	_, v := f.parse(b)
	return v != bad
}

// skip is how many bytes of b, at least one, come before what may be a frame.
func (f *framer) skip(b []byte) int {
	for i := 1; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], f.mark)
		if j < 0 {
			break
		}
		if i += j; f.begins(b[i:]) {
			return i
		}
	}
	return len(b)
}
