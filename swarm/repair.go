package swarm

import (
	"cmp"
	"slices"
	"time"

	"tailcast/quicwire"
)

// How holes are repaired.
const (
	repairAfter   = 200 * time.Millisecond // stripes do not arrive in step
	repairTimeout = 600 * time.Millisecond // a Req without its block
	repairEvery   = 100 * time.Millisecond // Reqs for one log; quicwire allows 64 a second
	giveUpAfter   = 4 * time.Second        // a hole that nobody fills is none of the live edge
	maxAsked      = 64                     // blocks asked for at a time, in one log
	maxHoles      = 2048                   // remembered in one log; the oldest are given up
	maxSilent     = 2                      // Reqs in a row without any answer, then another is asked
)

// A hole is a block that is not here, although a later one is.
type hole struct {
	since time.Time
	asked time.Time // when it was last asked for; zero: it is not being asked for
	of    SessionID // who was asked
	tries int
	after time.Time // not to be asked for before
}

// widen notes what lies between the edge and a new block beyond it. After a long silence, what a parent has not sent by itself is over.
func (d *Direct) widen(f *follow, e BlockIn) {
	if e.Index < f.top {
		return
	}
	if first := e.Index - min(e.Index, uint64(e.Back)); first > f.top && d.now.Sub(f.last) > giveUpAfter {
		d.blocks.Missed += uint64(len(f.holes)) + first - f.top
		clear(f.holes)
		f.top, f.joined = first, d.now
	}
	if n := e.Index - f.top; n > maxHoles {
		d.blocks.Missed += n - maxHoles
		f.top = e.Index - maxHoles
	}
	var left []uint64
	for ; f.top < e.Index; f.top++ {
		f.holes[f.top] = &hole{since: d.now}
		if f.top < f.left {
			left = append(left, f.top)
		}
	}
	if len(left) > 0 {
		d.do(LookUp{f.log, left})
	}
	f.top = e.Index + 1
	d.trim(f)
}

// found takes in what an earlier run has left: no holes.
func (d *Direct) found(e Found) {
	if f := d.follow(e.Log); f != nil {
		for _, i := range e.Blocks {
			delete(f.holes, i)
			f.here.add(i)
		}
	}
}

// trim gives up the lowest holes above maxHoles.
func (d *Direct) trim(f *follow) {
	if len(f.holes) <= maxHoles {
		return
	}
	list := f.list()
	for _, i := range list[:len(list)-maxHoles] {
		d.giveUp(f, i)
	}
}

// list returns the holes, ascending.
func (f *follow) list() []uint64 {
	list := make([]uint64, 0, len(f.holes))
	for i := range f.holes {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

func (d *Direct) giveUp(f *follow, i uint64) {
	delete(f.holes, i)
	d.blocks.Missed++
}

// repair asks for what has been missing for too long.
func (d *Direct) repair() {
	if d.run == nil || d.run.fault != nil {
		return
	}
	for _, f := range d.run.logs {
		if len(f.holes) > 0 && d.now.Sub(f.asked) >= repairEvery {
			d.repairLog(f)
		}
	}
}

// A want is what one peer is to be asked for.
type want struct {
	peer   *peer
	blocks []uint64
}

func (d *Direct) repairLog(f *follow) {
	var wants []*want
	list := f.list()
	open := d.overdueHoles(f, list)
	for _, i := range list {
		h := f.holes[i]
		if h == nil || !h.asked.IsZero() || d.now.Sub(h.since) < repairAfter || d.now.Before(h.after) || open >= maxAsked {
			continue
		}
		p := d.holder(f, i, h.tries)
		if p == nil {
			continue
		}
		open++
		h.asked, h.of = d.now, p.id
		h.tries++
		wants = addWant(wants, p, i)
	}
	for _, w := range wants {
		d.req(f, w)
	}
}

// overdueHoles gives up the holes that are too old, takes back what was asked in vain, and returns how many are being asked for.
func (d *Direct) overdueHoles(f *follow, list []uint64) (open int) {
	silent := make(map[SessionID]bool)
	for _, i := range list {
		h := f.holes[i]
		switch {
		case d.now.Sub(h.since) > giveUpAfter:
			d.giveUp(f, i)
		case h.asked.IsZero():
		case d.now.Sub(h.asked) >= repairTimeout:
			h.asked = time.Time{}
			silent[h.of] = true
		default:
			open++
		}
	}
	for _, p := range d.peers {
		if !silent[p.id] {
			continue
		}
		if p.silent++; p.silent >= maxSilent {
			p.silent, p.deaf = 0, d.now.Add(shunTime)
		}
	}
	return open
}

// holder returns whom to ask for a block, in turn: the parent, anchors that say they have it, then others, by what they have done for us
// and by what they have proved; what they say costs nothing. nil if there is nobody.
func (d *Direct) holder(f *follow, i uint64, tries int) *peer {
	var list, deaf []*peer
	for _, p := range d.peers {
		switch {
		case !p.leaving.IsZero() || p.flags&quicwire.NoUpload != 0 || p.claims[f.log].size <= i && p != d.run.parent:
		case d.now.Before(p.deaf):
			deaf = append(deaf, p)
		default:
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		list = deaf // better than nobody
	}
	if len(list) == 0 {
		return nil
	}
	slices.SortStableFunc(list, d.trust)
	return list[tries%len(list)]
}

// trust orders peers by how likely it is that they send what they say they have.
func (d *Direct) trust(p, q *peer) int {
	rank := func(p *peer) int {
		switch {
		case p == d.run.parent:
			return 0
		case p.anchor != nil:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(p), rank(q)), cmp.Compare(q.given, p.given), cmp.Compare(q.size(d.run), p.size(d.run)))
}

// addWant adds a block to what a peer is to be asked for; a new Req if the bitmap of the last would be too long.
func addWant(wants []*want, p *peer, i uint64) []*want {
	for _, w := range slices.Backward(wants) {
		if w.peer == p && i-w.blocks[0] < quicwire.MaxBits {
			w.blocks = append(w.blocks, i)
			return wants
		}
	}
	return append(wants, &want{p, []uint64{i}})
}

func (d *Direct) req(f *follow, w *want) {
	d.nextReq++
	f.asked = d.now
	d.send(w.peer, &quicwire.Req{
		ID: d.nextReq, Log: f.log, Orphan: d.run.parent == nil, Deadline: giveUpAfter - repairAfter, Blocks: w.blocks,
	})
}

// heardNack lets the blocks that p has not got be asked of somebody else: at once the first time, then after a pause.
func (d *Direct) heardNack(p *peer, m *quicwire.Nack) {
	f := d.run.follow(m.Log)
	if f == nil {
		return
	}
	for _, i := range m.Blocks {
		h := f.holes[i]
		if h == nil || h.of != p.id || h.asked.IsZero() {
			continue
		}
		h.asked = time.Time{}
		if h.tries > 1 {
			h.after = d.now.Add(repairAfter)
		}
	}
}
