package swarm

import (
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Here is the asking half of a Mesh: who is the parent of which stripe.
//
//	            SUB              SUBOK                first block
//	no parent ──────▶ pending ────────▶ parent, old ────────────▶ parent
//	    ▲               │ SUBNO, 400 ms      │ MOVED, mute, liar     │
//	    └───────────────┴────────────────────┴───────────────────────┘

// Times of subscriptions. docs/swarm.md gives the reasons.
const (
	helloWait   = 300 * time.Millisecond // for a second HELLO, before the first parent is chosen
	newerFor    = time.Second            // for the first block of a newer epoch, before a newcomer begins with an older one
	pendingFor  = 200 * time.Millisecond // an answer to SUB, or three round trips
	askAgain    = 250 * time.Millisecond // the same peer for the same stripe
	drawFor     = 30 * time.Second       // a source may still answer
	fullFor     = time.Second            // a source without a place is asked for one stripe, of those that it would refuse
	urgentAfter = 300 * time.Millisecond // without a parent
	patience    = 2 * time.Second        // a stream of a segment older than this is of no use; said in SUB
	switchBelow = 0.7                    // of the cost now, for a change of parents that is not needed
	switchGain  = 30 * time.Millisecond  // and by so much
	startFor    = 3 * time.Second        // one who has joined may ask for everything at once
	maxNoes     = 3                      // refusals in a row of one that says it has room, then it is not asked for shunTime
	farBehind   = 3                      // records of the catalog, which gets one every second, by which a peer is behind
)

// subBurst and subRate keep below what quicwire allows; likewise for Reqs.
const (
	subBurst = 48
	subRate  = 24 // a second
	reqBurst = 64
	reqRate  = 48
)

// maintain looks for parents of the stripes that have none. The first choice waits for a second opinion: a fast neighbour that replays
// yesterday must not win because it is fast.
func (m *Mesh) maintain() {
	for _, r := range []*run{m.run, m.old} {
		if r == nil || r.fault != nil || r == m.run && m.joining() || r == m.old && m.tooEarly(r) {
			continue
		}
		for _, f := range r.logs {
			if !f.ended {
				m.attach(f)
			}
		}
	}
}

// joining reports whether a second HELLO may still come, or the first STATUS after one.
func (m *Mesh) joining() bool {
	if m.run.seenAny() || m.old != nil || m.publisher() || m.firstUp.IsZero() || m.now.Sub(m.firstUp) >= helloWait {
		return false
	}
	open, unknown := 0, 0
	for _, c := range m.contacts {
		p := m.peer(c.session)
		switch {
		case c.state == pausing || c.strange():
			continue // it has failed, or nobody asks it; or it is the word of one whom we have heard already
		case p == nil || p.size(m.run) == 0:
			unknown++
		}
		open++
	}
	return open > 1 && unknown > 0 && open-unknown < 2
}

// tooEarly reports whether the new epoch may still deliver, so that one before it of which we have nothing is not begun with.
func (m *Mesh) tooEarly(old *run) bool {
	return m.run != nil && !old.seenAny() && m.now.Sub(m.run.began) < newerFor
}

func (r *run) seenAny() bool {
	return slices.ContainsFunc(r.logs, func(f *follow) bool { return f.seen > 0 })
}

// attach subscribes the stripes of a log that have no parent.
func (m *Mesh) attach(f *follow) {
	f.orphans = false
	for i := range f.stripes {
		s := &f.stripes[i]
		if s.pending != nil && m.now.Sub(s.pended) < max(pendingFor, 3*s.pending.rtt) {
			f.orphans = f.orphans || s.parent == nil
			continue
		}
		if p := s.pending; p != nil && p.role == quicwire.Streamer {
			p.claimFor(f.log).waiting |= 1 << i // its answer may come when it draws lots
		}
		s.pending = nil
		if s.parent == nil {
			f.orphans = true
			if !m.askHeir(f, uint8(i)) {
				m.subscribe(f, uint8(i), m.now.Sub(s.lost) > urgentAfter, 0)
			}
		}
	}
}

// subscribe asks the best candidate for a stripe. With current, the cost of the parent now, only one that is clearly better.
func (m *Mesh) subscribe(f *follow, i uint8, urgent bool, current time.Duration) {
	best, least := m.cheapest(f, i, urgent, m.electorate(f, m.eligible))
	if s := &f.stripes[i]; best == nil && s.parent == nil && m.now.Sub(s.lost) > lastResort {
		best, least = m.cheapest(f, i, urgent, m.electorate(f, m.present))
	}
	if best == nil || current > 0 && least > time.Duration(float64(current)*switchBelow)-switchGain {
		return
	}
	m.sub(best, f, i, urgent)
}

// lastResort is for how long who has let us down is not asked, though nobody else can be, or all others have just refused.
const lastResort = 2 * time.Second

// cheapest returns the best candidate for a stripe, and what it costs; nil if there is none.
func (m *Mesh) cheapest(f *follow, i uint8, urgent bool, e electorate) (best *peer, least time.Duration) {
	for _, p := range e.peers {
		cost, ok := m.candidate(f, i, p, urgent, e)
		if ok && (best == nil || cost < least) {
			best, least = p, cost
		}
	}
	return best, least
}

// An electorate is who can be a parent at all, and how many stripes one of them may have.
type electorate struct {
	peers []*peer
	limit int
}

// electorate returns those that can be a parent and are not clearly behind others. If all of them have let us down, they are better than nobody.
func (m *Mesh) electorate(f *follow, can func(*run, *peer) bool) (e electorate) {
	if !slices.ContainsFunc(m.peers, func(p *peer) bool { return can(f.run, p) }) {
		can = m.present
	}
	var most uint64
	for _, p := range m.peers {
		if can(f.run, p) {
			most = max(most, p.size(f.run))
		}
	}
	for _, p := range m.peers {
		if can(f.run, p) && p.reach(f.run, m.now)+farBehind >= most {
			e.peers = append(e.peers, p)
		}
	}
	e.limit = max(1, len(f.stripes)/4)
	if e.small() {
		e.limit = len(f.stripes) // somebody has to do more
	}
	return e
}

// small reports whether there is little choice.
func (e *electorate) small() bool { return len(e.peers) < smallSwarm }

// smallSwarm is how many peers are a choice.
const smallSwarm = 6

// eligible reports whether p may be a parent in r at all.
func (m *Mesh) eligible(r *run, p *peer) bool { return m.present(r, p) && !m.now.Before(p.refused) }

// present reports whether p is there, in the epoch, and shares.
func (m *Mesh) present(r *run, p *peer) bool {
	return p.epoch.ID == r.epoch.ID && p.shares() && !p.mute && !m.slowToAnswer(p)
}

// slowToAnswer reports whether p should have answered a PING by now: it is asked for nothing before it does.
func (m *Mesh) slowToAnswer(p *peer) bool {
	return !p.pinged.IsZero() && m.now.Sub(p.pinged) > p.rtt+p.rtt/2+answerTime
}

// answerTime is how long a PONG may take besides the round trip.
const answerTime = 20 * time.Millisecond

// candidate returns what it would cost to have a stripe from p: about how late a block would come. False: it is out of the question.
func (m *Mesh) candidate(f *follow, i uint8, p *peer, urgent bool, e electorate) (time.Duration, bool) {
	c, s := p.claimOf(f.log), &f.stripes[i]
	source := p.role == quicwire.Streamer
	switch {
	case c == nil || len(c.lags) != len(f.stripes) || c.lags[i] == quicwire.NoLag && !m.past(f, c, e) || p == s.parent || p == s.old || m.now.Before(c.retry):
		return 0, false
	case !c.subbed[i].IsZero() && m.now.Sub(c.subbed[i]) < askAgain,
		c.waiting>>i&1 == 1 && m.now.Sub(c.subbed[i]) < drawFor && s.parent != nil:
		return 0, false
	case !urgent && !source && !f.catalog() && c.homes>>i&1 == 0 && !e.small():
		return 0, false
	case p.slots == 0 && !source && !f.catalog() && !s.home && !urgent:
		return 0, false
	case source && p.slots == 0 && !f.catalog() && (urgent || !s.home) && (s.parent != nil || m.starting(f) && m.now.Before(c.full)):
		return 0, false // it would refuse, and its word of others is here, or not needed
	}
	n := m.from(f, p)
	limit := e.limit
	if p.role == quicwire.Relay {
		limit = max(limit, len(f.stripes)/2)
	}
	unproven := n >= 1 && p.tried && !p.received.any() && !source && m.now.Sub(f.run.began) > startFor && !e.small()
	if !urgent && (n >= limit || unproven) {
		return 0, false
	}
	cost := float64(m.cost(f, i, p, c)) * (1 + 0.15*m.rand.Float64()) * (1 + 0.05*float64(n)) * float64(1+p.fails)
	if p.slots == 0 && !source {
		cost *= 1.1
	}
	if source && f.catalog() {
		cost += float64(time.Second) // everybody else has it, too
	}
	if urgent && n >= limit {
		cost *= 2
	}
	return time.Duration(cost), true
}

// starting reports whether we have just come: we lack all stripes then, and need not be told sixteen times of others.
func (m *Mesh) starting(f *follow) bool { return f.joined.IsZero() || m.now.Sub(f.joined) < startFor }

// past reports whether a stripe may be had of a peer to which it does not flow any more: by a newcomer who would else see nothing at all, as
// where the source has gone.
func (m *Mesh) past(f *follow, c *claim, e electorate) bool {
	return f.joined.IsZero() && e.small() && c.size > 0 && m.now.Sub(f.run.began) > pastAfter
}

// pastAfter is how long a newcomer looks for somebody to whom the channel flows.
const pastAfter = time.Second

// cost is how late a block of the stripe comes by p: its lag there, the way, and the time on the uplink with others before us.
func (m *Mesh) cost(f *follow, i uint8, p *peer, c *claim) time.Duration {
	return min(c.lags[i], quicwire.MaxLag) + p.owd() + 5*m.serialisation(f, p)/2
}

// serialisation is how long a block takes on the uplink of p, as far as p says how wide that is.
func (m *Mesh) serialisation(f *follow, p *peer) time.Duration {
	up := p.uplink
	if up == 0 {
		up = m.guess()
	}
	return time.Duration(float64(f.wire(1)) / up * float64(time.Second))
}

// from counts the stripes of a log that come from p, or are asked of it.
func (m *Mesh) from(f *follow, p *peer) (n int) {
	for i := range f.stripes {
		if s := &f.stripes[i]; s.parent == p || s.pending == p {
			n++
		}
	}
	return n
}

// sub asks p for a stripe: at first from the newest segment on, later from what we lack on.
func (m *Mesh) sub(p *peer, f *follow, i uint8, urgent bool) {
	if !p.subs.take(m.now, 1) {
		return
	}
	s, c := &f.stripes[i], p.claimFor(f.log)
	urged := s.parent == nil && (urgent || m.now.Sub(f.joined) > startFor)
	if p.role == quicwire.Streamer && (urged || !s.home) {
		c.full = m.now.Add(fullFor)
	}
	s.pending, s.pended, s.urged, c.subbed[i], p.tried = p, m.now, urged, m.now, true
	c.waiting &^= 1 << i
	feeds := s.home || urged && s.count() > 0 && p.role != quicwire.Streamer // who hangs on us is as well off as with a home
	x := &quicwire.Sub{Log: f.log, Stripe: i, Stripes: uint8(len(f.stripes)), Urgent: s.urged, Home: feeds, Patience: patience}
	if !f.joined.IsZero() {
		x.Start, x.From = quicwire.StartIndex, f.lacks(i)
	} else if f.left > 0 {
		x.Start, x.From = quicwire.StartIndex, f.left // an earlier run was there; too long ago, and the parent begins with the newest segment
	}
	m.send(p, x)
}

// lacks returns the first index of a stripe that is not held, of those that somebody may still push.
func (f *follow) lacks(stripe uint8) uint64 {
	first := f.edge
	for k := range f.holes {
		if i := f.holes[k].index; f.stripeOf(i) == stripe {
			first = min(first, i)
			break
		}
	}
	return f.align(first, stripe)
}

// unsub ends one subscription.
func (m *Mesh) unsub(p *peer, f *follow, i uint8, why quicwire.UnsubReason) {
	if !p.gone {
		m.send(p, &quicwire.Unsub{Log: f.log, Stripe: i, Reason: why})
	}
}

// unsubscribe ends the subscriptions of a log.
func (m *Mesh) unsubscribe(f *follow, why quicwire.UnsubReason) {
	for i := range f.stripes {
		s := &f.stripes[i]
		for _, p := range []*peer{s.parent, s.old, s.pending} {
			if p != nil {
				m.unsub(p, f, uint8(i), why)
			}
		}
		s.parent, s.old, s.pending, s.path, s.lost = nil, nil, nil, nil, m.now
	}
}

// lose takes in that a stripe has no parent any more; one that was kept for a switch takes over.
func (m *Mesh) lose(f *follow, i uint8) {
	s := &f.stripes[i]
	s.parent, s.path, s.judged = nil, nil, tally{}
	if s.old != nil {
		s.parent, s.old, s.since = s.old, nil, m.now
		return
	}
	s.lost = m.now
	f.orphans = true
}

// leave gives up p as the parent of a stripe.
func (m *Mesh) leave(f *follow, i uint8, p *peer, why quicwire.UnsubReason) {
	m.unsub(p, f, i, why)
	m.lose(f, i)
}

// cutOff forgets p as parent of anything that has another, and lets others take over what has none: p will go.
func (m *Mesh) cutOff(p *peer) {
	for _, r := range m.runs() {
		if r == nil {
			continue
		}
		for _, f := range r.logs {
			for i := range f.stripes {
				if s := &f.stripes[i]; s.pending == p {
					s.pending = nil
				}
			}
		}
	}
}

// expects reports whether something may still come from p: it is a parent, or was one until a new one delivers.
func (m *Mesh) expects(p *peer) bool {
	for _, r := range m.runs() {
		for _, f := range r.logsOr() {
			if slices.ContainsFunc(f.stripes, func(s stripe) bool { return s.parent == p || s.pending == p || s.old == p }) {
				return true
			}
		}
	}
	return false
}

// serves reports whether p is a parent of ours.
func (m *Mesh) serves(p *peer) bool {
	for _, r := range m.runs() {
		if r == nil {
			continue
		}
		for _, f := range r.logs {
			if m.from(f, p) > 0 {
				return true
			}
		}
	}
	return false
}

// replace looks for others for what comes from p, which goes on until they deliver.
func (m *Mesh) replace(p *peer) {
	for _, r := range []*run{m.run, m.old} {
		if r == nil {
			continue
		}
		for _, f := range r.logs {
			for i := range f.stripes {
				if s := &f.stripes[i]; s.parent == p && s.pending == nil {
					m.subscribe(f, uint8(i), true, 0)
				}
			}
		}
	}
}

// lost forgets p as a parent, and as a child.
func (m *Mesh) lost(r *run, p *peer) {
	if r == nil {
		return
	}
	for _, f := range r.logs {
		for i := range f.stripes {
			s := &f.stripes[i]
			if s.old == p {
				s.old = nil
			}
			if s.pending == p {
				s.pending = nil
			}
			if s.parent == p {
				m.lose(f, uint8(i))
			}
			s.children = slices.DeleteFunc(s.children, func(c *child) bool { return c.peer == p })
		}
		for k := range f.holes {
			if h := &f.holes[k]; h.of == p {
				h.of, h.asked = nil, time.Time{}
			}
		}
	}
	m.forgetWaiter(p)
	p.served = time.Time{}
}

// heardSubOK takes in that a peer serves us: now, or long after we asked, as a source draws by lot.
func (m *Mesh) heardSubOK(p *peer, x *quicwire.SubOK) {
	f := m.follow(x.Log)
	c := p.claimOf(x.Log)
	if f == nil || c == nil || int(x.Stripe) >= len(f.stripes) || f.run.ours {
		return
	}
	s := &f.stripes[x.Stripe]
	wanted := s.pending == p || c.waiting>>x.Stripe&1 == 1
	c.waiting &^= 1 << x.Stripe
	p.noes = 0
	switch {
	case s.parent == p:
		s.pending = nil
		m.route(f, x.Stripe, x.Path)
		return
	case !wanted || f.run == m.run && f.run.fault != nil:
		m.unsub(p, f, x.Stripe, quicwire.UnsubDone)
		return
	case m.loops(x.Path):
		s.pending = nil
		m.unsub(p, f, x.Stripe, quicwire.UnsubLoop)
		return
	}
	m.adopt(f, x.Stripe, p, x)
}

// adopt makes p the parent of a stripe. The one before goes on until p delivers.
func (m *Mesh) adopt(f *follow, i uint8, p *peer, x *quicwire.SubOK) {
	s := &f.stripes[i]
	if s.old != nil && s.old != p {
		m.unsub(s.old, f, i, quicwire.UnsubDone)
	}
	s.old = nil
	if s.parent != nil {
		s.old = s.parent
	}
	if s.pending != nil && s.pending != p {
		m.unsub(s.pending, f, i, quicwire.UnsubDone)
	}
	first := min(x.First, f.soon(m.now)) // who promises only what is far off is overdue all the same
	s.parent, s.pending, s.since, s.first, s.next, s.judged = p, nil, m.now, first, first, tally{}
	s.claimed, s.asked = time.Time{}, time.Time{}
	s.lag = min(x.Lag, latestDue) + p.owd() + m.serialisation(f, p)
	if f.joined.IsZero() {
		f.pushed = m.now
	}
	m.route(f, i, x.Path)
}

// loops reports whether we are on a path, or would make it too long. A streamer passes nothing on; and two with one copied data directory
// have one node key, and must see each other's catalog.
func (m *Mesh) loops(path []quicwire.ShortID) bool {
	return slices.Contains(path, m.cfg.Self) && !m.publisher() || len(path) >= quicwire.MaxPath
}

// heardPath takes in that the way to us has changed.
func (m *Mesh) heardPath(p *peer, x *quicwire.Path) {
	f := m.follow(x.Log)
	if f != nil && int(x.Stripe) < len(f.stripes) && f.stripes[x.Stripe].parent == p {
		m.route(f, x.Stripe, x.Path)
	}
}

// route notes the way on which a stripe comes to us, and tells those that it goes on to. Who finds itself on it leaves.
func (m *Mesh) route(f *follow, i uint8, path []quicwire.ShortID) {
	s := &f.stripes[i]
	if slices.Equal(s.path, path) {
		return
	}
	if m.loops(path) {
		if p := s.parent; p != nil {
			p.claimFor(f.log).subbed[i] = m.now.Add(time.Second)
			m.leave(f, i, p, quicwire.UnsubLoop)
			m.attach(f)
		}
		return
	}
	s.path = slices.Clone(path)
	m.reroute(f, i)
}

// heardSubNo takes in a refusal.
func (m *Mesh) heardSubNo(p *peer, x *quicwire.SubNo) {
	f, c := m.follow(x.Log), p.claimOf(x.Log)
	if f == nil || c == nil || int(x.Stripe) >= len(f.stripes) || f.run.ours {
		return
	}
	c.waiting &^= 1 << x.Stripe
	m.refer(p, x.Referrals)
	s := &f.stripes[x.Stripe]
	m.refusedBy(p, c, x.Stripe, x.Reason, x.Retry, s.pending == p && s.urged)
	if s.pending == p {
		s.pending = nil
		if s.parent == nil {
			m.subscribe(f, x.Stripe, m.now.Sub(s.lost) > urgentAfter, 0)
		}
	}
}

// refusedBy notes whom not to ask, and for how long.
func (m *Mesh) refusedBy(p *peer, c *claim, stripe uint8, why quicwire.Refusal, retry time.Duration, urged bool) {
	retry = min(max(retry, askAgain), shunTime)
	c.subbed[stripe] = m.now.Add(retry - askAgain)
	switch why {
	case quicwire.RefusedLog, quicwire.RefusedNotHeld, quicwire.RefusedStripes:
		c.retry = m.now.Add(retry)
	case quicwire.RefusedUnwilling:
		p.refused, p.refusal = m.now.Add(retry), why
	case quicwire.RefusedBusy:
		p.refusal = why
		if p.slots == 0 || !urged || p.role == quicwire.Streamer {
			return // it may have room in other stripes; a source draws lots
		}
		if p.noes++; p.noes >= maxNoes { // it says it has room, and has none
			p.noes, p.refused, p.fails = 0, m.now.Add(shunTime), p.fails+1
		}
	default:
		p.refusal = why
	}
}

// heardMoved takes in that a parent ends a subscription: what it said is still to come may come.
func (m *Mesh) heardMoved(p *peer, x *quicwire.Moved) {
	f, c := m.follow(x.Log), p.claimOf(x.Log)
	if f == nil || c == nil || int(x.Stripe) >= len(f.stripes) || f.run.ours {
		return
	}
	m.refer(p, x.Referrals)
	c.waiting &^= 1 << x.Stripe
	c.subbed[x.Stripe] = m.now.Add(min(x.Retry, shunTime))
	p.refusal = x.Reason
	s := &f.stripes[x.Stripe]
	if s.old == p {
		s.old = nil
	}
	if s.pending == p {
		s.pending = nil
	}
	if s.parent == p {
		m.lose(f, x.Stripe)
		if s.parent == nil && s.pending == nil && !m.askTaker(f, x) {
			m.subscribe(f, x.Stripe, false, 0)
		}
	}
}

// askTaker asks the node that took our place, if we know it: it is as near to the source as we were, and we are not on its path. It returns
// false if it could not be asked.
func (m *Mesh) askTaker(f *follow, x *quicwire.Moved) bool {
	if len(x.Referrals) == 0 || x.Reason != quicwire.Redrawn && x.Reason != quicwire.Preempted {
		return false
	}
	for _, p := range m.peers {
		if p.key == x.Referrals[0].Node && m.eligible(f.run, p) && p.claimOf(f.log) != nil {
			m.sub(p, f, x.Stripe, true)
			return f.stripes[x.Stripe].pending == p
		}
	}
	return false
}

// optimise looks now and then whether a stripe can come from somebody nearer.
func (m *Mesh) optimise(f *follow) {
	every := 20
	switch {
	case !f.hasHome():
		every = 80
	case m.now.Sub(f.joined) < 10*time.Second:
		every = 5
	}
	if !m.chance(every * int(100*time.Millisecond/TickEvery)) {
		return
	}
	i := uint8(m.rand.IntN(len(f.stripes)))
	for n := 0; f.hasHome() && m.chance(2) && n < len(f.stripes) && !f.stripes[i].home; n++ {
		i = uint8(int(i+1) % len(f.stripes))
	}
	s := &f.stripes[i]
	if s.parent == nil || s.pending != nil || s.old != nil || s.parent.role == quicwire.Streamer {
		return
	}
	if c := s.parent.claimOf(f.log); c != nil && len(c.lags) == len(f.stripes) && c.lags[i] != quicwire.NoLag {
		m.subscribe(f, i, false, max(s.lag, m.cost(f, i, s.parent, c)))
	}
}

func (f *follow) hasHome() bool {
	return slices.ContainsFunc(f.stripes, func(s stripe) bool { return s.home })
}

// size returns how many records of the catalog p has proved to have: how far it is in the epoch.
func (p *peer) size(r *run) uint64 {
	if c := p.claimOf(quicwire.LogID{Epoch: r.epoch.ID, Name: feed.CatalogLog}); c != nil {
		return c.proved
	}
	return 0
}

// reach returns how many records p may have by now: one is added every second, and heads are shown more rarely than that. Who has shown none yet
// may have as many as come in that time: in an epoch's first seconds nobody is behind.
func (p *peer) reach(r *run, now time.Time) uint64 {
	c := p.claimOf(quicwire.LogID{Epoch: r.epoch.ID, Name: feed.CatalogLog})
	if c == nil {
		return 0
	}
	return c.proved + uint64(min(now.Sub(c.showed), rarestHead)/time.Second)
}

// rarestHead is how rarely the head of a catalog is shown: by a node with a thin stream.
const rarestHead = catalogBeats * statusSlow * 11 / 10
