package feed_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// long returns a log of n records of a streamer whose memory holds few of them, and its disk.
func long(t testing.TB, n int) (*feedtest.Channel, *feedtest.Disk) {
	t.Helper()
	disk := feedtest.NewDisk()
	c := feedtest.NewChannel(t, feed.Config{Files: disk, TailBytes: 1 << 20}, 1)
	for i := 0; i < n; i += 500 {
		c.Append(t, min(500, n-i), 1)
		if err := c.Replica.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return c, disk
}

// oracle holds all hashes of a log as sumdb/tlog stores them.
type oracle []tlog.Hash

func (o *oracle) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for k, i := range indexes {
		hashes[k] = (*o)[i]
	}
	return hashes, nil
}

func newOracle(t testing.TB, l *feed.Log) *oracle {
	t.Helper()
	o := new(oracle)
	for i := range l.Head().Size {
		b, err := l.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		more, err := tlog.StoredHashes(int64(i), b.Record.Append(nil), o)
		if err != nil {
			t.Fatal(err)
		}
		*o = append(*o, more...)
	}
	return o
}

// cover is cover(a, b) by sumdb/tlog: the stored hash of each subtree.
func (o *oracle) cover(t testing.TB, a, b uint64) []merkle.Hash {
	t.Helper()
	hashes, err := merkle.Cover(a, b, func(height int, index uint64) (merkle.Hash, error) {
		return merkle.Hash((*o)[tlog.StoredHashIndex(height, int64(index))]), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

// Covers from memory and disk are those of sumdb/tlog, and prove what they should to somebody who knows the signed head.
func TestCover(t *testing.T) {
	feed.Alone(t)
	const n = 3*feed.ChunkRows + 777
	c, disk := long(t, n)
	written := c.Log.Log()
	o := newOracle(t, written)
	_, read := reopen(t, c, disk)
	edges := []uint64{0, 1, 2, 1000, 4095, 4096, 4097, 6000, 8191, 8192, 8193, 12287, 12288, 12300, n - 64, n - 1, n}
	for _, l := range []*feed.Log{written, read} {
		for i, a := range edges {
			for _, b := range edges[i:] {
				got, err := l.Cover(a, b)
				if err != nil {
					t.Fatalf("Cover(%d, %d): %v", a, b, err)
				}
				if want := o.cover(t, a, b); !slices.Equal(got, want) {
					t.Errorf("Cover(%d, %d): not the hashes of sumdb/tlog", a, b)
				}
			}
		}
	}
}

// epochFolder is where an epoch is on disk (docs/feed.md, section 13).
func epochFolder(e *feed.Epoch) string {
	n := e.Note()
	return fmt.Sprintf("epochs/%d-%d-%v", n.Generation, n.Number, e.ID())
}

// reopen opens the disk of a channel to be read.
func reopen(t testing.TB, c *feedtest.Channel, disk feed.Files) (*feed.Replica, *feed.Log) {
	t.Helper()
	return reopenAs(t, c, feed.Config{Files: disk, ReadOnly: true})
}

func reopenAs(t testing.TB, c *feedtest.Channel, cfg feed.Config) (*feed.Replica, *feed.Log) {
	t.Helper()
	r, err := feed.Open(c.Replica.Root(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	e, err := r.OpenEpoch(c.Writer.Epoch().ID())
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	return r, l
}

// Any range is proved by the head at its own end, and by each later one.
func TestRangeProof(t *testing.T) {
	c, disk := long(t, feed.ChunkRows+300)
	_, l := reopen(t, c, disk)
	for _, r := range []feed.Range{{From: 0, To: 1}, {From: 17, To: 90}, {From: 4000, To: 4200}, {From: 4096, To: 4096}} {
		before, err := l.Frontier(r.From)
		if err != nil {
			t.Fatal(err)
		}
		var leaves []merkle.Hash
		head := feed.Head{}
		after := before
		for i := r.From; i < r.To; i++ {
			b, err := l.Block(i)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, b.Record.Leaf())
			after.Append(b.Record.Leaf())
			head = feed.Head{Size: i + 1, Root: after.Root(), Signature: b.Signature}
		}
		if len(leaves) > 0 && !head.Verify(l.Epoch().Note().Key, l.Origin()) {
			t.Errorf("[%d, %d): the head at its end is not signed", r.From, r.To)
		}
		for _, n := range []uint64{r.To, 4200, l.Head().Size} {
			cover, err := l.Cover(r.To, n)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := l.Frontier(n)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := merkle.Verify(r.From, before.Peaks(), leaves, n, cover, whole.Root()); err != nil {
				t.Errorf("[%d, %d) by the head of size %d: %v", r.From, r.To, n, err)
			}
		}
	}
}

// A hash that rotted does not make a wrong cover.
func TestCoverOfARottenDisk(t *testing.T) {
	feed.Alone(t)
	c, disk := long(t, 2*feed.ChunkRows+100)
	o := newOracle(t, c.Log.Log())
	dir := epochFolder(c.Writer.Epoch()) + "/" + feedtest.Rendition
	for _, damage := range []struct {
		file string
		at   int64
	}{{"/records", 100*feed.RowSize + 9}, {"/nodes", 32 * (2*64 + 63)}, {"/nodes", 32 * 127}, {"/peaks", 1024 + 3}, {"/peaks", 2048 + 3}} {
		rotten := disk.Copy()
		if !rotten.Corrupt(dir+damage.file, damage.at, 4) {
			t.Fatalf("%s has no byte %d", damage.file, damage.at)
		}
		_, l := reopen(t, c, rotten)
		for _, r := range []feed.Range{{From: 0, To: 4096}, {From: 50, To: 4096}, {From: 4096, To: 8192}, {From: 0, To: 8192}, {From: 1, To: 8200}} {
			got, err := l.Cover(r.From, r.To)
			if err == nil && !slices.Equal(got, o.cover(t, r.From, r.To)) || err != nil && !errors.Is(err, feed.ErrNotHeld) {
				t.Errorf("%s rotten at %d: Cover(%d, %d) gives %v, not the right hashes or ErrNotHeld", damage.file, damage.at, r.From, r.To, err)
			}
		}
	}
}

// Right children above the chunks are stored nowhere: they are made of their left half, which is, and of the rows of a chunk.
func TestCoverOfRightChildren(t *testing.T) {
	const n, from = 4*feed.ChunkRows + 100, 2 * feed.ChunkRows
	s := feedtest.NewSynthetic(t, n, from)
	r, err := feed.Open(s.Root, feed.Config{Files: s, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Current().Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.Frontier(from)
	if err != nil {
		t.Fatal(err)
	}
	cover, err := l.Cover(from, n)
	if err != nil {
		t.Fatal(err)
	}
	head := l.Head()
	if _, err := merkle.Verify(from, before.Peaks(), nil, n, cover, head.Root); err != nil || head.Size != n || !head.Verify(l.Epoch().Note().Key, l.Origin()) {
		t.Errorf("Cover(%d, %d) does not lead to the signed head of size %d: %v", from, n, head.Size, err)
	}
}
