package quicwire

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/quic-go/quic-go"
)

// A StripeReader receives blocks from one stripe or repair stream. It is for one goroutine at a time, and each wants its own: a
// stream that waits must not make others wait.
type StripeReader struct {
	session *Session
	stream  *quic.ReceiveStream
	decoder stripeDecoder
	head    *StripeHeader // nil until Header has succeeded
}

// AcceptStripe returns the next stream on which the peer sends blocks. Its Header says which.
func (s *Session) AcceptStripe(ctx context.Context) (*StripeReader, error) {
	stream, err := s.conn.AcceptUniStream(ctx)
	if err != nil {
		return nil, s.acceptError(ctx, err)
	}
	received := &s.stats.received
	in := newBlockInput(stream, &s.logs, &received.media, &received.proofs)
	return &StripeReader{session: s, stream: stream, decoder: stripeDecoder{blockInput: in, repair: &received.repair}}, nil
}

// acceptError returns the error of ctx if it has ended, else the session's.
func (s *Session) acceptError(ctx context.Context, err error) error {
	if ctx.Err() != nil && s.Err() == nil {
		return ctx.Err()
	}
	return s.streamError(err)
}

// Header reads what the stream begins with, within 5 s. A stream that nobody asked for is reset, after an Unsub, and the error is a
// *StreamError with StreamUnsolicited; so are streams of unknown type (StreamUnknown) and those too slow (StreamStale).
func (r *StripeReader) Header() (StripeHeader, error) {
	if r.head != nil {
		return *r.head, nil
	}
	r.stream.SetReadDeadline(time.Now().Add(messageTimeout))
	h, err := r.decoder.header()
	switch {
	case errors.Is(err, errUnknownStream):
		return h, r.refuse(StreamUnknown)
	case err != nil:
		return h, r.session.fault(r.stream, err)
	case !r.session.expects(&h):
		return h, r.unsolicited(&h)
	}
	r.head = &h
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
// for a block that has no record, a *RecordError; else the session's error. Nothing is verified but the form: that is for feed's Log.Put, which takes over the payload.
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
	if _, err := r.decoder.in.Peek(1); errors.Is(err, io.EOF) {
		return StripeBlock{}, io.EOF
	} else if err != nil {
		return StripeBlock{}, r.session.fault(r.stream, err)
	}
	r.stream.SetReadDeadline(time.Now().Add(messageTimeout))
	b, err := r.decoder.head()
	return b, r.session.blockFault(r.stream, err)
}

// ReadPayload reads the payload of b, which ReadHead has just returned.
func (r *StripeReader) ReadPayload(b *StripeBlock) error {
	return r.session.fault(r.stream, r.decoder.body(b))
}

// Reset tells the peer to stop sending on this stream. Reads that wait return.
func (r *StripeReader) Reset(code StreamCode) { r.stream.CancelRead(quic.StreamErrorCode(code)) }
