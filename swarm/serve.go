package swarm

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"tailcast/feed/merkle"
	"tailcast/quicwire"
)

// Any node serves what it holds to any node that knows the link. Here is the serving half of a Mesh.

// A child is a peer to which a stripe is pushed.
type child struct {
	peer     *peer
	home     bool // it passes the stripe on
	lot      bool // it keeps its place whatever others have done for us: half of the places go by lot
	next     uint64
	skip     uint64 // blocks below it are not pushed any more
	catching int    // blocks in the queue with which it catches up
	patience time.Duration
	until    uint64    // it has been moved: nothing from there on; 0: it has not
	redraw   time.Time // the source's: when its place goes by lot again
	began    time.Time
	strikes  int // the source's: verdicts against its stripe, less those for it
}

// Bounds of serving.
const (
	maxAhead    = 1024 // blocks after the edge that can be subscribed from: some seconds
	leastWait   = 500 * time.Millisecond
	mostWait    = 10 * time.Second // more patience than this is for DVR, by ranges
	rewindEvery = 2 * time.Second  // SUBs sooner than this after another do not get the same blocks again
	catalogFan  = 16               // children in a catalog; the source has fewer
	sourceFan   = 4
	leastFan    = 6 // children in a home stripe: fewer make the trees deep
	mostFan     = 24
	mostAnswer  = 16              // blocks of a Req that are answered
	leastShare  = 0.1             // of the stream: what one peer may have by Reqs
	shareBurst  = 2 * time.Second // of the stream, at once
	floodRate   = 512             // blocks a second that a peer may ask for: ours asks for reqRate*mostReq, 384, at most
	floodBurst  = 4096            // at once
	newcomer    = 10 * time.Second
)

// heardSub takes a subscription on, or refuses it.
func (m *Mesh) heardSub(p *peer, x *quicwire.Sub) {
	f := m.follow(x.Log)
	if why, retry := m.refusal(p, f, x); why != 0 {
		m.refuse(p, x, why, retry)
		return
	}
	if c := f.childOf(x.Stripe, p); c != nil && c.until == 0 {
		m.begin(f, c, x)
		return
	} else if c != nil {
		m.remove(f, x.Stripe, c, false) // it has been moved, and applies again
	}
	switch {
	case f.stripes[x.Stripe].expects(p):
		m.welcome(f, p, x)
	case m.publisher() && !f.catalog():
		m.apply(f, p, x)
	case m.room(f, p, x):
		m.accept(f, p, x)
	default:
		m.refuse(p, x, quicwire.RefusedBusy, time.Second)
	}
}

func (m *Mesh) refuse(p *peer, x *quicwire.Sub, why quicwire.Refusal, retry time.Duration) {
	no := &quicwire.SubNo{Log: x.Log, Stripe: x.Stripe, Reason: why, Retry: retry}
	if f := m.follow(x.Log); f != nil && why == quicwire.RefusedBusy {
		no.Referrals = m.turnTo(f, x.Stripe, p)
	}
	m.send(p, no)
}

// turnTo names others to one that is refused. To a newcomer a source does so now and then only, and names more: who asks it for
// sixteen stripes needs no sixteen lists, which a source has no uplink for.
func (m *Mesh) turnTo(f *follow, i uint8, p *peer) []quicwire.Referral {
	if !m.publisher() || m.now.Sub(p.since) > newcomer {
		return m.referrals(f, i, p, mostReferred) // it has lost what it had, and looks for others
	}
	if m.now.Sub(p.referred) < referEvery {
		return nil
	}
	p.referred = m.now
	return m.referrals(f, i, p, sourceReferred)
}

// refusal returns why a subscription is refused whether there is room or not, and when to ask again; 0 if it is not.
func (m *Mesh) refusal(p *peer, f *follow, x *quicwire.Sub) (quicwire.Refusal, time.Duration) {
	held, known := m.cfg.Shelf.Look(x.Log)
	switch {
	case m.cfg.NoShare:
		return quicwire.RefusedUnwilling, shunTime
	case m.going:
		return quicwire.RefusedBusy, shunTime
	case !known:
		return quicwire.RefusedLog, time.Second
	case f == nil || held.Stripes == 0:
		return quicwire.RefusedNotHeld, time.Second
	case held.Stripes != int(x.Stripes):
		return quicwire.RefusedStripes, shunTime
	case f.joined.IsZero() && !f.run.ours && !f.stripes[x.Stripe].expects(p):
		return quicwire.RefusedNotHeld, time.Second
	case x.Start == quicwire.StartIndex && (x.From > f.edge+maxAhead || x.From > merkle.MaxSize-quicwire.MaxStripes):
		return quicwire.RefusedNotHeld, time.Second
	}
	return m.pathRefusal(p, f, x.Stripe)
}

