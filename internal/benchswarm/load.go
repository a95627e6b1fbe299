package main

import (
	"os"
	"strconv"
	"strings"
)

// A load is how much the processors of the machine did, in ticks of all of them; all zero where there is no /proc.
type load struct{ busy, all float64 }

func (l load) since(o load) load { return load{l.busy - o.busy, l.all - o.all} }

// share returns the part of the time that the processors were busy, 0 to 1; 0 if it is not known.
func (l load) share() float64 {
	if l.all <= 0 {
		return 0
	}
	return l.busy / l.all
}

// readLoad returns what the processors have done since the machine started.
func readLoad() load {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return load{}
	}
	return parseLoad(string(text))
}

// parseLoad reads the line of all processors (proc(5), stat): user nice system idle iowait irq softirq steal. Time that was stolen counts as
// busy: it was not to be had.
func parseLoad(text string) (l load) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return load{}
	}
	for k, field := range fields[1:9] {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return load{}
		}
		l.all += v
		if k != 3 && k != 4 {
			l.busy += v
		}
	}
	return l
}
