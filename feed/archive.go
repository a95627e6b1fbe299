package feed

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// An archive is a folder as whoever only reads it sees it, while another process, or our own disk goroutine, may be writing there. It
// changes nothing: writes, which recovery alone makes, count as done and are forgotten, so that an archive is opened by the very code that
// opens a folder to write in.
//
// However many logs are read, few files are open: one is opened when it is read, and closed once enough others were read after it.
type archive struct {
	Files

	// mu guards the rest.
	mu     sync.Mutex
	open   []*archived // in order of use, the last used last; at most maxArchived while not more of them are being read
	closed bool
}

// An archived file is open. Its fields are guarded by archive.mu.
type archived struct {
	name  string
	file  File
	users int // that are reading it now
}

// maxArchived is how many files an archive keeps open: a log has three that are read all the time.
const maxArchived = 32

// Open opens a file to be read. One that is missing reads as empty if create is set.
func (a *archive) Open(name string, create bool) (File, error) {
	if strings.Contains(name, "/payload/") {
		return a.openFile(name) // not kept: pruning removes it, and the room is free only when nobody has it open
	}
	f, err := a.take(name)
	switch {
	case err == nil:
		a.release(f)
	case !create || !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return archiveFile{a, name}, nil
}

// WriteFile counts as done. Remove is that of Files: retention, which runs where the folder is ours alone, removes payloads of any epoch.
func (a *archive) WriteFile(string, []byte) error { return nil }

// openFile does not need the right to write.
func (a *archive) openFile(name string) (File, error) {
	o, ok := a.Files.(osFiles)
	if !ok {
		return a.Files.Open(name, false)
	}
	return asFile(openRegular(o.path(name), os.O_RDONLY))
}

// take returns an open file, to be given back by release.
func (a *archive) take(name string) (*archived, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, os.ErrClosed
	}
	k := slices.IndexFunc(a.open, func(f *archived) bool { return f.name == name })
	if k < 0 {
		file, err := a.openFile(name)
		if err != nil {
			return nil, err
		}
		k = len(a.open)
		a.open = append(a.open, &archived{name: name, file: file})
	}
	f := a.open[k]
	f.users++
	a.open = append(slices.Delete(a.open, k, k+1), f)
	return f, nil
}

func (a *archive) release(f *archived) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.users--
	excess := len(a.open) - maxArchived
	if a.closed {
		excess = len(a.open)
	}
	a.open = slices.DeleteFunc(a.open, func(f *archived) bool {
		if excess <= 0 || f.users > 0 {
			return false
		}
		excess--
		_ = f.file.Close() // it was only read
		return true
	})
}

// close closes the files; those that are being read, when that is done.
func (a *archive) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.open = slices.DeleteFunc(a.open, func(f *archived) bool {
		if f.users > 0 {
			return false
		}
		_ = f.file.Close()
		return true
	})
}

// An archiveFile is a file of an archive, which has it open or not.
type archiveFile struct {
	archive *archive
	name    string
}

func (f archiveFile) ReadAt(p []byte, at int64) (int, error) {
	o, err := f.archive.take(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, io.EOF
	}
	if err != nil {
		return 0, err
	}
	defer f.archive.release(o)
	return o.file.ReadAt(p, at)
}

func (f archiveFile) Size() (int64, error) {
	o, err := f.archive.take(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.archive.release(o)
	return o.file.Size()
}

func (f archiveFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (f archiveFile) Truncate(int64) error                   { return nil }
func (f archiveFile) Sync() error                            { return nil }
func (f archiveFile) Close() error                           { return nil }
