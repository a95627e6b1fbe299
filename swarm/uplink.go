package swarm

import (
	"slices"
	"time"

	"tailcast/quicwire"
)

// Here blocks wait for their turn on the uplink. Whole blocks, one after the other: a node that shares its uplink fairly among eight
// children gives each of them its block after eight times as long, and they have nothing to pass on until then.
//
//	pushes to children who pass on ──┐
//	pushes to the others ────────────┤   one each time
//	repairs, catching up ────────────┼──▶ that the uplink  ──▶ Push ──▶ QUIC ──▶ Pushed
//	orphans' repairs ────────────────┘   is free
//
// The time that a block takes is counted, not observed: QUIC takes in as much as its windows allow, whether the uplink does or not.

// How the uplink is used. docs/swarm.md gives the reasons.
const (
	guessTimes   = 2.0     // the uplink of one who does not know his, in streams
	sourceTimes  = 4.0     // likewise of a source
	guessLeast   = 125_000 // bytes per second: nobody who watches has less
	slotShare    = 0.9     // of the uplink, for children
	burstTime    = 2 * time.Millisecond
	maxInflight  = 4  // Pushes to one peer that QUIC has not taken
	maxStalled   = 64 // blocks that wait for one peer beyond that
	repairShare  = 10 // repairs get one of so many turns while pushes wait
	orphanShare  = 3  // orphans' repairs, and newcomers, one of so many
	leafFirst    = 1200 * time.Millisecond
	busyBacklog  = 150 * time.Millisecond // repairs are refused, but those of orphans
	fullBacklog  = 400 * time.Millisecond // all are
	shedBacklog  = 300 * time.Millisecond
	growBacklog  = 40 * time.Millisecond
	shedEvery    = 500 * time.Millisecond
	growAfter    = 3 * time.Second // since the last shed
	growEvery    = time.Second
	growUnknown  = 1.3
	growMeasured = 1.15
	growPast     = 1.2 // times what was measured: networks change
	burstTrust   = 0.6 // of what the first packets of blocks tell
	burstEvery   = 6   // reports
)

// A class is a queue of the uplink.
type class uint8

const (
	interior class = iota // pushes to those who pass on
	leaf                  // pushes to others
	hurried               // repairs for orphans, and what newcomers catch up with
	repairs
	resumed // what was stalled
	classes
)

// An item is one block, or the blocks of one Req, on its way to a peer.
type item struct {
	peer   *peer
	f      *follow
	index  uint64
	class  class
	given  *giving // nil: a push
	caught bool    // the child is catching up
	bytes  int     // on the wire, about
}

// A giving is a Req that is being answered.
type giving struct {
	id       uint64
	orphan   bool
	deadline time.Time // zero: none
	blocks   []uint64
}

// An uplink is owned by a Mesh.
type uplink struct {
	cap     float64 // bytes per second, of all that is sent; 0: none
	est     float64 // what we believe it carries; 0: not known yet
	meas    float64 // measured while it was busy; 0: not yet
	disp    float64 // as the first packets of blocks tell; 0: not yet
	disps   int
	doubted bool // it turned out to carry more than disp tells
	share   bool // anything is sent at all

	queues [classes]fifo
	queued int       // bytes in them
	free   time.Time // when the next block may go
	turns  int

	sent      uint64  // of the last Traffic
	inflight  int     // bytes that QUIC has not taken
	accounted float64 // bytes that free has in it
	done      int     // bytes that QUIC has taken since the last tick
	busy      int     // ticks in a row with the uplink full
	sum, time float64 // bytes that QUIC has taken meanwhile, and seconds
	ticked    time.Time
	shed      time.Time
	grown     time.Time
	started   bool
}

func (u *uplink) start(cfg *MeshConfig) {
	u.cap, u.est, u.meas = float64(cfg.Up)/8, float64(cfg.Known)/8, float64(cfg.Known)/8/growPast
	u.share = !cfg.NoShare
}

// rate returns how fast blocks may go, in bytes per second; 0: not known.
func (u *uplink) rate() float64 {
	if u.cap > 0 {
		return u.cap
	}
	return u.est
}

