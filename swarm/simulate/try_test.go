package simulate

import (
	"fmt"
	"testing"
	"os"
	"strconv"
	"time"
)

func TestTry(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("N"))
	t0 := time.Now()
	r := NewWorld(Config{Seed: 1, Viewers: n}).Run()
	fmt.Printf("%v events %d\n", time.Since(t0), r.Events)
	for i, s := range r.Seconds {
		fmt.Printf("%d viewers %d wanted %d missed %.4f src %.2f lag %v\n", i, s.Viewers, s.Wanted, s.Missed(), float64(s.Source)/float64(s.Payload+1), s.Lag)
	}
	for v, b := range r.Violations {
		fmt.Println(v, *b)
	}
	r.Seconds = nil
	r.Violations = nil
	fmt.Printf("%+v\n", *r)
}
