package swarm

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A peer is the other end of a session.
type peer struct {
	id       SessionID
	contact  *contact // nil if it dialled us from an address that we do not know
	dialled  bool     // we dialled it
	key      feed.PublicKey
	short    quicwire.ShortID
	addr     string
	at       netip.AddrPort // addr; invalid if it is none
	seen     netip.AddrPort // our address, as it sees it
	role     quicwire.Role
	flags    quicwire.NodeFlags
	uplink   float64               // bytes per second, as it says; 0: it does not
	since    time.Time             // of the session
	record   *quicwire.PeerRecord  // its own word of where it can be dialled; nil if we had none
	recorded time.Time             // when we last sent it our own
	owed     int                   // others that we would have told it of when it came, had we known them
	epoch    Epoch                 // the newest it has shown
	expired  bool                  // the notes it showed last have expired
	shown    Epoch                 // the newest that we have shown it
	faults   map[feed.EpochID]bool // epochs whose fault it knows, from us or before us; nil if none
	rtt      time.Duration
	minRTT   time.Duration
	offset   time.Duration // its clock minus ours
	leaving  time.Time     // when it said that it will be gone; zero: it has not
	subnet   netip.Prefix  // its /24 or /48; invalid if on this machine
	closed   bool          // we have ended the session
	gone     bool          // it has ended

	// As somebody to ask.
	logs     []*claim
	slots    uint32           // stripes that it can take on, as it says
	backlog  time.Duration    // how long a push waits there, as it says
	refused  time.Time        // not to be a parent until then
	refusal  quicwire.Refusal // why, in its own words; 0: we decided so
	noes     int              // refusals in a row although it says it has room
	tried    bool             // it was asked for a stripe
	fails    int              // times that it let us down, less what it did since
	received rateOf           // bytes of blocks that it has sent us
	silent   int              // Reqs in a row that brought nothing
	vain     time.Time        // when the last of them was sent
	given    uint64           // blocks that it was asked for, and sent
	blocks   uint64           // of it that were taken in
	repairs  uint64           // of these, those that it was asked for
	deaf     time.Time        // no Reqs to it until then
	subs     bucket           // of Subs to it
	reqs     bucket           // of Reqs to it

	pings  []uint64  // ids of the Pings without a Pong, ascending; at most maxPings
	pinged time.Time // when the oldest of them was sent; zero: none
	asked  time.Time // when the last of them was sent
	pong   pong
	mute   bool // it has not answered in time

	// As somebody who is served.
	spoke     time.Time     // since when something was pushed to it, and no packet has come from it; zero: one has
	fed       time.Time     // when it last took blocks
	served    time.Time     // when it got the first of its stripes; zero: it has none
	inflight  int           // Pushes that QUIC has not taken
	pushes    []pushing     // these
	forgotten []pushing     // those that nobody counts any more, as the peer seemed dead
	took      time.Duration // how long QUIC takes to take one
	bytes     int           // of them
	stalled   []item        // due, but inflight is at its bound; at most maxStalled
	burst     uint64        // how fast blocks from it came lately, bits per second; 0: not known
	share     bucket        // of bytes: what it may have of us by Reqs
	referred  time.Time     // when it was last told of others
	cleared   time.Time     // when another was moved for it from another stripe
	relieved  time.Time     // when it was last told that what it lacks flows here
	asks      bucket        // of blocks: what it may ask for
}

// A claim is what a peer says of a log, in its last Status.
type claim struct {
	log     quicwire.LogID
	size    uint64
	proved  uint64          // size of its largest signed head
	showed  time.Time       // when it showed that
	base    uint64          // its oldest block
	lags    []time.Duration // of each stripe; NoLag: it does not flow
	homes   uint32
	left    bool                           // it had stripes of it, and says that it has none any more
	retry   time.Time                      // not to be asked for this log before
	waiting uint32                         // stripes that it was asked for and may still give: a source draws by lot
	full    time.Time                      // a source that has no place: it need not be asked in a hurry, or for a leaf, before
	subbed  [quicwire.MaxStripes]time.Time // when it was last asked; or may be asked again, less askAgain
	strayed time.Time                      // when it was last told that we do not want its pushes
	told    bool                           // it has had a signed status of ours
	marks   []mark                         // how far it was served; nil: never
}

// A pong is what a peer's last Pong said.
type pong struct {
	at     time.Time
	log    quicwire.LogID
	stripe uint8
	next   uint64
	flows  bool
}

type subKey struct {
	log    quicwire.LogID
	stripe uint8
}

