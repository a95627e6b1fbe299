package pace

import (
	"testing"

	"tailcast/ingest"
)

// record is a Sink that keeps what it gets.
type record struct {
	programs []*ingest.Program
	samples  []ingest.Sample
}

func (r *record) SetProgram(p *ingest.Program) { r.programs = append(r.programs, p) }
func (r *record) WriteSample(s ingest.Sample)  { r.samples = append(r.samples, s) }

// TestGuideIsNoSeam: recordings that differ in their guides alone follow one another without a flag, and the new guide is told; other tracks are a seam.
func TestGuideIsNoSeam(t *testing.T) {
	program := func(title string, width int) *ingest.Program {
		return &ingest.Program{
			Number: 1, Tracks: []ingest.Track{{ID: 0, Codec: ingest.H264, Width: width}},
			Events: []ingest.Event{{Title: title}},
		}
	}
	for _, c := range []struct {
		name  string
		next  *ingest.Program
		told  int
		flags ingest.Flags
	}{
		{"the same", program("News", 1280), 1, 0},
		{"another guide", program("Film", 1280), 2, 0},
		{"another picture", program("News", 640), 2, ingest.Discontinuity},
	} {
		got := &record{}
		j := NewJoiner(got)
		for _, p := range []*ingest.Program{program("News", 1280), c.next} {
			j.Next()
			j.SetProgram(p)
			for i := range int64(3) {
				j.WriteSample(ingest.Sample{DTS: i * 3600, PTS: i * 3600})
			}
		}
		if len(got.programs) != c.told || len(got.samples) != 6 || got.samples[3].Flags != c.flags {
			t.Errorf("%s: %d programs, %d samples %+v", c.name, len(got.programs), len(got.samples), got.samples)
			continue
		}
		if last := got.programs[len(got.programs)-1]; last.Events[0].Title != c.next.Events[0].Title {
			t.Errorf("%s: the guide that was told last is %v", c.name, last.Events)
		}
	}
}
