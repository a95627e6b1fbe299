// Sim plays the swarm with hundreds to ten thousand viewers in virtual time (package swarm/simulate) and prints a row of figures for each
// scenario, beside what we want to reach: medians over the seeds, and in brackets the worst.
//
//	go run ./internal/sim -list
//	go run ./internal/sim -scenario std,crash -n 1000 -seeds 5 -csv out/sim
//	go run ./internal/sim -table            all that `make sim` prints
//
// With -csv it also writes each run's figures, and its seconds, for internal/plot.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// options are what the flags say.
type options struct {
	scenarios string
	viewers   string
	seeds     int
	first     uint64
	csv       string
	jobs      int
	profile   string
	table     bool
	list      bool
	seconds   bool
	duration  time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.scenarios, "scenario", "std", "which, with commas between them")
	flag.StringVar(&o.viewers, "n", "1000", "how many viewers, likewise")
	flag.IntVar(&o.seeds, "seeds", 1, "runs of each")
	flag.Uint64Var(&o.first, "seed", 1, "the first seed")
	flag.StringVar(&o.csv, "csv", "", "folder for CSV files")
	flag.IntVar(&o.jobs, "j", 2, "runs at a time")
	flag.StringVar(&o.profile, "cpuprofile", "", "file for a CPU profile")
	flag.BoolVar(&o.table, "table", false, "the scenarios of make sim")
	flag.BoolVar(&o.list, "list", false, "list the scenarios")
	flag.BoolVar(&o.seconds, "seconds", false, "print the seconds of each run")
	flag.DurationVar(&o.duration, "duration", 0, "of the stream; if zero, as the scenario has it")
	flag.Parse()
	debug.SetGCPercent(300)
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	if o.list {
		list()
		return nil
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	rows, err := rowsOf(o)
	if err != nil {
		return err
	}
	return play(o, rows)
}

// rowsOf returns what is to be played.
func rowsOf(o *options) (rows []row, err error) {
	if o.table {
		return table(), nil
	}
	for name := range strings.SplitSeq(o.scenarios, ",") {
		s := find(name)
		if s == nil {
			return nil, fmt.Errorf("there is no scenario %q; -list shows them", name)
		}
		for text := range strings.SplitSeq(o.viewers, ",") {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("-n %s: want numbers of viewers", o.viewers)
			}
			rows = append(rows, row{s, n, o.seeds})
		}
	}
	return rows, nil
}
