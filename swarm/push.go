package swarm

import (
	"context"
	"errors"
	"sync"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A pusher pushes the stripes of one log to one peer, each block as soon as it is in the log. It is one goroutine that the log itself
// wakes, so a block that was verified waits for nobody. What loop wants of it goes into its inbox: loop never waits for it, and it alone
// reads the log, which may lead to the disk.
//
// What is full or slow is the peer's: a write waits for it, for pushDeadline at most, and nobody else waits. Meanwhile blocks are not
// queued anywhere, they are in the log. Who falls behind is taken to the newest segment.
type pusher struct {
	swarm   *Swarm
	session *session
	id      quicwire.LogID
	log     *feed.Log
	wake    chan struct{} // one token: there is something in inbox

	mu      sync.Mutex             // guards inbox, writing and ended; held for moments
	inbox   []Action               // Serve, Stop and Reroute; as many as the peer may send SUBs while one write waits
	writing *quicwire.StripeWriter // the stream of the write that waits; nil: none
	ended   bool                   // the goroutine takes nothing from inbox any more

	// The rest is owned by the goroutine.
	stripes uint64 // of the log
	pushed  map[uint8]*pushed
}

// A pushed is one stripe on its way to a peer. It is owned by its pusher, and by the next one of the log when that has ended.
type pushed struct {
	next     uint64    // index of the next block
	began    time.Time // when the subscriber was last let choose where to begin
	path     []quicwire.ShortID
	patience time.Duration
	writer   *quicwire.StripeWriter // nil: the next block opens a stream
}

const (
	pushDeadline = 2 * time.Second       // for a block to be taken by QUIC
	pushLook     = 64                    // blocks of a stripe that are looked past for one that is held
	pushRetry    = 50 * time.Millisecond // when the peer lets us open no more streams
	leastWait    = 500 * time.Millisecond
	mostWait     = 10 * time.Second // more patience than this is for DVR, by ranges
	rewindEvery  = 2 * time.Second  // SUBs sooner than this after another do not get the same blocks again
)

// serve begins to push a stripe, and tells the peer.
func (s *Swarm) serve(x *session, a Serve) {
	if x == nil {
		return
	}
	l := s.shelf.log(a.Sub.Log)
	if l == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.pushers[a.Sub.Log]; p != nil && p.post(a, a.Sub.Stripe) {
		return
	}
	p := &pusher{
		swarm: s, session: x, id: a.Sub.Log, log: l, wake: make(chan struct{}, 1),
		stripes: uint64(a.Sub.Stripes), pushed: make(map[uint8]*pushed),
	}
	p.post(a, a.Sub.Stripe)
	x.pushers[a.Sub.Log] = p
	ctx := s.work
	s.group.Go(func() error { p.run(ctx); return nil })
}

// tell hands a Stop or Reroute to the pusher of a log, if there is one.
func (x *session) tell(log quicwire.LogID, stripe uint8, a Action) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.pushers[log]; p != nil {
		p.post(a, stripe)
	}
}

// post puts an action into the inbox, and ends the write that it makes pointless. It returns false if p has ended.
func (p *pusher) post(a Action, stripe uint8) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.inbox = append(p.inbox, a)
	if _, same := a.(Reroute); !same && p.writing != nil && p.writing.Header().Stripe == stripe {
		p.writing.Reset(quicwire.StreamGoingAway)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return true
}

// take does what is in the inbox. It returns true, once and for all, if nothing is to be pushed any more.
func (p *pusher) take() (ended bool) {
	for {
		p.mu.Lock()
		inbox := p.inbox
		p.inbox = nil
		p.ended = p.ended || len(inbox) == 0 && len(p.pushed) == 0
		ended = p.ended
		p.mu.Unlock()
		if len(inbox) == 0 {
			return ended
		}
		for _, a := range inbox {
			p.do(a)
		}
	}
}

func (p *pusher) do(a Action) {
	switch a := a.(type) {
	case Serve:
		p.begin(a)
	case Stop:
		p.end(a.Stripe)
	case Reroute:
		if t := p.pushed[a.Stripe]; t != nil {
			t.path = a.Path
		}
	}
}

// begin begins a stripe where the subscriber wants it, and says SUBOK.
func (p *pusher) begin(a Serve) {
	stripe, patience := a.Sub.Stripe, min(max(a.Sub.Patience, leastWait), mostWait)
	p.end(stripe)
	t := &pushed{next: p.start(&a.Sub, patience), began: time.Now(), path: a.OK.Path, patience: patience}
	if was := p.session.remember(subKey{p.id, stripe}, t); was != nil && t.began.Sub(was.began) < rewindEvery {
		t.next, t.began = max(t.next, was.next), was.began
	}
	p.pushed[stripe] = t
	a.OK.First = t.next
	p.swarm.send(p.session, &a.OK)
}

// remember keeps what was begun to be pushed last for a stripe, and returns the one before.
func (x *session) remember(key subKey, t *pushed) (was *pushed) {
	x.mu.Lock()
	defer x.mu.Unlock()
	was, x.last[key] = x.last[key], t
	return was
}

// end ends a stripe.
func (p *pusher) end(stripe uint8) {
	if t := p.pushed[stripe]; t != nil {
		t.reset(quicwire.StreamGoingAway)
	}
	delete(p.pushed, stripe)
}

// reset ends the stream of a stripe at once, if there is one.
func (t *pushed) reset(code quicwire.StreamCode) {
	if t.writer != nil {
		t.writer.Reset(code)
		t.writer = nil
	}
}

// close ends the stream of a stripe after what has been sent, if there is one.
func (t *pushed) close() {
	if t.writer != nil {
		t.writer.Close()
		t.writer = nil
	}
}

