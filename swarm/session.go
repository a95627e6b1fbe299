package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A session is a quicwire.Session with what runs for it.
type session struct {
	id     SessionID
	wire   *quicwire.Session
	writer *writer
	ranges chan struct{} // one token for each range that is served
	pasts  *rate.Limiter // of ranges of epochs that are not in memory

	rates  rates        // owned by loop
	heard  time.Time    // when a packet was last seen to have come; owned by loop
	bytes  uint64       // that had come by then; owned by loop
	bursts atomic.Int64 // when a Burst was last reported, on the runtime's clock

	// Of comparing heads; owned by the goroutine that takes in messages.
	compares *rate.Limiter
	compared map[quicwire.LogID]uint64 // the size that was compared last
	showed   time.Time                 // when a head of ours was last shown
}

// opened is SessionUp, with the session for loop.
type opened struct {
	SessionUp
	session *session
}

// maxRanges is how many ranges one peer can have under way.
const maxRanges = 4

// name returns the peer's name for logs.
func (x *session) name() string { return shortName(x.wire.Peer()) }

func shortName(k feed.PublicKey) string { return k.String()[:8] }

// converse runs a session until it ends, or ctx does: it reports all that happens on it to loop.
func (s *Swarm) converse(ctx context.Context, wire *quicwire.Session, anchor int) {
	defer context.AfterFunc(ctx, func() { wire.Close(quicwire.CodeGoingAway, "the node shuts down") })()
	hello := wire.Hello()
	epoch, expired, err := s.notes.take(hello.Notes)
	if err != nil {
		wire.Close(quicwire.CodeNotes, err.Error())
		if anchor >= 0 {
			s.post(ctx, DialFailed{anchor, wire.Err()})
		}
		return
	}
	x := &session{
		id: SessionID(s.ids.Add(1)), wire: wire,
		compares: rate.NewLimiter(compareRate, compareBurst), compared: make(map[quicwire.LogID]uint64),
		ranges: make(chan struct{}, maxRanges), pasts: rate.NewLimiter(pastRate, pastBurst),
	}
	x.writer = newWriter(s, x)
	up := SessionUp{
		Session: x.id, Contact: anchor, Peer: wire.Peer(), Addr: wire.Addr().String(), Role: hello.Role, Flags: hello.Flags,
		Limits: hello.Limits, Seen: hello.Seen, Epoch: epoch, Expired: expired, RTT: wire.RTT(), Wall: hello.Wall,
	}
	if !s.post(ctx, opened{up, x}) {
		return
	}
	var all sync.WaitGroup
	all.Go(func() { x.writer.run(ctx) })
	all.Go(func() { s.streams(ctx, x, &all) })
	all.Go(func() { s.fetches(ctx, x, &all) })
	s.messages(ctx, x) // here: one goroutine less, and one stack
	all.Wait()
	wire.Close(quicwire.CodeDone, "") // if it has not ended, ctx has
	s.post(ctx, SessionDown{x.id, wire.Err()})
}

// messages takes in the control stream.
func (s *Swarm) messages(ctx context.Context, x *session) {
	for {
		m, err := x.wire.Receive(ctx)
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *quicwire.Notes:
			epoch, expired, err := s.notes.take(m.Notes)
			if err != nil {
				s.post(ctx, Misbehaved{x.id, quicwire.CodeNotes, err.Error()})
			} else {
				s.post(ctx, NotesHeard{x.id, epoch, expired})
			}
		case *quicwire.Status:
			s.checkStatus(ctx, x, m)
		case *quicwire.Pex:
			m.Peers = slices.DeleteFunc(m.Peers, func(r quicwire.PeerRecord) bool { return r.Verify(s.cfg.Replica.Root(), s.cfg.Now()) != nil })
			s.post(ctx, Heard{Session: x.id, Message: m, RTT: x.wire.RTT()})
		case *quicwire.Fork:
			s.heardFork(ctx, x, m)
		case *quicwire.Fault:
			s.heardFault(ctx, x, m)
		default:
			s.post(ctx, Heard{Session: x.id, Message: m, RTT: x.wire.RTT()})
		}
	}
}

