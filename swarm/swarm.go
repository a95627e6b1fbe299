package swarm

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A Swarm follows one channel and serves it. Its methods may be called concurrently.
type Swarm struct {
	cfg    Config
	self   quicwire.ShortID
	shelf  shelf
	events chan Event // from the sessions' goroutines to loop; who finds it full waits, and with it that session
	ids    atomic.Uint64
	notes  notes

	snapshot atomic.Pointer[Status] // replaced by loop
	skipped  atomic.Uint64
	ages     ages

	// All below is owned by loop.
	direct   *Direct
	sessions map[SessionID]*session
	group    *errgroup.Group // of everything that Run starts
	work     context.Context // of everything that Run starts
	told     struct {        // what Direct knows
		current, own *feed.Epoch
		faults       map[feed.EpochID]*feed.Fault
	}
	meter meter
}

// maxEvents is how many events wait for loop at most.
const maxEvents = 256

// New returns a Swarm that does nothing before Run.
func New(cfg Config) *Swarm {
	cfg = cfg.withDefaults()
	s := &Swarm{
		cfg: cfg, self: cfg.Endpoint.ShortID(), shelf: shelf{cfg.Replica},
		events: make(chan Event, maxEvents), sessions: make(map[SessionID]*session),
	}
	node := cfg.Endpoint.Node()
	s.direct = NewDirect(DirectConfig{
		Self: s.self, Anchors: cfg.Anchors, Renditions: cfg.Renditions, NoShare: cfg.NoShare, MaxPeers: cfg.MaxPeers,
		Publisher: cfg.Role == quicwire.Streamer, Shelf: s.shelf, Seed: binary.BigEndian.Uint64(node[:]),
	})
	s.notes.start(cfg.Replica, cfg.Now)
	s.snapshot.Store(s.status())
	return s
}

// Status returns how it goes.
func (s *Swarm) Status() Status { return *s.snapshot.Load() }

// Run follows and serves the channel until ctx ends; then it says goodbye to its peers and returns nil. Before, it only returns if the
// Endpoint is closed.
func (s *Swarm) Run(ctx context.Context) error {
	// What is under way goes on while we say goodbye, so it has a context of its own.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.group, s.work = new(errgroup.Group), work
	defer s.group.Wait()
	defer stop()
	defer s.cfg.Endpoint.Register(s.cfg.Replica.Root(), s.hello)()
	broken := make(chan error, 1)
	s.group.Go(func() error {
		broken <- s.accept(work)
		return nil
	})
	if err := s.loop(ctx, broken); err != nil {
		return err
	}
	s.farewell()
	return nil
}

// hello is what peers learn of us first.
func (s *Swarm) hello() quicwire.Hello {
	h := quicwire.Hello{Role: s.cfg.Role, Notes: s.cfg.Replica.Notes(), Limits: quicwire.Limits{
		Slots: uint32(s.cfg.MaxPeers * quicwire.MaxStripes), Ranges: maxRanges,
	}}
	if s.cfg.NoShare {
		h.Flags, h.Limits = quicwire.NoUpload, quicwire.Limits{}
	}
	return h
}

// accept takes inbound sessions until ctx ends or the Endpoint is closed.
func (s *Swarm) accept(ctx context.Context) error {
	for {
		wire, err := s.cfg.Accept(ctx)
		if err != nil {
			return err
		}
		if wire.Root() != s.cfg.Replica.Root() {
			wire.Close(quicwire.CodeInternal, "this channel is not followed here any more")
			continue
		}
		s.group.Go(func() error { s.converse(ctx, wire, -1); return nil })
	}
}

// dial makes a session with an anchor.
func (s *Swarm) dial(ctx context.Context, a Dial) {
	timeout, cancel := context.WithTimeout(ctx, a.Timeout)
	wire, err := s.cfg.Endpoint.Dial(timeout, s.cfg.Replica.Root(), a.Addr, a.Node, s.hello())
	cancel()
	if err != nil {
		s.post(ctx, DialFailed{a.Contact, err})
		return
	}
	s.converse(ctx, wire, a.Contact)
}

// post hands an event to loop. It returns false if nobody takes it any more.
func (s *Swarm) post(ctx context.Context, e Event) bool {
	select {
	case s.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// loop owns Direct: it tells it what happens and does what it says, without waiting for anything.
func (s *Swarm) loop(ctx context.Context, broken <-chan error) error {
	tick := time.NewTicker(TickEvery)
	defer tick.Stop()
	s.handle(Tick{})
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return fmt.Errorf("couldn't accept sessions any more: %w", err)
		case e := <-s.events:
			s.take(e)
		case <-tick.C:
			s.handle(Tick{})
			s.meter.tick(s)
		}
	}
}

