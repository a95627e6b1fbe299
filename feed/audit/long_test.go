package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// longFolder makes the folder of a viewer that got those blocks of a channel that keep wants, and says how many.
func longFolder(t *testing.T, c *feedtest.Channel, keep func(i uint64) bool) (dir string, records uint64) {
	t.Helper()
	dir = t.TempDir()
	viewer, l := c.Viewer(t, feed.Config{Dir: dir}, feedtest.Rendition)
	for i := range c.Log.Log().Head().Size {
		if !keep(i) {
			continue
		}
		if err := feedtest.Copy(c.Log.Log(), l, i); err != nil {
			t.Fatal(err)
		}
		if records++; records%500 == 0 { // the queue of the disk is bounded
			if err := viewer.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, records
}

// Logs of several chunks, whole and with holes, as the writing code leaves them; with one bit flipped at many places of each file.
func TestLongLogs(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{TailBytes: 64 << 20}, 4)
	segments := uint64(84)
	if stride > 1 {
		segments = 48
	}
	for range segments {
		c.Append(t, 100, 8)
	}
	size := 100 * segments
	for name, keep := range map[string]func(i uint64) bool{
		"whole": func(uint64) bool { return true },
		"late":  func(i uint64) bool { return i >= size-150 && i != size-100 && i != size-1 },
		"holes": func(i uint64) bool { return i >= 3800 && i < 4800 && i%7 != 0 && i/100 != 40 },
		"one":   func(i uint64) bool { return i%4 == 1 },
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := longFolder(t, c, keep)
			for _, every := range []bool{false, true} {
				r, err := Dir(dir, Options{EveryHead: every})
				if err != nil {
					t.Fatal(err)
				}
				if l := r.Epochs[0].Logs[0]; l.Records != want || l.Bytes != 8*want || l.Unproved != 0 || every && l.Signatures != want {
					t.Errorf("got %+v, want %d records", l, want)
				}
			}
			flipMany(t, dir)
		})
	}
}

// flipMany flips bits all over each file of a folder.
func flipMany(t *testing.T, dir string) {
	t.Helper()
	o := Options{EveryHead: true, settle: time.Nanosecond, verify: locked(remember())}
	files, err := filepath.Glob(filepath.Join(dir, "epochs", "*", feedtest.Rendition, "*"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, name := range append(files, filepath.Join(dir, "epochs")) {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // a folder
		}
		for k := range 6 {
			at := (2*k + 1) * len(b) / 12
			if len(b) == 0 || strings.HasSuffix(name, "base") {
				break
			}
			b[at] ^= 0x10
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Dir(dir, o); !errors.Is(err, ErrRefuted) {
				t.Errorf("byte %d of %s changed: got %v", at, name, err)
			}
			b[at] ^= 0x10
			flipped++
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if flipped < 6 {
		t.Errorf("%d bits flipped", flipped)
	}
	if _, err := Dir(dir, o); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

// A folder is verified while its streamer writes to it.
func TestOnAir(t *testing.T) {
	dir := t.TempDir()
	c := feedtest.NewChannel(t, feed.Config{Dir: dir}, 4)
	if err := c.Replica.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for k := range 20 {
		c.Append(t, 50, 500)
		r, err := Dir(dir, Options{EveryHead: k%2 == 0, settle: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Epochs) != 1 {
			t.Errorf("got %+v, want one epoch", r)
		}
	}
	if err := c.Replica.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := Dir(dir, Options{})
	if err != nil || r.Epochs[0].Logs[1].Records != 1000 {
		t.Errorf("got %+v, %v; want 1000 records", r, err)
	}
}

// FuzzFolder changes a file of the golden folders. Whatever it becomes, there is an answer and no panic; and a folder that is proved
// has the records of the golden one, or fewer.
func FuzzFolder(f *testing.F) {
	f.Add(false, uint8(3), uint32(100), []byte{1}, uint32(1<<20))
	f.Add(true, uint8(4), uint32(32), []byte{0, 0, 0, 0}, uint32(1<<20))
	f.Add(false, uint8(0), uint32(0), []byte("4096"), uint32(4))
	f.Add(true, uint8(6), uint32(48), []byte{1, 2, 3}, uint32(40))
	f.Fuzz(func(t *testing.T, sparse bool, file uint8, at uint32, change []byte, cut uint32) {
		name := "channel"
		if sparse {
			name = "sparse"
		}
		m := load(t, filepath.Join(golden, name))
		mutate(m, int(file), int(at), change, int(cut))
		r, err := Verify(m, Options{Root: goldenRoot(t), EveryHead: true, settle: time.Nanosecond})
		if err != nil {
			return
		}
		var records uint64
		for _, e := range r.Epochs {
			for _, l := range e.Logs {
				records += l.Records
			}
		}
		if records > 15 || sparse && records > 4 {
			t.Errorf("proved %d records", records)
		}
	})
}
