package feed

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A past is what a Replica has on disk of epochs that it does not hold in memory: there may be thousands. It knows their names, and
// opens them when somebody reads there.
type past struct {
	replica *Replica
	files   *archive

	// mu guards the rest. It is taken before all other locks, and held while an epoch is opened.
	mu     sync.Mutex
	known  []folder        // of all epochs on disk, lowest first
	opened []*Epoch        // last used last, at most maxOpened; whoever reads in one that was given up goes on with it
	began  map[logOf]int64 // at most maxBegan
}

// A folder is the name of an epoch's folder.
type folder struct {
	generation, number uint64
	id                 EpochID
}

// A logOf names a log of an epoch on disk.
type logOf struct {
	epoch folder
	log   string
}

const (
	maxOpened = 8
	maxBegan  = 1 << 14
	// notBegun is when a log begins that an epoch on disk has not, or that is not held.
	notBegun = math.MaxInt64
)

func newPast(r *Replica) *past {
	return &past{replica: r, files: &archive{Files: r.files}, began: make(map[logOf]int64)}
}

func (d folder) path() string {
	return fmt.Sprintf("%s/%d-%d-%v", epochsDir, d.generation, d.number, d.id)
}

func (d folder) compare(o folder) int {
	return cmp.Or(compareEpochs(d.generation, d.number, o.generation, o.number), slices.Compare(d.id[:], o.id[:]))
}

func folderOf(n *EpochNote) folder { return folder{n.Generation, n.Number, n.Key.EpochID()} }

// parseFolder reads the name of an epoch's folder.
func parseFolder(name string) (d folder, ok bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		return d, false
	}
	generation, err1 := strconv.ParseUint(parts[0], 10, 64)
	number, err2 := strconv.ParseUint(parts[1], 10, 64)
	id, err3 := ParseEpochID(parts[2])
	d = folder{generation, number, id}
	return d, err1 == nil && err2 == nil && err3 == nil && d.path() == epochsDir+"/"+name
}

// list reads the names of all epochs on disk.
func (p *past) list() error {
	names, err := p.files.List(epochsDir)
	if err != nil {
		return fmt.Errorf("couldn't read the data directory: %w", err)
	}
	for _, name := range names {
		if d, ok := parseFolder(name); ok {
			p.known = append(p.known, d)
		}
	}
	slices.SortFunc(p.known, folder.compare)
	return nil
}

// retire takes over an epoch that is no longer held in memory, when its files are complete and closed.
func (p *past) retire(e *Epoch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := folderOf(&e.note)
	if at, found := slices.BinarySearchFunc(p.known, d, folder.compare); !found {
		p.known = slices.Insert(p.known, at, d)
	}
	p.opened = slices.DeleteFunc(p.opened, func(o *Epoch) bool { return folderOf(&o.note) == d })
	maps.DeleteFunc(p.began, func(l logOf, _ int64) bool { return l.epoch == d })
}

// open returns an epoch on disk, nil if it is not there or not readable.
func (p *past) open(d folder) *Epoch {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := slices.IndexFunc(p.opened, func(e *Epoch) bool { return folderOf(&e.note) == d })
	if k >= 0 {
		e := p.opened[k]
		p.opened = append(slices.Delete(p.opened, k, k+1), e)
		return e
	}
	e, err := p.replica.openFolder(d, p.files)
	if err == nil {
		err = e.load()
	}
	if err != nil {
		p.replica.cfg.Logger.Warn("skipping an epoch on disk", "folder", d.path(), "err", err)
		return nil
	}
	if len(p.opened) == maxOpened {
		p.opened = slices.Delete(p.opened, 0, 1)
	}
	p.opened = append(p.opened, e)
	return e
}

