package feedtest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	"tailcast/feed"
)

// TestFiles is the contract of feed.Files. open returns one that is empty.
func TestFiles(t *testing.T, open func(t *testing.T) feed.Files) {
	t.Run("files that are not there", func(t *testing.T) { testMissing(t, open(t)) })
	t.Run("write and read", func(t *testing.T) { testReadWrite(t, open(t)) })
	t.Run("replace", func(t *testing.T) { testReplace(t, open(t)) })
	t.Run("remove", func(t *testing.T) { testRemove(t, open(t)) })
	t.Run("two handles", func(t *testing.T) { testTwoHandles(t, open(t)) })
}

func testMissing(t *testing.T, files feed.Files) {
	if _, err := files.Open("a/b", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: got %v, want fs.ErrNotExist", err)
	}
	if _, err := files.ReadFile("a/b", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile: got %v, want fs.ErrNotExist", err)
	}
	if names, err := files.List("a"); err != nil || len(names) != 0 {
		t.Errorf("List: got %q, %v, want none", names, err)
	}
}

func testReadWrite(t *testing.T, files feed.Files) {
	f, err := files.Open("a/b/c", true)
	if err != nil {
		t.Fatal(err)
	}
	must(t, write(f, "tail", 6))
	must(t, write(f, "head", 0))
	got := make([]byte, 10)
	if n, err := f.ReadAt(got, 0); n != 10 || err != nil && err != io.EOF || string(got) != "head\x00\x00tail" {
		t.Errorf("got %q, %v, want what was written, with zeros between", got[:n], err)
	}
	if n, err := f.ReadAt(got, 8); n != 2 || err != io.EOF {
		t.Errorf("at the end: got %d bytes, %v, want 2 and io.EOF", n, err)
	}
	must(t, f.Sync())
	must(t, f.Truncate(3))
	if size, err := f.Size(); size != 3 || err != nil {
		t.Errorf("got size %d, %v, want 3", size, err)
	}
	must(t, f.Close())
	if err := write(f, "late", 0); err == nil {
		t.Error("got no error from a closed file")
	}
	names, err := files.List("a")
	if err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("List: got %q, %v, want b", names, err)
	}
}

func testReplace(t *testing.T, files feed.Files) {
	for _, want := range [][]byte{[]byte("long enough"), []byte("short"), {}} {
		must(t, files.WriteFile("folder/note", want))
		got, err := files.ReadFile("folder/note", len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	must(t, files.WriteFile("folder/note", []byte("four")))
	if _, err := files.ReadFile("folder/note", 3); err == nil {
		t.Error("got no error for a file above the limit")
	}
}

func testRemove(t *testing.T, files feed.Files) {
	f, err := files.Open("folder/file", true)
	must(t, err)
	must(t, write(f, "here", 0))
	must(t, f.Sync())
	must(t, files.Remove("folder/file"))
	got := make([]byte, 4)
	if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF || string(got) != "here" {
		t.Errorf("got %q, %v from a file that was removed while it was open, want what was in it", got, err)
	}
	must(t, f.Close())
	if _, err := files.Open("folder/file", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: got %v, want fs.ErrNotExist", err)
	}
	if err := files.Remove("folder/file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove: got %v, want fs.ErrNotExist", err)
	}
	if names, err := files.List("folder"); err != nil || len(names) != 0 {
		t.Errorf("List: got %q, %v, want none", names, err)
	}
}

func testTwoHandles(t *testing.T, files feed.Files) {
	first, err := files.Open("x", true)
	must(t, err)
	second, err := files.Open("x", false)
	must(t, err)
	must(t, write(first, "seen", 0))
	got := make([]byte, 4)
	if _, err := second.ReadAt(got, 0); err != nil && err != io.EOF || string(got) != "seen" {
		t.Errorf("got %q, %v through the other handle, want what was written", got, err)
	}
	must(t, first.Close())
	must(t, second.Close())
}

func write(f feed.File, s string, at int64) error {
	_, err := f.WriteAt([]byte(s), at)
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
