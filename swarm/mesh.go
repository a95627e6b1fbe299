package swarm

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// TickEvery is how often a Mesh wants a Tick.
const TickEvery = 50 * time.Millisecond

// A MeshConfig says what a Mesh is to do.
type MeshConfig struct {
	Self       quicwire.ShortID // of Node
	Node       feed.PublicKey
	Role       quicwire.Role // If zero, quicwire.Viewer. A streamer follows nobody, but for a glance at the catalog of an epoch above its own
	Anchors    []feed.Anchor
	Pinned     []feed.Anchor // relays of ours: dialled, and one place a stripe is theirs
	Renditions []string      // to follow: names, Best or Least. If empty, all. Follow changes it
	NoShare    bool          // refuse all subscriptions and requests
	MaxPeers   int           // sessions at a time, about. If zero, 96 for a streamer, 1000 for a relay, 64 for others

	Up     uint64 // what may be sent, bits per second on the wire. If zero, as much as the uplink carries
	Known  uint64 // what the uplink carried the last time. If zero, not known
	Copies int    // how many children the source has in each stripe. If zero, 2

	// Silence says how long ago the last packet of a session came. A child that is there acknowledges what is pushed to it. If nil, nobody is
	// taken to be silent.
	Silence func(SessionID) time.Duration

	Shelf    Shelf
	Sign     func(quicwire.PeerRecord) quicwire.PeerRecord // signs what others may know of us. If nil, they get no record
	Dialable func(addr netip.AddrPort, by netip.Addr) bool // as Config says
	Looking  string                                        // as Config says
	Seed     uint64                                        // of chance
}

// A Mesh is the policy of the swarm: whom to know, whom to ask for which stripe, whom to serve, in what order and within which uplink. It
// does nothing by itself and knows no clock: Handle is told what happened and when, and returns what is to be done. The same events give
// the same actions. docs/swarm.md explains it.
//
// It is for one goroutine at a time.
type Mesh struct {
	cfg  MeshConfig
	rand *rand.Rand

	now time.Time // of the event being handled
	out []Action  // of the event being handled

	contacts []*contact // those of the link first; index is Dial.Contact
	dials    bucket     // of addresses that strangers gave
	returns  bucket     // likewise, of sources that we had sessions with
	parted   time.Time  // when a contact was last lost that is dialled again
	peers    []*peer    // with a session, in the order of their ids
	shunned  map[feed.PublicKey]exile

	chosen  time.Time // when cfg.Renditions, or what it means, last changed
	surplus bool      // more may be followed than that

	epoch   Epoch       // the newest known here
	learned time.Time   // when it became known
	faults  []condemned // epochs that were condemned, at most maxCondemned, the latest last
	own     *run        // the epoch that we sign; nil if none
	highest Epoch       // the highest that any peer has shown
	run     *run        // the epoch that is followed; nil if none
	old     *run        // the one before, until the new one delivers; nil if none
	firstUp time.Time   // when the first session was there

	up     uplink
	source source
	woken  time.Time // when we were last found to have slept ourselves
	isFull bool      // our downlink is the bottleneck
	homes  time.Time // when home stripes were looked at last

	superseded *Epoch
	nextReq    uint64 // id of the next Req and Ping
	nextStatus time.Time
	lastStatus time.Time
	said       uint64 // what the last statuses said: a digest of what flows and whether there is room
	beats      int
	nextPex    time.Time

	blocks  Blocks
	banned  uint64
	refused []Refused // the newest of them, at most maxRefused, the latest last
	skipped uint64
	going   bool // we have said BYE
}

// NewMesh returns a Mesh that has seen nothing yet.
func NewMesh(cfg MeshConfig) *Mesh {
	if cfg.Role == 0 {
		cfg.Role = quicwire.Viewer
	}
	if cfg.MaxPeers == 0 {
		cfg.MaxPeers = map[quicwire.Role]int{quicwire.Streamer: 96, quicwire.Relay: 1000, quicwire.Viewer: 64}[cfg.Role]
	}
	if cfg.Copies == 0 {
		cfg.Copies = 2
	}
	m := &Mesh{
		cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 1)), shunned: make(map[feed.PublicKey]exile), nextReq: 1,
		dials:   bucket{rate: strangerRate, burst: strangerBurst, level: strangerBurst},
		returns: bucket{rate: returnRate, burst: returnRate, level: returnRate},
	}
	m.up.start(&cfg)
	for _, a := range cfg.Anchors {
		m.contacts = append(m.contacts, &contact{addr: a.Addr, node: a.Node, origin: FromLink, index: len(m.contacts)})
	}
	for _, a := range cfg.Pinned {
		m.contacts = append(m.contacts, &contact{addr: a.Addr, node: a.Node, origin: FromPin, index: len(m.contacts)})
	}
	return m
}

