package player

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
)

// This file knows which HLS segments there are. One begins with each segment of the feed that begins at a random access point, and it ends where
// the next begins. What is known of them comes from records alone, but for the program, which stands in the first block; so hours of the past
// are listed at once, and cut when somebody asks for them.

// A class is the program that segments in a row have.
type class struct {
	id    feed.EpochID // of the first segment that had it
	first uint64
	mold  *mold // nil until somebody needs it
	bad   bool  // there is none: fMP4 cannot carry it
}

func (c *class) name() string { return fmt.Sprintf("%v-%d", c.id, c.first) }

// A segment is what a media playlist says of one.
type segment struct {
	log        string
	id         feed.EpochID
	first, end uint64 // its blocks
	number     uint64 // Media Sequence Number
	breaks     uint64 // discontinuities up to here, with the one before it
	broken     bool   // a discontinuity is before it
	dts, ticks int64  // where it begins in its epoch, how long it is
	wall       int64  // when it was signed, microseconds
	class      *class
	parts      []part // while they may be asked for
	bytes      int    // in parts
	dropped    int    // of parts, the first ones, whose data was too much
}

func (s *segment) name() string { return s.id.String() + "-" + strconv.FormatUint(s.first, 10) }

func (s *segment) add(p part) {
	s.parts = append(s.parts, p)
	s.bytes += len(p.data)
}

// drop lets go of the data of the oldest parts until there are no more bytes than most.
func (s *segment) drop(most int) {
	for s.bytes > most && s.dropped < len(s.parts) {
		p := &s.parts[s.dropped]
		s.bytes -= len(p.data)
		p.data, s.dropped = nil, s.dropped+1
	}
}

// A tape is the list of complete segments, oldest first. It belongs to whoever holds the edge's lock, but for its reading of the feed.
type tape struct {
	replica *feed.Replica
	log     string
	keep    time.Duration // how much of the past is listed
	list    []*segment
	breaks  uint64 // discontinuities so far
	next    uint64 // the number of the next segment
	reader  *programs
}

// maxListed bounds the list, whatever its segments last.
const maxListed = 50000

// A start is the first block of a segment, and what is known of the log that it is in.
type start struct {
	log   *feed.Log
	block feed.Block // without payload
	end   uint64     // where its blocks end, as far as they are held
}

// walk lists the segments before one, newest first, back to the newest on the tape, or as far as there is anything within keep. It reads two
// records for each.
func (t *tape) walk(from start, oldest int64) (found []start) {
	known := t.newest()
	for len(found) < maxListed {
		before, ok := t.before(from)
		if !ok || before.block.Record.Wall < oldest {
			return found
		}
		if known != nil && before.log.Epoch().ID() == known.id && before.block.Index <= known.first {
			return found
		}
		if known != nil && before.block.Record.Wall < known.wall {
			return found
		}
		if !before.log.Has(before.block.Index) {
			return found // retention has been here: nothing older is held
		}
		found = append(found, before)
		from = before
	}
	return found
}

func (t *tape) newest() *segment {
	if len(t.list) == 0 {
		return nil
	}
	return t.list[len(t.list)-1]
}

// before finds the segment before one: in its log, or the last one of the epoch before.
func (t *tape) before(s start) (start, bool) {
	if b, ok := startBefore(s.log, s.block); ok {
		return b, true
	}
	ids := t.replica.EpochIDs()
	for i := slices.Index(ids, s.log.Epoch().ID()) - 1; i >= 0; i-- {
		log := t.open(ids[i])
		if log == nil {
			continue
		}
		if b, ok := lastStart(log); ok {
			return b, true
		}
	}
	return start{}, false
}

// open returns the log of an epoch, nil if there is none.
func (t *tape) open(id feed.EpochID) *feed.Log {
	e, err := t.replica.OpenEpoch(id)
	if err != nil || e == nil {
		return nil
	}
	log, err := e.Log(t.log)
	if err != nil {
		return nil
	}
	return log
}

// far is later than all records, and not so late that microseconds overflow.
var far = time.UnixMicro(1 << 60)

