package quicwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/quic-go/quic-go/quicvarint"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A codec writes the fields of a message or reads them, whichever it was made for. So each message lists its fields once, in the
// order in which they travel, and the two directions cannot differ. The first error stays; after it nothing is read or written.
type codec struct {
	buf     []byte // what was written, or what is left to read
	reading bool
	err     error
	logs    *logNumbers
	bad     *RecordError // of the last record that was read; nil if it was one
}

// errShort says that a message ended within its fields.
var errShort = errors.New("it ends too early")

// fail keeps the first error.
func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// check keeps an error unless ok.
func (c *codec) check(ok bool, format string, args ...any) {
	if !ok {
		c.fail(format, args...)
	}
}

// take returns the next n bytes to read, or nil after an error.
func (c *codec) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if len(c.buf) < n {
		c.err = errShort
		return nil
	}
	b := c.buf[:n]
	c.buf = c.buf[n:]
	return b
}

// fixed carries len(b) bytes as they are.
func (c *codec) fixed(b []byte) {
	if c.reading {
		copy(b, c.take(len(b)))
	} else {
		c.buf = append(c.buf, b...)
	}
}

func (c *codec) u8(v *uint8) {
	if !c.reading {
		c.buf = append(c.buf, *v)
	} else if b := c.take(1); b != nil {
		*v = b[0]
	}
}

// i64 carries 8 bytes, big-endian, two's complement.
func (c *codec) i64(v *int64) {
	if !c.reading {
		c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(*v))
	} else if b := c.take(8); b != nil {
		*v = int64(binary.BigEndian.Uint64(b))
	}
}

// varint carries a number of at most limit as RFC 9000 section 16 does, in 1, 2, 4 or 8 bytes.
func (c *codec) varint(v *uint64, limit uint64) {
	if c.err != nil {
		return
	}
	if c.reading {
		n, size, err := quicvarint.Parse(c.buf)
		if err != nil {
			c.err = errShort
			return
		}
		c.buf = c.buf[size:]
		*v = n
	}
	if *v > limit {
		c.fail("%d is over %d", *v, limit)
		return
	}
	if !c.reading {
		c.buf = quicvarint.Append(c.buf, *v)
	}
}

// size carries how many blocks a log has, which is also the index of the next one.
func (c *codec) size(v *uint64) { c.varint(v, merkle.MaxSize) }

// index carries the index of a block that there is: the tree with it has one record more, and is still a tree.
func (c *codec) index(v *uint64) { c.varint(v, merkle.MaxSize-1) }

// mask carries a set of bits.
func (c *codec) mask(v *uint32) {
	n := uint64(*v)
	c.varint(&n, math.MaxUint32)
	*v = uint32(n)
}

// ms carries a duration as milliseconds, rounded; longer ones than 49 days as 49 days, negative ones as 0.
func (c *codec) ms(v *time.Duration) {
	n := uint64(max(0, min((*v+time.Millisecond/2)/time.Millisecond, math.MaxUint32)))
	c.varint(&n, math.MaxUint32)
	if c.reading {
		*v = time.Duration(n) * time.Millisecond
	}
}

// wall carries a time as microseconds since 1970.
func (c *codec) wall(v *time.Time) {
	var us int64
	if !v.IsZero() {
		us = v.UnixMicro()
	}
	c.i64(&us)
	if c.reading {
		*v = time.Time{}
		if us != 0 {
			*v = time.UnixMicro(us)
		}
	}
}

// text carries bytes with their length, at most limit of them.
func (c *codec) text(v *[]byte, limit int) {
	n := uint64(len(*v))
	c.varint(&n, uint64(limit))
	if !c.reading {
		c.buf = append(c.buf, *v...)
	} else if b := c.take(int(n)); len(b) > 0 {
		*v = slices.Clone(b)
	}
}

// str carries a sentence for people.
func (c *codec) str(v *string, limit int) {
	b := []byte(*v)
	c.text(&b, limit)
	*v = string(b)
}