// start returns the first block of a subscription.
func (p *pusher) start(m *quicwire.Sub, patience time.Duration) uint64 {
	size := p.log.Head().Size
	newest, ok := p.log.NewestSegment()
	if !ok {
		newest = size
	}
	switch {
	case m.Start == quicwire.StartNext:
		return p.align(size, m.Stripe)
	case m.Start == quicwire.StartIndex && (m.From >= newest || p.recent(m.From, patience)):
		return p.align(m.From, m.Stripe)
	}
	return p.align(newest, m.Stripe)
}

// align returns the first index from i on that is of a stripe.
func (p *pusher) align(i uint64, stripe uint8) uint64 {
	return i + (uint64(stripe)+p.stripes-i%p.stripes)%p.stripes
}

// recent reports whether block i was signed at most so long before the newest one.
func (p *pusher) recent(i uint64, within time.Duration) bool {
	size := p.log.Head().Size
	if i >= size || size-i > maxHoles {
		return false // not held, or likely to be on disk only, which takes too long to look up for nothing
	}
	b, err := p.log.Block(i)
	if err != nil {
		return false
	}
	newest, err := p.log.Block(size - 1)
	return err == nil && newest.Record.Wall-b.Record.Wall <= within.Microseconds()
}

// run pushes until the session ends or nothing is to be pushed any more.
func (p *pusher) run(ctx context.Context) {
	for {
		changed := p.log.Changed()
		retry := p.push()
		if p.over() {
			return
		}
		select {
		case <-changed:
		case <-p.wake:
		case <-retry:
		case <-p.session.wire.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

func (p *pusher) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// push sends all that can be sent. It returns a channel that says when to try again, if the peer lets us open no stream now.
func (p *pusher) push() (retry <-chan time.Time) {
	for !p.take() {
		stripe, b, ok := p.next()
		if !ok {
			return nil
		}
		err := p.write(p.pushed[stripe], stripe, &b)
		var stream *quicwire.StreamError
		switch {
		case err == nil:
		case errors.As(err, &stream) && stream.Code == quicwire.StreamBusy && !stream.Remote:
			return time.After(pushRetry)
		case p.session.wire.Err() != nil:
			return nil
		}
	}
	return nil
}

// next returns the lowest block that is held and due in any stripe. Blocks that are not held although later ones of their stripe are,
// are passed over: the subscriber asks for them when it misses them, and perhaps we have them then.
func (p *pusher) next() (stripe uint8, b feed.Block, ok bool) {
	size := p.log.Head().Size
	p.skip(size)
	for {
		stripe, at := p.due(size)
		if at == size {
			return 0, b, false
		}
		p.pushed[stripe].next = at + p.stripes
		if b, err := p.log.Block(at); err == nil {
			return stripe, b, true
		}
	}
}

// due returns the lowest block below size that is held and due, and its stripe; size if there is none.
func (p *pusher) due(size uint64) (stripe uint8, at uint64) {
	at = size
	for i, t := range p.pushed {
		if first, ok := p.held(t.next, at); ok {
			stripe, at = i, first
		}
	}
	return stripe, at
}

// held returns the first block of a stripe in [at, below) that is held.
func (p *pusher) held(at, below uint64) (uint64, bool) {
	for range pushLook {
		if at >= below {
			break
		}
		if p.log.Has(at) {
			return at, true
		}
		at += p.stripes
	}
	return 0, false
}

// skip takes stripes that are further behind the newest block than the subscriber has patience to the newest segment.
func (p *pusher) skip(size uint64) {
	newest, ok := p.log.NewestSegment()
	if !ok || size == 0 {
		return
	}
	skipped := false
	for i, t := range p.pushed {
		if p.behind(t, newest) {
			t.next = p.align(newest, i)
			t.reset(quicwire.StreamStale)
			skipped = true
		}
	}
	if skipped {
		p.swarm.skipped.Add(1)
	}
}

// behind reports whether what is due in a stripe is of an old segment, and too old.
func (p *pusher) behind(t *pushed, newest uint64) bool {
	if t.next >= newest {
		return false
	}
	at, ok := p.held(t.next, newest)
	if !ok {
		at = newest // nothing is due but what was missing until now; it may come as long as the newest segment is young
	}
	return !p.recent(at, t.patience)
}

// write sends a block on the stream of its stripe and segment, which it opens if need be.
func (p *pusher) write(t *pushed, stripe uint8, b *feed.Block) error {
	f, err := p.log.Frontier(b.Index)
	if err != nil {
		return nil // it has left our memory meanwhile
	}
	if err := p.open(t, stripe, b); err != nil {
		t.next = b.Index
		return err
	}
	p.waits(t.writer)
	err = t.writer.WriteBlock(&quicwire.StripeBlock{
		Block: *b, Frontier: f, Age: p.swarm.ages.of(p.log, b, p.swarm.cfg.Now()), Path: t.path,
	}, time.Now().Add(pushDeadline))
	p.waits(nil)
	switch {
	case errors.Is(err, quicwire.ErrHistory):
		t.next = b.Index
		t.close()
	case err != nil:
		t.writer = nil // it broke; the next block opens another
	}
	return err
}

// open makes the stream of t the one for a block.
func (p *pusher) open(t *pushed, stripe uint8, b *feed.Block) (err error) {
	if t.writer != nil && t.writer.Header().Segment == b.Record.Segment {
		return nil
	}
	t.close()
	t.writer, err = p.session.wire.OpenStripe(quicwire.StripeHeader{
		Log: p.id, Stripe: stripe, Stripes: uint8(p.stripes), Segment: b.Record.Segment, First: b.Index,
	})
	return err
}

// waits notes which stream is being written to.
func (p *pusher) waits(w *quicwire.StripeWriter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = w
}
