package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tailcast/swarm/simulate"
)

// Every scenario can be played, and what -csv writes can be read.
func TestScenarios(t *testing.T) {
	dir := t.TempDir()
	for i := range scenarios {
		s := &scenarios[i]
		if testing.Short() && i%6 > 0 {
			continue
		}
		r := row{s, 12, 1}
		c := configOf(&options{first: 1, duration: 4 * time.Second}, &r, 0)
		c.Warm, c.JoinAt, c.JoinFor, c.AttackersAt, c.RestartAt = time.Second, 0, time.Second, 0, min(c.RestartAt, 2*time.Second)
		list := []*simulate.Result{simulate.NewWorld(c).Run()}
		if list[0].Events < 1000 {
			t.Errorf("%s: %d events", s.name, list[0].Events)
		}
		if n := len(line(&r, list)); n != len(header) {
			t.Errorf("%s: a row of %d cells under a header of %d", s.name, n, len(header))
		}
		if err := write(dir, &r, list); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"runs-", "seconds-"} {
			f, err := os.Open(filepath.Join(dir, kind+s.name+"-12.csv"))
			if err != nil {
				t.Fatal(err)
			}
			if rows, err := csv.NewReader(f).ReadAll(); err != nil || len(rows) < 2 { // it wants as many fields in each
				t.Errorf("%s: %d rows, %v", f.Name(), len(rows), err)
			}
			f.Close()
		}
	}
}

// The table has each scenario, and no name twice.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for i := range scenarios {
		if seen[scenarios[i].name] {
			t.Errorf("%s is there twice", scenarios[i].name)
		}
		seen[scenarios[i].name] = true
	}
	in := map[string]bool{}
	for _, r := range table() {
		in[r.name] = true
	}
	if len(in) != len(scenarios) {
		t.Errorf("the table has %d of %d scenarios", len(in), len(scenarios))
	}
	if _, err := rowsOf(&options{scenarios: "std,nothing", viewers: "10"}); err == nil {
		t.Error("an unknown scenario is played")
	}
}

// With several runs the middle one and the worst are shown.
func TestOver(t *testing.T) {
	list := []*simulate.Result{{Egress: 3}, {Egress: 1}, {Egress: 2}}
	if got := over(list, "%.0f", func(r *simulate.Result) float64 { return r.Egress }); got != "2 (3)" {
		t.Errorf("got %s", got)
	}
}
