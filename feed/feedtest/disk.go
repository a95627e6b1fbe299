// Package feedtest holds what tests of feeds share, in this repository and in others: a disk that fails and loses power on demand, the
// contract of feed.Files as a test, and a channel with blocks to feed to whatever is under test.
package feedtest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"tailcast/feed"
)

// ErrDisk is what a Disk returns when it is told to fail.
var ErrDisk = errors.New("disk error, on demand")

// An Outcome is what becomes of one change of the disk.
type Outcome int

// The outcomes. All but Done return ErrDisk or ENOSPC; the bytes are not there, half of them are, or all of them are, though the caller
// saw an error.
const (
	Done Outcome = iota
	Lost
	Torn
	Landed
	Full // half of the bytes are there, and the error is ENOSPC
)

func (o Outcome) String() string { return [...]string{"done", "lost", "torn", "landed", "full"}[o] }

// A Change is about to happen to a Disk.
type Change struct {
	N    int    // counts changes from 0
	What string // write, truncate, sync, replace, create or remove
	Name string // of the file
}

// A Disk is a feed.Files in memory. It knows what a power cut may take: all that was written to a file since it was last synced.
type Disk struct {
	// Fail decides what becomes of each change. If nil, all are done. It is called with the disk locked.
	Fail func(Change) Outcome

	// mu guards the rest, and all files.
	mu      sync.Mutex
	files   map[string]*file
	room    int64 // for the bytes of all files; 0: without bound
	taping  bool
	tape    []Step
	changes int
	off     bool
}

type file struct {
	durable []byte
	now     []byte
	pending []pending
}

// A pending change was made after the last sync.
type pending struct {
	at       int64
	data     []byte
	truncate bool // to size at
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{files: make(map[string]*file)} }

// Changes returns how many changes were tried so far.
func (d *Disk) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// SetRoom makes the disk one of so many bytes: what does not fit is ENOSPC. 0 is without bound.
func (d *Disk) SetRoom(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = bytes
}

// Used returns how many bytes all files have.
func (d *Disk) Used() (bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

func (d *Disk) used() (bytes int64) {
	for _, f := range d.files {
		bytes += int64(len(f.now))
	}
	return bytes
}

// PowerCut returns the disk as a start after a power cut finds it: each change since the last sync of its file is there, or not, or in
// part, as chance has it.
func (d *Disk) PowerCut(chance *rand.Rand) *Disk {
	return d.copy(func(f *file) []byte { return f.after(chance) })
}

// Synced returns the disk as a power cut leaves it that takes all that was not synced.
func (d *Disk) Synced() *Disk { return d.copy(func(f *file) []byte { return slices.Clone(f.durable) }) }

// Copy returns another disk of the same content, all of it synced: what kill -9 leaves.
func (d *Disk) Copy() *Disk { return d.copy(func(f *file) []byte { return slices.Clone(f.now) }) }

func (d *Disk) copy(content func(*file) []byte) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := NewDisk()
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		data := content(d.files[name])
		next.files[name] = &file{durable: data, now: slices.Clone(data)}
	}
	return next
}

// Off turns the disk off for its users: whoever wrote to it is dead.
func (d *Disk) Off() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// after returns the content after a power cut.
func (f *file) after(chance *rand.Rand) []byte {
	data := slices.Clone(f.durable)
	for _, p := range f.pending {
		switch chance.IntN(3) {
		case 0:
			data = p.apply(data)
		case 1: // a part, from either end
			if p.truncate || len(p.data) == 0 {
				continue
			}
			cut := chance.IntN(len(p.data))
			if chance.IntN(2) == 0 {
				data = pending{at: p.at, data: p.data[:cut]}.apply(data)
			} else {
				data = pending{at: p.at + int64(cut), data: p.data[cut:]}.apply(data)
			}
		}
	}
	return data
}

func (p pending) apply(data []byte) []byte {
	if p.truncate {
		return resize(data, p.at)
	}
	if end := p.at + int64(len(p.data)); int64(len(data)) < end {
		data = resize(data, end)
	}
	copy(data[p.at:], p.data)
	return data
}

