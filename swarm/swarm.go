package swarm

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/discovery"
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
	heads  heads

	snapshot atomic.Pointer[Status] // replaced by loop
	ages     ages
	up       atomic.Uint64            // what SetUp said last
	wanted   atomic.Pointer[[]string] // what Follow said last; nil: nothing

	// All below is owned by loop.
	mesh     *Mesh
	sessions map[SessionID]*session
	group    *errgroup.Group // of everything that Run starts
	work     context.Context // of everything that Run starts
	told     struct {        // what Mesh knows
		current, own *feed.Epoch
		up           uint64
		wanted       *[]string
		traffic      time.Time
		faults       map[feed.EpochID]*feed.Fault
	}
	late  []Event // to be handled after the one that is being handled
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
	s.mesh = NewMesh(MeshConfig{
		Self: s.self, Node: node, Role: cfg.Role, Anchors: cfg.Anchors, Pinned: cfg.Pinned, Renditions: cfg.Renditions, NoShare: cfg.NoShare,
		MaxPeers: cfg.MaxPeers, Silence: s.silence, Up: cfg.Up, Known: cfg.Known, Copies: cfg.Copies, Shelf: s.shelf, Seed: binary.BigEndian.Uint64(node[:]),
		Dialable: cfg.Dialable, Looking: cfg.Looking,
		Sign: func(r quicwire.PeerRecord) quicwire.PeerRecord { return cfg.Endpoint.SignPeer(cfg.Replica.Root(), r) },
	})
	s.up.Store(cfg.Up)
	s.notes.start(cfg.Replica, cfg.Now)
	s.snapshot.Store(s.status())
	return s
}

// Status returns how it goes.
func (s *Swarm) Status() Status { return *s.snapshot.Load() }

// silence returns how long ago the last packet of a session came.
func (s *Swarm) silence(id SessionID) time.Duration {
	if x := s.sessions[id]; x != nil && !x.heard.IsZero() {
		return s.cfg.Now().Sub(x.heard)
	}
	return 0
}

// Follow changes Config.Renditions. What is not wanted any more is followed until what is has begun, 2 s at most.
func (s *Swarm) Follow(renditions []string) { s.wanted.Store(&renditions) }

// SetUp changes Config.Up: bits per second; 0 is no cap.
func (s *Swarm) SetUp(bits uint64) { s.up.Store(bits) }

// Run follows and serves the channel until ctx ends; then it says goodbye to its peers and returns nil. Before, it only returns if the
// Endpoint is closed.
func (s *Swarm) Run(ctx context.Context) error {
	// What is under way goes on while we say goodbye, so it has a context of its own.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.group, s.work = new(errgroup.Group), work
	err := s.serve(ctx)
	stop()
	_ = s.group.Wait() // they report to loop
	s.snapshot.Store(s.last())
	return err
}

// serve is Run but for the end.
func (s *Swarm) serve(ctx context.Context) error {
	defer s.cfg.Endpoint.Register(s.cfg.Replica.Root(), s.hello)()
	broken := make(chan error, 1)
	s.group.Go(func() error {
		broken <- s.accept(s.work)
		return nil
	})
	for _, source := range s.cfg.Sources {
		s.group.Go(func() error { s.search(ctx, source); return nil })
	}
	if err := s.loop(ctx, broken); err != nil {
		return err
	}
	s.farewell()
	return nil
}

// hello is what peers learn of us first.
func (s *Swarm) hello() quicwire.Hello {
	st := s.snapshot.Load()
	h := quicwire.Hello{Role: s.cfg.Role, Notes: s.cfg.Replica.Notes(), Limits: quicwire.Limits{
		Slots: uint32(max(0, st.Slots-st.Used)), Uplink: st.Uplink, Ranges: maxRanges,
	}}
	if s.cfg.NoShare {
		h.Flags, h.Limits = quicwire.NoUpload, quicwire.Limits{}
	}
	return h
}

// search tells loop what a source of peers finds.
func (s *Swarm) search(ctx context.Context, source discovery.Source) {
	err := source.Run(ctx, func(f discovery.Found) {
		e := Learned{Addr: f.Addr, Origin: FromCache}
		if f.LAN {
			e.Origin = FromLAN
		}
		if len(f.Node) == len(feed.PublicKey{}) {
			key := feed.PublicKey(f.Node)
			e.Node = &key
		}
		s.post(ctx, e)
	})
	if err != nil {
		s.cfg.Logger.Warn("one way to find peers is of no use here", "err", err)
	}
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

// loop owns Mesh: it tells it what happens and does what it says, without waiting for anything.
func (s *Swarm) loop(ctx context.Context, broken <-chan error) error {
	s.tick()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		due.Reset(max(0, s.mesh.Next().Sub(s.cfg.Now())))
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return fmt.Errorf("couldn't accept sessions any more: %w", err)
		case e := <-s.events:
			s.take(e)
			s.drain()
		case <-due.C:
			s.tick()
		}
	}
}

