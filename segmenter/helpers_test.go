package segmenter

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"

	"tailcast/ingest"
)

// event is what a Sink gets: a program or a sample.
type event struct {
	Program *ingest.Program `json:",omitempty"`
	Sample  *ingest.Sample  `json:",omitempty"`
}

func (e event) String() string {
	if e.Program != nil {
		return fmt.Sprintf("program %+v", *e.Program)
	}
	m := *e.Sample
	if len(m.Data) > 16 {
		return fmt.Sprintf("track %d flags %04b pts %d dts %d wall %v, %d bytes", m.Track, m.Flags, m.PTS, m.DTS, m.Wall, len(m.Data))
	}
	return fmt.Sprintf("track %d flags %04b pts %d dts %d wall %v %x", m.Track, m.Flags, m.PTS, m.DTS, m.Wall, m.Data)
}

// recorder is a Sink that keeps everything.
type recorder struct{ events []event }

func (r *recorder) SetProgram(p *ingest.Program) { r.events = append(r.events, event{Program: p}) }

func (r *recorder) WriteSample(m ingest.Sample) {
	m.Data = bytes.Clone(m.Data)
	r.events = append(r.events, event{Sample: &m})
}

func (r *recorder) samples() (list []ingest.Sample) {
	for _, e := range r.events {
		if e.Sample != nil {
			list = append(list, *e.Sample)
		}
	}
	return list
}

// play sends events to sink.
func play(sink ingest.Sink, events []event) {
	for _, e := range events {
		if e.Program != nil {
			sink.SetProgram(e.Program)
		} else {
			sink.WriteSample(*e.Sample)
		}
	}
}

// segment cuts events, whole, without any clock but theirs.
func segment(t testing.TB, cfg Config, events []event) (blocks []Block) {
	t.Helper()
	s := New(cfg, func(b Block) error {
		blocks = append(blocks, b)
		return nil
	})
	play(s, events)
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return blocks
}

// assemble reads blocks back.
func assemble(t testing.TB, blocks []Block) []event {
	t.Helper()
	var r recorder
	a := NewAssembler(&r)
	for i, b := range blocks {
		if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
			t.Fatalf("Write(block %d): %v", i, err)
		}
	}
	return r.events
}

// checkEqual wants the same events; Wall is compared as an instant.
func checkEqual(t testing.TB, got, want []event) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !sameEvent(got[i], want[i]) {
			t.Fatalf("event %d:\n got %v\nwant %v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
}

func sameEvent(a, b event) bool {
	if a.Program != nil || b.Program != nil {
		return reflect.DeepEqual(a.Program, b.Program)
	}
	x, y := *a.Sample, *b.Sample
	same := x.Wall.Equal(y.Wall) && bytes.Equal(x.Data, y.Data)
	x.Wall, y.Wall, x.Data, y.Data = time.Time{}, time.Time{}, nil, nil
	return same && reflect.DeepEqual(x, y)
}

func television() *ingest.Program {
	return &ingest.Program{
		Number: 1, PMTPID: 0x1000, PCRPID: 0x100, Name: "Eins", Descriptors: []byte{0x0e, 0x03, 0xc0, 0, 1},
		Tracks: []ingest.Track{
			{ID: 0, Codec: ingest.H264, PID: 0x100, StreamType: 0x1b, StreamID: 0xe0, Config: []byte{0, 0, 0, 1, 0x67}, Width: 1280, Height: 720},
			{ID: 1, Codec: ingest.AAC, Language: "deu", PID: 0x101, StreamType: 0x0f, StreamID: 0xc0, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2},
			{ID: 2, Codec: ingest.Data, PID: 0x102, StreamType: 0x86, Sections: true, Descriptors: []byte{0x8a, 1, 0}},
		},
	}
}

func radio() *ingest.Program {
	return &ingest.Program{
		Number: 1, PMTPID: 0x1000, PCRPID: 0x101,
		Tracks: []ingest.Track{{ID: 1, Codec: ingest.AAC, PID: 0x101, StreamType: 0x0f, StreamID: 0xc0, SampleRate: 48000, Channels: 2}},
	}
}

func sample(track uint8, flags ingest.Flags, dts int64, size int) event {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(int64(i) + dts/90)
	}
	return event{Sample: &ingest.Sample{Track: track, Flags: flags, PTS: dts, DTS: dts, Data: data}}
}
