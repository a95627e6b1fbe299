package feed_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// An unreadable is a disk that cannot read one file.
type unreadable struct {
	*feedtest.Disk
	name string
}

func (u *unreadable) Open(name string, create bool) (feed.File, error) {
	f, err := u.Disk.Open(name, create)
	if err != nil || name != u.name {
		return f, err
	}
	return noReads{f}, nil
}

type noReads struct{ feed.File }

func (noReads) ReadAt([]byte, int64) (int, error) { return 0, feedtest.ErrDisk }

// A window that cannot be held, and writing that failed once, are two things: writing goes on after ten seconds.
func TestWritingResumesWhateverRetentionDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &unreadable{Disk: feedtest.NewDisk()}
		cfg := feed.WithPayloadFiles(feed.Config{Files: disk, TailBytes: 1, Retention: feed.Retention{For: 30 * time.Second}}, fullFiles)
		c := feedtest.Broadcast(t, newStation(t), cfg, 1)
		disk.name = strings.Split(payloadFilesAfter(t, c, disk.Disk)[0], "/payload/")[0] + "/records"
		for range 5 { // the first one leaves memory
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
			air(t, c, 1)
		}
		air(t, c, 40)
		if c.Replica.DiskError() == nil {
			t.Error("nobody is told of rows that cannot be read")
		}
		failed := false
		disk.Fail = func(change feedtest.Change) feedtest.Outcome {
			if change.What == "write" && !failed {
				failed = true
				return feedtest.Lost
			}
			return feedtest.Done
		}
		air(t, c, 60)
		size := c.Log.Log().Head().Size
		if !failed || !c.Log.Log().Has(size-6) {
			t.Errorf("failed %v; block %d of %d is not held, a minute after one write failed", failed, size-6, size)
		}
	})
}

// payloadFilesAfter returns the payload files after a second on air.
func payloadFilesAfter(t *testing.T, c *feedtest.Channel, disk *feedtest.Disk) []string {
	t.Helper()
	air(t, c, 1)
	time.Sleep(time.Second)
	return payloadFiles(disk, feedtest.Rendition)
}

// What is written without being synced is bounded, also when sync has no room for its part.
func TestUnsyncedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := feedtest.NewDisk()
		var full atomic.Bool
		disk.Fail = func(change feedtest.Change) feedtest.Outcome {
			if full.Load() && strings.HasSuffix(change.Name, "/nodes") {
				return feedtest.Full
			}
			return feedtest.Done
		}
		c := feedtest.Broadcast(t, newStation(t), feed.Config{Files: disk}, 1)
		c.Append(t, 10, 100)
		time.Sleep(2 * time.Second)
		full.Store(true)
		for range 100 {
			c.Append(t, 50, 100)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got := feed.Unsynced(c.Log.Log()); got > 1024 {
			t.Errorf("%d rows are written and not synced, want at most 1024", got)
		}
		full.Store(false)
		time.Sleep(time.Minute)
		for range 30 {
			c.Append(t, 50, 100)
			time.Sleep(time.Second)
		}
		if err := c.Replica.DiskError(); err != nil {
			t.Errorf("got %v with room again", err)
		}
	})
}

// A start whose clock is behind by years must not cost what an earlier one aired at the right time; and one whose clock was ahead must not keep for ever what
// came after it.
func TestWrongClocksAndTheWindow(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong time.Duration
	}{{"behind", -3 * 365 * 24 * time.Hour}, {"ahead", 10 * 365 * 24 * time.Hour}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testWrongClock(t, c.wrong) })
		})
	}
}

