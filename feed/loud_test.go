package feed_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// follows checks that a viewer that is fed from the streamer's memory has all of the live edge, and the streamer no hole in it.
func follows(t *testing.T, c *feedtest.Channel, from uint64) {
	t.Helper()
	_, log := c.Viewer(t, feed.Config{}, feedtest.Rendition)
	for i := from; i < c.Log.Log().Head().Size; i++ {
		if err := feedtest.Copy(c.Log.Log(), log, i); err != nil {
			t.Fatalf("block %d of the live edge: %v", i, err)
		}
	}
}

// TestFsyncErrorEndsTheHistoryAloud: after an error of fsync nobody knows what is on disk. The history of that log ends there and says so, as
// long as the process lives; the live edge goes on, and the next start has a prefix of what was signed and writes again.
func TestFsyncErrorEndsTheHistoryAloud(t *testing.T) {
	for _, file := range []string{"/main/records", "/main/payload/"} {
		synctest.Test(t, func(t *testing.T) {
			disk, told, failed := feedtest.NewDisk(), &journal{}, false
			station := newStation(t)
			c := feedtest.Broadcast(t, station, feed.Config{Files: disk, Logger: told.logger()}, 1)
			air(t, c, 10)
			synctest.Wait()
			disk.Fail = func(change feedtest.Change) feedtest.Outcome {
				if !failed && change.What == "sync" && strings.Contains(change.Name, file) {
					failed = true
					return feedtest.Lost
				}
				return feedtest.Done
			}
			air(t, c, 60)
			if err := c.Replica.DiskError(); err == nil || !strings.Contains(err.Error(), "history of this log ends here") || err.Error() != c.Writer.DiskError().Error() {
				t.Errorf("a minute after the error of fsync: got %v, want a sentence that says that the history ends", err)
			}
			if got := told.told(); len(got) == 0 || got[0] != "fails; going on without history" {
				t.Errorf("told %q", got)
			}
			follows(t, c, 0)
			signed := make(history)
			signed.remember(t, c.Writer.Epoch())
			_ = c.Replica.Close()

			again := feedtest.Broadcast(t, station, feed.Config{Files: disk}, 1)
			epochs := again.Replica.Epochs()
			l, err := epochs[1].Log(feedtest.Rendition)
			if err != nil {
				t.Fatal(err)
			}
			checkLog(t, "after fsync failed", l, signed[l.Origin()], 36)
			for i := uint64(48); i < l.Head().Size; i++ { // the file newest remembers the last head
				if _, err := l.Block(i); err == nil {
					t.Errorf("%s: block %d is on disk, although the history has ended", file, i)
				}
			}
			air(t, again, 3)
			if err := again.Replica.Sync(context.Background()); err != nil {
				t.Errorf("the next start does not write: %v", err)
			}
		})
	}
}

// TestFullDiskAtTheStartOfAnEpoch: there is no room even for the notes. The epoch goes on air; once there is room, the history begins, with the
// notes that make it worth anything.
func TestFullDiskAtTheStartOfAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, told := feedtest.NewDisk(), &journal{}
		disk.SetRoom(1)
		station := newStation(t)
		c := feedtest.Broadcast(t, station, feed.Config{Files: disk, Logger: told.logger()}, 1)
		air(t, c, 30)
		if err := c.Replica.DiskError(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v, want ENOSPC", err)
		}
		if got, want := told.told(), []string{"is full; the history has a hole until there is room"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		follows(t, c, 0)
		disk.SetRoom(0)
		air(t, c, 40)
		if err := c.Replica.DiskError(); err != nil {
			t.Errorf("with room: %v", err)
		}
		signed := make(history)
		signed.remember(t, c.Writer.Epoch())
		if err := c.Replica.Close(); err != nil {
			t.Error(err)
		}
		again, err := feed.Open(station.Root(), feed.Config{Files: disk})
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if again.Current() == nil {
			t.Fatal("the epoch is not on disk")
		}
		l, err := again.Current().Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		size := uint64(checkLog(t, "after a full disk", l, signed[l.Origin()], 0))
		if _, err := l.Block(size - 1); size < 270 || err != nil {
			t.Errorf("got %d records, the last one: %v; want the 280 that were signed, but for a hole at the beginning", size, err)
		}
	})
}

// TestFolderIsRemovedOnAir: somebody removes the feed's folder, or all of the data directory, under a streamer. What is written goes into files
// that have no name any more, and no error comes of it by itself. The streamer says so, and stays on air.
func TestFolderIsRemovedOnAir(t *testing.T) {
	for _, removed := range []string{".", "feed", "feed/epochs"} {
		synctest.Test(t, func(t *testing.T) {
			dir, told := t.TempDir(), &journal{}
			station, err := feed.OpenStation(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer station.Close()
			c := feedtest.Broadcast(t, station, feed.Config{Dir: filepath.Join(dir, "feed"), Logger: told.logger()}, 1)
			air(t, c, 3)
			if err := c.Replica.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(dir, removed)); err != nil {
				t.Fatal(err)
			}
			air(t, c, 20)
			if err := c.Replica.DiskError(); err == nil || !strings.Contains(err.Error(), "was removed") {
				t.Errorf("%s removed: got %v, want an error that says so", removed, err)
			}
			if got := told.told(); len(got) != 1 {
				t.Errorf("told %q, want one message", got)
			}
			follows(t, c, 0)
			_ = c.Replica.Close()
		})
	}
}