func resize(data []byte, size int64) []byte {
	if int64(len(data)) >= size {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// Corrupt changes one byte of a file, as rot does. It returns false if the file is not that long.
func (d *Disk) Corrupt(name string, at int64, flip byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil || at >= int64(len(f.now)) {
		return false
	}
	f.now[at] ^= flip
	f.durable = slices.Clone(f.now)
	f.pending = nil
	return true
}

// Put makes a file of that content, behind the back of the users; nil removes it.
func (d *Disk) Put(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if data == nil {
		delete(d.files, name)
		return
	}
	d.files[name] = &file{durable: slices.Clone(data), now: slices.Clone(data)}
}

// Names returns the names of all files, in order.
func (d *Disk) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.files))
}

// change asks what becomes of a change that makes the files so much longer. The disk is locked.
func (d *Disk) change(what, name string, more int64) (outcome Outcome, err error) {
	if d.off {
		return Lost, fmt.Errorf("%s %s: %w", what, name, ErrDisk)
	}
	n := d.changes
	d.changes++
	if d.Fail != nil {
		outcome = d.Fail(Change{N: n, What: what, Name: name})
	}
	if outcome == Done && d.room > 0 && more > 0 && d.used()+more > d.room {
		outcome = Full
	}
	switch outcome {
	case Done:
		return Done, nil
	case Full:
		return Full, fmt.Errorf("%s %s: %w", what, name, syscall.ENOSPC)
	}
	return outcome, fmt.Errorf("%s %s: %w", what, name, ErrDisk)
}

// Open implements feed.Files.
func (d *Disk) Open(name string, create bool) (feed.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, ErrDisk
	}
	f := d.files[name]
	if f == nil && !create {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if f == nil {
		outcome, err := d.change("create", name, 1)
		if outcome == Done || outcome == Landed {
			f = d.do(Step{What: "create", Name: name})
		}
		if err != nil {
			return nil, err
		}
	}
	return &handle{disk: d, name: name, file: f}, nil
}

// ReadFile implements feed.Files.
func (d *Disk) ReadFile(name string, limit int) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	switch {
	case d.off:
		return nil, ErrDisk
	case f == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case len(f.now) > limit:
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return slices.Clone(f.now), nil
}

// WriteFile implements feed.Files. A torn one is old or new, never a mixture.
func (d *Disk) WriteFile(name string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	outcome, err := d.change("replace", name, int64(len(data)))
	if outcome == Done || outcome == Landed {
		d.do(Step{What: "replace", Name: name, Data: slices.Clone(data)})
	}
	return err
}

// Remove implements feed.Files.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	outcome, err := d.change("remove", name, 0)
	if outcome == Done || outcome == Landed {
		d.do(Step{What: "remove", Name: name})
	}
	return err
}

// List implements feed.Files.
func (d *Disk) List(folder string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, ErrDisk
	}
	names := make(map[string]bool)
	for name := range d.files {
		if rest, ok := strings.CutPrefix(name, path.Clean(folder)+"/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			names[first] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// A handle is an open file.
type handle struct {
	disk   *Disk
	name   string
	file   *file
	closed bool
}

func (h *handle) ReadAt(p []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed || h.disk.off {
		return 0, fs.ErrClosed
	}
	n := 0
	if at < int64(len(h.file.now)) {
		n = copy(p, h.file.now[at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(p []byte, at int64) (int, error) {
	return len(p), h.apply(Step{What: "write", Name: h.name, At: at, Data: slices.Clone(p)})
}

func (h *handle) Truncate(size int64) error {
	return h.apply(Step{What: "truncate", Name: h.name, At: size})
}

func (h *handle) apply(s Step) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	outcome, err := h.disk.change(s.What, h.name, s.At+int64(len(s.Data))-int64(len(h.file.now)))
	switch {
	case outcome == Lost || (outcome == Torn || outcome == Full) && s.What == "truncate":
		return err
	case outcome == Torn || outcome == Full:
		s.Data = s.Data[:len(s.Data)/2]
	}
	if h.disk.files[h.name] == h.file { // else it was removed
		h.disk.do(s)
	}
	return err
}

func (h *handle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	outcome, err := h.disk.change("sync", h.name, 0)
	if (outcome == Done || outcome == Landed) && h.disk.files[h.name] == h.file {
		h.disk.do(Step{What: "sync", Name: h.name})
	}
	return err
}

func (h *handle) Size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed || h.disk.off {
		return 0, fs.ErrClosed
	}
	return int64(len(h.file.now)), nil
}

func (h *handle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	h.closed = true
	return nil
}