func testWrongClock(t *testing.T, wrong time.Duration) {
	disk := feedtest.NewDisk()
	cfg := feed.WithPayloadFiles(feed.Config{Files: disk, Retention: feed.Retention{For: time.Hour}}, smallFiles)
	c := feedtest.Broadcast(t, newStation(t), cfg, 1)
	run := func(off time.Duration) {
		var err error
		if off == 0 {
			err = c.Restart(1)
		} else {
			c.Writer, err = feed.NewWriter(feed.WriterConfig{Replica: c.Replica, Station: c.Station, Now: func() time.Time { return time.Now().Add(off) }})
			if err == nil {
				c.Log, err = c.Writer.Log(feedtest.Rendition)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			c.Append(t, 20, 60)
			time.Sleep(time.Minute)
		}
	}
	if wrong > 0 {
		run(wrong)
	}
	for range 7 {
		run(0)
	}
	before := len(payloadFiles(disk, feedtest.Rendition))
	if wrong < 0 {
		run(wrong)
		if after := len(payloadFiles(disk, feedtest.Rendition)); after < before {
			t.Errorf("%d of %d files were removed by a clock that is behind", before-after, before)
		}
		return
	}
	for range 12 {
		run(0)
	}
	// Of an hour of five minutes each, and the one in which a file ends.
	if after := len(payloadFiles(disk, feedtest.Rendition)); after > 13*7 {
		t.Errorf("%d files are left, want those of an hour", after)
	}
}

// What is no file hangs nobody, and counts as not there.
func TestPipesAndFoldersInPlaceOfFiles(t *testing.T) {
	dir := t.TempDir()
	cfg := feed.WithPayloadFiles(feed.Config{Dir: dir}, smallFiles)
	c := feedtest.NewChannel(t, cfg, 1)
	c.Append(t, 100, 60)
	size := c.Log.Log().Head().Size
	if err := c.Replica.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "epochs", "*", feedtest.Rendition, "payload", "*"))
	if err != nil || len(names) < 4 {
		t.Fatalf("got files %q, %v", names, err)
	}
	for k, replace := range []func(string) error{
		func(name string) error { return os.Mkdir(name, 0o700) },
		func(name string) error { return syscall.Mkfifo(name, 0o600) },
	} {
		if err := os.Remove(names[1+k]); err != nil {
			t.Fatal(err)
		}
		if err := replace(names[1+k]); err != nil {
			t.Fatal(err)
		}
	}
	cfg.ReadOnly = true
	r, err := feed.Open(c.Station.Root(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := r.Current().Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	for i := range size {
		b, err := l.Block(i)
		from, to := b.Record.Offset, b.Record.Offset+uint64(b.Record.Length)
		if row, e := l.Record(i); e == nil {
			from, to = row.Record.Offset, row.Record.Offset+uint64(row.Record.Length)
		}
		gone := from < 3*smallFiles && to > smallFiles
		if (err != nil) != gone || l.Has(i) == gone {
			t.Fatalf("block %d of bytes [%d, %d): %v, has %v", i, from, to, err, l.Has(i))
		}
	}
}

// A file that leaves while somebody reads a folder of which he is not told is a hole, not rot.
func TestFilesThatLeaveUnannounced(t *testing.T) {
	disk := feedtest.NewDisk()
	cfg := feed.WithPayloadFiles(feed.Config{Files: disk}, smallFiles)
	c := feedtest.NewChannel(t, cfg, 1)
	c.Append(t, 100, 60)
	if err := c.Replica.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.ReadOnly = true
	r, err := feed.Open(c.Station.Root(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := r.Current().Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Block(3); err != nil {
		t.Fatal(err)
	}
	name := payloadFiles(disk, feedtest.Rendition)[0]
	data, err := disk.ReadFile(name, smallFiles)
	if err != nil {
		t.Fatal(err)
	}
	disk.Put(name, nil)
	if _, err := l.Block(4); err == nil || l.Has(4) {
		t.Errorf("got %v, has %v for a block whose file was removed", err, l.Has(4))
	}
	if _, err := l.Record(4); err != nil {
		t.Errorf("its record: %v", err)
	}
	disk.Put(name, data)
	if _, err := l.Block(40); err != nil { // another file
		t.Error(err)
	}
	if _, err := l.Block(4); err != nil {
		t.Errorf("the file is back: %v", err)
	}
}

// A file that cannot be removed is said, and keeps nothing else from leaving.
func TestWindowWithAFileThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, told := feedtest.NewDisk(), &journal{}
		cfg := feed.WithPayloadFiles(feed.Config{Files: disk, TailBytes: 1, Retention: feed.Retention{Bytes: 4 * fullFiles}, Logger: told.logger()}, fullFiles)
		c := feedtest.Broadcast(t, newStation(t), cfg, 1)
		air(t, c, 1)
		stays := payloadFiles(disk, feedtest.Rendition)[0]
		disk.Fail = func(change feedtest.Change) feedtest.Outcome {
			if change.What == "remove" && change.Name == stays {
				return feedtest.Lost
			}
			return feedtest.Done
		}
		air(t, c, 100)
		if got := len(payloadFiles(disk, feedtest.Rendition)); got > 6 {
			t.Errorf("got %d files, want about 4 and the one that stays", got)
		}
		if got := strings.Join(told.told(), "; "); got != "fails; going on without history; works again; the history has a hole" {
			t.Errorf("told %q, want it once", got)
		}
		disk.Fail = nil
		air(t, c, 10)
		if got := payloadFiles(disk, feedtest.Rendition); len(got) > 5 || got[0] == stays {
			t.Errorf("got files %q, want the one that stayed to leave with the next", got)
		}
		checkUnbroken(t, c.Log.Log())
	})
}

