package swarm

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// TickEvery is how often Direct wants a Tick.
const TickEvery = 50 * time.Millisecond

// Times that Direct keeps to. docs/swarm.md gives the reasons for most.
const (
	helloWait   = 300 * time.Millisecond  // for a second HELLO, before the first parent is chosen
	pingEvery   = 400 * time.Millisecond  // while something is overdue
	leaveLiar   = 700 * time.Millisecond  // a parent that has blocks and does not send them
	leaveHungry = 1200 * time.Millisecond // a parent that has none, if somebody else has
	deadAfter   = 3 * time.Second         // a peer that does not answer PINGs
	shunTime    = 30 * time.Second        // for who sent what does not verify, or promised and did not deliver
	statusEvery = time.Second
	statusSoon  = 300 * time.Millisecond // after something changed
	helloAge    = 10 * time.Second       // how old our HELLO can be when its session is up
	patience    = 2 * time.Second        // a stream of a segment older than this is of no use; said in SUB
)

// A DirectConfig says what a Direct is to do.
type DirectConfig struct {
	Self       quicwire.ShortID
	Anchors    []feed.Anchor
	Renditions []string // to follow. If empty, all
	NoShare    bool     // refuse all subscriptions and requests
	MaxPeers   int      // served at a time
	Publisher  bool     // this node signs epochs: it follows none, but for a glance at the catalog of one that is above its own
	Shelf      Shelf
	Seed       uint64 // of the chance in back-off times
}

// Direct is the policy of following one parent: the best of the anchors, and the next if it fails. It does nothing by itself and knows no
// clock: Handle is told what happened and when, and returns what is to be done. The same events give the same actions.
//
// It is for one goroutine at a time.
type Direct struct {
	cfg  DirectConfig
	rand *rand.Rand

	now       time.Time // of the event being handled
	out       []Action  // of the event being handled
	unsettled bool      // something changed from which more follows at once

	anchors []*anchor
	peers   []*peer // with a session, in the order of their ids
	shunned map[feed.PublicKey]time.Time

	epoch   Epoch       // the newest known here
	learned time.Time   // when it became known
	faults  []condemned // epochs that were condemned, at most maxCondemned, the latest last
	own     Epoch       // the one we sign; zero if none
	highest Epoch       // the highest that any peer has shown
	run     *run        // the epoch that is followed; nil if none
	old     *run        // the one before, until the new one delivers; nil if none
	firstUp time.Time   // when the first anchor answered

	superseded *Epoch
	nextReq    uint64 // id of the next Req and Ping
	nextStatus time.Time
	lastStatus time.Time
	flowed     bool // what the last statuses said

	blocks Blocks
	banned uint64
}

// A peer is the other end of a session.
type peer struct {
	id      SessionID
	anchor  *anchor // nil if it dialled us and is none
	key     feed.PublicKey
	addr    string
	role    quicwire.Role
	flags   quicwire.NodeFlags
	epoch   Epoch                 // the newest it has shown
	expired bool                  // the notes it showed last have expired
	shown   Epoch                 // the newest that we have shown it
	faults  map[feed.EpochID]bool // epochs whose fault it knows, from us or before us; nil if none
	rtt     time.Duration
	offset  time.Duration // its clock minus ours
	leaving time.Time     // when it said that it will be gone; zero: it has not

	claims   map[quicwire.LogID]claim
	told     map[quicwire.LogID]bool // logs of which it has had a signed status
	children []subKey                // what we push to it
	since    time.Time               // when it got the first of its children
	fed      time.Time               // when it last took blocks
	subnet   netip.Prefix            // its /24 or /48; invalid if on this machine

	refused time.Time        // not to be a parent until then
	refusal quicwire.Refusal // why, in its own words; 0: we decided so
	silent  int              // Reqs in a row that brought nothing
	given   uint64           // blocks that it was asked for, and sent
	deaf    time.Time        // no Reqs to it until then
	subs    float64          // tokens left for Subs
	subsAt  time.Time

	pings  []uint64  // ids of the Pings without a Pong, ascending; at most maxPings
	pinged time.Time // when the oldest of them was sent; zero: none
	pong   pong
}

// A claim is what a peer's last Status said of a log.
type claim struct {
	size   uint64
	proved uint64 // size of its largest signed head
	lag    time.Duration
}

// A pong is what a peer's last Pong said.
type pong struct {
	at    time.Time
	log   quicwire.LogID
	next  uint64
	flows bool
}

