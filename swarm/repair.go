package swarm

import (
	"slices"
	"time"

	"tailcast/quicwire"
)

// How holes are repaired. docs/swarm.md gives the reasons.
const (
	repairTimeout = 350 * time.Millisecond // a Req without its block, or two and a half round trips
	repairEvery   = 50 * time.Millisecond  // Reqs for one log
	giveUpAfter   = 4 * time.Second        // a hole that nobody fills is none of the live edge
	catalogFor    = time.Minute            // likewise in a catalog: a State is repeated so often
	sourceAfter   = 1200 * time.Millisecond
	possession    = 20 * time.Millisecond // a peer that said its lag has a block so long after that
	mostAsked     = 48                    // blocks asked for at a time, in one log
	leastAsked    = 4
	fullAsked     = 2                       // while our downlink is full
	maxHoles      = 2048                    // remembered in one log; the oldest are given up
	catchUp       = 600 * time.Millisecond  // for a new parent to push what was lacking
	queuedAfter   = 1500 * time.Millisecond // a block that waits before our own downlink
	comingFor     = 400 * time.Millisecond  // the rest of a block whose first packets are here
	nackPause     = 100 * time.Millisecond  // after the first NACK, times their number
	maxSilent     = 2                       // Reqs in a row without any answer, then another is asked
	mostReq       = 8                       // blocks of one Req
)

// A hole is a block that is not here, although it exists.
type hole struct {
	index  uint64
	signed time.Time // about
	asked  time.Time // when it was last asked for; zero: it is not being asked for
	of     *peer     // who was asked
	nacks  [3]*peer  // who did not have it, or did not answer, the latest first
	noes   int       // NACKs
	coming time.Time // when its first packets were seen; zero: not yet
	after  time.Time // not to be asked for before
}

// widen notes what lies between the edge and a new block beyond it. After a long silence, what a parent has not sent by itself is over.
func (m *Mesh) widen(f *follow, e BlockIn, first uint64) {
	if e.Index < f.edge {
		return
	}
	if first > f.edge && m.now.Sub(f.last) > giveUpAfter && !f.last.IsZero() {
		m.blocks.Missed += uint64(len(f.holes)) + first - f.edge
		f.holes = f.holes[:0]
		f.edge, f.joined = first, m.now
		m.do(Abandon{f.log, first})
	}
	if n := e.Index - f.edge; n > maxHoles {
		m.blocks.Missed += n - maxHoles
		f.edge = e.Index - maxHoles
	}
	m.open(f, e.Index)
	f.edge = e.Index + 1
}

// open makes holes of all below end that is not here.
func (m *Mesh) open(f *follow, end uint64) {
	var left []uint64
	for ; f.edge < end; f.edge++ {
		if f.here.has(f.edge) {
			continue
		}
		f.holes = append(f.holes, hole{index: f.edge, signed: f.clock.of(f.edge)})
		if f.edge < f.left {
			left = append(left, f.edge)
		}
	}
	if len(left) > 0 {
		m.do(LookUp{f.log, left})
	}
	if n := len(f.holes) - maxHoles; n > 0 {
		m.blocks.Missed += uint64(n)
		f.holes = slices.Delete(f.holes, 0, n)
	}
}

// reveal makes holes of what neighbours have and should be here by now: who starves must know that it does. It believes no size that the
// clock of the log does not allow.
func (m *Mesh) reveal(f *follow) {
	if f.joined.IsZero() || f.clock.n < 8 || f.clock.gap <= 0 {
		return
	}
	since := m.now.Sub(f.clock.at) - f.usualLag() - m.patience(f)
	if since <= 0 {
		return
	}
	should := f.clock.index + uint64(since/f.clock.gap)
	var claimed uint64
	for _, p := range m.peers {
		if c := p.claimOf(f.log); c != nil && m.eligible(f.run, p) {
			claimed = max(claimed, c.size)
		}
		if p.pong.log == f.log && m.eligible(f.run, p) {
			claimed = max(claimed, p.pong.next)
		}
	}
	m.open(f, min(should, claimed, f.edge+maxHoles))
}

// usualLag returns the largest lag of a stripe that flows.
func (f *follow) usualLag() (lag time.Duration) {
	for i := range f.stripes {
		if s := &f.stripes[i]; s.parent != nil && !s.dry {
			lag = max(lag, s.lag)
		}
	}
	return lag
}

// filled takes in that a block is here that perhaps was missing.
func (m *Mesh) filled(f *follow, p *peer, e BlockIn) {
	at, ok := f.find(e.Index)
	if !ok {
		return
	}
	h := f.holes[at]
	f.holes = slices.Delete(f.holes, at, at+1)
	if h.of != nil && h.of == p && e.Repaired {
		p.silent = 0
		p.given++
		f.window = min(f.window+1, mostAsked)
	} else if h.of != nil && h.of != p && !h.of.gone {
		m.send(h.of, &quicwire.Cancel{Log: f.log, Blocks: []uint64{e.Index}})
	}
	if q := f.stripes[f.stripeOf(e.Index)].parent; q != nil && q != p && q != h.of && e.Repaired && !q.mute {
		m.send(q, &quicwire.Cancel{Log: f.log, Blocks: []uint64{e.Index}}) // its push is not needed any more
	}
}

