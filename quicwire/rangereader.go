package quicwire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A RangeReader receives the blocks of a range. It is for one goroutine at a time; it must be closed.
type RangeReader struct {
	session  *Session
	stream   *quic.Stream
	in       blockInput
	release  func() bool // undoes what ties the stream to the context of Fetch
	from, to uint64
	next     merkle.Frontier // of the records before the next block, as the sender claims
}

// Fetch asks the peer for a range and waits for the answer's beginning, at most 5 s. It is a *RangeRefused if the peer does not serve
// it, a *StreamError if only this stream failed, else the session's error. When ctx ends, so does the stream.
func (s *Session) Fetch(ctx context.Context, r Range) (*RangeReader, error) {
	c := codec{buf: []byte{streamRange}}
	r.fields(&c)
	if c.err != nil {
		return nil, fmt.Errorf("couldn't ask for a range: %w", c.err)
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
	rd := &RangeReader{session: s, stream: stream}
	rd.in = blockInput{session: s, stream: stream, in: bufio.NewReaderSize(stream, blockInputSize), repair: true}
	rd.release = context.AfterFunc(ctx, func() { rd.cancel(StreamDone) })
	if err := rd.ask(c.buf); err != nil {
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
		err = r.stream.Close()
	}
	if err != nil {
		return r.in.error(err)
	}
	var a rangeAnswer
	if err := r.in.parse(maxRangeAnswer, a.fields); err != nil {
		return err
	}
	if a.refused != 0 {
		return &RangeRefused{a.refused, a.base, a.size, a.retry}
	}
	if a.from >= a.to || a.to-a.from > MaxRange {
		return r.session.fail(CodeMalformed, fmt.Errorf("%w range: it serves [%d, %d)", errMalformed, a.from, a.to))
	}
	r.from, r.to = a.from, a.to
	return r.in.parse(merkle.PeakCount(a.from)*merkle.HashSize, func(c *codec) { r.next = c.frontier(&merkle.Frontier{}, a.from) })
}

// Served returns which blocks come: [from, to), a part of what was asked for.
func (r *RangeReader) Served() (from, to uint64) { return r.from, r.to }

// ReadBlock returns the next block and the frontier before it, for feed's Log.Put; both as the sender claims. After the last it
// returns io.EOF.
func (r *RangeReader) ReadBlock() (feed.Block, merkle.Frontier, error) {
	b := feed.Block{Index: r.next.Size()}
	if b.Index == r.to {
		return b, r.next, io.EOF
	}
	r.stream.SetReadDeadline(time.Now().Add(messageTimeout))
	if err := r.in.record(&b); err != nil {
		return b, r.next, err
	}
	if err := r.in.payload(&b); err != nil {
		return b, r.next, err
	}
	before := r.next
	r.next.Append(b.Record.Leaf())
	return b, before, nil
}

// Close drops what has not been read.
func (r *RangeReader) Close() {
	r.release()
	r.cancel(StreamDone)
	r.session.endpoint.windows.want(r.session.conn, -1)
}

func (r *RangeReader) cancel(code StreamCode) {
	r.stream.CancelRead(quic.StreamErrorCode(code))
	r.stream.CancelWrite(quic.StreamErrorCode(code))
}
