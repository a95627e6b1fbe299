package segmenter

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"tailcast/ingest"
)

// interleaved are pictures of two blocks and a bit each, with sound between, in segments of 25.
func interleaved(count int) []event {
	events := []event{{Program: television()}}
	for i := range count {
		var flags ingest.Flags
		if i%25 == 0 {
			flags = ingest.RandomAccess
		}
		at := int64(i) * frame
		events = append(events, sample(0, flags, at, 12000), sample(1, 0, at+100, 300))
	}
	return events
}

func TestGap(t *testing.T) {
	events := interleaved(50)
	blocks := segment(t, Config{BlockSize: 4096}, events)
	middle := slices.IndexFunc(blocks, func(b Block) bool { return b.DTS == 10*frame })
	var r recorder
	a := NewAssembler(&r)
	for i, b := range blocks {
		if i == middle+1 { // the second part of picture 10
			a.Gap()
			continue
		}
		if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
			t.Fatalf("Write(block %d): %v", i, err)
		}
	}
	got := r.samples()
	if len(got) != 99 {
		t.Fatalf("got %d samples, want 99: all but the torn one", len(got))
	}
	for _, m := range got {
		var want ingest.Flags
		switch {
		case m.Track == 0 && m.DTS%(25*frame) == 0:
			want = ingest.RandomAccess
		case m.Track == 0 && m.DTS == 11*frame:
			want = ingest.Discontinuity | ingest.Damaged
		case m.Track == 0 && m.DTS > 11*frame && m.DTS < 25*frame:
			want = ingest.Damaged
		case m.Track == 1 && m.DTS == 10*frame+100:
			want = ingest.Discontinuity
		}
		if m.Flags != want {
			t.Errorf("track %d at %d: flags %04b, want %04b", m.Track, m.DTS, m.Flags, want)
		}
	}
}

// A viewer joins, loses the rest of a segment, and goes on at the next.
func TestJoinAndSkip(t *testing.T) {
	blocks := segment(t, Config{BlockSize: 4096}, interleaved(75))
	var r recorder
	a := NewAssembler(&r)
	second := slices.IndexFunc(blocks[1:], func(b Block) bool { return b.SegmentFirst }) + 1
	third := slices.IndexFunc(blocks[second+1:], func(b Block) bool { return b.SegmentFirst }) + second + 1
	for i, b := range blocks[1:] {
		i++
		if i == third-2 || i == third-1 {
			a.Gap()
			continue
		}
		if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
			t.Fatalf("Write(block %d): %v", i, err)
		}
	}
	got := r.samples()
	if got[0].DTS != 25*frame || got[0].Flags != ingest.RandomAccess {
		t.Errorf("first sample: %v, want the one at %d", event{Sample: &got[0]}, 25*frame)
	}
	after := slices.IndexFunc(got, func(m ingest.Sample) bool { return m.DTS >= 50*frame })
	for i, want := range []ingest.Flags{ingest.RandomAccess | ingest.Discontinuity, ingest.Discontinuity, 0, 0} {
		if got[after+i].Flags != want {
			t.Errorf("sample %d after the gap: flags %04b, want %04b", i, got[after+i].Flags, want)
		}
	}
}

