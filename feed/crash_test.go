package feed_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// A scene is a node whose disk was taped while it ran, and all that was signed meanwhile. Whatever a crash leaves of the tape, at any step,
// the next start must make good of it.
type scene struct {
	name    string
	cfg     feed.Config // but for the disk
	station *feed.Station
	tape    []feedtest.Step
	logs    map[string]*signedLog // by origin
	sworn   []promise
	every   int // one crash in so many is played
	crashes int
	cases   int // that were played

	// signatures are all heads that any writer of this station ever signed: no (origin, size) twice.
	signatures map[signedSize]merkle.Hash
}

type signedSize struct {
	origin string
	size   uint64
}

// A signedLog is what was signed of one log.
type signedLog struct {
	epoch  feed.EpochID
	name   string
	dir    string
	blocks []feed.Block
	roots  []merkle.Hash // of sizes 1 and up
	order  []uint64      // in which the node took them in, but for those that it said were lost
	taken  uint64        // blocks of a streamer that came into order
	pruned uint64        // what retention may have removed in the end
}

// A promise is what Sync said to be on disk after so many steps: so many blocks of each log, in the order in which they came.
type promise struct {
	after  int
	blocks map[string]int
	again  bool // the restart went on, and retention with it
}

// crashPayloads is the size of payload files in which some payloads lie in two of them.
const crashPayloads = 256

// newScene plays a node on a disk that is taped.
func newScene(t *testing.T, name string, station *feed.Station, keep feed.Retention, disk *feedtest.Disk, play func(*testing.T, *scene, *feedtest.Disk)) *scene {
	t.Helper()
	s := &scene{
		name: name, station: station, every: 1, logs: make(map[string]*signedLog), signatures: make(map[signedSize]merkle.Hash),
		cfg: feed.WithPayloadFiles(feed.Config{Retention: keep}, crashPayloads),
	}
	synctest.Test(t, func(t *testing.T) {
		disk.Record()
		play(t, s, disk)
		disk.Off()
	})
	return s
}

// on returns the configuration with a disk.
func (s *scene) on(disk feed.Files) feed.Config {
	cfg := s.cfg
	cfg.Files = disk
	return cfg
}

// sign takes down what a log has signed so far.
func (s *scene) sign(t *testing.T, l *feed.Log) *signedLog {
	t.Helper()
	signed := s.logs[l.Origin()]
	if signed == nil {
		note := l.Epoch().Note()
		signed = &signedLog{epoch: l.Epoch().ID(), name: l.Name(), dir: fmt.Sprintf("epochs/%d-%d-%v/%s", note.Generation, note.Number, l.Epoch().ID(), l.Name())}
		s.logs[l.Origin()] = signed
	}
	for i := uint64(len(signed.blocks)); i < l.Head().Size; i++ {
		b, err := l.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.Frontier(i + 1)
		if err != nil {
			t.Fatal(err)
		}
		signed.blocks, signed.roots = append(signed.blocks, b), append(signed.roots, f.Root())
		s.observe(t, l.Origin(), i+1, f.Root())
	}
	return signed
}

// observe fails if two heads of one size are signed.
func (s *scene) observe(t *testing.T, origin string, size uint64, root merkle.Hash) {
	t.Helper()
	at := signedSize{origin, size}
	if old, ok := s.signatures[at]; ok && old != root {
		t.Fatalf("%s: two heads of size %d of %s are signed", s.name, size, origin)
	}
	s.signatures[at] = root
}

// swear waits for the disk, and takes down what it promises. If it says that it fails, nothing is promised of what came since the last time.
func (s *scene) swear(r *feed.Replica, disk *feedtest.Disk) error {
	if err := r.Sync(context.Background()); err != nil {
		last := s.promised(math.MaxInt)
		for origin, l := range s.logs {
			l.order = l.order[:last.blocks[origin]]
		}
		return err
	}
	p := promise{after: len(disk.Tape()), blocks: make(map[string]int)}
	for origin, l := range s.logs {
		p.blocks[origin] = len(l.order)
	}
	s.sworn = append(s.sworn, p)
	return nil
}

