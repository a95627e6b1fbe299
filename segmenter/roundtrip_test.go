package segmenter

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tailcast/ingest"
)

func genBytes(t *rapid.T, most int, label string) []byte {
	b := rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, label)
	if len(b) == 0 {
		return nil
	}
	return b
}

func genTrack(t *rapid.T, id uint8) ingest.Track {
	codecs := []ingest.Codec{ingest.H264, ingest.AV1, ingest.AAC, ingest.Opus, ingest.Data, "vvc", ""}
	dimension := rapid.IntRange(0, math.MaxInt32)
	return ingest.Track{
		ID:          id,
		Codec:       rapid.SampledFrom(codecs).Draw(t, "codec"),
		Language:    rapid.StringN(0, 3, 8).Draw(t, "language"),
		PID:         rapid.Uint16().Draw(t, "pid"),
		StreamType:  rapid.Byte().Draw(t, "stream type"),
		StreamID:    rapid.Byte().Draw(t, "stream id"),
		Sections:    rapid.Bool().Draw(t, "sections"),
		Descriptors: genBytes(t, 40, "descriptors"),
		Config:      genBytes(t, 300, "config"),
		SampleRate:  dimension.Draw(t, "rate"),
		Channels:    dimension.Draw(t, "channels"),
		Width:       dimension.Draw(t, "width"),
		Height:      dimension.Draw(t, "height"),
	}
}

func genProgram(t *rapid.T) *ingest.Program {
	p := &ingest.Program{
		Number:      rapid.Uint16().Draw(t, "number"),
		PMTPID:      rapid.Uint16().Draw(t, "pmt"),
		PCRPID:      rapid.Uint16().Draw(t, "pcr"),
		Name:        rapid.StringN(0, 10, 40).Draw(t, "name"),
		Descriptors: genBytes(t, 40, "descriptors"),
	}
	ids := rapid.SliceOfNDistinct(rapid.Uint8Range(0, ingest.MaxTracks-1), 1, 5, rapid.ID[uint8]).Draw(t, "ids")
	for _, id := range ids {
		p.Tracks = append(p.Tracks, genTrack(t, id))
	}
	return p
}

// genSample makes the next sample of a program: mostly what an encoder would send, sometimes anything.
func genSample(t *rapid.T, p *ingest.Program, clock *int64) *ingest.Sample {
	switch rapid.IntRange(0, 19).Draw(t, "time") {
	case 0:
		*clock = rapid.Int64().Draw(t, "jump")
	case 1:
		*clock += rapid.Int64Range(-1e6, 12*ingest.ClockRate).Draw(t, "leap")
	default:
		*clock += rapid.Int64Range(0, 10000).Draw(t, "step")
	}
	m := &ingest.Sample{
		Track: rapid.SampledFrom(p.Tracks).Draw(t, "track").ID,
		Flags: ingest.Flags(rapid.Uint8Range(0, 15).Draw(t, "flags")),
		DTS:   *clock, PTS: *clock,
		Data: genData(t),
	}
	switch rapid.IntRange(0, 9).Draw(t, "order") {
	case 0:
		m.PTS = rapid.Int64().Draw(t, "pts")
	case 1, 2, 3:
		m.PTS += rapid.Int64Range(0, 5).Draw(t, "reorder") * 3600
	}
	if rapid.IntRange(0, 3).Draw(t, "walled") == 0 {
		m.Wall = time.Unix(0, rapid.Int64().Draw(t, "wall"))
	}
	return m
}

func genData(t *rapid.T) []byte {
	size := rapid.SampledFrom([]int{0, 1, 100, 100, 1000, 5000, 30000}).Draw(t, "size")
	data := make([]byte, rapid.IntRange(size/2, size).Draw(t, "exactly"))
	seed := rapid.Byte().Draw(t, "fill")
	for i := range data {
		data[i] = seed + byte(i)
	}
	return data
}

