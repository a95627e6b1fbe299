package feed

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"
)

// Retention is the window of a channel's past that stays on disk. What lies before it leaves as whole payload files, oldest first and
// never the newest; records, signatures and hashes stay, so that what was removed remains provable. The catalog stays whole. The zero value keeps
// everything; with both fields set, what either removes is removed.
type Retention struct {
	// For is how long before the newest record payloads were signed that stay. It is measured on the channel's own clock.
	For time.Duration
	// Bytes is how much all payload files of the channel may hold, of all its epochs.
	Bytes int64
}

// Stored is what of a channel is on disk.
type Stored struct {
	From  time.Time // when the oldest payload was signed; zero if there is none
	Bytes int64     // in payload files, about
	Short bool      // the disk has no room for the whole window
}

// Stored returns what is on disk, as of the last second.
func (r *Replica) Stored() Stored {
	if r.disk == nil {
		return Stored{}
	}
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	return r.disk.stored
}

// SetRetention replaces the window. What the new one does not hold leaves soon; what the old one has removed does not come back.
func (r *Replica) SetRetention(window Retention) {
	if r.disk == nil {
		return
	}
	r.disk.later(func() {
		r.disk.keeper.window = window
		r.disk.keep()
	})
}

// A keeper holds the disk to the window. It is owned by the disk goroutine, and remembers nothing that grows with the log.
//
//	whole ──the disk is full──▶ short: the oldest leave whenever there is no room ──the window removes something again──▶ whole
type keeper struct {
	replica *Replica
	window  Retention

	epoch  *Epoch // the current one
	newest int64  // wall clock of its newest record
	short  bool

	live      map[string]struct{} // folders of the epochs held in memory, until their files are closed
	past      int64               // bytes in all others on disk
	tier      *tier               // the oldest of those that has something to lose; nil if there is none, or it was not looked for
	looked    bool                // for it
	exhausted string              // its folder, or that of the last one that had nothing
}

// A tier is the logs of one epoch whose payloads may leave. Epochs leave in their order, since a clock may have been wrong.
type tier struct {
	dir    string // of an epoch that is not held in memory
	stores []*store
	spare  int // how many files of each log must stay
}

func newKeeper(r *Replica) keeper {
	k := keeper{replica: r, window: r.cfg.Retention, live: make(map[string]struct{})}
	for _, e := range r.Epochs() {
		k.live[e.dir] = struct{}{}
	}
	return k
}

// start counts what earlier runs left in epochs that are not held in memory: it lists folders, and opens the newest file of each.
func (k *keeper) start() error {
	var err error
	for _, dir := range k.pastDirs() {
		names, e := k.replica.files.List(dir)
		err = errors.Join(err, e)
		for _, name := range names {
			if CheckLogName(name) == nil {
				err = errors.Join(err, k.count(dir+"/"+name))
			}
		}
	}
	return err
}

// count adds what a log on disk holds.
func (k *keeper) count(dir string) error {
	p := newPayloads(k.replica.files, dir+"/payload", k.replica.cfg.payloadSize)
	err := p.load()
	k.past += p.held()
	return err
}

// pastDirs returns the folders of epochs that are not held in memory, oldest first.
func (k *keeper) pastDirs() (dirs []string) {
	p := k.replica.past
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.known {
		if _, live := k.live[d.path()]; !live {
			dirs = append(dirs, d.path())
		}
	}
	return dirs
}

// giveUp announces, to those who read in an epoch on disk, which payload bytes of a log are gone.
func (p *past) giveUp(dir string, floor uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.opened {
		for _, l := range e.Logs() {
			if l.store.dir == dir {
				_ = l.store.giveUp(floor) // who cannot read the rows learns it when a payload is not there
			}
		}
	}
}

// retire takes note of an epoch that is no longer held in memory, its files closed.
func (k *keeper) retire(e *Epoch) (err error) {
	delete(k.live, e.dir)
	for _, l := range e.Logs() {
		if l.store != nil {
			err = errors.Join(err, k.count(l.store.dir))
		}
	}
	k.looked = k.tier != nil
	return err
}

// saw notes how far the channel is, before b is written.
func (k *keeper) saw(l *Log, b *Block) {
	if l.epoch.retired {
		return
	}
	k.live[l.epoch.dir] = struct{}{}
	e := k.replica.Current()
	if l.epoch != e {
		return
	}
	if k.epoch != e {
		k.epoch, k.newest = e, 0
	}
	k.newest = max(k.newest, b.Record.Wall)
}