// pathRefusal refuses who is on the way to us, or would be too far.
func (m *Mesh) pathRefusal(p *peer, f *follow, i uint8) (quicwire.Refusal, time.Duration) {
	s := &f.stripes[i]
	path := m.path(f, i)
	switch {
	case p.role == quicwire.Streamer:
		return 0, 0 // it passes nothing on; and two with one copied data directory have one node key, and must see each other's catalog
	case slices.Contains(path, p.short) || s.parent == p || s.pending == p || s.old == p:
		return quicwire.RefusedLoop, 2 * time.Second
	case len(path) >= quicwire.MaxPath:
		return quicwire.RefusedDeep, 5 * time.Second
	}
	return 0, 0
}

// room reports whether p gets a place in a stripe. If none is free, one who has done less for us may have to go.
func (m *Mesh) room(f *follow, p *peer, x *quicwire.Sub) bool {
	s := &f.stripes[x.Stripe]
	n := s.count()
	if f.catalog() {
		fan := catalogFan
		switch {
		case m.publisher() && !x.Urgent:
			fan = sourceFan
		case x.Urgent && !m.publisher():
			fan = 2 * catalogFan
		}
		return n < fan && !m.crowded(p) || x.Home && m.replaceLeaf(f, x.Stripe, p)
	}
	if s.parent == nil && (!x.Urgent || f.flows(m.now)) || m.crowded(p) {
		return false // what we do not have ourselves we cannot give; but if nothing flows at all, the past is better than nothing
	}
	if m.used() < m.slots() && (n < m.fan(f) || x.Urgent) {
		return true
	}
	return m.preempt(f, x.Stripe, p, x.Home) || n == 0 && x.Urgent && (s.home || x.Home) && m.clear(f, x.Stripe, p)
}

// clear moves a child of a stripe that is no home, for a stripe that hangs on nobody here: we may be the root of it, and all others wait for us. Who
// asks may only say that others hang on it, so that it gets this once in a while.
func (m *Mesh) clear(f *follow, i uint8, p *peer) bool {
	if _, flows := m.lagOf(f, i); !flows || m.now.Sub(p.cleared) < clearEvery {
		return false
	}
	of, victim := m.weakest(f, p)
	if victim == nil {
		return false
	}
	p.cleared = m.now
	m.move(f, of, victim, quicwire.Shed, nil)
	return true
}

// clearEvery is how often one peer may have another's place in another stripe.
const clearEvery = 10 * time.Second

// weakest returns the child of the lowest rank in stripes that are no home, but for p's and those of whom a stripe may hang on us in turn.
func (m *Mesh) weakest(f *follow, p *peer) (of uint8, victim *child) {
	least := math.Inf(1)
	for i := range f.stripes {
		s := &f.stripes[i]
		for _, c := range s.children {
			if s.home || c.until > 0 || c.peer == p || c.home && (c.lot || s.count() == 1) {
				continue
			}
			if r := m.rank(c.peer, c.home); r < least {
				of, victim, least = uint8(i), c, r
			}
		}
	}
	return of, victim
}

// replaceLeaf moves a child that does not pass a stripe on for one that does: those who share nothing must not have it to themselves.
func (m *Mesh) replaceLeaf(f *follow, i uint8, p *peer) bool {
	leaf := m.leafOf(&f.stripes[i])
	if leaf == nil {
		return false
	}
	m.move(f, i, leaf, quicwire.Preempted, p)
	return true
}

// crowded reports whether one subnet has its share of our places already: late, so that many behind one address are no attack.
func (m *Mesh) crowded(p *peer) bool {
	used, slots := m.used(), max(m.slots(), 4)
	if !p.subnet.IsValid() || 4*used < 3*slots {
		return false
	}
	same := 0
	m.eachChild(func(_ *follow, _ uint8, c *child) {
		if c.peer.subnet == p.subnet {
			same++
		}
	})
	return 4*same >= slots
}

// rank orders children: who passes the stripe on comes before who does not, and then by what they have sent us; what they say, and what
// others say of them, does not count. A newcomer has some credit.
func (m *Mesh) rank(p *peer, home bool) float64 {
	if !home {
		return 0
	}
	rate := max(m.streamRate(), 1)
	p.received.update(m.now) // what it did long ago does not count
	rank := 0.5 + min(8*p.received.rate/rate, 2)
	if m.now.Sub(p.since) < newcomer {
		rank = max(rank, 1)
	}
	return rank
}

