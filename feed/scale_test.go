package feed_test

import (
	"context"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
	"tailcast/internal/cpu"
)

// lengths are how many records the logs have between which nothing may grow.
var lengths = []uint64{1e4, 1e6, 1e8}

func length(n uint64) string { return fmt.Sprintf("1e%d", len(fmt.Sprint(n))-1) }

// somewhere returns the first record of a segment in a log, in the middle of a chunk: what comes before it there must be hashed.
func somewhere(n uint64) uint64 {
	middle := n/3/feed.ChunkRows*feed.ChunkRows + feed.ChunkRows/2
	return middle / feedtest.SyntheticSegment * feedtest.SyntheticSegment
}

// synthetic opens a log of n records to be read, with a segment at the beginning and one in the middle that can be proved.
func synthetic(t testing.TB, n uint64) (*feed.Replica, *feed.Log, *meter) {
	t.Helper()
	m := &meter{Files: feedtest.NewSynthetic(t, n, 0, somewhere(n))}
	r, err := feed.Open(m.Files.(*feedtest.Synthetic).Root, feed.Config{Files: m, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	l, err := r.Current().Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Head().Size; got != n {
		t.Fatalf("got size %d, want %d", got, n)
	}
	return r, l, m
}

// A meter counts what is read.
type meter struct {
	feed.Files
	reads, bytes atomic.Int64
}

func (m *meter) Open(name string, create bool) (feed.File, error) {
	f, err := m.Files.Open(name, create)
	if err != nil {
		return nil, err
	}
	return meteredFile{f, m}, nil
}

type meteredFile struct {
	feed.File
	meter *meter
}

func (f meteredFile) ReadAt(p []byte, at int64) (int, error) {
	f.meter.reads.Add(1)
	f.meter.bytes.Add(int64(len(p)))
	return f.File.ReadAt(p, at)
}

// A lookup finds the segment somewhere in the log.
type lookup struct {
	name string
	find func(r *feed.Replica, l *feed.Log, i uint64) (uint64, error)
}

func wall(i uint64) time.Time {
	return feedtest.SyntheticStart.Add(time.Duration(i) * feedtest.SyntheticStep)
}

var lookups = []lookup{
	{"time", func(_ *feed.Replica, l *feed.Log, i uint64) (uint64, error) {
		b, err := l.OnAir(wall(i + 30))
		return b.Index, err
	}},
	{"offset", func(_ *feed.Replica, l *feed.Log, i uint64) (uint64, error) {
		b, err := l.AtOffset(feedtest.SyntheticPayload*(i+30) + 3)
		return b.Index - 30, err
	}},
	{"index", func(_ *feed.Replica, l *feed.Log, i uint64) (uint64, error) {
		b, err := l.Block(i)
		return b.Index, err
	}},
	{"media", func(_ *feed.Replica, l *feed.Log, i uint64) (uint64, error) {
		b, err := l.AtMedia(i, 0)
		return b.Index, err
	}},
	{"reader", func(r *feed.Replica, _ *feed.Log, i uint64) (uint64, error) {
		rd, err := r.OpenAt(feedtest.Rendition, wall(i+30), 0)
		if err != nil {
			return 0, err
		}
		item, err := rd.Next(context.Background())
		return item.Block.Index, err
	}},
}

// A lookup reads a few rows for each doubling of the log, and at most 64 for each that it proves; it keeps nothing.
func TestLookupsAreFlat(t *testing.T) {
	feed.Alone(t)
	for _, n := range lengths {
		r, l, m := synthetic(t, n)
		i := somewhere(n)
		for _, c := range lookups {
			reads, bytes := m.reads.Load(), m.bytes.Load()
			if got, err := c.find(r, l, i); err != nil || got != i {
				t.Errorf("%s at %d records: got %d, %v, want %d", c.name, n, got, err, i)
			}
			reads, bytes = m.reads.Load()-reads, m.bytes.Load()-bytes
			if most := int64(4*bits.Len64(n) + 200); reads > most || bytes > 128<<10 {
				t.Errorf("%s at %d records: %d reads of %d bytes together, want at most %d and 128 KiB", c.name, n, reads, bytes, most)
			}
		}
		before := heap()
		for range 20 {
			for _, c := range lookups {
				if _, err := c.find(r, l, i); err != nil {
					t.Fatal(err)
				}
			}
		}
		if grown := heap() - before; grown > 64<<10 {
			t.Errorf("at %d records: 100 lookups left %d bytes in memory", n, grown)
		}
		runtime.KeepAlive(r)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one made free of finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkLookup is a lookup in a log whose rows come from memory: what we add to the disk. It must not grow from 10^4 to 10^8 records.
func BenchmarkLookup(b *testing.B) {
	for _, c := range lookups {
		for _, n := range lengths {
			b.Run(c.name+"/"+length(n), func(b *testing.B) {
				r, l, m := synthetic(b, n)
				i := somewhere(n)
				if _, err := c.find(r, l, i); err != nil { // the rows are computed when they are read first
					b.Fatal(err)
				}
				reads := m.reads.Load()
				b.ReportAllocs()
				start := cpu.Used()
				b.ResetTimer()
				for range b.N {
					if got, err := c.find(r, l, i); err != nil || got != i {
						b.Fatalf("got %d, %v, want %d", got, err, i)
					}
				}
				b.ReportMetric(float64((cpu.Used()-start).Microseconds())/float64(b.N), "cpu-us/lookup")
				b.ReportMetric(float64(m.reads.Load()-reads)/float64(b.N), "reads/lookup")
			})
		}
	}
}

// writerAt returns a writer of a log that has n records already, on the disk of the operating system, where those are a hole.
func writerAt(t testing.TB, n uint64) (*feed.LogWriter, *feed.Replica) {
	t.Helper()
	s := feedtest.NewSynthetic(t, 1)
	dir := t.TempDir()
	records := filepath.Join(dir, filepath.FromSlash(s.Log), "records")
	if err := os.MkdirAll(filepath.Dir(records), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int64{"records": int64(n) * feed.RowSize, "peaks": int64(n/feed.ChunkRows) * 1024} {
		path := filepath.Join(filepath.Dir(records), name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	r, err := feed.Open(s.Root, feed.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	e, err := r.AddNotes(s.Notes)
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	peaks := make([]merkle.Hash, merkle.PeakCount(n))
	for k := range peaks {
		peaks[k][0] = byte(k + 1)
	}
	edge, err := merkle.NewFrontier(n, peaks)
	if err != nil {
		t.Fatal(err)
	}
	prev, _ := s.Record(n - 1)
	prev.Wall = 0
	return feed.WriterAt(l, s.Key, edge, prev), r
}

// Appending allocates as little at 10^8 records as at 10^4.
func TestAppendIsFlat(t *testing.T) {
	for _, n := range lengths {
		w, _ := writerAt(t, n)
		payload := feedtest.Payload(1, 1000)
		appendOne := func() {
			if _, err := w.Append(feed.Entry{Kind: feed.Media, Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
		for range 200 {
			appendOne()
		}
		if got := testing.AllocsPerRun(200, appendOne); got > 8 {
			t.Errorf("at %d records: %v allocations for an append, want at most 8", n, got)
		}
		if got := w.Log().Head().Size; got != n+401 {
			t.Errorf("got size %d, want %d", got, n+401)
		}
	}
}

// BenchmarkAppendAt is BenchmarkAppend to a log that has so many records already, with the file write. It must not grow from 10^4 to 10^8.
func BenchmarkAppendAt(b *testing.B) {
	for _, n := range lengths {
		b.Run(length(n), func(b *testing.B) {
			w, r := writerAt(b, n)
			payload := feedtest.Payload(1, 8<<10)
			b.ReportAllocs()
			start := cpu.Used()
			b.ResetTimer()
			for k := range b.N {
				e := feed.Entry{Kind: feed.Media, Payload: payload}
				if k%60 == 0 {
					e.Flags = feed.SegmentFirst
				}
				if _, err := w.Append(e); err != nil {
					b.Fatal(err)
				}
				if k%500 == 499 {
					if err := r.Sync(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.StopTimer()
			b.ReportMetric(float64((cpu.Used()-start).Microseconds())/float64(b.N), "cpu-us/block")
		})
	}
}

// worst returns the index below n before which the most peaks are: that of the longest proof.
func worst(n uint64) uint64 { return 1<<(bits.Len64(n)-1) - 1 }

// joinProof joins a log of n records with a block and what proves it, and nothing else but the notes: one request, one answer. It returns how
// many bytes prove it besides the record.
func joinProof(t testing.TB, n uint64) int {
	t.Helper()
	i := worst(n)
	s := feedtest.NewSynthetic(t, n, i)
	r, err := feed.Open(s.Root, feed.Config{Files: s, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := r.Current().Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	b, f, err := feedtest.Take(l, i)
	if err != nil {
		t.Fatal(err)
	}
	viewer, err := feed.Open(s.Root, feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer viewer.Close()
	e, err := viewer.AddNotes(s.Notes)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := e.Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := joined.Put(b, f); !fresh || err != nil {
		t.Fatalf("block %d alone is not enough to join: %v", i, err)
	}
	return len(f.Peaks())*merkle.HashSize + feed.SignatureSize
}

// The longest proof by which one can join a log of up to so many records.
func TestJoinProof(t *testing.T) {
	for n, most := range map[uint64]int{1e6: 700, 1e8: 900} {
		if got := joinProof(t, n); got > most {
			t.Errorf("at %d records: %d bytes, want at most %d", n, got, most)
		}
	}
}

func BenchmarkJoinProof(b *testing.B) {
	for _, n := range []uint64{1e6, 1e8} {
		b.Run(length(n), func(b *testing.B) {
			var got int
			for range b.N {
				got = joinProof(b, n)
			}
			b.ReportMetric(float64(got), "B")
		})
	}
}
