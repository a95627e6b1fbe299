package main

import (
	"context"
	"time"
)

// judge looks two seconds after each block of the window was due which viewers hold it. It asks the replicas, and knows from the pace of
// the stream which blocks there are: one that nobody has heard of is missed, too. missed counts by second of the window.
func judge(ctx context.Context, s spec, w window, list []*viewer, missed []int) {
	for i := s.Stream.at(s.Begin, w.From); ; i++ {
		due := s.Stream.due(s.Begin, i)
		if !w.contains(due) || !sleep(ctx, due.Add(onTime)) {
			return
		}
		for _, v := range list {
			if !v.has(i) {
				v.report.Missed++
				missed[due.Sub(w.From)/time.Second]++
			}
		}
	}
}