// A hole in the bytes of a log may be as long as its signer likes, and costs nothing.
func TestFarPayloads(t *testing.T) {
	signer := newLongLog(t)
	disk := feedtest.NewDisk()
	viewer, log := signer.openSmall(t, disk, feed.Config{})
	signer.putSlowly(t, viewer, log, 300, func(i uint64) bool { return true })
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	names := payloadFiles(disk, feedtest.Rendition)
	far := strings.TrimSuffix(names[0], strings.Repeat("0", 20)) + "01152921504606846976"
	disk.Put(far, []byte("x"))
	disk.Put(names[1], nil)
	cfg := feed.Config{Retention: feed.Retention{Bytes: 1}}
	viewer, log = signer.openSmall(t, disk, cfg)
	if err := viewer.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := payloadFiles(disk, feedtest.Rendition); len(got) != 1 || got[0] != far {
		t.Errorf("got files %q, want the newest", got)
	}
	if log.Has(299) {
		t.Error("a block is held whose file was removed")
	}
}

// What retention removes of epochs long gone is announced to those who read there; and a block that comes for such an epoch, whose files are closed, is no error of the
// disk.
func TestEpochsLongGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.Broadcast(t, newStation(t), feed.Config{}, 1)
		cfg := feed.WithPayloadFiles(feed.Config{Files: feedtest.NewDisk(), TailBytes: 1, Retention: feed.Retention{For: time.Minute}}, smallFiles)
		viewer, log := c.Viewer(t, cfg, feedtest.Rendition)
		from := c.Log.Log()
		c.Append(t, 60, 60)
		late := from.Head().Size - 1
		copyTo(t, from, log, late)
		for range 5 {
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
			if _, err := viewer.AddNotes(c.Replica.Notes()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		if err := feedtest.Copy(from, log, late); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := viewer.DiskError(); err != nil {
			t.Errorf("a block of an epoch that is gone: %v", err)
		}
		e, err := viewer.OpenEpoch(log.Epoch().ID())
		if err != nil {
			t.Fatal(err)
		}
		past, err := e.Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := past.Block(3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		c.Append(t, 60, 60)
		now, err := viewer.Current().Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		copyTo(t, c.Log.Log(), now, c.Log.Log().Head().Size)
		time.Sleep(2 * time.Second)
		if _, err := past.Block(3); !errors.Is(err, feed.ErrPruned) {
			t.Errorf("got %v, want ErrPruned for whoever reads there", err)
		}
		if got := past.Base(); got < 3 {
			t.Errorf("got base %d of a log that was pruned", got)
		}
	})
}

func copyTo(t *testing.T, from, to *feed.Log, n uint64) {
	t.Helper()
	for i := range n {
		if err := feedtest.Copy(from, to, i); err != nil {
			t.Fatal(err)
		}
	}
}
