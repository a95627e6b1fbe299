package swarm

import (
	"slices"
	"sort"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
	"tailcast/quicwire"
)

// A run is one epoch: followed, or signed here.
type run struct {
	epoch Epoch
	ours  bool // we sign it
	logs  []*follow
	fault *feed.Fault // why the epoch is not followed any more; nil if it is

	left    []legacy // of the run before
	began   time.Time
	moved   time.Time // when a parent last pushed something new
	hurried time.Time // when we last dialled everybody because nothing came
	behind  time.Time // since when another peer is clearly further; zero if none is
	overdue time.Time // since when something is; zero if nothing is
}

// A follow is one log of a run.
//
//	 not wanted         held, but for the holes                  not here yet
//	────────────┬──────────────────────────────────────────┬──────────────────────▶ index
//	        newest segment when we joined                 edge
type follow struct {
	log     quicwire.LogID
	run     *run
	stripes []stripe
	edge    uint64    // the index after the newest block that is here, or is known to be missing here
	left    uint64    // size that an earlier run left: blocks below it may be on disk
	here    here      // which blocks came lately
	joined  time.Time // when the first block came, also after a silence that was too long; zero: none has
	holes   []hole    // ascending
	ended   bool      // its End record is here
	orphans bool      // some stripe has no parent
	slow    bool      // most stripes are late although they come: our downlink is full

	segment uint64 // first block of the newest segment, as far as known
	clock   clock
	rate    float64 // bytes of payload a second
	size    float64 // bytes of payload a block
	paced   pace

	last   time.Time     // when the last new block came, from whomever
	gap    time.Duration // usual time between two pushed blocks
	pushed time.Time     // when the last one came; at first, when we asked for them
	seen   int           // new blocks, however they came
	jitter time.Duration // of their age
	least  time.Duration // of what Stripe.excess was lately, less leastGain a second
	leastT time.Time
	window float64   // blocks that may be asked for at a time
	asked  time.Time // when Reqs last went out
}

// A stripe is one subscription of ours, and those of others.
type stripe struct {
	parent  *peer // nil: none
	old     *peer // the parent before, which goes on until the new one delivers; nil: none
	pending *peer // asked, has not answered; nil: none
	pended  time.Time
	urged   bool      // it was told that there is no parent
	lost    time.Time // since when there is no parent
	since   time.Time // since when the parent is
	first   uint64    // where the parent began
	next    uint64    // index after the newest block that the parent brought
	arrived time.Time // when the parent last brought one
	asked   time.Time // when the parent was last asked whether it flows
	claimed time.Time // since when it says so, and nothing comes; zero: it does not, or something comes
	lag     time.Duration
	excess  time.Duration      // by how much later than their age says blocks come: differences of clocks, and queues that nobody counts
	path    []quicwire.ShortID // from the source to the parent, both included
	dry     bool               // the next block is overdue
	late    time.Duration      // by how much
	flowed  bool               // it flowed when neighbours were last told
	judged  tally              // how blocks came lately

	home     bool // we pass it on to others as far as our uplink goes
	children []*child
	heir     *peer     // the parent of the epoch before, not yet asked; nil: none
	expected []*peer   // children of the epoch before that have not come yet
	busy     time.Time // when it last had children
	waiting  []waiter  // the source's: who has applied
	suspect  bool      // the source's: the last block that was looked after had not spread
	bereft   time.Time // when a child was last found dead
}

// A clock says when a block was signed, about, by our own clock.
type clock struct {
	index uint64    // of the newest block
	at    time.Time // when it was signed
	gap   time.Duration
	n     int
}

// note takes in that a block was signed at a time.
func (c *clock) note(index uint64, at time.Time) {
	switch {
	case c.n == 0:
		c.gap = gapAtFirst / 8
	case index <= c.index:
		return
	default:
		gap := max(0, at.Sub(c.at)) / time.Duration(index-c.index)
		c.gap += (gap - c.gap) / time.Duration(min(c.n, 32))
	}
	c.n, c.index, c.at = c.n+1, index, at
}

