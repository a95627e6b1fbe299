package quicwire

import (
	"context"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A RangeRequest is a peer's wish for a range. It ends with Refuse, or with Serve. It is for one goroutine at a time.
type RangeRequest struct {
	session *Session
	stream  *quic.Stream
	asked   Range
}

// AcceptFetch returns the next stream on which the peer asks for a range. Read says which.
func (s *Session) AcceptFetch(ctx context.Context) (*RangeRequest, error) {
	stream, err := s.conn.AcceptStream(ctx)
	if err != nil {
		return nil, s.acceptError(ctx, err)
	}
	return &RangeRequest{session: s, stream: stream}, nil
}

// Read reads the request, within 5 s. Each caller wants its own goroutine for what follows AcceptFetch. Requests count as Reqs: more
// than 64 a second end the session. Streams of unknown type are reset.
func (q *RangeRequest) Read() (Range, error) {
	q.stream.SetReadDeadline(time.Now().Add(messageTimeout))
	repair := &q.session.stats.received.repair
	in := newBlockInput(q.stream, &q.session.logs, repair, repair)
	kind, err := in.in.ReadByte()
	if err != nil {
		return Range{}, q.session.fault(q.stream, withinBlock(err))
	}
	if kind != streamRange {
		reset(q.stream, StreamUnknown)
		return Range{}, q.session.strayed(StreamUnknown)
	}
	if !q.session.reqs.AllowN(q.session.endpoint.cfg.Now(), 1) {
		return Range{}, q.session.fail(CodeFlood, fmt.Errorf("%w ranges, want at most %d a second", errFlood, reqRate))
	}
	repair.Add(1)
	err = in.parse(maxRangeHeader, q.asked.fields)
	return q.asked, q.session.fault(q.stream, err)
}

// Refuse answers that the range is not served.
func (q *RangeRequest) Refuse(why RangeRefused) error {
	c := codec{}
	a := rangeAnswer{refused: max(why.Reason, RefusedBusy), base: why.Base, size: why.Size, retry: why.Retry}
	a.fields(&c)
	w := RangeWriter{session: q.session, stream: q.stream}
	if err := w.write(c.buf, time.Time{}); err != nil {
		return err
	}
	return q.stream.Close()
}

// Serve answers that the blocks [from, to) will come, at most 4096 of them; before must be the frontier of the from records before.
func (q *RangeRequest) Serve(from, to uint64, before *merkle.Frontier) (*RangeWriter, error) {
	c := codec{}
	a := rangeAnswer{from: from, to: to}
	a.fields(&c)
	c.check(before.Size() == from, "blocks [%d, %d) with frontier(%d)", from, to, before.Size())
	if c.err != nil {
		return nil, fmt.Errorf("couldn't serve a range: %w", c.err)
	}
	for _, h := range before.Peaks() {
		c.hash(&h)
	}
	urgency := int8(urgencyRange)
	if d := q.asked.Deadline; d > 0 && d < hurried {
		urgency = urgencyHurried
	}
	q.stream.SetPriority(urgency, false)
	return &RangeWriter{session: q.session, stream: q.stream, begin: c.buf, next: from, to: to}, nil
}

// A RangeWriter sends the blocks of a range, each in its turn.
type RangeWriter struct {
	session  *Session
	stream   *quic.Stream
	begin    []byte // the answer up to the first block, until it has been sent with that
	next, to uint64
}

// WriteBlock sends block b, the next of the range. The deadline is as with StripeWriter.WriteBlock. After the last one the stream ends.
func (w *RangeWriter) WriteBlock(b *feed.Block, deadline time.Time) error {
	if b.Index != w.next || w.next == w.to || len(b.Payload) != int(b.Record.Length) {
		return fmt.Errorf("couldn't send block %d of a range that wants %d of %d: %w", b.Index, w.next, w.to, errBlock)
	}
	buf := w.session.endpoint.buffer()
	defer w.session.endpoint.recycle(buf)
	*buf = appendRangeBlock(append(*buf, w.begin...), b)
	w.begin = nil
	if err := w.write(*buf, deadline); err != nil {
		return err
	}
	if w.next++; w.next == w.to {
		return w.stream.Close()
	}
	return nil
}

// appendRangeBlock appends record, signature and payload.
func appendRangeBlock(p []byte, b *feed.Block) []byte {
	p = b.Record.Append(p)
	p = append(p, b.Signature[:]...)
	return append(p, b.Payload...)
}

// write sends p.
func (w *RangeWriter) write(p []byte, deadline time.Time) error {
	if deadline.IsZero() {
		deadline = time.Now().Add(messageTimeout)
	}
	w.stream.SetWriteDeadline(deadline)
	n, err := w.stream.Write(p)
	w.session.stats.sent.repair.Add(uint64(n))
	if err == nil {
		return nil
	}
	if isTimeout(err) {
		w.Reset(StreamStale)
		return &StreamError{Code: StreamStale}
	}
	return w.session.streamError(err)
}

// Reset ends the range early and tells the receiver why.
func (w *RangeWriter) Reset(code StreamCode) { reset(w.stream, code) }
