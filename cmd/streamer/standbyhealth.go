package main

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"tailcast/ingest/switcher"
	"tailcast/node"
)

// largeDrift is a difference between an encoder's clock and ours, in millionths, that no quartz has: a second in less than an hour.
const largeDrift = 300

// patience is how long an input may take to deliver for the first time before that is spoken of.
const patience = 10 * time.Second

// busyFor is how long samples that were dropped are spoken of.
const busyFor = time.Minute

// report adds what is known of each input, and what a broadcaster should know of it.
func (st *standby) report(into *node.Ingest, page string) {
	known, switches := st.master.Status()
	into.Switches = switches
	for i, k := range known {
		s := st.inputs[i].report(k, page)
		into.Sources = append(into.Sources, s)
		missed := len(known) > 1 && !k.Slate && (k.State == switcher.Down || k.State == switcher.Waiting && time.Since(st.begun) > patience)
		into.Warnings = append(into.Warnings, sourceWarnings(s, missed, st.inputs[i].dropped.within(busyFor, s.DroppedSamples, time.Now()))...)
	}
	if len(known) > 1 {
		into.Warnings = append(into.Warnings, airWarnings(into.Sources)...)
	}
}

func (s *standing) report(k switcher.Status, page string) node.IngestSource {
	h := s.source.health(s.input, page)
	s.health.report(h, s.source.lossy())
	left := s.source.left()
	left.Add(k.Left)
	r := node.IngestSource{
		Name: k.Name, Input: cmp.Or(s.input.text, "an encoder that sends here"), State: string(k.State), OnAir: k.OnAir, Reason: k.Reason, Missing: k.Missing,
		IngestCounts: h.IngestCounts, DroppedSamples: k.Dropped, LeftOut: left.Map(), LastError: cmp.Or(h.LastError, k.Error),
		Bitrate: h.Bitrate, FPS: h.FPS, Keyframe: h.Keyframe, Tracks: h.Tracks, Push: h.Push,
	}
	if k.Drifts {
		ppm := math.Round(k.Drift*10) / 10
		r.Drift = &ppm
	}
	return r
}

// sourceWarnings are about one input, whether it is on air or not; missed says that it should deliver and does not, dropped how many samples of it there
// was no room for of late.
func sourceWarnings(s node.IngestSource, missed bool, dropped uint64) (list []node.Warning) {
	if s.Drift != nil && math.Abs(*s.Drift) > largeDrift {
		how := "fast"
		if *s.Drift < 0 {
			how = "slow"
		}
		list = append(list, node.Warning{
			ID:   "drift-" + slug(s.Name),
			What: fmt.Sprintf("the clock of the %s input runs %.0f ppm %s, which is %.1f s an hour: players run dry or fall behind", s.Name, math.Abs(*s.Drift), how, math.Abs(*s.Drift)*3600/1e6),
			Todo: "look at the frame rate that the encoder declares (29.97 is not 30), and whether it sends in real time (ffmpeg: -re)",
		})
	}
	if dropped > 0 {
		list = append(list, node.Warning{
			ID: "busy-" + slug(s.Name), What: fmt.Sprintf("%d pictures and sounds of the %s input were dropped in the last minute: this machine could not keep up", dropped, s.Name),
			Todo: "look for what else it does, at the disk, or send a lower bit rate",
		})
	}
	if len(s.Missing) > 0 && !missed {
		list = append(list, node.Warning{
			ID: "part-" + slug(s.Name), What: fmt.Sprintf("the %s input sends no more %s, though the rest of it goes on", s.Name, strings.Join(s.Missing, " and ")),
			Todo: "look at the encoder: a microphone, a camera or a service that it takes it from has gone; a backup that has it goes on air by itself",
		})
	}
	if missed {
		list = append(list, node.Warning{ID: "down-" + slug(s.Name), What: fmt.Sprintf("the %s input (%s) is down: %s", s.Name, s.Input, cmp.Or(s.Reason, s.LastError)), Todo: "look at that encoder and at the way from it"})
	}
	return list
}

// slug is a name as part of an ID.
func slug(name string) string { return strings.ReplaceAll(name, " ", "-") }

// airWarnings are about what viewers see that is not what they should.
func airWarnings(sources []node.IngestSource) []node.Warning {
	for i, s := range sources {
		switch {
		case !s.OnAir || i == 0:
		case s.Name == "slate":
			return []node.Warning{{ID: "slate", What: "viewers see the slate: no input delivers", Todo: "look at the encoders; the first that delivers goes on air by itself"}}
		default:
			return []node.Warning{{ID: "backup", What: "viewers see the " + s.Name + " input", Todo: "look at the primary input; it returns by itself once it has been well for a while"}}
		}
	}
	return nil
}