// take handles an event of the sessions' goroutines, and what it shows of epochs.
func (s *Swarm) take(e Event) {
	switch e := e.(type) {
	case opened:
		s.sessions[e.session.id] = e.session
		s.handle(e.SessionUp)
	case SessionDown:
		s.handle(e)
		s.meter.ended(s.sessions[e.Session])
		delete(s.sessions, e.Session)
	case BlockIn:
		s.handle(e)
		s.measure(e)
	default:
		s.handle(e)
	}
}

// handle lets Direct decide, and does it.
func (s *Swarm) handle(e Event) {
	if _, block := e.(BlockIn); !block {
		s.compareEpochs() // first: Direct must not choose among peers without knowing what they have just shown
	}
	s.decide(e)
}

func (s *Swarm) decide(e Event) {
	for _, a := range s.direct.Handle(e, s.cfg.Now()) {
		s.do(a)
	}
}

// compareEpochs tells Direct of the newest epoch of the Replica, and of the one that we sign, if it does not know them yet.
func (s *Swarm) compareEpochs() {
	s.tellFaults() // before the epoch itself, so that it is not followed for a moment
	e, own := s.notes.newest()
	if own && s.cfg.Role == quicwire.Streamer && e != s.told.own {
		s.told.own = e
		s.decide(Publishing{epochOf(e)})
	}
	if e != s.told.current {
		s.told.current = e
		s.decide(EpochKnown{epochOf(e)})
	}
}

// measure counts the lag of a block that came in time.
func (s *Swarm) measure(e BlockIn) {
	now := s.cfg.Now()
	if s.direct.inTime(e, now) {
		lag := now.Sub(e.Wall)
		s.meter.lags.add(now, lag)
		s.cfg.OnBlock(lag)
	}
}

// do does what Direct says. Nothing in here waits.
func (s *Swarm) do(a Action) {
	switch a := a.(type) {
	case Dial:
		ctx := s.work
		s.group.Go(func() error { s.dial(ctx, a); return nil })
	case Close:
		if x := s.sessions[a.Session]; x != nil {
			s.cfg.Logger.Debug("closing a session", "peer", x.name(), "code", a.Code.String(), "reason", a.Reason)
			x.wire.Close(a.Code, a.Reason)
		}
	case Send:
		s.send(s.sessions[a.Session], a.Message)
	case Serve:
		s.serve(s.sessions[a.Session], a)
	case Stop:
		if x := s.sessions[a.Session]; x != nil {
			x.tell(a.Log, a.Stripe, a)
		}
	case Reroute:
		if x := s.sessions[a.Session]; x != nil {
			x.tell(a.Log, a.Stripe, a)
		}
	case Repair:
		s.repair(s.sessions[a.Session], a.Req)
	case LookUp:
		ctx := s.work
		s.group.Go(func() error { s.lookUp(ctx, a); return nil })
	}
}

// lookUp looks up what an earlier run has left.
func (s *Swarm) lookUp(ctx context.Context, a LookUp) {
	l := s.shelf.log(a.Log)
	if l == nil {
		return
	}
	held := slices.DeleteFunc(a.Blocks, func(i uint64) bool { return !l.Has(i) })
	s.post(ctx, Found{a.Log, held})
}

func (s *Swarm) send(x *session, m quicwire.Message) {
	if x == nil {
		return
	}
	if err := x.wire.Send(m); err != nil && x.wire.Err() == nil {
		s.cfg.Logger.Error("couldn't send a message", "peer", x.name(), "err", err)
	}
}

// goodbye is how long peers have to look for others when we go.
const goodbye = 500 * time.Millisecond

// farewell says BYE to all peers, goes on serving for a moment, and ends all sessions.
func (s *Swarm) farewell() {
	ctx, cancel := context.WithTimeout(s.work, goodbye)
	defer cancel()
	var all errgroup.Group
	for _, x := range s.sessions {
		all.Go(func() error {
			x.wire.Shutdown(ctx, &quicwire.Bye{Reason: "the node shuts down", Leaving: goodbye})
			return nil
		})
	}
	// Peers that close at once would wait for those of our goroutines that report to loop.
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for {
		select {
		case <-s.events:
		case <-done:
			return
		}
	}
}