type subKey struct {
	log    quicwire.LogID
	stripe uint8
}

// NewDirect returns a Direct that has seen nothing yet.
func NewDirect(cfg DirectConfig) *Direct {
	d := &Direct{
		cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 1)), shunned: make(map[feed.PublicKey]time.Time), nextReq: 1,
	}
	for _, a := range cfg.Anchors {
		d.anchors = append(d.anchors, &anchor{Anchor: a, index: len(d.anchors)})
	}
	return d
}

// Handle takes in that e happened at now, and returns what is to be done, in order. The slice is valid until the next call. Times must
// not go back.
func (d *Direct) Handle(e Event, now time.Time) []Action {
	d.now, d.out, d.unsettled = now, d.out[:0], true
	switch e := e.(type) {
	case Tick:
		d.tick()
	case BlockIn:
		d.unsettled = false // as a rule; there are many of these
		d.block(e)
	case SessionUp:
		d.up(e)
	case SessionDown:
		d.down(e)
	case DialFailed:
		d.dialFailed(e)
	case Heard:
		d.heard(e)
	case NotesHeard:
		d.notesHeard(e)
	case Misbehaved:
		if p := d.peer(e.Session); p != nil {
			d.ban(p, e.Code, e.Reason)
		}
	case EpochKnown:
		d.learn(e.Epoch)
	case Condemned:
		d.condemned(e)
	case FaultHeard:
		if p := d.peer(e.Session); p != nil {
			p.knowsFault(e.Epoch)
		}
	case Publishing:
		d.publish(e.Epoch)
	case Fed:
		if p := d.peer(e.Session); p != nil {
			p.fed = d.now
		}
	case Found:
		d.found(e)
	case BlockBad:
		d.bad(e)
	}
	if d.unsettled {
		d.settle()
	}
	return d.out
}

func (d *Direct) do(a Action) { d.out = append(d.out, a) }

func (d *Direct) send(p *peer, m quicwire.Message) { d.do(Send{p.id, m}) }

// tick does what is due.
func (d *Direct) tick() {
	d.expire()
	d.watch()
	d.repair()
	d.beat()
}

// settle does what follows at once from any change.
func (d *Direct) settle() {
	d.dial()
	d.choose()
	d.subscribe()
}