// lastStart finds the last segment of a log.
func lastStart(log *feed.Log) (start, bool) {
	b, err := log.OnAir(far)
	if err != nil {
		return start{}, false
	}
	if s := (start{log: log, block: b, end: runEnd(log, b.Index, log.Head().Size)}); begins(&b.Record) {
		return s, true
	}
	return startBefore(log, b)
}

// runEnd is where the blocks end that are held from i on without a hole.
func runEnd(log *feed.Log, i, to uint64) uint64 {
	run, ok := log.Run(i, to)
	if !ok || run.From != i {
		return i + 1
	}
	return run.To
}

// begins tells whether an HLS segment begins with the record.
func begins(r *feed.Record) bool {
	return r.Kind == feed.Media && r.Flags&feed.SegmentFirst != 0 && r.Flags&feed.RandomAccess != 0
}

// startBefore finds the segment before block b of a log, whose record is the first of one.
func startBefore(log *feed.Log, b feed.Block) (start, bool) {
	at, end := b, b.Index
	for at.Index > 0 {
		first, held := firstOf(log, at.Index-1)
		if !held {
			var err error
			if first, err = log.OnAir(time.UnixMicro(at.Record.Wall - 1)); err != nil || first.Index >= at.Index {
				return start{}, false
			}
			end = runEnd(log, first.Index, at.Index)
		}
		if begins(&first.Record) {
			return start{log: log, block: first, end: end}, true
		}
		at = first
	}
	return start{}, false
}

// firstOf returns the first record of the segment that block i belongs to.
func firstOf(log *feed.Log, i uint64) (feed.Block, bool) {
	last, err := log.Record(i)
	if err != nil || uint64(last.Record.Back) > i {
		return feed.Block{}, false
	}
	if last.Record.Back == 0 {
		return last, last.Record.Flags&feed.SegmentFirst != 0
	}
	first, err := log.Record(i - uint64(last.Record.Back))
	return first, err == nil && first.Record.Flags&feed.SegmentFirst != 0
}

// maxSilent is how many records without media are passed over at the end of a segment: heartbeats, and the record that ends an epoch. Of those with
// media the last few say where it ends, since pictures and sound take turns.
const (
	maxSilent = 4096
	lastFew   = 12
)

// lastTicks is where the media of a segment ends in its epoch's time.
func (s start) lastTicks() (end int64, known bool) {
	for i, n := s.end, 0; i > s.block.Index && s.end-i < maxSilent && n < lastFew; i-- {
		r, err := s.log.Record(i - 1)
		if err != nil || r.Record.Kind != feed.Media {
			continue
		}
		if e := r.Record.DTS + int64(r.Record.Duration); !known || e > end {
			end, known = e, true
		}
		n++
	}
	return end, known
}

// length is how long a segment is that nothing continues.
func (s start) length() int64 {
	dts := s.block.Record.DTS
	end, known := s.lastTicks()
	if !known || end < dts || end-dts >= maxSegment {
		return ingest.ClockRate / 10
	}
	last, err := s.log.Record(s.end - 1)
	if wall := (last.Record.Wall - s.block.Record.Wall) * ingest.ClockRate / 1e6; end-dts >= maxGuess && (err != nil || !near(wall, end-dts)) {
		return ingest.ClockRate / 10
	}
	return max(end-dts, firstDuration)
}

// joined is how a segment and the next fit: how long the first is, and whether the second continues it.
func joined(s, next start) (ticks int64, continues bool) {
	dts, after := s.block.Record.DTS, next.block.Record.DTS
	end, known := s.lastTicks()
	same := s.log == next.log || s.log.Epoch().ID() == next.log.Epoch().ID()
	if same && after > dts && s.end == next.block.Index && known && near(after, end) {
		return after - dts, true
	}
	if known && end >= dts && end-dts < maxGuess {
		return max(end-dts, firstDuration), same && near(after, end)
	}
	// The times jump within it: the signer's clock says how long it was.
	wall := (next.block.Record.Wall - s.block.Record.Wall) * ingest.ClockRate / 1e6
	return min(max(wall, ingest.ClockRate/10), maxGuess), false
}

