package quicwire

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A RangeReader receives the blocks of a range. It is for one goroutine at a time; it must be closed.
type RangeReader struct {
	session *Session
	stream  *quic.Stream
	decoder rangeDecoder
	release func() bool // undoes what ties the stream to the context of Fetch
}

// Fetch asks the peer for a range and waits for the answer's beginning, at most 5 s. It is a *RangeRefused if the peer does not serve
// it, a *StreamError if only this stream failed, else the session's error. When ctx ends, so does the stream.
func (s *Session) Fetch(ctx context.Context, r Range) (*RangeReader, error) {
	request, err := r.append(nil)
	if err != nil {
		return nil, err
	}
	stream, err := s.conn.OpenStream()
	if errors.As(err, new(*quic.StreamLimitReachedError)) {
		return nil, &StreamError{Code: StreamBusy}
	}
	if err != nil {
		return nil, s.streamError(err)
	}
	s.endpoint.windows.want(s.conn, 1)
	stream.SetPriority(urgencyHurried, false)
	repair := &s.stats.received.repair
	rd := &RangeReader{session: s, stream: stream, decoder: rangeDecoder{blockInput: newBlockInput(stream, &s.logs, repair, repair)}}
	rd.release = context.AfterFunc(ctx, func() { reset(stream, StreamDone) })
	if err := rd.ask(request); err != nil {
		rd.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return rd, nil
}

// ask sends the request and reads the answer up to the first block.
func (r *RangeReader) ask(request []byte) error {
	r.stream.SetDeadline(time.Now().Add(messageTimeout))
	n, err := r.stream.Write(request)
	r.session.stats.sent.repair.Add(uint64(n))
	if err == nil {
		r.stream.Close()
		err = r.decoder.answer()
	}
	if refused := new(RangeRefused); errors.As(err, &refused) {
		return refused
	}
	return r.session.fault(r.stream, err)
}

// Served returns which blocks come: [from, to), a part of what was asked for.
func (r *RangeReader) Served() (from, to uint64) { return r.decoder.from, r.decoder.to }

// ReadBlock returns the next block and the frontier before it, for feed's Log.Put; both as the sender claims. After the last it
// returns io.EOF; for a block that has no record, a *RecordError. Each block must come within 5 s.
func (r *RangeReader) ReadBlock() (feed.Block, merkle.Frontier, error) {
	r.stream.SetReadDeadline(time.Now().Add(messageTimeout))
	b, before, err := r.decoder.block()
	if errors.Is(err, io.EOF) {
		return b, before, io.EOF
	}
	return b, before, r.session.blockFault(r.stream, err)
}

// Close drops what has not been read. Only the first call counts.
func (r *RangeReader) Close() {
	if r.release == nil {
		return
	}
	r.release()
	r.release = nil
	reset(r.stream, StreamDone)
	r.session.endpoint.windows.want(r.session.conn, -1)
}

// reset ends both halves of a stream.
func reset(stream *quic.Stream, code StreamCode) {
	stream.CancelRead(quic.StreamErrorCode(code))
	stream.CancelWrite(quic.StreamErrorCode(code))
}

// A rangeDecoder reads the answer to a request for a range.
type rangeDecoder struct {
	blockInput
	from, to uint64
	next     merkle.Frontier // of the records before the next block, as the sender claims
}

// answer reads the answer up to the first block. A *RangeRefused says that there is none.
func (d *rangeDecoder) answer() error {
	var a rangeAnswer
	err := d.parse(maxRangeAnswer, func(c *codec) {
		a.fields(c)
		if c.err == nil && a.refused == 0 {
			c.peaks(&d.next, &merkle.Frontier{}, a.from)
		}
	})
	if err == nil && a.refused != 0 {
		return &RangeRefused{a.refused, a.base, a.size, a.retry}
	}
	d.from, d.to = a.from, a.to
	return err
}

// block reads the next block.
func (d *rangeDecoder) block() (feed.Block, merkle.Frontier, error) {
	b := feed.Block{Index: d.next.Size()}
	if b.Index == d.to {
		return b, d.next, io.EOF
	}
	err := d.parse(feed.RecordSize+feed.SignatureSize, func(c *codec) { c.record(&b) })
	if err == nil {
		err = d.codec.noRecord(&b, &d.next)
	}
	if err != nil {
		return b, d.next, err
	}
	if err := d.payload(&b); err != nil {
		return b, d.next, err
	}
	before := d.next
	d.next.Append(b.Record.Leaf())
	return b, before, nil
}
