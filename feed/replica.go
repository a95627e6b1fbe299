package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Errors of Open and AddNotes.
var (
	// ErrLocked says that another process has the directory.
	ErrLocked = errors.New("another process uses this directory")
	// ErrExpired says that the channel note is past its time: the broadcaster must sign a new one.
	ErrExpired = errors.New("channel note has expired")
	// ErrOlderGeneration says that the channel has moved to a higher generation of stations: these notes may be a thief's.
	ErrOlderGeneration = errors.New("notes of a generation that was replaced")
	// ErrOlderEpoch says that a newer epoch is known, and this one is not among those held.
	ErrOlderEpoch = errors.New("notes of an older epoch")
)

// Config says how a Replica works. The zero value is a replica in memory.
type Config struct {
	// Dir is the folder of this channel, used by one process at a time. If empty, nothing is kept on disk.
	Dir string
	// ReadOnly shows what is in Dir, or Files, as it is now, and changes nothing there: another process may be using it.
	ReadOnly bool
	// NoHistory keeps of the channel on disk only what guards against going back: no blocks, which nobody would prune.
	NoHistory bool
	// Retention is how much of the channel's past stays on disk. If zero, all.
	Retention Retention
	// Files replaces the file system, for tests. If nil, that of the operating system, in Dir.
	Files Files
	// Logger gets what an operator would act on. If nil, nothing is logged.
	Logger *slog.Logger
	// Now is the clock by which notes expire. If nil, time.Now.
	Now func() time.Time
	// TailBytes is how much of the newest blocks of each log is kept in memory, payloads and bookkeeping. If zero, 32 MiB.
	TailBytes int

	payloadSize uint64 // of a file, for tests. If zero, 64 MiB
}

// maxEpochs is how many epochs are held in memory, the highest ones. Older ones stay on disk, and are opened to be read (past).
const maxEpochs = 4

// A Replica is what one node holds of one channel: the notes of its newest epochs and, of each epoch, blocks of its logs. It verifies
// all it takes in, serves it to Readers and to whoever asks, and never goes back behind the highest epoch that it has seen, not even
// after a restart. The streamer's own replica differs in nothing: a Writer adds to it what it signs. All methods may be called at any time.
type Replica struct {
	root  PublicKey
	cfg   Config
	files Files    // nil if in memory only
	lock  *os.File // nil without Dir, and if read-only
	disk  *disk    // nil if in memory only, or read-only
	past  *past    // nil if in memory only
	kept  beginnings

	// mu guards the rest. Locks are taken in the order Log.mu, Replica.mu, Epoch.mu.
	mu      sync.Mutex
	epochs  []*Epoch      // in ascending order, at most maxEpochs
	floor   newest        // what an earlier run remembered
	changed chan struct{} // nil unless somebody waits
	grown   chan struct{} // closed when an epoch is added; nil unless somebody waits
	closed  bool
}

// Open returns the replica of the channel with that root key, and recovers what an earlier run left in cfg.Dir.
func Open(root PublicKey, cfg Config) (*Replica, error) {
	r := &Replica{root: root, cfg: cfg.withDefaults(), files: cfg.Files}
	if err := r.openDir(); err != nil {
		return nil, err
	}
	if r.files == nil {
		return r, nil
	}
	r.past = newPast(r)
	if cfg.ReadOnly {
		r.files = r.past.files
	}
	if err := r.load(); err != nil {
		return nil, errors.Join(err, r.unlock())
	}
	if !cfg.ReadOnly {
		r.disk = newDisk(r)
		go r.disk.run()
	}
	return r, nil
}

// openDir takes the folder, if there is one; who only reads does not take it from others.
func (r *Replica) openDir() (err error) {
	dir := r.cfg.Dir
	switch {
	case dir == "":
		return nil
	case r.cfg.ReadOnly:
		if _, err := os.ReadDir(dir); err != nil {
			return fmt.Errorf("couldn't read the folder of a channel: %w", err)
		}
	default:
		if r.lock, err = LockDir(dir); err != nil {
			return err
		}
	}
	if r.files == nil {
		r.files = osFiles{dir}
	}
	return nil
}

func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.TailBytes = cmp.Or(cfg.TailBytes, 32<<20)
	cfg.payloadSize = cmp.Or(cfg.payloadSize, payloadSize)
	return cfg
}

// Close writes what is queued, syncs it and gives the directory free. It returns the error of the disk, if that fails.
func (r *Replica) Close() error {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if closed || r.past == nil {
		return nil
	}
	defer r.past.files.close() // the disk goroutine looks there until it ends
	if r.disk == nil {
		return nil
	}
	close(r.disk.stop)
	<-r.disk.done
	return errors.Join(r.disk.error(), r.unlock())
}

