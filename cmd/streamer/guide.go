package main

import (
	"time"

	"tailcast/feed"
	"tailcast/ingest"
)

// A notice is what a rendition has to say for the catalog.
type notice struct {
	state  feed.Rendition
	called string // the name of its programme
	guide  []feed.Programme
}

func (a *onAir) notice() notice { return notice{a.state, a.program.Name, guideOf(a.program)} }

// catalogEvery is the least time between two entries that can wait. The catalog is kept for ever, and multiplexers with two
// sources for their guide are known to alternate between them.
const catalogEvery = 10 * time.Second

// guideOf is what p says is on and comes next, as the catalog takes it.
func guideOf(p *ingest.Program) (list []feed.Programme) {
	for _, e := range p.Events {
		entry := feed.Programme{
			Start: e.Start, Duration: max(e.Duration, 0),
			Title: fit(e.Title, feed.MaxTitle), Text: fit(e.Text, feed.MaxProgrammeText), Language: e.Language,
		}
		if year := e.Start.Year(); year >= 1970 && year < 2106 && len(list) < feed.MaxGuide {
			list = append(list, entry)
		}
	}
	return list
}
