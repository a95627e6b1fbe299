package feed

import (
	"cmp"
	"fmt"
	"time"
)

// OpenAt returns a Reader that begins with the segment that was on air at t in the highest epoch that had begun by then: where the
// clock was set back, epochs overlap, and what was aired last counts. It reads on to the end of that epoch, through all that follow, and stays at
// the live edge, where it does as one of Follow does. What is not held is passed over at once, and told by Item.Reset and Item.Skipped.
//
// If nothing is held that began by t, it begins with the first segment held; whoever minds looks at the wall clock of the first item,
// which may be after t, too, if the payloads of that segment are gone. The error is ErrNotHeld if nothing is held from there on.
func (r *Replica) OpenAt(log string, t time.Time, patience time.Duration) (*Reader, error) {
	rd := &Reader{replica: r, name: log, patience: cmp.Or(patience, time.Second), past: true}
	all := r.folders()
	for k := len(all) - 1; k >= 0; k-- {
		if r.beginning(all[k], log) <= t.UnixMicro() && rd.startAt(all[k], t) {
			return rd, nil
		}
	}
	if !rd.forward(folder{}) {
		return nil, fmt.Errorf("log %s of channel %v: %w", log, r.root, ErrNotHeld)
	}
	return rd, nil
}

// Until makes Next end before the first segment whose first record's wall clock is t or later. It returns rd.
func (rd *Reader) Until(t time.Time) *Reader {
	until := t.UnixMicro()
	rd.until = &until
	return rd
}

// endsWith reports whether Next ends, now that step gave that.
func (rd *Reader) endsWith(item *Item, ok bool) bool {
	r := &item.Block.Record
	if !ok {
		return rd.replica.cfg.ReadOnly // nothing more will come
	}
	return rd.until != nil && r.Flags&SegmentFirst != 0 && r.Wall >= *rd.until
}

// startAt begins with what was on air at t in an epoch, or with what is held after it there or in a higher one.
func (rd *Reader) startAt(d folder, t time.Time) bool {
	e := rd.replica.open(d)
	if e == nil {
		return false
	}
	l := e.lookup(rd.name)
	if l == nil {
		return false
	}
	first, err := l.OnAir(t)
	if err != nil {
		return false
	}
	if b, ok := l.playable(first.Index); ok {
		rd.enter(e, l, b.Index)
		return true
	}
	return rd.forward(d)
}

// forward enters the first epoch above d of which a segment is held, at its first.
func (rd *Reader) forward(d folder) bool {
	for _, next := range rd.replica.folders() {
		if next.compare(d) <= 0 || !rd.replica.hasPayloads(next, rd.name) {
			continue
		}
		e := rd.replica.open(next)
		if e == nil {
			continue
		}
		l := e.lookup(rd.name)
		if l == nil {
			continue
		}
		if b, ok := l.playable(l.Base()); ok {
			rd.enter(e, l, b.Index)
			return true
		}
	}
	return false
}

// readPast returns the next block that is held. When all there is has been read, past ends.
func (rd *Reader) readPast() (Block, bool) {
	for {
		if b, ok := rd.read(); ok {
			return b, true
		}
		if rd.reopen() {
			continue
		}
		live := rd.replica.Current() == rd.epoch
		b, ok := rd.log.playable(rd.next)
		switch {
		case ok && live && rd.log.mayCome(rd.next) && !rd.lostPatience():
			return Block{}, false
		case ok:
			rd.jump(b.Index)
		case live:
			rd.past = false
			return Block{}, false
		case !rd.forward(folderOf(&rd.epoch.note)):
			return Block{}, false
		}
	}
}

// reopen goes on in the same log if its epoch was held in memory and no longer is: its files were closed.
func (rd *Reader) reopen() bool {
	if rd.epoch.readOnly() || rd.epoch.dir == "" || rd.replica.Epoch(rd.epoch.ID()) != nil {
		return false
	}
	e := rd.replica.open(folderOf(&rd.epoch.note))
	if e == nil {
		return false
	}
	l := e.lookup(rd.name)
	if l == nil {
		return false
	}
	rd.epoch, rd.log = e, l
	return true
}

// mayCome reports whether block i is missing where blocks come in these days.
func (l *Log) mayCome(i uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail.lo < l.tail.hi && i >= l.tail.lo
}
