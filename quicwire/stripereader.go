package quicwire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"tailcast/feed/merkle"
)

// A StripeReader receives blocks from one stripe or repair stream. It is for one goroutine at a time, and each wants its own: a
// stream that waits must not make others wait.
type StripeReader struct {
	session *Session
	stream  *quic.ReceiveStream
	in      blockInput
	header  *StripeHeader // nil until Header has succeeded
	state   stripeState
	next    merkle.Frontier // of the tree up to and with the last block, as the sender claims
}

// AcceptStripe returns the next stream on which the peer sends blocks. Its Header says which.
func (s *Session) AcceptStripe(ctx context.Context) (*StripeReader, error) {
	stream, err := s.conn.AcceptUniStream(ctx)
	if err != nil {
		if ctx.Err() != nil && s.Err() == nil {
			return nil, ctx.Err()
		}
		return nil, s.streamError(err)
	}
	in := blockInput{session: s, stream: stream, in: bufio.NewReaderSize(stream, blockInputSize)}
	return &StripeReader{session: s, stream: stream, in: in}, nil
}

// Header reads what the stream begins with, within 5 s. A stream that nobody asked for is reset, after an Unsub, and the error is a
// *StreamError with StreamUnsolicited; so are streams of unknown type (StreamUnknown) and those too slow (StreamStale).
func (r *StripeReader) Header() (StripeHeader, error) {
	if r.header != nil {
		return *r.header, nil
	}
	r.stream.SetReadDeadline(time.Now().Add(messageTimeout))
	kind, err := r.in.in.ReadByte()
	if err != nil {
		return StripeHeader{}, r.in.error(err)
	}
	if kind != streamStripe && kind != streamRepair {
		return StripeHeader{}, r.refuse(StreamUnknown)
	}
	h := StripeHeader{Repair: kind == streamRepair}
	if err := r.in.parse(maxStripeHeader, h.fields); err != nil {
		return StripeHeader{}, err
	}
	if !r.session.expects(&h) {
		return StripeHeader{}, r.unsolicited(&h)
	}
	r.in.repair = h.Repair
	r.header, r.state = &h, stripeState{step: h.step(), first: h.First}
	return h, nil
}

// refuse resets the stream and returns the error that says so.
func (r *StripeReader) refuse(code StreamCode) error {
	r.Reset(code)
	return r.session.strayed(code)
}

// unsolicited refuses a stream that nobody asked for, and says so to the peer, who may have missed an UNSUB.
func (r *StripeReader) unsolicited(h *StripeHeader) error {
	if !h.Repair {
		r.session.Send(&Unsub{Log: h.Log, Stripe: h.Stripe, Reason: UnsubUnsolicited})
	}
	return r.refuse(StreamUnsolicited)
}

// ReadBlock reads the next block, payload included. After the last it returns io.EOF; if only the stream has ended, a *StreamError;
// else the session's error. Nothing is verified but the form: that is for feed's Log.Put, which takes over the payload.
func (r *StripeReader) ReadBlock() (StripeBlock, error) {
	b, err := r.ReadHead()
	if err == nil {
		err = r.ReadPayload(&b)
	}
	return b, err
}

// ReadHead reads all of the next block but its payload, so that the caller knows what is arriving. ReadPayload must follow.
func (r *StripeReader) ReadHead() (StripeBlock, error) {
	if _, err := r.Header(); err != nil {
		return StripeBlock{}, err
	}
	r.stream.SetReadDeadline(time.Time{})
	if _, err := r.in.in.Peek(1); errors.Is(err, io.EOF) {
		return StripeBlock{}, io.EOF
	} else if err != nil {
		return StripeBlock{}, r.in.error(err)
	}
	r.stream.SetReadDeadline(time.Now().Add(messageTimeout))
	return r.readHead()
}

// ReadPayload reads the payload of b, which ReadHead has just returned.
func (r *StripeReader) ReadPayload(b *StripeBlock) error {
	if err := r.in.payload(&b.Block); err != nil {
		return err
	}
	r.state.done(b.Index, b.Path)
	r.next = b.Frontier
	r.next.Append(b.Record.Leaf())
	return nil
}

// readHead reads the fields of a block up to its payload.
func (r *StripeReader) readHead() (StripeBlock, error) {
	b := StripeBlock{Path: r.state.path}
	var flags uint64
	err := r.in.parse(3*8, func(c *codec) {
		var steps uint64
		c.varint(&steps, merkle.MaxSize)
		c.ms(&b.Age)
		c.varint(&flags, maxVarint)
		if c.err == nil {
			b.Index, c.err = r.state.index(steps)
		}
	})
	if err == nil && flags&flagPath != 0 {
		err = r.in.parse(1+4*MaxPath, func(c *codec) { c.path(&b.Path) })
	}
	if err == nil {
		err = r.in.record(&b.Block)
	}
	if err == nil {
		n := merkle.NewPeaks(r.state.have(), b.Index)
		err = r.in.parse(n*merkle.HashSize, func(c *codec) { b.Frontier = c.frontier(&r.next, b.Index) })
	}
	return b, err
}

// Reset tells the peer to stop sending on this stream. Reads that wait return.
func (r *StripeReader) Reset(code StreamCode) { r.stream.CancelRead(quic.StreamErrorCode(code)) }
