package swarm

import (
	"fmt"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Times of watching. docs/swarm.md gives the reasons.
const (
	overdueAfter = 250 * time.Millisecond  // later than usual; or three times the jitter
	doubtAfter   = 120 * time.Millisecond  // later than usual, or twice the jitter: the parent is asked
	pingEvery    = 400 * time.Millisecond  // a parent that is overdue
	muteAfter    = 150 * time.Millisecond  // without a PONG, or two and a half round trips: no parent any more
	muteFull     = 1500 * time.Millisecond // likewise while our downlink is full
	leaveLiar    = 700 * time.Millisecond  // a parent that says the stripe flows, and does not send it
	leaveHungry  = 1200 * time.Millisecond // one that admits that it has nothing
	deadAfter    = 3 * time.Second         // without a PONG: the session ends
	fullRTT      = 100 * time.Millisecond  // by which all round trips grow when our downlink is full
	believe      = 350 * time.Millisecond  // a parent that says that the stripe flows, and then nothing comes
	maxPings     = 64                      // that may wait for their Pong: more than are sent until a peer counts as dead
	stillComes   = 800 * time.Millisecond  // since the last block of a stripe: its parent is slow or we are, but it is not a liar
	muchLater    = 150 * time.Millisecond  // than the best copy, for a window: a parent that holds blocks back
)

// watch looks after what is overdue: asks, and leaves parents that are dead, lie or starve.
func (m *Mesh) watch() {
	m.isFull = m.lookDown()
	m.doubtChildren()
	m.doubtPeers()
	m.endDead()
	r := m.run
	if r == nil || r.fault != nil {
		return
	}
	for _, f := range r.logs {
		if f.ended {
			continue
		}
		m.reveal(f)
		m.watchStripes(f)
		m.optimise(f)
		m.judgeShares(f)
	}
	m.watchRun(r)
	m.dropBehind(r)
}

// watchStripes looks at each stripe of a log.
func (m *Mesh) watchStripes(f *follow) {
	late, with, come := 0, 0, 0
	for i := range f.stripes {
		s := &f.stripes[i]
		s.late = m.overdue(f, uint8(i))
		s.dry = s.late > m.patience(f)
		if s.parent != nil {
			with++
		}
		if s.dry {
			late++
			if m.now.Sub(s.arrived) < stillComes {
				come++
			}
		}
	}
	// Most stripes late, and all round trips grown or all still coming: it is our downlink, not they. Without such evidence liars could
	// make us believe so.
	mine := 2*late > with && late > 1 && (m.downlinkFull() || 4*come >= 3*late)
	f.slow = mine
	for i := range f.stripes {
		if s := &f.stripes[i]; s.late > max(doubtAfter, 2*f.jitter) && s.parent != nil {
			m.doubt(f, uint8(i), mine)
		}
	}
}

// overdue returns by how much the next block of a stripe is later than usual; 0 if it is not, or if that is the source's silence.
func (m *Mesh) overdue(f *follow, i uint8) time.Duration {
	s := &f.stripes[i]
	switch {
	case s.parent == nil:
		return 0
	case f.joined.IsZero(): // nothing has ever come: who has promised it may never send it
		return max(0, m.now.Sub(s.since)-s.lag)
	}
	next := f.align(s.next, i)
	if next >= f.edge && !m.silent(f) {
		return 0
	}
	due := f.clock.of(next)
	if due.Before(s.since) {
		due = s.since
	}
	return max(0, m.now.Sub(due)-s.lag)
}

// silent reports whether nothing at all comes of a log, although by its clock something should.
func (m *Mesh) silent(f *follow) bool { return m.now.After(f.due()) }

// patience is how much later than usual a block may be.
func (m *Mesh) patience(f *follow) time.Duration { return max(overdueAfter, 3*f.jitter) }

// downlinkFull reports whether our own downlink is the bottleneck: blocks of nearly all parents wait longer than they used to, or the round
// trips of nearly all peers have grown.
//
// The answer is that of the last tick.
func (m *Mesh) downlinkFull() bool { return m.isFull }

// lookDown makes the answer of downlinkFull.
func (m *Mesh) lookDown() bool {
	if m.run != nil && slices.ContainsFunc(m.run.logs, m.queued) {
		return true
	}
	grown, all := 0, 0
	for _, p := range m.peers {
		if p.minRTT > 0 {
			all++
			if p.rtt > p.minRTT+fullRTT {
				grown++
			}
		}
	}
	return all > 0 && 4*grown >= 3*all
}

// queued reports whether the blocks of nearly all stripes have come late lately, beyond what their age says.
func (m *Mesh) queued(f *follow) bool {
	late, all := 0, 0
	for i := range f.stripes {
		if s := &f.stripes[i]; s.parent != nil && m.now.Sub(s.arrived) < stillComes {
			all++
			if s.excess > f.least+fullRTT {
				late++
			}
		}
	}
	return all > len(f.stripes)/3 && all > 1 && 4*late >= 3*all
}

// doubt asks a parent whether the stripe flows there, and leaves it when it has had its time.
func (m *Mesh) doubt(f *follow, i uint8, mine bool) {
	s := &f.stripes[i]
	p := s.parent
	if m.now.Sub(s.asked) >= pingEvery {
		s.asked = m.now
		m.ping(p, f, i, f.align(s.next, i))
	}
	limit := leaveHungry
	if !s.claimed.IsZero() && m.now.Sub(s.claimed) >= believe {
		limit = leaveLiar
	}
	if s.late < limit || mine || m.asleep() || !m.others(f, i, p) {
		return
	}
	p.fails++
	if limit == leaveLiar && (p.fails >= 3 || !p.received.any()) {
		p.refused = m.now.Add(shunTime)
	}
	p.claimFor(f.log).subbed[i] = m.now.Add(deadAfter)
	m.leave(f, i, p, quicwire.UnsubStalled)
}

// others reports whether somebody else could be asked for a stripe instead of p, who has more than we or to whom the stripe flows, as far as
// the log does at all: where nobody has more, nothing is gained. Is p one that has let us down before, others of that kind will do as well.
func (m *Mesh) others(f *follow, i uint8, p *peer) bool {
	can := m.eligible
	if m.now.Before(p.refused) {
		can = m.present
	}
	flows, lacks := !f.joined.IsZero() && !m.silent(f), f.edge
	if len(f.holes) > 0 {
		lacks = f.holes[0].index
	}
	for _, q := range m.peers {
		if q == p || !can(f.run, q) {
			continue
		}
		if c := q.claimOf(f.log); c != nil && (c.size > lacks || flows && c.flows(i)) ||
			q.pong.log == f.log && q.pong.next > f.here.top && m.now.Sub(q.pong.at) < leaveHungry {
			return true
		}
	}
	return false
}

// ping asks p for a stripe.
func (m *Mesh) ping(p *peer, f *follow, i uint8, index uint64) {
	m.nextReq++
	m.send(p, &quicwire.Ping{ID: m.nextReq, Log: f.log, Stripe: i, Index: index})
	p.asked = m.now
	if p.pinged.IsZero() {
		p.pinged = m.now
	}
	if p.pings = append(p.pings, m.nextReq); len(p.pings) > maxPings {
		p.pings = p.pings[1:]
	}
}

// doubtPeers takes those for dead, for the time being, that have not answered a PING in time: all that hung on them is looked for elsewhere.
// Their sessions live on for a while: they may be there yet.
func (m *Mesh) doubtPeers() {
	lost := false
	for _, p := range m.peers {
		if p.mute || !m.silentFor(p) || m.hears() == 0 {
			continue // nobody else speaks either: it is more likely us, and there is nobody to turn to
		}
		p.mute = true
		lost = lost || m.serves(p)
		m.leaveAll(p, quicwire.UnsubStalled)
		if m.absent(p) {
			m.evict(p)
		}
	}
	if lost {
		m.askAll()
		m.maintain()
	}
}

// askAll asks all peers whether they are there: where one has vanished, others may have.
func (m *Mesh) askAll() {
	for _, p := range m.peers {
		if m.now.Sub(p.asked) >= pingEvery && p.leaving.IsZero() {
			m.pingAny(p)
		}
	}
}

// hears counts the peers that are neither mute nor doubted.
func (m *Mesh) hears() (n int) {
	for _, p := range m.peers {
		if !p.mute && !m.silentFor(p) && p.shares() {
			n++
		}
	}
	return n
}

// silentFor reports whether p has let a PING go unanswered for too long. While our own downlink is full, answers are late as all is.
func (m *Mesh) silentFor(p *peer) bool {
	if p.pinged.IsZero() || m.asleep() {
		return false
	}
	limit := max(muteAfter, 5*p.rtt/2)
	if m.downlinkFull() {
		limit = max(limit, muteFull)
	}
	return m.now.Sub(p.pinged) >= limit
}

// doubtChildren asks those that take nothing although something is there for them.
func (m *Mesh) doubtChildren() {
	for _, p := range m.peers {
		if !m.absent(p) {
			continue
		}
		if m.now.Sub(p.asked) >= pingEvery {
			m.pingAny(p)
			m.askPlaced()
		}
		if p.mute {
			m.evict(p)
		}
	}
}

// askPlaced lets a source ask all that have a place, and all that wait for one: where one has vanished, others may have, and a lot must not fall
// on them.
func (m *Mesh) askPlaced() {
	ask := func(q *peer) {
		if m.now.Sub(q.asked) >= pingEvery {
			m.pingAny(q)
		}
	}
	for _, f := range m.own.logsOr() {
		for i := range f.stripes {
			for _, c := range f.stripes[i].children {
				ask(c.peer)
			}
			for _, w := range f.stripes[i].waiting {
				ask(w.peer)
			}
		}
	}
}

// evict takes its places from a child, and says so, in case that it is still there.
func (m *Mesh) evict(p *peer) {
	m.eachChild(func(f *follow, i uint8, c *child) {
		if c.peer == p {
			f.stripes[i].bereft = m.now
			m.send(p, &quicwire.Moved{Log: f.log, Stripe: i, Reason: quicwire.Shed, Until: max(c.next, 1) - 1, Retry: 2 * time.Second})
		}
	})
	m.drop(p)
}

// absent reports whether p, who is served, may be gone: it takes nothing, or acknowledges nothing.
func (m *Mesh) absent(p *peer) bool {
	if p.served.IsZero() {
		return false
	}
	return m.stuck(p) || m.quiet(p)
}

// quiet reports whether no packet has come from p since something was pushed to it, for longer than an acknowledgement takes.
func (m *Mesh) quiet(p *peer) bool {
	if m.cfg.Silence == nil || p.spoke.IsZero() {
		return false
	}
	if m.now.Add(-m.cfg.Silence(p.id)).After(p.spoke) {
		p.spoke = time.Time{}
		return false
	}
	return m.now.Sub(p.spoke) >= max(quietAfter, 3*p.rtt)
}

// quietAfter is how long an acknowledgement may take, or three round trips: one packet in a hundred is lost.
const quietAfter = 150 * time.Millisecond

// stuck reports whether p takes nothing although something is there for it.
func (m *Mesh) stuck(p *peer) bool {
	return !p.served.IsZero() && p.inflight > 0 && m.now.Sub(maxTime(p.fed, p.served)) >= stuckAfter
}

// stuckAfter is for how long a child may take nothing before it is asked whether it is still there.
const stuckAfter = 500 * time.Millisecond

// pingAny asks p for anything that is told.
func (m *Mesh) pingAny(p *peer) {
	if logs := m.told(); len(logs) > 0 {
		m.ping(p, logs[0], 0, logs[0].edge)
	}
}

// heardPing says how a stripe does here. What a source asks for is wanted there by nobody: it looks whether its blocks spread, and sends
// what we lack if we ask.
func (m *Mesh) heardPing(p *peer, x *quicwire.Ping) {
	f := m.follow(x.Log)
	lag, flows := m.lagOf(f, x.Stripe)
	has := f != nil && f.here.has(x.Index)
	m.send(p, &quicwire.Pong{
		ID: x.ID, Log: x.Log, Stripe: x.Stripe, Flows: flows, Lag: lag, Has: has, Next: m.next(f, x.Stripe), Backlog: m.up.backlog(),
	})
	if f != nil && !has && p.role == quicwire.Streamer && f.run == m.run {
		m.wantFrom(p, f, x.Index)
	}
}

// lagOf returns the lag of the newest block of a stripe here, and whether the stripe flows. What we sign ourselves has no lag and flows.
func (m *Mesh) lagOf(f *follow, i uint8) (lag time.Duration, flows bool) {
	if f == nil || int(i) >= len(f.stripes) {
		return 0, false
	}
	if f.run.ours {
		return 0, true
	}
	s := &f.stripes[i]
	return s.lag, f.ended || s.parent != nil && !s.dry && f.flows(m.now)
}

// next returns the index after the newest block of a stripe that is here; 0 if none is, or none near the edge.
func (m *Mesh) next(f *follow, stripe uint8) uint64 {
	if f == nil || int(stripe) >= len(f.stripes) || f.edge == 0 {
		return 0
	}
	step := uint64(len(f.stripes))
	i := f.edge - 1
	i -= min(i, (i+step-uint64(stripe)%step)%step)
	for range mostAsked {
		if f.here.has(i) {
			return i + 1
		}
		if i < step {
			break
		}
		i -= step
	}
	return 0
}

// heardPong remembers what p says, if it was asked.
func (m *Mesh) heardPong(p *peer, x *quicwire.Pong) {
	i := slices.Index(p.pings, x.ID)
	if i < 0 {
		return
	}
	p.pings, p.pinged, p.mute = p.pings[i+1:], time.Time{}, false
	if len(p.pings) > 0 {
		p.pinged = m.now // others wait since about then
	}
	p.pong = pong{m.now, x.Log, x.Stripe, x.Next, x.Flows}
	p.backlog = x.Backlog
	m.claims(p, x)
	m.clock(p, x.Wall)
	m.spotted(p, x)
}

// claims notes since when a parent has said that a stripe flows, and that it has more than we, without sending it. One that has just begun
// to flow again says so, too: so it counts only if nothing comes for a while.
func (m *Mesh) claims(p *peer, x *quicwire.Pong) {
	f := m.run.follow(x.Log)
	if f == nil || int(x.Stripe) >= len(f.stripes) {
		return
	}
	switch s := &f.stripes[x.Stripe]; {
	case s.parent != p:
	case !x.Flows || x.Next <= s.next:
		s.claimed = time.Time{}
	case s.claimed.IsZero():
		s.claimed = m.now
	}
}

// stalled takes in that we ourselves have slept: a Tick came much later than it was wanted, as this machine has too little processor time.
// What looks late or dead then is not; to blame others, and to look for new ones, would only take more of it.
func (m *Mesh) stalled() {
	m.woken = m.now
	for _, p := range m.peers {
		p.pinged, p.pings, p.mute = time.Time{}, nil, false
	}
}

// asleep reports whether we have been found to sleep lately.
func (m *Mesh) asleep() bool { return !m.woken.IsZero() && m.now.Sub(m.woken) < wakesFor }

// A Tick that comes so late, and for how long nobody is blamed then.
const (
	stalledAfter = 5 * TickEvery
	wakesFor     = time.Second
)

// endDead ends sessions whose peer does not answer: a node that was killed says nothing, and QUIC would wait for 15 s.
func (m *Mesh) endDead() {
	for _, p := range m.peers {
		if !p.pinged.IsZero() && m.now.Sub(p.pinged) >= deadAfter && !m.asleep() {
			p.pinged, p.pings = time.Time{}, nil
			m.close(p, quicwire.CodeTimeout, fmt.Sprintf("no answer for %v", deadAfter))
		}
	}
}

// watchRun asks everybody when nothing comes at all, and dials: those we have may all be dead, or behind.
func (m *Mesh) watchRun(r *run) {
	late := r.latest(m.now)
	if late == nil {
		r.overdue = time.Time{}
		return
	}
	if r.overdue.IsZero() {
		r.overdue = m.now
	}
	for _, p := range m.peers {
		if m.eligible(r, p) && m.now.Sub(p.asked) >= 2*pingEvery {
			m.ping(p, late, late.stripeOf(late.edge), late.edge)
		}
	}
	if m.now.Sub(r.moved) > deadAfter && m.now.Sub(r.hurried) > deadAfter {
		r.hurried = m.now
		m.hurry()
	}
}

// latest returns the log that is overdue as a whole for longest; nil if none is.
func (r *run) latest(now time.Time) (late *follow) {
	for _, f := range r.logs {
		if !f.ended && now.After(f.due()) && (late == nil || f.due().Before(late.due())) {
			late = f
		}
	}
	return late
}

// dropBehind leaves peers that deliver, but the past: another has proved for a while that the epoch is clearly further. Silence would show
// by itself; this is for who replays slowly.
func (m *Mesh) dropBehind(r *run) {
	f := r.follow(quicwire.LogID{Epoch: r.epoch.ID, Name: feed.CatalogLog})
	var most uint64
	for _, p := range m.peers {
		if m.eligible(r, p) {
			most = max(most, p.size(r))
		}
	}
	if f == nil || f.seen == 0 || most <= f.edge+clearlyAhead {
		r.behind = time.Time{}
		return
	}
	if r.behind.IsZero() {
		r.behind = m.now
	}
	if m.now.Sub(r.behind) <= deadAfter {
		return
	}
	r.behind = time.Time{}
	for _, p := range m.peers {
		if m.serves(p) && p.reach(r, m.now)+clearlyAhead < most {
			p.refused = m.now.Add(shunTime)
			m.leaveAll(p, quicwire.UnsubStalled)
		}
	}
}

// clearlyAhead is by how many records of the catalog a peer must be ahead: it gets one a second, and what we hear is a second old.
const clearlyAhead = 5

// ahead reports whether a peer has proved to be clearly further than we are.
func (m *Mesh) ahead() bool {
	f := m.run.follow(quicwire.LogID{Epoch: m.run.epoch.ID, Name: feed.CatalogLog})
	return f != nil && slices.ContainsFunc(m.peers, func(p *peer) bool { return p.size(m.run) > f.edge+clearlyAhead })
}

// leaveAll gives up p as the parent of anything.
func (m *Mesh) leaveAll(p *peer, why quicwire.UnsubReason) {
	for _, r := range []*run{m.run, m.old} {
		if r == nil {
			continue
		}
		for _, f := range r.logs {
			for i := range f.stripes {
				if f.stripes[i].parent == p {
					m.leave(f, uint8(i), p, why)
				}
			}
		}
	}
}

// A tally counts how the blocks of a stripe came, over a window of some seconds.
type tally struct {
	since        time.Time
	fresh, stale int // by the parent; by others
}

// tallyWindow is how long a parent is watched, and tallyLeast how many blocks it takes to judge it.
const (
	tallyWindow = 5 * time.Second
	tallyLeast  = 15
)

func (t *tally) count(now time.Time, fresh bool) {
	if now.Sub(t.since) > 2*tallyWindow {
		*t = tally{since: now}
	}
	if fresh {
		t.fresh++
	} else {
		t.stale++
	}
}

// judgeShares leaves parents of whose blocks over a tenth came from others, who were asked for them one by one, and those whose blocks come
// much later than what they say of themselves would have them.
func (m *Mesh) judgeShares(f *follow) {
	for i := range f.stripes {
		s := &f.stripes[i]
		t := s.judged
		if s.parent == nil || m.now.Sub(t.since) < tallyWindow {
			continue
		}
		s.judged = tally{since: m.now}
		n := t.fresh + t.stale
		if n < tallyLeast || m.downlinkFull() || !m.others(f, uint8(i), s.parent) {
			continue
		}
		if 10*t.stale > n || m.holdsBack(f, uint8(i)) {
			s.parent.fails++
			s.parent.claimFor(f.log).subbed[i] = m.now.Add(shunTime)
			m.subscribe(f, uint8(i), true, 0) // it goes on until another delivers
		}
	}
}

// holdsBack reports whether the blocks of a stripe come much later than its parent's own lag, the way and its uplink explain.
func (m *Mesh) holdsBack(f *follow, i uint8) bool {
	s := &f.stripes[i]
	c := s.parent.claimOf(f.log)
	return c != nil && len(c.lags) == len(f.stripes) && c.lags[i] != quicwire.NoLag && s.lag > m.cost(f, i, s.parent, c)+muchLater
}