// publisher reports whether this node signs epochs.
func (m *Mesh) publisher() bool { return m.cfg.Role == quicwire.Streamer }

// Handle takes in that e happened at now, and returns what is to be done, in order. The slice is valid until the next call. Times must
// not go back.
func (m *Mesh) Handle(e Event, now time.Time) []Action {
	clear(m.out)
	m.now, m.out = now, m.out[:0]
	switch e := e.(type) {
	case BlockIn:
		m.block(e)
	case Pushed:
		m.pushed(e)
	case Heard:
		m.heard(e)
	case Traffic:
		m.traffic(e)
	case Coming:
		m.coming(e)
	case Burst:
		m.burst(e)
	case Tick:
		m.tick()
	default:
		m.rare(e)
	}
	m.pump()
	return m.out
}

// rare handles what does not happen for every block.
func (m *Mesh) rare(e Event) {
	switch e := e.(type) {
	case SessionUp:
		m.sessionUp(e)
	case SessionDown:
		m.sessionDown(e)
	case DialFailed:
		m.dialFailed(e)
	case Learned:
		m.learnAddr(e)
	case NotesHeard:
		m.notesHeard(e)
	case Misbehaved:
		if p := m.peer(e.Session); p != nil {
			m.ban(p, e.Code, e.Reason)
		}
	case EpochKnown:
		m.learn(e.Epoch)
	case Follow:
		m.choose(e)
	case Condemned:
		m.condemned(e)
	case FaultHeard:
		if p := m.peer(e.Session); p != nil {
			p.knowsFault(e.Epoch)
		}
	case Publishing:
		m.publish(e.Epoch)
	case Fed:
		if p := m.peer(e.Session); p != nil {
			p.fed = m.now
		}
	case Found:
		m.found(e)
	case BlockBad:
		m.bad(e)
	case Leaving:
		m.farewell(e.For)
	case Capped:
		m.cfg.Up = e.Up
		m.up.cap = float64(e.Up) / 8
	}
	m.dial()
	m.maintain()
}

// Next returns when a Tick is wanted at the latest: when the uplink is free for what waits, or after TickEvery.
func (m *Mesh) Next() time.Time {
	next := m.up.ticked.Add(TickEvery)
	if at, ok := m.up.next(); ok && at.Before(next) {
		return at
	}
	return next
}

func (m *Mesh) do(a Action) { m.out = append(m.out, a) }

func (m *Mesh) send(p *peer, x quicwire.Message) { m.do(Send{p.id, x}) }

// tick does what is due. Ticks may come more often than they are wanted.
func (m *Mesh) tick() {
	if m.now.Sub(m.up.ticked) < TickEvery {
		return // it was only for the uplink
	}
	if !m.up.ticked.IsZero() && m.now.Sub(m.up.ticked) > stalledAfter {
		m.stalled()
	}
	m.expire()
	m.estimate()
	m.watch()
	m.release()
	m.maintain()
	m.repair()
	m.defend()
	m.beat()
	m.gossip()
	m.prune()
	m.dial()
	m.up.ticked = m.now
}

// runs returns the epochs of which blocks are pushed here: followed, just left, or signed.
func (m *Mesh) runs() [3]*run { return [3]*run{m.run, m.old, m.own} }

// follow returns what is known of a log of these epochs; nil if it is none of theirs.
func (m *Mesh) follow(log quicwire.LogID) *follow {
	for _, r := range m.runs() {
		if f := r.follow(log); f != nil {
			return f
		}
	}
	return nil
}

// peer returns the peer of a session; nil if it is gone.
func (m *Mesh) peer(id SessionID) *peer {
	i, ok := slices.BinarySearchFunc(m.peers, id, byID)
	if !ok {
		return nil
	}
	return m.peers[i]
}

// byID orders peers.
func byID(p *peer, id SessionID) int { return cmp.Compare(p.id, id) }

// chance draws true with the probability of one in n.
func (m *Mesh) chance(n int) bool { return m.rand.IntN(n) == 0 }

// between draws a time.
func (m *Mesh) between(from, to time.Duration) time.Duration {
	return from + time.Duration(m.rand.Int64N(int64(to-from)))
}

// A bucket holds tokens: rate of them come in a second, up to burst.
type bucket struct {
	rate, burst, level float64
	at                 time.Time
}

// fill lets come in what has come since.
func (b *bucket) fill(now time.Time) {
	if !b.at.IsZero() {
		b.level = min(b.burst, b.level+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
}

// take takes n tokens if there are so many.
func (b *bucket) take(now time.Time, n float64) bool {
	b.fill(now)
	if b.level < n {
		return false
	}
	b.level -= n
	return true
}
