package segmenter

import (
	"bytes"
	"fmt"

	"tailcast/ingest"
)

// Assembler turns payloads back into the samples they were made of. What it reads may come from a stranger who has the
// channel's key: it keeps at most a unit and a program, and tells where a payload breaks the format. It is for one goroutine.
//
//	waiting --segment's first--> reading --error, Reset--> waiting
//	                             reading --Gap--> reading, at the next unit's head
type Assembler struct {
	sink    ingest.Sink
	reading bool   // since a segment's first block
	lost    bool   // a block before the next is missing
	init    []byte // of the program the sink knows; nil if none
	tracks  uint64 // IDs in it, as bits
	video   uint64 // of those, video

	// The unit that goes on in the next block; none if rest is 0.
	unit head
	rest int
	part []byte // its bytes so far

	jumped uint64 // tracks whose next sample does not follow the one before, as bits
	broken uint64 // tracks whose samples refer to lost ones, as bits
}

// NewAssembler makes an Assembler for sink. It waits for a segment's first block.
func NewAssembler(sink ingest.Sink) *Assembler { return &Assembler{sink: sink} }

// Write delivers the samples that end in payload, which is the next after the one before unless Gap or Reset said
// otherwise. The sink gets the program before the first sample and when it changes. Samples are valid during the call.
//
// Before the first segment, and after an error until the next segment, Write passes over blocks.
func (a *Assembler) Write(payload []byte, segmentFirst bool) error {
	if !segmentFirst && !a.reading {
		return nil
	}
	if segmentFirst {
		a.begin()
	}
	err := a.block(payload, segmentFirst)
	if err != nil {
		a.Gap()
		a.reading = false
		return fmt.Errorf("couldn't read a block: %w", err)
	}
	return nil
}

// Gap says that blocks are missing before the next one, which is of the same segment or begins another. A sample that was
// unfinished is dropped. The next sample of each track gets Discontinuity, and pictures, which refer to lost ones, get Damaged
// until one at which decoding can start, or the next segment.
func (a *Assembler) Gap() {
	if a.rest > 0 && a.unit.kind == kindInit {
		a.reading = false // without its init a segment means nothing
	}
	a.lost, a.rest = true, 0
	a.jumped, a.broken = a.tracks, a.video
}

// Reset forgets everything, also the program; for the blocks of another epoch.
func (a *Assembler) Reset() {
	part := a.part
	*a = Assembler{sink: a.sink, part: part[:0]}
}

// begin is at a segment's first block.
func (a *Assembler) begin() {
	if a.rest > 0 { // the segment before broke off
		a.Gap()
	}
	a.reading, a.lost, a.broken = true, false, 0
}

func (a *Assembler) block(payload []byte, first bool) error {
	r := &reader{p: payload}
	if err := a.resume(r, first); err != nil {
		return err
	}
	var b base
	for r.more() {
		if err := a.next(r, &b, first); err != nil {
			return err
		}
		first = false
	}
	if first {
		r.fail("a segment's first block is empty")
	}
	return r.err
}

// resume goes on with the unit that the block before left unfinished.
func (a *Assembler) resume(r *reader, first bool) error {
	carry := r.number("carry", MaxUnit)
	switch {
	case r.err != nil:
		return r.err
	case a.lost: // of a unit whose head is gone
		a.unit, a.rest, a.part = head{kind: kindNone}, carry, a.part[:0]
		a.lost = false
	case carry != a.rest:
		r.fail(fmt.Sprintf("%d bytes are carried over, %d are wanted", carry, a.rest))
		return r.err
	}
	if carry == 0 {
		return nil
	}
	return a.more(r.upTo(carry))
}

// next begins a unit.
func (a *Assembler) next(r *reader, b *base, first bool) error {
	start := r.off
	h := r.head(b)
	switch {
	case r.err != nil:
		return r.err
	case first != (h.kind == kindInit):
		r.off = start
		r.fail("an init must begin a segment and nothing else")
		return r.err
	case h.isSample() && a.tracks>>h.sample.Track&1 == 0:
		r.off = start
		r.fail(fmt.Sprintf("track %d is not in the program", h.sample.Track))
		return r.err
	}
	a.unit, a.rest, a.part = h, h.length, a.part[:0]
	return a.more(r.upTo(h.length))
}

// more takes bytes of the unit and delivers it if they were the last.
func (a *Assembler) more(data []byte) error {
	a.rest -= len(data)
	if len(a.part) == 0 && a.rest == 0 {
		return a.deliver(data)
	}
	if a.unit.kind <= kindInit {
		a.part = append(a.part, data...)
	}
	if a.rest > 0 {
		return nil
	}
	return a.deliver(a.part)
}

// deliver hands on a whole unit. Kinds of later versions are passed over.
func (a *Assembler) deliver(data []byte) error {
	switch {
	case a.unit.isSample():
		a.sink.WriteSample(a.marked(a.unit.sample, data))
	case a.unit.kind == kindInit && !bytes.Equal(data, a.init):
		return a.program(data)
	}
	return nil
}

// marked is m with its bytes and with what became of the blocks before.
func (a *Assembler) marked(m ingest.Sample, data []byte) ingest.Sample {
	m.Data = data
	bit := uint64(1) << m.Track
	if a.jumped&bit != 0 {
		m.Flags |= ingest.Discontinuity
	}
	if m.Flags&ingest.RandomAccess != 0 {
		a.broken &^= bit
	}
	if a.broken&bit != 0 {
		m.Flags |= ingest.Damaged
	}
	a.jumped &^= bit
	return m
}

func (a *Assembler) program(data []byte) error {
	p, err := parseProgram(data)
	if err != nil {
		return err
	}
	a.init, a.tracks, a.video = bytes.Clone(data), 0, 0
	for _, t := range p.Tracks {
		a.tracks |= 1 << t.ID
		if t.Codec.IsVideo() {
			a.video |= 1 << t.ID
		}
	}
	a.sink.SetProgram(p)
	return nil
}