func (r *Replica) unlock() error {
	if r.lock == nil {
		return nil
	}
	return r.lock.Close()
}

// Root returns the root key of the channel.
func (r *Replica) Root() PublicKey { return r.root }

// DiskError returns why the history has a hole or has ended; nil while the disk works.
func (r *Replica) DiskError() error {
	if r.disk == nil {
		return nil
	}
	return r.disk.error()
}

// Sync returns when all that was added before is on disk, or ctx ends, or the disk fails.
func (r *Replica) Sync(ctx context.Context) error {
	if r.disk == nil {
		return nil
	}
	all := func() { r.disk.drain(); r.disk.syncAll() } // with what later was given
	if err := r.disk.wait(ctx, all); err != nil {
		return err
	}
	return r.disk.error()
}

// AddNotes verifies the notes of an epoch and returns it; an epoch that is held already is returned as it is, with a channel note that
// lasts longer taken over. Expired notes are refused, and so are those below the highest (generation, number) ever seen here.
func (r *Replica) AddNotes(n Notes) (*Epoch, error) {
	channel, err := OpenChannelNote(r.root, n.Channel)
	if err != nil {
		return nil, err
	}
	if channel.Expired(r.cfg.Now()) {
		return nil, fmt.Errorf("%w on %s", ErrExpired, channel.NotAfter.Format(time.DateOnly))
	}
	note, err := OpenEpochNote(channel, n.Epoch)
	if err != nil {
		return nil, err
	}
	e, fresh, err := r.addEpoch(channel, note, n)
	if fresh && r.disk != nil {
		r.disk.later(r.disk.saveNewest)
	}
	if fresh {
		time.AfterFunc(shrinkAfter, r.shrink)
	}
	return e, err
}

// shrink gives back the memory of all epochs but the current one.
func (r *Replica) shrink() {
	if r.disk == nil || r.cfg.NoHistory {
		r.shrinkTo(restBytes)
		return
	}
	r.disk.later(func() {
		r.disk.syncAll()
		if r.disk.error() != nil {
			r.shrinkTo(restBytes) // not all is on disk
			return
		}
		r.shrinkTo(0)
	})
}

func (r *Replica) shrinkTo(limit int) {
	current := r.Current()
	for _, e := range r.Epochs() {
		if e != current {
			e.shrink(limit)
		}
	}
}

func (r *Replica) addEpoch(channel ChannelNote, note EpochNote, n Notes) (e *Epoch, fresh bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if note.Generation < r.highest().generation {
		return nil, false, ErrOlderGeneration
	}
	at, found := slices.BinarySearchFunc(r.epochs, &note, (*Epoch).compare)
	if found {
		r.epochs[at].renew(channel, n.Channel)
		return r.epochs[at], false, nil
	}
	if note.before(r.highest()) {
		return nil, false, ErrOlderEpoch
	}
	e = newEpoch(r, r.files, channel, note, n)
	r.insert(at, e)
	r.grown = wake(r.grown)
	r.changed = wake(r.changed)
	return e, true, nil
}

// compare orders epochs by (generation, number). Two runs that began in the same millisecond are ordered by their ids.
func (e *Epoch) compare(note *EpochNote) int {
	a, b := e.ID(), note.Key.EpochID()
	return cmp.Or(e.note.Compare(note), slices.Compare(a[:], b[:]))
}

func (n *EpochNote) before(h newest) bool {
	return compareEpochs(n.Generation, n.Number, h.generation, h.number) < 0
}

// insert adds an epoch, and gives up the lowest one if there are too many.
func (r *Replica) insert(at int, e *Epoch) {
	r.epochs = slices.Insert(r.epochs, at, e)
	if len(r.epochs) <= maxEpochs {
		return
	}
	oldest := r.epochs[0]
	r.epochs = slices.Delete(r.epochs, 0, 1)
	if r.disk != nil {
		r.disk.later(func() {
			r.disk.closeEpoch(oldest)
			r.past.retire(oldest)
		})
	}
}

// highest returns the highest epoch seen, in this run or an earlier one.
func (r *Replica) highest() newest {
	if len(r.epochs) == 0 {
		return r.floor
	}
	note := &r.epochs[len(r.epochs)-1].note
	if note.before(r.floor) {
		return r.floor
	}
	return newest{generation: note.Generation, number: note.Number}
}

// Highest returns the highest (generation, number) ever seen here; zero if none was.
func (r *Replica) Highest() (generation, number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.highest()
	return h.generation, h.number
}

// Current returns the epoch to follow: the highest known; nil if none is.
func (r *Replica) Current() *Epoch {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.epochs) == 0 {
		return nil
	}
	return r.epochs[len(r.epochs)-1]
}

