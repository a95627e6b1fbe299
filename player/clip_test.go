package player

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/ts"
)

// clipTicks is how long the embedded clip is; it loops without a gap.
const clipTicks = 8 * ingest.ClockRate

// keep is a Sink that remembers.
type keep struct {
	programs []*ingest.Program
	samples  []ingest.Sample
}

func (k *keep) SetProgram(p *ingest.Program) { k.programs = append(k.programs, p) }

func (k *keep) WriteSample(s ingest.Sample) {
	s.Data = bytes.Clone(s.Data)
	k.samples = append(k.samples, s)
}

// scan takes a transport stream apart.
func scan(stream []byte) *keep {
	k := &keep{}
	s := ts.NewScanner(ts.Config{Sink: k})
	_, _ = s.Write(stream)
	s.Flush()
	return k
}

var clipOnce = sync.OnceValue(func() *keep { return scan(clip.Bytes()) })

// clipSamples is what the embedded clip holds.
func clipSamples(t testing.TB) (*ingest.Program, []ingest.Sample) {
	t.Helper()
	k := clipOnce()
	if len(k.programs) == 0 || len(k.samples) == 0 {
		t.Fatal("the clip holds nothing")
	}
	return k.programs[len(k.programs)-1], k.samples
}

// looped calls each with the clip's samples for ever, at the pace of their times, until ctx ends.
func looped(ctx context.Context, samples []ingest.Sample, each func(ingest.Sample)) {
	begun := time.Now()
	for shift := int64(0); ; shift += clipTicks {
		for _, s := range samples {
			s.PTS += shift
			s.DTS += shift
			due := begun.Add(time.Duration(s.DTS-samples[0].DTS) * time.Second / ingest.ClockRate)
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return
			}
			each(s)
		}
	}
}
