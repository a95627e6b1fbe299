package feed

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A backup is the files of a station's folder in one text, which is then sealed. People can restore it by hand:
//
//	tailcast/1/<root key>/backup
//	-- channel.note --
//	(the content of that file)
//	-- station.key --
//	-- station.key.next --             (if there is one)
//	-- root.key --                     (if it is there)
//	-- root.key.age --                 (if it is there)
//
// In this order, which is also that of restoring: what a crash leaves on the way either works or says that something is missing, and never
// begins another channel or an older generation.
type backup struct {
	root  PublicKey
	files []backupFile
}

type backupFile struct {
	name    string
	content []byte
}

// backupOrder is also the list of what a backup may hold.
var backupOrder = [...]string{channelNoteFile, stationKeyFile, nextKeyFile, rootKeyFile, sealedRootFile}

const (
	backupTitle = "backup"
	// MaxBackup is the largest backup, in bytes, before it is sealed.
	MaxBackup = 32 << 10
)

func (b *backup) text() []byte {
	var t bytes.Buffer
	t.WriteString(noteTitle(b.root, backupTitle) + "\n")
	for _, f := range b.files {
		fmt.Fprintf(&t, "-- %s --\n%s", f.name, f.content)
	}
	return t.Bytes()
}

// file returns the content of a file, nil if the backup does not have it.
func (b *backup) file(name string) []byte {
	for _, f := range b.files {
		if f.name == name {
			return f.content
		}
	}
	return nil
}

// parseBackup reads a backup and checks that its files go together.
func parseBackup(text []byte) (backup, keySet, error) {
	if len(text) > MaxBackup {
		return backup{}, keySet{}, fmt.Errorf("%d bytes, want at most %d", len(text), MaxBackup)
	}
	title, rest, _ := strings.Cut(string(text), "\n")
	r := newNoteReader(title)
	b := backup{root: r.title(backupTitle)}
	if r.err != nil {
		return backup{}, keySet{}, r.err
	}
	for _, name := range backupOrder {
		after, ok := strings.CutPrefix(rest, "-- "+name+" --\n")
		if !ok {
			continue
		}
		end := len(after)
		if i := strings.Index(after, "\n-- "); i >= 0 {
			end = i + 1
		}
		b.files = append(b.files, backupFile{name, []byte(after[:end])})
		rest = after[end:]
	}
	if rest != "" {
		return backup{}, keySet{}, fmt.Errorf("unexpected %.40q", rest)
	}
	set, err := b.check()
	return b, set, err
}

// check returns what the files say, or why they do not go together.
func (b *backup) check() (set keySet, err error) {
	set.signed, set.sealed = b.file(channelNoteFile), b.file(sealedRootFile)
	if set.note, err = OpenChannelNote(b.root, set.signed); err != nil {
		return keySet{}, err
	}
	for _, f := range []struct {
		name string
		key  *ed25519.PrivateKey
	}{{stationKeyFile, &set.station}, {nextKeyFile, &set.next}, {rootKeyFile, &set.root}} {
		text := b.file(f.name)
		if text == nil {
			continue
		}
		if *f.key, err = ParsePrivateKey(text); err != nil {
			return keySet{}, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	switch {
	case !set.names():
		return keySet{}, errors.New("its channel note does not name its station key")
	case set.root != nil && publicKey(set.root) != b.root:
		return keySet{}, fmt.Errorf("its root key is %w", ErrOtherChannel)
	case len(set.sealed) > maxSealedKey:
		return keySet{}, fmt.Errorf("%s has %d bytes, want at most %d", sealedRootFile, len(set.sealed), maxSealedKey)
	}
	return set, nil
}

// ReadBackup tells what a backup holds; Dir is empty.
func ReadBackup(text []byte) (Keys, error) {
	_, set, err := parseBackup(text)
	if err != nil {
		return Keys{}, fmt.Errorf("backup is damaged: %w", err)
	}
	return keyFiles{}.tell(&set), nil
}

// Backup returns the keys and the channel note as one text, to be sealed. Root and station key are in it as they are.
func (k *KeyFolder) Backup() ([]byte, error) {
	if !k.set.names() {
		return nil, errors.New("there is nothing to back up yet: no channel note names the station key here")
	}
	b := backup{root: k.set.note.Root}
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{channelNoteFile, k.set.signed},
		{stationKeyFile, keyText(k.set.station)},
		{nextKeyFile, keyText(k.set.next)},
		{rootKeyFile, keyText(k.set.root)},
		{sealedRootFile, k.set.sealed},
	} {
		if f.content != nil {
			b.files = append(b.files, backupFile{f.name, f.content})
		}
	}
	text := b.text()
	if _, _, err := parseBackup(text); err != nil {
		return nil, fmt.Errorf("these keys could not be restored again: %w", err)
	}
	return text, nil
}

func keyText(key ed25519.PrivateKey) []byte {
	if key == nil {
		return nil
	}
	return MarshalPrivateKey(key)
}

// Restore puts the files of a backup into the folder, which must be empty or hold a part of the same, as after a crash: then it goes on. Nothing
// that is there is ever replaced. A channel note that is newer than that of the backup stays.
func (k *KeyFolder) Restore(text []byte) error {
	b, set, err := parseBackup(text)
	if err != nil {
		return fmt.Errorf("backup is damaged: %w", err)
	}
	if err := k.takes(&set); err != nil {
		return err
	}
	for _, f := range b.files {
		if k.holds(f.name) {
			continue
		}
		if err := k.files.steps.write(k.files.path(f.name), f.content); err != nil {
			return fmt.Errorf("couldn't restore %s: %w", f.name, err)
		}
		// A crash here leaves the first files of the list. Until the station key is there, a streamer says that it is missing; then it works,
		// for as long as the note lasts. Restoring again goes on.
	}
	k.set, err = k.files.read()
	return err
}

// takes returns nil if nothing of the backup differs from what is here.
func (k *KeyFolder) takes(set *keySet) error {
	if root, ok := k.set.channel(); ok && root != set.note.Root {
		return fmt.Errorf("%s holds the keys of another channel, %v: choose another --data", k.files.dir, root)
	}
	newer := k.set.signed != nil && k.set.note.replaces(set.note) == nil && slices.Contains(k.set.note.Stations, publicKey(set.station))
	for _, f := range []struct {
		name       string
		here, want []byte
	}{
		{stationKeyFile, keyText(k.set.station), keyText(set.station)},
		{nextKeyFile, keyText(k.set.next), keyText(set.next)},
		{channelNoteFile, k.set.signed, set.signed},
	} {
		if f.here != nil && !bytes.Equal(f.here, f.want) && !(f.name == channelNoteFile && newer) {
			return fmt.Errorf("%s differs from that in the backup: choose another --data, or move the keys there away", k.files.path(f.name))
		}
	}
	return nil
}

// holds reports whether a file is in the folder.
func (k *KeyFolder) holds(name string) bool {
	switch name {
	case channelNoteFile:
		return k.set.signed != nil
	case stationKeyFile:
		return k.set.station != nil
	case nextKeyFile:
		return k.set.next != nil
	}
	// The root key is here in one form or in none.
	return k.set.root != nil || k.set.sealed != nil
}
