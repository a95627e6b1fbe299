package swarm

import (
	"context"
	"sync"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Here blocks are given to who asks for them: single ones near the live edge (Req), and ranges of the past.

// maxGiven is how many blocks of one Req are looked for at most.
const maxGiven = 2 * maxAsked

// repair answers a Req, in a goroutine; with too many of these for the peer, it refuses.
func (s *Swarm) repair(x *session, m quicwire.Req) {
	if x == nil {
		return
	}
	l := s.shelf.log(m.Log)
	if l == nil {
		return
	}
	select {
	case x.repairs <- struct{}{}:
		s.group.Go(func() error {
			defer func() { <-x.repairs }()
			s.answer(x, l, &m)
			return nil
		})
	default:
		s.send(x, &quicwire.Nack{ID: m.ID, Log: m.Log, Reason: quicwire.RefusedBusy, Size: l.Head().Size, Blocks: m.Blocks})
	}
}

// answer sends what is held of the blocks of a Req, and names the rest: first, so that they are asked of others soon.
func (s *Swarm) answer(x *session, l *feed.Log, m *quicwire.Req) {
	held, rest := choose(l, m.Blocks)
	if len(rest) > 0 {
		s.send(x, &quicwire.Nack{ID: m.ID, Log: m.Log, Reason: quicwire.RefusedNotHeld, Size: l.Head().Size, Blocks: rest})
	}
	s.sendBlocks(x, l, m, held)
}

// choose parts the blocks of a Req: those that are held and near the head, and those that are not, or are too many to look for.
func choose(l *feed.Log, blocks []uint64) (held, rest []uint64) {
	size := l.Head().Size
	for n, i := range blocks {
		if n < maxGiven && i < size && size-i <= quicwire.MaxBits && l.Has(i) {
			held = append(held, i)
		} else {
			rest = append(rest, i)
		}
	}
	return held, rest
}

// sendBlocks sends blocks that answer a Req on one stream, until its deadline.
func (s *Swarm) sendBlocks(x *session, l *feed.Log, m *quicwire.Req, blocks []uint64) {
	var deadline time.Time
	if m.Deadline > 0 {
		deadline = time.Now().Add(m.Deadline)
	}
	var w *quicwire.StripeWriter
	for _, i := range blocks {
		b, err := proved(l, i)
		if err != nil {
			continue // gone meanwhile
		}
		if w == nil {
			h := quicwire.StripeHeader{Log: m.Log, Repair: true, Request: m.ID, First: i, Urgent: m.Orphan}
			if w, err = x.wire.OpenStripe(h); err != nil {
				return
			}
		}
		b.Age, b.Path = s.ages.of(l, &b.Block, s.cfg.Now()), []quicwire.ShortID{s.self}
		if w.WriteBlock(&b, deadline) != nil {
			return
		}
	}
	if w != nil {
		w.Close()
	}
}

// proved returns a block with what proves it.
func proved(l *feed.Log, i uint64) (b quicwire.StripeBlock, err error) {
	if b.Block, err = l.Block(i); err != nil {
		return b, err
	}
	b.Frontier, err = l.Frontier(i)
	return b, err
}

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