// keep removes what the window no longer holds. It returns what is left.
func (k *keeper) keep() (Stored, error) {
	var err error
	for t := range k.tiers() {
		if !k.prune(t, &err) {
			break
		}
	}
	stored := Stored{Bytes: k.held(), Short: k.short}
	for t := range k.tiers() {
		if wall := t.begins(); wall < math.MaxInt64 {
			stored.From = time.UnixMicro(wall)
			break
		}
	}
	return stored, err
}

// prune removes what is due of a tier, and reports whether to look at the next one.
func (k *keeper) prune(t *tier, err *error) bool {
	for {
		s, wall, e := t.oldest()
		*err = errors.Join(*err, e)
		switch {
		case s == nil:
			return true
		case !k.due(wall) && !k.astray(t, wall):
			return wall > k.newest
		}
		if *err = errors.Join(*err, k.remove(t, s)); *err != nil {
			return false
		}
		if k.short {
			k.short = false
			k.replica.cfg.Logger.Info("the disk has room for the whole window again", "kept_bytes", k.held())
		}
	}
}

func (k *keeper) due(wall int64) bool {
	return k.window.Bytes > 0 && k.held() > k.window.Bytes ||
		k.window.For > 0 && wall < k.newest-k.window.For.Microseconds()
}

// astray reports whether a wall clock of an epoch long gone lies so far ahead of the channel's that a clock must have been wrong, then or now. What was aired
// then is old if what was aired after it is: otherwise a start with a clock that is behind would cost all there is.
func (k *keeper) astray(t *tier, wall int64) bool {
	return t == k.tier && k.window.For > 0 && k.newest > 0 && wall > k.newest+k.window.For.Microseconds() && k.outlived(t.dir)
}

// outlived reports whether an epoch above the one in a folder began before the window.
func (k *keeper) outlived(dir string) bool {
	for _, d := range slices.Backward(k.replica.folders()) {
		if d.path() == dir {
			break
		}
		if k.due(k.replica.beginning(d, CatalogLog)) {
			return true
		}
	}
	return false
}

// held returns how many bytes all payload files hold.
func (k *keeper) held() int64 {
	held := k.past
	for _, e := range k.replica.Epochs() {
		for _, l := range e.Logs() {
			if l.store != nil {
				held += l.store.payloads.held()
			}
		}
	}
	return held
}

// yield makes room on a full disk: the oldest file leaves before its time. It returns false if there is no window, which says that
// something may leave, or nothing to remove.
func (k *keeper) yield() bool {
	if k.window == (Retention{}) {
		return false
	}
	for t := range k.tiers() {
		s, _, _ := t.oldest()
		if s == nil {
			continue
		}
		if k.remove(t, s) != nil {
			return false
		}
		k.warn()
		return true
	}
	return false
}

// warn says once that the window is not kept.
func (k *keeper) warn() {
	if !k.short {
		k.replica.cfg.Logger.Warn("the disk is full; keeping less than the window until there is room", "dir", k.replica.cfg.Dir,
			"kept_bytes", k.held(), "window_bytes", k.window.Bytes, "window", k.window.For)
	}
	k.short = true
}

func (k *keeper) remove(t *tier, s *store) error {
	before := s.payloads.held()
	if t == k.tier {
		k.replica.past.giveUp(s.dir, s.payloads.second())
	}
	err := s.dropLowest()
	if t == k.tier {
		k.past -= before - s.payloads.held()
	}
	if err != nil {
		return fmt.Errorf("couldn't remove the oldest history: %w", err)
	}
	return nil
}

// tiers returns the epochs that have payloads to lose, oldest first.
func (k *keeper) tiers() func(yield func(*tier) bool) {
	return func(yield func(*tier) bool) {
		for {
			t := k.pastTier()
			if t == nil {
				break
			}
			if !yield(t) {
				return
			}
			if t.held() > 0 {
				break // it stays: what comes after it on disk only does, too
			}
		}
		epochs := k.replica.Epochs()
		slices.Reverse(epochs)
		for i, e := range epochs {
			t := &tier{}
			for _, l := range e.Logs() {
				t.add(l.name, l.store)
			}
			if !slices.ContainsFunc(epochs[i+1:], (*Epoch).onDisk) {
				t.spare = 1 // nothing newer is on disk
			}
			if !yield(t) {
				return
			}
		}
	}
}

