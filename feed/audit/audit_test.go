package audit

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"tailcast/feed"
)

const golden = "../testdata/v1"

// goldenLink is the link of the channel of the vectors.
const goldenLink = "tailcast:c6ag6pza7s6gsegw46jml4t5px76utyskkx57jjh25bkq2hnq6bx7fab"

func goldenRoot(t testing.TB) *feed.PublicKey {
	t.Helper()
	link, err := feed.ParseLink(goldenLink)
	if err != nil {
		t.Fatal(err)
	}
	return &link.Root
}

// load reads a folder into memory.
func load(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		m[filepath.ToSlash(name)] = &fstest.MapFile{Data: data, Mode: 0o600}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// remember returns a check of signatures that knows those it saw: a change of one bit leaves most as they are.
func remember() func(feed.PublicKey, string, *feed.Head) bool {
	type signed struct {
		key    feed.PublicKey
		origin string
		head   feed.Head
	}
	known := map[signed]bool{}
	return func(key feed.PublicKey, origin string, h *feed.Head) bool {
		s := signed{key, origin, *h}
		ok, seen := known[s]
		if !seen {
			ok = h.Verify(key, origin)
			known[s] = ok
		}
		return ok
	}
}

// rememberNotes does the same for notes that are good.
func rememberNotes() func(feed.PublicKey, feed.Notes) (feed.ChannelNote, feed.EpochNote, error) {
	type opened struct {
		channel feed.ChannelNote
		epoch   feed.EpochNote
	}
	known := map[string]opened{}
	return func(root feed.PublicKey, n feed.Notes) (feed.ChannelNote, feed.EpochNote, error) {
		text := root.String() + string(n.Channel) + "|" + string(n.Epoch)
		if o, ok := known[text]; ok {
			return o.channel, o.epoch, nil
		}
		c, e, err := openNotes(root, n)
		if err == nil {
			known[text] = opened{c, e}
		}
		return c, e, err
	}
}

func TestGoldenFolders(t *testing.T) {
	for name, want := range map[string]uint64{"channel": 3 + 2 + 3 + 7, "sparse": 4} {
		for _, every := range []bool{false, true} {
			r, err := Dir(filepath.Join(golden, name), Options{Root: goldenRoot(t), EveryHead: every})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var records, signatures uint64
			for _, e := range r.Epochs {
				for _, l := range e.Logs {
					records += l.Records
					signatures += l.Signatures
				}
			}
			if records != want || every && signatures != want {
				t.Errorf("%s: got %d records and %d signatures, want %d", name, records, signatures, want)
			}
			t.Logf("%s: %+v", name, r)
		}
	}
}

// Every bit of every file counts, and so does each file's length.
func TestEveryBitOfFolders(t *testing.T) {
	for _, name := range []string{"channel", "sparse"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := stride
			if testing.Short() {
				step = max(stride, 13)
			}
			m := load(t, filepath.Join(golden, name))
			o := Options{Root: goldenRoot(t), EveryHead: true, verify: locked(remember()), notes: rememberNotes(), settle: time.Nanosecond}
			bits := 0
			for _, f := range slices.Sorted(maps.Keys(m)) {
				b := m[f].Data
				for i := 0; i < 8*len(b); i += step {
					b[i/8] ^= 1 << (i % 8)
					if _, err := Verify(m, o); !errors.Is(err, ErrRefuted) {
						t.Fatalf("bit %d of %s changed: got %v", i, f, err)
					}
					b[i/8] ^= 1 << (i % 8)
					bits++
				}
				if len(b) > 0 {
					m[f].Data = b[:len(b)-1]
					if _, err := Verify(m, o); !errors.Is(err, ErrRefuted) {
						t.Errorf("%s a byte shorter: got %v", f, err)
					}
					m[f].Data = b
				}
				refusedWithout(t, m, o, f)
			}
			if _, err := Verify(m, o); err != nil || bits*step < 10_000 {
				t.Errorf("got %v and %d bits, want the folder as it was, and 10,000", err, bits)
			}
		})
	}
}

// refusedWithout removes a file. Those that say again what others say, or may be removed to save room, may be missing.
func refusedWithout(t *testing.T, m fstest.MapFS, o Options, f string) {
	t.Helper()
	for _, optional := range []string{"/peaks", "/base", "/payload/", "/records", "newest"} {
		if strings.Contains(f, optional) {
			return
		}
	}
	file := m[f]
	delete(m, f)
	if _, err := Verify(m, o); !errors.Is(err, ErrRefuted) {
		t.Errorf("%s gone: got %v", f, err)
	}
	m[f] = file
}
