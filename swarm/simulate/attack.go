package simulate

import (
	"slices"
	"time"

	"tailcast/quicwire"
	"tailcast/swarm"
)

// An Attack is what hostile nodes do. Each is a Mesh, so that it adapts as honest ones do, with an attacker around it that changes what it
// says and does.
type Attack string

// The attacks.
const (
	Liar       Attack = "liar"       // claims a wide uplink and everything at once, takes on everybody, pushes nothing
	Withholder Attack = "withholder" // pushes all stripes but one
	Slow       Attack = "slow"       // pushes everything 490 ms late, just below the thresholds
	Leaky      Attack = "leaky"      // drops 9 % of what it pushes, likewise
	Refuser    Attack = "refuser"    // claims places, refuses every SUB and REQ
	Polluter   Attack = "polluter"   // pushes what does not verify
	Squatter   Attack = "squatter"   // a liar that goes for the source's places, and says that every block is there
	Replayer   Attack = "replayer"   // shows yesterday's epoch as if it were live, and nothing else
	Eclipse    Attack = "eclipse"    // a liar that tells of its own kind only
	Flooder    Attack = "flooder"    // asks everybody for everything, as fast as it may
	Sybil      Attack = "sybil"      // an eclipse of many nodes in four subnets
)

// Attacks lists all of them.
var Attacks = []Attack{Liar, Withholder, Slow, Leaky, Refuser, Polluter, Squatter, Replayer, Eclipse, Flooder, Sybil}

// lies reports whether an attacker claims what it does not have.
func (a Attack) lies() bool { return slices.Contains([]Attack{Liar, Squatter, Eclipse, Sybil}, a) }

// makeHostile makes an attacker of a person.
func (w *World) makeHostile(p *person) {
	p.kind, p.noUpload = hostileNode, false
	if w.cfg.Attack == Sybil {
		p.subnet = 1 + w.rand.IntN(4)
	}
}

// pollutes reports whether what a node passes on does not verify.
func (n *node) pollutes() bool {
	a, ok := n.policy.(*attacker)
	return ok && a.kind == Polluter && a.active()
}

// deaf reports whether a node does not want to know of an epoch.
func (n *node) deaf(e *epoch) bool {
	a, ok := n.policy.(*attacker)
	return ok && a.kind == Replayer && e.live()
}

const (
	claimTimes  = 20 // streams of uplink that a liar claims
	claimSlots  = 50
	claimLag    = 30 * time.Millisecond
	slowBy      = 490 * time.Millisecond
	leak        = 0.09
	squatEvery  = 600 * time.Millisecond // as many SUBs as quicwire allows
	floodBlocks = 64
	floodTicks  = 3 // REQs to each peer in a tick
)

// An attacker is a Policy around another one.
type attacker struct {
	inner  Policy
	world  *World
	node   *node
	kind   Attack
	out    []swarm.Action
	inside []swarm.Action
	facts  []swarm.Event // to be told to inner
	held   []heldPush
	source swarm.SessionID // with the source; 0: none
	peers  []swarm.SessionID
	next   time.Time // when it acts by itself
	asked  uint64
}

// A heldPush is one that goes later.
type heldPush struct {
	push swarm.Push
	due  time.Time
}

func (a *attacker) active() bool { return a.world.now() >= a.world.cfg.AttackFrom }

// Figures is what its HELLO says.
func (a *attacker) Figures() (uplink uint64, slots, used int) {
	if a.kind.lies() && a.active() {
		return uint64(claimTimes * a.world.cfg.Stream.Rate), claimSlots, 0
	}
	if f, ok := a.inner.(figures); ok {
		uplink, slots, used = f.Figures()
	}
	if a.kind == Refuser && a.active() {
		slots = used + claimSlots
	}
	return uplink, slots, used
}

// Next is when the inner one, or what is held, is due.
func (a *attacker) Next() time.Time {
	next := a.inner.Next()
	if len(a.held) > 0 && a.held[0].due.Before(next) {
		return a.held[0].due
	}
	return next
}

// Handle lets the inner one decide, and changes what it says.
func (a *attacker) Handle(e swarm.Event, now time.Time) []swarm.Action {
	a.out = a.out[:0]
	a.note(e)
	a.tell(e, now)
	for len(a.facts) > 0 {
		e := a.facts[0]
		a.facts = a.facts[1:]
		a.tell(e, now)
	}
	for len(a.held) > 0 && !now.Before(a.held[0].due) {
		a.out = append(a.out, a.held[0].push)
		a.held = a.held[1:]
	}
	if _, tick := e.(swarm.Tick); tick && a.active() {
		a.act(now)
	}
	return a.out
}

// note remembers whom it knows.
func (a *attacker) note(e swarm.Event) {
	switch e := e.(type) {
	case swarm.SessionUp:
		a.peers = append(a.peers, e.Session)
		if e.Role == quicwire.Streamer && e.Peer == a.world.source().key {
			a.source = e.Session
		}
	case swarm.SessionDown:
		a.peers = slices.DeleteFunc(a.peers, func(id swarm.SessionID) bool { return id == e.Session })
		if a.source == e.Session {
			a.source = 0
		}
		a.held = slices.DeleteFunc(a.held, func(h heldPush) bool { return h.push.Session == e.Session })
	}
}

// tell lets the inner one decide.
func (a *attacker) tell(e swarm.Event, now time.Time) {
	a.inside = append(a.inside[:0], a.inner.Handle(e, now)...)
	for _, x := range a.inside {
		if a.active() {
			x = a.alter(x, now)
		}
		if x != nil {
			a.out = append(a.out, x)
		}
	}
}

