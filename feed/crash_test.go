package feed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// A history is what a streamer signed: the record and the root of each size of each log.
type history map[string][]signedRecord

type signedRecord struct {
	record feed.Record
	root   merkle.Hash
}

// remember takes down what the logs of an epoch hold in memory.
func (h history) remember(t *testing.T, e *feed.Epoch) {
	t.Helper()
	for _, l := range e.Logs() {
		for i := uint64(len(h[l.Origin()])); i < l.Head().Size; i++ {
			b, err := l.Block(i)
			if err != nil {
				t.Fatal(err)
			}
			f, err := l.Frontier(i + 1)
			if err != nil {
				t.Fatal(err)
			}
			h[l.Origin()] = append(h[l.Origin()], signedRecord{b.Record, f.Root()})
		}
	}
}

// sizes returns the sizes of all logs.
func (h history) sizes() map[string]int {
	sizes := make(map[string]int)
	for origin, records := range h {
		sizes[origin] = len(records)
	}
	return sizes
}

// broadcast plays a streamer that dies without a word. It returns all that was signed, and what was promised to be on disk.
func broadcast(t *testing.T, station *feed.Station, disk *feedtest.Disk) (signed history, durable map[string]int) {
	c := feedtest.Broadcast(t, station, feed.Config{Files: disk}, 1)
	signed = make(history)
	for range 3 {
		c.Append(t, 4, 60)
		c.Append(t, 2, 90)
		signed.remember(t, c.Writer.Epoch())
		if c.Replica.Sync(context.Background()) == nil {
			durable = signed.sizes()
		}
	}
	c.Append(t, 3, 70)
	signed.remember(t, c.Writer.Epoch())
	synctest.Wait() // the disk has done what it will do
	return signed, durable
}

// TestPowerCutAtEveryWrite breaks each change of the disk in turn, with the change lost, torn or done although the writer saw an error;
// then the power goes, and takes what was not synced or not. After the restart there is a signed prefix, all that was
// promised, and a higher epoch.
func TestPowerCutAtEveryWrite(t *testing.T) {
	station := newStation(t)
	var total int
	synctest.Test(t, func(t *testing.T) {
		disk := feedtest.NewDisk()
		broadcast(t, station, disk)
		total = disk.Changes()
	})
	cases := 0
	for n := 0; n < total; n += every() {
		for _, outcome := range []feedtest.Outcome{feedtest.Lost, feedtest.Torn, feedtest.Landed} {
			for _, chance := range []*rand.Rand{nil, rand.New(rand.NewPCG(uint64(n), uint64(outcome)))} {
				cases++
				name := fmt.Sprintf("change %d %v, kill only %v", n, outcome, chance == nil)
				synctest.Test(t, func(t *testing.T) { testPowerCut(t, station, name, n, outcome, chance) })
			}
		}
	}
	if cases < 250/every() {
		t.Errorf("ran %d cases, want %d at least", cases, 250/every())
	}
}

func testPowerCut(t *testing.T, station *feed.Station, name string, n int, outcome feedtest.Outcome, chance *rand.Rand) {
	disk := feedtest.NewDisk()
	disk.Fail = func(c feedtest.Change) feedtest.Outcome {
		switch {
		case c.N < n:
			return feedtest.Done
		case c.N == n:
			return outcome
		}
		return feedtest.Lost // the process is dead
	}
	signed, durable := broadcast(t, station, disk)
	checkRestart(t, station, name, disk.PowerCut(chance), signed, durable)
}

// checkRestart opens what is left on disk, and goes on in a new epoch.
func checkRestart(t *testing.T, station *feed.Station, name string, disk *feedtest.Disk, signed history, durable map[string]int) {
	t.Helper()
	replica, err := feed.Open(station.Root(), feed.Config{Files: disk})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer replica.Close()
	found := make(map[string]int)
	for _, e := range replica.Epochs() {
		for _, l := range e.Logs() {
			found[l.Origin()] = checkLog(t, name, l, signed[l.Origin()], durable[l.Origin()])
		}
	}
	for origin, size := range durable {
		if found[origin] < size {
			t.Errorf("%s: %s: got size %d, but %d were promised", name, origin, found[origin], size)
		}
	}
	old := replica.Current()
	w, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	note := w.Epoch().Note()
	if old != nil && (note.Compare(ptr(old.Note())) <= 0 || w.Epoch().ID() == old.ID()) {
		t.Errorf("%s: the new epoch is not above the old one", name)
	}
}

