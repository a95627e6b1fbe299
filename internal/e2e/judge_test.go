package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// A judge remembers every signature that it was ever shown, on disk or by a viewer, and refuses a second one for the same size of the
// same log. It reads folders by itself, from docs/feed.md: what the streamer's own recovery would forgive, it sees.
type judge struct {
	root    feed.PublicKey
	seen    map[string]map[uint64]row // by origin and index
	logs    map[string]*written       // by origin: what is on disk
	number  uint64                    // of the highest epoch on disk
	epochs  map[string]bool           // folders
	settled map[feed.EpochID]bool     // nothing more is expected of it: its streamer was killed before the last one
}

// A row is a record and the signature of the head of the size after it, as on disk.
type row [feed.RecordSize + feed.SignatureSize]byte

// written is the verified part of a log on disk, from its first row on.
type written struct {
	edge  merkle.Frontier
	last  feed.Record
	holes bool // rows are missing: what comes after cannot be verified from here
}

func newJudge(root feed.PublicKey) *judge {
	return &judge{root: root, seen: make(map[string]map[uint64]row), logs: make(map[string]*written), epochs: make(map[string]bool), settled: make(map[feed.EpochID]bool)}
}

// testify takes down what is signed for index i of a log.
func (j *judge) testify(origin string, i uint64, r row) error {
	if j.seen[origin] == nil {
		j.seen[origin] = make(map[uint64]row)
	}
	if known, ok := j.seen[origin][i]; ok && known != r {
		return fmt.Errorf("%s: two signatures for size %d", origin, i+1)
	}
	j.seen[origin][i] = r
	return nil
}