// promised returns what was promised before step n.
func (s *scene) promised(n int) (last promise) {
	for _, p := range s.sworn {
		if p.after <= n {
			last = p
		}
	}
	return last
}

// playStreamer signs blocks; some are on disk in time, some are not.
func playStreamer(t *testing.T, s *scene, disk *feedtest.Disk) {
	c := feedtest.Broadcast(t, s.station, s.on(disk), 1)
	s.signRounds(t, c, disk, 4)
	s.stop(t, c.Replica, disk)
}

// playRestarted opens a second epoch in the same process.
func playRestarted(t *testing.T, s *scene, disk *feedtest.Disk) {
	c := feedtest.Broadcast(t, s.station, s.on(disk), 1)
	s.signRounds(t, c, disk, 2)
	if err := c.Restart(1); err != nil {
		t.Fatal(err)
	}
	s.signRounds(t, c, disk, 2)
	s.stop(t, c.Replica, disk)
}

func (s *scene) signRounds(t *testing.T, c *feedtest.Channel, disk *feedtest.Disk, rounds int) {
	t.Helper()
	for round := range rounds {
		c.Append(t, 2, 60)
		time.Sleep(100 * time.Millisecond) // written, not synced
		c.Append(t, 3, 45)
		s.takeAll(t, c.Writer.Epoch())
		if round%3 != 1 {
			continue
		}
		if err := s.swear(c.Replica, disk); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
}

// takeAll takes down what a streamer has signed in an epoch.
func (s *scene) takeAll(t *testing.T, e *feed.Epoch) {
	t.Helper()
	for _, l := range e.Logs() {
		signed := s.sign(t, l)
		for ; signed.taken < uint64(len(signed.blocks)); signed.taken++ {
			signed.order = append(signed.order, signed.taken)
		}
	}
}

// stop ends the tape, and takes down what retention may have removed when all is on disk.
func (s *scene) stop(t *testing.T, r *feed.Replica, disk *feedtest.Disk) {
	t.Helper()
	s.tape = disk.Tape()
	_ = r.Sync(context.Background())
	for _, e := range r.Epochs() {
		for _, l := range e.Logs() {
			if signed := s.logs[l.Origin()]; signed != nil {
				signed.pruned = feed.PrunedRows(l)
			}
		}
	}
}

// playViewer takes in what somebody else signed, out of order and with holes, from the middle on.
func playViewer(t *testing.T, s *scene, disk *feedtest.Disk) {
	c := feedtest.Broadcast(t, s.station, feed.Config{}, 1)
	const n = 25
	for range n / 5 {
		c.Append(t, 5, 60)
	}
	viewer, log := c.Viewer(t, s.on(disk), feedtest.Rendition)
	source := c.Log.Log()
	signed := s.sign(t, source)
	shuffled := rand.New(rand.NewPCG(1, 2))
	for from := uint64(5); from < n; from += 5 {
		for _, k := range shuffled.Perm(5) {
			i := from + uint64(k)
			if i%11 == 6 {
				continue // lost on the way
			}
			if err := feedtest.Copy(source, log, i); err != nil {
				t.Fatal(err)
			}
			signed.order = append(signed.order, i)
		}
		time.Sleep(60 * time.Millisecond)
		if from%15 == 0 {
			if err := s.swear(viewer, disk); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(100 * time.Millisecond)
	s.stop(t, viewer, disk)
}

// TestCrashAtEveryByte stops a node at every change of its disk: before it, in the midst of it at every byte of the last row and of the last
// payload, with all that was not synced there, none of it, or any part of it. After the restart there is what was signed and nothing else, all
// that was promised, and no second signature for any size of any log.
func TestCrashAtEveryByte(t *testing.T) {
	window := feed.Retention{Bytes: 2 * crashPayloads}
	var cases atomic.Int64
	t.Run("scenes", func(t *testing.T) {
		for _, c := range []struct {
			name string
			keep feed.Retention
			play func(*testing.T, *scene, *feedtest.Disk)
		}{
			{"streamer", feed.Retention{}, playStreamer},
			{"streamer with a window", window, playStreamer},
			{"streamer with two epochs", window, playRestarted},
			{"streamer with a short time", feed.Retention{For: 250 * time.Millisecond}, playStreamer},
			{"viewer", feed.Retention{}, playViewer},
			{"viewer with a window", window, playViewer},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, c.name, newStation(t), c.keep, feedtest.NewDisk(), c.play)
				s.every = every()
				s.crash(t)
				cases.Add(int64(s.cases))
				t.Logf("%d steps, %d cases", len(s.tape), s.cases)
			})
		}
	})
	if want := int64(crashCases / every()); cases.Load() < want {
		t.Errorf("ran %d cases, want %d at least", cases.Load(), want)
	}
}

