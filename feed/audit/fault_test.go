package audit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// A folder whose epoch is condemned verifies, and says so; a stored proof that proves nothing does not.
func TestFolderOfACondemnedEpoch(t *testing.T) {
	a := feedtest.NewCrook(t).Epoch(t, 1000, 1)
	a.Air(4, 0)
	b := a.Split()
	a.Air(4, 1)
	b.Air(4, 2)
	p, err := a.Log(feedtest.Rendition).Contradicts(b.Log(feedtest.Rendition).Head())
	if err != nil {
		t.Fatal(err)
	}
	dir, root := t.TempDir(), a.Replica.Root()
	r, err := feed.Open(root, feed.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.AddNotes(a.Notes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{feed.CatalogLog, feedtest.Rendition} {
		l, err := e.Log(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range a.All(name) {
			if _, err := l.Put(s.Block, s.Before); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := e.AddFault(p); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Dir(dir, Options{Root: &root, EveryHead: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Epochs[0].Fault; !strings.Contains(got, "fork") {
		t.Errorf("it says %q of the fault, want a fork", got)
	}
	files, err := fs.Glob(os.DirFS(dir), "epochs/*/fault.proof")
	if err != nil || len(files) != 1 {
		t.Fatalf("got files %v, %v, want one", files, err)
	}
	if err := os.WriteFile(filepath.Join(dir, files[0]), []byte{1, 1, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir(dir, Options{Root: &root}); !errors.Is(err, ErrRefuted) {
		t.Errorf("a proof that proves nothing: got %v, want ErrRefuted", err)
	}
}
