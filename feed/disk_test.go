package feed_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

func TestOperatingSystemIsFiles(t *testing.T) {
	feedtest.TestFiles(t, func(t *testing.T) feed.Files { return feed.OSFiles(t.TempDir()) })
}

// A longLog signs a log of many records without the cost of a Writer: only the records at the given sizes get their signature.
type longLog struct {
	station *feed.Station
	notes   feed.Notes
	key     ed25519.PrivateKey
	origin  string
}

func newLongLog(t testing.TB) *longLog {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	return &longLog{c.Station, c.Replica.Notes(), c.Writer.Key(), c.Log.Log().Origin()}
}

// record returns record i: segments of 50, payloads of 8 bytes.
func (longLog) record(i uint64) (feed.Record, []byte) {
	payload := feedtest.Payload(i, 8)
	r := feed.Record{
		Kind: feed.Media, Length: 8, Wall: int64(i), Segment: uint32(i / 50), Back: uint32(i % 50),
		Offset: 8 * i, Hash: sha256.Sum256(payload),
	}
	if r.Back == 0 {
		r.Flags = feed.SegmentFirst | feed.RandomAccess
	}
	return r, payload
}

// put signs and puts the records of [0, n) that want holds, and returns the frontier of size n.
func (s *longLog) put(t testing.TB, l *feed.Log, n uint64, want func(i uint64) bool) merkle.Frontier {
	t.Helper()
	var f merkle.Frontier
	for i := range n {
		r, payload := s.record(i)
		before := f
		f.Append(r.Leaf())
		if !want(i) {
			continue
		}
		head := feed.SignHead(s.key, s.origin, i+1, f.Root())
		if _, err := l.Put(feed.Block{Index: i, Record: r, Signature: head.Signature, Payload: payload}, before); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// open opens a viewer with that disk, and its log. The tail holds a few blocks only, so that the rest must come from disk.
func (s *longLog) open(t testing.TB, disk feed.Files) (*feed.Replica, *feed.Log) {
	t.Helper()
	viewer, err := feed.Open(s.station.Root(), feed.Config{Files: disk, TailBytes: 1 << 20})
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

// Whatever is held can be proved from disk: across chunks, from a base above 0, behind holes, before and after a restart.
func TestEveryBlockOnDiskCanBeProved(t *testing.T) {
	feed.Alone(t)
	const one, two = feed.ChunkRows, 2 * feed.ChunkRows
	signer := newLongLog(t)
	for _, c := range []struct {
		name string
		n    uint64
		want func(i uint64) bool
		base uint64
	}{
		{"all", one + 200, func(uint64) bool { return true }, 0},
		{"joined in the second chunk", two + 100, func(i uint64) bool { return i >= 7000 }, 7000},
		{"joined in the third chunk", two + 700, func(i uint64) bool { return i >= 8500 }, 8500},
		{"joined at a chunk", one + 200, func(i uint64) bool { return i >= one }, one},
		{"one stripe of eight", two + 700, func(i uint64) bool { return i%8 == 3 && i > 3000 }, 3003},
		{"a few holes", one + 200, func(i uint64) bool { return i > 3000 && i%300 != 7 && (i < 4090 || i > 4100) }, 3001},
		{"a long hole", two + 700, func(i uint64) bool { return i < 10 || i > 8700 }, 0},
	} {
		n := c.n
		t.Run(c.name, func(t *testing.T) {
			disk := feedtest.NewDisk()
			viewer, log := signer.open(t, disk)
			signer.putSlowly(t, viewer, log, n, c.want)
			signer.check(t, log, n, c.want)
			if err := viewer.Close(); err != nil {
				t.Fatal(err)
			}
			_, log = signer.open(t, disk)
			if got := log.Head().Size; got != n {
				t.Errorf("after a restart: got size %d, want %d", got, n)
			}
			if got := log.Base(); got != c.base {
				t.Errorf("after a restart: got base %d, want %d", got, c.base)
			}
			signer.check(t, log, n, c.want)
		})
	}
}

// putSlowly waits for the disk often enough that it keeps up.
func (s *longLog) putSlowly(t *testing.T, viewer *feed.Replica, log *feed.Log, n uint64, want func(uint64) bool) {
	s.put(t, log, n, func(i uint64) bool {
		if i%500 == 0 {
			if err := viewer.Sync(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return want(i)
	})
	if err := viewer.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// check reads blocks of [0, n), around the borders of chunks and in samples, and some frontiers: the log verifies each.
func (s *longLog) check(t *testing.T, log *feed.Log, n uint64, want func(uint64) bool) {
	t.Helper()
	bad := 0
	for i := uint64(0); i < n && bad < 10; i++ {
		if log.Has(i) != want(i) {
			t.Errorf("Has(%d): got %v", i, !want(i))
			bad++
		}
		row := i % feed.ChunkRows
		if !want(i) || i%500 > 60 && row > 60 && row < feed.ChunkRows-60 {
			continue
		}
		if b, err := log.Block(i); err != nil || !slices.Equal(b.Payload, feedtest.Payload(i, 8)) {
			t.Errorf("block %d: %v", i, err)
			bad++
		}
		if i%97 != 0 {
			continue
		}
		if _, err := log.Frontier(i); err != nil {
			t.Errorf("frontier %d: %v", i, err)
		}
	}
}

func TestPayloadsCrossFiles(t *testing.T) {
	const limit = 64 << 20
	disk := feedtest.NewDisk()
	signer := newLongLog(t)
	viewer, log := signer.open(t, disk)
	payload := feedtest.Payload(1, feed.MaxPayload)
	r := feed.Record{Kind: feed.Media, Length: feed.MaxPayload, Flags: feed.SegmentFirst, Offset: limit - 100, Hash: sha256.Sum256(payload)}
	// Any frontier will do: the signer can sign what it likes.
	before, err := merkle.NewFrontier(1<<20, []merkle.Hash{{1}})
	if err != nil {
		t.Fatal(err)
	}
	after := before.Clone()
	after.Append(r.Leaf())
	head := feed.SignHead(signer.key, signer.origin, after.Size(), after.Root())
	if _, err := log.Put(feed.Block{Index: 1 << 20, Record: r, Signature: head.Signature, Payload: payload}, before); err != nil {
		t.Fatal(err)
	}
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	_, log = signer.open(t, disk)
	if b, err := log.Block(1 << 20); err != nil || !slices.Equal(b.Payload, payload) {
		t.Errorf("got %v, want the payload that lies in two files", err)
	}
}

// brief makes a disk with n records, and returns the names of the files that hold them.
func (s *longLog) brief(t testing.TB, n uint64) (disk *feedtest.Disk, records, payload string) {
	t.Helper()
	disk = feedtest.NewDisk()
	viewer, log := s.open(t, disk)
	s.put(t, log, n, func(uint64) bool { return true })
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range disk.Names() {
		switch path.Base(name) {
		case "records":
			records = name
		case "00000000000000000000":
			payload = name
		}
	}
	return disk, records, payload
}

// reopen opens what is left on the disk and checks that it is a prefix of what was signed. It returns its size.
func (s *longLog) reopen(t *testing.T, what string, disk *feedtest.Disk) uint64 {
	t.Helper()
	disk.Put("newest", nil) // it remembers heads without rows
	viewer, log := s.open(t, disk)
	defer viewer.Close()
	size := log.Head().Size
	for i := range size {
		want, payload := s.record(i)
		if b, err := log.Block(i); err == nil && (b.Record != want || !slices.Equal(b.Payload, payload)) {
			t.Errorf("%s: block %d is another than the one signed", what, i)
		}
	}
	return size
}

// A tail that was torn at any byte, of rows or of payloads, leaves a shorter log.
func TestTornTailAtEveryByte(t *testing.T) {
	feed.Alone(t)
	const n = 6
	signer := newLongLog(t)
	whole, records, payload := signer.brief(t, n)
	for _, c := range []struct {
		name string
		unit int
	}{{records, feed.RowSize}, {payload, 8}} {
		for cut := range c.unit * n {
			disk := whole.Copy()
			data, err := disk.ReadFile(c.name, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			disk.Put(c.name, data[:cut])
			what := fmt.Sprintf("%s cut at %d", path.Base(c.name), cut)
			if got, want := signer.reopen(t, what, disk), uint64(cut/c.unit); got != want {
				t.Errorf("%s: got size %d, want %d", what, got, want)
			}
		}
	}
}

// A byte that rots anywhere loses blocks, and never gives a wrong one; what the end of the log proves stays.
func TestRotAtEveryByte(t *testing.T) {
	feed.Alone(t)
	const n = 5
	signer := newLongLog(t)
	whole, records, payload := signer.brief(t, n)
	for _, c := range []struct {
		name string
		unit int
	}{{records, feed.RowSize}, {payload, 8}} {
		for at := range c.unit * n {
			disk := whole.Copy()
			if !disk.Corrupt(c.name, int64(at), 0x10) {
				t.Fatalf("%s has no byte %d", c.name, at)
			}
			signer.reopen(t, fmt.Sprintf("%s rotten at %d", path.Base(c.name), at), disk)
		}
	}
}

// A row that turns out rotten counts as missing, and can be fetched and stored again.
func TestRottenBlockIsFetchedAgain(t *testing.T) {
	const n = 2000
	signer := newLongLog(t)
	disk, _, payload := signer.brief(t, n)
	disk.Corrupt(payload, 8*100+3, 1)
	viewer, log := signer.open(t, disk)
	if _, err := log.Block(100); !errors.Is(err, feed.ErrNotHeld) {
		t.Fatalf("got %v, want ErrNotHeld", err)
	}
	if got, want := log.Missing(90, 110, 9), []feed.Range{{From: 100, To: 101}}; !slices.Equal(got, want) {
		t.Errorf("got %v missing, want %v", got, want)
	}
	signer.put(t, log, n, func(i uint64) bool { return i == 100 })
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	_, log = signer.open(t, disk)
	if _, err := log.Block(100); err != nil {
		t.Errorf("stored again: %v", err)
	}
}

// What was synced stays: neither a bit that flips, nor peaks that are gone, nor payloads that were removed make recovery drop rows.
func TestRecoveryKeepsWhatWasSynced(t *testing.T) {
	const n = feed.ChunkRows + 900
	signer := newLongLog(t)
	whole := feedtest.NewDisk()
	viewer, log := signer.open(t, whole)
	signer.putSlowly(t, viewer, log, n, func(uint64) bool { return true })
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string {
		at := slices.IndexFunc(whole.Names(), func(s string) bool { return strings.HasSuffix(s, "/"+feedtest.Rendition+"/"+name) })
		return whole.Names()[at]
	}
	records, peaks, nodes, payload := file("records"), file("peaks"), file("nodes"), file("payload/00000000000000000000")
	flip := func(name string, at int64) func(*feedtest.Disk) {
		return func(d *feedtest.Disk) { d.Corrupt(name, at, 4) }
	}
	for _, c := range []struct {
		name     string
		change   func(*feedtest.Disk)
		bad, end uint64 // the blocks that are lost
	}{
		{"a record", flip(records, (feed.ChunkRows+10)*feed.RowSize+70), feed.ChunkRows + 10, feed.ChunkRows + 64},
		{"a record in an earlier chunk", flip(records, 10*feed.RowSize+70), 10, 64},
		{"a signature", flip(records, (feed.ChunkRows+10)*feed.RowSize+100), feed.ChunkRows + 10, feed.ChunkRows + 11},
		{"no peaks", func(d *feedtest.Disk) { d.Put(peaks, []byte{}) }, 0, 0},
		{"peaks", flip(peaks, 1024+5), 0, 0},
		{"nodes", flip(nodes, 131072+32*64+5), 0, 0},
		{"no nodes", func(d *feedtest.Disk) { d.Put(nodes, nil) }, 0, 0},
		{"no payloads", func(d *feedtest.Disk) { d.Put(payload, nil) }, 0, n},
		{"payloads that end early", func(d *feedtest.Disk) { d.Put(payload, []byte{1}) }, 0, n},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := whole.Copy()
			disk.Put("newest", nil) // it would remember the head
			c.change(disk)
			begin := time.Now()
			viewer, log := signer.open(t, disk)
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("recovery took %v", took)
			}
			if got := log.Head().Size; got != n {
				t.Errorf("got size %d, want %d", got, n)
			}
			for _, i := range []uint64{0, 9, 10, 11, 63, 64, 500, feed.ChunkRows - 1, feed.ChunkRows, feed.ChunkRows + 10, feed.ChunkRows + 11, feed.ChunkRows + 64, n - 1} {
				_, err := log.Block(i)
				if lost := c.bad <= i && i < c.end; lost != errors.Is(err, feed.ErrNotHeld) {
					t.Errorf("block %d: got %v, want lost %v", i, err, lost)
				}
			}
			if err := viewer.Close(); err != nil {
				t.Fatal(err)
			}
			data, err := disk.ReadFile(records, 1<<20)
			if err != nil || len(data) != n*feed.RowSize {
				t.Errorf("records have %d bytes, %v, want all %d rows", len(data), err, n)
			}
		})
	}
}

// Recovery takes the time of a chunk, whatever the length.
func TestRecoveryReadsOneChunk(t *testing.T) {
	const n = 2*feed.ChunkRows + 500
	signer := newLongLog(t)
	disk := feedtest.NewDisk()
	viewer, log := signer.open(t, disk)
	signer.putSlowly(t, viewer, log, n-1, func(i uint64) bool { return i%2 == 0 || i > n-10 })
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, log = signer.open(t, disk)
	if took := time.Since(begin); took > time.Second || log.Head().Size != n-1 {
		t.Errorf("recovery to size %d took %v, want %d in less than a second", log.Head().Size, took, n-1)
	}
}

// What a stranger put into the directory is skipped or refused with a sentence; it never panics, and never yields a wrong block.
func FuzzRecover(f *testing.F) {
	signer := newLongLog(f)
	whole, records, payload := signer.brief(f, 4)
	dir := path.Dir(records)
	read := func(name string) []byte {
		data, err := whole.ReadFile(name, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	f.Add(read(records), read(payload), []byte("0"), []byte{}, []byte{}, read("newest"))
	f.Add(make([]byte, 5000), []byte{}, []byte("4096"), make([]byte, 1024), make([]byte, 300), []byte("{}"))
	f.Add(read(records)[:200], read(payload)[:9], []byte("1"), []byte{1}, []byte{1}, []byte(""))
	f.Fuzz(func(t *testing.T, rows, bytes, base, peaks, nodes, newest []byte) {
		disk := whole.Copy()
		for name, data := range map[string][]byte{
			records: rows, payload: bytes, dir + "/base": base, dir + "/peaks": peaks, dir + "/nodes": nodes, "newest": newest,
		} {
			disk.Put(name, append([]byte{}, data...))
		}
		viewer, err := feed.Open(signer.station.Root(), feed.Config{Files: disk})
		if err != nil {
			return
		}
		defer viewer.Close()
		e := viewer.Current()
		if e == nil {
			return
		}
		l, err := e.Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		for i := l.Base(); i < min(l.Head().Size, l.Base()+10); i++ {
			want, _ := signer.record(i)
			if b, err := l.Block(i); err == nil && b.Record != want {
				t.Errorf("block %d is another than the one signed", i)
			}
		}
	})
}

// Folders and notes of any name and content are skipped, with a warning.
func FuzzEpochFolder(f *testing.F) {
	signer := newLongLog(f)
	whole, records, _ := signer.brief(f, 1)
	folder := path.Base(path.Dir(path.Dir(records)))
	f.Add(folder, signer.notes.Channel, signer.notes.Epoch)
	f.Add("1-2-aaaaaaaaaaaaaaaa", []byte("x"), signer.notes.Epoch)
	f.Add("lost+found", []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, name string, channel, epoch []byte) {
		disk := whole.Copy()
		disk.Put("epochs/"+name+"/channel.note", append([]byte{}, channel...))
		disk.Put("epochs/"+name+"/epoch.note", append([]byte{}, epoch...))
		viewer, err := feed.Open(signer.station.Root(), feed.Config{Files: disk})
		if err != nil {
			t.Fatal(err)
		}
		defer viewer.Close()
		if len(viewer.Epochs()) > 1 {
			t.Error("an epoch that nobody signed was taken in")
		}
	})
}
