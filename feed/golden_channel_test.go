package feed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tailcast/feed/merkle"
)

// goldenNow is when the folders of the vectors were made.
var goldenNow = time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC)

// A goldenLog signs a log with a key that everybody knows.
type goldenLog struct {
	key       ed25519.PrivateKey
	origin    string
	edge      merkle.Frontier
	prev      *Record
	blocks    []Block
	frontiers []merkle.Frontier // before each block
}

func newGoldenLog(epoch ed25519.PrivateKey, log string) *goldenLog {
	return &goldenLog{key: epoch, origin: Origin(publicKey(seedKey("root")), publicKey(epoch).EpochID(), log)}
}

// add signs one more block: a second after the last, of 3 frames.
func (l *goldenLog) add(kind Kind, flags Flags, payload string) {
	i := uint64(len(l.blocks))
	r := Record{
		Kind: kind, Flags: flags, Length: uint32(len(payload)), Wall: goldenNow.UnixMicro() + int64(i)*1e6,
		DTS: int64(i)*9000 - 3000, Duration: 9000, Hash: sha256.Sum256([]byte(payload)),
	}
	if l.prev != nil {
		r.Segment, r.Back, r.Offset = l.prev.Segment, l.prev.Back+1, l.prev.Offset+uint64(l.prev.Length)
	}
	if flags&SegmentFirst != 0 && l.prev != nil {
		r.Segment, r.Back = r.Segment+1, 0
	}
	l.frontiers = append(l.frontiers, l.edge)
	l.edge.Append(r.Leaf())
	head := SignHead(l.key, l.origin, l.edge.Size(), l.edge.Root())
	l.blocks = append(l.blocks, Block{Index: i, Record: r, Signature: head.Signature, Payload: []byte(payload)})
	l.prev = &r
}

// entry signs a catalog entry. A State begins a segment.
func (l *goldenLog) entry(t *testing.T, e CatalogEntry) {
	t.Helper()
	payload, err := e.Payload()
	if err != nil {
		t.Fatal(err)
	}
	var flags Flags
	if _, ok := e.(State); ok {
		flags = SegmentFirst | RandomAccess
	}
	l.add(Event, flags, string(payload))
}

func (l *goldenLog) head(name string) LogHead { return LogHead{name, l.edge.Size(), l.edge.Root()} }

// A goldenEpoch is an epoch of the vectors.
type goldenEpoch struct {
	notes Notes
	logs  map[string]*goldenLog
}

// newGoldenEpoch signs the notes of an epoch, and its catalog up to the state.
func newGoldenEpoch(t *testing.T, name string, number uint64, last *LastEpoch) *goldenEpoch {
	t.Helper()
	key := seedKey(name)
	channel := testChannelNote()
	channel.Stations = channel.Stations[:1]
	signed, err := SignEpochNote(seedKey("station"), key, EpochNote{Root: channel.Root, Generation: channel.Generation, Number: number, Last: last})
	if err != nil {
		t.Fatal(err)
	}
	catalog := newGoldenLog(key, CatalogLog)
	catalog.entry(t, State{Title: "tv", Renditions: []Rendition{{Name: "tv", Stripes: 2, Bitrate: 96}}})
	return &goldenEpoch{Notes{signedChannelNote(t, channel), signed}, map[string]*goldenLog{"tv": newGoldenLog(key, "tv"), CatalogLog: catalog}}
}

// end ends the logs of the epoch, with an anchor.
func (g *goldenEpoch) end(t *testing.T) {
	t.Helper()
	tv, catalog := g.logs["tv"], g.logs[CatalogLog]
	tv.add(End, 0, "")
	catalog.entry(t, LogAnchor{Logs: []LogHead{catalog.head(CatalogLog), tv.head("tv")}})
	catalog.add(End, 0, "")
}