func ptr[T any](v T) *T { return &v }

// checkLog checks that a recovered log is a prefix of what was signed, and returns its size.
func checkLog(t *testing.T, name string, l *feed.Log, signed []signedRecord, durable int) int {
	t.Helper()
	head := l.Head()
	if head.Size == 0 {
		return 0
	}
	if head.Size > uint64(len(signed)) || signed[head.Size-1].root != head.Root {
		t.Errorf("%s: %s: head of size %d was never signed", name, l.Origin(), head.Size)
		return 0
	}
	for i := range head.Size {
		b, err := l.Block(i)
		if err != nil && i < uint64(durable) {
			t.Errorf("%s: %s: block %d was promised: %v", name, l.Origin(), i, err)
		}
		if err == nil && b.Record != signed[i].record {
			t.Errorf("%s: %s: block %d is another than the one signed", name, l.Origin(), i)
		}
	}
	return int(head.Size)
}

func newStation(t testing.TB) *feed.Station {
	t.Helper()
	station, err := feed.OpenStation(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { station.Close() })
	return station
}

// TestDiskErrorAtEveryWrite breaks each change once, and the disk works again afterwards. The live edge does not notice; the history
// gets a hole, or one log's ends if an fsync failed; what comes after the hole is on disk and can be proved.
func TestDiskErrorAtEveryWrite(t *testing.T) {
	station := newStation(t)
	var total int
	synctest.Test(t, func(t *testing.T) {
		disk := feedtest.NewDisk()
		broadcast(t, station, disk)
		total = disk.Changes()
	})
	for n := 0; n < total; n += every() {
		for _, outcome := range []feedtest.Outcome{feedtest.Lost, feedtest.Torn, feedtest.Landed} {
			synctest.Test(t, func(t *testing.T) { testDiskError(t, station, n, outcome) })
		}
	}
}

func testDiskError(t *testing.T, station *feed.Station, n int, outcome feedtest.Outcome) {
	disk := feedtest.NewDisk()
	var what atomic.Value // the change that failed, a string
	disk.Fail = func(c feedtest.Change) feedtest.Outcome {
		if c.N != n {
			return feedtest.Done
		}
		what.Store(c.What)
		return outcome
	}
	c := feedtest.Broadcast(t, station, feed.Config{Files: disk}, 1)
	signed := make(history)
	early := false // the failure, so that there was time to get over it
	for k := range 12 {
		if k == 5 {
			synctest.Wait()
			early = what.Load() != nil
			time.Sleep(11 * time.Second)
		}
		c.Append(t, 5, 60)
		time.Sleep(100 * time.Millisecond) // blocks are written together for half of that
	}
	signed.remember(t, c.Writer.Epoch())
	err := c.Replica.Close()
	failed, _ := what.Load().(string)
	if failed == "" && err != nil {
		t.Errorf("change %d: Close: %v", n, err)
	}
	viewer, err := feed.Open(station.Root(), feed.Config{Files: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer viewer.Close()
	if viewer.Current() == nil {
		t.Fatalf("change %d (%s) %v: the epoch is lost", n, failed, outcome)
	}
	l, err := viewer.Current().Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	checkLog(t, fmt.Sprint("change ", n), l, signed[l.Origin()], 0)
	for i := uint64(40); i < 60 && early && failed != "sync"; i++ {
		if _, err := l.Block(i); err != nil {
			t.Errorf("change %d (%s) %v: block %d, after the hole: %v", n, failed, outcome, i, err)
		}
	}
}

// every is how many writes lie between two that are broken.
func every() int {
	if testing.Short() {
		return 5 * stride
	}
	return stride
}