func TestProgramIsToldOnce(t *testing.T) {
	blocks := segment(t, Config{}, interleaved(75))
	var r recorder
	a := NewAssembler(&r)
	count := func() (n int) {
		for _, e := range r.events {
			if e.Program != nil {
				n++
			}
		}
		return n
	}
	for range 2 {
		for _, b := range blocks {
			if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := count(); got != 1 {
		t.Errorf("told %d times, want once", got)
	}
	a.Reset()
	if err := a.Write(blocks[0].Payload, true); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != 2 {
		t.Errorf("told %d times after Reset, want again", got)
	}
}

// An init may be larger than a block; without all of it a segment means nothing.
func TestLongInit(t *testing.T) {
	p := television()
	p.Tracks[0].Config = bytes.Repeat([]byte{7}, 3000)
	events := []event{{Program: p}}
	for i := range 60 {
		events = append(events, sample(1, 0, int64(i)*1920, 50), sample(0, ingest.RandomAccess, int64(i)*frame, 50))
	}
	blocks := segment(t, Config{BlockSize: 1000}, events)
	checkEqual(t, assemble(t, blocks), events)

	var r recorder
	a := NewAssembler(&r)
	for i, b := range blocks {
		if i == 1 {
			a.Gap()
			continue
		}
		if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
			t.Fatalf("Write(block %d): %v", i, err)
		}
	}
	if got := starts(blocks)[1].dts; r.samples()[0].DTS != got {
		t.Errorf("goes on at %d, want at the second segment, %d", r.samples()[0].DTS, got)
	}
}

// payload builds what no Segmenter makes.
type payload []byte

func (p payload) num(v uint64) payload  { return binary.AppendUvarint(p, v) }
func (p payload) raw(b ...byte) payload { return append(p, b...) }

func first() payload {
	encoded := appendProgram(nil, television())
	return append(appendInitHead(payload{0}, len(encoded)), encoded...)
}

func firstWith(init ...byte) payload {
	return append(appendInitHead(payload{0}, len(init)), init...)
}

func TestUnknownUnitsArePassedOver(t *testing.T) {
	var r recorder
	a := NewAssembler(&r)
	start := first().raw(0x81, 3, 1, 2, 3).raw(1, 0, 20, 1, 'a').raw(0xfe, 4, 1)
	if err := a.Write(start, true); err != nil {
		t.Fatal(err)
	}
	if err := a.Write(payload{3, 2, 3, 4}.raw(1, 0, 40, 1, 'b'), false); err != nil {
		t.Fatal(err)
	}
	got := r.samples()
	if len(got) != 2 || string(got[0].Data) != "a" || string(got[1].Data) != "b" || got[1].DTS != 20 {
		t.Errorf("got %v", r.events)
	}
}

func TestLaterFieldsArePassedOver(t *testing.T) {
	encoded := payload{initVersion, 1, 2, 3, 0, 0, 1}
	track := append(appendTrack(nil, &radio().Tracks[0]), 1, 2, 3)
	encoded = append(encoded.num(uint64(len(track))), track...).raw(9, 9, 9)
	p, err := parseProgram(encoded)
	if err != nil {
		t.Fatal(err)
	}
	want := &ingest.Program{Number: 1, PMTPID: 2, PCRPID: 3, Tracks: radio().Tracks}
	checkEqual(t, []event{{Program: p}}, []event{{Program: want}})
}

// broken are payloads that break the format, each after whole and half a unit if it is not a segment's first.
var broken = []struct {
	name    string
	payload payload
	first   bool
	want    string // in the error
}{
	{"empty", payload{}, true, "byte 0 of 0: carry is not a whole varint"},
	{"no init", payload{0}, true, "byte 1 of 1: a segment's first block is empty"},
	{"carry at the start", payload{3, 1, 2, 3}, true, "byte 1 of 4: 3 bytes are carried over, 0 are wanted"},
	{"sample before the init", payload{0}.raw(0, 0, 0, 0), true, "byte 1 of 5: an init must begin a segment and nothing else"},
	{"second init", append(first(), first()[1:]...), true, "an init must begin a segment and nothing else"},
	{"version", firstWith(7), true, "init is of version 7, this program knows 1: a newer one is needed"},
	{"init ends early", firstWith(initVersion, 1), true, "init, byte 2 of 2: pmt pid is not a whole varint"},
	{"too many tracks", firstWith(initVersion, 1, 2, 3, 0, 0, 65), true, "byte 6 of 7: number of tracks is 65, more than 64"},
	{"track id", firstWith(append([]byte{initVersion, 1, 2, 3, 0, 0, 1, 13, 64}, make([]byte, 12)...)...), true, "track id 64 is over 63"},
	{"track twice", firstWith(append([]byte{initVersion, 1, 2, 3, 0, 0, 2, 13}, append(make([]byte, 13), append([]byte{13}, make([]byte, 13)...)...)...)...), true, "track 0 is there twice"},
	{"no such track", first().raw(9, 0, 0, 0), true, "track 9 is not in the program"},
	{"unit too long", first().raw(0, 0, 0).num(MaxUnit + 1), true, "length is 16777217, more than 16777216"},
	{"head ends early", first().raw(0x40, 0, 0), true, "pts is not a whole varint"},
	{"flags are missing", first().raw(0), true, "flags is missing"},
	{"carries less", payload{3, 1, 2, 3}, false, "3 bytes are carried over, 5 are wanted"},
	{"carries more", payload{9}, false, "9 bytes are carried over, 5 are wanted"},
	{"carry too long", payload{}.num(MaxUnit + 1), false, "byte 0 of 4: carry is 16777217"},
	{"varint too long", payload(bytes.Repeat([]byte{0xff}, 11)), false, "carry is not a whole varint"},
}

func TestBrokenPayloads(t *testing.T) {
	for _, test := range broken {
		t.Run(test.name, func(t *testing.T) {
			var r recorder
			a := NewAssembler(&r)
			if !test.first {
				if err := a.Write(first().raw(0, 0, 0, 10, 1, 2, 3, 4, 5), true); err != nil {
					t.Fatal(err)
				}
			}
			err := a.Write(test.payload, test.first)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ...%s", err, test.want)
			}
			checkGoesOn(t, a, &r)
		})
	}
}

