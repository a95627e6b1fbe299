package feed_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// airSeconds signs so many segments of three blocks, one each second.
func airSeconds(t *testing.T, c *feedtest.Channel, n int) {
	t.Helper()
	for range n {
		c.Append(t, 3, 100)
		time.Sleep(time.Second)
	}
}

// openAt opens a reader, or fails the test.
func openAt(t *testing.T, r *feed.Replica, at time.Time) *feed.Reader {
	t.Helper()
	rd, err := r.OpenAt(feedtest.Rendition, at, 0)
	if err != nil {
		t.Fatal(err)
	}
	return rd
}

// A streamer restarts eight times. Its own replica, which holds four epochs in memory, is read from before the first to the live edge, and
// on from there, into a ninth.
func TestOpenAtReadsAllEpochsUpToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := feedtest.NewChannel(t, feed.Config{Files: feedtest.NewDisk()}, 1)
		epochs := []feed.EpochID{c.Writer.Epoch().ID()}
		airSeconds(t, c, 4)
		for range 7 {
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
			epochs = append(epochs, c.Writer.Epoch().ID())
			airSeconds(t, c, 4)
		}
		if got := c.Replica.EpochIDs(); !slices.Equal(got, epochs) {
			t.Errorf("got epochs %v, want %v", got, epochs)
		}
		for k, id := range epochs {
			rd := openAt(t, c.Replica, begin.Add(time.Duration(4*k)*time.Second+2500*time.Millisecond))
			if item := next(t, rd); item.Epoch.ID() != id || item.Block.Index != 6 || !item.Reset {
				t.Errorf("in the third second of epoch %d: got block %d of %v, want 6 of %v", k, item.Block.Index, item.Epoch.ID(), id)
			}
		}
		rd := openAt(t, c.Replica, begin.Add(-time.Hour))
		for range epochs {
			expect(t, rd, 0, 12, true)
		}
		expectNothing(t, rd, time.Minute)
		c.Append(t, 3, 10)
		expect(t, rd, 12, 15, false)
		if err := c.Restart(1); err != nil {
			t.Fatal(err)
		}
		expectNothing(t, rd, time.Minute)
		c.Append(t, 2, 10)
		expect(t, rd, 0, 2, true)
	})
}

// A reader stays in the past while an epoch begins, even when the one it reads leaves memory.
func TestOpenAtOutlivesItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := feedtest.NewChannel(t, feed.Config{Files: feedtest.NewDisk(), TailBytes: 1}, 1)
		airSeconds(t, c, 10)
		rd := openAt(t, c.Replica, begin)
		expect(t, rd, 0, 4, true)
		for range 5 {
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
			airSeconds(t, c, 1)
		}
		time.Sleep(time.Minute)
		expect(t, rd, 4, 30, false)
		for range 5 {
			expect(t, rd, 0, 3, true)
		}
	})
}

// A viewer that is started again has what it kept, and does not take it for live.
func TestRestartReadsOnFromDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		disk := feedtest.NewDisk()
		c := feedtest.NewChannel(t, feed.Config{Files: disk}, 1)
		airSeconds(t, c, 10)
		if err := c.Replica.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := feed.Open(c.Replica.Root(), feed.Config{Files: disk})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rd := openAt(t, r, begin.Add(7500*time.Millisecond))
		expect(t, rd, 21, 30, true)
		for _, join := range []feed.Join{feed.JoinLast, feed.JoinNext} {
			expectNothing(t, r.Follow(feedtest.Rendition, join, 0), time.Minute)
		}
		from, to, ok := r.Kept(feedtest.Rendition)
		if !ok || !from.Equal(begin) || !to.Equal(begin.Add(9*time.Second)) {
			t.Errorf("kept from %v to %v, %v, want 0 to 9 s after %v", from, to, ok, begin)
		}
	})
}

// Until ends before the first segment of that time, whether or not there is more.
func TestReaderUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		airSeconds(t, c, 5)
		rd := openAt(t, c.Replica, begin.Add(time.Second)).Until(begin.Add(3 * time.Second))
		expect(t, rd, 3, 9, true)
		for range 2 {
			if item, err := rd.Next(t.Context()); err != io.EOF {
				t.Errorf("got block %d, %v, want io.EOF", item.Block.Index, err)
			}
		}
		later := openAt(t, c.Replica, begin.Add(4*time.Second)).Until(begin.Add(7 * time.Second))
		expect(t, later, 12, 15, true)
		expectNothing(t, later, time.Second)
		airSeconds(t, c, 2)
		expect(t, later, 15, 18, false)
		if _, err := later.Next(t.Context()); err != io.EOF {
			t.Errorf("got %v, want io.EOF", err)
		}
	})
}