// of returns when block i was signed, or will be.
func (c *clock) of(i uint64) time.Time {
	return c.at.Add(time.Duration(int64(i)-int64(c.index)) * c.gap)
}

// Times between blocks.
const (
	gapAtFirst = 400 * time.Millisecond // as long as nothing is known
	gapTimes   = 4                      // so many usual gaps without a block are too many
	soonestDue = 250 * time.Millisecond
	latestDue  = 1500 * time.Millisecond // a heartbeat comes after 1 s of silence
)

// newFollow follows a log of so many stripes; rate is that of its payload in bytes per second, 0 if it is not known.
func (m *Mesh) newFollow(r *run, name string, stripes int, rate float64) *follow {
	log := quicwire.LogID{Epoch: r.epoch.ID, Name: name}
	held, _ := m.cfg.Shelf.Look(log)
	f := &follow{
		log: log, run: r, stripes: make([]stripe, stripes), left: held.Head.Size, rate: rate, size: blockGuess, gap: gapAtFirst,
		pushed: m.now, window: mostAsked,
	}
	for i := range f.stripes {
		f.stripes[i].lost, f.stripes[i].busy = m.now, m.now
	}
	f.inherit()
	return f
}

// blockGuess is the payload of a block as long as none has come.
const blockGuess = 8 << 10

// catalog reports whether it is the epoch's catalog.
func (f *follow) catalog() bool { return f.log.Name == feed.CatalogLog }

func (f *follow) stripeOf(i uint64) uint8 { return uint8(i % uint64(len(f.stripes))) }

// align returns the first index from i on that is of a stripe.
func (f *follow) align(i uint64, stripe uint8) uint64 {
	n := uint64(len(f.stripes))
	return i + (uint64(stripe)+n-i%n)%n
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
	return f.pushed.Add(min(max(gapTimes*f.gap, soonestDue), latestDue))
}

// flows reports whether the log as a whole does, that is, whether its next block is not overdue.
func (f *follow) flows(now time.Time) bool {
	return f.ended || f.run.ours || !f.joined.IsZero() && !now.After(f.due())
}

