package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"tailcast/feed/merkle"
)

// Sizes in bytes.
const (
	RecordSize = 80
	MaxPayload = 65536
)

const recordVersion = 1

// A Kind says what a record is for. Unknown kinds are carried and skipped.
type Kind uint8

// The kinds of version 1. 0 is never used.
const (
	Media     Kind = 1 // a block of a rendition
	Event     Kind = 2 // an entry of the catalog
	Heartbeat Kind = 3 // nothing to say, still there; no payload
	End       Kind = 4 // the last record of its log; no payload
)

// Flags describe a block. Unknown flags of the low byte are carried and skipped; unknown ones of the high byte mean: do not play.
type Flags uint16

// The flags of version 1.
const (
	RandomAccess  Flags = 0x0001 // decoding can start here
	SegmentFirst  Flags = 0x0002 // a segment begins here, with its init
	Discontinuity Flags = 0x0004 // times do not continue those before
	Damaged       Flags = 0x0008 // something was lost before it reached us
	Encrypted     Flags = 0x0100 // ContentKey says by which key

	criticalFlags Flags = 0xff00
)

// Playable reports whether version 1 knows what to do with a block: whether no critical flag is set, Encrypted included.
func (f Flags) Playable() bool { return f&criticalFlags == 0 }

// A Record is a leaf of a log: what a payload is, and its hash. Big-endian, 80 bytes:
//
//	 0  version 1     u8        28  segment           u32
//	 1  kind          u8        32  back              u32
//	 2  flags         u16       36  content-key epoch u32
//	 4  length        u32       40  offset            u64
//	 8  wall clock    i64       48  SHA-256 of the payload, 32 bytes
//	16  DTS           i64
//	24  duration      u32
type Record struct {
	Kind       Kind
	Flags      Flags
	Length     uint32   // of the payload, at most MaxPayload
	Wall       int64    // when it was signed, microseconds since 1970 UTC
	DTS        int64    // of the first access unit, 90 kHz, unwrapped, may be negative
	Duration   uint32   // 90 kHz
	Segment    uint32   // counts segments from 0
	Back       uint32   // records since the first of the segment
	ContentKey uint32   // 0 unless Encrypted
	Offset     uint64   // sum of the lengths of all payloads before
	Hash       [32]byte // SHA-256 of the payload as sent
}

// ErrRecord says that 80 bytes are no record of version 1.
var ErrRecord = errors.New("not a record")

// Append appends the 80 bytes of r to b.
func (r *Record) Append(b []byte) []byte {
	e := binary.BigEndian
	b = append(b, recordVersion, byte(r.Kind))
	b = e.AppendUint16(b, uint16(r.Flags))
	b = e.AppendUint32(b, r.Length)
	b = e.AppendUint64(b, uint64(r.Wall))
	b = e.AppendUint64(b, uint64(r.DTS))
	b = e.AppendUint32(b, r.Duration)
	b = e.AppendUint32(b, r.Segment)
	b = e.AppendUint32(b, r.Back)
	b = e.AppendUint32(b, r.ContentKey)
	b = e.AppendUint64(b, r.Offset)
	return append(b, r.Hash[:]...)
}

// Leaf returns the hash of r in the tree of its log.
func (r *Record) Leaf() merkle.Hash {
	var buf [RecordSize]byte
	return merkle.LeafHash(r.Append(buf[:0]))
}

// ParseRecord reads a record and checks all that a record can break on its own.
func ParseRecord(b []byte) (Record, error) {
	if len(b) != RecordSize {
		return Record{}, fmt.Errorf("%w: got %d bytes, want %d", ErrRecord, len(b), RecordSize)
	}
	if b[0] != recordVersion {
		return Record{}, fmt.Errorf("%w of version %d: got version %d", ErrRecord, recordVersion, b[0])
	}
	e := binary.BigEndian
	r := Record{
		Kind:       Kind(b[1]),
		Flags:      Flags(e.Uint16(b[2:])),
		Length:     e.Uint32(b[4:]),
		Wall:       int64(e.Uint64(b[8:])),
		DTS:        int64(e.Uint64(b[16:])),
		Duration:   e.Uint32(b[24:]),
		Segment:    e.Uint32(b[28:]),
		Back:       e.Uint32(b[32:]),
		ContentKey: e.Uint32(b[36:]),
		Offset:     e.Uint64(b[40:]),
		Hash:       [32]byte(b[48:]),
	}
	return r, r.check()
}

