package segmenter

import (
	"encoding/binary"
	"time"

	"tailcast/ingest"
)

// A payload, as docs/segment.md draws it:
//
//	carry · rest of the unit the block before left unfinished · unit · unit · ...
//
//	sample unit   track u8 (+0x40: pts follows dts) · flags u8 (+0x80: wall follows) · dts · [pts-dts] · [wall] · length · bytes
//	init unit     0x80 · length · program
//	other units   0x81 to 0xff · length · bytes, passed over
//
// Numbers are varints as in encoding/binary. Times are differences to the unit before in the same block, absolute in a
// block's first, so that every block can be read alone once the init is known.
const (
	trackMask = 0x3f
	kindPTS   = 0x40
	kindInit  = 0x80
	kindNone  = 0xff // passed over by everybody
	flagWall  = 0x80

	// MaxUnit bounds the bytes of one unit. Larger samples are cut there and marked Damaged.
	MaxUnit = 16 << 20

	// maxHead is the room the longest head of a unit takes: kind, flags, three times, length.
	maxHead = 1 + 1 + 3*binary.MaxVarintLen64 + 4
)

// base is what times of the next unit are differences to; zero at the beginning of a block. Sums and differences wrap.
type base struct{ dts, wall int64 }

// appendHead adds the head of m's unit to dst and moves b on.
func (b *base) appendHead(dst []byte, m *ingest.Sample) []byte {
	kind, flags := m.Track, uint8(m.Flags)&^flagWall
	if m.PTS != m.DTS {
		kind |= kindPTS
	}
	wall, walled := unixNano(m.Wall)
	if walled {
		flags |= flagWall
	}
	dst = binary.AppendVarint(append(dst, kind, flags), m.DTS-b.dts)
	b.dts = m.DTS
	if m.PTS != m.DTS {
		dst = binary.AppendVarint(dst, m.PTS-m.DTS)
	}
	if walled {
		dst = binary.AppendVarint(dst, wall-b.wall)
		b.wall = wall
	}
	return binary.AppendUvarint(dst, uint64(len(m.Data)))
}

// unixNano is t as it travels; false if t is unset or too far away (before 1678, after 2262).
func unixNano(t time.Time) (int64, bool) {
	if t.IsZero() {
		return 0, false
	}
	n := t.UnixNano()
	return n, time.Unix(0, n).Equal(t)
}

func appendCarry(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }

func appendInitHead(dst []byte, length int) []byte {
	return binary.AppendUvarint(append(dst, kindInit), uint64(length))
}
