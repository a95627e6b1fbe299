package ts

import "tailcast/ingest"

const (
	maxHeld = 16 << 20 // bytes of all PES packets being assembled
	// maxKept is the largest buffer that is kept for the next PES packet of its stream.
	maxKept = 1 << 20
	// A PES packet with a declared length this close to the limit of 65,535 may be a part of a picture that goes on in the
	// next PES packet: some multiplexers do not use the undeclared length.
	nearlyFull = 0xf000
)

// elementary is one stream of the program. Its PES packets look like this (H.222.0, 2.4.3.6):
//
//	00 00 01 | stream_id | length (2) | 10.. flags | flags | header length | PTS (5) | DTS (5) | ... | payload
//
// and length 0 means: until the next one begins.
type elementary struct {
	pid      uint16
	track    *ingest.Track // in tables.program
	sections bool          // sections, not PES packets
	settled  bool          // sections is no guess
	video    bool
	frames   *framer // of sound in frames of its own; else nil

	// The PES packet being assembled. After its end buf stays as it is until the next, to recognise repeated packets.
	buf      []byte
	open     bool
	headless bool // its beginning was lost
	need     int  // length in all; 0 if undeclared
	rai      bool // random_access_indicator
	evident  bool // its end is evident, though not declared
	damaged  bool // packets of it, or since it, were lost
	restart  bool // a jump of the clock was signalled before it

	evidence int  // PES packets in a row whose evident end was their end; below 0: it was not once, and is not trusted again
	begun    bool // a PES packet was seen
	named    bool // track.StreamID is that of a PES packet, not a guess
	early    bool // the last one was ended where its end was evident

	known  bool  // dts is valid
	sure   bool  // and it, or a presentation time, was told
	jumped bool  // a jump of the clock was signalled, and no PES packet began since
	dts    int64 // of the last unit
	step   int64 // to it from the one before
	order  order // of pictures

	scratch []byte // parameter sets of the picture at hand
}

// unit is the payload of a PES packet.
type unit struct {
	data      []byte
	id        uint8 // stream_id
	timed     bool
	decoding  bool // the DTS was given by itself
	rai       bool
	scrambled bool
	pts, dts  int64 // raw, then unwrapped
	flags     ingest.Flags
}

// isMedia tells whether the stream is of pictures or sound, whose times are the program's.
func (es *elementary) isMedia() bool { return es.video || es.frames != nil }

// payload takes what one packet carries for a stream.
func (s *Scanner) payload(p *pid, k packet) {
	es, b := p.es, k.payload
	if k.start && !es.settled && len(b) >= 4 {
		s.settle(es, b)
	}
	switch {
	case es.sections:
		p.sections.push(b, k.start, func(x []byte) { s.section(es, x) })
		for ; p.sections.torn > 0; p.sections.torn-- {
			s.stats.Leave(ingest.Incomplete)
		}
	case k.start && es.open && es.goesOn(b):
		es.need = 0
		es.mistrust()
		s.grow(es, b[9+int(b[8]):], k.stuffed)
	case k.start:
		es.confirm(b)
		s.endPES(es)
		s.beginPES(es, k)
	case es.open:
		es.mistrust()
		s.grow(es, b, k.stuffed)
	case es.begun && (es.damaged || es.early):
		// The beginning is missing: with lost packets, or because it was wrong to end this early.
		if es.early && !es.damaged {
			es.evidence = -1
		}
		es.buf, es.open, es.headless, es.damaged, es.need, es.rai = es.buf[:0], true, true, true, 0, false
		s.grow(es, b, k.stuffed)
	case es.begun: // else we only came in the middle of it
		s.stats.SkippedBytes.Add(uint64(len(b)))
	}
}

// settle finds out whether a stream of a type we do not know comes in sections or in PES packets.
func (s *Scanner) settle(es *elementary, b []byte) {
	es.settled = true
	if sections := !isPES(b); sections != es.sections {
		es.sections, es.track.Sections, s.out.changed = sections, sections, true
		es.track.StreamID = 0
	}
}

func isPES(b []byte) bool { return b[0] == 0 && b[1] == 0 && b[2] == 1 && b[3] >= 0xbc }

