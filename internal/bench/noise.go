package main

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// noise times the same work many times: on a quiet machine the slowest run is hardly slower than the median.
func noise(table *tabwriter.Writer) {
	const runs = 200
	buf := make([]byte, 1<<20)
	times := make([]time.Duration, runs)
	for i := range times {
		begin := time.Now()
		sha256.Sum256(buf)
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	p50, p99 := times[runs/2], times[runs*99/100]
	row(table, "the machine", fmt.Sprintf("%d cores, SHA-256 %.0f MB/s, slowest/median %.1f", runtime.NumCPU(),
		float64(len(buf))/1e6/p50.Seconds(), float64(p99)/float64(p50)), "", "200 hashes of 1 MiB")
}
