package swarm

import (
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// choose chooses a parent if there is none. The first choice waits for a second opinion: a fast neighbour that replays yesterday must
// not win because it is fast.
func (d *Direct) choose() {
	r := d.run
	if r == nil || r.parent != nil || r.fault != nil || d.joining() {
		return
	}
	if p := d.best(r); p != nil {
		r.parent, r.overdue, r.retried = p, time.Time{}, d.now
		for _, f := range r.logs {
			f.progress, f.share = d.now, share{}
		}
	}
}

// joining reports whether a second HELLO may still come, or the first STATUS after one.
func (d *Direct) joining() bool {
	if d.run.seenAny() || d.old != nil || d.cfg.Publisher || d.firstUp.IsZero() || d.now.Sub(d.firstUp) >= helloWait {
		return false
	}
	open, unknown := 0, 0
	for _, a := range d.anchors {
		p := d.peer(a.session)
		switch {
		case p == nil && (a.fails > 0 || !a.lost.IsZero()):
			continue
		case p == nil || p.size(d.run) == 0:
			unknown++
		}
		open++
	}
	return open > 1 && unknown > 0
}

func (r *run) seenAny() bool {
	return slices.ContainsFunc(r.logs, func(f *follow) bool { return f.seen > 0 })
}

// eligible reports whether p may be the parent of r at all.
func (d *Direct) eligible(r *run, p *peer) bool {
	known := p.anchor != nil && p.anchor.session == p.id || d.cfg.Publisher
	return known && p.epoch.ID == r.epoch.ID && p.leaving.IsZero() && !d.now.Before(p.refused)
}

// best returns who should be the parent of r: of those that are not clearly behind the others one that flows, then the nearest; nil if there
// is nobody.
func (d *Direct) best(r *run) *peer {
	var most uint64
	for _, p := range d.peers {
		if d.eligible(r, p) {
			most = max(most, p.size(r))
		}
	}
	var best *peer
	for _, p := range d.peers {
		if d.eligible(r, p) && p.size(r)+farBehind > most && (best == nil || d.better(r, p, best)) {
			best = p
		}
	}
	return best
}

// farBehind is by how many records of the catalog, which gets one every second, a peer must trail another to be behind it.
const farBehind = 3

// size returns how many records of the catalog p has proved to have: how far it is in the epoch.
func (p *peer) size(r *run) uint64 {
	return p.claims[quicwire.LogID{Epoch: r.epoch.ID, Name: feed.CatalogLog}].proved
}

// flows reports whether the epoch flows at p, as it says.
func (p *peer) flows(r *run) bool {
	any := false
	for log, c := range p.claims {
		if log.Epoch == r.epoch.ID {
			any = true
			if c.lag == quicwire.NoLag {
				return false
			}
		}
	}
	return any
}

func (d *Direct) better(r *run, p, q *peer) bool {
	if a, b := p.flows(r), q.flows(r); a != b {
		return a
	}
	if d := p.rtt - q.rtt; d.Abs() > sameRTT {
		return d < 0
	}
	return p.anchor != nil && q.anchor != nil && p.anchor.index < q.anchor.index
}

// sameRTT is by how much round trips must differ to matter.
const sameRTT = 5 * time.Millisecond

// subBurst and subRate keep below what quicwire allows.
const (
	subBurst = 48
	subRate  = 24 // a second
)

// subscribe asks the parent for all stripes that it has not been asked for.
func (d *Direct) subscribe() {
	r := d.run
	if r == nil || r.parent == nil {
		return
	}
	for _, f := range r.logs {
		if f.ended || d.now.Before(f.retry) {
			continue
		}
		for i := range f.stripes {
			if f.stripes[i].parent == nil && r.parent.mayAsk(d.now) {
				d.sub(r.parent, f, uint8(i))
			}
		}
	}
}

// mayAsk takes a token for a Sub.
func (p *peer) mayAsk(now time.Time) bool {
	p.subs = min(p.subs+now.Sub(p.subsAt).Seconds()*subRate, subBurst)
	p.subsAt = now
	if p.subs < 1 {
		return false
	}
	p.subs--
	return true
}

// sub asks p for a stripe: at first from the newest segment on, later from what we lack on.
func (d *Direct) sub(p *peer, f *follow, i uint8) {
	s := &f.stripes[i]
	s.parent, s.ok, s.path = p, false, nil
	m := &quicwire.Sub{Log: f.log, Stripe: i, Stripes: uint8(len(f.stripes)), Urgent: true, Patience: patience}
	if held, _ := d.cfg.Shelf.Look(f.log); !f.joined.IsZero() {
		m.Start, m.From = quicwire.StartIndex, f.lacks(i)
	} else if size := held.Head.Size; size > 0 {
		m.Start, m.From = quicwire.StartIndex, size // an earlier run was there; too long ago, and the parent begins with the newest segment
	}
	if f.progress.Before(d.run.retried) {
		f.progress = d.now
	}
	d.send(p, m)
}

// lacks returns the first index of a stripe that is not held.
func (f *follow) lacks(stripe uint8) uint64 {
	step := uint64(len(f.stripes))
	first := f.top
	for i := range f.holes {
		if i%step == uint64(stripe) {
			first = min(first, i)
		}
	}
	return first + (uint64(stripe)+step-first%step)%step
}

// unsubscribe ends the subscriptions of a log.
func (d *Direct) unsubscribe(f *follow, why quicwire.UnsubReason) {
	for i := range f.stripes {
		if s := &f.stripes[i]; s.parent != nil {
			d.send(s.parent, &quicwire.Unsub{Log: f.log, Stripe: uint8(i), Reason: why})
			s.parent, s.ok, s.path = nil, false, nil
		}
	}
}

// leave gives up a parent for a while; choose looks for another.
func (d *Direct) leave(p *peer, why quicwire.UnsubReason, away time.Duration) {
	for _, f := range d.run.logs {
		d.unsubscribe(f, why)
	}
	d.run.parent, d.unsettled = nil, true
	p.refused, p.refusal = d.now.Add(away), 0
}

// heardSubOK takes in that a parent serves us.
func (d *Direct) heardSubOK(p *peer, m *quicwire.SubOK) {
	f := d.follow(m.Log)
	if f == nil || int(m.Stripe) >= len(f.stripes) || f.stripes[m.Stripe].parent != p {
		return
	}
	f.stripes[m.Stripe].ok = true
	d.route(f, subKey{m.Log, m.Stripe}, m.Path)
}

// heardPath takes in that the way to us has changed.
func (d *Direct) heardPath(p *peer, key subKey, path []quicwire.ShortID) {
	f := d.follow(key.log)
	if f != nil && int(key.stripe) < len(f.stripes) && f.stripes[key.stripe].parent == p {
		d.route(f, key, path)
	}
}

// route notes the way on which a stripe comes to us, and tells those that it goes on to. Who finds itself on it leaves.
func (d *Direct) route(f *follow, key subKey, path []quicwire.ShortID) {
	s := &f.stripes[key.stripe]
	if slices.Equal(s.path, path) {
		return
	}
	s.path = slices.Clone(path)
	loop := slices.Contains(path, d.cfg.Self) && !d.cfg.Publisher // see refusal
	if loop || len(path) >= quicwire.MaxPath {
		if d.run != nil && d.run.parent == s.parent {
			d.leave(s.parent, quicwire.UnsubLoop, 2*time.Second)
		}
		return
	}
	d.reroute(key)
}

// refusedBy takes in that p does not push a stripe to us, or no more.
func (d *Direct) refusedBy(p *peer, key subKey, why quicwire.Refusal, retry time.Duration) {
	f := d.run.follow(key.log)
	if f == nil || int(key.stripe) >= len(f.stripes) || f.stripes[key.stripe].parent != p {
		return
	}
	f.stripes[key.stripe].parent, f.stripes[key.stripe].ok = nil, false
	away := min(max(retry, time.Second), shunTime)
	switch why {
	case quicwire.RefusedLog, quicwire.RefusedNotHeld, quicwire.RefusedStripes:
		f.retry = d.now.Add(away) // it may do for the other logs
		return
	}
	if d.run.parent == p {
		d.leave(p, quicwire.UnsubDone, away)
		p.refusal = why
	}
}
