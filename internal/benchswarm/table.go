package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// A column is a figure of a row: its heading, and how it is read from a run and written.
type column struct {
	head   string
	width  int
	value  func(outcome) float64
	format func(float64) string
}

// columns are those after what the row is about. The fields of outcome say what they mean; "direct" comes before them: the egress if all took
// all from the streamer, by what one costs when they do.
var columns = []column{
	{"egress", 6, func(x outcome) float64 { return x.egress }, number("%.2f")},
	{"lag p50", 7, func(x outcome) float64 { return x.lag50.Seconds() }, milliseconds},
	{"p99", 7, func(x outcome) float64 { return x.lag99.Seconds() }, milliseconds},
	{"missed", 8, func(x outcome) float64 { return x.missed }, percent("%.3f %%")},
	{"dup", 7, func(x outcome) float64 { return x.duplicates }, percent("%.2f %%")},
	{"repair", 7, func(x outcome) float64 { return x.repaired }, percent("%.2f %%")},
	{"control", 7, func(x outcome) float64 { return x.control }, percent("%.2f %%")},
	{"streamer", 8, func(x outcome) float64 { return x.streamerCPU }, percent("%.1f %%")},
	{"", 6, func(x outcome) float64 { return x.streamerRSS }, megabytes},
	{"viewer", 6, func(x outcome) float64 { return x.viewerCPU }, percent("%.1f %%")},
	{"", 6, func(x outcome) float64 { return x.viewerRSS }, megabytes},
	{"join p50", 8, func(x outcome) float64 { return x.joined50.Seconds() }, milliseconds},
	{"p95", 7, func(x outcome) float64 { return x.joined95.Seconds() }, milliseconds},
	{"start p50", 9, func(x outcome) float64 { return x.begun50.Seconds() }, milliseconds},
	{"p95", 7, func(x outcome) float64 { return x.begun95.Seconds() }, milliseconds},
	{"machine", 7, func(x outcome) float64 { return x.machine }, percent("%.0f %%")},
	{"ours", 5, func(x outcome) float64 { return x.ours }, percent("%.0f %%")},
}

func number(format string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(format, v) }
}

func percent(format string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(format, 100*v) }
}

func megabytes(v float64) string { return fmt.Sprintf("%.0f MB", v/1e6) }

func milliseconds(v float64) string {
	if v >= time.Duration(math.MaxInt64).Seconds() {
		return "never"
	}
	return fmt.Sprintf("%.0f ms", 1000*v)
}

// A table is printed line by line, as runs take minutes.
type table struct {
	out  io.Writer
	head bool // the headings are printed
}

func newTable(out io.Writer) *table { return &table{out: out} }

// print prints a row: the median of each figure over its runs.
func (t *table) print(r row, runs []outcome, direct float64) {
	if !t.head {
		t.head = true
		t.line(headings())
	}
	t.line(cells(r, runs, direct))
	for _, note := range notes(runs) {
		fmt.Fprintf(t.out, "    %s\n", note)
	}
}

func headings() []string {
	list := []string{"Mbit/s", "stripes", "viewers", "direct"}
	for _, c := range columns {
		list = append(list, c.head)
	}
	return list
}

func cells(r row, runs []outcome, direct float64) []string {
	linear := "-"
	if direct > 0 {
		linear = fmt.Sprintf("%.1f", direct*float64(r.viewers))
	}
	list := []string{fmt.Sprintf("%g", float64(r.stream.Rate)/1e6), fmt.Sprint(r.stream.Stripes), fmt.Sprint(r.viewers), linear}
	for _, c := range columns {
		list = append(list, c.format(median(runs, c.value)))
	}
	return list
}

// line prints cells, each flush right.
func (t *table) line(cells []string) {
	var b strings.Builder
	for k, cell := range cells {
		width := 7
		if k >= 4 {
			width = columns[k-4].width
		}
		fmt.Fprintf(&b, "%*s  ", width, cell)
	}
	fmt.Fprintln(t.out, strings.TrimRight(b.String(), " "))
}

// saturated is the share of all processors above which times say more of the machine than of the swarm.
const saturated = 0.9

// notes say what is to be known before the figures of a row are believed.
func notes(runs []outcome) (list []string) {
	busy := median(runs, func(x outcome) float64 { return x.machine })
	if busy > saturated {
		list = append(list, fmt.Sprintf("the machine was saturated (%.0f %% busy, %.0f %% by others): lags and misses are its own", 100*busy,
			100*max(0, busy-median(runs, func(x outcome) float64 { return x.ours }))))
	}
	if late := median(runs, func(x outcome) float64 { return x.late.Seconds() }); late > 0.010 {
		list = append(list, fmt.Sprintf("the streamer itself signed later than it meant to, p99 %s: it waits for a processor", milliseconds(late)))
	}
	if n := worst(runs, func(x outcome) int { return int(x.dropped) }); n > 0 {
		list = append(list, fmt.Sprintf("UDP packets that the kernel of this machine dropped, as buffers were full: %d", n))
	}
	if n := worst(runs, func(x outcome) int { return x.never }); n > 0 {
		list = append(list, fmt.Sprintf("viewers that never began: %d", n))
	}
	if n := worst(runs, func(x outcome) int { return x.left }); n > 0 {
		list = append(list, fmt.Sprintf("goroutines left when all was closed: %d", n))
	}
	return list
}

// median is that of one figure over all runs.
func median(runs []outcome, value func(outcome) float64) float64 {
	all := make([]float64, len(runs))
	for k, x := range runs {
		all[k] = value(x)
	}
	return quantile(all, .50)
}

func worst(runs []outcome, value func(outcome) int) (most int) {
	for _, x := range runs {
		most = max(most, value(x))
	}
	return most
}

func (t *table) idle(sessions int, kib float64) {
	fmt.Fprintf(t.out, "an idle session: %.0f KiB of the streamer's heap and stacks (%d of them; target <= 120)\n", kib, sessions)
}

// targets says what the figures must reach.
func (t *table) targets() {
	if t.head {
		fmt.Fprintln(t.out, "targets: egress <= 2.25 (one viewer 1.15), missed <= 0.001 %, dup <= 1 %, streamer with 100 viewers <= 10 % of a core and <= 80 MB")
	}
}