// genEvents makes a program and samples, and now and then another program.
func genEvents(t *rapid.T) (events []event) {
	p := genProgram(t)
	events = append(events, event{Program: p})
	clock := rapid.Int64Range(-1e6, 1e10).Draw(t, "start")
	for range rapid.IntRange(0, 80).Draw(t, "length") {
		if rapid.IntRange(0, 19).Draw(t, "change") == 0 {
			p = genProgram(t)
			events = append(events, event{Program: p})
		}
		events = append(events, event{Sample: genSample(t, p, &clock)})
	}
	return events
}

func propRoundTrip(t *rapid.T) {
	events := genEvents(t)
	size := rapid.SampledFrom([]int{0, minBlock, 1000, 8192, maxBlock}).Draw(t, "block size")
	var blocks []Block
	s := New(Config{BlockSize: size}, func(b Block) error {
		blocks = append(blocks, b)
		return nil
	})
	play(s, events)
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	var r recorder
	a := NewAssembler(&r)
	for i, b := range blocks {
		if len(b.Payload) > maxBlock || size != 0 && len(b.Payload) > size {
			t.Fatalf("block %d has %d bytes, more than %d", i, len(b.Payload), size)
		}
		if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
			t.Fatalf("Write(block %d): %v", i, err)
		}
	}
	checkEqualRapid(t, r.events, heard(events))
}

// heard is events without programs that no sample refers to, and without those that say again what was heard before: each
// segment repeats its program, so a repetition cannot be told from that.
func heard(events []event) (list []event) {
	for i, e := range events {
		if e.Sample != nil || i+1 < len(events) && events[i+1].Sample != nil {
			list = append(list, e)
		}
	}
	return deduped(list)
}

func checkEqualRapid(t *rapid.T, got, want []event) {
	if !slices.EqualFunc(got, want, sameEvent) {
		for i := range min(len(got), len(want)) {
			if !sameEvent(got[i], want[i]) {
				t.Fatalf("event %d:\n got %v\nwant %v", i, got[i], want[i])
			}
		}
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
}

// Whatever a source delivers comes out as it went in.
func TestRoundTrip(t *testing.T) { rapid.Check(t, propRoundTrip) }

func FuzzRoundTrip(f *testing.F) {
	f.Add(make([]byte, 4096))
	f.Add(slices.Repeat([]byte{1, 2, 3, 250, 0, 17, 99, 0}, 1000))
	f.Fuzz(rapid.MakeFuzz(propRoundTrip))
}

// One lost block in the middle of a segment costs the samples that had bytes in it; the rest comes out as it went in, but for
// the flags that say so.
func TestRoundTripWithGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := genEvents(t)
		var blocks []Block
		s := New(Config{BlockSize: 1000}, func(b Block) error {
			blocks = append(blocks, b)
			return nil
		})
		play(s, events)
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if len(blocks) < 3 {
			t.Skip("nothing to lose")
		}
		lose := rapid.IntRange(1, len(blocks)-1).Draw(t, "lose")
		if blocks[lose].SegmentFirst {
			t.Skip("the rest of that segment is lost too")
		}
		var r recorder
		a := NewAssembler(&r)
		for i, b := range blocks {
			if i == lose {
				a.Gap()
				continue
			}
			if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
				t.Fatalf("Write(block %d) after losing %d: %v", i, lose, err)
			}
		}
		checkSubsequence(t, r.events, heard(events))
	})
}

// checkSubsequence wants got to be want without some of its samples.
func checkSubsequence(t *rapid.T, got, want []event) {
	const marks = ingest.Discontinuity | ingest.Damaged
	plain := func(e event) event {
		if e.Sample == nil {
			return e
		}
		m := *e.Sample
		m.Flags &^= marks
		return event{Sample: &m}
	}
	rest := want
	for i, e := range got {
		n := slices.IndexFunc(rest, func(w event) bool { return sameEvent(plain(w), plain(e)) })
		if n < 0 {
			t.Fatalf("event %d was never sent, or out of order: %v", i, e)
		}
		rest = rest[n+1:]
	}
}