// drain takes what else is there, so that the timer is set once for it all.
func (s *Swarm) drain() {
	for range maxEvents {
		select {
		case e := <-s.events:
			s.take(e)
		default:
			return
		}
	}
}

// tick lets Mesh look at the time.
func (s *Swarm) tick() {
	if now := s.cfg.Now(); now.Sub(s.told.traffic) >= TickEvery {
		s.told.traffic = now
		s.handle(s.meter.traffic(s))
	}
	if up := s.up.Load(); up != s.told.up {
		s.told.up = up
		s.handle(Capped{up})
	}
	if w := s.wanted.Load(); w != s.told.wanted {
		s.told.wanted = w
		s.handle(Follow{*w})
	}
	s.handle(Tick{})
	s.meter.tick(s)
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

// handle lets Mesh decide, and does it.
func (s *Swarm) handle(e Event) {
	switch e.(type) {
	case BlockIn, Pushed, Burst, Traffic:
	default:
		s.compareEpochs() // first: Mesh must not choose among peers without knowing what they have just shown
	}
	s.decide(e)
}

func (s *Swarm) decide(e Event) {
	for _, a := range s.mesh.Handle(e, s.cfg.Now()) {
		s.do(a)
	}
	for len(s.late) > 0 {
		e := s.late[0]
		s.late = s.late[1:]
		s.decide(e)
	}
}

func (s *Swarm) push(a Push) {
	if x := s.sessions[a.Session]; x != nil {
		a.Path = slices.Clone(a.Path)
		x.writer.post(a)
	}
}

// compareEpochs tells Mesh of the newest epoch of the Replica, and of the one that we sign, if it does not know them yet.
func (s *Swarm) compareEpochs() {
	s.tellFaults() // before the epoch itself, so that it is not followed for a moment
	e, own := s.notes.newest()
	if own && s.cfg.Role == quicwire.Streamer && e != s.told.own {
		s.told.own = e
		s.decide(Publishing{epochOf(e)})
		ctx := s.work
		s.group.Go(func() error { s.tail(ctx, e, feed.CatalogLog); return nil })
	}
	if e != s.told.current {
		s.told.current = e
		s.decide(EpochKnown{epochOf(e)})
	}
}

// measure counts the lag of a block that came in time.
func (s *Swarm) measure(e BlockIn) {
	now := s.cfg.Now()
	if s.mesh.inTime(e, now) {
		lag := now.Sub(e.Wall)
		s.meter.lags.add(now, lag)
		s.cfg.OnBlock(lag)
	}
}

// do does what Mesh says. Nothing in here waits.
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
	case Push:
		s.push(a)
	case Stop:
		if x := s.sessions[a.Session]; x != nil {
			for _, p := range x.writer.stop(subKey{a.Log, a.Stripe}) {
				s.late = append(s.late, pushedOf(x, p, true))
			}
		}
	case LookUp:
		ctx := s.work
		s.group.Go(func() error { s.lookUp(ctx, a); return nil })
	case Abandon:
		if l := s.shelf.log(a.Log); l != nil {
			l.Abandon(a.Below)
		}
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

// farewell says BYE to all peers, goes on serving for as long as some of them need us, but not for ever, and ends all sessions.
func (s *Swarm) farewell() {
	end := time.NewTimer(s.cfg.Leave)
	defer end.Stop()
	s.handle(Leaving{s.cfg.Leave})
	due := time.NewTimer(TickEvery)
	defer due.Stop()
	for len(s.sessions) > 0 && s.mesh.needed() {
		due.Reset(max(0, s.mesh.Next().Sub(s.cfg.Now())))
		select {
		case e := <-s.events:
			s.take(e)
		case <-due.C:
			s.tick()
		case <-end.C:
			s.hangUp()
			return
		}
	}
	s.hangUp()
}

// hangUp ends all sessions. What their goroutines still report is not heard any more.
func (s *Swarm) hangUp() {
	for _, x := range s.sessions {
		x.wire.Close(quicwire.CodeGoingAway, "the node shuts down")
	}
}
