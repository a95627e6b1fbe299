package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tailcast/ingest"
)

// notes is a Sink that writes down what it gets.
type notes []string

func (n *notes) SetProgram(p *ingest.Program) { *n = append(*n, "program "+p.Name) }
func (n *notes) WriteSample(s ingest.Sample) {
	*n = append(*n, fmt.Sprint(s.PTS, " ", s.Flags&ingest.Discontinuity != 0))
}

func TestStageHasOneEncoderAtATime(t *testing.T) {
	var got notes
	now := time.Unix(0, 0)
	st := &stage{log: slog.New(slog.NewTextHandler(io.Discard, nil)), now: func() time.Time { return now }}
	a, b := &entrance{stage: st, name: "a", stats: &ingest.Stats{}}, &entrance{stage: st, name: "b", stats: &ingest.Stats{}}

	a.SetProgram(&ingest.Program{Name: "before"})
	a.WriteSample(ingest.Sample{PTS: 8}) // nobody listens
	st.perform(&got)
	b.WriteSample(ingest.Sample{PTS: 9}) // no program yet: cannot be understood
	a.SetProgram(&ingest.Program{Name: "A"})
	b.SetProgram(&ingest.Program{Name: "B"})
	a.WriteSample(ingest.Sample{PTS: 1})
	b.WriteSample(ingest.Sample{PTS: 2}) // a is on
	now = now.Add(silence - 1)
	a.WriteSample(ingest.Sample{PTS: 3})
	now = now.Add(silence)
	b.WriteSample(ingest.Sample{PTS: 4}) // a has been silent
	a.SetProgram(&ingest.Program{Name: "A2"})
	a.WriteSample(ingest.Sample{PTS: 5}) // b is on

	want := notes{"program A", "1 true", "3 false", "program B", "4 true"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if x, y := a.stats.Left(), b.stats.Left(); x != (ingest.Left{ingest.Second: 1}) || y != x {
		t.Errorf("left out %v and %v, want one each, as of a second encoder", x.Map(), y.Map())
	}
}