// measured returns what is more than a guess of how fast blocks may go, so that the next run can begin with it; 0: nothing is.
func (u *uplink) measured() float64 {
	if u.meas == 0 {
		return 0
	}
	return min(u.est, growPast*u.meas)
}

// backlog returns how long a push waits.
func (u *uplink) backlog() time.Duration {
	if r := u.rate(); r > 0 {
		return time.Duration(float64(u.queued+u.inflight) / r * float64(time.Second))
	}
	return 0
}

// pushBacklog is backlog without what newcomers and repairs wait for: that goes by.
func (m *Mesh) pushBacklog() time.Duration {
	u := &m.up
	r := u.rate()
	if r <= 0 {
		return 0
	}
	var bytes int
	for _, k := range []class{interior, leaf} {
		for i := range u.queues[k].items[u.queues[k].head:] {
			bytes += u.queues[k].items[u.queues[k].head+i].bytes
		}
	}
	return time.Duration(float64(bytes) / r * float64(time.Second))
}

// next returns when the uplink is free for what waits; false if nothing does.
func (u *uplink) next() (time.Time, bool) {
	for k := range u.queues {
		if u.queues[k].len() > 0 {
			return u.free, true
		}
	}
	return time.Time{}, false
}

// wire returns the bytes on the wire of n blocks of a log, about.
func (f *follow) wire(n int) int { return n * int(f.size*1.045+300) }

func (u *uplink) add(it item) {
	it.bytes = it.f.wire(it.blocks())
	u.queues[it.class].push(it)
	u.queued += it.bytes
}

func (it *item) blocks() int {
	if it.given != nil {
		return len(it.given.blocks)
	}
	return 1
}

// forget drops all that waits for a peer.
func (u *uplink) forget(p *peer) {
	for k := range u.queues {
		u.queues[k].remove(func(it *item) bool {
			if it.peer == p {
				u.queued -= it.bytes
			}
			return it.peer == p
		})
	}
	u.inflight -= p.bytes
	p.forgotten = append(p.forgotten, p.pushes...)
	p.inflight, p.bytes, p.stalled, p.pushes = 0, 0, nil, nil
}

// A pushing is a Push that QUIC has not taken.
type pushing struct {
	log   quicwire.LogID
	bytes int
	at    time.Time
}

// take takes out of a list what has been answered, and returns when it was pushed; false if it is not there. Of two that look alike the first
// is meant: they are done in order, but for those that are stopped.
func take(list *[]pushing, e *Pushed) (at time.Time, ok bool) {
	for k, x := range *list {
		if x.log == e.Log && x.bytes == e.Bytes {
			*list = slices.Delete(*list, k, k+1)
			return x.at, true
		}
	}
	return at, false
}

// cancel drops pushes that a peer does not need any more.
func (u *uplink) cancel(p *peer, log quicwire.LogID, blocks []uint64) {
	for k := range u.queues {
		u.queues[k].remove(func(it *item) bool {
			out := it.peer == p && it.given == nil && it.f.log == log && slices.Contains(blocks, it.index)
			if out {
				u.queued -= it.bytes
			}
			return out
		})
	}
	p.stalled = slices.DeleteFunc(p.stalled, func(it item) bool {
		return it.given == nil && it.f.log == log && slices.Contains(blocks, it.index)
	})
}

// pump sends what the uplink is free for.
func (m *Mesh) pump() {
	u := &m.up
	for {
		if at, ok := u.next(); !ok || at.After(m.now) {
			return
		}
		it, ok := m.pop()
		if !ok {
			return
		}
		m.push(it)
	}
}

// pop takes the next item that can be sent.
func (m *Mesh) pop() (item, bool) {
	u := &m.up
	for {
		k, ok := m.turn()
		if !ok {
			return item{}, false
		}
		it := u.queues[k].pop()
		u.queued -= it.bytes
		if it.caught {
			m.caughtUp(&it)
		}
		if !m.wanted(&it) {
			continue
		}
		if it.peer.inflight >= maxInflight {
			m.stall(it)
			continue
		}
		u.turns++
		return it, true
	}
}

