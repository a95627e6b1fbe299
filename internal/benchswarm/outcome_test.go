package main

import (
	"math"
	"testing"
	"time"
)

// A run of ten seconds, with one viewer who takes all and one who never began, whose figures can be computed by hand.
func testMeasurement() *measurement {
	begin := time.Unix(1_800_000_000, 0)
	w := window{begin.Add(10 * time.Second), begin.Add(20 * time.Second)}
	at := func(s sample, t time.Time, cpu time.Duration) sample { s.At, s.CPU = t, cpu; return s }
	streamer := report{
		From:     at(sample{Nodes: []totals{{Wire: 1000, Packets: 10, Control: 50}}}, w.From, time.Second),
		To:       at(sample{Nodes: []totals{{Wire: 1000 + 972_000, Packets: 10 + 1000, Control: 50 + 10_000}}}, w.To, 1500*time.Millisecond),
		Resident: 50e6, Late: []time.Duration{time.Millisecond, 20 * time.Millisecond}, Left: 1,
	}
	viewers := report{
		From: at(sample{Nodes: []totals{{Verified: 5}, {}}}, w.From, 0),
		To:   at(sample{Nodes: []totals{{Verified: 5 + 90, Duplicate: 10, Repaired: 20}, {}}}, w.To, 400*time.Millisecond),
		Lags: []time.Duration{1, 2, 3, 100}, Resident: 30e6,
		Viewers: []viewerReport{{Joined: time.Second, Begun: 2 * time.Second}, {Missed: 100}}, Left: 2,
	}
	s := spec{Stream: stream{Rate: 800_000, Block: 10_000, Stripes: 1}, Begin: begin, Viewers: 2}
	return &measurement{spec: s, window: w, load: load{busy: 95, all: 100, dropped: 7}, streamer: streamer, viewers: []report{viewers}}
}

func TestOutcome(t *testing.T) {
	x := testMeasurement().outcome()
	for name, got := range map[string][2]float64{
		"egress":       {x.egress, 1}, // a million bytes, with 28 a packet, for a million of payload
		"lag p50":      {float64(x.lag50), 2},
		"lag p99":      {float64(x.lag99), 100},
		"missed":       {x.missed, 0.5},
		"duplicates":   {x.duplicates, 0.1},
		"repaired":     {x.repaired, 0.2},
		"control":      {x.control, 0.01},
		"streamer":     {x.streamerCPU, 0.05},
		"its memory":   {x.streamerRSS, 50e6},
		"viewer":       {x.viewerCPU, 0.02},
		"its memory ":  {x.viewerRSS, 15e6},
		"join p50":     {float64(x.joined50), float64(time.Second)},
		"join p95":     {float64(x.joined95), math.MaxInt64},
		"start p50":    {float64(x.begun50), float64(2 * time.Second)},
		"machine":      {x.machine, 0.95},
		"late":         {float64(x.late), float64(20 * time.Millisecond)},
		"dropped":      {x.dropped, 7},
		"never":        {float64(x.never), 1},
		"goroutines":   {float64(x.left), 3},
		"seconds":      {float64(testMeasurement().window.seconds()), 10},
		"nothing":      {ratio(1, 0), 0},
		"no quantile":  {float64(quantile([]int(nil), .5)), 0},
		"one quantile": {float64(quantile([]int{7}, .99)), 7},
	} {
		if math.Abs(got[0]-got[1]) > 1e-9*math.Abs(got[1]) {
			t.Errorf("%s is %v, want %v", name, got[0], got[1])
		}
	}
}
