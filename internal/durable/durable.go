// Package durable puts small files on disk so that a power cut leaves either the old content or the new, never a mixture and
// never an empty file. It is for what is written seldom and must not be lost: keys, notes, what was promised to others.
// Logs have their own way (package feed): they append, and recover by their hashes.
//
// What the file system may do to a file that is only written, closed and renamed is told in
//
//   - Pillai et al., All File Systems Are Not Created Equal (OSDI 2014): a rename may reach the disk before the bytes it names;
//   - Rebello et al., Can Applications Recover from fsync Failures? (USENIX ATC 2020): after a failed fsync the page cache
//     claims to be clean, so that a second fsync succeeds without having written anything.
//
// Hence a failed call here means: the content on disk is unknown, old or new; do not retry the fsync, write the whole file again.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// WriteFile replaces name by a file of that content and mode, so that the change survives a power cut once WriteFile returns nil.
// The folder must exist. These are the system calls, in this order:
//
//	openat(dir, ".name.123456", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 3
//	fchmod(3, mode)
//	write(3, data)
//	fsync(3)                            the bytes are on disk, under a name that nobody reads
//	close(3)
//	renameat(".name.123456", "name")    readers see the old file or the new one
//	openat(dir, O_RDONLY|O_CLOEXEC) = 3
//	fsync(3)                            the new name is on disk
//	close(3)
//
// A crash before the rename leaves the old file and a temporary one, which begins with a dot and is nobody's: see RemoveTemporary.
func WriteFile(name string, data []byte, mode os.FileMode) (err error) {
	dir, base := filepath.Split(name)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+base+".")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := fill(f, data, mode); err != nil {
		return fmt.Errorf("couldn't write %s: %w", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return SyncDir(dir)
}

// RemoveTemporary removes from dir what WriteFile left there when the process was killed. The folder need not exist. Nobody may be
// writing in it at the same time.
func RemoveTemporary(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if isTemporary(e.Name(), names) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// isTemporary reports whether a file is called like a temporary one of one of the names: ".name.123456".
func isTemporary(file string, names []string) bool {
	for _, name := range names {
		digits, ok := strings.CutPrefix(file, "."+name+".")
		if ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
			return true
		}
	}
	return false
}

// fill writes and syncs all of f, and closes it.
func fill(f *os.File, data []byte, mode os.FileMode) error {
	if err := f.Chmod(mode); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// SyncDir makes the names in dir durable: files created, renamed or removed there.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("couldn't sync folder %s: %w", dir, err), d.Close())
	}
	return d.Close()
}

// MkdirAll makes dir and the folders above it that are missing, each with that mode, and syncs every folder that got a new name.
func MkdirAll(dir string, mode os.FileMode) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is a file, want a folder", dir)
		}
		return nil
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := MkdirAll(parent, mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return SyncDir(parent)
}