// turn returns whose turn it is.
func (m *Mesh) turn() (class, bool) {
	u := &m.up
	push := u.queues[interior].len() + u.queues[leaf].len()
	switch {
	case u.queues[resumed].len() > 0:
		return resumed, true
	case u.queues[hurried].len() > 0 && (push == 0 || u.turns%orphanShare == 0):
		return hurried, true
	case u.queues[repairs].len() > 0 && (push == 0 || u.turns%repairShare == 0):
		return repairs, true
	case u.queues[leaf].len() > 0 && (u.queues[interior].len() == 0 || m.oldest(leaf) > leafFirst):
		return leaf, true
	case u.queues[interior].len() > 0:
		return interior, true
	}
	return 0, false
}

// oldest returns how old the first block of a queue is.
func (m *Mesh) oldest(k class) time.Duration {
	it := m.up.queues[k].first()
	return m.now.Sub(it.f.clock.of(it.index))
}

// wanted reports whether an item is still of use.
func (m *Mesh) wanted(it *item) bool {
	if it.peer.gone || !it.peer.leaving.IsZero() && it.peer.served.IsZero() {
		return false
	}
	if g := it.given; g != nil {
		return g.deadline.IsZero() || m.now.Before(g.deadline)
	}
	c := it.f.childOf(it.f.stripeOf(it.index), it.peer)
	if c == nil || it.index < c.next || it.index < c.skip || !it.f.here.has(it.index) {
		return false
	}
	if it.index < it.f.segment && m.now.Sub(it.f.clock.of(it.index)) > c.patience {
		m.skip(it.f, c)
		return false
	}
	return true
}

// skip takes a child that cannot keep up to the newest segment: what comes before would only make it later still.
func (m *Mesh) skip(f *follow, c *child) {
	if c != nil && c.skip < f.segment {
		c.skip = f.segment
		m.skipped++
	}
}

// stall lets an item wait for its peer, which has enough to take in. The oldest goes if there are too many.
func (m *Mesh) stall(it item) {
	p := it.peer
	if len(p.stalled) >= maxStalled {
		p.stalled = slices.Delete(p.stalled, 0, 1)
	}
	p.stalled = append(p.stalled, it)
}

// push hands an item to QUIC, and counts the time that it takes.
func (m *Mesh) push(it item) {
	u, p, n := &m.up, it.peer, it.bytes
	a := Push{Session: p.id, Log: it.f.log, Bytes: n}
	if g := it.given; g != nil {
		a.Request, a.Blocks, a.Orphan = g.id, g.blocks, g.orphan
		a.Path = []quicwire.ShortID{m.cfg.Self}
	} else {
		a.Stripe, a.Stripes = it.f.stripeOf(it.index), uint8(len(it.f.stripes))
		a.Blocks = []uint64{it.index}
		a.Path = m.path(it.f, a.Stripe)
		m.pushedTo(it.f, a.Stripe, p, it.index)
	}
	if p.spoke.IsZero() {
		p.spoke = m.now
	}
	p.inflight++
	p.pushes = append(p.pushes, pushing{a.Log, n, m.now})
	p.bytes += n
	u.inflight += n
	u.accounted += float64(n)
	u.spend(m.now, float64(n))
	m.do(a)
}

// spend counts the time that n bytes take.
func (u *uplink) spend(now time.Time, n float64) {
	r := u.rate()
	if r <= 0 {
		return
	}
	if u.free.Before(now.Add(-burstTime)) {
		u.free = now.Add(-burstTime)
	}
	u.free = u.free.Add(time.Duration(n / r * float64(time.Second)))
}

// pushed takes in that QUIC has taken a Push.
func (m *Mesh) pushed(e Pushed) {
	p := m.peer(e.Session)
	if p == nil {
		return
	}
	if _, ok := take(&p.forgotten, &e); ok {
		return // it was for a peer that seemed dead; nothing counts it any more
	}
	at, ok := take(&p.pushes, &e)
	if !ok {
		return
	}
	u := &m.up
	p.inflight--
	p.took += (m.now.Sub(at) - p.took) / 4
	p.bytes -= e.Bytes
	u.inflight -= e.Bytes
	if !e.Failed {
		u.done += e.Bytes
		p.fed = m.now
	} else if f := m.follow(e.Log); f != nil && e.Request == 0 && int(e.Stripe) < len(f.stripes) {
		m.skip(f, f.childOf(e.Stripe, p))
	}
	if len(p.stalled) > 0 {
		it := p.stalled[0]
		p.stalled = slices.Delete(p.stalled, 0, 1)
		it.class, it.caught = resumed, false
		u.add(it)
	}
}

