// Package pace makes a broadcast out of recordings: a Pacer delivers samples when they are due, a Joiner lets one recording follow
// another on a clock that goes on. Both are Sinks in front of another Sink; neither knows where samples come from.
package pace

import "tailcast/ingest"

// mediaOf marks the tracks whose times are the program's: pictures and sound, or all if there are none of these.
func mediaOf(p *ingest.Program) (media [ingest.MaxTracks]bool) {
	some := false
	for _, t := range p.Tracks {
		media[t.ID] = t.Codec != ingest.Data
		some = some || media[t.ID]
	}
	for _, t := range p.Tracks {
		media[t.ID] = media[t.ID] || !some
	}
	return media
}
