package feed_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// smallFiles is a size of payload files of which a test fills many: 128 payloads of a longLog.
const smallFiles = 1024

// openSmall is open with small payload files and, unless cfg says otherwise, a tail that holds nothing but the newest block.
func (s *longLog) openSmall(t testing.TB, files feed.Files, cfg feed.Config) (*feed.Replica, *feed.Log) {
	t.Helper()
	cfg.Files, cfg.TailBytes = files, cmp.Or(cfg.TailBytes, 1)
	viewer, err := feed.Open(s.station.Root(), feed.WithPayloadFiles(cfg, smallFiles))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { viewer.Close() })
	e, err := viewer.AddNotes(s.notes)
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	return viewer, l
}

// payloadFiles returns the names of the payload files of a log, in order.
func payloadFiles(disk *feedtest.Disk, log string) (names []string) {
	for _, name := range disk.Names() {
		if strings.Contains(name, "/"+log+"/payload/") {
			names = append(names, name)
		}
	}
	return names
}

// What retention removed, in this run or an earlier one, is known to be gone: it is not offered, not missed, and its records stay. A
// file that is missing in the middle is a hole like any other.
func TestRemovedPayloadsAreAnnounced(t *testing.T) {
	const n, file = 500, smallFiles / 8
	signer := newLongLog(t)
	whole := feedtest.NewDisk()
	viewer, log := signer.openSmall(t, whole, feed.Config{})
	signer.putSlowly(t, viewer, log, n, func(uint64) bool { return true })
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		removed []int // files
		base    uint64
		pruned  feed.Range
		missing []feed.Range
	}{
		{name: "nothing"},
		{name: "the oldest", removed: []int{0}, base: file, pruned: feed.Range{To: file}},
		{name: "the two oldest", removed: []int{0, 1}, base: 2 * file, pruned: feed.Range{To: 2 * file}},
		{name: "one in the middle", removed: []int{1}, missing: []feed.Range{{From: file, To: 2 * file}}},
		{name: "the oldest and one in the middle", removed: []int{0, 2}, base: file, pruned: feed.Range{To: file}, missing: []feed.Range{{From: 2 * file, To: 3 * file}}},
		{name: "all", removed: []int{0, 1, 2, 3}, base: n, pruned: feed.Range{To: n}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := whole.Copy()
			names := payloadFiles(disk, feedtest.Rendition)
			for _, k := range c.removed {
				disk.Put(names[k], nil)
			}
			viewer, log := signer.openSmall(t, disk, feed.Config{})
			if got := log.Base(); got != c.base || log.Head().Size != n {
				t.Errorf("got base %d of %d, want %d of %d", got, log.Head().Size, c.base, n)
			}
			if got := log.Missing(0, n, 10); !slices.Equal(got, c.missing) {
				t.Errorf("got %v missing, want %v", got, c.missing)
			}
			signer.checkRemoved(t, log, n, c.pruned, c.missing)
			signer.put(t, log, n, func(i uint64) bool { return i%50 == 1 }) // a peer sends some of it again
			if err := viewer.Sync(context.Background()); err != nil {
				t.Fatal(err)
			}
			for _, r := range c.missing {
				if i := r.From + 51 - r.From%50; !log.Has(i) {
					t.Errorf("block %d, which was missing, came and is not held", i)
				}
			}
			if got := log.Base(); got != c.base {
				t.Errorf("got base %d after pruned blocks came again, want %d", got, c.base)
			}
		})
	}
}

