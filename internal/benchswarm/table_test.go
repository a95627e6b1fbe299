package main

import (
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	table := newTable(&b)
	r := row{newStream(1_000_000), 2}
	quiet := outcome{egress: 2.2, lag50: 5 * time.Millisecond, machine: 0.5, ours: 0.2}
	table.print(r, []outcome{{egress: 9}, quiet, {egress: 1}}, 1.125)
	table.print(r, []outcome{testMeasurement().outcome()}, 0)
	table.idle(200, 103.4)
	table.targets()
	lines := strings.Split(b.String(), "\n")
	for k, want := range [][]string{
		{"Mbit/s stripes viewers direct egress", "missed", "machine ours"},
		{"1 8 2 2.2 2.20", "0.000 %"}, // the median, without a note
		{"1 8 2 - 1.00", "50.000 %", "never"},
		{"saturated (95 % busy, 9"},
		{"p99 20 ms"},
		{"UDP packets", "full: 7"},
		{"never began: 1"},
		{"goroutines left", ": 3"},
		{"idle session: 103 KiB"},
		{"targets: egress <= 2.25"},
	} {
		line := strings.Join(strings.Fields(lines[min(k, len(lines)-1)]), " ")
		for _, part := range want {
			if !strings.Contains(line, part) {
				t.Errorf("line %d is %q, want %q in it", k, line, part)
			}
		}
	}
	if len(lines[0]) != len(lines[1]) || len(lines[1]) != len(lines[2]) {
		t.Errorf("lines are not of one width:\n%s", b.String())
	}
}
