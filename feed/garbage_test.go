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
	go func() { done <- tryStart(dir, slog.New(slog.DiscardHandler)) }()
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

func tryStart(dir string, log *slog.Logger) error {
	station, err := feed.OpenStation(dir, nil)
	if err != nil {
		return err
	}
	defer station.Close()
	replica, err := feed.Open(station.Root(), feed.Config{Dir: filepath.Join(dir, "feed"), Retention: feed.Retention{For: time.Hour}, Logger: log})
	if err != nil {
		return err
	}
	defer replica.Close() // an error of the disk is not one of the live edge
	w, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station})
	if err != nil {
		return err
	}
	out, err := w.Log(feedtest.Rendition)
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
		if _, err := out.Append(feed.Entry{Kind: feed.Media, Payload: []byte(fmt.Sprint(i))}); err != nil {
			return fmt.Errorf("file or not, the live edge goes on: %w", err)
		}
	}
	return nil
}

// TestManyEpochs: a streamer that was started in a loop over a night; and as many folders that are not what their names say. A start looks at the
// newest, and complains a few times. (With 10,000 it takes 0.4 s and 2 s.)
func TestManyEpochs(t *testing.T) {
	count := 300
	if testing.Short() {
		count = 100
	}
	for _, garbage := range []bool{false, true} {
		dir := t.TempDir()
		station, err := feed.OpenStation(dir, nil)
		must(t, err)
		replica, err := feed.Open(station.Root(), feed.Config{})
		must(t, err)
		for range count {
			w, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station})
			must(t, err)
			note, notes := w.Epoch().Note(), w.Epoch().Notes()
			if garbage {
				notes.Epoch = noise(300)
			}
			folder := filepath.Join(dir, "feed", "epochs", fmt.Sprintf("%d-%d-%v", note.Generation, note.Number, w.Epoch().ID()))
			must(t, os.MkdirAll(folder, 0o700))
			write(t, filepath.Join(folder, "channel.note"), notes.Channel)
			write(t, filepath.Join(folder, "epoch.note"), notes.Epoch)
		}
		must(t, replica.Close())
		must(t, station.Close())
		told := &journal{}
		begin := time.Now()
		err = tryStart(dir, slog.New(slog.NewTextHandler(told, nil)))
		t.Logf("garbage %v: started and ended in %v", garbage, time.Since(begin))
		if err != nil {
			t.Errorf("garbage %v: %v", garbage, err)
		}
		if len(told.lines) > 20 {
			t.Errorf("garbage %v: %d lines in the log, among them %q", garbage, len(told.lines), told.lines[:3])
		}
		after, err := filepath.Glob(filepath.Join(dir, "feed", "epochs", "*"))
		must(t, err)
		if len(after) != count+1 {
			t.Errorf("garbage %v: %d folders, want one more than %d", garbage, len(after), count)
		}
	}
}
