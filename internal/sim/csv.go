package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"tailcast/swarm/simulate"
)

// write writes two files for a row: the figures of its runs, and the seconds of the first.
func write(dir string, r *row, list []*simulate.Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%d.csv", r.name, r.viewers)
	if err := writeFile(filepath.Join(dir, "runs-"+name), runHeader, len(list), func(i int) []string { return runRecord(r, list[i]) }); err != nil {
		return err
	}
	first := list[0]
	return writeFile(filepath.Join(dir, "seconds-"+name), secondHeader, len(first.Seconds), func(i int) []string { return secondRecord(i, &first.Seconds[i]) })
}

func writeFile(path string, header []string, n int, record func(i int) []string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	w.Write(header)
	for i := range n {
		w.Write(record(i))
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("couldn't write %s: %w", path, err)
	}
	return nil
}

var runHeader = []string{
	"scenario", "viewers", "seed", "egress", "lag_p50_ms", "lag_p95_ms", "lag_p99_ms", "lag_p999_ms", "missed_1s", "missed_2s", "missed_5s",
	"worst_1s", "worst_2s", "start_p50_ms", "start_p95_ms", "orphan_p95_ms", "duplicates", "repaired", "requested", "refused", "control", "acks", "status",
	"handshakes", "depth", "switches", "trace",
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func runRecord(r *row, x *simulate.Result) []string {
	out := []string{r.name, strconv.Itoa(r.viewers), strconv.FormatUint(x.Config.Seed, 10)}
	for _, v := range []float64{
		x.Egress, ms(x.Lag[0]), ms(x.Lag[1]), ms(x.Lag[2]), ms(x.Lag[3]), x.Missed[0], x.Missed[1], x.Missed[2], x.Worst[0], x.Worst[1],
		ms(x.Start[0]), ms(x.Start[1]), ms(x.Orphan[1]), x.Duplicate, x.Repaired, x.Requested, x.Refused, x.Control, x.Acks, x.Statuses,
		x.Handshakes, x.Depth, x.Switches,
	} {
		out = append(out, number(v))
	}
	return append(out, strconv.FormatUint(x.Trace, 16))
}

var secondHeader = []string{"second", "viewers", "wanted", "missed_1s", "missed_2s", "missed_5s", "egress", "lag_ms"}

func secondRecord(i int, s *simulate.Second) []string {
	m := s.Missed()
	out := []string{strconv.Itoa(i), strconv.Itoa(s.Viewers), strconv.FormatInt(s.Wanted, 10)}
	for _, v := range []float64{m[0], m[1], m[2], float64(s.Source) / max(1, float64(s.Payload)), ms(s.Lag)} {
		out = append(out, number(v))
	}
	return out
}
