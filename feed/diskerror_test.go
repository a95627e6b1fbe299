package feed_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// TestErrorAtEveryChange breaks each change of the disk in turn, for a streamer that goes on: not done, done in part, done although it was said
// to have failed, and for want of room. The live edge does not notice; the history gets a hole, or one log's ends if an fsync failed, and
// goes on behind it. Then the streamer crashes, and all that is true of crashes is true of this one.
func TestErrorAtEveryChange(t *testing.T) {
	var cases atomic.Int64
	t.Run("windows", func(t *testing.T) {
		for name, keep := range map[string]feed.Retention{"no window": {}, "a window": {Bytes: 2 * crashPayloads}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				station := newStation(t)
				whole := newScene(t, name, station, keep, feedtest.NewDisk(), playOn)
				for n := 0; n < len(whole.tape); n += every() {
					for _, outcome := range []feedtest.Outcome{feedtest.Lost, feedtest.Torn, feedtest.Landed, feedtest.Full} {
						cases.Add(int64(failAt(t, name, station, keep, n, outcome)))
					}
				}
			})
		}
	})
	if want := int64(errorCases / every()); cases.Load() < want {
		t.Errorf("ran %d cases, want %d at least", cases.Load(), want)
	}
}

// errorCases is how many crashes after an error there are at least when every one is played.
const errorCases = 2000

// failAt plays a streamer whose disk fails once, and crashes.
func failAt(t *testing.T, name string, station *feed.Station, keep feed.Retention, n int, outcome feedtest.Outcome) int {
	t.Helper()
	disk := feedtest.NewDisk()
	var failed atomic.Value // the change, a string
	disk.Fail = func(c feedtest.Change) feedtest.Outcome {
		if c.N != n {
			return feedtest.Done
		}
		failed.Store(c.What)
		return outcome
	}
	what := fmt.Sprintf("%s, change %d %v", name, n, outcome)
	s := newScene(t, what, station, keep, disk, playOn)
	// Behind the hole all is well again, unless a log is dead.
	whole := len(s.sworn) > 0 && s.sworn[len(s.sworn)-1].after == len(s.tape)
	if failed.Load() != nil && failed.Load() != "sync" && !whole {
		t.Errorf("%s (%v): the disk has not recovered", what, failed.Load())
	}
	disk.Fail = nil
	synctest.Test(t, func(t *testing.T) { s.crashAt(t, disk, len(s.tape), &feedtest.Step{}) })
	return s.cases
}

// playOn is a streamer that syncs often, and after an error goes on when the disk has had time to recover.
func playOn(t *testing.T, s *scene, disk *feedtest.Disk) {
	c := feedtest.Broadcast(t, s.station, s.on(disk), 1)
	for round, well := 0, true; round < 6 || round == 6 && !well; round++ {
		c.Append(t, 2, 60)
		time.Sleep(100 * time.Millisecond)
		c.Append(t, 3, 45)
		s.takeAll(t, c.Writer.Epoch())
		if well = s.swear(c.Replica, disk) == nil; !well {
			time.Sleep(11 * time.Second)
		}
	}
	s.stop(t, c.Replica, disk)
}
