package feed_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// garbage is what may be found in the place of a file.
var garbage = []struct {
	name string
	put  func(t *testing.T, path string)
}{
	{"nothing", func(t *testing.T, path string) {}},
	{"an empty file", func(t *testing.T, path string) { write(t, path, nil) }},
	{"random bytes", func(t *testing.T, path string) { write(t, path, noise(10_000)) }},
	{"one line of text", func(t *testing.T, path string) { write(t, path, []byte("Dear broadcaster\n")) }},
	{"zeros", func(t *testing.T, path string) { write(t, path, make([]byte, 100_000)) }},
	{"a gigantic file", func(t *testing.T, path string) {
		write(t, path, noise(1000))
		must(t, os.Truncate(path, 1<<40))
	}},
	{"a directory", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }},
	{"a full directory", func(t *testing.T, path string) {
		must(t, os.Mkdir(path, 0o700))
		write(t, filepath.Join(path, "file"), noise(10))
	}},
	{"a link to itself", func(t *testing.T, path string) { must(t, os.Symlink(path, path)) }},
	{"a link to nowhere", func(t *testing.T, path string) { must(t, os.Symlink("/nonexistent/file", path)) }},
	{"a link to endless zeros", func(t *testing.T, path string) { must(t, os.Symlink("/dev/zero", path)) }},
	{"a full device", func(t *testing.T, path string) { must(t, os.Symlink("/dev/full", path)) }},
	{"a pipe", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	must(t, os.WriteFile(path, b, 0o600))
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// TestGarbageInAnyFile puts all kinds of garbage in the place of each file and folder of a station and its feed. The next start goes on, or
// says in one sentence which file is in its way; it does not hang, not panic, and not fill the memory.
func TestGarbageInAnyFile(t *testing.T) {
	dir := t.TempDir()
	station, err := feed.OpenStation(dir, nil)
	must(t, err)
	for range 2 {
		c := feedtest.Broadcast(t, station, feed.Config{Dir: filepath.Join(dir, "feed")}, 1)
		for range 10 {
			c.Append(t, 500, 100)
			must(t, c.Replica.Sync(t.Context()))
		}
		must(t, c.Replica.Close())
	}
	must(t, station.Close())
	var places []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if place, _ := filepath.Rel(dir, path); place != "." {
			places = append(places, place)
		}
		return err
	}))
	for k, place := range places {
		for n, g := range garbage {
			if every := 2; (k+n)%every != 0 || testing.Short() && (k+n)%(4*every) != 0 {
				continue // each place gets half of it
			}
			t.Run(g.name+" for "+place, func(t *testing.T) {
				t.Parallel()
				other := filepath.Join(t.TempDir(), "data")
				if out, err := exec.Command("cp", "-a", "--sparse=always", dir, other).CombinedOutput(); err != nil {
					t.Fatalf("cp: %v\n%s", err, out)
				}
				path := filepath.Join(other, place)
				must(t, os.RemoveAll(path))
				g.put(t, path)
				startOn(t, other)
			})
		}
	}
}

// startOn does what a start of a streamer does, and goes on air for a moment.
func startOn(t *testing.T, dir string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- tryStart(dir) }()
	select {
	case err := <-done:
		if err == nil {
			return
		}
		if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "/") && !strings.Contains(text, "file") {
			t.Errorf("got %q, want one sentence that names a file", text)
		}
	case <-time.After(20 * time.Second):
		buf := make([]byte, 1<<20)
		t.Fatalf("it hangs:\n%s", buf[:runtime.Stack(buf, true)])
	}
}

func tryStart(dir string) error {
	station, err := feed.OpenStation(dir, nil)
	if err != nil {
		return err
	}
	defer station.Close()
	replica, err := feed.Open(station.Root(), feed.Config{Dir: filepath.Join(dir, "feed"), Retention: feed.Retention{For: time.Hour}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer replica.Close() // an error of the disk is not one of the live edge
	w, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station})
	if err != nil {
		return err
	}
	log, err := w.Log(feedtest.Rendition)
	if err != nil {
		return err
	}
	for _, e := range replica.Epochs() {
		for _, l := range e.Logs() {
			for i := uint64(0); i < l.Head().Size; i += 1 + l.Head().Size/20 {
				_, _ = l.Block(i) // damaged history may be missing, or wrong: it verifies or it is not held
			}
		}
	}
	for i := range 10 {
		if _, err := log.Append(feed.Entry{Kind: feed.Media, Payload: []byte(fmt.Sprint(i))}); err != nil {
			return fmt.Errorf("file or not, the live edge goes on: %w", err)
		}
	}
	return nil
}