// inspect reads all of a streamer's folder, after a kill. If that streamer was up, it has recovered what the one before left: nothing may be
// torn but in the newest epoch.
func (j *judge) inspect(dir string, wasUp bool) error {
	folders, err := os.ReadDir(filepath.Join(dir, "epochs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // killed before the first row
	}
	if err != nil {
		return err
	}
	highest, torn := j.number, make(map[uint64]bool)
	for _, f := range folders {
		number, isTorn, err := j.epoch(filepath.Join(dir, "epochs", f.Name()), highest)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		torn[number] = isTorn
	}
	for number, isTorn := range torn {
		if isTorn && wasUp && number != j.number {
			return fmt.Errorf("epoch %d ends with a torn row, although a streamer has started since", number)
		}
	}
	return nil
}

// epoch reads the folder of one epoch; a new one must be above highest.
func (j *judge) epoch(dir string, highest uint64) (number uint64, torn bool, err error) {
	note, err := j.notes(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil // killed between folder and notes: there is nothing else
	}
	if err != nil {
		return 0, false, err
	}
	if !j.epochs[dir] && note.Number <= highest {
		return 0, false, fmt.Errorf("a new epoch, %d, that is not above the highest before, %d", note.Number, highest)
	}
	j.epochs[dir], j.number = true, max(j.number, note.Number)
	logs, err := os.ReadDir(dir)
	for _, l := range logs {
		if l.IsDir() {
			isTorn, logErr := j.log(filepath.Join(dir, l.Name()), note, l.Name())
			torn, err = torn || isTorn, errors.Join(err, logErr)
		}
	}
	return note.Number, torn, err
}

func (j *judge) notes(dir string) (feed.EpochNote, error) {
	channelText, err := os.ReadFile(filepath.Join(dir, "channel.note"))
	if err != nil {
		return feed.EpochNote{}, err
	}
	epochText, err := os.ReadFile(filepath.Join(dir, "epoch.note"))
	if err != nil {
		return feed.EpochNote{}, err
	}
	channel, err := feed.OpenChannelNote(j.root, channelText)
	if err != nil {
		return feed.EpochNote{}, err
	}
	return feed.OpenEpochNote(channel, epochText)
}

// log reads the rows of a log: what was there stays, what is new verifies with its payload. A torn row at the end is what is left
// of a write that was cut short.
func (j *judge) log(dir string, note feed.EpochNote, name string) (torn bool, err error) {
	origin := feed.Origin(note.Root, note.Key.EpochID(), name)
	bytes, err := os.ReadFile(filepath.Join(dir, "records"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	w := j.logs[origin]
	if w == nil {
		w = &written{}
		j.logs[origin] = w
	}
	rows := uint64(len(bytes) / len(row{}))
	if rows < w.edge.Size() {
		return false, fmt.Errorf("%s: %d rows, there were %d", origin, rows, w.edge.Size())
	}
	for i := range rows {
		r := row(bytes[int(i)*len(row{}):])
		if r != (row{}) {
			if err := j.testify(origin, i, r); err != nil {
				return false, err
			}
		}
		if r == (row{}) {
			w.holes = true // of another streamer's catalog, at which this one had a look
		}
		if i >= w.edge.Size() && !w.holes {
			if err := w.append(r, dir, origin, note.Key); err != nil {
				return false, fmt.Errorf("%s: row %d of %d: %w", origin, i, rows, err)
			}
		}
	}
	return len(bytes)%len(row{}) != 0, nil
}

// append verifies the next row: rules, tree, signature, payload.
func (w *written) append(r row, dir, origin string, key feed.PublicKey) error {
	record, err := feed.ParseRecord(r[:feed.RecordSize])
	if err != nil {
		return err
	}
	prev := &w.last
	if w.edge.Size() == 0 {
		prev = nil
	}
	if err := record.Follows(prev); err != nil {
		return err
	}
	w.edge.Append(record.Leaf())
	head := feed.Head{Size: w.edge.Size(), Root: w.edge.Root(), Signature: feed.Signature(r[feed.RecordSize:])}
	if !head.Verify(key, origin) {
		return errors.New("not signed")
	}
	payload, err := readPayload(dir, &record)
	if err != nil {
		return err
	}
	w.last = record
	return record.CheckPayload(payload)
}

func readPayload(dir string, r *feed.Record) ([]byte, error) {
	const size = 64 << 20
	p := make([]byte, r.Length)
	for done := uint64(0); done < uint64(r.Length); {
		at := r.Offset + done
		start := at &^ (size - 1)
		n := min(uint64(r.Length)-done, start+size-at)
		f, err := os.Open(filepath.Join(dir, "payload", fmt.Sprintf("%020d", start)))
		if err != nil {
			return nil, err
		}
		_, err = f.ReadAt(p[done:done+n], int64(at-start))
		f.Close()
		if err != nil {
			return nil, err
		}
		done += n
	}
	return p, nil
}

// hear takes down what a viewer holds: it joined somewhere and may lack blocks.
func (j *judge) hear(v *feed.Replica) error {
	for _, e := range v.Epochs() {
		for _, l := range e.Logs() {
			if f := l.Fault(); f != nil {
				return f
			}
			for i := range l.Head().Size {
				b, err := l.Block(i)
				if err != nil {
					continue
				}
				if err := j.testify(l.Origin(), i, row(append(b.Record.Append(nil), b.Signature[:]...))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lost returns an error if something that a viewer holds of the streamer that was killed just now, signed more than a second before, is not
// on disk.
func (j *judge) lost(v *feed.Replica, killed time.Time) error {
	for _, e := range v.Epochs() {
		if j.settled[e.ID()] {
			continue // it died earlier
		}
		j.settled[e.ID()] = true
		for _, l := range e.Logs() {
			if err := j.lostOf(l, killed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *judge) lostOf(l *feed.Log, killed time.Time) error {
	disk := uint64(0)
	if w := j.logs[l.Origin()]; w != nil {
		disk = w.edge.Size()
	}
	for i := disk; i < l.Head().Size; i++ {
		b, err := l.Block(i)
		if err != nil {
			continue
		}
		if age := killed.Sub(time.UnixMicro(b.Record.Wall)); age > time.Second {
			return fmt.Errorf("%s: block %d, signed %v before the kill, is not on disk, which ends at %d", l.Origin(), i, age, disk)
		}
	}
	return nil
}

// hears waits until a replica knows of an epoch of that number or a higher one: it may dial again later than others do.
func hears(t *testing.T, r *feed.Replica, number uint64) {
	t.Helper()
	expired := time.After(patience)
	for {
		changed := r.Changed()
		_, highest := r.Highest()
		if highest >= number {
			return
		}
		select {
		case <-changed:
		case <-expired:
			t.Fatalf("waited %v, and the highest epoch known is %d, want %d at least", patience, highest, number)
		}
	}
}

// watch is a viewer inside the test, so that all it holds can be looked at. It ends with the test.
func watch(t *testing.T, root feed.PublicKey, anchors ...string) *feed.Replica {
	t.Helper()
	replica, err := feed.Open(root, feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := openEndpoint("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := swarm.Config{Endpoint: endpoint, Replica: replica, Role: quicwire.Viewer, Logger: slog.New(slog.DiscardHandler)}
	for _, a := range anchors {
		cfg.Anchors = append(cfg.Anchors, feed.Anchor{Addr: a})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := swarm.New(cfg)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, endpoint.Close(), replica.Close()); err != nil {
			t.Errorf("the viewer in the test: %v", err)
		}
	})
	return replica
}

// rows counts what the judge has seen.
func (j *judge) rows() (n int) {
	for _, log := range j.seen {
		n += len(log)
	}
	return n
}

func (j *judge) String() string {
	return fmt.Sprintf("%d epochs, %d logs, %d signatures", len(j.epochs), len(j.seen), j.rows())
}