// goesOn tells whether a new PES packet continues the picture of the open one: no time, and not the beginning of a picture.
func (es *elementary) goesOn(b []byte) bool {
	if !es.video || len(b) < 9 || !isPES(b) || b[7]&0x80 != 0 || len(b) <= 9+int(b[8])+4 {
		return false
	}
	return !beginsPicture(es.track.Codec, b[9+int(b[8]):])
}

func (s *Scanner) beginPES(es *elementary, k packet) {
	b := k.payload
	if len(b) >= 4 && !isPES(b) {
		s.stats.SkippedBytes.Add(uint64(len(b)))
		return
	}
	es.buf, es.need = es.buf[:0], 0
	if len(b) >= 6 {
		if n := int(b[4])<<8 | int(b[5]); n > 0 {
			es.need = 6 + n
		}
	}
	es.open, es.headless, es.begun, es.early = true, false, true, false
	es.damaged, es.rai = k.suspect, k.randomAccess
	es.restart, es.jumped = es.jumped, false
	if dts, ok := timeOf(b); ok && es.isMedia() {
		s.now, s.timed = s.clock.near(dts), true
	}
	s.grow(es, b, k.stuffed)
}

// grow appends to the open PES packet and ends it where it is full.
func (s *Scanner) grow(es *elementary, b []byte, stuffed bool) {
	es.buf = append(es.buf, b...)
	s.held += len(b)
	full := es.need > 0 && len(es.buf) >= es.need
	mayGoOn := es.video && es.need >= nearlyFull
	// A sender stuffs a packet when it has no more for this PES packet: the next begins in a packet of its own.
	ends := es.need == 0 && stuffed
	es.evident = full || ends && es.evidence >= 0
	switch {
	case full && !mayGoOn:
		s.endPES(es)
	case ends && es.evidence >= trusted && len(es.buf) > len(b): // the first packet may be stuffed where a PCR was taken out
		es.early = true
		s.endPES(es)
	case s.held > maxHeld:
		es.damaged = true
		s.endPES(es)
	}
}

// trusted is how many PES packets in a row must have ended where that was evident before the next is not waited for any more.
// For a stream of pictures whose lengths are not declared that saves the time from each to the next.
const trusted = 25

// confirm takes for evidence that a PES packet begins with b: the one before it has ended, unless b goes on with its picture.
func (es *elementary) confirm(b []byte) {
	switch {
	case es.early && es.goesOn(b):
		es.evidence = -1
	case es.need == 0 && (es.evident || es.early) && es.evidence >= 0:
		es.evidence = min(es.evidence+1, trusted)
	}
}

// mistrust is called where a PES packet goes on, which may have seemed to be at its end.
func (es *elementary) mistrust() {
	if es.need == 0 && es.evident && es.evidence > 0 {
		es.evidence = 0
	}
}

// endPES delivers what is open.
func (s *Scanner) endPES(es *elementary) {
	if !es.open {
		return
	}
	es.open, es.evident = false, false
	s.held -= len(es.buf)
	u, ok := es.unit()
	es.damaged = false
	switch {
	case u.scrambled:
		s.scrambled++
	case !ok:
		s.stats.SkippedBytes.Add(uint64(len(es.buf)))
	case u.data != nil:
		s.unit(es, u)
	}
	if cap(es.buf) > maxKept {
		es.buf = nil
	}
}

// unit reads the PES packet in buf. Padding gives a unit without data.
func (es *elementary) unit() (u unit, ok bool) {
	b := es.buf
	u.rai = es.rai
	if es.damaged || len(b) < es.need {
		u.flags = ingest.Damaged
	}
	if es.restart {
		u.flags |= ingest.Discontinuity
	}
	if es.headless {
		u.data = b
		return u, true
	}
	if es.need > 0 && len(b) > es.need {
		b = b[:es.need]
	}
	if len(b) < 6 {
		return u, false
	}
	u.id = b[3]
	if u.id == idPadding {
		return u, true
	}
	if !hasHeader(u.id) {
		u.data = b[6:]
		return u, true
	}
	return u, u.header(b)
}

// hasHeader tells whether PES packets with this stream_id have more than six bytes of header (H.222.0, table 2-21).
func hasHeader(id uint8) bool {
	switch id {
	case 0xbc, idPadding, idPrivate2, 0xf0, 0xf1, 0xf2, 0xf8, 0xff:
		return false
	}
	return true
}

