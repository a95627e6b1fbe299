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

// blockInputSize is the read buffer of a stream, in bytes. Payloads bypass it.
const blockInputSize = 2048

// A blockInput reads what block streams and ranges have in common, and turns what goes wrong into the right error. What it reads is in
// the form of blocks, or ends the session.
type blockInput struct {
	session *Session
	stream  interface{ CancelRead(quic.StreamErrorCode) }
	in      *bufio.Reader
	repair  bool // its bytes count as repair
}

// parse reads fields that take at most limit bytes. fields may be called several times, with more bytes each time.
func (r *blockInput) parse(limit int, fields func(c *codec)) error {
	for need := 1; ; {
		p, err := r.in.Peek(min(limit, max(need, r.in.Buffered())))
		c := codec{buf: p, reading: true, logs: &r.session.logs}
		fields(&c)
		switch {
		case c.err == nil:
			n, _ := r.in.Discard(len(p) - len(c.buf))
			r.count(n, 0)
			return nil
		case !errors.Is(c.err, errShort) || len(p) == limit:
			return r.malformed(c.err)
		case err != nil:
			return r.error(err)
		}
		need = len(p) + 1
	}
}

// record reads record and signature of b.
func (r *blockInput) record(b *feed.Block) error {
	return r.parse(feed.RecordSize+feed.SignatureSize, func(c *codec) {
		if p := c.take(feed.RecordSize); p != nil {
			b.Record, c.err = feed.ParseRecord(p)
		}
		c.signature(&b.Signature)
	})
}

// payload reads the payload of b into a buffer of its own.
func (r *blockInput) payload(b *feed.Block) error {
	b.Payload = make([]byte, b.Record.Length)
	n, err := io.ReadFull(r.in, b.Payload)
	r.count(0, n)
	if err != nil {
		return r.error(err)
	}
	return nil
}

// frontier reads the peaks that frontier(size) has more than f, and returns it.
func (c *codec) frontier(f *merkle.Frontier, size uint64) (g merkle.Frontier) {
	var peaks [maxPeaks]merkle.Hash
	n := merkle.NewPeaks(f.Size(), size)
	for i := range n {
		c.hash(&peaks[i])
	}
	if c.err == nil {
		g, c.err = f.Advance(size, peaks[:n])
	}
	return g
}

// maxPeaks is the largest number of peaks of a tree: that of 1 bits in merkle.MaxSize.
const maxPeaks = 40

// count accounts for bytes received.
func (r *blockInput) count(proofs, media int) {
	received := &r.session.stats.received
	if r.repair {
		received.repair.Add(uint64(proofs + media))
		return
	}
	received.proofs.Add(uint64(proofs))
	received.media.Add(uint64(media))
}

// error says what an error of the stream within a header or block means, and ends what it should end.
func (r *blockInput) error(err error) error {
	switch {
	case isTimeout(err):
		r.stream.CancelRead(quic.StreamErrorCode(StreamStale))
		return &StreamError{Code: StreamStale}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return r.malformed(errShort)
	}
	return r.session.streamError(err)
}

// malformed ends the session.
func (r *blockInput) malformed(err error) error {
	return r.session.fail(CodeMalformed, fmt.Errorf("%w block stream: %w", errMalformed, err))
}

// strayed returns the error for a stream that was reset because nobody wants it; too many end the session.
func (s *Session) strayed(code StreamCode) error {
	if !s.stray.AllowN(s.endpoint.cfg.Now(), 1) {
		return s.fail(CodeFlood, fmt.Errorf("%w streams that nobody asked for", errFlood))
	}
	return &StreamError{Code: code}
}
