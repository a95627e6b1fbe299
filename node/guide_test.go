package node

import (
	"testing"
	"time"

	"tailcast/feed"
)

// TestGuideOf: what has ended goes, and what does not say when it ends does so when the next begins.
func TestGuideOf(t *testing.T) {
	at := func(minutes int) time.Time { return time.Unix(1e9, 0).UTC().Add(time.Duration(minutes) * time.Minute) }
	list := []feed.Programme{{Start: at(-60), Title: "over"}, {Start: at(-30), Duration: 20 * time.Minute, Title: "over too"}, {Start: at(-5), Title: "on"}, {Start: at(30), Title: "next", Language: "deu"}}
	got := guideOf(list, at(0))
	if len(got) != 2 || got[0].Title != "on" || !got[0].End.Equal(at(30)) || got[1].End != nil || got[1].Language != "deu" {
		t.Errorf("got %+v", got)
	}
	if guideOf(nil, at(0)) != nil {
		t.Error("a guide of nothing")
	}
}
