package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// runs of each benchmark; the median is printed.
const runs = 5

// A figure is one metric of one benchmark and what it must reach.
type figure struct {
	what, pkg, bench, unit, target string
}

// micro runs the packages' own benchmarks, one after the other.
func micro(table *tabwriter.Writer) error {
	for _, f := range figures {
		args := []string{"test", f.pkg, "-run", "^$", "-bench", "^" + f.bench + "$", "-benchtime", "1s", "-count", strconv.Itoa(runs), "-cpu", "1"}
		cmd := exec.Command("go", args...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		values := metric(out, f.unit)
		if len(values) == 0 {
			return fmt.Errorf("go %s prints no %s", strings.Join(args, " "), f.unit)
		}
		slices.Sort(values)
		measured := fmt.Sprintf("%.4g %s", values[len(values)/2], f.unit)
		row(table, f.what, measured, f.target, fmt.Sprintf("%s in %s, median of %d", f.bench, f.pkg, len(values)))
	}
	return nil
}

// metric finds the values of unit in the lines that `go test -bench` prints: name, iterations, then pairs of value and unit.
func metric(out []byte, unit string) (values []float64) {
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil && fields[i+1] == unit {
				values = append(values, v)
			}
		}
	}
	return values
}