// timeOf reads the DTS of the PES packet that begins with b, if it is there.
func timeOf(b []byte) (dts int64, ok bool) {
	u := unit{}
	if len(b) < 9 || !isPES(b) || !hasHeader(b[3]) {
		return 0, false
	}
	n := min(9+int(b[8]), len(b))
	u.times(b[7], b[9:n])
	return u.dts, u.timed
}

// header reads the rest of the header.
func (u *unit) header(b []byte) bool {
	u.scrambled = len(b) > 6 && b[6]&0x30 != 0
	if u.scrambled || len(b) < 9 || len(b) < 9+int(b[8]) {
		return false
	}
	h := b[9 : 9+int(b[8])]
	u.data = b[9+len(h):]
	u.times(b[7], h)
	return true
}

// times reads PTS and DTS; flags say which are there.
func (u *unit) times(flags byte, h []byte) {
	switch {
	case flags&0xc0 == 0xc0 && len(h) >= 10:
		u.timed, u.decoding, u.pts, u.dts = true, true, readTime(h), readTime(h[5:])
	case flags&0x80 != 0 && len(h) >= 5:
		u.timed, u.pts = true, readTime(h)
		u.dts = u.pts
	}
}

// unit gives u its times and splits it into samples.
func (s *Scanner) unit(es *elementary, u unit) {
	if !es.named && u.id != 0 && u.flags&ingest.Damaged == 0 {
		s.out.changed = s.out.changed || es.track.StreamID != u.id
		es.named, es.track.StreamID = true, u.id
	}
	switch {
	case es.frames != nil:
		if u.timed {
			s.time(es, &u)
		}
		s.sound(es, u)
	case es.video && len(u.data) == 0:
		es.jumped = es.jumped || es.restart // a header and no picture; the next one is the first after the jump
	case es.video:
		s.time(es, &u)
		s.pictures(es, u)
	default:
		s.time(es, &u)
		s.send(es, u)
	}
}

// time unwraps the times of u, or gives it some, and looks for jumps.
func (s *Scanner) time(es *elementary, u *unit) {
	before, started := s.clock.last, s.clock.known
	switch {
	case u.timed:
		ahead := signed33(u.pts - u.dts)
		u.dts = s.clock.unwrap(u.dts)
		u.pts = u.dts + ahead
		if es.video {
			s.reorder(es, u)
		}
	case es.video && es.known:
		u.dts = es.dts + es.step
		u.pts = u.dts
		s.stats.DTSFallbacks.Add(1)
	default:
		u.dts = s.now
		if back := es.dts - u.dts; es.known && back > 0 && back < ingest.ClockRate {
			u.dts = es.dts // pictures and sound come in turns, and their times are not quite in order
		}
		u.pts = u.dts
	}
	if u.pts < u.dts { // nobody can show a picture before it is decoded: one of the two is wrong
		s.stats.DTSFallbacks.Add(1)
		if es.known && abs(u.dts-es.dts) < abs(u.pts-es.dts) {
			u.pts = u.dts
		} else {
			u.dts = u.pts
		}
	}
	delta := u.dts - es.dts
	switch {
	case !es.known: // of a table that is new, after another program or encoder
		if started && es.isMedia() && abs(u.dts-before) > jump {
			u.flags |= ingest.Discontinuity
		}
	case delta < 0 || delta > jump && (es.isMedia() || abs(u.dts-before) > jump):
		u.flags |= ingest.Discontinuity
	case u.timed && delta > 0:
		es.step = delta
	}
	es.known, es.sure, es.dts = true, u.timed, u.dts
}

func abs(x int64) int64 { return max(x, -x) }

// section delivers a section of a data track. Sections have no times: they take that of the pictures or sound beside them.
func (s *Scanner) section(es *elementary, x []byte) {
	u := unit{data: x}
	if hasCRC(x) && crc(x) != 0 {
		u.flags = ingest.Damaged
	}
	s.time(es, &u)
	s.send(es, u)
}

// send delivers u as one sample.
func (s *Scanner) send(es *elementary, u unit) {
	if u.rai && !es.track.Codec.IsAudio() {
		u.flags |= ingest.RandomAccess
	}
	if es.track.Codec.IsAudio() && !s.tables.video {
		u.flags |= ingest.RandomAccess
	}
	s.out.send(ingest.Sample{Track: es.track.ID, Flags: u.flags, PTS: u.pts, DTS: u.dts, Data: u.data})
}
