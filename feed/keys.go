package feed

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"tailcast/internal/durable"
)

// A RootPlace says where the private half of the root key is.
type RootPlace int

// The places.
const (
	RootElsewhere RootPlace = iota
	RootHere                // in root.key, to be read by whoever can read the folder
	RootSealed              // in root.key.age, under a passphrase
)

// Keys says what the folder of a station holds. No secret is in it.
type Keys struct {
	Dir     string
	Channel *PublicKey // the root key, nil if nothing here tells which channel it is
	Root    RootPlace
	Station *PublicKey   // nil if there is none
	Next    *PublicKey   // waits for a channel note that names it; nil as a rule
	Note    *ChannelNote // nil if there is none
	Signed  []byte       // the same, as it is signed
}

// ErrNoKeys says that a folder holds no keys at all.
var ErrNoKeys = errors.New("no keys here")

// ReadKeys tells what the folder holds, without changing or locking anything. The error is ErrNoKeys if that is nothing.
func ReadKeys(dir string) (Keys, error) {
	files := keyFiles{dir, diskSteps{}}
	set, err := files.read()
	if err != nil {
		return Keys{}, err
	}
	if set.empty() {
		return Keys{}, fmt.Errorf("%w: %s", ErrNoKeys, dir)
	}
	return files.tell(&set), nil
}

func (k keyFiles) tell(set *keySet) Keys {
	keys := Keys{Dir: k.dir, Station: publicHalf(set.station), Next: publicHalf(set.next), Signed: set.signed}
	if root, ok := set.channel(); ok {
		keys.Channel = &root
	}
	switch {
	case set.root != nil:
		keys.Root = RootHere
	case set.sealed != nil:
		keys.Root = RootSealed
	}
	if set.signed != nil {
		keys.Note = &set.note
	}
	return keys
}

func publicHalf(key ed25519.PrivateKey) *PublicKey {
	if key == nil {
		return nil
	}
	public := publicKey(key)
	return &public
}

// PublicKeyOf returns the public half of a private key.
func PublicKeyOf(key ed25519.PrivateKey) PublicKey { return publicKey(key) }

// NoteFile, RootFile, SealedRootFile, StationFile and NextFile are the paths of what Keys tells of.
func (k *Keys) NoteFile() string       { return keyFiles{dir: k.Dir}.path(channelNoteFile) }
func (k *Keys) RootFile() string       { return keyFiles{dir: k.Dir}.path(rootKeyFile) }
func (k *Keys) SealedRootFile() string { return keyFiles{dir: k.Dir}.path(sealedRootFile) }
func (k *Keys) StationFile() string    { return keyFiles{dir: k.Dir}.path(stationKeyFile) }
func (k *Keys) NextFile() string       { return keyFiles{dir: k.Dir}.path(nextKeyFile) }

// A KeyFolder is the folder of a station while somebody changes it: one process at a time. The streamer that runs is not in the way, and sees
// within seconds what has changed. Every method leaves a folder that works, wherever a crash ends it, and can be called again after one.
type KeyFolder struct {
	files keyFiles
	lock  *os.File
	set   keySet
}

// ChangeKeys opens the folder of a station for changes, and makes it if it is missing. Ask people for passphrases before: a streamer cannot
// renew its note meanwhile.
func ChangeKeys(dir string) (*KeyFolder, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make the data directory: %w", err)
	}
	if err := safeFolder(dir); err != nil {
		return nil, err
	}
	k := &KeyFolder{files: keyFiles{dir, diskSteps{}}}
	var err error
	if k.lock, err = k.files.lock(keyLockWait); err != nil {
		return nil, err
	}
	if err := k.open(); err != nil {
		return nil, errors.Join(err, k.lock.Close())
	}
	return k, nil
}

func (k *KeyFolder) open() error {
	if err := k.files.tidy(); err != nil {
		return err
	}
	var err error
	if k.set, err = k.files.read(); err != nil {
		return err
	}
	return k.files.settle(&k.set)
}

// Close lets others change the folder.
func (k *KeyFolder) Close() error { return k.lock.Close() }

// Keys tells what the folder holds now.
func (k *KeyFolder) Keys() Keys { return k.files.tell(&k.set) }

// StationKey returns the public key of this station, which is made if there is none. A channel note has to name it before it is of use.
func (k *KeyFolder) StationKey() (PublicKey, error) {
	if k.set.station == nil {
		key, err := k.files.makeKey(stationKeyFile)
		if err != nil {
			return PublicKey{}, err
		}
		// A crash here leaves a key that nobody knows; it is the one that the next call returns.
		k.set.station = key
	}
	return publicKey(k.set.station), nil
}