const (
	// maxSegment is how far apart keyframes may be, and maxGuess how long a segment may be if the next does not tell.
	maxSegment = 600 * ingest.ClockRate
	maxGuess   = 60 * ingest.ClockRate
	// rough is how far the time that a record gives for its end may be from where the next begins.
	rough = ingest.ClockRate
)

func near(a, b int64) bool { return -rough < a-b && a-b < rough }

// add appends a complete segment.
func (t *tape) add(s start, ticks int64, c *class, continues bool) {
	seg := t.begin(s, c, continues)
	seg.ticks, seg.end = ticks, s.end
	t.append(seg)
}

func (t *tape) append(s *segment) {
	t.list = append(t.list, s)
	t.next, t.breaks = s.number+1, s.breaks
}

// begin makes the segment that would follow what is on the tape.
func (t *tape) begin(s start, c *class, continues bool) *segment {
	r := &s.block.Record
	seg := &segment{log: t.log, id: s.log.Epoch().ID(), first: s.block.Index, number: t.next, breaks: t.breaks, dts: r.DTS, wall: r.Wall, class: c}
	if last := t.newest(); last != nil && (!continues || last.class != c) {
		seg.broken = true
		seg.breaks++
	}
	return seg
}

// oldest is how old segments may be, seen from the newest one: by the signer's clock, since ours may be wrong, and the channel off the air.
func (t *tape) oldest(newest start) int64 { return newest.block.Record.Wall - t.keep.Microseconds() }

// trim drops what is too old, or not held any longer.
func (t *tape) trim(oldest int64) {
	n := 0
	for n < len(t.list)-1 && (t.list[n].wall < oldest || len(t.list)-n > maxListed || !t.held(t.list[n])) {
		n++
	}
	if n > 0 {
		clear(t.list[:n])
		t.list = t.list[n:]
	}
}

func (t *tape) held(s *segment) bool {
	log := t.open(s.id)
	return log != nil && log.Has(s.first)
}

// blocks hands out the blocks of a segment.
func (t *tape) blocks(id feed.EpochID, first, end uint64) blockSource {
	return func(each func(b *feed.Block, reset bool) error) error {
		log := t.open(id)
		if log == nil {
			return feed.ErrNotHeld
		}
		missing := false
		for i := first; i < end; i++ {
			b, err := log.Block(i)
			if err != nil && (i == first || i >= log.Head().Size) {
				return err
			}
			if err == nil && errors.Is(each(&b, missing), errLarge) {
				return errLarge // what cannot be read is missing, but this is enough
			}
			missing = err != nil
		}
		return nil
	}
}

// programs tells whether segments that follow each other have one program: the first unit of each says which.
type programs struct {
	pipeline *pipeline
	id       feed.EpochID
	program  *ingest.Program
	class    *class
}

// of returns the class of a segment, given those of the segments before it. Nil if its first blocks cannot be read.
func (p *programs) of(s start) *class {
	id := s.log.Epoch().ID()
	if p.pipeline == nil || id != p.id {
		p.pipeline, p.id, p.class = newPipeline(never), id, nil
		p.pipeline.formats = []format{(*programSink)(p)}
	}
	p.program = nil
	seen := false
	for i := s.block.Index; i < s.end && !seen; i++ {
		b, err := s.log.Block(i)
		if err != nil || p.pipeline.assembler.Write(b.Payload, i == s.block.Index) != nil {
			break
		}
		seen = p.class != nil || p.program != nil
	}
	if p.program != nil {
		p.class = &class{id: id, first: s.block.Index}
	}
	return p.class
}

// renew begins another class at a segment, though its program is the same: a track has come that says only in its samples what it is.
func (p *programs) renew(s start) *class {
	p.class = &class{id: s.log.Epoch().ID(), first: s.block.Index}
	return p.class
}

// programSink is told when the program is another one.
type programSink programs

func (p *programSink) setProgram(program *ingest.Program) { p.program = program }
func (p *programSink) writeSample(*ingest.Sample)         {}
func (p *programSink) segmentFirst()                      {}
func (p *programSink) section()                           {}
func (p *programSink) endOfBlock()                        {}
func (p *programSink) close()                             {}
