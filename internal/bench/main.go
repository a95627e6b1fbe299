// Bench prints our column of the targets, in one run, with the commands that measured it: `make bench`. Times depend on the
// machine and on what else it does; medians and ratios travel better, so the run begins with how noisy the machine is.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
)

func main() {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what\tmeasured\ttarget\tby")
	noise(table)
	failed := errorsIn(table, ways(table), micro(table))
	table.Flush()
	fmt.Println("the swarm among 100 viewers in real time: make bench-swarm, some ten minutes")
	if failed {
		os.Exit(1)
	}
}

func errorsIn(table *tabwriter.Writer, errs ...error) (failed bool) {
	for _, err := range errs {
		if err != nil {
			fmt.Fprintf(table, "failed\t%v\t\t\n", err)
			failed = true
		}
	}
	return failed
}

// row is one line of the table.
func row(table *tabwriter.Writer, what, measured, target, by string) {
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", what, measured, target, by)
}

// binaries is the folder `make build` fills, seen from the root of the repository.
func binaries() string {
	dir, err := filepath.Abs("bin")
	if err != nil {
		panic("bench: " + err.Error())
	}
	return dir
}
