package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tailcast/feed/merkle"
)

// testRecord returns a record in mid-log.
func testRecord() Record {
	return Record{
		Kind: Media, Flags: RandomAccess | SegmentFirst, Length: 5, Wall: 1795000000123456, DTS: -3003, Duration: 3003,
		Segment: 7, Back: 0, Offset: 1 << 33, Hash: sha256.Sum256([]byte("hello")),
	}
}

// recordAfter returns a record that may follow r.
func recordAfter(r Record) Record {
	n := r
	n.Flags &^= SegmentFirst
	n.Offset += uint64(r.Length)
	n.Back++
	return n
}

func TestRecordLayout(t *testing.T) {
	r := testRecord()
	r.Flags, r.ContentKey = r.Flags|Encrypted|Damaged, 9
	b := r.Append(nil)
	e := binary.BigEndian
	for name, got := range map[string]bool{
		"size":        len(b) == RecordSize,
		"version":     b[0] == 1,
		"kind":        b[1] == 1,
		"flags":       e.Uint16(b[2:]) == 0x010b,
		"length":      e.Uint32(b[4:]) == 5,
		"wall":        e.Uint64(b[8:]) == 1795000000123456,
		"dts":         int64(e.Uint64(b[16:])) == -3003,
		"duration":    e.Uint32(b[24:]) == 3003,
		"segment":     e.Uint32(b[28:]) == 7,
		"back":        e.Uint32(b[32:]) == 0,
		"content key": e.Uint32(b[36:]) == 9,
		"offset":      e.Uint64(b[40:]) == 1<<33,
		"hash":        [32]byte(b[48:]) == r.Hash,
	} {
		if !got {
			t.Errorf("%s is not where it belongs in %x", name, b)
		}
	}
	if got, err := ParseRecord(b); err != nil || got != r {
		t.Errorf("got %+v, %v, want %+v", got, err, r)
	}
	if r.Leaf() != merkle.LeafHash(b) {
		t.Error("the leaf is not the hash of the 80 bytes")
	}
}

func TestParseRecordIsStrict(t *testing.T) {
	for says, change := range map[string]func(r *Record){
		"kind 0":                func(r *Record) { r.Kind = 0 },
		"payload of 65537":      func(r *Record) { r.Length = MaxPayload + 1 },
		"kind 3 with a payload": func(r *Record) { r.Kind = Heartbeat },
		"kind 4 with a payload": func(r *Record) { r.Kind = End },
		"before 1970":           func(r *Record) { r.Wall = -1 },
		"1 records back":        func(r *Record) { r.Back = 1 },
		"0 records back":        func(r *Record) { r.Flags &^= SegmentFirst },
		"without encryption":    func(r *Record) { r.ContentKey = 1 },
		"beyond any log":        func(r *Record) { r.Offset = math.MaxUint64 },
	} {
		r := testRecord()
		change(&r)
		if _, err := ParseRecord(r.Append(nil)); !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want it to say %q", err, says)
		}
	}
	r := testRecord()
	b := r.Append(nil)
	for _, bad := range [][]byte{nil, b[:79], append(b, 0), append([]byte{2}, b[1:]...), append([]byte{0}, b[1:]...)} {
		if _, err := ParseRecord(bad); !errors.Is(err, ErrRecord) {
			t.Errorf("%d bytes, %.2x...: got %v, want ErrRecord", len(bad), bad, err)
		}
	}
}

// What later versions may add is carried: unknown kinds, unknown flags. Those of the high byte are not played.
func TestUnknownIsCarried(t *testing.T) {
	r := testRecord()
	r.Kind, r.Flags = 200, r.Flags|0x8080
	if got, err := ParseRecord(r.Append(nil)); err != nil || got != r {
		t.Errorf("got %+v, %v, want %+v", got, err, r)
	}
	for flags, want := range map[Flags]bool{0: true, RandomAccess | SegmentFirst | Discontinuity | Damaged: true, 0x0080: true, Encrypted: false, 0x8000: false} {
		if got := flags.Playable(); got != want {
			t.Errorf("flags %#04x: got playable %v, want %v", uint16(flags), got, want)
		}
	}
}

