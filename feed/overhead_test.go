package feed_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// What a log takes on disk besides its payloads is at most 2.5 % of them, in blocks of 8 KiB: as the files look, and as the file system
// allocates them.
func TestDiskOverhead(t *testing.T) {
	feed.Alone(t)
	looks, takes := overhead(t)
	t.Logf("as files look %.2f %%, as the file system allocates %.2f %%", looks, takes)
	if most := 2.5; looks > most || takes > most {
		t.Errorf("got %.2f %% and %.2f %% of the payloads besides them, want %v %% at most", looks, takes, most)
	}
}

func BenchmarkDiskOverhead(b *testing.B) {
	for range b.N {
		looks, takes := overhead(b)
		b.ReportMetric(max(looks, takes), "%-of-payload")
	}
}

// overhead returns how much three chunks of blocks of 8 KiB take besides their payloads, in percent of these. The payloads themselves leave
// while they are written.
func overhead(t testing.TB) (looks, takes float64) {
	t.Helper()
	const size, blocks = 8 << 10, 3 * feed.ChunkRows
	dir := t.TempDir()
	cfg := feed.Config{Dir: dir, TailBytes: 8 << 20, Retention: feed.Retention{Bytes: 1}}
	c := feedtest.NewChannel(t, cfg, 1)
	for signed := 0; signed < blocks; signed += 512 {
		c.Append(t, 512, size)
		if err := c.Replica.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Replica.Close(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/payload/") {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		looks += 100 * float64(info.Size()) / (size * blocks)
		takes += 100 * 512 * float64(info.Sys().(*syscall.Stat_t).Blocks) / (size * blocks)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return looks, takes
}

// Opening takes the time of a few chunks, whatever the length, also when most of the payloads were removed.
func TestRecoveryOfALongLog(t *testing.T) {
	feed.Alone(t)
	for _, n := range []uint64{10_000, 100_000_000} {
		for _, removed := range []int{0, 6} {
			disk := feedtest.NewSynthetic(t, n)
			for k := range min(removed, int(n*feedtest.SyntheticPayload>>26)) {
				if err := disk.Remove(fmt.Sprintf("%s/payload/%020d", disk.Log, k<<26)); err != nil {
					t.Fatal(err)
				}
			}
			m := &meter{Files: disk}
			took := recoverSynthetic(t, disk, m)
			reads, bytes := m.reads.Load(), m.bytes.Load()
			t.Logf("%d records, %d files removed: %d reads, %d bytes, %v", n, removed, reads, bytes, took)
			if reads > 1000 || bytes > 2<<20 {
				t.Errorf("opening a log of %d records took %d reads of %d bytes together, want at most 1000 and 2 MiB", n, reads, bytes)
			}
		}
	}
}

// BenchmarkRecover opens a log of 10^8 records.
func BenchmarkRecover(b *testing.B) {
	var took time.Duration
	for range b.N {
		disk := feedtest.NewSynthetic(b, 100_000_000)
		took += recoverSynthetic(b, disk, disk)
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/open")
}

// recoverSynthetic returns how long it takes to open a log through files, which are those of disk.
func recoverSynthetic(t testing.TB, disk *feedtest.Synthetic, files feed.Files) time.Duration {
	t.Helper()
	begin := time.Now()
	replica, err := feed.Open(disk.Root, feed.Config{Files: files})
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	log, err := replica.Current().Log(feedtest.Rendition)
	if err != nil || log.Head().Size != disk.Size {
		t.Fatalf("got size %d, %v, want %d", log.Head().Size, err, disk.Size)
	}
	if _, err := log.Block(disk.Size - 1); err != nil {
		t.Errorf("the last block: %v", err)
	}
	return took
}

// A pruning step removes what is due and looks up a few rows, however long the log is and however much was removed before.
func TestRetentionOfALongLog(t *testing.T) {
	feed.Alone(t)
	const n = 100_000_000
	disk := feedtest.NewSynthetic(t, n)
	window := feed.Retention{For: 100 * time.Hour}
	replica, err := feed.Open(disk.Root, feed.Config{Files: disk, Retention: window})
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	log, err := replica.Current().Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	if got := log.Base(); got != 0 {
		t.Errorf("got base %d before there is a new record, want 0", got)
	}
	if _, err := log.Put(disk.Next(n - 1)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := replica.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Logf("pruning to %d took %v", log.Base(), time.Since(begin))
	const file = (64 << 20) / feedtest.SyntheticPayload
	due := uint64(n - window.For/feedtest.SyntheticStep)
	if got, want := log.Base(), due/file*file; got != want {
		t.Errorf("got base %d, want %d", got, want)
	}
}
