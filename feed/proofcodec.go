package feed

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tailcast/feed/merkle"
)

// A proofWriter appends the parts of a FaultProof.
type proofWriter struct{ buf []byte }

func (w *proofWriter) u8(v uint8)     { w.buf = append(w.buf, v) }
func (w *proofWriter) size(v uint64)  { w.buf = binary.BigEndian.AppendUint64(w.buf, v) }
func (w *proofWriter) bytes(b []byte) { w.buf = append(w.buf, b...) }

func (w *proofWriter) head(h *Head) {
	w.size(h.Size)
	w.bytes(h.Root[:])
	w.bytes(h.Signature[:])
}

// hashes appends hashes, of which there must be n.
func (w *proofWriter) hashes(hashes []merkle.Hash, n int) error {
	if len(hashes) != n {
		return fmt.Errorf("%w: got %d hashes, want %d", ErrNoFault, len(hashes), n)
	}
	for k := range hashes {
		w.bytes(hashes[k][:])
	}
	return nil
}

var errProofShort = errors.New("it ends too early")

// A proofReader reads the parts of a FaultProof. The first error stays; after it all parts are zero.
type proofReader struct {
	buf []byte // what is left
	err error
}

func (r *proofReader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

// bytes returns the next n bytes, nil if there are fewer. They belong to the input.
func (r *proofReader) bytes(n int) []byte {
	if r.err == nil && len(r.buf) < n {
		r.err = errProofShort
	}
	if r.err != nil {
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *proofReader) u8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// number reads a u64 of least to most.
func (r *proofReader) number(what string, least, most uint64) (n uint64) {
	if b := r.bytes(8); b != nil {
		n = binary.BigEndian.Uint64(b)
	}
	if r.err == nil && (n < least || n > most) {
		r.err = fmt.Errorf("%s %d, want %d to %d", what, n, least, most)
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *proofReader) head() (h Head) {
	h.Size = r.number("size", 1, merkle.MaxSize)
	copy(h.Root[:], r.bytes(merkle.HashSize))
	copy(h.Signature[:], r.bytes(SignatureSize))
	return h
}

func (r *proofReader) record() (raw RawRecord) {
	copy(raw[:], r.bytes(RecordSize))
	return raw
}

// hashes reads n hashes; nil for none.
func (r *proofReader) hashes(n int) []merkle.Hash {
	b := r.bytes(n * merkle.HashSize)
	if len(b) == 0 {
		return nil
	}
	hashes := make([]merkle.Hash, n)
	for k := range hashes {
		copy(hashes[k][:], b[k*merkle.HashSize:])
	}
	return hashes
}
