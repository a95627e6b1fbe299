package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// A load is what the whole machine has done since it started; all zero where there is no /proc.
type load struct {
	busy, all float64 // of the processors, in ticks of all of them
	dropped   float64 // UDP packets that came when the buffer of their socket was full
}

func (l load) since(o load) load { return load{l.busy - o.busy, l.all - o.all, l.dropped - o.dropped} }

// share returns the part of the time that the processors were busy, 0 to 1; 0 if it is not known.
func (l load) share() float64 { return ratio(l.busy, l.all) }

func readLoad() load {
	stat, _ := os.ReadFile("/proc/stat")
	snmp, _ := os.ReadFile("/proc/net/snmp")
	l := parseLoad(string(stat))
	l.dropped = parseDropped(string(snmp))
	return l
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

// parseDropped reads RcvbufErrors of Udp: a line of names, and one of figures.
func parseDropped(text string) float64 {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		if k := slices.Index(names, "RcvbufErrors"); k > 0 && k < len(fields) {
			v, _ := strconv.ParseFloat(fields[k], 64)
			return v
		}
	}
	return 0
}
