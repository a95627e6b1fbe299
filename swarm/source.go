package swarm

import (
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Here a source defends its few places. Two nodes that take both places of a stripe and pass nothing on would else keep the stripe from
// everybody. So places go by lot and for a short time, no subnet gets many, and nodes that the source draws, the spotters, are asked whether
// blocks arrive. All that it sends comes out of one budget.

// How the source defends itself. docs/swarm.md gives the reasons.
const (
	redrawFrom   = 60 * time.Second // a place goes by lot again after redrawFrom to redrawTo
	redrawTo     = 180 * time.Second
	maxWaiting   = 32 // applicants for one stripe; a random one goes if there are more
	checkEvery   = 250 * time.Millisecond
	checkedRate  = 250_000                // bytes per second of a stream that is worth so many
	rarestCheck  = time.Second            // of a thinner one
	checkAfter   = 600 * time.Millisecond // or twice the usual lag of spotters
	checkWait    = 250 * time.Millisecond // for PONGs, or two round trips
	maxSpotters  = 12
	spotsAfter   = 5 * time.Second // who has just come lacks blocks for reasons of its own
	leastAnswers = 4               // of spotters, to judge by
	maxStrikes   = 3
	settling     = time.Second             // a place is not judged by blocks that were signed sooner after it was given
	budgetOver   = 0.25                    // of the stream, beyond the copies
	budgetBurst  = 40                      // blocks
	refill       = 1500 * time.Millisecond // of a stripe that was lost with all its children
)

// A source is what a streamer's Mesh keeps besides.
type source struct {
	budget bucket // of bytes: what may be sent
	checks []check
	next   time.Time                    // of a check
	lost   time.Time                    // when spotters last reported loss
	out    map[feed.PublicKey]time.Time // no place until then
}

// A check looks whether one block has spread.
type check struct {
	f     *follow
	index uint64
	at    time.Time // when it was signed
	due   time.Time // to ask
	ids   []uint64  // of the Pings; nil: not yet asked
	until time.Time // for answers
	has   int
	lacks int
}

// A waiter has applied for a place in a stripe.
type waiter struct {
	peer  *peer
	sub   quicwire.Sub
	since time.Time
}

// apply gives a place, or puts p on the list from which lots are drawn. SUBOK may then come much later. Who has no parent at all is
// refused, so that it asks others.
func (m *Mesh) apply(f *follow, p *peer, x *quicwire.Sub) {
	s := &f.stripes[x.Stripe]
	switch {
	case m.now.Before(m.source.out[p.key]):
		m.refuse(p, x, quicwire.RefusedBusy, shunTime)
	case m.pinned(p) && !m.hasPinned(s):
		if s.count() >= m.cfg.Copies {
			m.makeRoom(f, x.Stripe, p)
		}
		m.place(f, p, x)
	case s.count() < m.places(s) && !m.holdsMany(p):
		m.place(f, p, x)
	case x.Home && !m.holdsMany(p) && m.replaceLeaf(f, x.Stripe, p):
		m.place(f, p, x)
	case x.Urgent || !x.Home:
		m.refuse(p, x, quicwire.RefusedBusy, time.Second)
		m.withdraw(f, x.Stripe, p)
	default:
		m.wait(s, p, x)
	}
}

// place gives p a place until the next lot.
func (m *Mesh) place(f *follow, p *peer, x *quicwire.Sub) {
	m.withdraw(f, x.Stripe, p)
	m.accept(f, p, x)
	s := &f.stripes[x.Stripe]
	s.children[len(s.children)-1].redraw = m.now.Add(m.between(redrawFrom, redrawTo))
}

// wait puts p on the list.
func (m *Mesh) wait(s *stripe, p *peer, x *quicwire.Sub) {
	s.waiting = slices.DeleteFunc(s.waiting, func(w waiter) bool { return w.peer == p })
	if len(s.waiting) >= maxWaiting {
		k := m.rand.IntN(len(s.waiting))
		s.waiting = slices.Delete(s.waiting, k, k+1)
	}
	s.waiting = append(s.waiting, waiter{p, *x, m.now})
}

// withdraw takes p off the list of a stripe.
func (m *Mesh) withdraw(f *follow, i uint8, p *peer) {
	s := &f.stripes[i]
	s.waiting = slices.DeleteFunc(s.waiting, func(w waiter) bool { return w.peer == p })
}

// forgetWaiter takes p off all lists.
func (m *Mesh) forgetWaiter(p *peer) {
	if m.own == nil {
		return
	}
	for _, f := range m.own.logs {
		for i := range f.stripes {
			m.withdraw(f, uint8(i), p)
		}
	}
}

// places returns how many places of a stripe are for anybody: one is for the operator's relays, if one is there and another place is left
// or it is no child yet.
func (m *Mesh) places(s *stripe) int {
	n := m.cfg.Copies
	if m.hasPinned(s) {
		return n
	}
	if slices.ContainsFunc(m.peers, m.pinned) {
		return n - 1
	}
	return n
}

func (m *Mesh) pinned(p *peer) bool {
	if p.contact != nil && p.contact.origin == FromPin && p.dialled {
		return true
	}
	return slices.ContainsFunc(m.cfg.Pinned, func(a feed.Anchor) bool { return a.Node != nil && *a.Node == p.key })
}

func (m *Mesh) hasPinned(s *stripe) bool {
	return slices.ContainsFunc(s.children, func(c *child) bool { return c.until == 0 && m.pinned(c.peer) })
}

// leafOf returns a child that does not pass the stripe on; nil if all do.
func (m *Mesh) leafOf(s *stripe) *child {
	for _, c := range s.children {
		if !c.home && c.until == 0 && !m.pinned(c.peer) {
			return c
		}
	}
	return nil
}

// makeRoom moves one child that is not pinned.
func (m *Mesh) makeRoom(f *follow, i uint8, to *peer) {
	for _, c := range slices.Clone(f.stripes[i].children) {
		if c.until == 0 && !m.pinned(c.peer) {
			m.move(f, i, c, quicwire.Preempted, to)
			return
		}
	}
}

// holdsMany reports whether one subnet has a quarter of all places. In a small swarm nobody else may be there.
func (m *Mesh) holdsMany(p *peer) bool {
	if !p.subnet.IsValid() || len(m.peers) < 8 {
		return false
	}
	same, all := 0, 0
	m.eachChild(func(f *follow, _ uint8, c *child) {
		if f.catalog() || c.until > 0 {
			return
		}
		all++
		if c.peer.subnet == p.subnet {
			same++
		}
	})
	return 4*same >= m.slots()
}

// defend draws lots, and looks whether blocks spread.
func (m *Mesh) defend() {
	m.moveHomes()
	if m.own == nil || m.going {
		return
	}
	for _, f := range m.own.logs {
		if f.catalog() {
			continue
		}
		for i := range f.stripes {
			m.draw(f, uint8(i))
		}
	}
	kept := m.source.checks[:0]
	for k := range m.source.checks {
		if c := &m.source.checks[k]; !m.checked(c) {
			kept = append(kept, *c)
		}
	}
	m.source.checks = kept
}

// draw lets places of a stripe that are free, or due, go by lot.
func (m *Mesh) draw(f *follow, i uint8) {
	s := &f.stripes[i]
	s.waiting = slices.DeleteFunc(s.waiting, func(w waiter) bool { return m.now.Sub(w.since) > drawFor || m.now.Before(m.source.out[w.peer.key]) })
	for _, c := range slices.Clone(s.children) {
		if c.until == 0 && !c.redraw.IsZero() && m.now.After(c.redraw) && !m.pinned(c.peer) {
			c.redraw = m.now.Add(m.between(redrawFrom, redrawTo))
			if w := m.lot(s); w != nil {
				m.move(f, i, c, quicwire.Redrawn, w.peer)
			}
		}
	}
	for s.count() < m.places(s) {
		w := m.lot(s)
		if w == nil {
			return
		}
		m.beginning(f, s, &w.sub)
		m.place(f, w.peer, &w.sub)
	}
}

// beginning lets a stripe begin with the next block for who has had a parent all the while. But if all who had a place have gone, or one was
// dead, the last blocks have perhaps reached nobody: the others may be dead, too.
func (m *Mesh) beginning(f *follow, s *stripe, x *quicwire.Sub) {
	x.Start = quicwire.StartNext
	if (len(s.children) == 0 || m.now.Sub(s.bereft) < refill) && f.clock.gap > 0 {
		x.Start, x.From = quicwire.StartIndex, f.edge-min(f.edge, uint64(refill/f.clock.gap))
	}
}

// shared reports whether there is another child than the newest, as far as is known.
func (m *Mesh) shared(s *stripe) bool { return s.count() > 1 && m.now.Sub(s.bereft) >= refill }

// lot draws an applicant that has answered what it was asked last; nil if there is none now.
func (m *Mesh) lot(s *stripe) *waiter {
	if len(s.waiting) == 0 {
		return nil
	}
	at := m.rand.IntN(len(s.waiting))
	for k := range s.waiting {
		w := s.waiting[(at+k)%len(s.waiting)]
		if !m.holdsMany(w.peer) && w.peer.pinged.IsZero() {
			return &w
		}
	}
	return nil
}

// signed has a look, later, whether a block that we have signed arrives: some of each stripe, and all of those that did not spread lately, which
// come on top, or a stripe that is looked at all the time would keep the next ones from being looked at at all.
func (m *Mesh) signed(f *follow, i uint64) {
	due := !m.now.Before(m.source.next)
	if f.catalog() || !due && !f.stripes[f.stripeOf(i)].suspect {
		return
	}
	if every := m.checkEvery(); due {
		m.source.next = m.now.Add(m.between(every/2, 3*every/2)) // by chance: at an even pace it may be the same stripe each time
	}
	m.source.checks = append(m.source.checks, check{f: f, index: i, at: m.now, due: m.now.Add(max(checkAfter, 2*m.medianLag(f, f.stripeOf(i))))})
}

// checkEvery returns how often a block is looked after: more rarely if that took too much of a thin stream.
func (m *Mesh) checkEvery() time.Duration {
	rate := max(m.streamRate(), 1)
	return min(max(checkEvery, time.Duration(checkedRate/rate*float64(checkEvery))), rarestCheck)
}

// medianLag returns the usual lag of a stripe at our neighbours, as they say.
func (m *Mesh) medianLag(f *follow, i uint8) time.Duration {
	var lags []time.Duration
	for _, p := range m.peers {
		if c := p.claimOf(f.log); c != nil && len(c.lags) == len(f.stripes) && c.lags[i] != quicwire.NoLag {
			lags = append(lags, c.lags[i])
		}
	}
	if len(lags) == 0 {
		return 0
	}
	slices.Sort(lags)
	return min(lags[len(lags)/2], 2*time.Second)
}

// checked moves a check on. It returns true when it is over.
func (m *Mesh) checked(c *check) bool {
	switch {
	case m.now.Before(c.due):
		return false
	case c.ids == nil:
		m.askSpotters(c)
		return len(c.ids) < leastAnswers
	case m.now.Before(c.until):
		return false
	}
	m.verdict(c)
	return true
}

// askSpotters asks whether a block has arrived.
func (m *Mesh) askSpotters(c *check) {
	i := c.f.stripeOf(c.index)
	c.until = m.now.Add(checkWait)
	for _, p := range m.drawSpotters(c.f, i) {
		m.ping(p, c.f, i, c.index)
		c.ids = append(c.ids, m.nextReq)
		c.until = maxTime(c.until, m.now.Add(2*p.rtt))
	}
}

// drawSpotters draws some of all that follow the log and are no children in the stripe, whether they came by themselves or were dialled: peers'
// word decides who is dialled, and where most honest nodes have come already liars are what is left. Of one subnet it takes a quarter, unless
// there are no others.
func (m *Mesh) drawSpotters(f *follow, i uint8) []*peer {
	var first, rest []*peer
	drawn := make(map[netip.Prefix]int)
	for _, k := range m.rand.Perm(len(m.peers)) {
		p := m.peers[k]
		switch {
		case !p.shares() || p.mute || m.now.Sub(p.since) < spotsAfter || f.childOf(i, p) != nil || !p.followsLog(f):
		case p.subnet.IsValid() && drawn[p.subnet] == maxSpotters/4:
			rest = append(rest, p)
		default:
			drawn[p.subnet]++
			first = append(first, p)
		}
	}
	first = append(first, rest...)
	return first[:min(len(first), maxSpotters)]
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// spotted takes in what a spotter says.
func (m *Mesh) spotted(_ *peer, x *quicwire.Pong) {
	for k := range m.source.checks {
		c := &m.source.checks[k]
		if slices.Contains(c.ids, x.ID) {
			if x.Has {
				c.has++
			} else {
				c.lacks++
			}
		}
	}
}

// verdict judges the children of a stripe by whether a block of it has spread.
func (m *Mesh) verdict(c *check) {
	i := c.f.stripeOf(c.index)
	s := &c.f.stripes[i]
	if c.has+c.lacks < leastAnswers {
		return
	}
	if c.has >= c.lacks {
		s.suspect = s.acquit()
		return
	}
	s.suspect = true
	m.source.lost = m.now
	if m.hasPinned(s) {
		return // the operator's own relay has it, and others may have it there: it is not for want of a child that it does not spread
	}
	for _, d := range slices.Clone(s.children) {
		if c.at.Sub(d.began) < settling {
			continue // a new tree grows below it: to change it again at once would help nobody
		}
		d.strikes = min(d.strikes+1, maxStrikes)
		if d.strikes == maxStrikes {
			m.expel(d.peer)
		}
	}
}

// acquit takes back one strike from each child of a stripe that has spread. It reports whether any is left: some spotters lie, and where blocks
// are lost one lucky verdict among others proves nothing.
func (s *stripe) acquit() (left bool) {
	for _, c := range s.children {
		c.strikes = max(0, c.strikes-1)
		left = left || c.strikes > 0
	}
	return left
}

// expel takes all its places from a child that has struck out, for a while.
func (m *Mesh) expel(p *peer) {
	if m.source.out == nil {
		m.source.out = make(map[feed.PublicKey]time.Time)
	}
	m.source.out[p.key] = m.now.Add(shunTime)
	for key, until := range m.source.out {
		if m.now.After(until) {
			delete(m.source.out, key)
		}
	}
	for _, f := range m.own.logs {
		for i := range f.stripes {
			if c := f.childOf(uint8(i), p); c != nil && !f.catalog() {
				m.move(f, uint8(i), c, quicwire.Redrawn, nil)
				m.remove(f, uint8(i), c, false)
			}
		}
	}
}

// charge takes what was sent out of the source's budget.
func (m *Mesh) charge(n float64) {
	if !m.publisher() {
		return
	}
	b := &m.source.budget
	b.rate, b.burst = (float64(m.cfg.Copies)+budgetOver)*m.streamRate(), budgetBurst*m.blockSize()
	b.fill(m.now)
	b.level = max(b.level-n, -b.rate)
}

func (m *Mesh) blockSize() float64 {
	for _, f := range m.own.logsOr() {
		if !f.catalog() {
			return float64(f.wire(1))
		}
	}
	return blockGuess
}

func (r *run) logsOr() []*follow {
	if r == nil {
		return nil
	}
	return r.logs
}

// afford reports whether the budget has n blocks more. It is no wider while spotters report loss: what answers REQs then comes before what others
// wait to pass on.
func (m *Mesh) afford(f *follow, n int) bool {
	b := &m.source.budget
	b.fill(m.now)
	need := float64(f.wire(n))
	return b.rate == 0 || b.level >= need
}