// traffic corrects the count by what was sent in fact: control, acknowledgements, handshakes and what was sent twice are in it, too.
func (m *Mesh) traffic(e Traffic) {
	u := &m.up
	if !u.started {
		u.started, u.sent = true, e.Sent
		u.accounted = float64(e.Sent) + float64(u.inflight)
		return
	}
	m.charge(float64(e.Sent - u.sent))
	u.sent = e.Sent
	over := float64(e.Sent) + float64(u.inflight) - u.accounted
	u.accounted += over
	if u.cap > 0 {
		u.spend(m.now, max(over, 0))
	}
}

// estimate keeps what we believe of the uplink, and how many children we have by it.
func (m *Mesh) estimate() {
	u := &m.up
	if u.est == 0 && m.streamRate() > 0 {
		u.est = m.guess()
		m.resize()
	}
	m.measure()
	if u.cap > 0 && u.est != u.cap {
		u.est = u.cap
		m.resize()
	}
	switch {
	case m.publisher() && u.cap == 0:
		m.insist()
		return
	case m.publisher(), !u.share:
		return
	}
	switch late := m.pushBacklog(); {
	case late > growBacklog && u.cap == 0 && u.meas == 0 && u.queued > 4*u.inflight && !m.full():
		m.doubtUplink()
	case (u.meas > 0 || u.cap > 0) && float64(m.used())*slotShare > float64(m.slots()+1) && m.now.Sub(u.shed) >= shedEvery:
		u.shed = m.now
		m.shedOne() // there is less uplink than was thought
	case late > shedBacklog && m.now.Sub(u.shed) >= shedEvery:
		m.shed()
	case late < growBacklog && u.cap == 0:
		m.grow()
	}
}

// doubtUplink takes an uplink that was never measured to be wider, since blocks wait here although QUIC takes at once what it is given: it is
// what we believe that holds them up. What first packets tell does not count any more.
func (m *Mesh) doubtUplink() {
	u := &m.up
	if m.now.Sub(u.grown) < doubtEvery {
		return
	}
	u.grown = m.now
	u.est, u.doubted = u.est*growMeasured, true
	m.resize()
}

const doubtEvery = 250 * time.Millisecond

// insist keeps a source from believing that its uplink carries less than what it has to send: then blocks would queue here, for ever, instead
// of where QUIC notices whether they get through.
func (m *Mesh) insist() {
	m.up.est = max(m.up.est, float64(m.cfg.Copies)*m.wireRate()/slotShare)
}

// measure notes how much the uplink carries while it is full: while nearly all of those that we push to take blocks in much later than the
// uplink should need. One or two that are slow are slow themselves; and when nobody takes anything the network is away, which tells nothing
// about the uplink.
func (m *Mesh) measure() {
	u := &m.up
	dt := m.now.Sub(u.ticked).Seconds()
	done := float64(u.done)
	u.done = 0
	if dt <= 0 || dt > 1 || u.est == 0 || !m.full() {
		u.busy, u.sum, u.time = 0, 0, 0
		return
	}
	u.busy++
	u.sum, u.time = u.sum+done, u.time+dt
	if u.busy < measureTicks {
		return
	}
	if u.sum == 0 {
		u.busy, u.time = 0, 0
		return
	}
	u.meas = u.sum / u.time
	if u.cap == 0 && !m.publisher() && u.meas < u.est {
		u.est = max(u.meas, u.est*0.8)
		m.resize()
	}
	u.busy, u.sum, u.time = 0, 0, 0
}

// measureTicks is over how many ticks the full uplink is measured at a time.
const measureTicks = 6

