package feed_test

import (
	"context"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
	"tailcast/internal/cpu"
)

// A stream is blocks with what proves them, made before the clock starts.
type stream struct {
	blocks    []feed.Block
	frontiers []merkle.Frontier
}

func newStream(t testing.TB, n, size int) (*feedtest.Channel, stream) {
	t.Helper()
	c := feedtest.NewChannel(t, feed.Config{TailBytes: 1 << 30}, 1)
	var s stream
	for len(s.blocks) < n {
		for _, b := range c.Append(t, 60, size) {
			f, err := c.Log.Log().Frontier(b.Index)
			if err != nil {
				t.Fatal(err)
			}
			s.blocks, s.frontiers = append(s.blocks, b), append(s.frontiers, f)
		}
	}
	return c, s
}

// Following allocates nothing: the payload is the reader's buffer, slots are used again.
func TestPutDoesNotAllocate(t *testing.T) {
	c, s := newStream(t, 1000, 100)
	for name, files := range map[string]feed.Files{"memory": nil, "disk": feed.OSFiles(t.TempDir())} {
		_, log := c.Viewer(t, feed.Config{TailBytes: 200 << 10, Files: files}, feedtest.Rendition)
		i := 0
		put := func() {
			if fresh, err := log.Put(s.blocks[i], s.frontiers[i]); !fresh || err != nil {
				t.Fatal(err)
			}
			i++
		}
		for i < 500 {
			put() // until the tail is full, and the files are open
		}
		if got := testing.AllocsPerRun(400, put); got > 0 {
			t.Errorf("%s: got %v allocations a block, want none", name, got)
		}
	}
}

// BenchmarkFollow is verify, store and publish of one block at a viewer. Target: 80 us a block.
func BenchmarkFollow(b *testing.B) {
	for _, disk := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "disk"}[disk], func(b *testing.B) {
			const size = 8 << 10
			c, s := newStream(b, 2048, size)
			var viewer *feed.Replica
			var log *feed.Log
			b.SetBytes(size)
			b.ReportAllocs()
			var spent, start time.Duration
			b.ResetTimer()
			for n := range b.N {
				if n%len(s.blocks) == 0 {
					b.StopTimer()
					spent += cpu.Used() - start
					if n == 0 {
						spent = 0
					}
					cfg := feed.Config{}
					if disk {
						cfg.Files = feed.OSFiles(b.TempDir())
					}
					viewer, log = c.Viewer(b, cfg, feedtest.Rendition)
					start = cpu.Used()
					b.StartTimer()
				}
				k := n % len(s.blocks)
				if _, err := log.Put(s.blocks[k], s.frontiers[k]); err != nil {
					b.Fatal(err)
				}
				if disk && k%256 == 255 {
					if err := viewer.Sync(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			}
			spent += cpu.Used() - start
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-us/block")
		})
	}
}

// BenchmarkAppend is signing and publishing one block at the streamer, and with a disk the file write, without waiting for fsync.
// Target: 100 us of CPU a block.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name string
		disk bool
		size int
	}{{"memory/8KiB", false, 8 << 10}, {"disk/8KiB", true, 8 << 10}, {"disk/16KiB", true, 16 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := feed.Config{}
			if c.disk {
				cfg.Dir = b.TempDir()
			}
			channel := feedtest.NewChannel(b, cfg, 1)
			payload := feedtest.Payload(1, c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			start := cpu.Used()
			b.ResetTimer()
			for n := range b.N {
				e := feed.Entry{Kind: feed.Media, Payload: payload}
				if n%60 == 0 {
					e.Flags = feed.SegmentFirst
				}
				if _, err := channel.Log.Append(e); err != nil {
					b.Fatal(err)
				}
				if c.disk && n%500 == 499 {
					if err := channel.Replica.Sync(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.StopTimer()
			b.ReportMetric(float64((cpu.Used()-start).Microseconds())/float64(b.N), "cpu-us/block")
		})
	}
}

// BenchmarkReadFromDisk is reading on through an old range: each block is verified again.
func BenchmarkReadFromDisk(b *testing.B) {
	channel := feedtest.NewChannel(b, feed.Config{Dir: b.TempDir(), TailBytes: 1 << 10}, 1)
	const n = 1000
	for range n / 50 {
		channel.Append(b, 50, 8<<10)
	}
	if err := channel.Replica.Sync(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(8 << 10)
	b.ReportAllocs()
	for k := range b.N {
		if _, err := channel.Log.Log().Block(uint64(k % (n - 2))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "us/block")
}
