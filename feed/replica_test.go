package feed_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

func TestAddNotes(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	old := c.Replica.Notes()
	if err := c.Restart(1); err != nil {
		t.Fatal(err)
	}
	newer := c.Replica.Notes()
	stranger := feedtest.NewChannel(t, feed.Config{}, 1).Replica.Notes()
	viewer, err := feed.Open(c.Replica.Root(), feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if viewer.Current() != nil || len(viewer.Notes().Channel) != 0 {
		t.Error("an empty replica has an epoch")
	}
	add := func(n feed.Notes) *feed.Epoch {
		t.Helper()
		e, err := viewer.AddNotes(n)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := add(old)
	if again := add(old); again != first {
		t.Error("the same notes gave another epoch")
	}
	second := add(newer)
	if viewer.Current() != second || len(viewer.Epochs()) != 2 || viewer.Epoch(first.ID()) != first {
		t.Error("want both epochs, the higher one as current")
	}
	if again := add(old); again != first || viewer.Current() != second {
		t.Error("old notes of an epoch that is held: want that epoch, and the current one as it was")
	}
	for name, n := range map[string]feed.Notes{
		"empty": {}, "of another channel": stranger, "mixed": {Channel: newer.Channel, Epoch: stranger.Epoch},
		"no epoch": {Channel: newer.Channel}, "swapped": {Channel: newer.Epoch, Epoch: newer.Channel},
	} {
		if _, err := viewer.AddNotes(n); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestNotesExpire(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	late := feed.Config{Now: func() time.Time { return time.Now().AddDate(0, 0, 91) }}
	viewer, err := feed.Open(c.Replica.Root(), late)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := viewer.AddNotes(c.Replica.Notes()); !errors.Is(err, feed.ErrExpired) {
		t.Errorf("got %v, want ErrExpired", err)
	}
}

// A viewer that comes back refuses what is older than what it saw, though its memory is gone.
func TestReplicaNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		older := c.Replica.Notes()
		if err := c.Restart(1); err != nil {
			t.Fatal(err)
		}
		c.Append(t, 7, 10)
		disk := feedtest.NewDisk()
		viewer, log := c.Viewer(t, feed.Config{Files: disk}, feedtest.Rendition)
		copyAll(t, c.Log.Log(), log, 0, 7)
		if err := viewer.Close(); err != nil {
			t.Fatal(err)
		}

		viewer, err := feed.Open(c.Replica.Root(), feed.Config{Files: disk})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := viewer.AddNotes(older); !errors.Is(err, feed.ErrOlderEpoch) {
			t.Errorf("after a restart: got %v, want ErrOlderEpoch", err)
		}
		if e := viewer.Current(); e == nil || e.ID() != c.Writer.Epoch().ID() {
			t.Error("the newest epoch is not the current one after a restart")
		}
		viewer.Close()

		// The user removed all but the promise.
		for _, name := range disk.Names() {
			if name != "newest" {
				disk.Put(name, nil)
			}
		}
		viewer, err = feed.Open(c.Replica.Root(), feed.Config{Files: disk})
		if err != nil {
			t.Fatal(err)
		}
		defer viewer.Close()
		if _, err := viewer.AddNotes(older); !errors.Is(err, feed.ErrOlderEpoch) {
			t.Errorf("with empty folders: got %v, want ErrOlderEpoch", err)
		}
		e, err := viewer.AddNotes(c.Replica.Notes())
		if err != nil {
			t.Fatal(err)
		}
		if log, err = e.Log(feedtest.Rendition); err != nil || log.Head() != c.Log.Log().Head() {
			t.Errorf("got head %v, %v, want the remembered %v", log.Head(), err, c.Log.Log().Head())
		}
	})
}

func TestStolenStationIsAnswered(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	note := c.Station.Note()
	stolen := c.Replica.Notes()
	next, err := feed.NextGeneration(c.Station)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(1); err != nil {
		t.Fatal(err)
	}
	if got := c.Writer.Epoch().Note().Generation; got != note.Generation+1 || next.Generation != got {
		t.Fatalf("got generation %d, want %d", got, note.Generation+1)
	}
	viewer, _ := c.Viewer(t, feed.Config{}, feedtest.Rendition)
	if _, err := viewer.AddNotes(stolen); !errors.Is(err, feed.ErrOlderGeneration) {
		t.Errorf("got %v, want ErrOlderGeneration", err)
	}
}

func TestEpochsInMemoryAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := feedtest.NewDisk()
		c := feedtest.NewChannel(t, feed.Config{Files: disk}, 1)
		var logs []*feed.Log
		for range 7 {
			c.Append(t, 3, 10)
			logs = append(logs, c.Log.Log())
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Replica.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := len(c.Replica.Epochs()); got != 4 {
			t.Errorf("got %d epochs in memory, want 4", got)
		}
		// Who still has an old log can read its tail; what is added to it is not stored, and harms nothing.
		if _, err := logs[0].Block(1); err != nil {
			t.Errorf("got %v from a log that is no longer held", err)
		}
		if err := c.Replica.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := feed.Open(c.Station.Root(), feed.Config{Files: disk})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got := len(r.Epochs()); got != 4 || r.Current().ID() != c.Writer.Epoch().ID() {
			t.Errorf("after a restart: got %d epochs, current the newest: %v", got, r.Current().ID() == c.Writer.Epoch().ID())
		}
		if s, ok := r.Current().State(); !ok || s.Title != "Test" {
			t.Errorf("after a restart: got state %v, %v, want the one in the catalog", s, ok)
		}
	})
}

