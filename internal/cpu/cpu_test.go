package cpu

import (
	"os"
	"testing"
)

// TestOf: what /proc says of us is what the kernel says by itself, to within its ticks.
func TestOf(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc here")
	}
	for Used() < 20*tick { // some work
	}
	before := Used()
	got := Of(os.Getpid())
	if after := Used(); got < before-5*tick || got > after+5*tick {
		t.Errorf("/proc says %v, the kernel %v and then %v", got, before, after)
	}
	if got := Of(-1); got != 0 {
		t.Errorf("no process has used %v", got)
	}
}
