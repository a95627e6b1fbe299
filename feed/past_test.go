package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// openFiles counts the files that are open.
type openFiles struct {
	feed.Files
	open, most atomic.Int64
}

func (o *openFiles) Open(name string, create bool) (feed.File, error) {
	f, err := o.Files.Open(name, create)
	if err != nil {
		return nil, err
	}
	if n := o.open.Add(1); n > o.most.Load() {
		o.most.Store(n)
	}
	return &openFile{File: f, files: o}, nil
}

type openFile struct {
	feed.File
	files *openFiles
}

func (f *openFile) Close() error {
	f.files.open.Add(-1)
	return f.File.Close()
}

// However many epochs are on disk, few of their files are open at once, and none once the replica is closed.
func TestManyEpochsFewFiles(t *testing.T) {
	const epochs = 50
	disk := feedtest.NewDisk()
	var root feed.PublicKey
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{Files: disk}, 1)
		root = c.Replica.Root()
		airSeconds(t, c, 2)
		for range epochs - 1 {
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
			airSeconds(t, c, 2)
		}
		if err := c.Replica.Close(); err != nil {
			t.Fatal(err)
		}
	})
	files := &openFiles{Files: disk}
	r, err := feed.Open(root, feed.Config{Files: files, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.EpochIDs()); n != epochs {
		t.Errorf("got %d epochs, want %d", n, epochs)
	}
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			rd, err := r.OpenAt(feedtest.Rendition, time.Time{}, 0)
			if err != nil {
				t.Error(err)
				return
			}
			n := 0
			for {
				if _, err = rd.Next(t.Context()); err != nil {
					break
				}
				n++
			}
			if err != io.EOF || n != 6*epochs {
				t.Errorf("got %d blocks, %v, want %d and io.EOF", n, err, 6*epochs)
			}
		})
	}
	group.Wait()
	if most := files.most.Load(); most > 48 {
		t.Errorf("%d files were open at once, want at most 32 and those being opened", most)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if n := files.open.Load(); n != 0 {
		t.Errorf("%d files are open after Close", n)
	}
}

// A folder is opened and read again and again while its owner signs and syncs: every time there is one unbroken log, no shorter than the time before.
func TestReadOnlyWhileWritten(t *testing.T) {
	dir := t.TempDir()
	c := feedtest.NewChannel(t, feed.Config{Dir: dir, TailBytes: 32 << 10}, 1)
	c.Append(t, 10, 100)
	if err := c.Replica.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := uint64(0)
	for range 8 {
		var group sync.WaitGroup
		group.Go(func() {
			for range 5 {
				c.Append(t, 10, 100)
				if err := c.Replica.Sync(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
		n := readFolder(t, c, dir)
		if n < read || n < 10 {
			t.Errorf("got %d blocks, after %d before", n, read)
		}
		read = n
		group.Wait()
	}
	if n := readFolder(t, c, dir); n != 410 {
		t.Errorf("got %d blocks in the end, want 410", n)
	}
}

// readFolder returns how many blocks a reader of a folder gets.
func readFolder(t *testing.T, c *feedtest.Channel, dir string) (n uint64) {
	t.Helper()
	r, err := feed.Open(c.Replica.Root(), feed.Config{Dir: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rd := openAt(t, r, time.Time{})
	for {
		item, err := rd.Next(t.Context())
		if err == io.EOF {
			return n
		}
		if err != nil || item.Block.Index != n {
			t.Fatalf("got block %d, %v, want %d", item.Block.Index, err, n)
		}
		n++
	}
}

// Only the one spelling of a folder's name is an epoch, and only if its notes belong there; nothing else in the folder is in the way.
func TestNamesOfFolders(t *testing.T) { synctest.Test(t, testNamesOfFolders) }

func testNamesOfFolders(t *testing.T) {
	disk := feedtest.NewDisk()
	c := feedtest.NewChannel(t, feed.Config{Files: disk}, 1)
	c.Append(t, 10, 10)
	if err := c.Replica.Close(); err != nil {
		t.Fatal(err)
	}
	n, id := c.Writer.Epoch().Note(), c.Writer.Epoch().ID()
	for _, name := range []string{
		"", "-", "--", "1", "1-2", "1-2-", "..", ".tmp", "a-b-c", fmt.Sprintf("%d-%d", n.Generation, n.Number),
		fmt.Sprintf("0%d-%d-%v", n.Generation, n.Number, id), fmt.Sprintf("+%d-%d-%v", n.Generation, n.Number, id), fmt.Sprintf("%d-%d-%v-1", n.Generation, n.Number, id),
		fmt.Sprintf("%d-%d-%s", n.Generation, n.Number, strings.ToUpper(id.String())), fmt.Sprintf("18446744073709551616-%d-%v", n.Number, id),
	} {
		disk.Put("epochs/"+name+"/epoch.note", []byte("x"))
	}
	// These are names of epochs, but the notes in them are none, or those of another.
	disk.Put(fmt.Sprintf("epochs/%d-%d-%v/epoch.note", n.Generation, n.Number+1, id), c.Replica.Notes().Epoch)
	disk.Put(fmt.Sprintf("epochs/%d-%d-%v/channel.note", n.Generation, n.Number+1, id), c.Replica.Notes().Channel)
	disk.Put(fmt.Sprintf("epochs/%d-%d-%v/epoch.note", n.Generation, n.Number+2, id), []byte("x"))
	// A second run, so that all these lie between two epochs.
	again, err := feed.Open(c.Replica.Root(), feed.Config{Files: disk})
	if err != nil {
		t.Fatal(err)
	}
	second := &feedtest.Channel{Station: c.Station, Replica: again}
	time.Sleep(3 * time.Millisecond) // virtual
	if err := second.Restart(1); err != nil {
		t.Fatal(err)
	}
	second.Append(t, 5, 10)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := feed.Open(c.Replica.Root(), feed.Config{Files: disk, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(r.EpochIDs()); got != 4 {
		t.Errorf("got %d names of epochs, want 4", got)
	}
	rd := openAt(t, r, time.Time{})
	expect(t, rd, 0, 10, true)
	expect(t, rd, 0, 5, true)
	if _, err := rd.Next(t.Context()); err != io.EOF {
		t.Errorf("got %v, want io.EOF", err)
	}
	if _, err := r.OpenEpoch(feed.EpochID{1}); !errors.Is(err, feed.ErrNotHeld) {
		t.Errorf("an epoch that nobody has: got %v, want ErrNotHeld", err)
	}
}
