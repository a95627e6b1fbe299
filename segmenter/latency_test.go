package segmenter

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

// waits is what cutting costs: how long samples lie in blocks that are not finished, and how many bytes carry them.
type waits struct {
	video, audio []time.Duration
	blocks       int
	payload      int // bytes of blocks
	media        int // bytes of samples
}

// proofBytes are what a block adds on the wire: record, signature and 2.9 peaks of 32 bytes.
const proofBytes = 238

func (w *waits) overhead() float64 { return float64(w.payload-w.media) / float64(w.media) }
func (w *waits) proofs() float64   { return proofBytes * float64(w.blocks) / float64(w.payload) }

// leading are the waits of pictures, or of sound where there are none.
func (w *waits) leading() []time.Duration {
	if len(w.video) > 0 {
		return w.video
	}
	return w.audio
}

func mean(d []time.Duration) time.Duration {
	var sum time.Duration
	for _, v := range d {
		sum += v
	}
	return sum / time.Duration(max(len(d), 1))
}

func percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[(len(d)-1)*p/100]
}

// waitSink measures samples as they come out.
type waitSink struct {
	*waits
	now func() time.Duration
}

func (s waitSink) SetProgram(*ingest.Program) {}

func (s waitSink) WriteSample(m ingest.Sample) {
	list := &s.video
	if m.Track == 1 {
		list = &s.audio
	}
	*list = append(*list, s.now()-arrival(&m))
	s.media += len(m.Data)
}

// measure plays s live: sleepUntil waits, now tells the time, both from the beginning.
func measure(t testing.TB, cfg Config, s stream, length time.Duration, sleepUntil func(time.Duration), now func() time.Duration) *waits {
	t.Helper()
	var w waits
	a := NewAssembler(waitSink{&w, now})
	seg := New(cfg, func(b Block) error {
		w.blocks++
		w.payload += len(b.Payload)
		return a.Write(b.Payload, b.SegmentFirst)
	})
	for _, e := range s.events(length) {
		if e.Sample != nil {
			sleepUntil(arrival(e.Sample))
		}
		play(seg, []event{e})
	}
	if err := seg.Close(); err != nil {
		t.Fatal(err)
	}
	return &w
}

// How long a picture waits for the end of its block, in virtual time. At 4 Mbit/s the aim is 25 ms for one of two and 60 ms for 19 of 20.
// A picture either ends its block or waits for the next, 40 ms: by the rule "half of 8 KiB" 55 of 100 wait, by three eighths 41, by
// a quarter 28, for 3 and 6 blocks in 100 more. At 0.87 Mbit/s the aim was 36 ms in the mean and 83 ms for 19 of 20.
func TestWait(t *testing.T) {
	for _, test := range []struct {
		stream                   stream
		mean, p50, p95, overhead float64 // ms, ms, ms, ratio
	}{
		{fourMbit, 18, 0, 42, 0.003},
		{smallVideo, 18, 0, 83, 0.012},
		{radioStream, 115, 115, 200, 0.035},
	} {
		t.Run(test.stream.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				now := func() time.Duration { return time.Since(begin) }
				w := measure(t, Config{}, test.stream, time.Minute, func(d time.Duration) { time.Sleep(d - now()) }, now)
				waited := w.leading()
				gotMean, gotP50, gotP95 := mean(waited).Seconds()*1e3, percentile(waited, 50).Seconds()*1e3, percentile(waited, 95).Seconds()*1e3
				t.Logf("wait mean %.1f ms, p50 %.1f ms, p95 %.1f ms; sound %.1f, %.1f ms; %.1f blocks/s of %d bytes, units %.2f %%, proofs %.2f %%", gotMean, gotP50, gotP95,
					mean(w.audio).Seconds()*1e3, percentile(w.audio, 95).Seconds()*1e3, float64(w.blocks)/60, w.payload/w.blocks, 100*w.overhead(), 100*w.proofs())
				if gotMean > test.mean || gotP50 > test.p50 || gotP95 > test.p95 || w.overhead() > test.overhead {
					t.Errorf("wait mean %.1f ms, p50 %.1f ms, p95 %.1f ms, overhead %.4f; want <= %v ms, %v ms, %v ms, %v",
						gotMean, gotP50, gotP95, w.overhead(), test.mean, test.p50, test.p95, test.overhead)
				}
			})
		})
	}
}
