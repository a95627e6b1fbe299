package feed_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
)

func TestStationIsTheSameNextTime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "station")
	var root feed.PublicKey
	for run := range 2 {
		s, err := feed.OpenStation(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if run > 0 && s.Root() != root {
			t.Errorf("got root %v, want %v", s.Root(), root)
		}
		root = s.Root()
		if n := s.Note(); n.Generation != 1 || len(n.Stations) != 1 {
			t.Errorf("got note %+v, want generation 1 and one station", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "root.key": 0o600, "station.key": 0o600, "channel.note": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: got mode %v, %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

func TestSecondStreamerIsTold(t *testing.T) {
	dir := t.TempDir()
	s, err := feed.OpenStation(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := feed.OpenStation(dir, nil); !errors.Is(err, feed.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrLocked with the directory", err)
	}
	data := t.TempDir()
	r, err := feed.Open(s.Root(), feed.Config{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Open(s.Root(), feed.Config{Dir: data}); !errors.Is(err, feed.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err = feed.Open(s.Root(), feed.Config{Dir: data}); err != nil {
		t.Fatalf("after Close: %v", err)
	}
	r.Close()
}

// What may be found in the folder, and what is made of it: a sentence, or a working station.
func TestStationRepairsOrSaysWhy(t *testing.T) {
	remove := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name       string
		change     func(t *testing.T, dir string)
		want       string // part of the error; empty: none
		generation uint64
	}{
		{"root key kept elsewhere", remove("root.key"), "", 1},
		{"crash before the note", remove("channel.note"), "", 1},
		{"crash before the station key", remove("channel.note", "station.key"), "", 1},
		{"station key lost", remove("station.key"), "", 2},
		{"station key lost, root elsewhere", remove("station.key", "root.key"), "station.key is missing", 0},
		{"note lost, root elsewhere", remove("channel.note", "root.key"), "channel.note is missing", 0},
		{"root key readable", chmod("root.key", 0o644), "chmod 600", 0},
		{"station key readable", chmod("station.key", 0o640), "chmod 600", 0},
		{"root key damaged", write("root.key", "not a key"), "root.key is damaged", 0},
		{"station key empty", write("station.key", ""), "station.key is damaged", 0},
		{"note damaged", write("channel.note", "tailcast/1/x/channel-note\n"), "channel.note is damaged", 0},
		{"folder open to all", chmod(".", 0o777), "chmod 700", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			first, err := feed.OpenStation(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			root := first.Root()
			first.Close()
			c.change(t, dir)
			s, err := feed.OpenStation(dir, nil)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want an error that says %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if s.Root() != root || s.Note().Generation != c.generation {
				t.Errorf("got generation %d, same channel %v, want %d of the same channel", s.Note().Generation, s.Root() == root, c.generation)
			}
		})
	}
}

func chmod(name string, mode os.FileMode) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStationRenewsItsNote(t *testing.T) {
	dir := t.TempDir()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	open := func(days int) (*feed.Station, error) {
		return feed.OpenStation(dir, func() time.Time { return start.AddDate(0, 0, days) })
	}
	for _, c := range []struct{ day, until int }{{0, 90}, {59, 90}, {61, 151}, {300, 390}} {
		s, err := open(c.day)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.Note().NotAfter, start.AddDate(0, 0, c.until); !got.Equal(want) || s.Note().Generation != 1 {
			t.Errorf("day %d: got a note of generation %d until %v, want 1 until %v", c.day, s.Note().Generation, got, want)
		}
		s.Close()
	}
	if err := os.Remove(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	if s, err := open(380); err != nil {
		t.Errorf("near its end, without the root key: %v", err)
	} else {
		s.Close()
	}
	if _, err := open(391); !errors.Is(err, feed.ErrExpired) || !strings.Contains(err.Error(), "root key") {
		t.Errorf("got %v, want ErrExpired and what to do", err)
	}
}

func FuzzParseKey(f *testing.F) {
	dir := f.TempDir()
	s, err := feed.OpenStation(dir, nil)
	if err != nil {
		f.Fatal(err)
	}
	s.Close()
	text, err := os.ReadFile(filepath.Join(dir, "root.key"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, err := feed.ParseKey(text); err == nil && len(key) != 64 {
			t.Errorf("got a key of %d bytes", len(key))
		}
	})
}
