package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/ingest/switcher"
	"tailcast/node"
)

func TestStandbyRefusesEarly(t *testing.T) {
	for want, o := range map[string]standbyOptions{
		"--backup: INPUT ftp://":               {texts: []string{"ftp://x/y"}, wellAfter: 1},
		"--backup: INPUT: stat ./nowhere.ts":   {texts: []string{"udp://127.0.0.1:5000", "./nowhere.ts"}, wellAfter: 1},
		"both read standard input":             {texts: []string{"-"}, wellAfter: 1},
		"--slate: INPUT: stat ./card.ts":       {slate: "./card.ts", wellAfter: 1},
		"--return-after -1s: want more than 0": {wellAfter: -time.Second},
	} {
		err := o.parse([]input{{name: mainRendition, kind: stdin}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	o := standbyOptions{texts: []string{"udp://127.0.0.1:5000", "480p=-", "push", "1080p=standby_test.go"}, slate: builtIn, wellAfter: time.Second}
	if err := o.parse([]input{{name: "1080p", kind: push}, {name: "480p", kind: push}}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range o.backups {
		got = append(got, fmt.Sprint(b.of, " ", b.name, " ", b.kind))
	}
	want := []string{fmt.Sprint("1080p 1080p-backup ", udp), fmt.Sprint("480p 480p-backup ", stdin), fmt.Sprint("1080p 1080p-backup-2 ", push), fmt.Sprint("1080p 1080p-backup-3 ", file)}
	if !slices.Equal(got, want) {
		t.Errorf("backups %q, want %q", got, want)
	}
}

// TestBackupsAreNoRenditions: as many renditions as a channel can have, with a backup each.
func TestBackupsAreNoRenditions(t *testing.T) {
	var list []input
	o := standbyOptions{wellAfter: time.Second}
	for i := range feed.MaxLogs - 1 {
		list = append(list, input{name: fmt.Sprint("r", i), kind: push})
		o.texts = append(o.texts, fmt.Sprintf("r%d=push", i))
	}
	if err := o.parse(list); err != nil || len(o.backups) != len(list) {
		t.Errorf("%d backups, %v", len(o.backups), err)
	}
}

// scripted is a source that the test turns on and off: 25 pictures a second, each a keyframe.
type scripted struct{ from, to time.Duration }

func (s scripted) run(ctx context.Context, sink ingest.Sink) error {
	sink.SetProgram(&ingest.Program{Tracks: []ingest.Track{{ID: 1, Codec: ingest.H264, Width: 640, Height: 360}}})
	begin := time.Now()
	for n := int64(0); ingest.Sleep(ctx, 40*time.Millisecond); n++ {
		if at := time.Since(begin); at >= s.from && at < s.to {
			sink.WriteSample(ingest.Sample{Track: 1, Flags: ingest.RandomAccess, DTS: n * 3600, PTS: n * 3600, Data: make([]byte, 1000)})
		}
	}
	return ctx.Err()
}

// TestStandbyTellsOfEachInput airs a primary that dies, a backup that dies later, and the built-in slate, and reads what is said.
func TestStandbyTellsOfEachInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := &ingest.Stats{}
		lost.LostPackets.Store(7)
		lost.Leave(ingest.Incomplete)
		lost.SetError(errors.New("the cable is loose"))
		o := &options{standby: standbyOptions{backups: []backup{{input{name: "main-backup", kind: file, text: "b.ts"}, mainRendition}}, slate: builtIn, wellAfter: time.Second}}
		src, err := withStandby(&source{run: scripted{0, 20 * time.Second}.run, stats: []*ingest.Stats{lost}, ways: []string{byUDP}}, input{name: mainRendition, text: "udp://a"}, o, nil, quiet())
		if err != nil {
			t.Fatal(err)
		}
		src.standby.inputs[1].source = &source{run: scripted{0, 40 * time.Second}.run, stats: []*ingest.Stats{{}}, ways: []string{byUs}}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		got := &recorder{}
		go func() { ended <- src.run(ctx, got) }()
		said := func() (i node.Ingest, states, ids []string) {
			synctest.Wait()
			src.standby.report(&i, "")
			for _, s := range i.Sources {
				state := s.Name + " " + s.State
				if s.OnAir {
					state += " *"
				}
				states = append(states, state)
			}
			for _, w := range i.Warnings {
				ids = append(ids, w.ID)
				if w.What == "" || w.Todo == "" {
					t.Errorf("says %+v", w)
				}
			}
			return i, states, ids
		}
		for _, c := range []struct {
			after       time.Duration
			states, ids []string
		}{
			{10 * time.Second, []string{"primary on air *", "backup standby", "slate waiting"}, nil},
			{15 * time.Second, []string{"primary down", "backup on air *", "slate waiting"}, []string{"down-primary", "backup"}},
			{20 * time.Second, []string{"primary down", "backup down", "slate on air *"}, []string{"down-primary", "down-backup", "slate"}},
		} {
			time.Sleep(c.after)
			i, states, ids := said()
			if !slices.Equal(states, c.states) || !slices.Equal(ids, c.ids) {
				t.Errorf("%v later: %q, warned of %q; want %q and %q", c.after, states, ids, c.states, c.ids)
			}
			if p := i.Sources[0]; c.after == 10*time.Second && (p.LostPackets != 7 || p.LastError != "the cable is loose" || p.FPS != 25 || p.Bitrate != 200_000 || p.Input != "udp://a" || p.LeftOut["incomplete"] != 1 || len(p.LeftOut) != 1) {
				t.Errorf("of the primary it says %+v", p)
			}
			if want := map[bool]int64{true: slateRate}[strings.HasPrefix(c.states[2], "slate on")]; src.standby.assume() != want {
				t.Errorf("plans for %d bit/s, want %d", src.standby.assume(), want)
			}
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestWarningsOfOneInput(t *testing.T) {
	fast, well := 420.4, 40.0
	for name, c := range map[string]struct {
		source node.IngestSource
		want   string
		text   string
	}{
		"fast":   {node.IngestSource{Name: "primary", Drift: &fast}, "drift-primary", "420 ppm fast, which is 1.5 s an hour"},
		"quartz": {node.IngestSource{Name: "primary", Drift: &well}, "", ""},
		"busy":   {node.IngestSource{Name: "backup 2", DroppedSamples: 9}, "busy-backup-2", "9 pictures"},
		"part":   {node.IngestSource{Name: "primary", Missing: []string{"sound (deu)", "sound (eng)"}}, "part-primary", "no more sound (deu) and sound (eng)"},
		"down":   {node.IngestSource{Name: "primary", State: string(switcher.Down), Reason: "nothing has come for 9s"}, "down-primary", "nothing has come for 9s"},
	} {
		list := sourceWarnings(c.source, c.source.State != "", c.source.DroppedSamples)
		if len(list) != min(1, len(c.want)) || len(list) == 1 && (list[0].ID != c.want || !strings.Contains(list[0].What, c.text)) {
			t.Errorf("%s: %+v, want %s with %q", name, list, c.want, c.text)
		}
	}
}

// TestBusyIsForgotten: that samples were dropped is spoken of for a minute, with how many, and then no more; the count of the status stays.
func TestBusyIsForgotten(t *testing.T) {
	var dropped recent
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		later       time.Duration
		total, want uint64
	}{
		{0, 0, 0},
		{time.Second, 5, 5},
		{time.Second, 5, 5},
		{time.Second / 2, 7, 7},
		{time.Second * 30, 9, 9},
		{40 * time.Second, 9, 2},
		{20 * time.Second, 9, 0},
		{time.Hour, 9, 0},
		{time.Second, 10, 1},
	} {
		now = now.Add(c.later)
		if got := dropped.within(busyFor, c.total, now); got != c.want {
			t.Errorf("at %v of %d: %d of late, want %d", now.Sub(time.Unix(1_800_000_000, 0)), c.total, got, c.want)
		}
	}
	if list := sourceWarnings(node.IngestSource{Name: "primary", DroppedSamples: 10}, false, 0); len(list) != 0 {
		t.Errorf("long after, it warns of %+v", list)
	}
}
