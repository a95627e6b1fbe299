// Package segmenter turns samples into segments of blocks, and blocks back into the very same samples. It is what stands
// between media and the feed: a block is the payload of one record, which is signed, sent and verified alone, and a segment
// is a run of blocks that begins with everything a decoder needs. It does not sign, store or look into the coded bytes.
//
// The format is docs/segment.md; testdata/vectors.json has examples for other implementations.
//
// When to end a block is a bargain: every block costs some 240 bytes of proofs and every byte in it waits for its end. So a
// block ends with a picture once it is three eighths full, when it is full, or when a tenth of a second of media has gone by.
package segmenter

import (
	"cmp"
	"math"
	"sync"
	"time"

	"tailcast/ingest"
)

// slack forgives a random access point that comes a little less than a second after the last: times that were rounded to
// milliseconds, or guessed, on the way.
const slack = ingest.ClockRate / 100

// Segmenter is a Sink that cuts what it gets into blocks. It may be used by several goroutines.
type Segmenter struct {
	emit func(Block) error
	cfg  Config

	mu     sync.Mutex // held by everything below and during emit
	err    error      // the first that emit returned
	closed bool
	init   []byte // of the current program; nil before the first
	clock  mediaClock
	meter  meter

	// The segment being cut.
	fresh  bool  // the next sample begins a new one: there is none, or what was begun is of no use any more
	random bool  // it began at a random access point of the track that leads now
	start  int64 // media time of its beginning
	bytes  int64 // of its blocks so far
	size   int   // of its blocks at most

	// The block being filled; none if buf is empty.
	buf    []byte
	block  Block // without Payload
	base   base
	opened int64     // media time of its beginning
	since  time.Time // real time of its beginning

	reached int64 // media time of the newest sample in a block
	told    int64 // media time that blocks' durations have accounted for

	timer Timer
	armed bool // timer will fire; it may be for an older block, then flush arms it again
}

var _ ingest.Sink = (*Segmenter)(nil)

// New makes a Segmenter that hands its blocks to emit, in order and one at a time. emit must not call the Segmenter. If it
// returns an error the block is taken for lost and the next sample begins a new segment.
func New(cfg Config, emit func(Block) error) *Segmenter {
	cfg.MinSegment = cmp.Or(cfg.MinSegment, time.Second)
	cfg.MaxSegment = cmp.Or(cfg.MaxSegment, 10*time.Second)
	if cfg.BlockSize != 0 {
		cfg.BlockSize = min(max(cfg.BlockSize, minBlock), maxBlock)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AfterFunc == nil {
		cfg.AfterFunc = func(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
	}
	return &Segmenter{emit: emit, cfg: cfg}
}

// SetProgram ends the block being filled; the next sample begins a segment with p as its init. A program that says the same as
// the one before changes nothing.
func (s *Segmenter) SetProgram(p *ingest.Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	encoded := appendProgram(nil, p)
	if s.closed || string(encoded) == string(s.init) {
		return
	}
	s.cut()
	s.disarm() // the delay may be another now
	s.init, s.fresh = encoded, true
	s.clock.program(p)
}

// WriteSample adds m. Samples of tracks that are not in the program are ignored.
func (s *Segmenter) WriteSample(m ingest.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.clock.class(m.Track) == absent {
		return
	}
	if len(m.Data) > MaxUnit {
		m.Data, m.Flags = m.Data[:MaxUnit], m.Flags|ingest.Damaged
	}
	before := s.clock.lead
	lead := s.clock.observe(&m)
	s.random = s.random && before == s.clock.lead
	s.place(&m, lead)
	if s.complete(&m, lead) {
		s.cut()
	}
}

// Close emits what is left and returns the first error emit returned. Later calls and samples do nothing.
func (s *Segmenter) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.cut()
		s.disarm()
		s.closed = true
	}
	return s.err
}

// place writes m where it belongs: into the block being filled, a new one, or a new segment.
func (s *Segmenter) place(m *ingest.Sample, lead bool) {
	random := s.isRandom(m, lead)
	begins := s.begins(lead, random)
	if begins || lead && s.clock.now-s.opened >= ticks(s.delay()) || s.room() <= maxHead {
		s.cut()
	}
	if s.fresh || begins {
		s.begin(m, random)
	}
	if !s.fresh { // the init could be handed on
		s.write(m)
	}
}

