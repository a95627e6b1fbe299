package feed

import (
	"cmp"
	"context"
	"io"
	"time"
)

// A Join says where a Reader begins.
type Join int

const (
	JoinLast Join = iota // at the newest segment that is held: at once, from up to a segment ago
	JoinNext             // at the next segment that begins: from now on, and stays there
)

// An Item is what a Reader hands out.
type Item struct {
	Block Block
	Epoch *Epoch
	// Reset says that this block does not continue the one before: the first of all, after a skip, of a new epoch. It begins a segment.
	Reset bool
	// Skipped is how many blocks of this log were given up just before this one.
	Skipped uint64
}

// A Reader hands out the blocks of one log in order, at the live edge, whatever happens there: it waits for blocks that are late, skips
// holes that last, and crosses to a higher epoch once that has something to show. Every block was verified, and so were
// the rules between it and the one before. One goroutine uses it.
//
//	joining ──a segment to begin with──▶ reading ──a hole for longer than patience, or abandoned──▶ at the next segment held
//	                                        └──a higher epoch has a segment──▶ there
//
// One that OpenAt made begins in the past (pastreader.go), and becomes one like that when it has read all there is.
type Reader struct {
	replica  *Replica
	name     string
	join     Join
	patience time.Duration

	epoch   *Epoch // nil while joining
	log     *Log
	next    uint64    // index of the block to hand out
	prev    Block     // the one handed out before, without payload
	reset   bool      // the next item begins anew
	skipped uint64    // to be told with the next item
	hole    time.Time // since when blocks after next are held and next is not; zero if not so

	from map[*Log]uint64 // JoinNext, joining: the edge of each log when we first saw it

	past  bool   // there is more to read than what comes now
	until *int64 // if not nil: Next ends before the first segment of this wall clock, or later
	over  bool   // Next has ended
}

// Follow returns a Reader of the log of that name in the current epoch and all higher ones. A hole is skipped after patience; if zero, 1 s.
// It is for who watches live: after a restart it waits for what comes, since nothing on disk is live. OpenAt reads that.
func (r *Replica) Follow(log string, join Join, patience time.Duration) *Reader {
	rd := &Reader{replica: r, name: log, join: join, patience: cmp.Or(patience, time.Second), from: make(map[*Log]uint64)}
	for _, e := range r.Epochs() {
		if l := e.lookup(log); l != nil && l.Head().Size > 0 {
			rd.from[l] = l.Head().Size // JoinNext begins after what is there now
		}
	}
	return rd
}

// Next returns the next block, and waits for it until ctx ends. It returns io.EOF where Until says, and at the end of a Replica that is
// read-only.
func (rd *Reader) Next(ctx context.Context) (Item, error) {
	for !rd.over {
		// Ask for the wake-up before looking, or what happens in between is missed.
		changed := rd.changed()
		item, ok := rd.step()
		rd.over = rd.endsWith(&item, ok)
		switch {
		case rd.over:
		case ok:
			return item, nil
		default:
			if err := rd.wait(ctx, changed); err != nil {
				return Item{}, err
			}
		}
	}
	return Item{}, io.EOF
}

// changed returns what wakes us: our log alone while there is nothing higher, so that other renditions do not.
func (rd *Reader) changed() [2]<-chan struct{} {
	if rd.log != nil && rd.replica.Current() == rd.epoch {
		return [2]<-chan struct{}{rd.log.Changed(), rd.replica.newEpoch()}
	}
	return [2]<-chan struct{}{rd.replica.Changed(), nil}
}