// checkGoesOn wants a to pass over the rest of the segment and to go on at the next.
func checkGoesOn(t *testing.T, a *Assembler, r *recorder) {
	t.Helper()
	r.events = nil
	if err := a.Write(payload{0}.raw(1, 0, 0, 1, 'x'), false); err != nil || len(r.events) > 0 {
		t.Errorf("after the error: got %v, %v, want nothing", err, r.events)
	}
	if err := a.Write(first().raw(1, 0, 0, 1, 'y'), true); err != nil {
		t.Errorf("next segment: %v", err)
	}
	if got := r.samples(); len(got) != 1 || string(got[0].Data) != "y" {
		t.Errorf("next segment: got %v", r.events)
	}
}

func TestAssemblerAllocations(t *testing.T) {
	blocks := segment(t, Config{BlockSize: 4096}, interleaved(100))
	a := NewAssembler(discard{})
	allocs := testing.AllocsPerRun(10, func() {
		for _, b := range blocks {
			if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 0 {
		t.Errorf("got %.0f allocations for %d blocks, want none", allocs, len(blocks))
	}
}

type discard struct{}

func (discard) SetProgram(*ingest.Program) {}
func (discard) WriteSample(ingest.Sample)  {}

// strict is a Sink that knows what an Assembler promises.
type strict struct {
	t      *testing.T
	tracks uint64
	bytes  int
}

func (s *strict) SetProgram(p *ingest.Program) {
	if len(p.Tracks) > ingest.MaxTracks {
		s.t.Fatalf("%d tracks", len(p.Tracks))
	}
	again, err := parseProgram(appendProgram(nil, p))
	if err != nil || !sameEvent(event{Program: again}, event{Program: p}) {
		s.t.Fatalf("program does not survive:\n got %+v, %v\nwant %+v", again, err, p)
	}
	s.tracks = 0
	for _, t := range p.Tracks {
		s.tracks |= 1 << t.ID
	}
}

func (s *strict) WriteSample(m ingest.Sample) {
	if s.tracks>>m.Track&1 == 0 {
		s.t.Fatalf("a sample of track %d, which is not in the program", m.Track)
	}
	s.bytes += len(m.Data)
}

// FuzzAssembler reads its input as blocks: what to do (1: segment first, 2: after a gap, 4: after a reset), a length of two
// bytes, and the payload.
func FuzzAssembler(f *testing.F) {
	for _, b := range broken {
		start := first().raw(0, 0, 0, 10, 1, 2, 3, 4, 5)
		f.Add(fuzzBlocks(Block{Payload: start, SegmentFirst: true}, Block{Payload: b.payload, SegmentFirst: b.first}))
	}
	f.Add(fuzzBlocks(segment(f, Config{BlockSize: 1000}, interleaved(3))...))
	f.Add(fuzzBlocks(segment(f, Config{BlockSize: 300}, smallVideo.events(1e8))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		sink := &strict{t: t}
		a := NewAssembler(sink)
		given := len(data)
		for len(data) >= 3 {
			what, n := data[0], min(int(binary.BigEndian.Uint16(data[1:])), len(data)-3)
			block := data[3 : 3+n]
			data = data[3+n:]
			if what&2 != 0 {
				a.Gap()
			}
			if what&4 != 0 {
				a.Reset()
			}
			a.Write(block, what&1 != 0) // error or not, it goes on
		}
		if sink.bytes > given || cap(a.part) > 2*given+64 {
			t.Errorf("%d bytes delivered and %d kept of %d", sink.bytes, cap(a.part), given)
		}
	})
}

func fuzzBlocks(blocks ...Block) (data []byte) {
	for _, b := range blocks {
		what := byte(0)
		if b.SegmentFirst {
			what = 1
		}
		data = binary.BigEndian.AppendUint16(append(data, what), uint16(len(b.Payload)))
		data = append(data, b.Payload...)
	}
	return data
}
