package swarm

import (
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// Who has a station key can sign any number of epochs: what is remembered of them is bounded by what the Replica holds.
func TestNotesOfManyEpochs(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	shown := []feed.Notes{c.Replica.Notes()}
	for range 20 {
		if err := c.Restart(1); err != nil {
			t.Fatal(err)
		}
		shown = append(shown, c.Replica.Notes())
	}
	viewer, err := feed.Open(c.Replica.Root(), feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer viewer.Close()
	var n notes
	n.start(viewer, time.Now)
	for range 2 { // the second time, all but the newest are refused
		for _, in := range shown {
			if _, _, err := n.take(in); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, own := n.newest(); own {
		t.Error("the newest epoch counts as ours, want: heard from peers")
	}
	if held := len(viewer.Epochs()); len(n.heard) != held || n.adding != 0 {
		t.Errorf("%d epochs remembered and %d being added, want the %d that are held", len(n.heard), n.adding, held)
	}
}