// Epochs returns the epochs held in memory, highest first.
func (r *Replica) Epochs() []*Epoch {
	r.mu.Lock()
	defer r.mu.Unlock()
	epochs := slices.Clone(r.epochs)
	slices.Reverse(epochs)
	return epochs
}

// Epoch returns the epoch with that id, nil if it is not held in memory.
func (r *Replica) Epoch(id EpochID) *Epoch {
	for _, e := range r.Epochs() {
		if e.ID() == id {
			return e
		}
	}
	return nil
}

// Notes returns the notes of Current, to be passed on; zero if there is none.
func (r *Replica) Notes() Notes {
	if e := r.Current(); e != nil {
		return e.Notes()
	}
	return Notes{}
}

// Changed returns a channel that is closed at the next new epoch, block or fault.
func (r *Replica) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// newEpoch returns a channel that is closed when an epoch is added.
func (r *Replica) newEpoch() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grown == nil {
		r.grown = make(chan struct{})
	}
	return r.grown
}

func (r *Replica) notify() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = wake(r.changed)
}

// wake wakes who waits for c, and returns nil. Who wants to wait again makes a new channel: without waiters, nothing is allocated.
func wake(c chan struct{}) chan struct{} {
	if c != nil {
		close(c)
	}
	return nil
}

// load reads what an earlier run left: what may not be gone back behind, and the newest epochs.
func (r *Replica) load() error {
	r.tidy(".")
	err := r.loadNewest()
	if err != nil && r.cfg.ReadOnly {
		r.cfg.Logger.Warn("going on without what was remembered", "err", err)
		err = nil
	}
	if err != nil || r.cfg.NoHistory {
		return err
	}
	if err := r.past.list(); err != nil {
		return err
	}
	skipped := 0
	for _, d := range slices.Backward(r.past.known) {
		if len(r.epochs) == maxEpochs {
			break
		}
		if err := r.loadEpoch(d); err != nil {
			if skipped++; skipped <= maxWarnings {
				r.cfg.Logger.Warn("skipping an epoch on disk", "folder", d.path(), "err", err)
			}
		}
	}
	if skipped > maxWarnings {
		r.cfg.Logger.Warn("skipped many epochs on disk", "skipped", skipped)
	}
	return nil
}

// maxWarnings is how many damaged epochs a start names one by one.
const maxWarnings = 8

// tidy removes temporary files that a killed process left in a folder.
func (r *Replica) tidy(folder string) {
	o, ok := r.files.(osFiles)
	if !ok {
		return
	}
	if err := o.removeTemporary(folder); err != nil {
		r.cfg.Logger.Warn("couldn't remove temporary files", "folder", folder, "err", err)
	}
}

// loadEpoch verifies the notes in a folder and recovers its logs. They are loaded from the highest down.
func (r *Replica) loadEpoch(d folder) error {
	r.tidy(d.path())
	e, err := r.openFolder(d, r.files)
	if err != nil {
		return err
	}
	r.epochs = slices.Insert(r.epochs, 0, e)
	return e.load()
}

// load recovers the logs of an epoch.
func (e *Epoch) load() error {
	names, err := e.files.List(e.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if CheckLogName(name) != nil {
			continue
		}
		if !e.readOnly() {
			e.replica.tidy(e.dir + "/" + name)
		}
		l, err := e.Log(name)
		if err != nil {
			return err
		}
		if err := l.recover(); err != nil {
			e.replica.cfg.Logger.Warn("couldn't recover a log; going on without its history", "log", l.origin, "err", err)
		}
	}
	e.mu.Lock()
	anchors := slices.Clone(e.anchors)
	e.mu.Unlock()
	for _, a := range anchors {
		e.compareAnchor(a)
	}
	e.loadFault(names)
	return nil
}

// recover finds the end of the log on disk and goes on from there.
func (l *Log) recover() error {
	edge, head, err := l.store.recover(l.verifyHead)
	if err != nil {
		l.store.dead = err
		return err
	}
	l.edge = edge
	if head.Size >= l.head.Size {
		l.head = head
	}
	if l.name == CatalogLog && head.Size > 0 {
		l.relearn(head.Size)
	}
	return nil
}

// relearn reads the newest segment of the catalog, a minute long as a rule: it begins with a State.
func (l *Log) relearn(size uint64) {
	for i := max(l.SegmentStart(size-1), size-min(size, chunkRows)); i < size; i++ {
		b, err := l.Block(i)
		if err != nil || b.Record.Kind != Event {
			continue
		}
		l.epoch.learn(&b)
		if before, err := l.Frontier(i); err == nil {
			l.epoch.addAnchor(&b, &before)
		}
	}
}