// alter changes an action; nil: it is not done.
func (a *attacker) alter(x swarm.Action, now time.Time) swarm.Action {
	switch x := x.(type) {
	case swarm.Push:
		return a.push(x, now)
	case swarm.Send:
		if m := a.message(x); m != nil {
			return swarm.Send{Session: x.Session, Message: m}
		}
		return nil
	}
	return x
}

// push is what becomes of a Push. The inner one believes that it was done.
func (a *attacker) push(x swarm.Push, now time.Time) swarm.Action {
	if l := a.world.find(&x.Log); l == nil || l != l.epoch.media {
		return x
	}
	mine := func(i uint64) bool {
		return i%uint64(a.world.cfg.Stream.Stripes) == uint64(a.node.index)%uint64(a.world.cfg.Stream.Stripes)
	}
	switch {
	case a.kind.lies(), a.kind == Refuser, a.kind == Withholder && slices.ContainsFunc(x.Blocks, mine), a.kind == Leaky && a.world.rand.Float64() < leak:
		a.facts = append(a.facts, swarm.Pushed{Session: x.Session, Log: x.Log, Bytes: x.Bytes})
		return nil
	case a.kind == Slow:
		a.held = append(a.held, heldPush{x, now.Add(slowBy)})
		return nil
	}
	return x
}

// message is what becomes of a message; nil: it is not sent.
func (a *attacker) message(x swarm.Send) quicwire.Message {
	switch m := x.Message.(type) {
	case *quicwire.Status:
		return a.status(*m)
	case *quicwire.SubNo:
		if a.kind.lies() {
			return &quicwire.SubOK{Log: m.Log, Stripe: m.Stripe, First: a.edge(), Lag: claimLag, Path: a.path()}
		}
	case *quicwire.SubOK:
		if a.kind.lies() {
			return &quicwire.SubOK{Log: m.Log, Stripe: m.Stripe, First: m.First, Lag: claimLag, Path: a.path()}
		}
		if a.kind == Refuser {
			return &quicwire.SubNo{Log: m.Log, Stripe: m.Stripe, Reason: quicwire.RefusedBusy}
		}
	case *quicwire.Pong:
		if a.kind.lies() {
			return &quicwire.Pong{ID: m.ID, Log: m.Log, Stripe: m.Stripe, Flows: true, Has: true, Next: a.edge(), Lag: claimLag}
		}
	case *quicwire.Unsub:
		if a.kind == Squatter && x.Session == a.source {
			return nil
		}
	case *quicwire.Pex:
		if a.kind == Eclipse || a.kind == Sybil {
			return a.pex()
		}
	}
	return x.Message
}

// status is a better one than the truth.
func (a *attacker) status(m quicwire.Status) quicwire.Message {
	switch {
	case a.kind.lies():
		m.Lags = slices.Repeat([]time.Duration{claimLag}, len(m.Lags))
		m.Homes, m.Slots, m.Backlog = 1<<len(m.Lags)-1, claimSlots, 0
		if l := a.world.find(&m.Log); l != nil && m.Signed == nil {
			m.Size = uint64(len(l.blocks))
		}
	case a.kind == Refuser:
		m.Slots, m.Backlog = claimSlots, 0
	}
	return &m
}

// edge returns how far the stream is.
func (a *attacker) edge() uint64 { return uint64(len(a.world.source().newest.media.blocks)) }

// path is that of one who has it from the source.
func (a *attacker) path() []quicwire.ShortID {
	return []quicwire.ShortID{a.world.source().short, a.node.short}
}

// pex names the attacker's own kind.
func (a *attacker) pex() quicwire.Message {
	m := new(quicwire.Pex)
	gang := a.world.alive(hostileNode)
	for range min(quicwire.MaxPeers, len(gang)) {
		n := gang[a.world.rand.IntN(len(gang))]
		m.Peers = append(m.Peers, quicwire.PeerRecord{
			Node: n.key, Addr: n.addr, Role: quicwire.Viewer, Expires: a.world.wall(a.world.now()).Add(30 * time.Minute).Unix(),
		})
	}
	return m
}

// act is what it does by itself.
func (a *attacker) act(now time.Time) {
	if now.Before(a.next) {
		return
	}
	switch a.kind {
	case Squatter:
		a.next = now.Add(squatEvery)
		a.squat()
	case Flooder:
		a.next = now.Add(swarm.TickEvery)
		a.flood()
	}
}

// squat asks the source for every place.
func (a *attacker) squat() {
	if a.source == 0 {
		return
	}
	l := a.world.source().newest.media
	for i := range l.stripes {
		a.out = append(a.out, swarm.Send{Session: a.source, Message: &quicwire.Sub{
			Log: l.id, Stripe: uint8(i), Stripes: uint8(l.stripes), Start: quicwire.StartNext, Home: true, Patience: 2 * time.Second,
		}})
	}
}

// flood asks everybody for the newest blocks.
func (a *attacker) flood() {
	l := a.world.source().newest.media
	if len(l.blocks) < floodBlocks {
		return
	}
	var blocks []uint64
	for i := range uint64(floodBlocks) {
		blocks = append(blocks, uint64(len(l.blocks))-floodBlocks+i)
	}
	for _, id := range a.peers {
		for range floodTicks {
			a.asked++
			a.out = append(a.out, swarm.Send{Session: id, Message: &quicwire.Req{ID: 1<<40 + a.asked, Log: l.id, Orphan: true, Blocks: blocks}})
		}
	}
}

// yesterday brings the source that signs yesterday's epoch, for those that replay it.
func (w *World) yesterday() {
	rate := w.cfg.Stream.Rate
	n := w.make(person{kind: oldSource, up: 20 * rate, down: fastDown * rate})
	w.old = n.index
	w.begin(n)
	w.air(n, true)
}

// live reports whether an epoch is one of the real source's.
func (e *epoch) live() bool { return e.name.Number >= firstNumber }