// What was pruned is passed over, to the first segment that is whole, and told.
func TestOpenAtPassesOverWhatWasPruned(t *testing.T) {
	begin := time.Now()
	disk := feedtest.NewDisk()
	const file, size = 1 << 20, 1 << 10
	c := feedtest.NewChannel(t, feed.WithPayloadFiles(feed.Config{Files: disk, TailBytes: 1}, file), 1)
	perFile := file / size
	payload := feedtest.Payload(1, size)
	for i := range 2*perFile + 64 {
		e := feed.Entry{Kind: feed.Media, Payload: payload}
		if i%100 == 0 {
			e.Flags = feed.SegmentFirst
		}
		if _, err := c.Log.Append(e); err != nil {
			t.Fatal(err)
		}
		if i%64 == 0 {
			if err := c.Replica.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Replica.Close(); err != nil {
		t.Fatal(err)
	}
	dir := epochFolder(c.Writer.Epoch()) + "/" + feedtest.Rendition + "/payload/"
	disk.Put(dir+"00000000000000000000", nil)
	r, l := reopenAs(t, c, feed.WithPayloadFiles(feed.Config{Files: disk, ReadOnly: true}, file))
	if b, err := l.OnAir(begin.Add(-time.Second)); !errors.Is(err, feed.ErrNotHeld) {
		t.Errorf("before the first: got block %d, %v, want ErrNotHeld", b.Index, err)
	}
	rd := openAt(t, r, begin.Add(-time.Second))
	if item, err := rd.Next(t.Context()); err != nil || item.Block.Index != uint64(perFile/100+1)*100 {
		t.Errorf("got block %d, %v, want the first segment of the second file, %d", item.Block.Index, err, (perFile/100+1)*100)
	}
	// A file in the middle goes too, while somebody reads.
	disk.Put(dir+"00000000000001048576", nil)
	rd = openAt(t, r, begin.Add(-time.Second))
	if item, err := rd.Next(t.Context()); err != nil || item.Block.Index != 2100 {
		t.Errorf("got block %d, %v, want 2100", item.Block.Index, err)
	}
	if _, err := l.Frontier(5); err != nil {
		t.Errorf("what was pruned is no longer provable: %v", err)
	}
}

// A folder is read while its owner writes there, and nothing in it changes; not even by recovery, which has something to cut off here.
func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	c := feedtest.NewChannel(t, feed.Config{Dir: dir}, 1)
	c.Append(t, 50, 100)
	if err := c.Replica.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	records := filepath.Join(dir, epochFolder(c.Writer.Epoch()), feedtest.Rendition, "records")
	f, err := os.OpenFile(records, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, feed.RowSize/2)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".newest123"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	root, err := feed.RootOf(dir)
	if err != nil || root != c.Replica.Root() {
		t.Fatalf("RootOf: got %v, %v, want %v", root, err, c.Replica.Root())
	}
	r, err := feed.Open(root, feed.Config{Dir: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	rd := openAt(t, r, time.Time{})
	expect(t, rd, 0, 50, true)
	if _, err := rd.Next(context.Background()); err != io.EOF {
		t.Errorf("at the end: got %v, want io.EOF", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if after := snapshot(t, dir); !slices.Equal(before, after) {
		t.Errorf("reading changed the folder:\n%q\n%q", before, after)
	}
}

// snapshot lists the files of a folder with their content.
func snapshot(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files = append(files, path+" "+string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestReadOnlyOfNothing(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := feed.Open(c.Replica.Root(), feed.Config{Dir: missing, ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want os.ErrNotExist", err)
	}
	if _, err := feed.RootOf(t.TempDir()); err == nil {
		t.Error("got the root key of an empty folder")
	}
	r, err := feed.Open(c.Replica.Root(), feed.Config{Dir: t.TempDir(), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.OpenAt(feedtest.Rendition, time.Now(), 0); !errors.Is(err, feed.ErrNotHeld) {
		t.Errorf("got %v, want ErrNotHeld", err)
	}
	if from, to, ok := r.Kept(feedtest.Rendition); ok {
		t.Errorf("an empty folder keeps %v to %v", from, to)
	}
}

// Who has caught up waits for blocks that are late, as who watches live does, and then skips them.
func TestOpenAtIsPatientAtTheLiveEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		c.Append(t, 5, 10)
		c.Append(t, 5, 10)
		c.Append(t, 5, 10)
		c.Append(t, 5, 10)
		viewer, log := c.Viewer(t, feed.Config{}, feedtest.Rendition)
		put := func(from, to uint64) {
			for i := from; i < to; i++ {
				if err := feedtest.Copy(c.Log.Log(), log, i); err != nil {
					t.Error(err)
				}
			}
		}
		put(0, 5)
		put(10, 15)
		rd := openAt(t, viewer, time.Time{})
		time.AfterFunc(500*time.Millisecond, func() { put(5, 10) })
		expect(t, rd, 0, 15, true)
		put(16, 20) // no segment begins there: it waits
		expectNothing(t, rd, 3*time.Second)
		c.Append(t, 5, 10)
		put(20, 25)
		if item := next(t, rd); item.Block.Index != 20 || !item.Reset || item.Skipped != 5 {
			t.Errorf("got block %d, reset %v, skipped %d, want 20 after 5 that are lost", item.Block.Index, item.Reset, item.Skipped)
		}
		expect(t, rd, 21, 25, false)
	})
}

// An epoch begins with its first record, to the microsecond.
func TestOpenAtTheBeginningOfAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		c.Append(t, 5, 10)
		time.Sleep(time.Minute)
		if err := c.Restart(1); err != nil {
			t.Fatal(err)
		}
		begin := time.UnixMicro(c.Append(t, 5, 10)[0].Record.Wall)
		for at, want := range map[time.Time]*feed.Epoch{begin: c.Replica.Epochs()[0], begin.Add(-time.Microsecond): c.Replica.Epochs()[1]} {
			if item := next(t, openAt(t, c.Replica, at)); item.Epoch != want || item.Block.Index != 0 {
				t.Errorf("at %v: got block %d of epoch %v, want the first of %v", at, item.Block.Index, item.Epoch.ID(), want.ID())
			}
		}
	})
}