// check returns what is wrong with r by itself.
func (r *Record) check() error {
	switch {
	case r.Kind == 0:
		return fmt.Errorf("%w: kind 0", ErrRecord)
	case r.Length > MaxPayload:
		return fmt.Errorf("%w: payload of %d bytes, want at most %d", ErrRecord, r.Length, MaxPayload)
	case (r.Kind == Heartbeat || r.Kind == End) && r.Length != 0:
		return fmt.Errorf("%w: kind %d with a payload of %d bytes, want none", ErrRecord, r.Kind, r.Length)
	case r.Wall < 0:
		return fmt.Errorf("%w: wall clock %d is before 1970", ErrRecord, r.Wall)
	case (r.Flags&SegmentFirst != 0) != (r.Back == 0):
		return fmt.Errorf("%w: flags %#04x, but %d records back to the segment's first", ErrRecord, uint16(r.Flags), r.Back)
	case r.Flags&Encrypted == 0 && r.ContentKey != 0:
		return fmt.Errorf("%w: content key %d without encryption", ErrRecord, r.ContentKey)
	case r.Offset > merkle.MaxSize*MaxPayload:
		return fmt.Errorf("%w: offset %d is beyond any log", ErrRecord, r.Offset)
	}
	return nil
}

// A RuleError says which rule between neighbouring records is broken. The signer broke it, not who sent the records.
type RuleError struct {
	Rule string // what must hold
	Got  uint64
	Want uint64
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("record breaks the rule that %s: got %d, want %d", e.Rule, e.Got, e.Want)
}

// Follows returns nil if r may stand right after prev in a log, or first in it if prev is nil; else a *RuleError.
func (r *Record) Follows(prev *Record) error {
	if prev == nil {
		return r.isFirst()
	}
	if prev.Kind == End {
		return &RuleError{"nothing follows an end record", uint64(r.Kind), uint64(End)}
	}
	if want := prev.Offset + uint64(prev.Length); r.Offset != want {
		return &RuleError{"offset is the previous offset plus the previous length", r.Offset, want}
	}
	if r.Wall < prev.Wall {
		return &RuleError{"wall clock is not below the previous one", uint64(r.Wall), uint64(prev.Wall)}
	}
	return r.continues(prev)
}

// After returns nil if r may stand behind prev in a log, with records between them that are not here; else a *RuleError.
func (r *Record) After(prev *Record) error {
	end := prev.Offset + uint64(prev.Length)
	switch {
	case prev.Kind == End:
		return &RuleError{"nothing follows an end record", uint64(r.Kind), uint64(End)}
	case r.Offset < end:
		return &RuleError{"offset does not go back behind a record before it", r.Offset, end}
	case r.Wall < prev.Wall:
		return &RuleError{"wall clock does not go back behind a record before it", uint64(r.Wall), uint64(prev.Wall)}
	case r.Segment < prev.Segment:
		return &RuleError{"segment does not go back behind a record before it", uint64(r.Segment), uint64(prev.Segment)}
	}
	return nil
}

// isFirst checks the rules of record 0.
func (r *Record) isFirst() error {
	switch {
	case r.Offset != 0:
		return &RuleError{"the first record has offset 0", r.Offset, 0}
	case r.Segment != 0:
		return &RuleError{"the first record is in segment 0", uint64(r.Segment), 0}
	case r.Back != 0:
		return &RuleError{"the first record begins its segment", uint64(r.Back), 0}
	}
	return nil
}

// continues checks that r begins the next segment, or is the next of the same one.
func (r *Record) continues(prev *Record) error {
	segment, back := uint64(prev.Segment), uint64(prev.Back)+1
	if r.Flags&SegmentFirst != 0 {
		segment, back = segment+1, 0
	}
	if uint64(r.Segment) != segment {
		return &RuleError{"segment counts by one at each segment's first record", uint64(r.Segment), segment}
	}
	if uint64(r.Back) != back {
		return &RuleError{"back counts the records since the segment's first", uint64(r.Back), back}
	}
	return nil
}

// A Block is a record with its payload, and the signature of the head that it makes: the one of size Index+1.
type Block struct {
	Index     uint64
	Record    Record
	Signature Signature
	Payload   []byte // shared and read-only
}

// ErrPayload says that a payload is not the one its record describes.
var ErrPayload = errors.New("payload does not match its record")

// CheckPayload returns nil if p is the payload that r describes.
func (r *Record) CheckPayload(p []byte) error {
	if uint64(len(p)) != uint64(r.Length) {
		return fmt.Errorf("%w: got %d bytes, want %d", ErrPayload, len(p), r.Length)
	}
	if sha256.Sum256(p) != r.Hash {
		return fmt.Errorf("%w: %d bytes of another hash", ErrPayload, len(p))
	}
	return nil
}