// crashCases is how many crashes there are at least when every one is played.
const crashCases = 10_000

// crash plays the tape up to each step, and crashes there.
func (s *scene) crash(t *testing.T) {
	disk := feedtest.NewDisk()
	for n, step := range s.tape {
		synctest.Test(t, func(t *testing.T) { s.crashAt(t, disk, n, &step) })
		disk.Do(step)
	}
	synctest.Test(t, func(t *testing.T) { s.crashAt(t, disk, len(s.tape), &feedtest.Step{}) })
}

// crashAt crashes in step n: before it, or with a part of it done.
func (s *scene) crashAt(t *testing.T, disk *feedtest.Disk, n int, step *feedtest.Step) {
	what := fmt.Sprintf("%s, step %d (%s %s)", s.name, n, step.What, path.Base(step.Name))
	p := s.promised(n)
	s.restart(t, what+", killed", disk.Copy(), p)
	s.restart(t, what+", power cut", disk.Synced(), p)
	for seed := range uint64(2) {
		s.restart(t, fmt.Sprintf("%s, power cut %d", what, seed), disk.PowerCut(rand.New(rand.NewPCG(uint64(n), seed))), p)
	}
	if step.What != "write" {
		return
	}
	for _, cut := range cuts(step) {
		torn := *step
		torn.Data = step.Data[:cut]
		left := disk.Copy()
		if cut%4 == 0 {
			left = disk.Synced()
		}
		left.Do(torn)
		s.restart(t, fmt.Sprintf("%s, torn at %d of %d", what, cut, len(step.Data)), left, p)
	}
}

// cuts returns where a write may be torn: at every byte of the last row and of the last payload of a rendition, and here and there before and elsewhere.
func cuts(step *feedtest.Step) (at []int) {
	last := 0
	switch file := step.Name; {
	case strings.HasSuffix(file, feedtest.Rendition+"/records"):
		last = feed.RowSize
	case strings.Contains(file, feedtest.Rendition+"/payload/"):
		last = 60
	}
	for cut := 1; cut < len(step.Data); cut++ {
		if cut >= len(step.Data)-last || cut%19 == 0 || cut%feed.RowSize == 0 {
			at = append(at, cut)
		}
	}
	return at
}

// restart starts the node on what is left. One in eight goes on and signs; one in 200 is looked at block by block, and dies again on the way.
func (s *scene) restart(t *testing.T, what string, disk *feedtest.Disk, p promise) {
	t.Helper()
	if s.crashes++; s.crashes%s.every != 0 {
		return
	}
	deep := s.crashes%(200*s.every) == 0
	before := disk.Copy()
	if deep {
		disk.Record()
	}
	s.goOn(t, what, disk, p, deep)
	if !deep {
		return
	}
	p.again = true
	for n, step := range disk.Tape() {
		s.goOn(t, fmt.Sprintf("%s, killed again at step %d", what, n), before.Copy(), p, false)
		s.goOn(t, fmt.Sprintf("%s, power cut again at step %d", what, n), before.Synced(), p, false)
		before.Do(step)
	}
}

// goOn opens what is left, checks it, and may sign one more block.
func (s *scene) goOn(t *testing.T, what string, disk *feedtest.Disk, p promise, deep bool) {
	t.Helper()
	s.cases++
	files := disk.Copy()
	r, err := feed.Open(s.station.Root(), s.on(disk))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer r.Close()
	for origin := range s.logs {
		s.check(t, what, r, files, origin, p, deep)
	}
	if deep || s.cases%8 == 0 {
		s.signOn(t, what, r)
	}
	if err := r.Close(); err != nil {
		t.Fatalf("%s: going on: %v", what, err)
	}
}

