package main

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A block that comes within two seconds is not missed, one that comes later is, and so is one that never comes: also if nobody has heard of it.
func TestJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := spec{Stream: stream{Rate: 80_000, Block: 1000, Stripes: 1}, Begin: time.Now()} // ten blocks a second
		w := window{s.Begin.Add(time.Second), s.Begin.Add(4 * time.Second)}
		delays := []time.Duration{onTime - time.Millisecond, onTime + time.Millisecond}
		has := func(viewer int, i uint64) bool {
			due := s.Stream.due(s.Begin, i)
			switch viewer {
			case 2:
				return false
			case 1:
				return due.Before(w.From.Add(time.Second)) || !time.Now().Before(due.Add(delays[1]))
			}
			return !time.Now().Before(due.Add(delays[0]))
		}
		missed, seconds := make([]int, 3), make([]int, w.seconds())
		judge(t.Context(), s, w, 3, has, func(viewer, second int) { missed[viewer]++; seconds[second]++ })
		if !slices.Equal(missed, []int{0, 20, 30}) || !slices.Equal(seconds, []int{10, 20, 20}) {
			t.Errorf("missed by viewer %v, by second %v; want [0 20 30], [10 20 20]", missed, seconds)
		}
		if got := time.Since(s.Begin); got < 5900*time.Millisecond || got > 6*time.Second {
			t.Errorf("judged after %v, want two seconds after the last block", got)
		}
	})
}
