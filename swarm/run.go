package swarm

import (
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A run is the following of one epoch: from whom, and how far each of its logs is.
type run struct {
	epoch  Epoch
	parent *peer // of all stripes; nil if none
	logs   []*follow
	fault  *feed.Fault // why the epoch is not followed any more; nil if it is

	overdue time.Time // since when something is; zero if nothing is
	behind  time.Time // since when another peer is clearly further; zero if none is
	pinged  time.Time // when the last round of Pings went out
	retried time.Time // when everything was subscribed anew
	moved   time.Time // when a parent last pushed something new
	hurried time.Time // when we last dialled everybody because of that
}

// A follow is one log that is followed.
//
//	 not wanted         held, but for the holes                  not here yet
//	────────────┬──────────────────────────────────────────┬──────────────────────▶ index
//	        newest segment when we joined                 top
type follow struct {
	log     quicwire.LogID
	stripes []stripe
	top     uint64
	left    uint64    // size that an earlier run left: blocks below it may be on disk
	here    here      // which blocks came lately
	joined  time.Time // when the first block came, also after a silence that was too long; zero: none has
	holes   map[uint64]*hole
	ended   bool // its End record is here

	progress time.Time     // when the parent last pushed something new; at first, when it was asked to
	gap      time.Duration // usual time between two such blocks
	last     time.Time     // when the last new block came, from whomever
	seen     int           // new blocks, however they came
	retry    time.Time     // not to be subscribed before

	share share // how blocks came lately
	asked time.Time
}

// A stripe is one subscription.
type stripe struct {
	parent *peer // nil: none
	ok     bool  // it has said SUBOK
	next   uint64
	lag    time.Duration
	path   []quicwire.ShortID // from the source to the parent, both included
}

// Times between blocks.
const (
	gapAtFirst = 400 * time.Millisecond // as long as nothing is known
	gapTimes   = 4                      // so many usual gaps without a block are too many
	soonestDue = 250 * time.Millisecond
	latestDue  = 1500 * time.Millisecond // a heartbeat comes after 1 s of silence
)

func newFollow(log quicwire.LogID, stripes int, left uint64) *follow {
	return &follow{log: log, stripes: make([]stripe, stripes), left: left, holes: make(map[uint64]*hole), gap: gapAtFirst}
}

// A here remembers which of the newest blocks below top have come: bit i modulo hereBlocks for block i.
type here struct {
	top  uint64
	bits [hereBlocks / 64]uint64
}

const hereBlocks = 4096

func (h *here) add(i uint64) {
	if i >= h.top+hereBlocks {
		*h = here{top: i}
	}
	for ; h.top <= i; h.top++ {
		h.bits[h.top/64%uint64(len(h.bits))] &^= 1 << (h.top % 64)
	}
	if h.top-i <= hereBlocks {
		h.bits[i/64%uint64(len(h.bits))] |= 1 << (i % 64)
	}
}

func (h *here) has(i uint64) bool {
	return i < h.top && h.top-i <= hereBlocks && h.bits[i/64%uint64(len(h.bits))]>>(i%64)&1 == 1
}

// due returns when the next block is overdue.
func (f *follow) due() time.Time {
	return f.progress.Add(min(max(gapTimes*f.gap, soonestDue), latestDue))
}

// flows reports whether the next block is not overdue.
func (f *follow) flows(now time.Time) bool {
	return f.ended || !f.joined.IsZero() && !now.After(f.due())
}

// follow returns what is followed under that name; nil if it is not.
func (r *run) follow(log quicwire.LogID) *follow {
	if r == nil || r.epoch.ID != log.Epoch {
		return nil
	}
	for _, f := range r.logs {
		if f.log == log {
			return f
		}
	}
	return nil
}

func (d *Direct) follow(log quicwire.LogID) *follow {
	if f := d.run.follow(log); f != nil {
		return f
	}
	return d.old.follow(log)
}

// lost forgets a parent whose session has ended.
func (r *run) lost(p *peer) {
	if r == nil {
		return
	}
	if r.parent == p {
		r.parent = nil
	}
	for _, f := range r.logs {
		for i := range f.stripes {
			if f.stripes[i].parent == p {
				f.stripes[i].parent, f.stripes[i].ok = nil, false
			}
		}
	}
}

// learn turns to a higher epoch. The old one is followed on until the new one delivers: a note alone proves no life.
func (d *Direct) learn(e Epoch) {
	if e.Compare(d.epoch) <= 0 {
		return
	}
	d.epoch, d.learned = e, d.now
	for _, p := range d.peers {
		d.showTo(p)
		d.showFaults(p)
	}
	if d.cfg.Publisher && (d.own == Epoch{} || e.Compare(d.own) <= 0) {
		return
	}
	d.retire(d.old)
	d.run, d.old = &run{epoch: e, moved: d.now}, d.run
	d.add(d.run, feed.CatalogLog, 1)
	d.catalog(d.run)
	if f := d.faultOf(e.ID); f != nil {
		d.run.fault = f
	}
}

// publish takes in that this node signs an epoch.
func (d *Direct) publish(e Epoch) {
	d.own = e
	if d.superseded != nil && d.superseded.Compare(e) < 0 {
		d.superseded = nil
	}
	d.learn(e)
	if d.run != nil && d.run.epoch.Compare(e) <= 0 {
		d.retire(d.run)
		d.run = nil
	}
}

// retire ends the following of an epoch.
func (d *Direct) retire(r *run) {
	if r == nil {
		return
	}
	for _, f := range r.logs {
		d.unsubscribe(f, quicwire.UnsubDone)
	}
	if d.old == r {
		d.old = nil
	}
}

// condemn ends the following of an epoch whose signer broke a rule. Only a higher one goes on.
func (d *Direct) condemn(fault *feed.Fault) {
	for _, f := range d.run.logs {
		d.unsubscribe(f, quicwire.UnsubDone)
	}
	d.run.fault, d.run.parent = fault, nil
}

// add follows one more log.
func (d *Direct) add(r *run, name string, stripes int) {
	log := quicwire.LogID{Epoch: r.epoch.ID, Name: name}
	if r.follow(log) == nil {
		held, _ := d.cfg.Shelf.Look(log)
		r.logs = append(r.logs, newFollow(log, stripes, held.Head.Size))
	}
}

// catalog follows what the catalog names and we want. A publisher has seen enough with the catalog itself.
func (d *Direct) catalog(r *run) {
	if d.cfg.Publisher {
		return
	}
	for _, v := range d.cfg.Shelf.Renditions(r.epoch.ID) {
		wanted := len(d.cfg.Renditions) == 0 || slices.Contains(d.cfg.Renditions, v.Name)
		if wanted && v.Stripes >= 1 && v.Stripes <= quicwire.MaxStripes {
			d.add(r, v.Name, v.Stripes)
		}
	}
}

// block takes in a verified block.
func (d *Direct) block(e BlockIn) {
	if !e.Fresh {
		d.blocks.Duplicate++
	} else {
		d.blocks.Verified++
	}
	if e.Fresh && e.Repaired {
		d.blocks.Repaired++
	}
	f := d.follow(e.Log)
	if f == nil {
		return
	}
	f.here.add(e.Index)
	if e.Fresh {
		d.advance(f, e)
	} else {
		delete(f.holes, e.Index)
	}
	if !e.Repaired {
		d.pushed(f, e)
	}
	if e.Log.Name == feed.CatalogLog && e.Kind == feed.Event && d.run.follow(e.Log) != nil {
		d.catalog(d.run)
		d.unsettled = true
	}
}

// advance notes a new block: the edge moves on, or a hole is filled.
func (d *Direct) advance(f *follow, e BlockIn) {
	if f.joined.IsZero() {
		f.joined = d.now
		f.top = e.Index - min(e.Index, uint64(e.Back))
	}
	if h := f.holes[e.Index]; h != nil {
		if p := d.peer(e.Session); p != nil && e.Repaired && h.of == p.id {
			p.silent = 0
			p.given++
		}
		delete(f.holes, e.Index)
	}
	d.widen(f, e)
	f.last = d.now
	f.ended = f.ended || e.Kind == feed.End
	f.seen++
	f.share.count(d.now, e.Repaired)
}

// pushed notes what the parent does for us.
func (d *Direct) pushed(f *follow, e BlockIn) {
	s := &f.stripes[e.Index%uint64(len(f.stripes))]
	s.next = max(s.next, e.Index+1)
	s.lag = max(0, d.now.Sub(e.Wall))
	if p := d.peer(e.Session); p != nil && s.parent == p {
		d.route(f, subKey{f.log, uint8(e.Index % uint64(len(f.stripes)))}, e.Path)
	}
	if !e.Fresh {
		return
	}
	if gap := d.now.Sub(f.progress); gap < latestDue {
		f.gap += (gap - f.gap) / 8
	}
	f.progress = d.now
	r := d.run
	if r.follow(f.log) == nil {
		return
	}
	r.moved = d.now
	if d.old != nil {
		d.retire(d.old)
	}
	if d.cfg.Publisher {
		d.supersede(f)
	}
}

// inTime reports whether the delay of a block tells something about the way it took: it was pushed, and not to catch up after joining.
func (d *Direct) inTime(e BlockIn, now time.Time) bool {
	f := d.follow(e.Log)
	return e.Fresh && !e.Repaired && f != nil && f.log.Name != feed.CatalogLog && now.Sub(f.joined) > helloWait
}

// supersede notes that a higher epoch than ours is live: its catalog goes on, at a time that we watch.
func (d *Direct) supersede(f *follow) {
	if f.seen >= 3 && d.now.Sub(f.joined) > time.Second {
		e := d.run.epoch
		d.superseded = &e
	}
}