// preempt moves the weakest child of a stripe, if p is clearly better.
func (m *Mesh) preempt(f *follow, i uint8, p *peer, home bool) bool {
	best := m.rank(p, home) * switchBelow
	var victim *child
	for _, c := range f.stripes[i].children {
		if c.lot && c.home || c.until > 0 {
			continue
		}
		if r := m.rank(c.peer, c.home); r < best {
			victim, best = c, r
		}
	}
	if victim == nil {
		return false
	}
	m.move(f, i, victim, quicwire.Preempted, p)
	return true
}

// move takes a place from a child: one more block comes, so that it has time to find another parent; but none from a source, which has
// little to spare. to is who took the place; nil: nobody.
func (m *Mesh) move(f *follow, i uint8, c *child, why quicwire.Refusal, to *peer) {
	n := uint64(len(f.stripes))
	c.until = max(f.align(f.edge, i), c.next)
	if !m.publisher() {
		c.until += n
	}
	x := &quicwire.Moved{Log: f.log, Stripe: i, Reason: why, Until: c.until - min(n, c.until), Retry: 2 * time.Second}
	if to != nil && to.at.IsValid() {
		x.Referrals = append(x.Referrals, quicwire.Referral{Node: to.key, Addr: to.at})
	}
	x.Referrals = append(x.Referrals, m.referrals(f, i, c.peer, mostReferred)...)
	x.Referrals = x.Referrals[:min(len(x.Referrals), 3)]
	m.send(c.peer, x)
	if f.align(c.next, i) >= c.until {
		m.remove(f, i, c, false)
	}
}

// accept gives p a place.
func (m *Mesh) accept(f *follow, p *peer, x *quicwire.Sub) {
	if p.served.IsZero() {
		p.served = m.now
	}
	c := &child{peer: p, home: x.Home, lot: m.chance(2), began: m.now}
	s := &f.stripes[x.Stripe]
	s.children = append(s.children, c)
	m.begin(f, c, x)
}

// begin begins to push a stripe where the child wants it, and says SUBOK.
func (m *Mesh) begin(f *follow, c *child, x *quicwire.Sub) {
	c.patience = min(max(x.Patience, leastWait), mostWait)
	c.home, c.until, c.skip, c.catching = x.Home, 0, 0, 0
	next := m.start(f, x, c.patience)
	mark := c.peer.claimFor(f.log).mark(f, x.Stripe)
	if m.now.Sub(mark.at) < rewindEvery {
		next = max(next, mark.next)
	} else {
		mark.at = m.now
	}
	m.do(Stop{c.peer.id, f.log, x.Stripe})
	c.next = next
	lag, _ := m.lagOf(f, x.Stripe)
	m.send(c.peer, &quicwire.SubOK{Log: f.log, Stripe: x.Stripe, First: next, Lag: lag, Path: m.path(f, x.Stripe)})
	for i := next; i < f.edge; i += uint64(len(f.stripes)) {
		if f.here.has(i) {
			c.catching++
			m.up.add(item{peer: c.peer, f: f, index: i, class: hurried, caught: true})
		}
	}
}

// A mark says how far a stripe was pushed to a peer, and when it last chose where to begin.
type mark struct {
	next uint64
	at   time.Time
}

func (c *claim) mark(f *follow, i uint8) *mark {
	if len(c.marks) != len(f.stripes) {
		c.marks = make([]mark, len(f.stripes))
	}
	return &c.marks[i]
}

// start returns the first block of a subscription.
func (m *Mesh) start(f *follow, x *quicwire.Sub, patience time.Duration) uint64 {
	switch {
	case x.Start == quicwire.StartNext, m.publisher() && !f.catalog() && m.up.backlog() > busyBacklog && m.shared(&f.stripes[x.Stripe]):
		return f.align(f.edge, x.Stripe) // a busy source leaves it to its other children to pass on what was
	case x.Start == quicwire.StartIndex && (x.From >= f.segment || f.recent(x.From, patience)):
		return f.align(x.From, x.Stripe)
	}
	return f.align(f.segment, x.Stripe)
}

// recent reports whether block i was signed at most so long before the newest one.
func (f *follow) recent(i uint64, within time.Duration) bool {
	return i < f.edge && f.edge-i <= maxHoles && f.clock.at.Sub(f.clock.of(i)) <= within
}

