// Benchswarm measures the swarm as it is: real sockets, real time, many nodes on the loopback interface of one machine. The simulations tell
// how the policy does among thousands on a network that they make up; this tells what they cannot see: processor time, scheduling, the
// kernel's UDP buffers, memory, goroutines.
//
//	            spec, window on stdin; report on stdout
//	benchswarm ─┬──────────▶ streamer: signs a stream of constant rate, serves it
//	            ├──────────▶ 25 viewers, each with its own socket, replica and swarm.Swarm, and the streamer's address
//	            └──────────▶ 25 more ...
//
// A child ends when its stdin does, so that nothing is left behind however this process ends.
//
//	go run ./internal/benchswarm -plan '1:1,10,100 4/8:10' -runs 3
//
// What it prints of each row is explained at columns.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	plan       string
	runs       int
	warm       time.Duration // between the last viewer's start and the window
	window     time.Duration
	join       time.Duration // between two viewers' starts
	each       int           // viewers in a process
	direct     int           // viewers in the run without sharing
	idle       int
	cpuprofile string
	verbose    bool
}

func flags() *options {
	o := &options{}
	flag.StringVar(&o.plan, "plan", "1:1,2,10,25,50,100 4:1,10,25,50", "what to run: Mbit/s[/stripes]:viewers,viewers,...")
	flag.IntVar(&o.runs, "runs", 1, "of each row; medians are printed")
	flag.DurationVar(&o.warm, "warm", 8*time.Second, "between the last viewer's start and the beginning of what is measured")
	flag.DurationVar(&o.window, "window", 20*time.Second, "what is measured of each run")
	flag.DurationVar(&o.join, "join", 50*time.Millisecond, "between two viewers' starts")
	flag.IntVar(&o.each, "each", 25, "viewers in one process")
	flag.IntVar(&o.direct, "direct", maxDirect, "viewers by whom to measure what one costs when nobody shares; 0: do not")
	flag.IntVar(&o.idle, "idle", 200, "measure the streamer's memory for so many idle sessions; 0: do not")
	flag.StringVar(&o.cpuprofile, "cpuprofile", "", "folder for a profile of each child: of the processor, of locks, of memory, of goroutines")
	flag.BoolVar(&o.verbose, "v", false, "print what each child reports, too")
	flag.Parse()
	return o
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == roleFlag {
		os.Exit(child(os.Args[2]))
	}
	o := flags()
	rows, err := parsePlan(o.plan)
	if err == nil && o.direct > maxDirect {
		err = fmt.Errorf("-direct %d: more than %d viewers who share nothing would wait for ever", o.direct, maxDirect)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchswarm:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx, rows); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "benchswarm:", err)
		os.Exit(1)
	}
}

// maxDirect is how many viewers can take all from the streamer: so many take even the catalog from it, and the others wait for somebody who shares.
const maxDirect = 4

// run measures all rows and prints the table, as far as it came.
func (o *options) run(ctx context.Context, rows []row) error {
	t := newTable(os.Stdout)
	defer t.targets()
	direct := make(map[stream]float64) // what one viewer costs when nobody shares
	for _, r := range rows {
		runs, err := o.measure(ctx, r, direct)
		if err != nil {
			return fmt.Errorf("%v: %w", r, err)
		}
		t.print(r, runs, direct[r.stream])
	}
	if o.idle == 0 {
		return nil
	}
	kib, err := o.idleSession(ctx)
	if err == nil {
		t.idle(o.idle, kib)
	}
	return err
}

// measure makes the runs of a row, and before the first of a stream one in which nobody shares.
func (o *options) measure(ctx context.Context, r row, direct map[stream]float64) (runs []outcome, err error) {
	if _, ok := direct[r.stream]; !ok && o.direct > 0 {
		x, err := o.once(ctx, row{r.stream, o.direct}, false)
		if err != nil {
			return nil, err
		}
		direct[r.stream] = x.egress / float64(o.direct)
	}
	for range o.runs {
		x, err := o.once(ctx, r, true)
		if err != nil {
			return nil, err
		}
		runs = append(runs, x)
	}
	return runs, nil
}