// full reports whether nearly all of those that we push to, and more than two, have to wait for our uplink.
func (m *Mesh) full() bool {
	limit := fullAfter + time.Duration(fullBlocks*blockGuess/m.up.est*float64(time.Second))
	full, all := 0, 0
	for _, p := range m.peers {
		if len(p.pushes) == 0 {
			continue
		}
		all++
		if p.took > limit || m.now.Sub(p.pushes[0].at) > limit {
			full++
		}
	}
	return full > 2 && 4*full >= 3*all
}

// A block should be taken in by QUIC within the time that fullBlocks of them take on the uplink, and fullAfter.
const (
	fullAfter  = 40 * time.Millisecond
	fullBlocks = 4
)

// dispersion takes in at which rate the first packets of blocks of ours came somewhere: a guess before the uplink was ever full.
func (m *Mesh) dispersion(rate float64) {
	u := &m.up
	if u.disp == 0 {
		u.disp = rate
	}
	if rate > u.disp {
		u.disp += 0.5 * (rate - u.disp)
	} else {
		u.disp += 0.03 * (rate - u.disp) // who has a slow downlink tells little of our uplink
	}
	if u.disps++; u.disps%burstEvery == 0 && u.meas == 0 && !u.doubted && u.cap == 0 && u.est > 0 {
		u.est = min(burstTrust*u.disp, 2*u.est)
		m.resize()
	}
}

// burst notes how fast blocks of a peer came, to tell it.
func (m *Mesh) burst(e Burst) {
	if p := m.peer(e.Session); p != nil {
		p.burst = e.Rate
	}
}

// grow takes the uplink to be wider when it is used and nothing waits.
func (m *Mesh) grow() {
	u := &m.up
	if u.est == 0 || m.streamRate() == 0 || m.now.Sub(u.grown) < growEvery || m.now.Sub(u.shed) < growAfter || m.used()*10 < m.slots()*9 {
		return
	}
	u.grown = m.now
	if u.meas == 0 {
		u.est *= growUnknown
	} else {
		u.est = max(u.est, min(u.est*growMeasured, max(growPast*u.meas, float64(m.cfg.Known)/8)))
	}
	m.resize()
}

// shed gives up the weakest children: what waits is more than the uplink carries.
func (m *Mesh) shed() {
	u := &m.up
	u.shed = m.now
	n := max(1+m.used()/20, m.used()-m.slots())
	for ; n > 0 && m.used() > 1; n-- {
		if !m.shedOne() {
			return
		}
	}
}

// guess is what an uplink carries of which nothing is known.
func (m *Mesh) guess() float64 {
	times := guessTimes
	if m.publisher() {
		times = sourceTimes
	}
	return max(times*m.wireRate(), guessLeast)
}

// wireRate is streamRate on the wire: with proofs, framing and headers.
func (m *Mesh) wireRate() (sum float64) {
	for _, f := range m.told() {
		if !f.catalog() {
			sum += f.rate * f.overhead()
		}
	}
	return sum
}

// overhead returns how many bytes on the wire a byte of payload takes.
func (f *follow) overhead() float64 { return float64(f.wire(1)) / max(f.size, 1) }

// streamRate returns the bytes of payload a second of all renditions that are followed or signed.
func (m *Mesh) streamRate() (sum float64) {
	for _, f := range m.told() {
		if !f.catalog() {
			sum += f.rate
		}
	}
	return sum
}

// A fifo is a queue of items.
type fifo struct {
	items []item
	head  int
}

func (q *fifo) len() int     { return len(q.items) - q.head }
func (q *fifo) first() *item { return &q.items[q.head] }
func (q *fifo) push(it item) { q.items = append(q.items, it) }

// pop takes the first item out.
func (q *fifo) pop() item {
	it := q.items[q.head]
	q.items[q.head] = item{}
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head > 64 && 2*q.head > len(q.items) {
		q.items = append(q.items[:0], q.items[q.head:]...)
		q.head = 0
	}
	return it
}

// remove takes out what out says.
func (q *fifo) remove(out func(*item) bool) {
	kept := q.items[:q.head]
	for k := q.head; k < len(q.items); k++ {
		if !out(&q.items[k]) {
			kept = append(kept, q.items[k])
		}
	}
	clear(q.items[len(kept):])
	q.items = kept
}