// claimOf returns what p says of a log; nil if nothing.
func (p *peer) claimOf(log quicwire.LogID) *claim {
	for _, c := range p.logs {
		if c.log == log {
			return c
		}
	}
	return nil
}

// followsLog reports whether p follows a log, or is about to: who has given it up says that it has no stripes of it any more.
func (p *peer) followsLog(f *follow) bool {
	c := p.claimOf(f.log)
	return c != nil && !c.left
}

// claimFor is claimOf, made if there is none.
func (p *peer) claimFor(log quicwire.LogID) *claim {
	c := p.claimOf(log)
	if c == nil {
		c = &claim{log: log}
		p.logs = append(p.logs, c)
	}
	return c
}

// flows reports whether a stripe flows there, as the last Status has it.
func (c *claim) flows(i uint8) bool { return int(i) < len(c.lags) && c.lags[i] != quicwire.NoLag }

// owd returns how long a packet takes to or from p, about.
func (p *peer) owd() time.Duration { return p.rtt / 2 }

// shares reports whether p can be asked for anything at all.
func (p *peer) shares() bool { return p.flags&quicwire.NoUpload == 0 && p.leaving.IsZero() && !p.gone }

// sessionUp takes a new session in.
func (m *Mesh) sessionUp(e SessionUp) {
	addr, _ := netip.ParseAddrPort(e.Addr)
	p := &peer{
		subnet: subnetOf(e.Addr), id: e.Session, key: e.Peer, short: quicwire.ShortIDOf(e.Peer), addr: e.Addr, at: addr, seen: e.Seen, role: e.Role,
		flags: e.Flags, uplink: float64(e.Limits.Uplink) / 8, slots: e.Limits.Slots, rtt: e.RTT, minRTT: e.RTT, since: m.now,
		dialled: e.Contact >= 0,
		subs:    bucket{rate: subRate, burst: subBurst, level: subBurst}, reqs: bucket{rate: reqRate, burst: reqBurst, level: reqBurst},
		asks: bucket{rate: floodRate, burst: floodBurst, level: floodBurst},
	}
	m.clock(p, e.Wall)
	at, _ := slices.BinarySearchFunc(m.peers, p.id, byID) // a session with a higher id may have been reported before
	m.peers = slices.Insert(m.peers, at, p)
	if m.firstUp.IsZero() {
		m.firstUp = m.now
	}
	if !p.dialled && m.now.Before(m.shunned[e.Peer].until) {
		m.close(p, quicwire.CodeShunned, "you sent what does not verify; come back later")
		return
	}
	m.bind(p, e)
	m.show(p, e.Epoch)
	p.expired = e.Expired
	if m.now.Sub(m.learned) > helloAge {
		p.shown = m.epoch
	}
	m.showTo(p)
	m.showFaults(p)
	m.tell(p)
	m.introduce(p)
}

// helloAge is how old our HELLO can be when its session is up.
const helloAge = 10 * time.Second

// showTo sends p the notes of our epoch, unless it has had them.
func (m *Mesh) showTo(p *peer) {
	if p.shown.Compare(m.epoch) < 0 && p.leaving.IsZero() {
		p.shown = m.epoch
		m.send(p, &quicwire.Notes{Notes: m.cfg.Shelf.Notes()})
	}
}

// clock notes the peer's clock, as it showed half a round trip ago.
func (m *Mesh) clock(p *peer, wall time.Time) {
	if !wall.IsZero() {
		p.offset = wall.Add(p.rtt / 2).Sub(m.now)
	}
}

// show notes that p has shown an epoch.
func (m *Mesh) show(p *peer, e Epoch) {
	if e.Compare(p.epoch) > 0 {
		p.epoch = e
	}
	if e.Compare(m.highest) > 0 {
		m.highest = e
	}
}

// notesHeard takes in that p knows an epoch. EpochKnown follows if that is news.
func (m *Mesh) notesHeard(e NotesHeard) {
	if p := m.peer(e.Session); p != nil {
		m.show(p, e.Epoch)
		p.expired = e.Expired
	}
}

// sessionDown forgets a session, and all that hung on it.
func (m *Mesh) sessionDown(e SessionDown) {
	p := m.peer(e.Session)
	if p == nil {
		return
	}
	p.gone = true
	if p.leaving.IsZero() && misbehaved(e.Err) { // quicwire has ended the session by itself
		m.shun(p, why(e.Err))
	}
	m.peers = slices.DeleteFunc(m.peers, func(q *peer) bool { return q == p })
	m.unbind(p, e.Err)
	m.drop(p)
}