// onDisk reports whether payloads of an epoch are on disk.
func (e *Epoch) onDisk() bool {
	return slices.ContainsFunc(e.Logs(), func(l *Log) bool { return l.name != CatalogLog && l.store != nil && l.store.payloads.held() > 0 })
}

// pastTier returns the oldest epoch not held in memory that has something to lose, nil if there is none.
func (k *keeper) pastTier() *tier {
	if k.tier != nil && k.tier.held() > 0 {
		return k.tier
	}
	if k.tier != nil {
		k.tier, k.exhausted, k.looked = nil, k.tier.dir, false
	}
	if k.looked {
		return nil
	}
	k.looked = true
	dirs := k.pastDirs()
	for _, dir := range dirs[slices.Index(dirs, k.exhausted)+1:] {
		if t := k.openTier(dir); len(t.stores) > 0 {
			k.tier = t
			return t
		}
		k.exhausted = dir
	}
	return nil
}

// openTier opens the logs of an epoch on disk that have payloads to lose. It skips those that it cannot read: they stay.
func (k *keeper) openTier(dir string) *tier {
	t := &tier{dir: dir}
	names, err := k.replica.files.List(dir)
	for _, name := range names {
		if CheckLogName(name) != nil {
			continue
		}
		s := newStore(k.replica.past.files, dir+"/"+name, k.replica.cfg.payloadSize)
		found, e := s.openRows()
		if err = errors.Join(err, e); found && e == nil {
			t.add(name, s)
		}
	}
	if err != nil {
		k.replica.cfg.Logger.Warn("skipping a log on disk that is too old to be kept", "folder", dir, "err", err)
	}
	return t
}

// add adds a log to a tier, if it may lose something. The catalog stays whole: it is small, and says what everything else is.
func (t *tier) add(name string, s *store) {
	if name != CatalogLog && s != nil && s.payloads.held() > 0 {
		t.stores = append(t.stores, s)
	}
}

func (t *tier) held() (held int64) {
	for _, s := range t.stores {
		held += s.payloads.held()
	}
	return held
}

// oldest returns the log whose lowest payload file is the oldest, by the last record that begins in it; nil if nothing may leave. Logs
// that cannot be read keep what they have.
func (t *tier) oldest() (oldest *store, wall int64, err error) {
	for _, s := range t.stores {
		if s.payloads.number() <= t.spare {
			continue
		}
		w, e := s.lastIn(s.payloads.begins(0) + s.payloads.size)
		if err = errors.Join(err, e); e == nil && (oldest == nil || w < wall) {
			oldest, wall = s, w
		}
	}
	return oldest, wall, err
}

// begins returns the wall clock of the oldest record whose payload is there, beyond all if there is none.
func (t *tier) begins() int64 {
	wall := int64(math.MaxInt64)
	for _, s := range t.stores {
		if s.payloads.number() > 0 {
			wall = min(wall, s.firstFrom(s.payloads.begins(0)))
		}
	}
	return wall
}

// lastIn returns the wall clock of the last record that begins before an offset. If no row says, the bytes before it belong to nobody, and
// are older than all.
func (s *store) lastIn(offset uint64) (wall int64, err error) {
	_, r, _, err := s.lastRow(func(r *Record) bool { return r.Offset < offset })
	return r.Wall, err
}

// firstFrom returns the wall clock of the first record with a payload that begins at an offset or after it.
func (s *store) firstFrom(offset uint64) int64 {
	base, end, _ := s.span()
	if last, _, ok, _ := s.lastRow(func(r *Record) bool { return r.Offset < offset }); ok {
		base = last + 1
	}
	if _, r, ok, _ := s.nextRow(base, end); ok {
		return r.Wall
	}
	return math.MaxInt64
}

// dropLowest removes the lowest payload file.
func (s *store) dropLowest() error {
	next := s.payloads.second()
	if err := s.giveUp(next); err != nil {
		return err
	}
	// A crash here leaves the file: the next start takes it for held, until it leaves again. For this run it is gone, whatever comes.
	return s.payloads.removeLowest(next)
}

// isFull reports whether an error says that there is no room on the disk.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
