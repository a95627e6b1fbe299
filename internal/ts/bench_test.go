package ts

import (
	"io"
	"testing"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/cpu"
)

type nowhere struct{}

func (nowhere) SetProgram(*ingest.Program)  {}
func (nowhere) WriteSample(s ingest.Sample) {}

// perCPU reports the rate of n bytes an operation.
func perCPU(b *testing.B, n int, op func()) {
	b.Helper()
	b.ReportAllocs()
	start := cpu.Used()
	for b.Loop() {
		op()
	}
	used := cpu.Used() - start
	b.ReportMetric(float64(n)*float64(b.N)/1e6/used.Seconds(), "MB/cpu-s")
}

// BenchmarkScanner demultiplexes the clip: 567 samples.
func BenchmarkScanner(b *testing.B) {
	in := clip.Bytes()
	perCPU(b, len(in), func() {
		s := NewScanner(Config{Sink: nowhere{}})
		for p := in; len(p) > 0; {
			n := min(len(p), 64<<10)
			s.Write(p[:n])
			p = p[n:]
		}
		s.Flush()
	})
}

// BenchmarkMuxer multiplexes the clip's samples; the bytes counted are those written.
func BenchmarkMuxer(b *testing.B) {
	r, _ := scanAll(clip.Bytes())
	written := 0
	perCPU(b, len(clip.Bytes()), func() {
		m := NewMuxer(io.Discard)
		if err := m.SetProgram(r.programs[0]); err != nil {
			b.Fatal(err)
		}
		for _, s := range r.samples {
			if err := m.WriteSample(s); err != nil {
				b.Fatal(err)
			}
		}
		written++
	})
}

// TestScannerAllocates: not for each frame.
func TestScannerAllocates(t *testing.T) {
	in, samples := clip.Bytes(), 567
	n := testing.AllocsPerRun(5, func() {
		s := NewScanner(Config{Sink: nowhere{}})
		s.Write(in)
		s.Flush()
	})
	if n > float64(samples) {
		t.Errorf("got %v allocations for %d samples, want fewer than one each", n, samples)
	}
}
