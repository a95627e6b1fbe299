package main

import (
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
)

func listed(start time.Time, title string) ingest.Event {
	return ingest.Event{Start: start, Duration: time.Hour, Title: title, Language: "deu"}
}

// TestGuideInTheCatalog: what is on is told with the first entry; what comes later is told as soon as the last entry is ten seconds old,
// however often the guide flaps in between, and nothing at all is told twice.
func TestGuideInTheCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChannel(t, feed.Config{})
		a := c.onAir()
		program := func(events ...ingest.Event) *ingest.Program {
			return &ingest.Program{Number: 1, Tracks: []ingest.Track{{Codec: ingest.MPEGAudio}}, Events: events}
		}
		sample := func() { a.WriteSample(ingest.Sample{Flags: ingest.RandomAccess, Data: []byte("frame")}) }
		titles := func() (list []string) {
			state, _ := c.writer.Epoch().State()
			for _, p := range state.Guide {
				list = append(list, p.Title)
			}
			return list
		}
		entries := func() uint64 {
			log, err := c.writer.Epoch().Log(feed.CatalogLog)
			if err != nil {
				t.Fatal(err)
			}
			return log.Head().Size
		}
		begin := time.Date(2026, 7, 1, 20, 15, 0, 0, time.UTC)
		one, two := listed(begin, "One"), listed(begin.Add(time.Hour), "Two")
		a.SetProgram(program(one))
		a.WriteSample(ingest.Sample{Data: []byte("frame")})
		a.WriteSample(ingest.Sample{DTS: probeTime, PTS: probeTime, Data: []byte("frame")})
		if got := titles(); !reflect.DeepEqual(got, []string{"One"}) {
			t.Fatalf("the first entry says %q is on", got)
		}
		state, _ := c.writer.Epoch().State()
		if want := (feed.Programme{Start: begin, Duration: time.Hour, Title: "One", Language: "deu"}); state.Guide[0] != want {
			t.Errorf("got %+v, want %+v", state.Guide[0], want)
		}
		before := entries()
		for range 20 {
			a.SetProgram(program(two))
			a.SetProgram(program(one, two))
			sample()
		}
		if got := entries() - before; got != 0 {
			t.Errorf("%d entries at once, want none within ten seconds", got)
		}
		time.Sleep(catalogEvery)
		sample()
		sample()
		if got := titles(); !reflect.DeepEqual(got, []string{"One", "Two"}) || entries()-before != 1 {
			t.Errorf("after ten seconds %d entries say %q, want one that says One and Two", entries()-before, got)
		}
		time.Sleep(catalogEvery)
		a.SetProgram(program(one, two))
		a.SetProgram(program())
		sample()
		if got := titles(); got != nil || entries()-before != 2 {
			t.Errorf("without a guide %d entries say %q, want a second one that says nothing", entries()-before, got)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestGuideFitsTheCatalog, whatever a multiplexer sends.
func TestGuideFitsTheCatalog(t *testing.T) {
	p := &ingest.Program{Events: []ingest.Event{
		{Start: time.Date(1858, 11, 17, 0, 0, 0, 0, time.UTC), Title: "before 1970"},
		{Start: time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC), Title: "after all"},
		{Start: time.Unix(0, 0), Duration: -1, Title: strings.Repeat("ä", 300), Text: strings.Repeat("ö", 5000)},
	}}
	for range 20 {
		p.Events = append(p.Events, listed(time.Unix(1e9, 0), "x"))
	}
	state := feed.State{Renditions: []feed.Rendition{{Name: mainRendition, Stripes: 1}}, Guide: guideOf(p)}
	if _, err := state.Payload(); err != nil || len(state.Guide) != feed.MaxGuide || state.Guide[0].Title[:2] != "ä" {
		t.Errorf("got %d programmes, %v", len(state.Guide), err)
	}
}
