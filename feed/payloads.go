package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
)

// payloads is the folder payload of one log: files of 64 MiB, which come one after the other and leave whole, lowest first. The disk
// goroutine alone writes, syncs, drops and closes; anybody may read.
type payloads struct {
	files Files
	dir   string
	size  uint64 // of a file; a power of two

	// mu guards the rest: the disk goroutine changes it, readers look. It is not held during reads and writes of files.
	mu     sync.Mutex
	open   map[uint64]File // by start; those written to since the last sync, and the newest
	count  int             // files there are
	lowest uint64          // start of the lowest one, if there is one
	top    uint64          // start of the highest one
	begin  uint64          // the bytes held lie in [begin, end), as far as files were not removed
	end    uint64
	floor  uint64 // what lies below was given up. It is raised before the file is removed, so that nobody is surprised
	probed probe

	// Owned by the disk goroutine.
	unsure bool     // a file could not be made, or so it was said
	stuck  []uint64 // files that could not be removed
}

// A probe remembers whether a file is there, for whoever looks at one row after the other.
type probe struct {
	start uint64
	there bool
	valid bool
}

func newPayloads(files Files, dir string, size uint64) payloads {
	return payloads{files: files, dir: dir, size: size, open: make(map[uint64]File)}
}

func (p *payloads) startOf(offset uint64) uint64 { return offset &^ (p.size - 1) }

// name returns the name of the file that holds the bytes from start on.
func (p *payloads) name(start uint64) string { return fmt.Sprintf("%s/%020d", p.dir, start) }

// load finds out which files an earlier run left.
func (p *payloads) load() error {
	starts, err := p.list()
	if err != nil || len(starts) == 0 {
		return err
	}
	newest := starts[len(starts)-1]
	f, err := p.files.Open(p.name(newest), false)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count, p.lowest, p.top, p.begin, p.end = len(starts), starts[0], newest, starts[0], newest+uint64(size)
	return nil
}

// list returns the starts of the files, ascending. Other names are no business of ours.
func (p *payloads) list() ([]uint64, error) {
	names, err := p.files.List(p.dir)
	if err != nil {
		return nil, err
	}
	var starts []uint64
	for _, name := range names {
		start, err := strconv.ParseUint(name, 10, 64)
		if err == nil && start%p.size == 0 && len(name) == 20 {
			starts = append(starts, start)
		}
	}
	return starts, nil
}

// write puts bytes in their place, but for those that were given up.
func (p *payloads) write(offset uint64, b []byte) error {
	if floor := p.given(); offset < floor {
		gone := min(floor-offset, uint64(len(b)))
		offset, b = offset+gone, b[gone:]
	}
	for len(b) > 0 {
		start := p.startOf(offset)
		n := min(uint64(len(b)), start+p.size-offset)
		f, err := p.file(start)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(b[:n], int64(offset-start)); err != nil {
			return err
		}
		p.wrote(offset, offset+n)
		offset, b = offset+n, b[n:]
	}
	return nil
}

func (p *payloads) wrote(from, to uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begin == p.end {
		p.begin, p.end = from, to
	}
	p.begin, p.end = min(p.begin, from), max(p.end, to)
}

// file returns the file that begins at start, opened or made.
func (p *payloads) file(start uint64) (File, error) {
	if f := p.open[start]; f != nil {
		return f, nil
	}
	f, err := p.files.Open(p.name(start), false)
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		f, err = p.files.Open(p.name(start), true)
	}
	if err != nil {
		p.unsure = fresh // it may be there all the same
		return nil, err
	}
	if p.unsure {
		if starts, err := p.list(); err == nil && len(starts) > 0 {
			p.recount(starts)
			fresh, p.unsure = false, false
		}
	}
	p.opened(start, f, fresh)
	return f, nil
}

// opened takes note of a file, which may be a fresh one.
func (p *payloads) opened(start uint64, f File, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[start], p.probed = f, probe{}
	if !fresh {
		return
	}
	if p.count == 0 {
		p.lowest, p.top = start, start
	}
	p.lowest, p.top = min(p.lowest, start), max(p.top, start)
	p.count++
}

// recount takes over which files there are.
func (p *payloads) recount(starts []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count, p.lowest, p.top = len(starts), starts[0], starts[len(starts)-1]
}

