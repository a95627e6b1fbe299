package swarm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A writer sends to one peer what Mesh says, in order, in a goroutine of its own: a slow peer makes nobody else wait. Mesh lets it have
// maxInflight Pushes at a time, so its inbox is short.
//
// A stripe goes on one stream for each segment, the blocks of a Req on one stream.
type writer struct {
	swarm   *Swarm
	session *session
	wake    chan struct{} // one token: there is something in inbox

	mu      sync.Mutex // guards inbox and writing; held for moments
	inbox   []Push
	writing *quicwire.StripeWriter // the stream of the write that waits; nil: none
	key     subKey                 // of writing

	streams map[subKey]*quicwire.StripeWriter // owned by the goroutine; those to be reset are in stops
	stops   []subKey                          // guarded by mu
}

const (
	pushDeadline = 2 * time.Second       // for a block to be taken by QUIC
	pushRetry    = 50 * time.Millisecond // when the peer lets us open no more streams
)

func newWriter(s *Swarm, x *session) *writer {
	return &writer{swarm: s, session: x, wake: make(chan struct{}, 1), streams: make(map[subKey]*quicwire.StripeWriter)}
}

// post takes a Push on.
func (w *writer) post(a Push) {
	w.mu.Lock()
	w.inbox = append(w.inbox, a)
	w.mu.Unlock()
	w.poke()
}

// stop ends the stream of a stripe, also one that is being written to. Pushes of the stripe that wait are dropped.
func (w *writer) stop(key subKey) (dropped []Push) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inbox = slices.DeleteFunc(w.inbox, func(a Push) bool {
		out := a.Request == 0 && (subKey{a.Log, a.Stripe}) == key
		if out {
			dropped = append(dropped, a)
		}
		return out
	})
	w.stops = append(w.stops, key)
	if w.writing != nil && w.key == key {
		w.writing.Reset(quicwire.StreamGoingAway)
	}
	w.poke()
	return dropped
}

func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until the session or ctx ends.
func (w *writer) run(ctx context.Context) {
	for {
		for {
			a, ok := w.take()
			if !ok {
				break
			}
			err := w.write(ctx, a)
			if !w.swarm.post(ctx, pushedOf(w.session, a, err != nil)) {
				return
			}
		}
		select {
		case <-w.wake:
		case <-w.session.wire.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// pushedOf is the answer to a Push.
func pushedOf(x *session, a Push, failed bool) Pushed {
	return Pushed{x.id, a.Log, a.Stripe, a.Request, a.Bytes, failed}
}

// take returns the next Push, after it has ended what is to be ended.
func (w *writer) take() (a Push, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range w.stops {
		if s := w.streams[key]; s != nil {
			s.Reset(quicwire.StreamGoingAway)
			delete(w.streams, key)
		}
	}
	w.stops = w.stops[:0]
	if len(w.inbox) == 0 {
		return a, false
	}
	a = w.inbox[0]
	w.inbox = slices.Delete(w.inbox, 0, 1)
	return a, true
}

// write does a Push.
func (w *writer) write(ctx context.Context, a Push) error {
	l := w.swarm.shelf.log(a.Log)
	if l == nil {
		return errGone
	}
	if a.Request != 0 {
		return w.answer(l, a)
	}
	b, err := proved(l, a.Blocks[0])
	if err != nil {
		return err // it has left our memory meanwhile
	}
	b.Age, b.Path = w.swarm.ages.of(l, &b.Block, w.swarm.cfg.Now()), a.Path
	return w.block(ctx, a, &b)
}

var errGone = errors.New("the log is not held any more")

// block writes a block on the stream of its stripe and segment, which it opens if need be: anew if the history is another, and again and
// again for a while if the peer lets us open no stream.
func (w *writer) block(ctx context.Context, a Push, b *quicwire.StripeBlock) error {
	key, deadline := subKey{a.Log, a.Stripe}, time.Now().Add(pushDeadline)
	for {
		s, err := w.open(key, a, &b.Block)
		if err == nil {
			if err = w.send(key, s, b, deadline); err == nil {
				return nil
			}
		}
		var stream *quicwire.StreamError
		switch {
		case errors.Is(err, quicwire.ErrHistory):
			w.close(key)
		case errors.As(err, &stream) && stream.Code == quicwire.StreamBusy && !stream.Remote && time.Now().Before(deadline):
			if !w.pause(ctx) {
				return err
			}
		default:
			delete(w.streams, key) // it broke; the next block opens another
			return err
		}
	}
}

// pause waits a moment. It returns false if the session has ended.
func (w *writer) pause(ctx context.Context) bool {
	t := time.NewTimer(pushRetry)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.session.wire.Done():
	case <-ctx.Done():
	}
	return false
}

// open returns the stream of a stripe for a block: a new one for each segment.
func (w *writer) open(key subKey, a Push, b *feed.Block) (*quicwire.StripeWriter, error) {
	if s := w.streams[key]; s != nil && s.Header().Segment == b.Record.Segment {
		return s, nil
	}
	w.close(key)
	s, err := w.session.wire.OpenStripe(quicwire.StripeHeader{
		Log: a.Log, Stripe: a.Stripe, Stripes: a.Stripes, Segment: b.Record.Segment, First: b.Index,
	})
	if err == nil {
		w.streams[key] = s
	}
	return s, err
}

// close ends the stream of a stripe after what has been sent, if there is one.
func (w *writer) close(key subKey) {
	if s := w.streams[key]; s != nil {
		s.Close()
		delete(w.streams, key)
	}
}

// send writes one block, so that stop can end it.
func (w *writer) send(key subKey, s *quicwire.StripeWriter, b *quicwire.StripeBlock, deadline time.Time) error {
	w.waits(key, s)
	defer w.waits(subKey{}, nil)
	return s.WriteBlock(b, deadline)
}

// waits notes which stream is being written to.
func (w *writer) waits(key subKey, s *quicwire.StripeWriter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.key, w.writing = key, s
}

// answer sends the blocks of a Req on one stream.
func (w *writer) answer(l *feed.Log, a Push) error {
	var s *quicwire.StripeWriter
	deadline := time.Now().Add(pushDeadline)
	for _, i := range a.Blocks {
		b, err := proved(l, i)
		if err != nil {
			continue // gone meanwhile
		}
		if s == nil {
			h := quicwire.StripeHeader{Log: a.Log, Repair: true, Request: a.Request, First: i, Urgent: a.Orphan}
			if s, err = w.session.wire.OpenStripe(h); err != nil {
				return err
			}
		}
		b.Age, b.Path = w.swarm.ages.of(l, &b.Block, w.swarm.cfg.Now()), a.Path
		if err := s.WriteBlock(&b, deadline); err != nil {
			return err
		}
	}
	if s != nil {
		s.Close()
	}
	return nil
}

// proved returns a block with what proves it.
func proved(l *feed.Log, i uint64) (b quicwire.StripeBlock, err error) {
	if b.Block, err = l.Block(i); err != nil {
		return b, err
	}
	b.Frontier, err = l.Frontier(i)
	return b, err
}