// caughtUp takes in that a block with which a child catches up has left the queue.
func (m *Mesh) caughtUp(it *item) {
	if c := it.f.childOf(it.f.stripeOf(it.index), it.peer); c != nil && c.catching > 0 {
		c.catching--
	}
}

// spread queues a block for the children of its stripe, but for who sent it.
func (m *Mesh) spread(f *follow, i uint64, from *peer) {
	s := &f.stripes[f.stripeOf(i)]
	for _, c := range s.children {
		if c.peer == from || i < c.next || c.until > 0 && i >= c.until {
			continue
		}
		it := item{peer: c.peer, f: f, index: i, class: leaf}
		switch {
		case c.catching > 0:
			it.class, it.caught = hurried, true
			c.catching++
		case c.home || f.catalog():
			it.class = interior
		}
		m.up.add(it)
	}
	if f.run.ours {
		m.signed(f, i)
	}
}

// pushedTo notes how far a child is, and lets it go if that was the last block for it.
func (m *Mesh) pushedTo(f *follow, i uint8, p *peer, index uint64) {
	c := f.childOf(i, p)
	c.next = index + 1
	p.claimFor(f.log).mark(f, i).next = index + 1
	if c.until > 0 && f.align(c.next, i) >= c.until {
		m.remove(f, i, c, false)
	}
}

// childOf returns the child that p is in a stripe; nil if it is none.
func (f *follow) childOf(i uint8, p *peer) *child {
	for _, c := range f.stripes[i].children {
		if c.peer == p {
			return c
		}
	}
	return nil
}

// count returns the children of a stripe that stay.
func (s *stripe) count() (n int) {
	for _, c := range s.children {
		if c.until == 0 {
			n++
		}
	}
	return n
}

// remove takes a child out of a stripe. With stop, what it has not been sent yet is dropped.
func (m *Mesh) remove(f *follow, i uint8, c *child, stop bool) {
	s := &f.stripes[i]
	s.children = slices.DeleteFunc(s.children, func(d *child) bool { return d == c })
	if stop {
		m.do(Stop{c.peer.id, f.log, i})
	}
	still := false
	m.eachChild(func(_ *follow, _ uint8, d *child) { still = still || d.peer == c.peer })
	if !still {
		c.peer.served = time.Time{}
	}
}

// eachChild calls f for all children in renditions and catalogs.
func (m *Mesh) eachChild(f func(*follow, uint8, *child)) {
	for _, r := range m.runs() {
		if r == nil {
			continue
		}
		for _, log := range r.logs {
			for i := range log.stripes {
				for _, c := range log.stripes[i].children {
					f(log, uint8(i), c)
				}
			}
		}
	}
}

// dismiss takes all children out of a log that is not pushed any more.
func (m *Mesh) dismiss(f *follow) {
	for i := range f.stripes {
		for _, c := range slices.Clone(f.stripes[i].children) {
			m.remove(f, uint8(i), c, false)
		}
	}
}

// shedOne moves the weakest child of all.
func (m *Mesh) shedOne() bool {
	var victim *child
	var of *follow
	var at uint8
	var least float64
	m.eachChild(func(f *follow, i uint8, c *child) {
		if f.catalog() || c.until > 0 {
			return
		}
		r := m.rank(c.peer, c.home) - 0.001*float64(len(f.stripes[i].children))
		if victim == nil || r < least {
			victim, of, at, least = c, f, i, r
		}
	})
	if victim == nil {
		return false
	}
	m.move(of, at, victim, quicwire.Shed, nil)
	return true
}

// referrals names peers that say that the stripe flows there and that they have room, those with much of it before others.
func (m *Mesh) referrals(f *follow, i uint8, but *peer, most int) (list []quicwire.Referral) {
	best := make([]*peer, 0, most)
	for _, p := range m.peers {
		if p == but || !p.shares() || p.mute || p.slots == 0 || !p.at.IsValid() || p.role == quicwire.Streamer || !p.flowsAt(f, i) {
			continue
		}
		if len(best) < most {
			best = append(best, p)
			continue
		}
		if k := m.rand.IntN(len(best)); best[k].slots < p.slots {
			best[k] = p
		}
	}
	for _, p := range best {
		list = append(list, quicwire.Referral{Node: p.key, Addr: p.at})
	}
	return list
}

// mostReferred is how many nodes one message refers to; a source refers to sourceReferred, each referEvery.
const (
	mostReferred   = 3
	sourceReferred = 5
	referEvery     = 500 * time.Millisecond
)

