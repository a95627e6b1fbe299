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
// wakes, so a block that was verified waits for nobody.
//
// What is full or slow is the peer's: a write waits for it, for pushDeadline at most, and nobody else waits. Meanwhile blocks are not
// queued anywhere, they are in the log. Who falls behind is taken to the newest segment.
type pusher struct {
	swarm   *Swarm
	session *session
	id      quicwire.LogID
	log     *feed.Log
	wake    chan struct{} // one token: something below changed

	mu      sync.Mutex // guards all below, and what is in the pushed; not held while writing
	stripes uint64     // of the log
	pushed  map[uint8]*pushed
	ended   bool // the goroutine has ended, or will without looking again
}

// A pushed is one stripe on its way to a peer.
type pushed struct {
	next     uint64 // index of the next block
	path     []quicwire.ShortID
	patience time.Duration
	writer   *quicwire.StripeWriter // nil: the next block opens a stream
}

const (
	pushDeadline = 2 * time.Second       // for a block to be taken by QUIC
	pushLook     = 64                    // blocks of a stripe that are looked past for one that is held
	pushRetry    = 50 * time.Millisecond // when the peer lets us open no more streams
	leastWait    = 500 * time.Millisecond
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
	p := x.pushers[a.Sub.Log]
	if p == nil || !p.add(a) {
		p = &pusher{
			swarm: s, session: x, id: a.Sub.Log, log: l, wake: make(chan struct{}, 1),
			stripes: uint64(a.Sub.Stripes), pushed: make(map[uint8]*pushed),
		}
		p.add(a)
		x.pushers[a.Sub.Log] = p
		ctx := s.work
		s.group.Go(func() error { p.run(ctx); return nil })
	}
}

// stop ends the pushing of a stripe.
func (x *session) stop(log quicwire.LogID, stripe uint8) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.pushers[log]; p != nil {
		p.remove(stripe)
	}
}

// reroute sets the path that goes with the next blocks of a stripe.
func (x *session) reroute(a Reroute) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.pushers[a.Log]
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.pushed[a.Stripe]; t != nil {
		t.path = a.Path
	}
}

// add begins a stripe where the subscriber wants it, and says SUBOK. It returns false if p has ended.
func (p *pusher) add(a Serve) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	if old := p.pushed[a.Sub.Stripe]; old != nil && old.writer != nil {
		old.writer.Reset(quicwire.StreamDone)
	}
	t := &pushed{next: p.start(&a.Sub), path: a.OK.Path, patience: max(a.Sub.Patience, leastWait)}
	p.pushed[a.Sub.Stripe] = t
	a.OK.First = t.next
	p.swarm.send(p.session, &a.OK)
	p.poke()
	return true
}

func (p *pusher) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// remove ends a stripe.
func (p *pusher) remove(stripe uint8) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.pushed[stripe]; t != nil && t.writer != nil {
		t.writer.Reset(quicwire.StreamGoingAway)
	}
	delete(p.pushed, stripe)
	p.ended = len(p.pushed) == 0
	p.poke()
}

// start returns the first block of a subscription.
func (p *pusher) start(m *quicwire.Sub) uint64 {
	size := p.log.Head().Size
	newest, ok := p.log.NewestSegment()
	if !ok {
		newest = size
	}
	switch {
	case m.Start == quicwire.StartNext:
		return p.align(size, m.Stripe)
	case m.Start == quicwire.StartIndex && (m.From >= newest || p.recent(m.From, m.Patience)):
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
	for {
		stripe, b, ok := p.next()
		if !ok {
			return nil
		}
		err := p.write(stripe, &b)
		var stream *quicwire.StreamError
		switch {
		case err == nil:
		case errors.As(err, &stream) && stream.Code == quicwire.StreamBusy && !stream.Remote:
			return time.After(pushRetry)
		case p.session.wire.Err() != nil:
			return nil
		}
	}
}

// next returns the lowest block that is held and due in any stripe. Blocks that are not held although later ones of their stripe are,
// are passed over: the subscriber asks for them when it misses them, and perhaps we have them then.
func (p *pusher) next() (stripe uint8, b feed.Block, ok bool) {
	size := p.log.Head().Size
	p.mu.Lock()
	defer p.mu.Unlock()
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

// due returns the lowest block below size that is held and due, and its stripe; size if there is none. The caller holds mu.
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

// skip takes stripes that are further behind the newest block than the subscriber has patience to the newest segment. The caller
// holds mu.
func (p *pusher) skip(size uint64) {
	newest, ok := p.log.NewestSegment()
	if !ok || size == 0 {
		return
	}
	skipped := false
	for i, t := range p.pushed {
		if !p.behind(t, newest) {
			continue
		}
		t.next = p.align(newest, i)
		skipped = true
		if t.writer != nil {
			t.writer.Reset(quicwire.StreamStale)
			t.writer = nil
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
func (p *pusher) write(stripe uint8, b *feed.Block) error {
	f, err := p.log.Frontier(b.Index)
	if err != nil {
		return nil // it has left our memory meanwhile
	}
	w, path, err := p.writer(stripe, b)
	if w == nil {
		return err
	}
	err = w.WriteBlock(&quicwire.StripeBlock{
		Block: *b, Frontier: f, Age: p.swarm.ages.of(p.log, b, p.swarm.cfg.Now()), Path: path,
	}, time.Now().Add(pushDeadline))
	if err != nil {
		p.drop(stripe, w)
	}
	return err
}

// writer returns the stream for a block; nil if its stripe is not wanted any more.
func (p *pusher) writer(stripe uint8, b *feed.Block) (*quicwire.StripeWriter, []quicwire.ShortID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.pushed[stripe]
	if t == nil {
		return nil, nil, nil
	}
	if t.writer != nil && t.writer.Header().Segment == b.Record.Segment {
		return t.writer, t.path, nil
	}
	if t.writer != nil {
		t.writer.Close()
		t.writer = nil
	}
	w, err := p.session.wire.OpenStripe(quicwire.StripeHeader{
		Log: p.id, Stripe: stripe, Stripes: uint8(p.stripes), Segment: b.Record.Segment, First: b.Index,
	})
	if err != nil {
		t.next = b.Index
		return nil, nil, err
	}
	t.writer = w
	return w, t.path, nil
}

// drop forgets a stream that broke. The next block opens another.
func (p *pusher) drop(stripe uint8, w *quicwire.StripeWriter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.pushed[stripe]; t != nil && t.writer == w {
		t.writer = nil
	}
}
