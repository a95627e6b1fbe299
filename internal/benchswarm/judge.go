package main

import (
	"context"
	"time"
)

// onTime is how late a block may be verified and not count as missed.
const onTime = 2 * time.Second

// judge looks, onTime after each block of the window was due, which of n viewers hold it. It asks the replicas, and knows from the pace of the
// stream which blocks there are: one that nobody has heard of is missed, too.
func judge(ctx context.Context, s spec, w window, n int, has func(viewer int, block uint64) bool, missed func(viewer int, second int)) {
	for i := s.Stream.at(s.Begin, w.From); ; i++ {
		due := s.Stream.due(s.Begin, i)
		if !w.contains(due) || !sleep(ctx, due.Add(onTime)) {
			return
		}
		for k := range n {
			if !has(k, i) {
				missed(k, int(due.Sub(w.From)/time.Second))
			}
		}
	}
}
