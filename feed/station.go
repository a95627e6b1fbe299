package feed

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// A Station is what makes a machine a broadcaster's: a key that the root key delegates to. It lives in a folder of its own, 0700:
//
//	lock               flock of the streamer that runs
//	keys.lock          flock of who changes one of the files below, for a moment
//	root.key           the root key, PKCS #8 in PEM, 0600; may be sealed, or kept elsewhere, once the channel note is signed
//	root.key.age       the root key, sealed with a passphrase
//	station.key        the station key, as root.key
//	station.key.next   a station key that waits for a channel note that names it
//	channel.note       the channel note, signed by the root key
//
// Neither key ever signs a log: a stolen folder opens epochs, which the next generation answers; a restored backup opens another
// epoch, never a fork.
//
// The folder may change while the streamer runs: key commands replace the note, rotate the station key, seal the root key. Renew sees it.
type Station struct {
	files keyFiles
	lock  *os.File
	now   func() time.Time

	// mu guards the rest.
	mu     sync.Mutex
	root   ed25519.PrivateKey // nil if it is sealed or kept elsewhere
	key    ed25519.PrivateKey
	note   ChannelNote
	signed []byte
	looked [len(watchedFiles)]os.FileInfo // the folder when it was last read; nil: no such file
}

// watchedFiles are those that key commands change.
var watchedFiles = [...]string{rootKeyFile, sealedRootFile, stationKeyFile, nextKeyFile, channelNoteFile}

const (
	// NoteLasts is for how long a channel note is signed, if nobody asks for something else.
	NoteLasts = 90 * 24 * time.Hour
	// NoteWarning is how long before its end a channel note that the station cannot renew by itself becomes urgent.
	NoteWarning = 14 * 24 * time.Hour

	renewAhead = 30 * 24 * time.Hour
)

