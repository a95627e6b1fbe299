package switcher

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

// counted runs a source and counts what it delivers.
type counted struct {
	ingest.Source
	ingest.Sink
	n uint64 // owned by the source until it has ended
}

func (c *counted) Run(ctx context.Context, sink ingest.Sink) error {
	c.Sink = sink
	return c.Source.Run(ctx, c)
}

func (c *counted) WriteSample(m ingest.Sample) {
	c.n++
	c.Sink.WriteSample(m)
	if c.n%100 == 0 { // what no table has
		c.n++
		m.Track = 9
		c.Sink.WriteSample(m)
	}
}

// TestNothingIsLeftOutInSilence: whatever happens to an input that stays on air, each sample is handed on or counted with its cause.
func TestNothingIsLeftOutInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := &encoder{name: "only", lag: 4500, tracks: func(p *ingest.Program) { p.Tracks = append(p.Tracks, ingest.Track{ID: 2, Codec: ingest.Data}) }}
		only, out := &counted{Source: enc}, &discard{}
		s, stop := run(t, Config{Inputs: []Input{{Name: "only", Source: only}}}, out)
		for _, jump := range []int64{1 << 31, -3 * ingest.ClockRate, -1 << 31, 5, -5} {
			time.Sleep(10 * time.Second)
			enc.set(func(e *encoder) { e.jump = jump })
			time.Sleep(time.Second)
			enc.set(func(e *encoder) { e.off = true })
			time.Sleep(3 * time.Second)
			enc.set(func(e *encoder) { e.off = false })
		}
		stop()
		inputs, _ := s.Status()
		left, sum := inputs[0].Left, inputs[0].Dropped
		for _, n := range left {
			sum += n
		}
		if uint64(out.n)+sum != only.n || left[ingest.Unlisted] < 20 {
			t.Errorf("%d samples came, %d were handed on, %d dropped, left out %v", only.n, out.n, inputs[0].Dropped, left.Map())
		}
	})
}

// TestSwitchesCountWhatTheyLeaveOut: sound that ends later than the pictures is not told twice, and not forgotten.
func TestSwitchesCountWhatTheyLeaveOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, spare := &encoder{name: "main"}, &encoder{name: "spare", lag: 45000}
		s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, &screen{t: t})
		time.Sleep(10*time.Second - 20*ms) // before a keyframe of both
		main.set(func(e *encoder) { e.off = true })
		time.Sleep(5 * time.Second)
		stop()
		inputs, _ := s.Status()
		if inputs[0].Left != (ingest.Left{}) || inputs[1].Left[ingest.Overlap] == 0 {
			t.Errorf("left out %v of the primary and %v of the backup, want sound of the backup that lies before that of the primary", inputs[0].Left.Map(), inputs[1].Left.Map())
		}
	})
}