// read returns the bytes that r speaks of, not verified.
func (p *payloads) read(r *Record) ([]byte, error) {
	b := make([]byte, r.Length)
	offset := r.Offset
	for rest := b; len(rest) > 0; {
		start := p.startOf(offset)
		n := min(uint64(len(rest)), start+p.size-offset)
		if err := p.readFile(start, rest[:n], int64(offset-start)); err != nil {
			return nil, err
		}
		offset, rest = offset+n, rest[n:]
	}
	return b, nil
}

func (p *payloads) readFile(start uint64, b []byte, at int64) error {
	p.mu.Lock()
	f := p.open[start]
	p.mu.Unlock()
	if f != nil {
		if _, err := f.ReadAt(b, at); !errors.Is(err, fs.ErrClosed) {
			return err
		}
	}
	f, err := p.files.Open(p.name(start), false)
	if err != nil {
		p.forget(start)
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(b, at)
	return err
}

// forget makes the next look at a file a new one.
func (p *payloads) forget(start uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probed.start == start {
		p.probed = probe{}
	}
}

// has reports whether the files that hold the payload of r are there. Retention announces what it removes; a file that somebody else
// removed, as a takedown asks for, is a hole.
func (p *payloads) has(r *Record) bool {
	end := r.Offset + uint64(r.Length)
	for start := p.startOf(r.Offset); start < end; start += p.size {
		if !p.there(start) {
			return false
		}
	}
	return true
}

func (p *payloads) there(start uint64) bool {
	p.mu.Lock()
	known, there := p.open[start] != nil, true
	if !known && p.probed.valid && p.probed.start == start {
		known, there = true, p.probed.there
	}
	count, lowest := p.count, p.lowest
	p.mu.Unlock()
	if known {
		return there
	}
	f, err := p.files.Open(p.name(start), false)
	if err == nil {
		f.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	certain := err == nil || errors.Is(err, fs.ErrNotExist)
	if certain && p.count == count && p.lowest == lowest { // nothing came or went meanwhile
		p.probed = probe{start: start, there: err == nil, valid: true}
	}
	return err == nil
}

// given returns what was given up: payload bytes below it.
func (p *payloads) given() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.floor
}

// giveUp raises what given returns.
func (p *payloads) giveUp(floor uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.floor = max(p.floor, floor)
}

// begins returns where the lowest file begins; otherwise if there is none.
func (p *payloads) begins(otherwise uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		return otherwise
	}
	return p.lowest
}

// startAt says at which offset the payloads begin, which files alone do not tell.
func (p *payloads) startAt(offset uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin = max(p.begin, offset)
}

// held returns how many bytes the files hold, about: files that were removed in the middle do not count, sparse ones count as full.
func (p *payloads) held() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		return 0
	}
	before := max(p.begin, p.lowest) - p.lowest
	after := p.top + p.size - max(p.end, p.top)
	return int64(p.count)*int64(p.size) - int64(before) - int64(after)
}

// number returns how many files there are.
func (p *payloads) number() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// second returns where the file after the lowest begins; if there is none, where it would.
func (p *payloads) second() uint64 {
	if next, ok := p.next(p.lowest); ok {
		return next
	}
	return p.lowest + p.size
}

// removeLowest removes the lowest file; the next one begins at second. If that fails, the file counts as removed all the same, since those after it must leave, and
// is tried again when they do, and after the next start.
func (p *payloads) removeLowest(second uint64) error {
	start := p.lowest
	p.mu.Lock()
	f := p.open[start]
	delete(p.open, start)
	p.count, p.lowest, p.probed = p.count-1, second, probe{}
	p.mu.Unlock()
	var err error
	if f != nil {
		err = f.Close()
	}
	if err = errors.Join(err, p.remove(start)); err != nil {
		p.stuck = append(p.stuck, start)
		return err
	}
	for len(p.stuck) > 0 && p.remove(p.stuck[0]) == nil {
		p.stuck = p.stuck[1:]
	}
	return nil
}

// remove removes a file that may be there.
func (p *payloads) remove(start uint64) error {
	err := p.files.Remove(p.name(start))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (p *payloads) sync() error {
	for _, f := range p.open {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// closeOld closes the files but the newest.
func (p *payloads) closeOld() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var newest uint64
	for start := range p.open {
		newest = max(newest, start)
	}
	var err error
	for start, f := range p.open {
		if start != newest {
			err = errors.Join(err, f.Close())
			delete(p.open, start)
		}
	}
	return err
}

func (p *payloads) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	for start, f := range p.open {
		err = errors.Join(err, f.Close())
		delete(p.open, start)
	}
	return err
}
