package feed

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tailcast/internal/durable"
)

// The files of a station's folder; docs/feed.md section 13 has them too.
const (
	rootKeyFile    = "root.key"
	sealedRootFile = "root.key.age"
	stationKeyFile = "station.key"
	nextKeyFile    = "station.key.next"
	keyLockFile    = "keys.lock"
	// channelNoteFile is also the name in the folder of an epoch.
	channelNoteFile = "channel.note"

	pemType = "PRIVATE KEY"
	// maxSealedKey bounds root.key.age: a PEM key, sealed and armoured, has some 600 bytes.
	maxSealedKey = 4096
)

// keySteps is what changes the folder. Each call is one step: a crash leaves what was before it, or what is after it.
type keySteps interface {
	write(path string, text []byte) error // a file of mode 0600, replaced if it is there
	rename(from, to string) error
	remove(path string) error // nil if it is not there
}

// diskSteps makes each step durable before the next one.
type diskSteps struct{}

func (diskSteps) write(path string, text []byte) error { return durable.WriteFile(path, text, 0o600) }

func (diskSteps) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(to))
}

// remove takes the name away first, so that nobody finds half a key, and then overwrites the bytes. On solid-state disks, copy-on-write and
// journalling file systems, snapshots and backups the old bytes may live on all the same: docs/keys.md says so.
func (diskSteps) remove(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err == nil {
		err = overwrite(f)
	}
	return errors.Join(err, f.Close())
}

func overwrite(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, info.Size()), 0); err != nil {
		return err
	}
	return f.Sync()
}

// keyFiles is the folder of a station.
type keyFiles struct {
	dir   string
	steps keySteps
}

func (k keyFiles) path(name string) string { return filepath.Join(k.dir, name) }

// keyLockWait is how long a key command waits for another one, or for a streamer that looks whether something has changed.
const keyLockWait = 10 * time.Second

// lock keeps others from changing the folder while somebody does or relies on two files going together. It is not the lock of the streamer
// that runs, who takes this one for a moment when something has changed, and once a minute.
func (k keyFiles) lock(wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(k.path(keyLockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't write in the data directory: %w", err)
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("couldn't lock %s: %w", f.Name(), err), f.Close())
		}
		if time.Since(begin) >= wait {
			return nil, errors.Join(fmt.Errorf("%w: another key command is changing %s", ErrLocked, k.dir), f.Close())
		}
	}
}

// tidy removes what a killed process left. The folder must be locked.
func (k keyFiles) tidy() error {
	return durable.RemoveTemporary(k.dir, rootKeyFile, sealedRootFile, stationKeyFile, nextKeyFile, channelNoteFile)
}

// A keySet is what the folder holds, and what of it goes together.
type keySet struct {
	root    ed25519.PrivateKey // nil: sealed, or elsewhere
	sealed  []byte             // the sealed root key; nil if there is none
	station ed25519.PrivateKey // nil if there is none
	next    ed25519.PrivateKey // waits for a note that names it; nil if there is none
	signed  []byte             // the channel note; nil if there is none
	note    ChannelNote        // what signed says; verified
	adopt   bool               // the note names next, which is therefore station here, and has to become it on disk
}

// empty reports whether there is nothing to go on from.
func (s *keySet) empty() bool {
	return s.root == nil && s.sealed == nil && s.station == nil && s.next == nil && s.signed == nil
}

// names reports whether the channel note names the station key.
func (s *keySet) names() bool {
	return s.signed != nil && s.station != nil && slices.Contains(s.note.Stations, publicKey(s.station))
}

// channel returns the root key of the channel, and whether anything here tells which it is.
func (s *keySet) channel() (PublicKey, bool) {
	switch {
	case s.root != nil:
		return publicKey(s.root), true
	case s.signed != nil:
		return s.note.Root, true
	}
	return PublicKey{}, false
}

// read reads the folder and changes nothing.
func (k keyFiles) read() (set keySet, err error) {
	for _, f := range []struct {
		name string
		key  *ed25519.PrivateKey
	}{{rootKeyFile, &set.root}, {stationKeyFile, &set.station}, {nextKeyFile, &set.next}} {
		if *f.key, err = k.readKey(f.name); err != nil {
			return keySet{}, err
		}
	}
	if set.sealed, err = k.readFile(sealedRootFile, maxSealedKey); err != nil {
		return keySet{}, err
	}
	if set.signed, err = k.readFile(channelNoteFile, MaxNote); err != nil {
		return keySet{}, err
	}
	if set.signed != nil {
		if set.note, err = k.openNote(&set); err != nil {
			return keySet{}, err
		}
	}
	if !set.names() && set.signed != nil && set.next != nil && slices.Contains(set.note.Stations, publicKey(set.next)) {
		set.station, set.next, set.adopt = set.next, nil, true
	}
	return set, nil
}

// settle makes the next key the station key if the note says so: what was left to do when the note was installed. The folder must be locked.
func (k keyFiles) settle(set *keySet) error {
	if !set.adopt {
		return nil
	}
	set.adopt = false
	return k.steps.rename(k.path(nextKeyFile), k.path(stationKeyFile))
}

// openNote verifies the channel note: by the root key beside it, else by the one it names itself.
func (k keyFiles) openNote(set *keySet) (ChannelNote, error) {
	note, err := openAnyChannelNote(set.signed)
	if err == nil && set.root != nil && note.Root != publicKey(set.root) {
		err = fmt.Errorf("it is of channel %v, root.key of %v", note.Root, publicKey(set.root))
	}
	if err != nil {
		return ChannelNote{}, fmt.Errorf("%s is damaged or of another channel (restore it from a backup): %w", k.path(channelNoteFile), err)
	}
	return note, nil
}

// readFile returns the content of a file, nil if it is not there.
func (k keyFiles) readFile(name string, limit int) ([]byte, error) {
	text, err := osFiles{k.dir}.ReadFile(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// readKey returns the key in a file, nil if there is none.
func (k keyFiles) readKey(name string) (ed25519.PrivateKey, error) {
	path := k.path(name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s", path, mode, path)
	}
	text, err := k.readFile(name, MaxNote)
	if err != nil || text == nil {
		return nil, err
	}
	key, err := ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged (restore it from a backup): %w", path, err)
	}
	return key, nil
}

// makeKey makes a key and keeps it before anybody hears of it.
func (k keyFiles) makeKey(name string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := k.steps.write(k.path(name), MarshalPrivateKey(key)); err != nil {
		return nil, fmt.Errorf("couldn't keep the new key: %w", err)
	}
	return key, nil
}

// MarshalPrivateKey returns an Ed25519 key in PKCS #8 (RFC 8410), PEM: the content of key files. It panics for what is no such key.
func MarshalPrivateKey(key ed25519.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("feed: " + err.Error())
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
}

// ParsePrivateKey reads an Ed25519 key in PKCS #8 (RFC 8410), PEM. Errors never show any of it.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemType || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("want one PEM block %q", pemType)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, want an Ed25519 key", key)
	}
	// Its public half is a multiple of the base point by a clamped number, and so never of small order; still, one rule for all keys.
	if _, err := ParsePublicKey(ed.Public().(ed25519.PublicKey)); err != nil {
		return nil, err
	}
	return ed, nil
}
