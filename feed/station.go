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
	"sync"
	"time"

	"tailcast/internal/durable"
)

// A Station is what makes a machine a broadcaster's: a key that the root key delegates to. It lives in a folder of its own, 0700:
//
//	lock           flock of the streamer that runs
//	root.key       the root key, PKCS #8 in PEM, 0600; may be kept elsewhere once the channel note is signed
//	station.key    the station key, the same
//	channel.note   the channel note, signed by the root key
//
// Neither key ever signs a log: a stolen folder opens epochs, which the next generation answers; a restored backup opens another
// epoch, never a fork.
type Station struct {
	dir  string
	lock *os.File
	now  func() time.Time
	root ed25519.PrivateKey // nil if it is kept elsewhere
	key  ed25519.PrivateKey

	// mu guards the rest.
	mu     sync.Mutex
	note   ChannelNote
	signed []byte
}

const (
	rootKeyFile     = "root.key"
	stationKeyFile  = "station.key"
	channelNoteFile = "channel.note"

	noteLasts  = 90 * 24 * time.Hour
	renewAhead = 30 * 24 * time.Hour

	pemType = "PRIVATE KEY"
)

// OpenStation opens the station in dir, and makes a new channel there if there is none. If now is nil, time.Now.
func OpenStation(dir string, now func() time.Time) (*Station, error) {
	if now == nil {
		now = time.Now
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Station{dir: dir, lock: lock, now: now}
	if err := safeFolder(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := durable.RemoveTemporary(dir, rootKeyFile, stationKeyFile, channelNoteFile); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// safeFolder refuses a folder in which anybody can replace the keys.
func safeFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		return fmt.Errorf("%s can be written by everybody (mode %04o): run chmod 700 %s", dir, mode, dir)
	}
	return nil
}

// Close gives the folder free.
func (s *Station) Close() error { return s.lock.Close() }

// Root returns the root key of the channel: what a link carries.
func (s *Station) Root() PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.note.Root
}

// Note returns what the channel note says, ChannelNote the signed text.
func (s *Station) Note() ChannelNote {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.note
}

// ChannelNote returns the signed channel note. It is read-only.
func (s *Station) ChannelNote() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signed
}

// load reads the folder. Each step that is missing is made, so that a crash between two of them is repaired by the next start.
func (s *Station) load() error {
	var err error
	signed, err := s.readNote()
	if err != nil {
		return err
	}
	if s.root, err = s.readKey(rootKeyFile); err != nil {
		return err
	}
	if s.key, err = s.readKey(stationKeyFile); err != nil {
		return err
	}
	if s.root == nil && signed == nil && s.key == nil {
		if s.root, err = s.makeKey(rootKeyFile); err != nil {
			return err
		}
	}
	// A crash here leaves a channel that nobody knows yet.
	fresh := s.key == nil
	if fresh {
		if s.root == nil {
			return fmt.Errorf("%s is missing: restore it, or put root.key beside it to delegate to a new one", s.path(stationKeyFile))
		}
		if s.key, err = s.makeKey(stationKeyFile); err != nil {
			return err
		}
	}
	// A crash here leaves a station key that no note names; the next start finds that out below.
	return s.loadNote(signed)
}

// loadNote checks the channel note, and signs a new one if it must and can.
func (s *Station) loadNote(signed []byte) error {
	if signed == nil {
		if s.root == nil {
			return fmt.Errorf("%s is missing: restore it, or put root.key beside it to sign a new one", s.path(channelNoteFile))
		}
		return s.sign(1)
	}
	note, err := s.openNote(signed)
	if err != nil {
		return err
	}
	s.note, s.signed = note, signed
	if !slices.Contains(note.Stations, publicKey(s.key)) {
		if s.root == nil {
			return fmt.Errorf("%s does not name this station: have it signed anew with the root key", s.path(channelNoteFile))
		}
		// The old station key is gone, who knows where: only a higher generation makes sure that it is worthless.
		return s.sign(note.Generation + 1)
	}
	if _, err := s.Renew(); err != nil {
		return err
	}
	if s.note.Expired(s.now()) {
		return fmt.Errorf("%w on %s: put root.key into %s to renew it", ErrExpired, s.note.NotAfter.Format(time.DateOnly), s.dir)
	}
	return nil
}

// openNote verifies the channel note: by the root key beside it, else by the one it names itself.
func (s *Station) openNote(signed []byte) (ChannelNote, error) {
	named, err := parseChannelNote(signed)
	root := named.Root
	if s.root != nil {
		root = publicKey(s.root)
	}
	if err == nil {
		named, err = OpenChannelNote(root, signed)
	}
	if err != nil {
		return ChannelNote{}, fmt.Errorf("%s is damaged or of another channel (restore it from a backup): %w", s.path(channelNoteFile), err)
	}
	return named, nil
}

// Renew signs a channel note that lasts longer, if the present one ends within 30 days and the root key is here. It returns whether it did.
func (s *Station) Renew() (bool, error) {
	note := s.Note()
	if s.root == nil || note.NotAfter.Sub(s.now()) > renewAhead {
		return false, nil
	}
	return true, s.sign(note.Generation)
}

// sign makes the channel note of a generation.
func (s *Station) sign(generation uint64) error {
	stations := []PublicKey{publicKey(s.key)}
	if note := s.Note(); note.Generation == generation {
		stations = note.Stations
	}
	note := ChannelNote{Generation: generation, NotAfter: s.now().Add(noteLasts).UTC().Truncate(time.Second), Stations: stations}
	signed, err := SignChannelNote(s.root, note)
	if err != nil {
		return err
	}
	if note, err = OpenChannelNote(publicKey(s.root), signed); err != nil {
		return err
	}
	// Durable before it is shown to anybody.
	if err := durable.WriteFile(s.path(channelNoteFile), signed, 0o600); err != nil {
		return fmt.Errorf("couldn't keep the channel note: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note, s.signed = note, signed
	return nil
}

func (s *Station) path(name string) string { return filepath.Join(s.dir, name) }

// readNote returns the signed channel note, nil if there is none.
func (s *Station) readNote() ([]byte, error) {
	signed, err := osFiles{s.dir}.ReadFile(channelNoteFile, MaxNote)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return signed, err
}

// readKey returns the key in a file, nil if there is none.
func (s *Station) readKey(name string) (ed25519.PrivateKey, error) {
	path := s.path(name)
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
	text, err := osFiles{s.dir}.ReadFile(name, MaxNote)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged (restore it from a backup): %w", path, err)
	}
	return key, nil
}

// parseKey reads an Ed25519 key in PKCS #8 (RFC 8410), PEM.
func parseKey(text []byte) (ed25519.PrivateKey, error) {
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
	return ed, nil
}

// makeKey makes a key and keeps it before anybody hears of it.
func (s *Station) makeKey(name string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	if err := durable.WriteFile(s.path(name), text, 0o600); err != nil {
		return nil, fmt.Errorf("couldn't keep the new key: %w", err)
	}
	return key, nil
}
