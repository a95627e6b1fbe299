package segmenter

import (
	"encoding/binary"
	"fmt"
	"time"

	"tailcast/ingest"
)

// reader takes fields from the front of p. After the first error it yields zeros and keeps the error.
type reader struct {
	p   []byte
	off int
	err error
}

func (r *reader) more() bool { return r.err == nil && r.off < len(r.p) }

func (r *reader) fail(reason string) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d of %d: %s", r.off, len(r.p), reason)
	}
}

func (r *reader) u8(what string) uint8 {
	if !r.more() {
		r.fail(what + " is missing")
		return 0
	}
	r.off++
	return r.p[r.off-1]
}

func (r *reader) uvarint(what string) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.p[r.off:])
	if n <= 0 {
		r.fail(what + " is not a whole varint")
		return 0
	}
	r.off += n
	return v
}

// varint is uvarint in zigzag.
func (r *reader) varint(what string) int64 {
	u := r.uvarint(what)
	return int64(u>>1) ^ -int64(u&1)
}

// number is a uvarint of at most limit.
func (r *reader) number(what string, limit int) int {
	start := r.off
	v := r.uvarint(what)
	if v > uint64(limit) {
		r.off = start
		r.fail(fmt.Sprintf("%s is %d, more than %d", what, v, limit))
		return 0
	}
	return int(v)
}

// upTo is the next n bytes, or as many as are left. They are not copied.
func (r *reader) upTo(n int) []byte {
	if r.err != nil {
		return nil
	}
	n = min(n, len(r.p)-r.off)
	r.off += n
	return r.p[r.off-n : r.off : r.off]
}

// head is the front of a unit, up to its bytes.
type head struct {
	kind   uint8
	sample ingest.Sample // of a sample unit, without Data
	length int           // of the bytes that follow, here and in the next blocks
}

func (h *head) isSample() bool { return h.kind < kindInit }

// head reads the next unit's head and moves b on.
func (r *reader) head(b *base) (h head) {
	h.kind = r.u8("kind")
	if h.isSample() {
		h.sample = r.times(h.kind, b)
	}
	h.length = r.number("length", MaxUnit)
	return h
}

func (r *reader) times(kind uint8, b *base) (m ingest.Sample) {
	flags := r.u8("flags")
	m.Track, m.Flags = kind&trackMask, ingest.Flags(flags&^flagWall)
	b.dts += r.varint("dts")
	m.DTS, m.PTS = b.dts, b.dts
	if kind&kindPTS != 0 {
		m.PTS += r.varint("pts")
	}
	if flags&flagWall != 0 {
		b.wall += r.varint("wall")
		m.Wall = time.Unix(0, b.wall).UTC()
	}
	return m
}
