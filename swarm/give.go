package swarm

import (
	"context"
	"sync"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Here the past is given to who asks for a range of it.

// fetches takes in requests for ranges, each in a goroutine; quicwire bounds their number.
func (s *Swarm) fetches(ctx context.Context, x *session, all *sync.WaitGroup) {
	for {
		q, err := x.wire.AcceptFetch(ctx)
		if err != nil {
			return
		}
		all.Go(func() { s.fetch(x, q) })
	}
}

// fetch serves a range, or says why not.
func (s *Swarm) fetch(x *session, q *quicwire.RangeRequest) {
	m, err := q.Read()
	if err != nil {
		return
	}
	if s.cfg.NoShare {
		q.Refuse(quicwire.RangeRefused{Reason: quicwire.RefusedUnwilling})
		return
	}
	if !x.takeRange() {
		q.Refuse(s.busyRange(m))
		return
	}
	defer func() { <-x.ranges }()
	if s.cfg.Replica.Epoch(m.Log.Epoch) == nil && !x.pasts.Allow() {
		q.Refuse(s.busyRange(m))
		return
	}
	if l := s.shelf.past(m.Log); l != nil {
		s.sendRange(q, l, m)
	} else {
		q.Refuse(quicwire.RangeRefused{Reason: quicwire.RefusedLog})
	}
}

// To look for an epoch that is not in memory may open it, which takes some milliseconds: so often a second one peer may have that.
const (
	pastRate  = 4
	pastBurst = 16
)

// takeRange takes one of the ranges that the peer may have at a time.
func (x *session) takeRange() bool {
	select {
	case x.ranges <- struct{}{}:
		return true
	default:
		return false
	}
}

// busyRange is for who asks for too much at once. It says what is held as far as memory knows.
func (s *Swarm) busyRange(m quicwire.Range) quicwire.RangeRefused {
	r := quicwire.RangeRefused{Reason: quicwire.RefusedBusy, Retry: time.Second}
	if held, ok := s.shelf.Look(m.Log); ok {
		r.Base, r.Size = held.Base, held.Head.Size
	}
	return r
}

// sendRange sends the first run of blocks of a range that is held: one search, then on from block to block.
func (s *Swarm) sendRange(q *quicwire.RangeRequest, l *feed.Log, m quicwire.Range) {
	run, ok := l.Run(m.From, m.To)
	before, err := l.Frontier(run.From)
	if !ok || err != nil {
		q.Refuse(refusedRange(l, m))
		return
	}
	w, err := q.Serve(run.From, run.To, &before)
	if err != nil {
		return
	}
	for i := run.From; i < run.To; i++ {
		b, err := l.Block(i)
		if err != nil {
			w.Reset(quicwire.StreamDone)
			return
		}
		if w.WriteBlock(&b, time.Time{}) != nil {
			return
		}
	}
}

// refusedRange says what is held instead.
func refusedRange(l *feed.Log, m quicwire.Range) quicwire.RangeRefused {
	r := quicwire.RangeRefused{Reason: quicwire.RefusedNotHeld, Base: l.Base(), Size: l.Head().Size}
	if next, ok := l.NextHeld(m.From, r.Size); ok {
		r.Base = next
	}
	return r
}