// NextKey makes the key that will be this station's once a channel note names it, and returns its public half. Until then the present one stays
// in use. One that waited already is replaced: whoever has a copy of the folder from before has that one, too, and would be the next station.
func (k *KeyFolder) NextKey() (PublicKey, error) {
	key, err := k.files.makeKey(nextKeyFile)
	if err != nil {
		return PublicKey{}, err
	}
	// A crash here leaves a key that nobody knows; the next call replaces it.
	k.set.next = key
	return publicKey(key), nil
}

// Install puts a channel note into the folder, and the next key into use if the note names that and not the present one. It refuses notes of
// other channels, expired ones at now, those that would go back, and those that do not name this station.
func (k *KeyFolder) Install(signed []byte, now time.Time) error {
	note, err := openAnyChannelNote(signed)
	if err != nil {
		return err
	}
	if err := k.fits(note, now); err != nil {
		return err
	}
	next := k.set
	next.signed, next.note = bytes.Clone(signed), note
	if !next.names() {
		if next.next == nil || !slices.Contains(note.Stations, publicKey(next.next)) {
			return fmt.Errorf("the note does not name this station: %s", k.ownKeys())
		}
		next.station, next.next, next.adopt = next.next, nil, true
	}
	if !bytes.Equal(k.set.signed, signed) {
		if err := k.files.steps.write(k.files.path(channelNoteFile), signed); err != nil {
			return fmt.Errorf("couldn't keep the channel note: %w", err)
		}
	}
	// A crash here leaves the note and two keys, of which it names one: who reads the folder next takes that one.
	k.set = next
	return k.files.settle(&k.set)
}

// fits returns nil if the note is one of this channel's that can be used from now on.
func (k *KeyFolder) fits(note ChannelNote, now time.Time) error {
	if root, ok := k.set.channel(); ok && note.Root != root {
		return fmt.Errorf("the note is %w: of %v, the keys here are of %v", ErrOtherChannel, note.Root, root)
	}
	if note.Expired(now) {
		return fmt.Errorf("%w on %s already", ErrExpired, note.NotAfter.Format(time.DateOnly))
	}
	if k.set.signed == nil {
		return nil
	}
	return note.replaces(k.set.note)
}

// ownKeys names the keys that a note could name.
func (k *KeyFolder) ownKeys() string {
	switch {
	case k.set.station == nil && k.set.next == nil:
		return "there is no station key here"
	case k.set.next == nil:
		return "its key is " + publicKey(k.set.station).String()
	case k.set.station == nil:
		return "its key is " + publicKey(k.set.next).String()
	}
	return fmt.Sprintf("its keys are %v and, next, %v", publicKey(k.set.station), publicKey(k.set.next))
}

// Seal replaces the root key by its sealed form, which the caller has opened again to be sure.
func (k *KeyFolder) Seal(sealed []byte) error {
	if k.set.sealed == nil {
		if err := k.files.steps.write(k.files.path(sealedRootFile), sealed); err != nil {
			return fmt.Errorf("couldn't keep the sealed root key: %w", err)
		}
		k.set.sealed = bytes.Clone(sealed)
	}
	// A crash here leaves the key twice, sealed and plain; sealing again removes the plain one.
	return k.removePlain()
}

func (k *KeyFolder) removePlain() error {
	if err := k.files.steps.remove(k.files.path(rootKeyFile)); err != nil {
		return fmt.Errorf("couldn't remove the plain root key: %w", err)
	}
	k.set.root = nil
	return nil
}

// Unseal replaces the sealed root key by the plain one.
func (k *KeyFolder) Unseal(root ed25519.PrivateKey) error {
	if channel, ok := k.set.channel(); ok && channel != publicKey(root) {
		return fmt.Errorf("the root key is %w: of %v, want %v", ErrOtherChannel, publicKey(root), channel)
	}
	if err := k.files.steps.write(k.files.path(rootKeyFile), MarshalPrivateKey(root)); err != nil {
		return fmt.Errorf("couldn't keep the root key: %w", err)
	}
	// A crash here leaves the key twice, sealed and plain; the plain one counts.
	k.set.root = root
	return k.removeSealed()
}

func (k *KeyFolder) removeSealed() error {
	if err := k.files.steps.remove(k.files.path(sealedRootFile)); err != nil {
		return fmt.Errorf("couldn't remove the sealed root key: %w", err)
	}
	k.set.sealed = nil
	return nil
}

// RemoveRoot removes the root key from the folder, plain and sealed: it is elsewhere now. The station goes on with its own key and the channel
// note, so there must be these.
func (k *KeyFolder) RemoveRoot() error {
	if !k.set.names() {
		return errors.New("without the root key this folder would be of no use: it has no channel note that names its station key; start the streamer once")
	}
	// The plain one first: a crash after that leaves the sealed one, and moving it again goes on from there.
	if err := k.removePlain(); err != nil {
		return err
	}
	return k.removeSealed()
}
