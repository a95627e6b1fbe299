package simulate

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

func TestTry(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("N"))
	for name, c := range map[string]Config{
		"ideal": {Thin: -1, NAT: -1, Loss: -1}, "nothin": {Thin: -1}, "nonat": {NAT: -1}, "noloss": {Loss: -1}, "std": {}, "nochurn": {Session: -1},
	} {
		if w := os.Getenv("ONLY"); w != "" && w != name {
			continue
		}
		c.Viewers, c.Seed = n, 1
		t0 := time.Now()
		r := NewWorld(c).Run()
		fmt.Printf("%-8s %.1fs ev %d src %.2f lag %v miss %.4f dup %.3f rep %.3f req %.3f nack %.3f ctl %.3f orph %d %v sw %.1f depth %.1f/%d start %v stray %d\n", name, time.Since(t0).Seconds(), r.Events, r.Egress, r.Lag, r.Missed, r.Duplicate, r.Repaired, r.Requested, r.Refused, r.Control, r.Orphans, r.Orphan, r.Switches, r.Depth, r.DeepestDepth, r.Start, r.Strays)
		for v, b := range r.Violations {
			fmt.Println("   ", v, *b)
		}
	}
}
