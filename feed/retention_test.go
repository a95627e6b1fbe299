package feed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// smallFiles is a size of payload files of which a test fills many: 128 payloads of a longLog.
const smallFiles = 1024

// openSmall is open with small payload files and a tail that holds nothing but the newest block.
func (s *longLog) openSmall(t testing.TB, files feed.Files, cfg feed.Config) (*feed.Replica, *feed.Log) {
	t.Helper()
	cfg.Files, cfg.TailBytes = files, 1
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
