package feed_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// start runs a writer until the test or stop ends it.
func start(t *testing.T, w *feed.Writer) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// kinds returns the kinds of all records of a log.
func kinds(t *testing.T, l *feed.Log) (all []feed.Kind) {
	t.Helper()
	for i := range l.Head().Size {
		b, err := l.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b.Record.Kind)
	}
	return all
}

func count(all []feed.Kind, kind feed.Kind) (n int) {
	for _, k := range all {
		if k == kind {
			n++
		}
	}
	return n
}

func catalogOf(t *testing.T, e *feed.Epoch) *feed.Log {
	t.Helper()
	l, err := e.Log(feed.CatalogLog)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSilenceIsFilledByHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		stop := start(t, c.Writer)
		log := c.Log.Log()
		time.Sleep(5 * time.Second)
		if got := log.Head().Size; got != 0 {
			t.Errorf("a log that has not begun has %d records", got)
		}
		c.Append(t, 1, 10)
		time.Sleep(10*time.Second + time.Millisecond)
		if got := kinds(t, log); len(got) != 11 || count(got, feed.Heartbeat) != 10 {
			t.Errorf("after 10 s of silence: got %d, want one block and ten heartbeats", got)
		}
		for range 20 {
			c.Append(t, 1, 10)
			time.Sleep(500 * time.Millisecond)
		}
		if got := count(kinds(t, log), feed.Heartbeat); got != 10 {
			t.Errorf("got %d heartbeats while blocks came, want no more than 10", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got := kinds(t, log)
		if got[len(got)-1] != feed.End || count(got, feed.End) != 1 {
			t.Errorf("got %v, want one End, last", got)
		}
		if _, err := c.Log.Append(feed.Entry{Kind: feed.Media}); !errors.Is(err, feed.ErrEnded) {
			t.Errorf("after the end: got %v, want ErrEnded", err)
		}
	})
}

func TestCatalogAnchorsEveryMinuteAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 4)
		stop := start(t, c.Writer)
		c.Append(t, 3, 10)
		time.Sleep(150 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var states, anchors int
		var last feed.LogAnchor
		catalog := catalogOf(t, c.Writer.Epoch())
		for i := range catalog.Head().Size {
			b, err := catalog.Block(i)
			if err != nil {
				t.Fatal(err)
			}
			if b.Record.Kind != feed.Event {
				continue
			}
			entry, err := feed.ParseCatalogEntry(b.Payload)
			if err != nil {
				t.Fatal(err)
			}
			switch e := entry.(type) {
			case feed.State:
				states++
				if b.Record.Flags&feed.SegmentFirst == 0 {
					t.Errorf("state at %d does not begin a segment", i)
				}
			case feed.LogAnchor:
				anchors++
				last = e
			}
		}
		if states != 4 || anchors != 3 {
			t.Errorf("got %d states and %d anchors in 150 s, want 4 and 3", states, anchors)
		}
		head := c.Log.Log().Head()
		if want := (feed.LogHead{Log: feedtest.Rendition, Size: head.Size, Root: head.Root}); len(last.Logs) != 1 || last.Logs[0] != want {
			t.Errorf("got final anchor %v, want %v", last.Logs, want)
		}
		if all := kinds(t, catalog); all[len(all)-1] != feed.End {
			t.Error("the catalog has no End")
		}
		if s, ok := c.Writer.Epoch().State(); !ok || s.Renditions[0].Stripes != 4 {
			t.Errorf("got state %v, %v", s, ok)
		}
		s, _ := c.Writer.Epoch().State()
		s.Renditions[0].Stripes = 8
		if err := c.Writer.SetState(s); err == nil {
			t.Error("the stripes of a rendition changed within an epoch")
		}
	})
}

func TestWallClockFollowsSlowlyAndNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead clockError // of the system clock
		station := newStation(t)
		replica, err := feed.Open(station.Root(), feed.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer replica.Close()
		w, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station, Now: func() time.Time { return time.Now().Add(ahead.get()) }})
		if err != nil {
			t.Fatal(err)
		}
		lw, err := w.Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		begin, last := time.Now(), int64(0)
		for k := range 400 {
			if k == 50 {
				ahead.set(-1500 * time.Millisecond) // NTP sets the clock back
			}
			b, err := lw.Append(feed.Entry{Kind: feed.Media})
			if err != nil {
				t.Fatal(err)
			}
			elapsed := time.Since(begin)
			off := time.Duration(b.Record.Wall-begin.UnixMicro())*time.Microsecond - elapsed
			if b.Record.Wall < last || off.Abs() > elapsed/100+time.Microsecond {
				t.Errorf("block %d: wall clock is off by %v after %v", k, off, elapsed)
			}
			last = b.Record.Wall
			time.Sleep(time.Second)
		}
		if off := time.Duration(last-time.Now().Add(ahead.get()).UnixMicro())*time.Microsecond + time.Second; off.Abs() > time.Millisecond {
			t.Errorf("the clock is off by %v still", off)
		}
	})
}

func TestClockStepNeedsAnotherEpoch(t *testing.T) {
	for _, step := range []time.Duration{-5 * time.Minute, 3 * time.Second, 10 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var ahead clockError
			station := newStation(t)
			replica, err := feed.Open(station.Root(), feed.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer replica.Close()
			w, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station, Now: func() time.Time { return time.Now().Add(ahead.get()) }})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- w.Run(t.Context()) }()
			time.Sleep(1500 * time.Millisecond)
			ahead.set(step)
			if err := <-done; !errors.Is(err, feed.ErrClockStep) {
				t.Errorf("clock set by %v: got %v, want ErrClockStep", step, err)
			}
		})
	}
}

func TestWriterStopsForAHigherEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		done := make(chan error, 1)
		w := c.Writer
		go func() { done <- w.Run(t.Context()) }()
		synctest.Wait()
		other, err := feed.Open(c.Replica.Root(), feed.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		highest := w.Epoch().Note().Number + 1000
		clone, err := feed.NewWriter(feed.WriterConfig{Replica: other, Station: c.Station, Highest: highest})
		if err != nil {
			t.Fatal(err)
		}
		if got := clone.Epoch().Note().Number; got != highest+1 {
			t.Errorf("got epoch %d, want one above the highest heard, %d", got, highest)
		}
		if _, err := c.Replica.AddNotes(other.Notes()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, feed.ErrSuperseded) {
			t.Errorf("got %v, want ErrSuperseded", err)
		}
	})
}

// The live edge never waits for the disk: here it never answers.
func TestLiveEdgeGoesOnWhileTheDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		disk := &hangingDisk{Files: feedtest.NewDisk(), release: release}
		var logged logCounter
		c := feedtest.NewChannel(t, feed.Config{Files: disk, Logger: slog.New(slog.NewTextHandler(&logged, nil))}, 1)
		begin := time.Now()
		for range 1000 {
			c.Append(t, 5, 1000)
		}
		if time.Since(begin) != 0 || c.Log.Log().Head().Size != 5000 {
			t.Errorf("5000 blocks took %v", time.Since(begin))
		}
		close(release)
		synctest.Wait()
		c.Append(t, 1, 10)
		synctest.Wait()
		if c.Writer.DiskError() == nil || logged != 1 {
			t.Errorf("got %v, logged %d times, want an error, logged once", c.Writer.DiskError(), logged)
		}
	})
}

// A hangingDisk answers nothing until it is released.
type hangingDisk struct {
	feed.Files
	release chan struct{}
}

func (d *hangingDisk) WriteFile(name string, data []byte) error {
	<-d.release
	return d.Files.WriteFile(name, data)
}

// A clockError is how far a clock is ahead; one goroutine sets it while another reads the clock.
type clockError struct{ ns atomic.Int64 }

func (c *clockError) get() time.Duration  { return time.Duration(c.ns.Load()) }
func (c *clockError) set(d time.Duration) { c.ns.Store(int64(d)) }

// A logCounter counts lines.
type logCounter int

var _ io.Writer = (*logCounter)(nil)

func (c *logCounter) Write(p []byte) (int, error) {
	*c++
	return len(p), nil
}