// duplicate takes in a block that was here already. One that we asked for was asked for too early: ask for less.
func (m *Mesh) duplicate(f *follow, p *peer, e BlockIn) {
	f.here.add(e.Index)
	if at, ok := f.find(e.Index); ok {
		f.holes = slices.Delete(f.holes, at, at+1)
	}
	if e.Repaired {
		f.window = max(leastAsked, f.window*0.7)
		if p != nil {
			p.silent = 0
		}
	}
}

// coming takes in that a block has begun to arrive.
func (m *Mesh) coming(e Coming) {
	f := m.follow(e.Log)
	if f == nil || f.joined.IsZero() || e.Index >= min(f.edge+mostAsked, f.soon(m.now)) {
		return
	}
	m.open(f, e.Index+1)
	if at, ok := f.find(e.Index); ok {
		f.holes[at].coming = m.now
	}
}

// found takes in what an earlier run has left: no holes.
func (m *Mesh) found(e Found) {
	f := m.follow(e.Log)
	if f == nil {
		return
	}
	for _, i := range e.Blocks {
		f.here.add(i)
		if at, ok := f.find(i); ok {
			f.holes = slices.Delete(f.holes, at, at+1)
		}
	}
}

// repair asks for what has been missing for too long.
func (m *Mesh) repair() {
	for _, r := range []*run{m.run, m.old} {
		if r == nil || r.fault != nil {
			continue
		}
		for _, f := range r.logs {
			if len(f.holes) > 0 && m.now.Sub(f.asked) >= repairEvery {
				m.repairLog(f)
			}
		}
	}
}

// A want is what one peer is to be asked for.
type want struct {
	peer   *peer
	orphan bool
	blocks []uint64
}

func (m *Mesh) repairLog(f *follow) {
	if f.slow || m.downlinkFull() {
		f.window = max(fullAsked, f.window*0.7)
	}
	open := m.review(f)
	var wants []want
	for k := range f.holes {
		h := &f.holes[k]
		if open >= int(f.window) {
			break
		}
		if !h.asked.IsZero() || m.now.Before(h.after) || !m.missing(f, h) {
			continue
		}
		p := m.holder(f, h)
		if p == nil {
			h.after = m.now.Add(2 * repairEvery)
			if m.now.Sub(h.signed) > urgentAfter {
				h.nacks = [3]*peer{} // ask them again
			}
			continue
		}
		open++
		h.asked, h.of = m.now, p
		s := &f.stripes[f.stripeOf(h.index)]
		wants = addWant(wants, p, h.index, s.parent == nil || s.dry)
	}
	for _, w := range wants {
		m.req(f, w)
	}
}

// review gives up the holes that are too old, takes back what was asked in vain, and returns how many are being asked for.
func (m *Mesh) review(f *follow) (open int) {
	old := 0
	for k := range f.holes {
		h := &f.holes[k]
		switch {
		case m.now.Sub(h.signed) > f.giveUp():
			old++
		case h.asked.IsZero():
		case h.of == nil || m.now.Sub(h.asked) >= max(repairTimeout, 5*h.of.rtt/2):
			m.timedOut(f, h)
		default:
			open++
		}
	}
	if old > 0 {
		m.blocks.Missed += uint64(old)
		f.holes = slices.DeleteFunc(f.holes, func(h hole) bool { return m.now.Sub(h.signed) > f.giveUp() })
	}
	return open
}

// giveUp returns how old a hole may become. What is missing of a catalog is never old: a State says what there is to follow at all.
func (f *follow) giveUp() time.Duration {
	if f.catalog() {
		return catalogFor
	}
	return giveUpAfter + f.usualLag()
}

// timedOut takes back a Req of one block. If our own downlink is the bottleneck, less is to be asked for; else the other is slow or dead.
func (m *Mesh) timedOut(f *follow, h *hole) {
	if p := h.of; p != nil && !f.slow && !m.downlinkFull() && h.asked.After(p.vain) { // once for all the blocks of a Req
		p.vain = h.asked
		if p.silent++; p.silent >= maxSilent {
			p.silent, p.deaf, p.fails = 0, m.now.Add(shunTime), min(p.fails+1, 4)
		}
	}
	h.nacks = [3]*peer{h.of, h.nacks[0], h.nacks[1]}
	h.asked, h.of = time.Time{}, nil
}