// beginning returns when a log begins, as far as it is held, by the wall clock of its first record; notBegun if nothing is held.
// It remembers the answer: epochs on disk no longer change.
func (p *past) beginning(d folder, log string) int64 {
	p.mu.Lock()
	wall, known := p.began[logOf{d, log}]
	p.mu.Unlock()
	if known {
		return wall
	}
	wall, ok := p.peek(d, log)
	if !ok {
		wall = notBegun
		if e := p.open(d); e != nil {
			wall = e.beginning(log)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.began) < maxBegan {
		p.began[logOf{d, log}] = wall
	}
	return wall
}

// peek looks at record 0 of a log without opening its epoch: it proves itself. That is ten times faster than to open the epoch.
func (p *past) peek(d folder, log string) (wall int64, ok bool) {
	e, err := p.replica.openFolder(d, p.files)
	if err != nil {
		return 0, false
	}
	l := e.newLog(log)
	if found, err := l.store.open(); err != nil || !found || l.store.base != 0 {
		return 0, false
	}
	l.store.end = 1
	return l.wallOf(0)
}

// beginning returns when a log begins, as far as it is held; notBegun if nothing is held.
func (e *Epoch) beginning(log string) int64 {
	l := e.lookup(log)
	if l == nil {
		return notBegun
	}
	i := l.Base()
	for bad := 0; ; bad++ {
		at, _, ok := l.nextRow(i, l.end())
		if !ok {
			return notBegun
		}
		if wall, ok := l.wallOf(at); ok {
			return wall
		}
		i = at + stride(bad)
	}
}

// wallOf returns the wall clock of record i, if it is held and proved.
func (l *Log) wallOf(i uint64) (int64, bool) {
	b, ok := l.lookup(i)
	return b.Record.Wall, ok && l.proved(&b)
}

// openFolder verifies the notes in a folder. Expired ones are good enough here: this is the past.
func (r *Replica) openFolder(d folder, files Files) (*Epoch, error) {
	var n Notes
	var err error
	if n.Channel, err = files.ReadFile(d.path()+"/"+channelNoteFile, MaxNote); err != nil {
		return nil, err
	}
	if n.Epoch, err = files.ReadFile(d.path()+"/"+epochNoteFile, MaxNote); err != nil {
		return nil, err
	}
	channel, err := OpenChannelNote(r.root, n.Channel)
	if err != nil {
		return nil, err
	}
	note, err := OpenEpochNote(channel, n.Epoch)
	if err != nil {
		return nil, err
	}
	if folderOf(&note) != d {
		return nil, fmt.Errorf("its epoch note belongs in %s", epochDir(&note))
	}
	e := newEpoch(r, files, channel, note, n)
	e.unsaved = false
	return e, nil
}

// folders returns all epochs that are held in memory or on disk, lowest first.
func (r *Replica) folders() []folder {
	var all []folder
	if r.past != nil {
		r.past.mu.Lock()
		all = slices.Clone(r.past.known)
		r.past.mu.Unlock()
	}
	for _, e := range r.Epochs() {
		d := folderOf(&e.note)
		if at, found := slices.BinarySearchFunc(all, d, folder.compare); !found {
			all = slices.Insert(all, at, d)
		}
	}
	return all
}

// inMemory returns an epoch of folders if it is held in memory, else nil.
func (r *Replica) inMemory(d folder) *Epoch {
	if e := r.Epoch(d.id); e != nil && folderOf(&e.note) == d {
		return e
	}
	return nil
}

// open returns an epoch of folders, nil if it is gone or not readable.
func (r *Replica) open(d folder) *Epoch {
	if e := r.inMemory(d); e != nil {
		return e
	}
	if r.past == nil {
		return nil
	}
	return r.past.open(d)
}

// beginning returns when a log of an epoch of folders begins, as far as it is held.
func (r *Replica) beginning(d folder, log string) int64 {
	if e := r.inMemory(d); e != nil {
		return e.beginning(log)
	}
	if r.past == nil {
		return notBegun
	}
	return r.past.beginning(d, log)
}

// hasPayloads reports whether an epoch of folders may have payloads of a log.
func (r *Replica) hasPayloads(d folder, log string) bool {
	if r.inMemory(d) != nil || r.past == nil {
		return true
	}
	names, err := r.past.files.List(d.path() + "/" + log + "/payload")
	return err == nil && len(names) > 0
}

// last returns the wall clock of the last record of a log that is held.
func (e *Epoch) last(log string) (wall int64, ok bool) {
	l := e.lookup(log)
	if l == nil {
		return 0, false
	}
	p, err := l.find(0, l.end(), func(*Record) bool { return false })
	return p.before.Record.Wall, err == nil && !p.begin
}

// EpochIDs returns the ids of all epochs that are held, in memory or only on disk, lowest first.
func (r *Replica) EpochIDs() []EpochID {
	all := r.folders()
	ids := make([]EpochID, len(all))
	for k, d := range all {
		ids[k] = d.id
	}
	return ids
}

// OpenEpoch returns an epoch that is held in memory or only on disk. Those on disk only are read, not added to.
func (r *Replica) OpenEpoch(id EpochID) (*Epoch, error) {
	if e := r.Epoch(id); e != nil {
		return e, nil
	}
	for _, d := range r.folders() {
		if d.id != id {
			continue
		}
		if e := r.open(d); e != nil {
			return e, nil
		}
	}
	return nil, fmt.Errorf("epoch %v of channel %v: %w", id, r.root, ErrNotHeld)
}

// RootOf returns the root key of the channel in a folder, as the newest channel note there that is signed by its own root says. Whether it is the
// channel that somebody means, only a link tells.
func RootOf(dir string) (PublicKey, error) {
	files := osFiles{dir}
	p := past{files: &archive{Files: files}}
	if err := p.list(); err != nil {
		return PublicKey{}, err
	}
	for _, d := range slices.Backward(p.known) {
		signed, err := files.ReadFile(d.path()+"/"+channelNoteFile, MaxNote)
		if err != nil {
			continue
		}
		note, err := parseChannelNote(signed)
		if err != nil {
			continue
		}
		if _, err := OpenChannelNote(note.Root, signed); err == nil {
			return note.Root, nil
		}
	}
	return PublicKey{}, fmt.Errorf("no channel in %s: it has no folder %s with a signed channel.note in it", dir, epochsDir)
}