// drop ends all that p does for us, and we for it.
func (m *Mesh) drop(p *peer) {
	for _, r := range m.runs() {
		m.lost(r, p)
	}
	m.up.forget(p)
}

// close ends the session of p. Until SessionDown comes, p is still there but not asked for anything.
func (m *Mesh) close(p *peer, code quicwire.Code, reason string) {
	if p.closed {
		return
	}
	p.closed = true
	m.do(Close{p.id, code, reason})
	p.leaving, p.refused, p.deaf = m.now, m.now.Add(shunTime), m.now.Add(shunTime)
	m.drop(p)
}

// shunTime is how long we keep away from who sent what does not verify, or promised and did not deliver.
const shunTime = 30 * time.Second

// maxRefused bounds whom we remember for people to see.
const maxRefused = 16

// ban ends the session of p for what it did, and keeps away from it for a while.
func (m *Mesh) ban(p *peer, code quicwire.Code, reason string) {
	if p.closed {
		return // what it did before it heard of that is no second time
	}
	m.shun(p, "misbehaved ("+reason+")")
	m.close(p, code, reason)
}

// shun keeps away from p for a while, twice as long each time; did says what it did.
func (m *Mesh) shun(p *peer, did string) {
	m.banned++
	m.refused = append(m.refused, Refused{ID: shortName(p.key), Addr: p.addr, Role: p.role, Why: did, At: m.now})
	m.refused = m.refused[max(0, len(m.refused)-maxRefused):]
	x := m.shunned[p.key]
	x.until, x.times = m.now.Add(shunTime<<min(x.times, mostDoubled)), x.times+1
	m.shunned[p.key] = x
	if len(m.shunned) > maxExiles {
		m.pardon()
	}
	if p.contact != nil {
		p.contact.shunned = x.until
	}
}

// An exile is one that misbehaved.
type exile struct {
	until time.Time // not to be let in before
	times int       // that it did, as far as that is remembered
}

// mostDoubled is how often the time of an exile is doubled, to 8 minutes, and forgiveAfter how long it is remembered after it has ended. Of more
// than maxExiles some are forgotten sooner.
const (
	mostDoubled  = 4
	forgiveAfter = 5 * time.Minute
	maxExiles    = 1024
)

// misbehaved reports whether this end had to end a session since the other broke the form or a limit of the protocol.
func misbehaved(err error) bool {
	var e *quicwire.Error
	if !errors.As(err, &e) || e.Remote {
		return false
	}
	switch e.Code {
	case quicwire.CodeBadBlock, quicwire.CodeNotes, quicwire.CodeFlood:
		return true
	case quicwire.CodeMalformed:
		return !strings.Contains(e.Reason, "block stream") // bytes that are no record may be the signer's doing
	}
	return false
}

// bad takes in that a block does not verify.
func (m *Mesh) bad(e BlockBad) {
	m.blocks.Rejected++
	if e.Signer {
		return // Condemned came before this
	}
	if p := m.peer(e.Session); p != nil {
		m.ban(p, quicwire.CodeBadBlock, e.Err.Error())
	}
}

// forgive forgets those that have kept quiet for long enough.
func (m *Mesh) forgive() {
	for key, x := range m.shunned {
		if !m.now.Before(x.until.Add(forgiveAfter)) {
			delete(m.shunned, key)
		}
	}
}

// pardon forgets the one that would be let in soonest: keys cost nothing, and there must not be too many.
func (m *Mesh) pardon() {
	var first feed.PublicKey
	var at time.Time
	for key, x := range m.shunned {
		if at.IsZero() || x.until.Before(at) || x.until.Equal(at) && bytes.Compare(key[:], first[:]) < 0 {
			first, at = key, x.until
		}
	}
	delete(m.shunned, first)
}

// expire forgets what is over.
func (m *Mesh) expire() {
	m.forgive()
	for _, p := range m.peers {
		if !p.leaving.IsZero() && (m.now.After(p.leaving.Add(time.Second)) || !m.expects(p)) {
			m.close(p, quicwire.CodeDone, "goodbye")
			p.leaving = m.now.Add(shunTime) // do not say it again
		}
	}
}

