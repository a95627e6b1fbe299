package swarm

import (
	"fmt"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// watch looks after what is overdue: asks around, and leaves a parent for one that has more.
func (d *Direct) watch() {
	r := d.run
	if r == nil || r.fault != nil {
		return
	}
	late := r.latest(d.now)
	if late == nil {
		r.overdue = time.Time{}
		d.switchUnfair(r)
		d.switchBehind(r)
		return
	}
	if r.overdue.IsZero() {
		r.overdue = late.due()
	}
	if d.now.Sub(r.pinged) >= pingEvery {
		r.pinged = d.now
		d.pingAll(r, late)
	}
	d.endDead()
	if r.parent != nil {
		d.judge(r, late)
	}
	if r.parent != nil && d.now.Sub(r.moved) > deadAfter && d.now.Sub(r.hurried) > deadAfter {
		r.hurried = d.now
		d.hurry()
	}
}

// latest returns the log that is overdue for longest; nil if none is.
func (r *run) latest(now time.Time) (late *follow) {
	for _, f := range r.logs {
		if !f.ended && !f.progress.IsZero() && now.After(f.due()) && (late == nil || f.due().Before(late.due())) {
			late = f
		}
	}
	return late
}

// pingAll asks the parent, and those that could take its place, whether they have the next block.
func (d *Direct) pingAll(r *run, f *follow) {
	for _, p := range d.peers {
		if p != r.parent && !d.eligible(r, p) {
			continue
		}
		d.nextReq++
		stripe := uint8(f.top % uint64(len(f.stripes)))
		d.send(p, &quicwire.Ping{ID: d.nextReq, Log: f.log, Stripe: stripe, Index: f.top})
		if p.pinged.IsZero() {
			p.pinged = d.now
		}
		if p.pings = append(p.pings, d.nextReq); len(p.pings) > maxPings {
			p.pings = p.pings[1:]
		}
	}
}

// maxPings is how many Pings may wait for their Pong: more than are sent until a peer counts as dead.
const maxPings = 16

// heardPong remembers what p says, if it was asked.
func (d *Direct) heardPong(p *peer, m *quicwire.Pong) {
	i := slices.Index(p.pings, m.ID)
	if i < 0 {
		return
	}
	p.pings, p.pinged = p.pings[i+1:], time.Time{}
	p.pong = pong{d.now, m.Log, m.Next, m.Flows}
	d.clock(p, m.Wall)
}

// endDead ends sessions whose peer does not answer: a node that was killed says nothing, and QUIC would wait for 15 s.
func (d *Direct) endDead() {
	for _, p := range d.peers {
		if !p.pinged.IsZero() && d.now.Sub(p.pinged) >= deadAfter {
			p.pinged = time.Time{}
			d.close(p, quicwire.CodeTimeout, fmt.Sprintf("no answer for %v", deadAfter))
		}
	}
}

// has reports whether p has said, since the log is overdue, that it has more of it than we.
func (p *peer) has(f *follow, since time.Time) bool {
	return p.pong.log == f.log && p.pong.at.After(since) && p.pong.next > f.top || p.claims[f.log].size > f.top
}

// judge leaves the parent if it keeps blocks to itself, or if it has none and somebody else has.
func (d *Direct) judge(r *run, f *follow) {
	p, waited := r.parent, d.now.Sub(r.overdue)
	answered := p.pong.at.After(r.overdue)
	other := slices.ContainsFunc(d.peers, func(q *peer) bool { return q != p && d.eligible(r, q) && q.has(f, r.overdue) })
	switch {
	case waited >= leaveLiar && answered && p.pong.log == f.log && p.pong.next > f.top && other:
		d.leave(p, quicwire.UnsubStalled, shunTime)
	case waited >= leaveLiar && answered && p.pong.log == f.log && p.pong.next > f.top:
		d.again(r)
	case waited >= leaveHungry && other:
		d.leave(p, quicwire.UnsubStalled, deadAfter)
	}
}

// again subscribes everything anew at the same parent, as there is no other.
func (d *Direct) again(r *run) {
	if d.now.Sub(r.retried) < deadAfter {
		return
	}
	r.retried = d.now
	for _, f := range r.logs {
		d.unsubscribe(f, quicwire.UnsubStalled)
	}
}

// switchUnfair leaves a parent of whose stripes more than a tenth had to be asked for block by block, if there is another.
func (d *Direct) switchUnfair(r *run) {
	if r.parent == nil || !slices.ContainsFunc(r.logs, func(f *follow) bool { return f.share.unfair(d.now) }) {
		return
	}
	if slices.ContainsFunc(d.peers, func(q *peer) bool { return q != r.parent && d.eligible(r, q) && q.flows(r) }) {
		d.leave(r.parent, quicwire.UnsubStalled, shunTime)
	}
}

// switchBehind leaves a parent that delivers, but the past: another has proved for a while that the epoch is clearly further. Silence
// would show by itself; this is for who replays slowly.
func (d *Direct) switchBehind(r *run) {
	if r.parent == nil || !d.ahead(func(p *peer) bool { return p != r.parent && d.eligible(r, p) }) {
		r.behind = time.Time{}
		return
	}
	if r.behind.IsZero() {
		r.behind = d.now
	}
	if d.now.Sub(r.behind) > deadAfter {
		r.behind = time.Time{}
		d.leave(r.parent, quicwire.UnsubStalled, shunTime)
	}
}

// clearlyAhead is by how many records of the catalog a peer must be ahead: it gets one a second, and what we hear is a second old.
const clearlyAhead = 5

// ahead reports whether a peer, of those that ok likes, has proved to be clearly further than we are.
func (d *Direct) ahead(ok func(*peer) bool) bool {
	f := d.run.follow(quicwire.LogID{Epoch: d.run.epoch.ID, Name: feed.CatalogLog})
	return f != nil && slices.ContainsFunc(d.peers, func(p *peer) bool { return p.size(d.run) > f.top+clearlyAhead && ok(p) })
}

// A share counts how the blocks of a log came, over a window of some seconds.
type share struct {
	since           time.Time
	pushed, repairs int
}

// shareWindow is how long a parent is watched, and shareLeast how many blocks it takes to judge it.
const (
	shareWindow = 5 * time.Second
	shareLeast  = 20
)

func (s *share) count(now time.Time, repaired bool) {
	if now.Sub(s.since) > 2*shareWindow {
		*s = share{since: now}
	}
	if repaired {
		s.repairs++
	} else {
		s.pushed++
	}
}

// unfair reports whether over a window more than a tenth came by repair.
func (s *share) unfair(now time.Time) bool {
	n := s.pushed + s.repairs
	return now.Sub(s.since) >= shareWindow && n >= shareLeast && 10*s.repairs > n
}
