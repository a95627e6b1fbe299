package ts

import (
	"testing"

	"tailcast/ingest"
)

// clockSink notes what it hears of the encoder's clock.
type clockSink struct{ heard []int64 }

func (*clockSink) SetProgram(*ingest.Program) {}
func (*clockSink) WriteSample(ingest.Sample)  {}
func (c *clockSink) WriteClock(at int64)      { c.heard = append(c.heard, at) }

// TestClockIsHeard: a sink that wants the program clock gets each reference, unwrapped like the times of samples.
func TestClockIsHeard(t *testing.T) {
	sink := &clockSink{}
	mux := NewMuxer(NewScanner(Config{Sink: sink}))
	if err := mux.SetProgram(&ingest.Program{Tracks: []ingest.Track{{ID: 1, Codec: ingest.MPEGAudio}}}); err != nil {
		t.Fatal(err)
	}
	const begin = 1<<33 - 2*ingest.ClockRate
	for i := range int64(200) { // four seconds, over the wrap
		at := begin + i*1800
		if err := mux.WriteSample(ingest.Sample{Track: 1, PTS: at, DTS: at, Data: make([]byte, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(sink.heard) < 100 {
		t.Fatalf("heard %d references in four seconds, want one each 40 ms", len(sink.heard))
	}
	for i := 1; i < len(sink.heard); i++ {
		if step := sink.heard[i] - sink.heard[i-1]; step <= 0 || step > maxPCRGap {
			t.Fatalf("reference %d is %d ticks after the one before", i, step)
		}
	}
	if last := sink.heard[len(sink.heard)-1]; last < 1<<33 {
		t.Errorf("the last reference is %d: the wrap was not followed", last)
	}
}