// isRandom tells whether decoding can start at m. Without video it can at any sample of what leads.
func (s *Segmenter) isRandom(m *ingest.Sample, lead bool) bool {
	if s.clock.class(s.clock.lead) == video {
		return lead && m.Flags&ingest.RandomAccess != 0
	}
	return s.clock.class(m.Track) == s.clock.class(s.clock.lead)
}

// begins tells whether a segment starts at the sample just observed. A segment that could not be started at a random access
// point makes way for the first one that can.
func (s *Segmenter) begins(lead, random bool) bool {
	age := s.clock.now - s.start
	switch {
	case s.fresh:
		return true
	case lead && random:
		return !s.random || age+slack >= ticks(s.cfg.MinSegment)
	}
	return lead && age >= ticks(s.cfg.MaxSegment)
}

// complete tells whether the block ends here, with m as its last.
func (s *Segmenter) complete(m *ingest.Sample, lead bool) bool {
	switch {
	case s.room() <= maxHead:
		return true
	case s.clock.class(m.Track) == video && len(s.buf) >= s.size*3/8:
		return true
	case s.clock.best != video && s.room() < len(m.Data)+maxHead:
		return true // the next would be torn and wait for the next block's end
	}
	// If the lead's next sample will come too late, nobody gains by waiting for it.
	return lead && s.clock.now+s.clock.step-s.opened >= ticks(s.delay())
}

// begin starts a segment with the init.
func (s *Segmenter) begin(m *ingest.Sample, random bool) {
	if s.bytes > 0 {
		s.meter.segment(s.bytes, s.clock.now-s.start)
	}
	s.size = cmp.Or(s.cfg.BlockSize, blockSize(s.meter.bitrate(), s.clock.best == video))
	s.fresh, s.random, s.start, s.bytes = false, random, s.clock.now, 0
	s.open(m.DTS, 0)
	s.block.SegmentFirst, s.block.RandomAccess = true, random
	s.buf = appendInitHead(s.buf, len(s.init))
	s.body(m.DTS, s.init)
}

// write adds the unit of m.
func (s *Segmenter) write(m *ingest.Sample) {
	if s.room() <= maxHead {
		if s.cut(); s.fresh {
			return
		}
	}
	if len(s.buf) == 0 {
		s.open(m.DTS, 0)
	}
	s.reached = s.clock.now
	s.buf = s.base.appendHead(s.buf, m)
	s.block.Discontinuity = s.block.Discontinuity || m.Flags&ingest.Discontinuity != 0
	s.block.Damaged = s.block.Damaged || m.Flags&ingest.Damaged != 0
	if s.block.Wall.IsZero() {
		s.block.Wall = m.Wall
	}
	s.body(m.DTS, m.Data)
}

// body adds the bytes of a unit, through as many blocks as it takes. It leaves them unfinished if a block is lost.
func (s *Segmenter) body(dts int64, data []byte) {
	for {
		n := min(len(data), s.size-len(s.buf))
		s.buf = append(s.buf, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return
		}
		if s.cut(); s.fresh {
			return
		}
		s.open(dts, len(data))
	}
}

// room is what the block being filled can take; more than any head if there is none.
func (s *Segmenter) room() int {
	if len(s.buf) == 0 {
		return maxBlock
	}
	return s.size - len(s.buf)
}

// open begins a block in which carry bytes of the unit before come first.
func (s *Segmenter) open(dts int64, carry int) {
	if cap(s.buf) < s.size {
		s.buf = make([]byte, 0, s.size)
	}
	s.buf = appendCarry(s.buf[:0], carry)
	s.block = Block{DTS: dts}
	s.base = base{}
	s.opened, s.since = s.clock.now, s.cfg.Now()
	if !s.armed {
		s.arm(s.delay())
	}
}

// cut ends the block being filled, if there is one, and hands it on.
func (s *Segmenter) cut() {
	if len(s.buf) == 0 {
		return
	}
	b := s.block
	b.Duration = uint32(min(s.reached-s.told, math.MaxUint32))
	s.told = s.reached
	s.bytes += int64(len(s.buf))
	b.Payload = s.payload()
	if err := s.emit(b); err != nil {
		s.err, s.fresh = cmp.Or(s.err, err), true
	}
}

// payload takes what is in the buffer: with it if it is nearly full, else in as much memory as it needs, since blocks are kept.
func (s *Segmenter) payload() []byte {
	p := s.buf
	if len(p) < cap(p)/4*3 {
		s.buf = p[:0]
		return append(make([]byte, 0, len(p)), p...)
	}
	s.buf = nil
	return p
}
