package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"tailcast/swarm/simulate"
)

// play plays rows, some runs at a time, and prints each row when it and those before it are ready.
func play(o *options, rows []row) error {
	results := make([][]*simulate.Result, len(rows))
	done := make([]sync.WaitGroup, len(rows))
	places := make(chan struct{}, max(1, o.jobs))
	for i, r := range rows {
		results[i] = make([]*simulate.Result, r.seeds)
		done[i].Add(r.seeds)
	}
	go func() {
		for i, r := range rows {
			for k := range r.seeds {
				places <- struct{}{}
				go func() {
					results[i][k] = simulate.NewWorld(configOf(o, &r, k)).Run()
					<-places
					done[i].Done()
				}()
			}
		}
	}()
	return show(o, rows, results, done)
}

func configOf(o *options, r *row, k int) simulate.Config {
	c := r.config
	c.Viewers, c.Seed = r.viewers, o.first+uint64(k)
	if o.duration > 0 {
		c.Duration = o.duration
	}
	return c
}

// show prints rows and writes their files.
func show(o *options, rows []row, results [][]*simulate.Result, done []sync.WaitGroup) error {
	fmt.Println(padded(header))
	began := time.Now()
	for i := range rows {
		done[i].Wait()
		r, list := &rows[i], results[i]
		fmt.Println(padded(line(r, list)))
		breaches(list)
		if o.seconds {
			seconds(list)
		}
		if o.csv != "" {
			if err := write(o.csv, r, list); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%d rows in %v\n", len(rows), time.Since(began).Round(time.Second))
	return nil
}

var header = []string{
	"scenario", "viewers", "egress", "lag p50", "p99", "p99.9 ms", "missed 2 s", "worst second", "start p50", "p95 ms", "orphan p95", "twice", "asked for",
	"control", "(ack,", "status)", "depth", "wanted",
}

// padded writes cells in columns. Rows come one by one, so that widths are fixed.
func padded(cells []string) string {
	widths := []int{14, 7, 11, 11, 12, 12, 17, 15, 11, 12, 12, 13, 15, 13, 5, 7, 5, 0}
	var b strings.Builder
	for i, cell := range cells {
		fmt.Fprintf(&b, "%-*s ", widths[i], cell)
	}
	return strings.TrimRight(b.String(), " ")
}

// over returns the median over the runs, and the worst if there are several, in the form that format says.
func over(list []*simulate.Result, format string, value func(*simulate.Result) float64) string {
	var all []float64
	for _, r := range list {
		all = append(all, value(r))
	}
	slices.Sort(all)
	text := fmt.Sprintf(format, all[(len(all)-1)/2])
	if len(all) > 1 {
		text += fmt.Sprintf(" ("+format+")", all[len(all)-1])
	}
	return text
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// line is one row of the table.
func line(r *row, list []*simulate.Result) []string {
	of := func(format string, value func(*simulate.Result) float64) string { return over(list, format, value) }
	percent := func(format string, value func(*simulate.Result) float64) string {
		return of(format, func(x *simulate.Result) float64 { return 100 * value(x) }) + " %"
	}
	return []string{
		r.name, fmt.Sprint(r.viewers),
		of("%.2f", func(x *simulate.Result) float64 { return x.Egress }),
		of("%.0f", func(x *simulate.Result) float64 { return ms(x.Lag[0]) }),
		of("%.0f", func(x *simulate.Result) float64 { return ms(x.Lag[2]) }),
		of("%.0f", func(x *simulate.Result) float64 { return ms(x.Lag[3]) }),
		percent("%.4f", func(x *simulate.Result) float64 { return x.Missed[1] }),
		percent("%.2f", func(x *simulate.Result) float64 { return x.Worst[1] }),
		of("%.0f", func(x *simulate.Result) float64 { return ms(x.Start[0]) }),
		of("%.0f", func(x *simulate.Result) float64 { return ms(x.Start[1]) }),
		of("%.0f", func(x *simulate.Result) float64 { return ms(x.Orphan[1]) }),
		percent("%.2f", func(x *simulate.Result) float64 { return x.Duplicate }),
		percent("%.2f", func(x *simulate.Result) float64 { return x.Requested }),
		percent("%.1f", func(x *simulate.Result) float64 { return x.Control }),
		fmt.Sprintf("(%.1f,", 100*list[0].Acks), fmt.Sprintf("%.1f)", 100*list[0].Statuses),
		fmt.Sprintf("%.1f", list[0].Depth), r.wants(),
	}
}

// breaches prints the invariants that did not hold.
func breaches(list []*simulate.Result) {
	type sum struct {
		count, nodes int
		worst        float64
	}
	sums := map[simulate.Violation]sum{}
	for _, r := range list {
		for v, b := range r.Violations {
			x := sums[v]
			sums[v] = sum{x.count + b.Count, x.nodes + b.Nodes(), max(x.worst, b.Worst)}
		}
	}
	for _, v := range slices.Sorted(maps.Keys(sums)) {
		fmt.Printf("    ! %s: %d times, %d nodes, at worst %.2f\n", v, sums[v].count, sums[v].nodes, sums[v].worst)
	}
}

// seconds prints how each run went over time.
func seconds(list []*simulate.Result) {
	for _, r := range list {
		for i := range r.Seconds {
			s := &r.Seconds[i]
			m := s.Missed()
			if s.Viewers > 0 {
				fmt.Printf("    %2d s: %5d viewers, egress %.2f, lag %4.0f ms, missed %.3f %.4f %.4f %%\n",
					i, s.Viewers, float64(s.Source)/max(1, float64(s.Payload)), ms(s.Lag), 100*m[0], 100*m[1], 100*m[2])
			}
		}
	}
}
