package quicwire

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/quic-go/quic-go"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A blockInput reads what block streams and ranges have in common. Its errors are those of the stream, or wrap errMalformed.
type blockInput struct {
	in     *bufio.Reader
	codec  codec    // of the run of fields being read; here, so that none is allocated for each
	media  *counter // where payloads count
	proofs *counter // where all else counts
}

// blockInputSize is the read buffer of a stream, in bytes: more than the largest run of fields. Payloads bypass it.
const blockInputSize = 2048

func newBlockInput(r io.Reader, logs *logNumbers, media, proofs *counter) blockInput {
	in := bufio.NewReaderSize(r, blockInputSize)
	return blockInput{in: in, codec: codec{reading: true, logs: logs}, media: media, proofs: proofs}
}

// parse reads a run of fields that takes at most limit bytes. It may call fields several times, with more bytes each time.
func (r *blockInput) parse(limit int, fields func(c *codec)) error {
	for need := 1; ; need = len(r.codec.buf) + 1 {
		_, err := r.in.Peek(min(need, limit))
		p, _ := r.in.Peek(min(limit, r.in.Buffered()))
		r.codec.buf, r.codec.err = p, nil
		fields(&r.codec)
		switch {
		case r.codec.err == nil:
			n, _ := r.in.Discard(len(p) - len(r.codec.buf))
			r.proofs.Add(uint64(n))
			return nil
		case !errors.Is(r.codec.err, errShort) || len(p) == limit:
			return fmt.Errorf("%w block stream: %w", errMalformed, r.codec.err)
		case err != nil:
			return withinBlock(err)
		}
		r.codec.buf = p
	}
}

// withinBlock makes the end of a stream where it must not end an error of form.
func withinBlock(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w block stream: %w", errMalformed, errShort)
	}
	return err
}

// record carries record and signature of b to the reader. 80 bytes that are no record are remembered: what follows them tells whether
// the signer signed them.
func (c *codec) record(b *feed.Block) {
	c.bad = nil
	if p := c.take(feed.RecordSize); p != nil {
		var err error
		if b.Record, err = feed.ParseRecord(p); err != nil {
			c.bad = &RecordError{Record: feed.RawRecord(p), Err: fmt.Errorf("%w block stream: %w", errMalformed, err)}
		}
	}
	c.signature(&b.Signature)
}

// A RecordError says that a block has 80 bytes that are no record. The session has ended then, as no honest node passes such a block on; but
// what came with it may prove that the signer signed it.
type RecordError struct {
	Index     uint64
	Record    feed.RawRecord
	Signature feed.Signature  // as claimed, of the head of size Index+1
	Frontier  merkle.Frontier // as claimed, of the Index records before
	Err       error           // the session's
}

func (e *RecordError) Error() string { return e.Err.Error() }
func (e *RecordError) Unwrap() error { return e.Err }

// noRecord returns the error for a block whose record is none; nil if it is one.
func (c *codec) noRecord(b *feed.Block, before *merkle.Frontier) error {
	if c.bad == nil {
		return nil
	}
	c.bad.Index, c.bad.Signature, c.bad.Frontier = b.Index, b.Signature, *before
	return c.bad
}

// peaks reads the peaks that frontier(size) has more than f, and makes g of both.
func (c *codec) peaks(g, f *merkle.Frontier, size uint64) {
	var peaks [maxPeaks]merkle.Hash
	n := merkle.NewPeaks(f.Size(), size)
	for i := range n {
		c.hash(&peaks[i])
	}
	if c.err == nil {
		*g, c.err = f.Advance(size, peaks[:n])
	}
}

// maxPeaks is the largest number of peaks of a tree: that of 1 bits in merkle.MaxSize.
const maxPeaks = 40

// payload reads the payload of b into a buffer of its own.
func (r *blockInput) payload(b *feed.Block) error {
	b.Payload = make([]byte, b.Record.Length)
	n, err := io.ReadFull(r.in, b.Payload)
	r.media.Add(uint64(n))
	return withinBlock(err)
}

// A canceler is the receiving half of a stream.
type canceler interface{ CancelRead(quic.StreamErrorCode) }

// fault says what an error within a stream means to the caller, and ends what it should end: the session if the form was broken, the
// stream if it was too slow.
func (s *Session) fault(stream canceler, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errMalformed):
		return s.fail(CodeMalformed, err)
	case isTimeout(err):
		stream.CancelRead(quic.StreamErrorCode(StreamStale))
		return &StreamError{Code: StreamStale}
	}
	return s.streamError(err)
}

// blockFault is fault for an error in the fields of a block: one that may prove something against the signer is kept.
func (s *Session) blockFault(stream canceler, err error) error {
	var bad *RecordError
	if !errors.As(err, &bad) {
		return s.fault(stream, err)
	}
	bad.Err = s.fault(stream, err)
	return bad
}

// strayed returns the error for a stream that was reset because nobody wants it; too many end the session.
func (s *Session) strayed(code StreamCode) error {
	if !s.stray.AllowN(s.endpoint.cfg.Now(), 1) {
		return s.fail(CodeFlood, fmt.Errorf("%w streams that nobody asked for", errFlood))
	}
	return &StreamError{Code: code}
}