// missing reports whether a hole is overdue: later than its stripe's blocks usually are, or at once if nobody will push it. A new parent
// has some time to push what we lacked when it became one.
func (m *Mesh) missing(f *follow, h *hole) bool {
	s := &f.stripes[f.stripeOf(h.index)]
	if m.now.Sub(h.coming) < comingFor {
		return false // the rest is on its way
	}
	if s.parent == nil {
		return true
	}
	due := h.signed.Add(s.lag)
	if caught := s.since.Add(catchUp); h.index >= s.next && h.index >= s.first && due.Before(caught) && h.signed.Before(s.since) {
		due = caught
	}
	late := m.now.Sub(due)
	if (f.slow || m.downlinkFull()) && h.index >= s.next {
		return late > queuedAfter // it waits before our downlink; what is asked for would wait behind it
	}
	return late > m.patience(f)
}

// holder returns whom to ask for a block: who has it, as far as its lag says, and can send it soonest. The source comes last: it has its
// hands full. nil if there is nobody.
func (m *Mesh) holder(f *follow, h *hole) *peer {
	var best *peer
	var least float64
	few := len(m.peers) < 4
	for _, p := range m.peers {
		if !p.shares() || p.mute || m.now.Before(p.deaf) && !few || slices.Contains(h.nacks[:], p) || !p.pinged.IsZero() && m.now.Sub(p.pinged) > muteAfter {
			continue
		}
		if p.role == quicwire.Streamer && !few && m.now.Sub(h.signed) < sourceAfter || !m.holds(f, h, p) {
			continue
		}
		wait := float64(p.rtt + p.backlog + m.serialisation(f, p))
		if cost := wait * (1 + m.rand.Float64()) * float64(1+p.fails); best == nil || cost < least {
			best, least = p, cost
		}
	}
	return best
}

// holds reports whether p should have a block when a Req comes there.
func (m *Mesh) holds(f *follow, h *hole, p *peer) bool {
	c, i := p.claimOf(f.log), f.stripeOf(h.index)
	if c == nil || len(c.lags) != len(f.stripes) || h.index < c.base {
		return false
	}
	if c.size > h.index && m.now.Sub(h.signed) > giveUpAfter/2 {
		return true // long ago: whatever its stripes do now
	}
	return c.lags[i] != quicwire.NoLag && !m.now.Add(p.owd()).Before(h.signed.Add(c.lags[i]+possession))
}

// addWant adds a block to what a peer is to be asked for; a new Req if the last is full.
func addWant(wants []want, p *peer, i uint64, orphan bool) []want {
	for k := len(wants) - 1; k >= 0; k-- {
		w := &wants[k]
		if w.peer == p && w.orphan == orphan && len(w.blocks) < mostReq && i-w.blocks[0] < quicwire.MaxBits {
			w.blocks = append(w.blocks, i)
			return wants
		}
	}
	return append(wants, want{p, orphan, []uint64{i}})
}

func (m *Mesh) req(f *follow, w want) {
	if !w.peer.reqs.take(m.now, 1) {
		return // the blocks time out
	}
	m.nextReq++
	f.asked = m.now
	m.send(w.peer, &quicwire.Req{
		ID: m.nextReq, Log: f.log, Orphan: w.orphan, Starting: m.now.Sub(f.joined) < startFor, Deadline: 2 * time.Second, Blocks: w.blocks,
	})
}

// wantFrom asks p for a block at once, if it is missing here and nobody else was asked.
func (m *Mesh) wantFrom(p *peer, f *follow, i uint64) {
	if f.joined.IsZero() || i+hereBlocks/2 < f.edge {
		return
	}
	at, ok := f.find(i)
	if !ok && i >= f.edge && i < min(f.edge+mostAsked, f.soon(m.now)) {
		m.open(f, i+1)
		at, ok = f.find(i)
	}
	if ok && f.holes[at].asked.IsZero() {
		f.holes[at].asked, f.holes[at].of = m.now, p
		m.req(f, want{p, true, []uint64{i}})
	}
}

// heardNack lets the blocks that p has not got be asked of somebody else: at once the first time, then with the ticks.
func (m *Mesh) heardNack(p *peer, x *quicwire.Nack) {
	f := m.follow(x.Log)
	if f == nil {
		return
	}
	p.backlog, p.silent = x.Backlog, 0
	again := false
	for _, i := range x.Blocks {
		at, ok := f.find(i)
		if !ok || f.holes[at].of != p || f.holes[at].asked.IsZero() {
			continue
		}
		h := &f.holes[at]
		again = again || h.nacks[0] == nil
		h.nacks = [3]*peer{p, h.nacks[0], h.nacks[1]}
		h.asked, h.of = time.Time{}, nil
		if h.noes++; h.noes > 1 {
			h.after = m.now.Add(time.Duration(min(h.noes, 8)) * nackPause)
		}
	}
	if again && m.now.Sub(f.asked) >= 20*time.Millisecond {
		m.repairLog(f)
	}
}

// heardCancel takes out what p has meanwhile.
func (m *Mesh) heardCancel(p *peer, x *quicwire.Cancel) { m.up.cancel(p, x.Log, x.Blocks) }
