package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"
)

// An outcome is what one run says of a row. Shares are 0 to 1, of processors 1 is a core.
type outcome struct {
	egress               float64 // of the streamer: bytes on the wire by byte of payload signed
	lag50, lag99         time.Duration
	missed               float64 // of all blocks at all viewers
	duplicates, repaired float64 // of those that came
	control              float64 // of the bytes on the wire that all nodes together send
	streamerCPU          float64
	streamerRSS          float64 // bytes
	viewerCPU, viewerRSS float64 // of one
	joined50, joined95   time.Duration
	begun50, begun95     time.Duration
	machine              float64       // of all processors, whoever used them
	ours                 float64       // likewise, what this run used
	late                 time.Duration // p99 of how much later than due a block was signed
	dropped              float64       // UDP packets, by the kernel of the machine
	never                int           // viewers that never began
	left                 int           // goroutines that did not end
}

// outcome reduces what the children reported.
func (m *measurement) outcome() (x outcome) {
	x.machine, x.dropped = m.load.share(), m.load.dropped
	x.late, x.left = quantile(m.streamer.Late, .99), m.streamer.Left
	m.costs(&x)
	m.flow(&x)
	m.joins(&x)
	blocks := float64(m.spec.Stream.at(m.spec.Begin, m.window.To) - m.spec.Stream.at(m.spec.Begin, m.window.From))
	missed := 0
	for _, r := range m.viewers {
		for _, v := range r.Viewers {
			missed += v.Missed
		}
	}
	x.missed = ratio(float64(missed), blocks*float64(m.spec.Viewers))
	return x
}

// costs fills in processors and memory.
func (m *measurement) costs(x *outcome) {
	n := float64(m.spec.Viewers)
	x.streamerCPU, x.streamerRSS = m.streamer.cpu(), m.streamer.Resident
	for _, r := range m.viewers {
		x.viewerCPU += ratio(r.cpu(), n)
		x.viewerRSS += ratio(r.Resident, n)
		x.left += r.Left
	}
	x.ours = (x.streamerCPU + x.viewerCPU*n) / float64(runtime.NumCPU())
}

// seconds is how long was measured.
func (r *report) seconds() float64 { return r.To.At.Sub(r.From.At).Seconds() }

// cpu is the share of a processor that was used.
func (r *report) cpu() float64 { return ratio((r.To.CPU - r.From.CPU).Seconds(), r.seconds()) }

// nodes returns what each node of a process did in the window.
func (r *report) nodes() (list []totals) {
	for k, t := range r.To.Nodes {
		list = append(list, t.since(r.From.Nodes[k]))
	}
	return list
}

// flow fills in what was sent and what came.
func (m *measurement) flow(x *outcome) {
	var lags []time.Duration
	var wire, control, came, duplicates, repaired float64
	for _, r := range append([]report{m.streamer}, m.viewers...) {
		lags = append(lags, r.Lags...)
		for _, t := range r.nodes() {
			wire += t.wire()
			control += float64(t.Control)
			came += float64(t.Verified + t.Duplicate)
			duplicates += float64(t.Duplicate)
			repaired += float64(t.Repaired)
		}
	}
	for _, t := range m.streamer.nodes() {
		x.egress = m.byPayload(&m.streamer, t)
	}
	x.lag50, x.lag99 = quantile(lags, .50), quantile(lags, .99)
	x.control, x.duplicates, x.repaired = ratio(control, wire), ratio(duplicates, came), ratio(repaired, came)
}

// byPayload returns the bytes that a node sent by byte of payload that was signed meanwhile.
func (m *measurement) byPayload(r *report, t totals) float64 {
	return ratio(8*t.wire(), float64(m.spec.Stream.Rate)*r.seconds())
}

// joins fills in how long viewers took to begin. Who never did counts as the longest.
func (m *measurement) joins(x *outcome) {
	var joined, begun []time.Duration
	never := func(d time.Duration) time.Duration {
		if d == 0 {
			return math.MaxInt64
		}
		return d
	}
	for _, r := range m.viewers {
		for _, v := range r.Viewers {
			joined, begun = append(joined, never(v.Joined)), append(begun, never(v.Begun))
			if v.Begun == 0 {
				x.never++
			}
		}
	}
	x.joined50, x.joined95 = quantile(joined, .50), quantile(joined, .95)
	x.begun50, x.begun95 = quantile(begun, .50), quantile(begun, .95)
}

// ratio is a/b; 0 of nothing.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// quantile returns the value below or at which the share q of all are (nearest rank); 0 of none.
func quantile[T int | float64 | time.Duration](all []T, q float64) T {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// print writes what each node did, for who looks for the reason of a figure.
func (m *measurement) print(w io.Writer) {
	for k, r := range append([]report{m.streamer}, m.viewers...) {
		fmt.Fprintf(w, "process %d: %.1f %% of a core, %.0f MB, goroutines %d -> %d, left %d, missed by second %v\n", k, 100*r.cpu(),
			r.Resident/1e6, r.From.Goroutines, r.To.Goroutines, r.Left, r.MissedAt)
		for i, t := range r.nodes() {
			var v viewerReport
			if i < len(r.Viewers) {
				v = r.Viewers[i]
			}
			fmt.Fprintf(w, "  %2d: egress %.2f %+v %+v\n", i, m.byPayload(&r, t), v, t)
		}
	}
}