// count carries the length of a list, one byte, and prepares the list for reading.
func count[T any](c *codec, list *[]T, limit int) {
	n := uint8(min(len(*list), math.MaxUint8))
	c.check(len(*list) <= limit, "a list of %d, want at most %d", len(*list), limit)
	c.u8(&n)
	c.check(int(n) <= limit, "a list of %d, want at most %d", n, limit)
	if !c.reading || c.err != nil {
		return
	}
	if *list = nil; n > 0 {
		*list = make([]T, n)
	}
}

func (c *codec) key(v *feed.PublicKey)       { c.fixed(v[:]) }
func (c *codec) signature(v *feed.Signature) { c.fixed(v[:]) }
func (c *codec) hash(v *merkle.Hash)         { c.fixed(v[:]) }

// hashes carries exactly n hashes.
func (c *codec) hashes(v *[]merkle.Hash, n int) {
	if c.reading {
		if c.err != nil || len(c.buf) < n*merkle.HashSize {
			c.fail("%w", errShort)
			return
		}
		if n > 0 {
			*v = make([]merkle.Hash, n)
		}
	}
	c.check(len(*v) == n, "%d hashes, want %d", len(*v), n)
	for i := range *v {
		c.hash(&(*v)[i])
	}
}

// addr carries an address: 0 for none, else 4 or 16 and so many bytes, then the port.
func (c *codec) addr(v *netip.AddrPort) {
	ip := v.Addr().Unmap()
	b := ip.AsSlice()
	size := uint8(len(b))
	c.u8(&size)
	if size == 0 || c.err != nil {
		return
	}
	if size != 4 && size != 16 {
		c.fail("an address of %d bytes, want 0, 4 or 16", size)
		return
	}
	if !c.reading {
		c.buf = binary.BigEndian.AppendUint16(append(c.buf, b...), v.Port())
	} else if b := c.take(int(size) + 2); b != nil {
		ip, _ = netip.AddrFromSlice(b[:size])
		c.check(!ip.Is4In6(), "an IPv4 address in 16 bytes")
		*v = netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[size:]))
	}
}

// MaxBits is the longest bitmap of a message, in bits.
const MaxBits = 4096

// indices carries block indices, ascending, as the first one and a bitmap that begins with it and ends with the last one.
func (c *codec) indices(v *[]uint64) {
	if c.reading {
		c.readIndices(v)
	} else {
		c.writeIndices(*v)
	}
}

func (c *codec) writeIndices(v []uint64) {
	if len(v) == 0 {
		c.buf = append(c.buf, 0, 0)
		return
	}
	first, last := v[0], v[len(v)-1]
	if last < first || last-first >= MaxBits || last >= merkle.MaxSize {
		c.fail("blocks %d to %d in one bitmap, want at most %d in ascending order, below %d", first, last, MaxBits, uint64(merkle.MaxSize))
		return
	}
	bits := last - first + 1
	c.buf = quicvarint.Append(c.buf, first)
	c.buf = quicvarint.Append(c.buf, bits)
	at := len(c.buf)
	c.buf = append(c.buf, make([]byte, (bits+7)/8)...)
	for i, x := range v {
		if i > 0 && x <= v[i-1] {
			c.fail("block %d after %d, want ascending order", x, v[i-1])
			return
		}
		c.buf[at+int((x-first)/8)] |= 1 << ((x - first) % 8)
	}
}

func (c *codec) readIndices(v *[]uint64) {
	var first, bits uint64
	c.index(&first)
	c.varint(&bits, MaxBits)
	c.check(first+bits <= merkle.MaxSize, "%d blocks from %d on lead beyond any log", bits, first)
	b := c.take(int(bits+7) / 8)
	if c.err != nil || bits == 0 {
		return
	}
	last := bits - 1
	if b[0]&1 == 0 || b[last/8]>>(last%8) != 1 {
		c.fail("a bitmap that does not begin and end with a 1")
		return
	}
	for i := range bits {
		if b[i/8]>>(i%8)&1 == 1 {
			*v = append(*v, first+i)
		}
	}
}
