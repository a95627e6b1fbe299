package main

import (
	"strings"
	"testing"

	"tailcast/feed"
)

// renditionNames are those of the catalog of an epoch.
func renditionNames(e *feed.Epoch) (names []string) {
	state, _ := e.State()
	for _, r := range state.Renditions {
		names = append(names, r.Name)
	}
	return names
}

// TestCatalogListsWhatIsOnAir: best first, in whatever order they come on air; and what has come stays.
func TestCatalogListsWhatIsOnAir(t *testing.T) {
	c := newChannel(t, feed.Config{})
	d := &desk{writer: c.writer, title: "Test"}
	best, _, least := c.onAirOf(d, "1080p"), c.onAirOf(d, "720p"), c.onAirOf(d, "radio")
	if _, ok := c.writer.Epoch().State(); ok {
		t.Error("the catalog says something before anything is on air")
	}
	airClip(t, least)
	if got := renditionNames(c.writer.Epoch()); len(got) != 1 || got[0] != "radio" {
		t.Errorf("got %v, want radio alone: 720p and 1080p have not come", got)
	}
	airClip(t, best)
	if err := least.Close(); err != nil {
		t.Fatal(err)
	}
	if got := renditionNames(c.writer.Epoch()); len(got) != 2 || got[0] != "1080p" || got[1] != "radio" {
		t.Errorf("got %v, want 1080p before radio", got)
	}
	state, _ := c.writer.Epoch().State()
	if r := state.Renditions[0]; r.Width != 854 || r.Height != 480 || r.Bitrate == 0 || len(r.Codecs) != 2 {
		t.Errorf("the catalog says %+v, want what the clip is", r)
	}
}

// TestRenditionsChangeEpochsOneByOne: the first that begins a segment opens the next epoch, in whose catalog all are; the others follow at their
// own segments, and nobody is in the old one then.
func TestRenditionsChangeEpochsOneByOne(t *testing.T) {
	c := newChannel(t, feed.Config{})
	d := &desk{writer: c.writer, title: "Test"}
	a, b := c.onAirOf(d, "1080p"), c.onAirOf(d, "480p")
	airClip(t, a)
	airClip(t, b)
	moved := d.want(c.next)
	airClip(t, b)
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	if got := renditionNames(d.current().Epoch()); len(got) != 2 {
		t.Errorf("the catalog of the new epoch lists %v, want both", got)
	}
	if left := d.waiting(c.writer); len(left) != 1 || left[0] != a.outlet {
		t.Fatalf("%d renditions are in the old epoch, want 1080p", len(left))
	}
	gone := make(chan struct{})
	go func() { d.leave(t.Context(), c.writer); close(gone) }()
	airClip(t, a)
	<-gone
	for _, o := range []*outlet{a.outlet, b.outlet} {
		first, err := o.out.Log().Block(0)
		if err != nil || first.Record.Flags&(feed.SegmentFirst|feed.RandomAccess) != feed.SegmentFirst|feed.RandomAccess {
			t.Errorf("%s begins with flags %v, error %v: one cannot join there", o.name, first.Record.Flags, err)
		}
	}
}

// TestLostRenditionDoesNotHoldBack: one whose input has gone goes over when the others do, and does not cut them short.
func TestLostRenditionDoesNotHoldBack(t *testing.T) {
	c := newChannel(t, feed.Config{})
	d := &desk{writer: c.writer, title: "Test"}
	a, lost := c.onAirOf(d, "1080p"), c.onAirOf(d, "480p")
	airClip(t, lost)
	lost.outlet.last = lost.outlet.last.Add(-2 * lull)
	airClip(t, a)
	if allSilent(d.waiting(nil)) {
		t.Fatal("1080p has just come, and counts as silent")
	}
	moved := d.want(c.next)
	airClip(t, a)
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	d.leave(t.Context(), c.writer)
	if len(d.waiting(c.writer)) != 0 || lost.outlet.writer != d.current() {
		t.Error("480p has stayed in the old epoch")
	}
}

// TestWhatTheCatalogRefusesIsForgotten: one rendition with something to say that no catalog takes keeps neither the others nor the next epoch
// from being announced, and may say something else later.
func TestWhatTheCatalogRefusesIsForgotten(t *testing.T) {
	c := newChannel(t, feed.Config{})
	d := &desk{writer: c.writer, title: "Test"}
	best, least := d.outlet("1080p"), d.outlet("480p")
	good := func(o *outlet, codec string) notice {
		return notice{state: feed.Rendition{Name: o.name, Stripes: 1, Codecs: []string{codec}}}
	}
	bad := good(best, strings.Repeat("x", feed.MaxCodec+1))
	if err := best.begin(bad); err == nil || best.out != nil || best.state != nil {
		t.Fatalf("got error %v, on air %v: what is refused is kept", err, best.out != nil)
	}
	if err := least.begin(good(least, "aac")); err != nil {
		t.Fatalf("another rendition: %v", err)
	}
	if err := best.begin(good(best, "h264")); err != nil {
		t.Fatalf("the same one with something else to say: %v", err)
	}
	if err := best.tell(bad); err == nil {
		t.Fatal("the catalog has taken a codec that is too long")
	}
	if err := least.tell(good(least, "opus")); err != nil {
		t.Errorf("another rendition after that: %v", err)
	}
	moved := d.want(c.next)
	if err := best.force(); err != nil {
		t.Errorf("the next epoch: %v", err)
	}
	if err := <-moved; err != nil {
		t.Errorf("the next epoch: %v", err)
	}
	state, _ := d.current().Epoch().State()
	if r := state.Renditions; len(r) != 2 || r[0].Codecs[0] != "h264" || r[1].Codecs[0] != "opus" {
		t.Errorf("its catalog says %+v, want h264 and opus", r)
	}
}