// signOn opens the next epoch, and signs the first block of it.
func (s *scene) signOn(t *testing.T, what string, r *feed.Replica) {
	t.Helper()
	old := r.Current()
	w, err := feed.NewWriter(feed.WriterConfig{Replica: r, Station: s.station})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	note := w.Epoch().Note()
	if old != nil && (note.Compare(ptr(old.Note())) <= 0 || w.Epoch().ID() == old.ID()) {
		t.Errorf("%s: the new epoch is not above the old one", what)
	}
	lw, err := w.Log(feedtest.Rendition)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	b, err := lw.Append(feed.Entry{Kind: feed.Media, Payload: []byte("on air again")})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	var f merkle.Frontier
	f.Append(b.Record.Leaf())
	s.observe(t, lw.Log().Origin(), 1, f.Root())
}

func ptr[T any](v T) *T { return &v }

// check checks what is left of a log. files is the disk as it was found.
func (s *scene) check(t *testing.T, what string, r *feed.Replica, files *feedtest.Disk, origin string, p promise, deep bool) {
	t.Helper()
	signed, promised := s.logs[origin], p.blocks[origin]
	e := r.Epoch(signed.epoch)
	if e == nil {
		if promised > 0 {
			t.Errorf("%s: the epoch of %s is lost", what, origin)
		}
		return
	}
	l, err := e.Log(signed.name)
	if err != nil {
		t.Fatal(err)
	}
	head := l.Head()
	if head.Size > uint64(len(signed.roots)) || head.Size > 0 && signed.roots[head.Size-1] != head.Root {
		t.Fatalf("%s: head of size %d of %s was never signed", what, head.Size, origin)
	}
	rows, _ := files.ReadFile(signed.dir+"/records", 1<<20)
	for k, i := range signed.order[:promised] {
		held := l.Has(i) // before gone: retention may be at work
		gone := !held && i < feed.PrunedRows(l) && (i < signed.pruned || p.again)
		if i >= head.Size || !signed.hasRow(rows, i, feed.BaseOf(l)) || !gone && !held {
			t.Fatalf("%s: block %d of %s was promised: size %d, on disk %v, held %v, pruned below %d, which may be %d",
				what, i, origin, head.Size, signed.hasRow(rows, i, feed.BaseOf(l)), held, feed.PrunedRows(l), signed.pruned)
		}
		if held && (deep || k == promised-1) {
			signed.read(t, what, l, i, i >= signed.pruned && !p.again)
		}
	}
	first := uint64(0)
	if !deep {
		first = head.Size - min(head.Size, 1)
	}
	for i := first; i < head.Size; i++ {
		signed.read(t, what, l, i, false)
	}
}

// hasRow reports whether row i is on disk as it was signed.
func (s *signedLog) hasRow(rows []byte, i, base uint64) bool {
	at := int(i-base) * feed.RowSize
	want := append(s.blocks[i].Record.Append(nil), s.blocks[i].Signature[:]...)
	return i >= base && at+feed.RowSize <= len(rows) && bytes.Equal(rows[at:at+feed.RowSize], want)
}

// read reads a block, which is the one that was signed, if it is there.
func (s *signedLog) read(t *testing.T, what string, l *feed.Log, i uint64, must bool) {
	t.Helper()
	b, err := l.Block(i)
	if err != nil && must {
		t.Fatalf("%s: block %d of %s was promised: %v", what, i, l.Origin(), err)
	}
	if err == nil && (b.Record != s.blocks[i].Record || !bytes.Equal(b.Payload, s.blocks[i].Payload)) {
		t.Fatalf("%s: block %d of %s is another than the one signed", what, i, l.Origin())
	}
}

func newStation(t testing.TB) *feed.Station {
	t.Helper()
	station, err := feed.OpenStation(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { station.Close() })
	return station
}

// every is how many crashes lie between two that are played, and how many changes between two that fail.
func every() int {
	if testing.Short() {
		return 5 * stride
	}
	return stride
}
