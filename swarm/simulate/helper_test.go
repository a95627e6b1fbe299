package simulate

import (
	"fmt"
	"testing"
	"time"

	"tailcast/quicwire"
	"tailcast/swarm"
)

// A puppet is a Policy that notes what it is told, and does what a test says.
type puppet struct {
	now    time.Time
	heard  []heardEvent
	script func(e swarm.Event) []swarm.Action // if not nil, what to do about an event
	todo   []swarm.Action                     // to be done at the next event
	uplink uint64
	over   int // so many more stripes than usual are pushed
}

// A heardEvent is an event and when it came.
type heardEvent struct {
	at    time.Duration
	event swarm.Event
}

func (p *puppet) Handle(e swarm.Event, now time.Time) []swarm.Action {
	p.now = now
	p.heard = append(p.heard, heardEvent{now.Sub(epochStart), e})
	out := p.todo
	p.todo = nil
	if p.script != nil {
		out = append(out, p.script(e)...)
	}
	return out
}

func (p *puppet) Next() time.Time { return p.now.Add(swarm.TickEvery) }

func (p *puppet) Figures() (uint64, int, int) { return p.uplink, 9, 2 + p.over }

// all returns the events of one type that a puppet was told, with their times.
func all[E swarm.Event](p *puppet) (at []time.Duration, list []E) {
	for _, h := range p.heard {
		if e, ok := h.event.(E); ok {
			at, list = append(at, h.at), append(list, e)
		}
	}
	return at, list
}

// only returns the one event of a type that a puppet was told.
func only[E swarm.Event](t *testing.T, p *puppet) (time.Duration, E) {
	t.Helper()
	at, list := all[E](p)
	if len(list) != 1 {
		t.Fatalf("%d events %T, want one: %v", len(list), *new(E), p.heard)
	}
	return at[0], list[0]
}

// A stage is a World of puppets: the source, which signs, and those that a test joins.
type stage struct {
	*World
	t       *testing.T
	puppets map[quicwire.ShortID]*puppet
}

// newStage returns a World without loss, in which nobody comes by himself.
func newStage(t *testing.T, cfg Config) *stage {
	s := &stage{t: t, puppets: make(map[quicwire.ShortID]*puppet)}
	cfg.New = func(c NodeConfig) Policy {
		s.puppets[c.Self] = &puppet{now: epochStart}
		return s.puppets[c.Self]
	}
	cfg.Viewers, cfg.Anchors, cfg.Session, cfg.Seed = -1, -1, -1, 1
	if cfg.Loss == 0 {
		cfg.Loss = -1
	}
	s.World = NewWorld(cfg)
	return s
}

// add joins a viewer whose access links are no bottleneck.
func (s *stage) add(change func(*person)) (*node, *puppet) {
	p := person{up: 100e6, down: 100e6}
	if change != nil {
		change(&p)
	}
	n := s.join(p)
	return n, s.puppets[n.short]
}

// pass lets time pass.
func (s *stage) pass(d time.Duration) {
	end := s.now() + d
	s.queue.Add(end, event{kind: evTick}) // of nobody
	for s.now() < end && s.step() {
	}
}

// act lets a puppet do something now.
func (s *stage) act(n *node, list ...swarm.Action) {
	s.t.Helper()
	for _, a := range list {
		s.do(n, a)
	}
}

// meet makes a session that a dials, and returns its ids at both ends.
func (s *stage) meet(a, b *node) (swarm.SessionID, swarm.SessionID) {
	s.t.Helper()
	s.act(a, swarm.Dial{Contact: 7, Addr: b.addr.String()})
	s.pass(time.Second)
	_, ups := all[swarm.SessionUp](s.puppets[a.short])
	_, upsB := all[swarm.SessionUp](s.puppets[b.short])
	if len(ups) == 0 || len(upsB) == 0 {
		s.t.Fatalf("no session: %v", s.puppets[a.short].heard)
	}
	return ups[len(ups)-1].Session, upsB[len(upsB)-1].Session
}

// rtt returns the round trip between two nodes.
func (s *stage) rtt(a, b *node) time.Duration { return s.net.RTT(a.index, b.index) }

// near fails if a time is not another, but for so much.
func near(t *testing.T, what string, got, want, by time.Duration) {
	t.Helper()
	if (got - want).Abs() > by {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// media returns the log that the source signs.
func (s *stage) media() *log { return s.source().signs.media }

// serve lets the source push blocks to a session, one after the other.
func (s *stage) serve(id swarm.SessionID, blocks ...uint64) {
	l := s.media()
	for _, i := range blocks {
		s.act(s.source(), swarm.Push{
			Session: id, Log: l.id, Stripe: uint8(i % uint64(l.stripes)), Stripes: uint8(l.stripes), Blocks: []uint64{i}, Bytes: 9000,
			Path: []quicwire.ShortID{s.source().short},
		})
	}
}

func (p *puppet) String() string { return fmt.Sprint(p.heard) }