// checkRemoved checks what a log says about each block: pruned, missing, or there.
func (s *longLog) checkRemoved(t *testing.T, log *feed.Log, n uint64, pruned feed.Range, missing []feed.Range) {
	t.Helper()
	for i := range n {
		_, err := log.Block(i)
		gone := pruned.From <= i && i < pruned.To
		hole := slices.ContainsFunc(missing, func(r feed.Range) bool { return r.From <= i && i < r.To })
		got := fmt.Sprint(log.Has(i), errors.Is(err, feed.ErrNotHeld), errors.Is(err, feed.ErrPruned))
		if want := fmt.Sprint(!gone && !hole, gone || hole, gone); got != want {
			t.Fatalf("block %d: got held, not held, pruned = %s, want %s (%v)", i, got, want, err)
		}
		want, _ := s.record(i)
		if b, err := log.Record(i); err != nil || b.Record != want || b.Payload != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

// used returns how many bytes the payload files of a log hold on disk.
func used(t *testing.T, disk *feedtest.Disk, log string) (bytes int64) {
	t.Helper()
	for _, name := range payloadFiles(disk, log) {
		data, err := disk.ReadFile(name, smallFiles)
		if err != nil {
			t.Fatal(err)
		}
		bytes += int64(len(data))
	}
	return bytes
}

// A window of bytes holds a log to so many, whatever was aired; the records stay, across restarts, and so does the catalog.
func TestWindowInBytes(t *testing.T) {
	const window = 4 * smallFiles
	synctest.Test(t, func(t *testing.T) {
		disk := feedtest.NewDisk()
		cfg := feed.WithPayloadFiles(feed.Config{Files: disk, TailBytes: 1, Retention: feed.Retention{Bytes: window}}, smallFiles)
		c := feedtest.Broadcast(t, newStation(t), cfg, 1)
		for range 40 {
			c.Append(t, 10, 60)
			time.Sleep(time.Second)
			if got := used(t, disk, feedtest.Rendition); got > window+600 {
				t.Fatalf("%d bytes are on disk, want about %d at most", got, window)
			}
		}
		log := c.Log.Log()
		if got := used(t, disk, feedtest.Rendition); got < window-smallFiles-600 {
			t.Errorf("%d bytes are on disk, want more than %d", got, window-smallFiles-600)
		}
		kept := c.Replica.Stored()
		if first, err := log.Block(log.Base()); err != nil || kept.From.UnixMicro() != first.Record.Wall {
			t.Errorf("kept from %v, but the first block of %d is of %v: %v", kept.From, log.Base(), first.Record.Wall, err)
		}
		if want := used(t, disk, feedtest.Rendition) + used(t, disk, feed.CatalogLog); kept.Bytes != want {
			t.Errorf("got %d bytes kept, want %d", kept.Bytes, want)
		}
		size, base := log.Head().Size, log.Base()
		if err := c.Replica.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := feed.Open(c.Station.Root(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		log, err = again.Current().Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		if log.Head().Size != size || log.Base() != base {
			t.Errorf("after a restart: got [%d, %d), want [%d, %d)", log.Base(), log.Head().Size, base, size)
		}
		for i := range size {
			if _, err := log.Record(i); err != nil {
				t.Errorf("record %d of a pruned log: %v", i, err)
			}
			if _, err := log.Block(i); errors.Is(err, feed.ErrPruned) != (i < base) {
				t.Errorf("block %d of [%d, %d): %v", i, base, size, err)
			}
		}
		catalog, err := again.Current().Log(feed.CatalogLog)
		if err != nil || catalog.Base() != 0 {
			t.Errorf("the catalog begins at %d: %v, want 0", catalog.Base(), err)
		}
	})
}

// A window that changes while the channel is on air holds from then on: a smaller one at once, though nothing new comes.
func TestWindowChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := feedtest.NewDisk()
		cfg := feed.WithPayloadFiles(feed.Config{Files: disk, TailBytes: 1, Retention: feed.Retention{Bytes: 8 * smallFiles}}, smallFiles)
		c := feedtest.Broadcast(t, newStation(t), cfg, 1)
		air := func(seconds int) {
			for range seconds {
				c.Append(t, 10, 60)
				time.Sleep(time.Second)
			}
		}
		expect := func(window int64) {
			t.Helper()
			if got := used(t, disk, feedtest.Rendition); got > window+600 || got < window-smallFiles-600 {
				t.Errorf("%d bytes are on disk, want about %d", got, window)
			}
		}
		air(20)
		expect(8 * smallFiles)
		c.Replica.SetRetention(feed.Retention{Bytes: 3 * smallFiles})
		synctest.Wait()
		expect(3 * smallFiles)
		c.Replica.SetRetention(feed.Retention{Bytes: 6 * smallFiles})
		air(20)
		expect(6 * smallFiles)
	})
}

// A window of time goes by the clock of the channel. What left is gone for everybody, also for peers who have it still.
func TestWindowInTime(t *testing.T) {
	const n, window, file = 2000, 600 * time.Microsecond, smallFiles / 8
	signer := newLongLog(t)
	disk := feedtest.NewDisk()
	viewer, log := signer.openSmall(t, disk, feed.Config{Retention: feed.Retention{For: window}, TailBytes: 500 << 10})
	signer.putSlowly(t, viewer, log, n, func(i uint64) bool { return i < 700 || i > 1100 }) // and a hole
	// Record i was signed at microsecond i: the last record of a file that stays is at most a window older than the newest.
	first := uint64(n-1-window.Microseconds()) / file * file
	if got := log.Base(); got != first {
		t.Errorf("got base %d, want %d", got, first)
	}
	if got := log.Missing(0, n, 9); got != nil {
		t.Errorf("got %v missing, want nothing: what retention removed is not to be fetched again", got)
	}
	signer.put(t, log, n, func(i uint64) bool { return 800 < i && i < 810 }) // somebody sends it all the same
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	if names := payloadFiles(disk, feedtest.Rendition); len(names) != int((n+file-1)/file-first/file) {
		t.Errorf("got files %q, want those from block %d on", names, first)
	}
	// A longer window does not bring back what has left; and nothing leaves while no newer record comes.
	viewer, log = signer.openSmall(t, disk, feed.Config{Retention: feed.Retention{For: 2 * window}})
	if err := viewer.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := log.Base(); got != first {
		t.Errorf("after a restart: got base %d, want %d", got, first)
	}
}

// Epochs that are not held in memory any more lose their payloads first, in their order, and their records last for ever.
func TestWindowAcrossEpochs(t *testing.T) {
	const window = 6 * smallFiles
	synctest.Test(t, func(t *testing.T) {
		disk := feedtest.NewDisk()
		station := newStation(t)
		open := func(keep feed.Retention) *feedtest.Channel {
			cfg := feed.WithPayloadFiles(feed.Config{Files: disk, Retention: keep}, smallFiles)
			return feedtest.Broadcast(t, station, cfg, 1)
		}
		var c *feedtest.Channel
		for range 7 {
			c = open(feed.Retention{})
			c.Append(t, 50, 60)
			time.Sleep(time.Minute)
			if err := c.Replica.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := used(t, disk, feedtest.Rendition), int64(7*3000); got != want {
			t.Fatalf("without a window %d bytes are on disk, want all %d", got, want)
		}
		catalogs := used(t, disk, feed.CatalogLog)
		c = open(feed.Retention{Bytes: window})
		c.Append(t, 50, 60)
		time.Sleep(2 * time.Second)
		if got := c.Replica.Stored().Bytes; got > window || got < window-2*smallFiles {
			t.Errorf("got %d bytes kept, want about %d", got, window)
		}
		if got, want := used(t, disk, feedtest.Rendition)+used(t, disk, feed.CatalogLog), c.Replica.Stored().Bytes; got != want {
			t.Errorf("got %d bytes on disk, and Stored says %d", got, want)
		}
		if got := used(t, disk, feed.CatalogLog); got < catalogs {
			t.Errorf("catalogs have %d bytes, and had %d", got, catalogs)
		}
		epochs := make(map[string]int) // files left
		for _, name := range payloadFiles(disk, feedtest.Rendition) {
			epochs[strings.Split(name, "/")[1]]++
		}
		if len(epochs) != 2 {
			t.Errorf("got payloads of epochs %v, want the newest and a part of the one before", epochs)
		}
		// For a while more: the newest stays, however small the window.
		for range 4 {
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
			c.Append(t, 20, 60)
			time.Sleep(20 * time.Second)
		}
		if err := c.Replica.Close(); err != nil {
			t.Fatal(err)
		}
		open(feed.Retention{Bytes: 1})
		time.Sleep(2 * time.Second)
		if got := len(payloadFiles(disk, feedtest.Rendition)); got != 1 {
			t.Errorf("got %d payload files, want the newest one", got)
		}
	})
}
