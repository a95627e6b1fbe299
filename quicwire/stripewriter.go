package quicwire

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"tailcast/feed"
)

// A StripeWriter sends blocks on one stripe or repair stream. WriteBlock is for one goroutine at a time; Reset may come from any.
type StripeWriter struct {
	session *Session
	stream  *quic.SendStream
	header  StripeHeader
	state   stripeState
	begin   []byte // the header, until it has been sent with the first block
}

// OpenStripe opens a stream for the blocks of h to a peer that has asked for them. It does not block: if the peer lets no more
// streams be opened, the error is a *StreamError with StreamBusy.
func (s *Session) OpenStripe(h StripeHeader) (*StripeWriter, error) {
	b, err := h.append(make([]byte, 0, maxStripeHeader), &s.logs)
	if err != nil {
		return nil, fmt.Errorf("couldn't open a stripe stream: %w", err)
	}
	stream, err := s.conn.OpenUniStream()
	if errors.As(err, new(*quic.StreamLimitReachedError)) {
		return nil, &StreamError{Code: StreamBusy}
	}
	if err != nil {
		return nil, s.streamError(err)
	}
	w := &StripeWriter{session: s, stream: stream, header: h, begin: b, state: newStripeState(&h)}
	s.order.opened(w)
	return w, nil
}

// Header returns what the stream was opened with.
func (w *StripeWriter) Header() StripeHeader { return w.header }

// WriteBlock sends a block; b.Frontier must be that of the b.Index records before it. It returns when QUIC has taken all but the
// last bytes, which says nothing about the uplink: who paces, paces by the clock. At the deadline (zero: in 5 s) a block that is
// not out by then resets the stream, as half a block is of no use, and the error is a *StreamError with StreamStale. With ErrHistory
// nothing was sent.
func (w *StripeWriter) WriteBlock(b *StripeBlock, deadline time.Time) error {
	buf := w.session.endpoint.buffer()
	defer w.session.endpoint.recycle(buf)
	// One Write for all, so that head and payload share packets.
	var payload int
	var err error
	if *buf, payload, err = w.state.appendBlock(append(*buf, w.begin...), b); err != nil {
		return err
	}
	w.begin = nil
	n, err := w.write(*buf, deadline)
	w.count(n, payload)
	if err == nil {
		w.state.sent(b)
	}
	return err
}

// write sends p.
func (w *StripeWriter) write(p []byte, deadline time.Time) (int, error) {
	if deadline.IsZero() {
		deadline = time.Now().Add(messageTimeout)
	}
	w.stream.SetWriteDeadline(deadline)
	n, err := w.stream.Write(p)
	if err == nil {
		return n, nil
	}
	if isTimeout(err) {
		w.Reset(StreamStale)
		return n, &StreamError{Code: StreamStale}
	}
	return n, w.session.streamError(err)
}

// count accounts for n bytes sent, of which up to proofs are not payload.
func (w *StripeWriter) count(n, proofs int) {
	sent := &w.session.stats.sent
	if w.header.Repair {
		sent.repair.Add(uint64(n))
		return
	}
	sent.proofs.Add(uint64(min(n, proofs)))
	sent.media.Add(uint64(max(0, n-proofs)))
}

// Close ends the stream after the last block: what was written still arrives.
func (w *StripeWriter) Close() error { return w.stream.Close() }

// Reset drops what has not been sent and tells the receiver why. A WriteBlock that waits returns.
func (w *StripeWriter) Reset(code StreamCode) {
	w.stream.CancelWrite(quic.StreamErrorCode(code))
	w.session.order.closed(w)
}

// Urgencies of streams, most urgent first (RFC 9218, section 4.1). Never incremental: sharing a thin uplink among blocks makes all of
// them late.
const (
	urgencyControl = 0
	urgencyCatalog = 1
	urgencyNewest  = 2 // stripes of the newest segment; of the one before 3; of older ones urgencyOld
	urgencyHurried = 3 // repairs and ranges that are due
	urgencyOld     = 4
	urgencyRepair  = 6
	urgencyRange   = 7
)

// A streamOrder keeps newer segments more urgent than older ones. It holds each stripe stream, also when closed, until its
// segment is an old one: what was written may still wait to be sent.
type streamOrder struct {
	mu     sync.Mutex // guards all below
	newest map[LogID]uint32
	open   []*StripeWriter
}

// opened gives w its urgency, and those of older segments of its log theirs.
func (o *streamOrder) opened(w *StripeWriter) {
	switch {
	case w.header.Repair && w.header.Urgent:
		w.stream.SetPriority(urgencyHurried, false)
		return
	case w.header.Repair:
		w.stream.SetPriority(urgencyRepair, false)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.newest == nil {
		o.newest = make(map[LogID]uint32)
	}
	o.open = append(o.open, w)
	log, newest := w.header.Log, max(o.newest[w.header.Log], w.header.Segment)
	if o.newest[log] == newest && len(o.open) > 1 {
		w.stream.SetPriority(urgencyOf(w.header, newest), false)
		return
	}
	o.newest[log] = newest
	o.open = slices.DeleteFunc(o.open, func(w *StripeWriter) bool {
		if w.header.Log == log {
			w.stream.SetPriority(urgencyOf(w.header, newest), false)
		}
		return w.header.Log == log && newest-w.header.Segment > urgencyOld-urgencyNewest
	})
}

// closed forgets a stream that was reset.
func (o *streamOrder) closed(w *StripeWriter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = slices.DeleteFunc(o.open, func(x *StripeWriter) bool { return x == w })
}

// urgencyOf returns the urgency of a stripe stream when newest is its log's newest segment.
func urgencyOf(h StripeHeader, newest uint32) int8 {
	if h.Log.Name == feed.CatalogLog {
		return urgencyCatalog
	}
	return int8(min(urgencyNewest+uint64(newest-h.Segment), urgencyOld))
}
