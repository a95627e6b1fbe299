package switcher

import (
	"context"
	"testing"

	"tailcast/ingest"
)

type discard struct{ n int }

func (d *discard) SetProgram(*ingest.Program) {}
func (d *discard) WriteSample(ingest.Sample)  { d.n++ }

// BenchmarkHandOn is what an input costs on its way through the switch: pictures of 10 kB, with a frame of sound each.
func BenchmarkHandOn(b *testing.B) {
	picture, sound := make([]byte, 10_000), make([]byte, 300)
	source := sourceFunc(func(ctx context.Context, sink ingest.Sink) error {
		sink.SetProgram((&encoder{name: "x"}).program())
		for n := range int64(b.N) {
			m := ingest.Sample{DTS: n * 3600, PTS: n * 3600, Data: picture}
			if n%25 == 0 {
				m.Flags = ingest.RandomAccess
			}
			sink.WriteSample(m)
			sink.WriteSample(ingest.Sample{Track: 1, DTS: n * 3600, PTS: n * 3600, Data: sound})
		}
		return nil
	})
	out := &discard{}
	b.ReportAllocs()
	b.SetBytes(10_300)
	if err := New(Config{Inputs: []Input{{Name: "x", Source: source}}}).Run(b.Context(), out); err != nil || out.n != 2*b.N {
		b.Fatalf("%v, %d of %d samples", err, out.n, 2*b.N)
	}
}