// checkStatus verifies the signed head of a Status, if there is one.
func (s *Swarm) checkStatus(ctx context.Context, x *session, m *quicwire.Status) {
	e := s.cfg.Replica.Epoch(m.Log.Epoch)
	if e == nil {
		return // of an epoch that we do not know, or know no more
	}
	proved := m.Signed != nil
	if proved {
		head := feed.Head{Size: m.Size, Root: m.Signed.Root, Signature: m.Signed.Signature}
		if !s.signed(e, m.Log, head) {
			s.post(ctx, Misbehaved{x.id, quicwire.CodeBadBlock, fmt.Sprintf("the head of size %d in a STATUS is not signed", m.Size)})
			return
		}
	}
	s.post(ctx, Heard{Session: x.id, Message: m, RTT: x.wire.RTT(), Proved: proved})
	s.compare(x, m)
}

// streams takes in the streams on which blocks come, each in a goroutine; quicwire bounds their number.
func (s *Swarm) streams(ctx context.Context, x *session, all *sync.WaitGroup) {
	for {
		r, err := x.wire.AcceptStripe(ctx)
		if err != nil {
			return
		}
		all.Go(func() { s.blocks(ctx, x, r) })
	}
}

// blocks takes in the blocks of one stream.
func (s *Swarm) blocks(ctx context.Context, x *session, r *quicwire.StripeReader) {
	h, err := r.Header()
	if err != nil {
		return
	}
	l := s.shelf.log(h.Log)
	if l == nil {
		r.Reset(quicwire.StreamUnsolicited)
		return
	}
	for {
		b, err := s.read(ctx, x, &h, r)
		if err != nil {
			s.noRecord(l, err)
			return
		}
		if !s.block(ctx, x, l, &h, &b) {
			r.Reset(quicwire.StreamDone) // or what comes on it would wait for ever, and take up the window
			return
		}
	}
}

// read reads a block, and notes how fast it came.
func (s *Swarm) read(ctx context.Context, x *session, h *quicwire.StripeHeader, r *quicwire.StripeReader) (quicwire.StripeBlock, error) {
	b, err := r.ReadHead()
	if err != nil {
		return b, err
	}
	began := time.Now()
	late := time.AfterFunc(ComingAfter, func() { s.post(ctx, Coming{x.id, h.Log, b.Index}) })
	err = r.ReadPayload(&b)
	late.Stop()
	if err != nil {
		return b, err
	}
	took, last := time.Since(began), x.bursts.Load()
	if now := began.UnixNano(); len(b.Payload) >= burstLeast && took > 0 && now-last > int64(burstsEvery) && x.bursts.CompareAndSwap(last, now) {
		s.post(ctx, Burst{x.id, uint64(8 * float64(len(b.Payload)) / took.Seconds())})
	}
	return b, nil
}

const (
	burstLeast  = 3000 // bytes of payload: fewer packets tell nothing
	burstsEvery = 500 * time.Millisecond
)

// block verifies a block, stores it, and reports it to loop. It returns false if nothing more is wanted from its stream.
func (s *Swarm) block(ctx context.Context, x *session, l *feed.Log, h *quicwire.StripeHeader, b *quicwire.StripeBlock) bool {
	age := b.Age + x.wire.RTT()/2
	s.ages.note(l, b.Index, time.Now().Add(-age))
	fresh, err := l.Put(b.Block, b.Frontier)
	if err != nil {
		signer := errors.As(err, new(*feed.Fault))
		s.post(ctx, BlockBad{Session: x.id, Log: h.Log, Index: b.Index, Err: err, Signer: signer})
		return false
	}
	return s.post(ctx, BlockIn{
		Session: x.id, Log: h.Log, Index: b.Index, Kind: b.Record.Kind, Back: b.Record.Back, Wall: time.UnixMicro(b.Record.Wall),
		Size: len(b.Payload), Age: age, Path: b.Path, Fresh: fresh, Repaired: h.Repair,
	})
}