// flowsAt reports whether p says that a stripe flows there.
func (p *peer) flowsAt(f *follow, i uint8) bool {
	c := p.claimOf(f.log)
	return c != nil && len(c.lags) == len(f.stripes) && c.flows(i) // the stripe may be one that a stranger made up
}

// subnetOf returns the part of an address that one owner tends to hold; an invalid one for this machine.
func subnetOf(addr string) netip.Prefix {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || a.Addr().IsLoopback() {
		return netip.Prefix{}
	}
	return subnet(a)
}

// path returns the way of a stripe from the source to this node.
func (m *Mesh) path(f *follow, i uint8) []quicwire.ShortID {
	path := f.stripes[i].path
	full := make([]quicwire.ShortID, 0, len(path)+1)
	return append(append(full, path...), m.cfg.Self)
}

// reroute tells those to whom a stripe goes on that its way has changed.
func (m *Mesh) reroute(f *follow, i uint8) {
	s := &f.stripes[i]
	if len(s.children) == 0 {
		return
	}
	path := m.path(f, i)
	for _, c := range slices.Clone(s.children) {
		m.send(c.peer, &quicwire.Path{Log: f.log, Stripe: i, Path: path})
	}
}

func (m *Mesh) heardUnsub(p *peer, x *quicwire.Unsub) {
	f := m.follow(x.Log)
	if f == nil || int(x.Stripe) >= len(f.stripes) {
		return
	}
	m.withdraw(f, x.Stripe, p)
	if c := f.childOf(x.Stripe, p); c != nil {
		m.remove(f, x.Stripe, c, true)
	}
}

// heardReq queues what is held of what p lacks, and names the rest.
func (m *Mesh) heardReq(p *peer, x *quicwire.Req) {
	_, known := m.cfg.Shelf.Look(x.Log)
	f := m.follow(x.Log)
	if !p.asks.take(m.now, float64(len(x.Blocks))) { // docs/wire.md has the limit
		m.ban(p, quicwire.CodeFlood, "asks for far more blocks than anybody can lack")
		return
	}
	late := m.up.backlog()
	switch {
	case m.cfg.NoShare:
		m.nack(p, x, f, quicwire.RefusedUnwilling, x.Blocks)
	case !known || f == nil:
		m.nack(p, x, f, quicwire.RefusedLog, x.Blocks)
	case late > busyBacklog && !x.Orphan || late > fullBacklog || m.publisher() && !m.afford(f, len(x.Blocks)):
		m.nack(p, x, f, quicwire.RefusedBusy, x.Blocks)
	default:
		m.give(p, f, x)
	}
}

// give queues the blocks of a Req that are held.
func (m *Mesh) give(p *peer, f *follow, x *quicwire.Req) {
	var held, rest []uint64
	for _, i := range x.Blocks {
		if f.here.has(i) && len(held) < mostAnswer {
			held = append(held, i)
		} else {
			rest = append(rest, i)
		}
	}
	if len(rest) > 0 {
		m.nack(p, x, f, quicwire.RefusedNotHeld, rest)
	}
	if len(held) == 0 {
		return
	}
	if !m.spares(p, f, len(held)) {
		m.nack(p, x, f, quicwire.RefusedBusy, held)
		return
	}
	g := &giving{id: x.ID, orphan: x.Orphan, blocks: held}
	if x.Deadline > 0 {
		g.deadline = m.now.Add(x.Deadline)
	}
	k := repairs
	if x.Orphan || x.Starting {
		k = hurried
	}
	m.up.add(item{peer: p, f: f, index: held[0], class: k, given: g})
}

// spares reports whether p may have n blocks more by Reqs: its share of one stream among our peers, at least a tenth of it. Who asks everybody
// for everything would else take all uplinks from those who are served.
func (m *Mesh) spares(p *peer, f *follow, n int) bool {
	rate, first := m.wireRate(), mostAsked
	if m.publisher() {
		first = mostReq // it is asked last
	}
	b := &p.share
	b.rate, b.burst = rate*max(leastShare, 1/float64(len(m.peers))), max(rate*shareBurst.Seconds(), float64(f.wire(first)))
	if b.at.IsZero() {
		b.level = float64(f.wire(first))
	}
	return b.take(m.now, float64(f.wire(n)))
}

func (m *Mesh) nack(p *peer, x *quicwire.Req, f *follow, why quicwire.Refusal, blocks []uint64) {
	no := &quicwire.Nack{ID: x.ID, Log: x.Log, Reason: why, Backlog: m.up.backlog(), Blocks: blocks}
	if f != nil {
		no.Size = f.edge
	}
	m.send(p, no)
}
