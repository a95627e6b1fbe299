package main

import (
	"fmt"
	"strconv"
	"time"
)

// prefixes are those of decimal units, as lines and disks are sold.
var prefixes = []string{"", "k", "M", "G", "T", "P", "E"}

// scale writes a number with three digits or so, and returns the prefix of its unit.
func scale(n float64) (number, prefix string) {
	k := 0
	for n >= 999.5 && k < len(prefixes)-1 {
		n /= 1000
		k++
	}
	decimals := 0
	if k > 0 && n < 99.95 {
		decimals = 1
	}
	text := strconv.FormatFloat(n, 'f', decimals, 64)
	if decimals == 1 && text[len(text)-1] == '0' {
		text = text[:len(text)-2]
	}
	return text, prefixes[k]
}

// amount writes bytes: 1.2 TB.
func amount(bytes uint64) string {
	number, prefix := scale(float64(bytes))
	return number + " " + prefix + "B"
}

// rate writes bits per second: 12.3 Mbit/s.
func rate(bits float64) string {
	number, prefix := scale(bits)
	return number + " " + prefix + "bit/s"
}

// count writes a number of things: 1 peer, 2 peers.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// seconds writes a lag: 0.9 s.
func seconds(s float64) string {
	if s < 0.0095 {
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	if s < 0.995 {
		return fmt.Sprintf("%.2f s", s)
	}
	return fmt.Sprintf("%.1f s", s)
}

// span writes how long something has lasted: 3 d 4 h.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