// peer returns the peer of a session; nil if it is gone.
func (d *Direct) peer(id SessionID) *peer {
	for _, p := range d.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// up takes a new session in.
func (d *Direct) up(e SessionUp) {
	p := &peer{
		subnet: subnetOf(e.Addr),
		id:     e.Session, key: e.Peer, addr: e.Addr, role: e.Role, flags: e.Flags, rtt: e.RTT,
		claims: make(map[quicwire.LogID]claim), told: make(map[quicwire.LogID]bool), subsAt: d.now, subs: subBurst,
	}
	d.clock(p, e.Wall)
	d.peers = append(d.peers, p)
	if e.Contact < 0 && d.now.Before(d.shunned[e.Peer]) {
		d.close(p, quicwire.CodeShunned, "you sent what does not verify; come back later")
		return
	}
	d.bind(p, e)
	d.show(p, e.Epoch)
	p.expired = e.Expired
	if d.now.Sub(d.learned) > helloAge {
		p.shown = d.epoch
	}
	d.showTo(p)
	d.showFaults(p)
	d.tell(p)
}

// showTo sends p the notes of our epoch, unless it has had them.
func (d *Direct) showTo(p *peer) {
	if p.shown.Compare(d.epoch) < 0 && p.leaving.IsZero() {
		p.shown = d.epoch
		d.send(p, &quicwire.Notes{Notes: d.cfg.Shelf.Notes()})
	}
}

// clock notes the peer's clock, as it showed half a round trip ago.
func (d *Direct) clock(p *peer, wall time.Time) {
	if !wall.IsZero() {
		p.offset = wall.Add(p.rtt / 2).Sub(d.now)
	}
}

// show notes that p has shown an epoch.
func (d *Direct) show(p *peer, e Epoch) {
	if e.Compare(p.epoch) > 0 {
		p.epoch = e
	}
	if e.Compare(d.highest) > 0 {
		d.highest = e
	}
}

// notesHeard takes in that p knows an epoch. EpochKnown follows if that is news.
func (d *Direct) notesHeard(e NotesHeard) {
	if p := d.peer(e.Session); p != nil {
		d.show(p, e.Epoch)
		p.expired = e.Expired
	}
}

// down forgets a session, and all that hung on it.
func (d *Direct) down(e SessionDown) {
	p := d.peer(e.Session)
	if p == nil {
		return
	}
	d.peers = slices.DeleteFunc(d.peers, func(q *peer) bool { return q == p })
	d.unbind(p, e.Err)
	for _, r := range []*run{d.run, d.old} {
		r.lost(p)
	}
}

// close ends the session of p. Until SessionDown comes, p is still there but not asked for anything.
func (d *Direct) close(p *peer, code quicwire.Code, reason string) {
	d.do(Close{p.id, code, reason})
	p.leaving, p.refused, p.deaf = d.now, d.now.Add(shunTime), d.now.Add(shunTime)
	for _, r := range []*run{d.run, d.old} {
		r.lost(p)
	}
}

// ban ends the session of p for what it did, and keeps away from it for a while.
func (d *Direct) ban(p *peer, code quicwire.Code, reason string) {
	d.banned++
	d.shunned[p.key] = d.now.Add(shunTime)
	if p.anchor != nil {
		p.anchor.shunned = d.now.Add(shunTime)
	}
	d.close(p, code, reason)
}

// bad takes in that a block does not verify.
func (d *Direct) bad(e BlockBad) {
	d.blocks.Rejected++
	if e.Signer {
		return // Condemned came before this
	}
	if p := d.peer(e.Session); p != nil {
		d.ban(p, quicwire.CodeBadBlock, e.Err.Error())
	}
}

// expire forgets what is over.
func (d *Direct) expire() {
	for key, until := range d.shunned {
		if !d.now.Before(until) {
			delete(d.shunned, key)
		}
	}
	for _, p := range d.peers {
		if !p.leaving.IsZero() && d.now.After(p.leaving.Add(time.Second)) {
			d.close(p, quicwire.CodeDone, "goodbye")
			p.leaving = d.now.Add(shunTime) // do not say it again
		}
	}
}

// heard takes in a message.
func (d *Direct) heard(e Heard) {
	p := d.peer(e.Session)
	if p == nil {
		return
	}
	if e.RTT > 0 {
		p.rtt = e.RTT
	}
	switch m := e.Message.(type) {
	case *quicwire.Status:
		d.heardStatus(p, m, e.Proved)
	case *quicwire.Sub:
		d.heardSub(p, m)
	case *quicwire.Unsub:
		d.heardUnsub(p, m)
	case *quicwire.SubOK:
		d.heardSubOK(p, m)
	case *quicwire.SubNo:
		d.refusedBy(p, subKey{m.Log, m.Stripe}, m.Reason, m.Retry)
	case *quicwire.Moved:
		d.refusedBy(p, subKey{m.Log, m.Stripe}, m.Reason, m.Retry)
	case *quicwire.Path:
		d.heardPath(p, subKey{m.Log, m.Stripe}, m.Path)
	case *quicwire.Req:
		d.heardReq(p, m)
	case *quicwire.Nack:
		d.heardNack(p, m)
	case *quicwire.Ping:
		d.heardPing(p, m)
	case *quicwire.Pong:
		d.heardPong(p, m)
	case *quicwire.Bye:
		d.heardBye(p, m)
	}
}

// heardStatus remembers what p says it has.
func (d *Direct) heardStatus(p *peer, m *quicwire.Status, proved bool) {
	if _, ok := d.cfg.Shelf.Look(m.Log); !ok {
		return // an epoch we do not know, or a name out of the air: nothing to remember
	}
	c := p.claims[m.Log]
	c.size, c.lag = m.Size, quicwire.NoLag
	for _, lag := range m.Lags {
		c.lag = min(c.lag, lag)
	}
	if proved {
		c.proved = max(c.proved, m.Size)
	}
	p.claims[m.Log] = c
}

// heardBye lets p go: others are looked for, and the session ends as soon as nothing more is expected from it.
func (d *Direct) heardBye(p *peer, m *quicwire.Bye) {
	p.leaving = d.now.Add(min(m.Leaving, 10*time.Second))
	if d.run == nil || d.run.parent != p {
		d.close(p, quicwire.CodeDone, "goodbye")
	} else if next := d.best(d.run); next != nil && next != p {
		d.leave(p, quicwire.UnsubDone, time.Second)
		d.close(p, quicwire.CodeDone, "goodbye")
	}
}
