package feed_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// A journal is what an operator would read, one line for each message.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(p))
	return len(p), nil
}

// told returns the messages of the disk, without time and figures.
func (j *journal) told() (told []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if _, rest, ok := strings.Cut(line, `msg="the disk `); ok {
			message, _, _ := strings.Cut(rest, `"`)
			told = append(told, message)
		}
	}
	return told
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// fullFiles is a size of payload files beside which rows are small, as they are in life.
const fullFiles = 16 << 10

// air signs 4000 bytes a second.
func air(t *testing.T, c *feedtest.Channel, seconds int) {
	t.Helper()
	for range seconds {
		c.Append(t, 4, 1000)
		time.Sleep(time.Second)
	}
}

// checkUnbroken checks that all that is held from the base on can be read, and that all records can.
func checkUnbroken(t *testing.T, log *feed.Log) {
	t.Helper()
	for i := range log.Head().Size {
		_, err := log.Block(i)
		if want := i < log.Base(); want != errors.Is(err, feed.ErrPruned) || !want && err != nil {
			t.Fatalf("block %d, base %d: %v", i, log.Base(), err)
		}
		if _, err := log.Record(i); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

// With a window, a disk that has no room for it loses the oldest first and nothing else: no hole, one warning. When there is room again
// the window is what was configured, and that is said once.
func TestFullDiskShrinksTheWindow(t *testing.T) {
	const window = 8 * fullFiles
	synctest.Test(t, func(t *testing.T) {
		disk, told := feedtest.NewDisk(), &journal{}
		cfg := feed.WithPayloadFiles(feed.Config{
			Files: disk, TailBytes: 8 << 10, Retention: feed.Retention{Bytes: window}, Logger: told.logger(),
		}, fullFiles)
		c := feedtest.Broadcast(t, newStation(t), cfg, 1)
		air(t, c, 20)
		disk.SetRoom(disk.Used() + fullFiles) // somebody else fills the disk
		air(t, c, 30)
		kept := c.Replica.Stored()
		if want := []string{"is full; keeping less than the window until there is room"}; !kept.Short || !slices.Equal(told.told(), want) {
			t.Errorf("short %v, told %q, want %q", kept.Short, told.told(), want)
		}
		if err := c.Replica.DiskError(); err != nil {
			t.Errorf("got %v, want no error: nothing is lost but the oldest", err)
		}
		if kept.Bytes > window-2*fullFiles {
			t.Errorf("got %d bytes kept on a full disk, want less", kept.Bytes)
		}
		disk.SetRoom(0)
		air(t, c, 60)
		kept = c.Replica.Stored()
		if kept.Short || kept.Bytes < window-fullFiles {
			t.Errorf("got %+v with room for all, want a window of %d", kept, window)
		}
		want := []string{"is full; keeping less than the window until there is room", "has room for the whole window again"}
		if !slices.Equal(told.told(), want) {
			t.Errorf("told %q, want %q", told.told(), want)
		}
		if err := c.Replica.Sync(context.Background()); err != nil {
			t.Error(err)
		}
		checkUnbroken(t, c.Log.Log())
	})
}

// Without a window nothing is deleted unasked: the history has a hole, the live edge has none, and it goes on by itself.
func TestFullDiskWithoutWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, told := feedtest.NewDisk(), &journal{}
		cfg := feed.WithPayloadFiles(feed.Config{Files: disk, Logger: told.logger()}, fullFiles)
		c := feedtest.Broadcast(t, newStation(t), cfg, 1)
		air(t, c, 20)
		files := payloadFiles(disk, feedtest.Rendition)
		disk.SetRoom(disk.Used() + fullFiles)
		air(t, c, 30)
		if err := c.Replica.DiskError(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v, want ENOSPC", err)
		}
		if left := payloadFiles(disk, feedtest.Rendition); !slices.Equal(left[:len(files)], files) {
			t.Errorf("files %q became %q", files, left)
		}
		disk.SetRoom(0)
		air(t, c, 30)
		if err := c.Replica.DiskError(); err != nil {
			t.Errorf("got %v with room again", err)
		}
		want := []string{"is full; the history has a hole until there is room", "works again; the history has a hole"}
		if !slices.Equal(told.told(), want) {
			t.Errorf("told %q, want %q", told.told(), want)
		}
		size := c.Log.Log().Head().Size
		if err := c.Replica.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := feed.Open(c.Station.Root(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		log, err := again.Current().Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		missing := log.Missing(0, size, 10)
		if len(missing) != 1 || missing[0].From < 60 || missing[0].To > size-60 {
			t.Errorf("%v of %d blocks are missing, want one hole in the middle", missing, size)
		}
	})
}

// On a real file system: payload files leave, records stay, and what is read agrees.
func TestWindowOnTheFileSystem(t *testing.T) {
	cfg := feed.WithPayloadFiles(feed.Config{Dir: t.TempDir(), TailBytes: 1, Retention: feed.Retention{Bytes: 3 * smallFiles}}, smallFiles)
	c := feedtest.NewChannel(t, cfg, 1)
	for range 10 {
		c.Append(t, 20, 60)
		if err := c.Replica.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	log := c.Log.Log()
	if kept := c.Replica.Stored(); kept.Bytes > 3*smallFiles || log.Base() < 100 {
		t.Errorf("got %d bytes kept from block %d of %d, want a window of %d bytes", kept.Bytes, log.Base(), log.Head().Size, 3*smallFiles)
	}
	checkUnbroken(t, log)
	size, base := log.Head().Size, log.Base()
	if err := c.Replica.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := feed.Open(c.Station.Root(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if log, err = again.Current().Log(feedtest.Rendition); err != nil {
		t.Fatal(err)
	}
	if log.Base() != base || log.Head().Size != size {
		t.Errorf("after a restart: got [%d, %d), want [%d, %d)", log.Base(), log.Head().Size, base, size)
	}
	checkUnbroken(t, log)
}