// soon returns an index that is signed in a second or so, as far as the clock of the log tells; before there is one, an index not far from
// the newest block.
func (f *follow) soon(now time.Time) uint64 {
	switch {
	case f.joined.IsZero():
		return merkle.MaxSize
	case f.clock.n < 8 || f.clock.gap <= 0:
		return f.here.top + mostAsked
	}
	return f.clock.index + uint64(max(0, now.Sub(f.clock.at))/f.clock.gap) + uint64(time.Second/f.clock.gap) + uint64(len(f.stripes))
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

// learn turns to a higher epoch. The old one is followed on until the new one delivers: a note alone proves no life.
func (m *Mesh) learn(e Epoch) {
	if e.Compare(m.epoch) <= 0 {
		return
	}
	m.epoch, m.learned = e, m.now
	for _, p := range m.peers {
		m.showTo(p)
		m.showFaults(p)
	}
	if m.publisher() && (m.own == nil || e.Compare(m.own.epoch) <= 0) {
		return
	}
	m.retire(m.old)
	m.run, m.old = &run{epoch: e, moved: m.now, began: m.now, left: legacies(m.run)}, m.run
	m.add(m.run, feed.CatalogLog, 1, 0)
	m.readCatalog(m.run)
	if f := m.faultOf(e.ID); f != nil {
		m.run.fault = f
	}
}

// publish takes in that this node signs an epoch.
func (m *Mesh) publish(e Epoch) {
	m.own = &run{epoch: e, ours: true, began: m.now, moved: m.now}
	m.add(m.own, feed.CatalogLog, 1, 0)
	m.readCatalog(m.own)
	if m.superseded != nil && m.superseded.Compare(e) < 0 {
		m.superseded = nil
	}
	m.learn(e)
	if m.run != nil && m.run.epoch.Compare(e) <= 0 {
		m.retire(m.run)
		m.run = nil
	}
}

// retire ends the following of an epoch.
func (m *Mesh) retire(r *run) {
	if r == nil {
		return
	}
	for _, f := range r.logs {
		m.unsubscribe(f, quicwire.UnsubDone)
		m.dismiss(f)
	}
	if m.old == r {
		m.old = nil
	}
}

// condemn ends the following of an epoch whose signer broke a rule. Only a higher one goes on.
func (m *Mesh) condemn(fault *feed.Fault) {
	for _, f := range m.run.logs {
		m.unsubscribe(f, quicwire.UnsubDone)
	}
	m.run.fault = fault
}

// add follows one more log.
func (m *Mesh) add(r *run, name string, stripes int, rate float64) {
	if r.follow(quicwire.LogID{Epoch: r.epoch.ID, Name: name}) == nil {
		r.logs = append(r.logs, m.newFollow(r, name, stripes, rate))
		m.resize()
	}
}

// readCatalog follows what the catalog names and we want. A publisher has seen enough of others with the catalog itself.
func (m *Mesh) readCatalog(r *run) {
	if m.publisher() && !r.ours {
		return
	}
	list := m.cfg.Shelf.Renditions(r.epoch.ID)
	names := Wanted(list, m.cfg.Renditions)
	for _, v := range list {
		if (r.ours || slices.Contains(names, v.Name)) && v.Stripes >= 1 && v.Stripes <= quicwire.MaxStripes {
			m.add(r, v.Name, v.Stripes, float64(v.Bitrate)/8)
		}
	}
}

// block takes in a verified block.
func (m *Mesh) block(e BlockIn) {
	p := m.peer(e.Session)
	m.count(p, e)
	f := m.follow(e.Log)
	if f == nil {
		return
	}
	at := m.now.Add(-e.Age)
	if e.Fresh {
		m.advance(f, p, e, at)
	} else {
		m.duplicate(f, p, e)
	}
	if !e.Repaired && p != nil {
		m.delivered(f, p, e)
	}
	if e.Fresh {
		m.spread(f, e.Index, p)
	}
	if f.catalog() && e.Kind == feed.Event {
		m.readCatalog(f.run)
		m.chosen, m.surplus = m.now, true // the best may be another one
		m.maintain()
	}
}

func (m *Mesh) count(p *peer, e BlockIn) {
	if p == nil {
		return
	}
	p.received.add(m.now, e.Size)
	if !e.Fresh {
		m.blocks.Duplicate++
		return
	}
	m.blocks.Verified++
	p.blocks++
	if p.role != quicwire.Streamer {
		m.blocks.ByOthers++
	}
	if e.Repaired {
		m.blocks.Repaired++
		p.repairs++
	}
}

// advance notes a new block: the edge moves on, or a hole is filled.
func (m *Mesh) advance(f *follow, p *peer, e BlockIn, at time.Time) {
	first := e.Index - min(e.Index, uint64(e.Back))
	if f.joined.IsZero() {
		f.joined, f.edge = m.now, first
		m.do(Abandon{f.log, first})
		m.nextStatus, m.beats = time.Time{}, beatsToSource-1 // others may wait for somebody who has it, a lower source too
	}
	f.segment = max(f.segment, first)
	m.filled(f, p, e)
	f.here.add(e.Index)
	f.clock.note(e.Index, at)
	m.widen(f, e, first)
	f.last = m.now
	f.ended = f.ended || e.Kind == feed.End
	f.seen++
	if s := &f.stripes[f.stripeOf(e.Index)]; e.Repaired && s.parent != nil && s.parent != p && e.Index >= s.first {
		s.judged.count(m.now, false)
	}
	f.measure(e, at)
}

// measure keeps rate and size of blocks: of those that are signed, not of those that come.
func (f *follow) measure(e BlockIn, at time.Time) {
	f.size += (float64(e.Size) - f.size) / float64(min(f.seen, 16)) // the first tells more than the guess: records of a catalog are small
	p := &f.paced
	switch dt := at.Sub(p.at); {
	case p.at.IsZero() || e.Index < p.index:
		*p = pace{e.Index, at}
	case dt >= paceWindow:
		rate := float64(e.Index-p.index) / dt.Seconds() * f.size
		if f.seen < 200 {
			f.rate = rate
		}
		f.rate += (rate - f.rate) * 0.3
		*p = pace{e.Index, at}
	}
}

// A pace is a block and when it was signed: where a measurement of the rate began.
type pace struct {
	index uint64
	at    time.Time
}

// paceWindow is how long the rate of a log is measured at a time.
const paceWindow = 2 * time.Second

// delivered notes what a parent does for us.
func (m *Mesh) delivered(f *follow, p *peer, e BlockIn) {
	s := &f.stripes[f.stripeOf(e.Index)]
	switch p {
	case s.parent:
		m.proved(f, s, p, e)
	case s.old, s.pending:
	default:
		m.stray(f, p, f.stripeOf(e.Index))
	}
	if !e.Fresh {
		return
	}
	if gap := m.now.Sub(f.pushed); gap < latestDue {
		f.gap += (gap - f.gap) / 8
	}
	f.pushed = m.now
	if f.run != m.run {
		return
	}
	f.run.moved, f.run.overdue = m.now, time.Time{}
	if m.old != nil && m.crossed() {
		m.retire(m.old)
	}
	if m.publisher() {
		m.supersede(f)
	}
}

// stray answers a push that nobody wants: an UNSUB may have been crossed, or we have taken its sender for dead.
func (m *Mesh) stray(f *follow, p *peer, i uint8) {
	if c := p.claimFor(f.log); m.now.Sub(c.strayed) >= askAgain {
		c.strayed = m.now
		m.unsub(p, f, i, quicwire.UnsubUnsolicited)
	}
}

// proved takes in a block of the parent of a stripe.
func (m *Mesh) proved(f *follow, s *stripe, p *peer, e BlockIn) {
	s.next, s.dry, s.late, s.arrived = max(s.next, e.Index+1), false, 0, m.now
	s.claimed = time.Time{}
	d := (e.Age - s.lag).Abs()
	if d < time.Second {
		f.jitter += (d - f.jitter) / 50
	}
	if s.lag == 0 {
		s.lag = e.Age
	}
	s.lag += (e.Age - s.lag) * 3 / 10
	p.mute = false
	if p.fails > 0 && m.chance(4) {
		p.fails--
	}
	if s.old != nil { // the new parent delivers: let the old one go
		m.unsub(s.old, f, f.stripeOf(e.Index), quicwire.UnsubDone)
		s.old = nil
	}
	if e.Fresh {
		s.judged.count(m.now, true)
	}
	m.queues(f, s, e)
	m.route(f, f.stripeOf(e.Index), e.Path)
}

// queues notes how long a block has waited in queues that its age does not count: the last of them is that of our own downlink.
func (m *Mesh) queues(f *follow, s *stripe, e BlockIn) {
	x := m.now.Sub(e.Wall) - e.Age
	if f.leastT.IsZero() {
		f.least, f.leastT = x, m.now
	}
	f.least += time.Duration(float64(m.now.Sub(f.leastT)) * leastGain)
	f.least, f.leastT = min(f.least, x), m.now
	s.excess += (x - s.excess) / 2
}

// leastGain lets the least excess grow by so much a second, as clocks drift and ways change.
const leastGain = 0.002

// inTime reports whether the delay of a block tells something about the way it took: it was pushed, and not to catch up after joining.
func (m *Mesh) inTime(e BlockIn, now time.Time) bool {
	f := m.follow(e.Log)
	return e.Session != 0 && e.Fresh && !e.Repaired && f != nil && !f.catalog() && now.Sub(f.joined) > helloWait
}

// supersede notes that a higher epoch than ours is live: its catalog goes on, at a time that we watch.
func (m *Mesh) supersede(f *follow) {
	if f.seen >= 3 && m.now.Sub(f.joined) > time.Second {
		e := m.run.epoch
		m.superseded = &e
	}
}

// find returns where in the holes index i is, or would be.
func (f *follow) find(i uint64) (at int, found bool) {
	at = sort.Search(len(f.holes), func(k int) bool { return f.holes[k].index >= i })
	return at, at < len(f.holes) && f.holes[at].index == i
}
