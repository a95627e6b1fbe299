package switcher

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

// TestKilledTenTimes kills the primary ten times and brings it back, at whatever moment of its and the backup's groups of pictures. Each time the
// backup is seen within two seconds, the primary returns once it has been well, no time goes back, and sound stays with its picture.
func TestKilledTenTimes(t *testing.T) {
	for _, gop := range []int{12, 25, 50} {
		synctest.Test(t, func(t *testing.T) {
			main := &encoder{name: "main", origin: 1 << 33, gop: gop, jitter: 30 * ms, lag: 900}
			spare := &encoder{name: "spare", origin: -5000, gop: gop, jitter: 60 * ms, lag: 2700}
			out := &screen{t: t}
			s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, out)
			want := []string{"main"}
			for i := range 10 {
				time.Sleep(12*time.Second + time.Duration(i)*137*ms)
				main.set(func(e *encoder) { e.off = true })
				time.Sleep(2 * time.Second)
				if from, ago := out.now(); from != "spare" || ago > 500*ms {
					t.Fatalf("kill %d, two seconds later: %s was seen %v ago", i, from, ago)
				}
				time.Sleep(time.Duration(i) * 211 * ms)
				main.set(func(e *encoder) { e.off = false; e.origin += int64(i-5) * 1e8 })
				time.Sleep(4 * time.Second)
				if from, _ := out.now(); from != "spare" {
					t.Fatalf("kill %d: the primary is on air though it has been well for 4 s only", i)
				}
				time.Sleep(4 * time.Second)
				if from, _ := out.now(); from != "main" {
					t.Fatalf("kill %d: the primary did not return", i)
				}
				want = append(want, "spare", "main")
			}
			if _, n := s.Status(); n != 20 || !slices.Equal(out.programs(), want) {
				t.Errorf("%d switches, programs %v", n, out.programs())
			}
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
			wall, media := out.holes()
			t.Logf("keyframes every %d pictures: at most %v without a picture, at most %v missing on the program's clock", gop, wall, duration(media))
			if wall > 2*time.Second || duration(media) > 2*time.Second {
				t.Errorf("a hole of %v, of %v on the program's clock", wall, duration(media))
			}
			out.synced(map[string]int64{"main": 900, "spare": 2700})
		})
	}
}
