package audit

import (
	"runtime"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/internal/cpu"
)

// BenchmarkVerify verifies 64 MiB of 8 KiB blocks: the last head of each log (last), or every head on all processors that there are.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	c := feedtest.NewChannel(b, feed.Config{Dir: dir}, 8)
	for range 64 {
		c.Append(b, 128, 8<<10)
		if err := c.Replica.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Replica.Close(); err != nil {
		b.Fatal(err)
	}
	for name, every := range map[string]bool{"last": false, "every": true} {
		b.Run(name, func(b *testing.B) {
			if every { // the figure is that of the machine, also where the other is that of one core
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU()))
			}
			var bytes uint64
			begin, start := time.Now(), cpu.Used()
			for b.Loop() {
				r, err := Dir(dir, Options{EveryHead: every})
				if err != nil {
					b.Fatal(err)
				}
				for _, l := range r.Epochs[0].Logs {
					bytes += l.Bytes
				}
			}
			b.ReportMetric(float64(bytes)/1e6/time.Since(begin).Seconds(), "MB/s")
			b.ReportMetric(float64(bytes)/1e6/(cpu.Used()-start).Seconds(), "MB/cpu-s")
			b.ReportAllocs()
		})
	}
}
