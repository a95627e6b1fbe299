package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// A table is a CSV file: columns of numbers, by name. What is no number is 0.
type table map[string][]float64

// read reads one file.
func read(path string) (table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("couldn't read %s: %w", path, err)
	}
	t := make(table)
	for _, row := range rows[1:] {
		for k, name := range rows[0] {
			v, _ := strconv.ParseFloat(row[k], 64)
			t[name] = append(t[name], v)
		}
	}
	return t, nil
}

// runs reads the runs of a scenario for all numbers of viewers that there are, the fewest first.
func runs(dir, scenario string) ([]table, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "runs-"+scenario+"-[0-9]*.csv"))
	if err != nil {
		return nil, err
	}
	var list []table
	for _, path := range paths {
		t, err := read(path)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no runs of %q: write them with go run ./internal/sim -scenario %s -csv %s", dir, scenario, scenario, dir)
	}
	slices.SortFunc(list, func(a, b table) int { return int(a["viewers"][0] - b["viewers"][0]) })
	return list, nil
}

// seconds reads the seconds of a scenario: those with the most viewers.
func seconds(dir, scenario string) (t table, viewers int, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "seconds-"+scenario+"-[0-9]*.csv"))
	if err != nil {
		return nil, 0, err
	}
	best := ""
	for _, path := range paths {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(path), "seconds-"+scenario+"-%d.csv", &n); err == nil && n > viewers {
			best, viewers = path, n
		}
	}
	if best == "" {
		return nil, 0, fmt.Errorf("%s has no seconds of %q: write them with go run ./internal/sim -scenario %s -csv %s", dir, scenario, scenario, dir)
	}
	t, err = read(best)
	return t, viewers, err
}

// median returns the middle of some values, and the largest.
func median(values []float64) (middle, most float64) {
	v := slices.Sorted(slices.Values(values))
	return v[len(v)/2], v[len(v)-1]
}