// goldenEpochs returns the two epochs of the vectors: a short one, then one with all that a log may hold: two segments, a
// heartbeat, what a later version may bring.
func goldenEpochs(t *testing.T) []*goldenEpoch {
	t.Helper()
	first := newGoldenEpoch(t, "epoch before", 1794000000000, nil)
	first.logs["tv"].add(Media, RandomAccess|SegmentFirst, "a frame")
	first.end(t)
	second := newGoldenEpoch(t, "epoch", 1795000000000, &LastEpoch{
		Generation: 3, Number: 1794000000000, ID: publicKey(seedKey("epoch before")).EpochID(),
		Heads: []LogHead{first.logs[CatalogLog].head(CatalogLog), first.logs["tv"].head("tv")},
	})
	tv := second.logs["tv"]
	tv.add(Media, RandomAccess|SegmentFirst, "init and a frame")
	tv.add(Media, 0, "a frame")
	tv.add(Media, Damaged, "half a fr")
	tv.add(Heartbeat, 0, "")
	tv.add(Media, RandomAccess|SegmentFirst|Discontinuity, "init, frame")
	tv.add(200, 0x8080, "future")
	second.end(t)
	return []*goldenEpoch{first, second}
}

// openGolden opens a Replica of the channel of the vectors.
func openGolden(t *testing.T, dir string) *Replica {
	t.Helper()
	r, err := Open(publicKey(seedKey("root")), Config{Dir: dir, Now: func() time.Time { return goldenNow }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fillGolden puts those blocks of the epochs into a folder that keep wants.
func fillGolden(t *testing.T, dir string, keep func(epoch int, log string, i uint64) bool) {
	t.Helper()
	r := openGolden(t, dir)
	for k, g := range goldenEpochs(t) {
		e, err := r.AddNotes(g.notes)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(g.logs)) {
			putGolden(t, e, name, g.logs[name], func(i uint64) bool { return keep(k, name, i) })
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func putGolden(t *testing.T, e *Epoch, name string, g *goldenLog, keep func(i uint64) bool) {
	t.Helper()
	for i, b := range g.blocks {
		if !keep(b.Index) {
			continue
		}
		l, err := e.Log(name)
		if err != nil {
			t.Fatal(err)
		}
		if fresh, err := l.Put(b, g.frontiers[i]); err != nil || !fresh {
			t.Fatalf("block %d of %s: got fresh %v, %v", i, name, fresh, err)
		}
		if i%500 == 499 { // the queue of the disk is bounded
			if err := e.replica.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The folder of a streamer: all of it.
func keepAll(int, string, uint64) bool { return true }

// The folder of a viewer: of the newer epoch's tv stripe 1, and record 4. Where it has holes, file nodes makes up for them.
func keepSparse(epoch int, log string, i uint64) bool {
	return epoch == 1 && log == "tv" && (i%2 == 1 || i == 4)
}

func TestGoldenFolders(t *testing.T) {
	for name, keep := range map[string]func(int, string, uint64) bool{"channel": keepAll, "sparse": keepSparse} {
		dir := t.TempDir()
		fillGolden(t, dir, keep)
		if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join(goldenDir, name)
		if *update {
			replaceDir(t, golden, dir)
		}
		compareDirs(t, dir, golden)
		checkFolder(t, golden, keep)
	}
}

// checkFolder checks that a Replica finds in a folder what was put into it, and nothing else.
func checkFolder(t *testing.T, golden string, keep func(int, string, uint64) bool) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
		t.Fatal(err)
	}
	r := openGolden(t, dir)
	defer r.Close()
	held := 0
	for k, g := range goldenEpochs(t) {
		for name, log := range g.logs {
			for i, b := range log.blocks {
				if !keep(k, name, b.Index) {
					continue
				}
				held++
				l, err := r.Epoch(log.blockEpoch()).Log(name)
				if err != nil {
					t.Fatal(err)
				}
				got, err := l.Block(b.Index)
				if err != nil || got.Record != b.Record || got.Signature != b.Signature || !bytes.Equal(got.Payload, b.Payload) {
					t.Errorf("%s, epoch %d, block %d of %s: %v", golden, k, b.Index, name, err)
				}
				if f, err := l.Frontier(b.Index); err != nil || f != log.frontiers[i] {
					t.Errorf("%s, epoch %d, frontier %d of %s: %v", golden, k, b.Index, name, err)
				}
			}
		}
	}
	if held == 0 {
		t.Errorf("%s: nothing was looked at", golden)
	}
}

func (l *goldenLog) blockEpoch() EpochID { return publicKey(l.key).EpochID() }

// filesIn returns the content of all files of a folder.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(b)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

func compareDirs(t *testing.T, dir, golden string) {
	t.Helper()
	got, want := filesIn(t, dir), filesIn(t, golden)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s/%s: this code makes another, but version 1 is frozen", golden, name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: got %d files, want %d", golden, len(got), len(want))
	}
}

func replaceDir(t *testing.T, golden, dir string) {
	t.Helper()
	if err := os.RemoveAll(golden); err != nil {
		t.Fatal(err)
	}
	for name, content := range filesIn(t, dir) {
		path := filepath.Join(golden, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// node runs a program of testdata, or skips the test.
func node(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node (version 20 or later) to run the verifier that was written from docs/feed.md")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = "testdata"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// A verifier that was written from the specification alone accepts our folders.
func TestForeignVerifierAccepts(t *testing.T) {
	link := testLink().String()
	for _, dir := range []string{"v1/channel", "v1/sparse"} {
		t.Logf("%s:\n%s", dir, node(t, "verify.mjs", dir, link))
	}
}

// It accepts what a streamer leaves behind, twice.
func TestForeignVerifierOfWriter(t *testing.T) {
	station, err := OpenStation(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer station.Close()
	dir := t.TempDir()
	for range 2 {
		broadcast(t, station, dir)
	}
	t.Logf("%s", node(t, "verify.mjs", dir, Link{Root: station.Root()}.String()))
}

// broadcast runs a streamer that has three blocks to say.
func broadcast(t *testing.T, station *Station, dir string) {
	t.Helper()
	r, err := Open(station.Root(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := NewWriter(WriterConfig{Replica: r, Station: station})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SetState(testState()); err != nil {
		t.Fatal(err)
	}
	tv, err := w.Log("1080p")
	if err != nil {
		t.Fatal(err)
	}
	for _, flags := range []Flags{RandomAccess | SegmentFirst, 0, SegmentFirst} {
		if _, err := tv.Append(Entry{Kind: Media, Flags: flags, Payload: []byte("a frame")}); err != nil {
			t.Fatal(err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(over); err != nil {
		t.Fatal(err)
	}
}

// It agrees with all vectors, and refuses both folders with any one bit of any file changed.
func TestForeignVerifierRefusesEveryBit(t *testing.T) {
	if testing.Short() {
		t.Skip("not -short: 60,000 folders, each with another bit changed")
	}
	t.Parallel()
	t.Logf("%s", node(t, "verify_test.mjs", testLink().String()))
}

// It also follows a log over several chunks, from its beginning, and as two viewers have it who joined later and missed some.
func TestForeignVerifierOfLongLogs(t *testing.T) {
	Alone(t)
	t.Parallel()
	g := newGoldenEpoch(t, "epoch", 1795000000000, nil)
	tv := g.logs["tv"]
	tv.add(Media, RandomAccess|SegmentFirst, "init")
	for range 8400 {
		tv.add(Media, 0, "x")
	}
	for name, keep := range map[string]func(i uint64) bool{
		"whole": func(i uint64) bool { return i < 4200 },
		"late":  func(i uint64) bool { return i >= 8250 && i != 8300 && i != 8399 },
		"holes": func(i uint64) bool { return i >= 3800 && i < 4800 && i%7 != 0 && i/100 != 40 },
	} {
		dir := t.TempDir()
		r := openGolden(t, dir)
		e, err := r.AddNotes(g.notes)
		if err != nil {
			t.Fatal(err)
		}
		putGolden(t, e, "tv", tv, keep)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s:\n%s", name, node(t, "verify.mjs", dir, testLink().String()))
	}
}