// heard takes in a message.
func (m *Mesh) heard(e Heard) {
	p := m.peer(e.Session)
	if p == nil || p.closed {
		return
	}
	if e.RTT > 0 {
		p.rtt = e.RTT
		if p.minRTT == 0 || e.RTT < p.minRTT {
			p.minRTT = e.RTT
		}
	}
	switch x := e.Message.(type) {
	case *quicwire.Status:
		m.heardStatus(p, x, e.Proved)
	case *quicwire.Sub:
		m.heardSub(p, x)
	case *quicwire.Unsub:
		m.heardUnsub(p, x)
	case *quicwire.SubOK:
		m.heardSubOK(p, x)
	case *quicwire.SubNo:
		m.heardSubNo(p, x)
	case *quicwire.Moved:
		m.heardMoved(p, x)
	case *quicwire.Path:
		m.heardPath(p, x)
	case *quicwire.Req:
		m.heardReq(p, x)
	case *quicwire.Nack:
		m.heardNack(p, x)
	case *quicwire.Cancel:
		m.heardCancel(p, x)
	case *quicwire.Ping:
		m.heardPing(p, x)
	case *quicwire.Pong:
		m.heardPong(p, x)
	case *quicwire.Pex:
		m.heardPex(p, x)
	case *quicwire.Bye:
		m.heardBye(p, x)
	}
}

// heardStatus remembers what p says it has.
func (m *Mesh) heardStatus(p *peer, x *quicwire.Status, proved bool) {
	if _, ok := m.cfg.Shelf.Look(x.Log); !ok {
		return // an epoch we do not know, or a name out of the air: nothing to remember
	}
	c := p.claimFor(x.Log)
	c.left = len(x.Lags) == 0 && (c.left || len(c.lags) > 0)
	c.size, c.base, c.lags, c.homes = x.Size, x.Base, x.Lags, x.Homes
	if proved {
		c.proved, c.showed = max(c.proved, x.Size), m.now
	}
	p.slots, p.backlog = x.Slots, x.Backlog
	if x.Rate > 0 {
		m.dispersion(float64(x.Rate) / 8)
	}
	if f := m.run.follow(x.Log); f != nil && (f.joined.IsZero() || f.orphans) {
		m.maintain() // it may be what we wait for
	}
}

// heardBye lets p go: others are looked for, and the session ends as soon as nothing more is expected from it.
func (m *Mesh) heardBye(p *peer, x *quicwire.Bye) {
	p.leaving = m.now.Add(min(x.Leaving, 10*time.Second))
	m.refer(p, x.Referrals)
	m.cutOff(p)
	if !m.serves(p) {
		m.close(p, quicwire.CodeDone, "goodbye")
		return
	}
	m.replace(p)
}

// A rateOf measures bytes per second over some seconds.
type rateOf struct {
	sum   float64
	rate  float64
	since time.Time
}

// rateWindow is how long is measured at a time.
const rateWindow = time.Second

func (r *rateOf) add(now time.Time, n int) {
	if r.since.IsZero() {
		r.since = now
	}
	r.sum += float64(n)
	r.update(now)
}

// any reports whether there was ever anything: the rate is known only after a second.
func (r *rateOf) any() bool { return r.sum > 0 || r.rate > 0 }

// update takes in that time has passed.
func (r *rateOf) update(now time.Time) {
	dt := now.Sub(r.since)
	if r.since.IsZero() || dt < rateWindow {
		return
	}
	got := r.sum / dt.Seconds()
	if r.rate == 0 || dt > 8*rateWindow {
		r.rate = got
	} else {
		r.rate += (got - r.rate) * 0.3
	}
	r.sum, r.since = 0, now
}

// farewell says BYE to all peers, with others to turn to.
func (m *Mesh) farewell(in time.Duration) {
	m.going = true
	for _, p := range m.peers {
		if p.leaving.IsZero() {
			m.send(p, &quicwire.Bye{Reason: "the node shuts down", Leaving: in, Referrals: m.shelter(p)})
		}
	}
}

// shelter names peers that say they have room, relays first.
func (m *Mesh) shelter(but *peer) (list []quicwire.Referral) {
	for _, relays := range []bool{true, false} {
		for _, k := range m.rand.Perm(len(m.peers)) {
			p := m.peers[k]
			if p != but && p.shares() && p.slots > 0 && p.at.IsValid() && (p.role == quicwire.Relay) == relays && len(list) < quicwire.MaxReferrals {
				list = append(list, quicwire.Referral{Node: p.key, Addr: p.at})
			}
		}
	}
	return list
}

// needed reports whether somebody is still served.
func (m *Mesh) needed() bool {
	return slices.ContainsFunc(m.peers, func(p *peer) bool { return !p.served.IsZero() && !p.gone })
}