// wait returns when something changed or the hole before us is too old.
func (rd *Reader) wait(ctx context.Context, changed [2]<-chan struct{}) error {
	var expired <-chan time.Time
	if left := rd.patience - time.Since(rd.hole); left > 0 && !rd.hole.IsZero() {
		timer := time.NewTimer(left)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-changed[0]:
	case <-changed[1]:
	case <-expired:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// step returns the next block if it is there.
func (rd *Reader) step() (Item, bool) {
	if rd.past {
		if b, ok := rd.readPast(); ok || rd.past {
			return rd.take(b, ok)
		}
	}
	if rd.epoch == nil && !rd.begin() {
		return Item{}, false
	}
	b, ok := rd.read()
	// A higher epoch waits for the end of the segment, or until there is nothing left here.
	if (!ok || b.Record.Flags&SegmentFirst != 0) && rd.cross() {
		b, ok = rd.read()
	}
	if !ok && rd.skip() {
		b, ok = rd.read()
	}
	return rd.take(b, ok)
}

// read returns block next, unless it is missing, condemned or breaks a rule.
func (rd *Reader) read() (Block, bool) {
	if f := rd.log.Fault(); f != nil && rd.next >= f.Index {
		return Block{}, false
	}
	b, err := rd.log.Block(rd.next)
	if err != nil {
		return Block{}, false
	}
	// Log checks neighbours while it holds them both in reach; here is the last chance to see what it could not.
	if !rd.reset && rd.log.breaks(&b, &rd.prev) {
		return Block{}, false
	}
	return b, true
}

// take makes an item of a block, if there is one, and moves on.
func (rd *Reader) take(b Block, ok bool) (Item, bool) {
	if !ok {
		return Item{}, false
	}
	item := Item{Block: b, Epoch: rd.epoch, Reset: rd.reset, Skipped: rd.skipped}
	rd.next, rd.prev, rd.reset, rd.skipped, rd.hole = b.Index+1, b, false, 0, time.Time{}
	rd.prev.Payload = nil
	return item, true
}

// begin finds the first block in the highest epoch that has one.
func (rd *Reader) begin() bool {
	for _, e := range rd.replica.Epochs() {
		if first, log, ok := rd.start(e); ok {
			rd.enter(e, log, first)
			return true
		}
	}
	return false
}

// cross moves to a higher epoch, if one has a segment to begin with.
func (rd *Reader) cross() bool {
	if rd.replica.Current() == rd.epoch {
		return false
	}
	for _, e := range rd.replica.Epochs() {
		if e == rd.epoch || e.compare(&rd.epoch.note) < 0 {
			return false
		}
		if first, log, ok := rd.start(e); ok {
			rd.enter(e, log, first)
			return true
		}
	}
	return false
}

func (rd *Reader) enter(e *Epoch, l *Log, first uint64) {
	rd.epoch, rd.log, rd.next = e, l, first
	rd.reset, rd.hole, rd.from = true, time.Time{}, nil
}

// start returns where to begin in an epoch: a segment that decoding can begin with, else, when there is none in memory, any segment.
func (rd *Reader) start(e *Epoch) (uint64, *Log, bool) {
	l := e.lookup(rd.name)
	if l == nil {
		return 0, nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first, ok := l.segmentBelow(l.tail.hi, SegmentFirst|RandomAccess)
	if !ok {
		first, ok = l.segmentBelow(l.tail.hi, SegmentFirst)
	}
	return first, l, ok && !rd.tooEarly(l, first)
}

// tooEarly reports whether JoinNext must not begin at first: it was there when we first saw the log. A log that begins is always now.
func (rd *Reader) tooEarly(l *Log, first uint64) bool {
	if rd.join != JoinNext || rd.from == nil {
		return false
	}
	edge, seen := rd.from[l]
	if !seen {
		if first > 0 {
			edge = l.head.Size
		}
		rd.from[l] = edge
	}
	return first < edge
}

// skip moves over a hole that is older than patience, or abandoned, to the next segment that is held.
func (rd *Reader) skip() bool {
	first, later, ok := rd.log.segmentAfter(rd.next)
	if !later {
		return false // nothing is missing: this is the live edge
	}
	if lost := rd.lostPatience(); !ok || !lost && !rd.log.abandoned(first) {
		return false
	}
	rd.jump(first)
	return true
}

// lostPatience reports whether the hole before us is older than patience.
func (rd *Reader) lostPatience() bool {
	if rd.hole.IsZero() {
		rd.hole = time.Now()
	}
	return time.Since(rd.hole) >= rd.patience
}

// jump gives up what is before block first, which begins a segment.
func (rd *Reader) jump(first uint64) {
	rd.skipped += first - rd.next
	rd.next, rd.reset, rd.hole = first, true, time.Time{}
}

// segmentAfter returns the first block in memory after i that begins a segment, and whether any block after i is there.
func (l *Log) segmentAfter(i uint64) (first uint64, later, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hi := l.tail.hi
	if l.fault != nil {
		hi = min(hi, l.fault.Index)
	}
	later = i+1 < hi
	for i = max(i+1, l.tail.lo); i < hi; i++ {
		if s := l.tail.get(i); s != nil && s.block.Record.Flags&SegmentFirst != 0 {
			return i, true, true
		}
	}
	return 0, later, false
}
