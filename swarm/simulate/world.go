package simulate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"tailcast/internal/netsim/model"
	"tailcast/swarm"
)

// A World is one run.
type World struct {
	cfg   Config
	rand  *rand.Rand
	queue *model.Queue[event]
	net   *model.Net

	nodes   []*node
	at      map[netip.AddrPort]int32 // nodes by address
	conns   []*conn                  // by the number that net gave; nil: closed
	epochs  []*epoch
	signers []int32 // who signs an epoch
	logs    []*log
	carry   int // bytes of pictures that no block holds yet

	flights slab[flight]
	letters slab[letter]
	pushes  slab[push]
	calls   slab[call]

	anchors []int32 // of the link
	old     int32   // the source of what replayers show; 0: none
	subnets int     // so many /24 are given away

	measure  measure
	circling map[place]time.Duration // since when a place is on a circle
	trace    uint64
	events   uint64
}

// An event is something that will happen; which fields count is for its kind.
type event struct {
	kind kind
	end  uint8
	node int32
	conn int32
	ref  int32
}

type kind uint8

// The kinds of events.
const (
	evTick    kind = iota // node
	evFree                // node, ref its life: its uplink is free
	evComing              // ref a flight: its first packet came a while ago
	evTaken               // conn, end, ref a push: QUIC has taken a block of it
	evStuck               // likewise: it never will
	evReach               // ref a flight: its first packet is there
	evArrive              // ref a flight: all of it is
	evLetter              // conn, end of the sender, ref a letter: its packet is there
	evHeard               // likewise: it is through the downlink
	evUp                  // conn, end: a handshake is over
	evNoDial              // node, ref a call: nobody answered
	evDown                // conn, end: a session has ended
	evIdle                // conn, end: QUIC gives up
	evFound               // node, ref a call: a LookUp
	evDropped             // node, ref a call: a Push that was stopped
	evSign                // ref an epoch
	evBeat                // ref an epoch
	evJoin                // a viewer comes
	evLeave               // node, ref its life: it goes
	evGone                // node, ref its life: it has gone
	evCrash               // many go at once
	evRestart             // the source goes
	evReturn              // the source is there again
	evSecond              // measure
)

// epochStart is when runs begin, for clocks.
var epochStart = time.Unix(1_790_000_000, 0)

func (w *World) now() time.Duration { return w.queue.Now() }

// wall returns what clocks show at a time.
func (w *World) wall(t time.Duration) time.Time { return epochStart.Add(t) }

// later lets an event happen some time from now.
func (w *World) later(d time.Duration, e event) { w.queue.Add(w.now()+d, e) }

// NewWorld prepares a run.
func NewWorld(cfg Config) *World {
	cfg = cfg.withDefaults()
	w := &World{
		cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 7)), queue: model.NewQueue[event](),
		net: model.New(model.Config{Loss: cfg.Loss, Seed: cfg.Seed}), at: make(map[netip.AddrPort]int32), trace: 14695981039346656037,
	}
	w.measure.start(&w.cfg)
	w.conns = append(w.conns, nil) // sessions count from 1
	w.net.Connect(w.net.Add(model.Host{}), 0)
	w.nodes = append(w.nodes, new(node)) // and nodes too, as hosts do
	w.populate()
	return w
}

// Run plays it to the end.
func (w *World) Run() *Result {
	for w.step() {
	}
	return w.result()
}

// step lets the next event happen. It returns false when the time is over.
func (w *World) step() bool {
	e, ok := w.queue.Next()
	if !ok || w.now() > w.cfg.Duration {
		return false
	}
	w.events++
	w.trace = (w.trace ^ uint64(w.now()) ^ uint64(e.kind)<<56 ^ uint64(e.node)<<32 ^ uint64(e.conn)) * 1099511628211
	w.happen(e)
	return true
}

func (w *World) happen(e event) {
	switch e.kind {
	case evTick:
		w.tick(e.node)
	case evFree:
		w.uplinkFree(e)
	case evComing:
		w.coming(e.ref)
	case evTaken, evStuck:
		w.taken(e)
	case evReach:
		w.reach(e.ref)
	case evArrive:
		w.arrive(e.ref)
	case evLetter:
		w.letterReached(e)
	case evHeard:
		w.heard(e)
	default:
		w.happenRarely(e)
	}
}