func TestFollows(t *testing.T) {
	first := testRecord()
	first.Offset, first.Segment = 0, 0
	in := testRecord()
	after := recordAfter(in)
	begin := recordAfter(in)
	begin.Flags, begin.Segment, begin.Back = SegmentFirst, 8, 0
	end := after
	end.Kind, end.Length = End, 0
	last := in
	last.Segment = math.MaxUint32
	wrapped := recordAfter(last)
	wrapped.Flags, wrapped.Segment, wrapped.Back = SegmentFirst, 0, 0
	with := func(r Record, change func(r *Record)) *Record { change(&r); return &r }

	for _, tt := range []struct {
		name      string
		prev      *Record
		r         *Record
		rule      string
		got, want uint64
	}{
		{"first", nil, &first, "", 0, 0},
		{"next", &in, &after, "", 0, 0},
		{"next segment", &in, &begin, "", 0, 0},
		{"end", &in, &end, "", 0, 0},
		{"same wall", &in, with(after, func(r *Record) { r.Wall = in.Wall }), "", 0, 0},
		{"times may go back", &in, with(after, func(r *Record) { r.DTS = -1 << 60 }), "", 0, 0},
		{"first with offset", nil, with(first, func(r *Record) { r.Offset = 5 }), "offset 0", 5, 0},
		{"first in segment 1", nil, with(first, func(r *Record) { r.Segment = 1 }), "segment 0", 1, 0},
		{"first without begin", nil, with(first, func(r *Record) { r.Flags, r.Back = 0, 2 }), "begins its segment", 2, 0},
		{"after end", &end, with(recordAfter(end), func(*Record) {}), "nothing follows", 4, 4},
		{"gap", &in, with(after, func(r *Record) { r.Offset++ }), "offset", 1<<33 + 6, 1<<33 + 5},
		{"overlap", &in, with(after, func(r *Record) { r.Offset-- }), "offset", 1<<33 + 4, 1<<33 + 5},
		{"wall back", &in, with(after, func(r *Record) { r.Wall-- }), "wall", 1795000000123455, 1795000000123456},
		{"segment jumps", &in, with(begin, func(r *Record) { r.Segment++ }), "segment", 9, 8},
		{"segment again", &in, with(begin, func(r *Record) { r.Segment-- }), "segment", 7, 8},
		{"segment without flag", &in, with(after, func(r *Record) { r.Segment++ }), "segment", 8, 7},
		{"back jumps", &in, with(after, func(r *Record) { r.Back++ }), "back", 2, 1},
		{"segment wraps", &last, &wrapped, "segment", 0, 1 << 32},
	} {
		err := tt.r.Follows(tt.prev)
		var broken *RuleError
		if tt.rule == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if !errors.As(err, &broken) || !strings.Contains(broken.Rule, tt.rule) || broken.Got != tt.got || broken.Want != tt.want {
			t.Errorf("%s: got %v, want rule %q, got %d, want %d", tt.name, err, tt.rule, tt.got, tt.want)
		}
	}
}

func TestCheckPayload(t *testing.T) {
	r := testRecord()
	if err := r.CheckPayload([]byte("hello")); err != nil {
		t.Error(err)
	}
	for _, p := range []string{"", "hell", "hello!", "hellp"} {
		if err := r.CheckPayload([]byte(p)); !errors.Is(err, ErrPayload) {
			t.Errorf("%q: got %v, want ErrPayload", p, err)
		}
	}
}

// Append and ParseRecord are each other's inverse, and neither allocates with a buffer at hand.
func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), RecordSize, RecordSize).Draw(t, "bytes")
		b[0], b[4], b[5], b[6], b[8], b[40] = 1, 0, 0, 0, b[8]&0x7f, 0
		r, err := ParseRecord(b)
		if err == nil && string(r.Append(nil)) != string(b) {
			t.Fatalf("%x is another spelling of %x", b, r.Append(nil))
		}
	})
	r := testRecord()
	buf := r.Append(nil)
	if got := testing.AllocsPerRun(100, func() {
		buf = r.Append(buf[:0])
		if _, err := ParseRecord(buf); err != nil {
			t.Fatal(err)
		}
		_ = r.Leaf()
	}); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func FuzzParseRecord(f *testing.F) {
	r := testRecord()
	n := recordAfter(r)
	f.Add(append(r.Append(nil), n.Append(nil)...))
	f.Add(make([]byte, RecordSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := ParseRecord(b[:min(len(b), RecordSize)])
		if err != nil {
			return
		}
		if string(first.Append(nil)) != string(b[:RecordSize]) {
			t.Errorf("%x is another spelling of %x", b, first.Append(nil))
		}
		second, err := ParseRecord(b[RecordSize:])
		if err == nil && second.Follows(&first) == nil && second.Follows(nil) == nil && second.Offset != 0 {
			t.Error("a record is first and not first")
		}
	})
}
