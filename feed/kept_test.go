package feed

import (
	"sync"
	"testing"
	"time"
)

// TestKeptIsFoundOnce: however many ask, and at once, the disk is asked once in five seconds for each log, and what nobody asks for is forgotten.
func TestKeptIsFoundOnce(t *testing.T) {
	var b beginnings
	found, begin := map[string]int{}, time.Unix(1e9, 0)
	get := func(log string, after time.Duration) {
		got, ok := b.get(log, begin.Add(after), func() (time.Time, bool) { found[log]++; return begin, log != "empty" })
		if !got.Equal(begin) || ok == (log == "empty") {
			t.Errorf("%s: %v, %v", log, got, ok)
		}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { get("main", 0); get("low", 0); get("empty", 0) })
	}
	all.Wait()
	if found["main"] != 1 || found["low"] != 1 || found["empty"] != 50 {
		t.Errorf("fifty times each searched %v", found)
	}
	get("main", keptFor-1)
	if found["main"] != 1 {
		t.Errorf("after less than %v: %v", keptFor, found)
	}
	if get("main", keptFor); found["main"] != 2 || len(b.found) != 1 {
		t.Errorf("after %v: searched %v, %d remembered", keptFor, found, len(b.found))
	}
	if get("main", 0); found["main"] != 3 {
		t.Errorf("a clock that was set back: %v", found)
	}
}
