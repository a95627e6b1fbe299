package feed

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"tailcast/internal/durable"
)

// Files is the folder in which a Replica keeps a channel. Names are slash-separated, relative to the folder. All methods may be
// called by several goroutines at once. feedtest.TestFiles is the contract as a test; feedtest.Disk loses power on demand.
type Files interface {
	// Open opens a file for reading and writing. A missing one is made if create is set, folders included, and its name survives a
	// power cut once Open returns; else the error is fs.ErrNotExist.
	Open(name string, create bool) (File, error)
	// ReadFile returns the whole content of a file of at most limit bytes.
	ReadFile(name string, limit int) ([]byte, error)
	// WriteFile replaces the whole content. A power cut leaves the old or the new; once it returns nil, the new.
	WriteFile(name string, data []byte) error
	// Remove removes a file that nobody has open for writing; fs.ErrNotExist if there is none. It does not come back after a power cut
	// once Remove returns nil. Who has it open reads on.
	Remove(name string) error
	// List returns the names in a folder, in order; none if the folder does not exist.
	List(folder string) ([]string, error)
}

// A File is an open file of Files. What WriteAt wrote is visible to ReadAt at once, but survives a power cut only after Sync
// returned nil; before that, any part of it may, in any order. After Close all methods return an error.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
}

// osFiles keeps files in a folder of the operating system. Only we read them: 0600 and 0700.
type osFiles struct{ dir string }

func (o osFiles) path(name string) string { return filepath.Join(o.dir, filepath.FromSlash(name)) }

func (o osFiles) Open(name string, create bool) (File, error) {
	path := o.path(name)
	f, err := openRegular(path, os.O_RDWR)
	if err == nil || !create || !errors.Is(err, fs.ErrNotExist) {
		return asFile(f, err)
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return osFile{f}, nil
}

// openRegular opens what is there, but nothing that is no file: a pipe would wait for somebody who never comes, a device gives what it likes.
func openRegular(path string, flag int) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file (mode %v): remove it, or restore the file", path, info.Mode())
	}
	return os.OpenFile(path, flag, 0)
}

// asFile avoids a File that is not nil but holds a nil *os.File.
func asFile(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (o osFiles) ReadFile(name string, limit int) ([]byte, error) {
	f, err := openRegular(o.path(name), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s has more than %d bytes", f.Name(), limit)
	}
	return b, err
}

func (o osFiles) WriteFile(name string, data []byte) error {
	path := o.path(name)
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o600)
}

func (o osFiles) Remove(name string) error {
	path := o.path(name)
	if err := os.Remove(path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

func (o osFiles) List(folder string) ([]string, error) {
	entries, err := os.ReadDir(o.path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// removeTemporary removes what a killed process left of WriteFile in a folder.
func (o osFiles) removeTemporary(folder string) error {
	return durable.RemoveTemporary(o.path(folder), newestFile, channelNoteFile, epochNoteFile, faultFile, faultDamagedFile, baseFile)
}

type osFile struct{ *os.File }

// Sync also finds out when somebody has removed the file: what is written to it then is on disk, until it is closed, and no error comes of it.
func (f osFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink == 0 {
		return fmt.Errorf("%s was removed while it was in use: stop and start again, or restore its folder first", f.Name())
	}
	return nil
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// LockDir makes dir if it is missing and takes its lock, which ends with the process or with Close of the file. If another process has it,
// the error is ErrLocked.
func LockDir(dir string) (*os.File, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't write in the data directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%w: %s (stop that process, or choose another directory for this one)", ErrLocked, dir), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}