func TestDamagedMemoryIsNotForgotten(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	disk := feedtest.NewDisk()
	disk.Put("newest", []byte(`{"generation":1`))
	if _, err := feed.Open(c.Replica.Root(), feed.Config{Files: disk}); err == nil || !strings.Contains(err.Error(), "newest") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

// A renewed channel note reaches viewers while the epoch runs.
func TestChannelNoteIsRenewedWhileLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead clockError // of the clock by which notes end
		c := feedtest.NewChannel(t, feed.Config{Now: func() time.Time { return time.Now().Add(ahead.get()) }}, 1)
		before := c.Replica.Notes()
		viewer, _ := c.Viewer(t, feed.Config{}, feedtest.Rendition)
		stop := start(t, c.Writer)
		ahead.set(61 * 24 * time.Hour)
		time.Sleep(61 * time.Second)
		notes := c.Replica.Notes()
		if string(notes.Channel) == string(before.Channel) || string(notes.Epoch) != string(before.Epoch) {
			t.Fatal("the channel note was not renewed, or the epoch note was")
		}
		if _, err := viewer.AddNotes(notes); err != nil {
			t.Fatal(err)
		}
		if _, err := viewer.AddNotes(before); err != nil {
			t.Fatal(err)
		}
		if string(viewer.Notes().Channel) != string(notes.Channel) {
			t.Error("the viewer passes on the old note")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzNewest(f *testing.F) {
	c := feedtest.NewChannel(f, feed.Config{}, 1)
	f.Add([]byte(`{"generation":1,"number":1767225600000,"epoch":"aaaaaaaaaaaaaaaa","heads":[]}` + "\n"))
	f.Add([]byte(`{"generation":1,"number":2,"epoch":"aaaaaaaaaaaaaaaa","heads":[{"log":"main","size":1,"root":"AAAA","signature":""}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		disk := feedtest.NewDisk()
		disk.Put("newest", append([]byte{}, text...))
		r, err := feed.Open(c.Replica.Root(), feed.Config{Files: disk})
		if err != nil {
			return
		}
		defer r.Close()
		if e, err := r.AddNotes(c.Replica.Notes()); err == nil && len(e.Logs()) > feed.MaxLogs {
			t.Errorf("got %d logs", len(e.Logs()))
		}
	})
}

// An epoch that a higher one replaced is in memory no longer than players need it; what disk has can be read as before.
func TestOlderEpochsGiveTheirMemoryBack(t *testing.T) {
	const n, size = 300, 60 << 10
	for name, files := range map[string]feed.Files{"memory": nil, "disk": feedtest.NewDisk()} {
		synctest.Test(t, func(t *testing.T) {
			c := feedtest.NewChannel(t, feed.Config{Files: files}, 1)
			for range n / 10 {
				c.Append(t, 10, size)
				if err := c.Replica.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			old := c.Log.Log()
			time.Sleep(time.Minute)
			if got := old.Memory(); got < n*size {
				t.Errorf("%s: got %d bytes in memory of the current epoch, want all %d", name, got, n*size)
			}
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if got := old.Memory(); got > 5<<20 || files != nil && got > 100<<10 {
				t.Errorf("%s: got %d bytes in memory of the older epoch", name, got)
			}
			if _, err := old.Block(n - 1); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := old.Block(0); (err == nil) != (files != nil) {
				t.Errorf("%s: block 0: got %v", name, err)
			}
		})
	}
}

// A thief of a station key can use up the numbers of his generation, not those of the next.
func TestNextGenerationCountsItsOwnNumbers(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	if _, err := feed.NewWriter(feed.WriterConfig{Replica: c.Replica, Station: c.Station, Highest: feed.MaxNumber - 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := feed.NewWriter(feed.WriterConfig{Replica: c.Replica, Station: c.Station}); err == nil {
		t.Error("got an epoch above the highest number")
	}
	if _, err := feed.NextGeneration(c.Station); err != nil {
		t.Fatal(err)
	}
	w, err := feed.NewWriter(feed.WriterConfig{Replica: c.Replica, Station: c.Station, Highest: feed.MaxNumber})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Epoch().Note(); got.Generation != 2 || got.Number > 1<<44 {
		t.Errorf("got epoch (%d, %d), want the time in generation 2", got.Generation, got.Number)
	}
}

// An epoch that is held expires with its note, and lives on with a renewed one; a streamer that starts renews it.
func TestEpochExpires(t *testing.T) {
	ahead := time.Duration(0)
	now := func() time.Time { return time.Now().Add(ahead) }
	c := feedtest.NewChannel(t, feed.Config{Now: now}, 1)
	old := c.Writer.Epoch()
	if old.Expired(now()) {
		t.Error("a new epoch has expired")
	}
	ahead = 91 * 24 * time.Hour
	if !old.Expired(now()) {
		t.Error("the epoch has not expired after 91 days")
	}
	if err := c.Restart(1); err != nil {
		t.Fatal(err)
	}
	if c.Writer.Epoch().Expired(now()) {
		t.Error("the note was not renewed for the next epoch")
	}
}

// What a killed process left of files it was about to write is removed.
func TestTemporaryFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	c := feedtest.NewChannel(t, feed.Config{Dir: dir}, 1)
	c.Append(t, 1, 10)
	if err := c.Replica.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "epochs", "*", feedtest.Rendition))
	if err != nil || len(logs) != 1 {
		t.Fatalf("got %q, %v, want one log", logs, err)
	}
	left := []string{filepath.Join(dir, ".newest.12"), filepath.Join(logs[0], ".base.7"), filepath.Join(filepath.Dir(logs[0]), ".epoch.note.9")}
	other := filepath.Join(dir, ".newest.mine")
	for _, name := range append(left, other) {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := feed.Open(c.Station.Root(), feed.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, name := range left {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", name)
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

// TestNoHistoryKeepsOnlyTheMemory of the highest epoch: no block reaches the disk, and an older epoch is refused after a restart.
func TestNoHistoryKeepsOnlyTheMemory(t *testing.T) {
	dir := t.TempDir()
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	old := c.Replica.Notes()
	if err := c.Restart(1); err != nil {
		t.Fatal(err)
	}
	viewer, log := c.Viewer(t, feed.Config{Dir: dir, NoHistory: true}, feedtest.Rendition)
	c.Append(t, 50, 1000)
	for i := range uint64(50) {
		if err := feedtest.Copy(c.Log.Log(), log, i); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := log.Block(49); err != nil || len(b.Payload) != 1000 {
		t.Errorf("newest block: got %d bytes and %v, want it from memory", len(b.Payload), err)
	}
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "epochs")); err == nil && len(entries) > 0 {
		t.Errorf("folders of epochs on disk: got %d, want none", len(entries))
	}
	again, err := feed.Open(c.Replica.Root(), feed.Config{Dir: dir, NoHistory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.AddNotes(old); !errors.Is(err, feed.ErrOlderEpoch) {
		t.Errorf("notes of an older epoch after a restart: got %v, want ErrOlderEpoch", err)
	}
}