func (w *World) happenRarely(e event) {
	switch e.kind {
	case evUp:
		w.up(e.conn, e.end)
	case evNoDial, evFound, evDropped:
		w.deliver(e)
	case evDown, evIdle:
		w.down(e)
	case evSign:
		w.signNext(w.epochs[e.ref])
	case evBeat:
		w.beat(w.epochs[e.ref])
	case evJoin:
		w.comes(e)
	case evLeave:
		w.leave(e)
	case evGone:
		w.gone(e)
	case evCrash:
		w.crash()
	case evRestart:
		w.restart()
	case evReturn:
		w.comeBack()
	case evSecond:
		w.second()
	}
}

// tell tells a node's policy what happened, and does what it says.
func (w *World) tell(n *node, e swarm.Event) {
	now := w.wall(w.now())
	for _, a := range n.policy.Handle(e, now) {
		w.do(n, a)
	}
	w.wake(n)
}

// wake sees to it that a node gets its Tick when it wants one.
func (w *World) wake(n *node) {
	at := max(w.now(), n.policy.Next().Sub(epochStart))
	if at < n.tick {
		n.tick = at
		w.queue.Add(at, event{kind: evTick, node: n.index})
	}
}

// tick brings a Tick, if it is still wanted: it may have come earlier.
func (w *World) tick(i int32) {
	n := w.nodes[i]
	if n.tick != w.now() || !n.alive {
		return
	}
	n.tick = model.Never
	if w.now()-n.heard >= swarm.TickEvery {
		n.heard = w.now()
		h := w.net.Host(i)
		w.tell(n, swarm.Traffic{Sent: uint64(h.Sent.Total()), Received: uint64(h.Received)})
	}
	w.tell(n, swarm.Tick{})
}

// do does what a policy says. Nothing in here tells a policy anything: what follows is an event for later.
func (w *World) do(n *node, a swarm.Action) {
	switch a := a.(type) {
	case swarm.Push:
		w.push(n, a)
	case swarm.Send:
		w.send(n, a.Session, a.Message)
	case swarm.Stop:
		w.stop(n, a)
	case swarm.Dial:
		w.dial(n, a)
	case swarm.Close:
		w.close(n, a)
	case swarm.LookUp:
		w.lookUp(n, a)
	case swarm.Abandon: // nobody watches here
	default:
		panic(fmt.Sprintf("simulate: no node does %T", a))
	}
}

// A slab holds things that events refer to by number, and uses places again.
type slab[T any] struct {
	items []T
	free  []int32
}

func (s *slab[T]) add(v T) int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		s.items[i] = v
		return i
	}
	s.items = append(s.items, v)
	return int32(len(s.items) - 1)
}

func (s *slab[T]) get(i int32) *T { return &s.items[i] }

// take returns a thing and forgets it.
func (s *slab[T]) take(i int32) T {
	v := s.items[i]
	var zero T
	s.items[i] = zero
	s.free = append(s.free, i)
	return v
}

// A call is an answer on its way to a node.
type call struct {
	event swarm.Event
	life  int32
}

// soon tells a node something after a while, unless it has gone by then.
func (w *World) soon(n *node, d time.Duration, k kind, e swarm.Event) {
	w.later(d, event{kind: k, node: n.index, ref: w.calls.add(call{e, n.life})})
}

func (w *World) deliver(e event) {
	c := w.calls.take(e.ref)
	if n := w.nodes[e.node]; n.alive && n.life == c.life {
		w.tell(n, c.event)
	}
}

// lookUp looks up what an earlier run has left: nothing, but what this one has.
func (w *World) lookUp(n *node, a swarm.LookUp) {
	var held []uint64
	if l := w.find(&a.Log); l != nil {
		for _, i := range a.Blocks {
			if n.holding(l).held(i) {
				held = append(held, i)
			}
		}
	}
	w.soon(n, time.Millisecond, evFound, swarm.Found{Log: a.Log, Blocks: held})
}
