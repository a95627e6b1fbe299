package segmenter

import (
	"testing"
	"time"

	"tailcast/internal/cpu"
)

// report adds MB per CPU-second for each iteration's bytes.
func report(b *testing.B, start time.Duration, perOp int) {
	b.ReportMetric(float64(perOp)*float64(b.N)/1e6/(cpu.Used()-start).Seconds(), "MB/cpu-s")
}

func mediaBytes(events []event) (n int) {
	for _, e := range events {
		if e.Sample != nil {
			n += len(e.Sample.Data)
		}
	}
	return n
}

var benchStreams = []stream{fourMbit, smallVideo, radioStream}

func BenchmarkSegmenter(b *testing.B) {
	for _, stream := range benchStreams {
		b.Run(stream.name, func(b *testing.B) {
			const length = 10 * time.Second
			events := stream.events(length)
			s := New(Config{}, func(Block) error { return nil })
			defer s.Close()
			b.ReportAllocs()
			start := cpu.Used()
			for b.Loop() {
				for _, e := range events {
					if e.Sample != nil {
						s.WriteSample(*e.Sample)
						e.Sample.DTS += ticks(length)
						e.Sample.PTS += ticks(length)
					} else {
						s.SetProgram(e.Program)
					}
				}
			}
			report(b, start, mediaBytes(events))
		})
	}
}

func BenchmarkAssembler(b *testing.B) {
	for _, stream := range benchStreams {
		b.Run(stream.name, func(b *testing.B) {
			events := stream.events(10 * time.Second)
			blocks := segment(b, Config{}, events)
			a := NewAssembler(discard{})
			b.ReportAllocs()
			start := cpu.Used()
			for b.Loop() {
				for _, block := range blocks {
					if err := a.Write(block.Payload, block.SegmentFirst); err != nil {
						b.Fatal(err)
					}
				}
			}
			report(b, start, mediaBytes(events))
		})
	}
}

// manual is a clock that stands until it is moved, with at most one timer, as a Segmenter has.
type manual struct {
	now  time.Duration
	due  time.Duration // of the timer; 0 if it is off
	call func()
}

func (c *manual) Reset(d time.Duration) bool { c.due = c.now + d; return true }
func (c *manual) Stop() bool                 { c.due = 0; return true }

func (c *manual) afterFunc(d time.Duration, f func()) Timer {
	c.call = f
	c.Reset(d)
	return c
}

func (c *manual) sleepUntil(d time.Duration) {
	for c.due != 0 && c.due <= d {
		c.now, c.due = c.due, 0
		c.call()
	}
	c.now = d
}

// BenchmarkWait reports how long samples wait for the end of their block, in media time, and what blocks cost.
func BenchmarkWait(b *testing.B) {
	for _, stream := range benchStreams {
		b.Run(stream.name, func(b *testing.B) {
			var w *waits
			for b.Loop() {
				c := &manual{}
				cfg := Config{AfterFunc: c.afterFunc, Now: func() time.Time { return time.Unix(0, 0).Add(c.now) }}
				w = measure(b, cfg, stream, 20*time.Second, c.sleepUntil, func() time.Duration { return c.now })
			}
			waited := w.leading()
			b.ReportMetric(mean(waited).Seconds()*1e3, "ms-mean")
			b.ReportMetric(percentile(waited, 95).Seconds()*1e3, "ms-p95")
			b.ReportMetric(float64(w.blocks)/20, "blocks/s")
			b.ReportMetric(100*w.overhead(), "%units")
			b.ReportMetric(100*w.proofs(), "%proofs")
		})
	}
}
