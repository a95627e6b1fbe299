package clip

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// An aired channel is on air in a folder.
type aired struct {
	*feedtest.Channel
	dir string
}

// air opens a channel in a folder.
func air(t *testing.T) *aired {
	t.Helper()
	a := &aired{dir: t.TempDir()}
	a.Channel = feedtest.NewChannel(t, feed.Config{Dir: a.dir}, 4)
	return a
}

// segments airs n segments of 5 blocks.
func (a *aired) segments(t *testing.T, n int) (walls []time.Time) {
	t.Helper()
	for range n {
		b := a.Append(t, 5, 1000)
		walls = append(walls, time.UnixMicro(b[0].Record.Wall))
	}
	if err := a.Replica.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return walls
}

// open opens the folder as export does, while the writer has it.
func (a *aired) open(t *testing.T) *feed.Replica {
	t.Helper()
	r, err := feed.Open(a.Replica.Root(), feed.Config{Dir: a.dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// cut cuts and verifies.
func cut(t *testing.T, r *feed.Replica, c Cut, known ...*Witness) *Report {
	t.Helper()
	var b bytes.Buffer
	if _, err := c.Write(t.Context(), &b, r); err != nil {
		t.Fatal(err)
	}
	root := r.Root()
	report, err := Verify(&b, Options{Root: &root, Witnesses: known})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// A clip is whole segments: from the one on air at From to the one on air at To, also while the channel is on air.
func TestCutIsWholeSegments(t *testing.T) {
	a := air(t)
	walls := a.segments(t, 6)
	r := a.open(t)
	report := cut(t, r, Cut{From: walls[2], To: walls[3].Add(time.Microsecond)})
	if p := report.Parts; len(p) != 1 || p[0].From != 10 || p[0].To != 20 || p[0].Bytes != 10_000 || p[0].Log != feedtest.Rendition || p[0].Anchor != nil {
		t.Errorf("got parts %+v, want records [10, 20)", p)
	}
	if p := cut(t, r, Cut{From: walls[0], To: walls[5].Add(time.Hour)}).Parts; len(p) != 1 || p[0].From != 0 || p[0].To != 30 {
		t.Errorf("got parts %+v, want records [0, 30)", p)
	}
	var b bytes.Buffer
	if _, err := (Cut{From: walls[5].Add(-time.Hour), To: walls[0]}).Write(t.Context(), &b, r); !errors.Is(err, ErrNothing) {
		t.Errorf("before the beginning: got %v, want %v", err, ErrNothing)
	}
	if _, err := (Cut{Log: "radio", From: walls[0], To: walls[5]}).Write(t.Context(), &b, r); !errors.Is(err, feed.ErrNotHeld) {
		t.Errorf("another log: got %v, want %v", err, feed.ErrNotHeld)
	}
}

// A clip goes on through the restart of a streamer, and says whether something is missing there.
func TestCutAcrossEpochs(t *testing.T) {
	a := air(t)
	first := a.segments(t, 3)
	if err := a.Restart(4); err != nil {
		t.Fatal(err)
	}
	second := a.segments(t, 3)
	p := cut(t, a.open(t), Cut{From: first[1], To: second[1].Add(time.Microsecond)}).Parts
	if len(p) != 2 || p[0].From != 5 || p[0].To != 15 || p[1].From != 0 || p[1].To != 10 || !p[1].Continues {
		t.Errorf("got parts %+v, want [5, 15) and, as far as the station knew without a gap, [0, 10)", p)
	}
}

// What a viewer did not get is missing, and everybody sees that.
func TestCutWithHoles(t *testing.T) {
	a := air(t)
	walls := a.segments(t, 6)
	dir := t.TempDir()
	viewer, l := a.Viewer(t, feed.Config{Dir: dir}, feedtest.Rendition)
	for i := range uint64(30) {
		if i != 7 && i != 8 {
			if err := feedtest.Copy(a.Log.Log(), l, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := viewer.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := feed.Open(a.Replica.Root(), feed.Config{Dir: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := cut(t, r, Cut{From: walls[0], To: walls[5].Add(time.Hour)}).Parts
	if len(p) != 2 || p[0].From != 0 || p[0].To != 7 || p[1].From != 10 || p[1].To != 30 || p[1].Continues {
		t.Errorf("got parts %+v, want [0, 7) and [10, 30)", p)
	}
}

// A witness dates what its cosigned head covers, and only that.
func TestCutCosigned(t *testing.T) {
	a := air(t)
	walls := a.segments(t, 4)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Writer.Run(over); err != nil { // its end is an anchor
		t.Fatal(err)
	}
	catalog, err := a.Replica.Current().Log(feed.CatalogLog)
	if err != nil {
		t.Fatal(err)
	}
	w, key := newTestWitness("witness"), a.Replica.Current().Note().Key
	seen := w.cosign(catalog.Head(), catalog.Origin(), key, 1795003200)
	first, _ := catalog.HeadAt(1)
	early := w.cosign(first, catalog.Origin(), key, 1795003100)
	if err := a.Restart(4); err != nil {
		t.Fatal(err)
	}
	later := a.segments(t, 2)
	r := a.open(t)
	p := cut(t, r, Cut{From: walls[1], To: walls[2], Cosigned: seen}, witnesses(t, w)...).Parts
	if len(p) != 1 || p[0].Anchor == nil || p[0].Anchor.Size != 21 || len(p[0].Anchor.Witnesses) != 1 || !p[0].Anchor.Witnesses[0].Checked ||
		p[0].Anchor.Witnesses[0].Time.Unix() != 1795003200 {
		t.Fatalf("got %+v, want the log at size 21 dated by a witness", p)
	}
	p = cut(t, r, Cut{From: walls[1], To: later[1], Cosigned: seen}, witnesses(t, w)...).Parts
	if len(p) != 2 || len(p[0].Anchor.Witnesses) != 1 || p[1].Anchor != nil {
		t.Errorf("got %+v, want the first of two parts dated", p)
	}
	var b bytes.Buffer
	for what, note := range map[string][]byte{
		"too early":     early,
		"another epoch": goldenCosigned(t, openGolden(t)),
		"another root":  bytes.Replace(seen, []byte(catalog.Head().Root.String()[:8]), []byte("AAAAAAAA"), 1),
		"no witness":    seen[:bytes.LastIndex(seen, []byte("— "))],
		"no note":       []byte("x\n\ny\n"),
	} {
		if _, err := (Cut{From: walls[1], To: walls[2], Cosigned: note}).Write(t.Context(), &b, r); err == nil {
			t.Errorf("%s: got no error", what)
		}
	}
}

// What retention removed cannot be cut; what remains can.
func TestCutAfterPruning(t *testing.T) {
	a := air(t)
	walls := a.segments(t, 3)
	if err := a.Restart(4); err != nil {
		t.Fatal(err)
	}
	after := a.segments(t, 2)
	r := a.open(t)
	name := filepath.Join(a.dir, "epochs", "*", feedtest.Rendition, "payload", "*")
	files, err := filepath.Glob(name)
	if err != nil || len(files) != 2 {
		t.Fatalf("got %v, %v; want two files of payloads", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	p := cut(t, r, Cut{From: walls[0], To: after[1].Add(time.Hour)}).Parts
	if len(p) != 1 || p[0].From != 0 || p[0].To != 10 || p[0].Epoch.Last == nil {
		t.Errorf("got parts %+v, want [0, 10) of the second epoch", p)
	}
}