// OpenStation opens the station in dir, and makes a new channel there if there is none. If now is nil, time.Now.
func OpenStation(dir string, now func() time.Time) (*Station, error) {
	if now == nil {
		now = time.Now
	}
	lock, err := LockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Station{files: keyFiles{dir, diskSteps{}}, lock: lock, now: now}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// open reads the folder while no key command changes it.
func (s *Station) open() error {
	if err := safeFolder(s.files.dir); err != nil {
		return err
	}
	lock, err := s.files.lock(keyLockWait)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.files.tidy(); err != nil {
		return err
	}
	return s.load()
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
func (s *Station) Root() PublicKey { return s.Note().Root }

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

// RenewsItself reports whether the root key is here to be used: then nobody needs to think of the end of the channel note.
func (s *Station) RenewsItself() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root != nil
}

// signEpoch signs an epoch note under the present channel note, and returns both.
func (s *Station) signEpoch(epoch ed25519.PrivateKey, n EpochNote) (Notes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signed, err := SignEpochNote(s.key, epoch, n)
	return Notes{Channel: s.signed, Epoch: signed}, err
}

// load takes over what is in the folder. Each step that is missing is made, so that a crash between two of them is repaired by the next start.
func (s *Station) load() error {
	set, err := s.read()
	if err != nil {
		return err
	}
	if err := s.files.settle(&set); err != nil {
		return err
	}
	if set.empty() {
		if set.root, err = s.files.makeKey(rootKeyFile); err != nil {
			return err
		}
	}
	// A crash here leaves a channel that nobody knows yet.
	if set.station == nil {
		if set.root == nil {
			return fmt.Errorf("%s is missing: restore it from a backup, or make a new one with the root key (rotate)", s.files.path(stationKeyFile))
		}
		if set.station, err = s.files.makeKey(stationKeyFile); err != nil {
			return err
		}
	}
	// A crash here leaves a station key that no note names; the next start finds that out below.
	return s.loadNote(&set)
}

// loadNote takes over the channel note, and signs a new one if it must and can.
func (s *Station) loadNote(set *keySet) error {
	s.use(set)
	switch {
	case set.signed == nil && set.root == nil:
		return fmt.Errorf("%s is missing: restore it from a backup, or have one signed with the root key and install it", s.files.path(channelNoteFile))
	case set.signed == nil:
		return s.sign(ChannelNote{Generation: 1})
	case !set.names() && set.root == nil:
		return fmt.Errorf("%s does not name this station: have one signed with the root key that does (rotate), and install it", s.files.path(channelNoteFile))
	case !set.names():
		// The old station key is gone, who knows where: only a higher generation makes sure that it is worthless.
		return s.sign(ChannelNote{Generation: set.note.Generation + 1})
	}
	if _, err := s.renew(); err != nil {
		return err
	}
	if s.note.Expired(s.now()) {
		return fmt.Errorf("%w on %s: sign a new one with the root key", ErrExpired, s.note.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// use takes over what was read.
func (s *Station) use(set *keySet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root, s.key, s.note, s.signed = set.root, set.station, set.note, set.signed
}

// Renew looks at the folder again, for a channel note or a station key that a key command has put there, and for the root key having been
// sealed; and if the root key is here and the note ends within 30 days, it signs one that lasts longer. It returns whether the note changed. A
// folder that makes no sense leaves the station as it is. While a key command is at work nothing happens: call again later.
func (s *Station) Renew() (bool, error) {
	lock, err := s.files.lock(0)
	if errors.Is(err, ErrLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	changed, err := s.reload()
	if err != nil {
		return false, err
	}
	renewed, err := s.renew()
	return changed || renewed, err
}

// Changed tells whether a key command has changed the folder since Renew last read it, without reading it: often, that is.
func (s *Station) Changed() bool {
	now := s.look()
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.EqualFunc(now[:], s.looked[:], sameFile)
}

func (s *Station) look() (found [len(watchedFiles)]os.FileInfo) {
	for k, name := range watchedFiles {
		if info, err := os.Stat(s.files.path(name)); err == nil {
			found[k] = info
		}
	}
	return found
}

// sameFile tells whether a file is as it was: each change of a key command makes another file.
func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// read reads the folder, and remembers which files it read. It must be locked.
func (s *Station) read() (keySet, error) {
	found := s.look()
	s.mu.Lock()
	s.looked = found
	s.mu.Unlock()
	return s.files.read()
}

// reload takes over what has changed in the folder, if it makes sense.
func (s *Station) reload() (bool, error) {
	set, err := s.read()
	if err != nil {
		return false, err
	}
	note := s.Note()
	switch {
	case set.signed == nil:
		return false, fmt.Errorf("%s is gone: restore it from a backup", s.files.path(channelNoteFile))
	case !set.names():
		return false, fmt.Errorf("%s does not name this station: restore it from a backup, or install another", s.files.path(channelNoteFile))
	}
	if err := set.note.replaces(note); err != nil {
		return false, fmt.Errorf("%s is not taken: %w", s.files.path(channelNoteFile), err)
	}
	if err := s.files.settle(&set); err != nil {
		return false, err
	}
	changed := !bytes.Equal(set.signed, s.ChannelNote())
	s.use(&set)
	return changed, nil
}

// renew signs a note that lasts longer, if that is due and the root key is here. The folder must be locked.
func (s *Station) renew() (bool, error) {
	note := s.Note()
	if !s.RenewsItself() || note.NotAfter.Sub(s.now()) > renewAhead {
		return false, nil
	}
	return true, s.sign(note)
}

// sign makes the channel note of a generation, for its stations; for this one alone if none are given.
func (s *Station) sign(note ChannelNote) error {
	if note.Stations == nil {
		note.Stations = []PublicKey{publicKey(s.key)}
	}
	note.NotAfter = s.now().Add(NoteLasts)
	signed, err := SignChannelNote(s.root, note)
	if err != nil {
		return err
	}
	if note, err = OpenChannelNote(publicKey(s.root), signed); err != nil {
		return err
	}
	// Durable before it is shown to anybody.
	if err := s.files.steps.write(s.files.path(channelNoteFile), signed); err != nil {
		return fmt.Errorf("couldn't keep the channel note: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note, s.signed = note, signed
	return nil
}
