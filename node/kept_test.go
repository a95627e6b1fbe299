package node

import (
	"testing"
	"time"
)

// Each rendition of a status is looked for once in five seconds, and what is not shown any more is forgotten.
func TestKeptIsRemembered(t *testing.T) {
	var k keeping
	searched := map[string]int{}
	begin := time.Unix(1e9, 0)
	status := func(after time.Duration, names ...string) {
		for _, name := range names {
			k.find(name, begin.Add(after), func() *Kept {
				if searched[name]++; name == "empty" {
					return nil
				}
				return &Kept{From: begin}
			})
		}
	}
	for range 10 {
		status(0, "main", "low", "empty")
	}
	if searched["main"] != 1 || searched["low"] != 1 || searched["empty"] != 10 {
		t.Errorf("ten statuses searched %v", searched)
	}
	if status(keptFor, "main"); searched["main"] != 2 || len(k.found) != 1 {
		t.Errorf("after %v: searched %v, %d remembered", keptFor, searched, len(k.found))
	}
}
