package feed_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// everySignature is good for every message under the identity as key: R is the identity, S is 0.
func everySignature() []byte { return append([]byte{1}, make([]byte, ed25519.SignatureSize-1)...) }

// forged signs a note as whoever holds no key would.
func forged(text string, names map[string]feed.PublicKey) []byte {
	note := text + "\n"
	for name, key := range names {
		id := sha256.Sum256(append([]byte(name+"\n\x01"), key[:]...))
		note += fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(append(id[:4:4], everySignature()...)))
	}
	return []byte(note)
}

// TestWeakKeysAreRefusedWhereverTheyEnter, by the one rule of docs/feed.md, section 2. For some of these keys a signature can be made up that
// is good for every message, so nothing but that rule stands in the way.
func TestWeakKeysAreRefusedWhereverTheyEnter(t *testing.T) {
	dir, root := stationFolder(t)
	keys, err := feed.ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	channel := *keys.Channel
	epochKey := seedKey("epoch")
	station, err := os.ReadFile(filepath.Join(dir, "station.key"))
	if err != nil {
		t.Fatal(err)
	}
	private, err := feed.ParsePrivateKey(station)
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := feed.SignEpochNote(private, epochKey, feed.EpochNote{Root: channel, Generation: 1, Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	var backup []byte
	change(t, dir, func(k *feed.KeyFolder) (err error) { backup, err = k.Backup(); return err })
	swap := func(text []byte, old, key feed.PublicKey) []byte {
		return []byte(strings.ReplaceAll(string(text), old.String(), key.String()))
	}
	entries := map[string]func(key feed.PublicKey) error{
		"bytes": func(key feed.PublicKey) error { _, err := feed.ParsePublicKey(key[:]); return err },
		"text":  func(key feed.PublicKey) error { _, err := feed.DecodePublicKey(key.String()); return err },
		"link":  func(key feed.PublicKey) error { _, err := feed.ParseLink(feed.Link{Root: key}.String()); return err },
		"node in a link": func(key feed.PublicKey) error {
			link := feed.Link{Root: channel, Anchors: []feed.Anchor{{Addr: "192.0.2.1:4433", Node: &key}}}
			_, err := feed.ParseLink(link.String())
			return err
		},
		"origin": func(key feed.PublicKey) error {
			_, _, _, err := feed.ParseOrigin(feed.Origin(key, feed.EpochID{}, "tv"))
			return err
		},
		"root of a channel note": func(key feed.PublicKey) error {
			text := fmt.Sprintf("tailcast/1/%v/channel-note\ngeneration 9\nnot-after 2099-01-01T00:00:00Z\nstation %v\n", key, feed.PublicKeyOf(epochKey))
			_, err := feed.OpenChannelNote(key, forged(text, map[string]feed.PublicKey{"tailcast/1/" + key.String(): key}))
			return err
		},
		"station to be signed": func(key feed.PublicKey) error {
			_, err := feed.SignChannelNote(root, feed.ChannelNote{Generation: 2, NotAfter: time.Now(), Stations: []feed.PublicKey{key}})
			return err
		},
		"station of a channel note": func(key feed.PublicKey) error {
			_, err := feed.OpenChannelNote(channel, swap(keys.Signed, *keys.Station, key))
			return err
		},
		"station of an epoch note": func(key feed.PublicKey) error {
			_, err := feed.OpenEpochNote(*keys.Note, swap(epoch, *keys.Station, key))
			return err
		},
		"key of an epoch note": func(key feed.PublicKey) error {
			_, err := feed.OpenEpochNote(*keys.Note, swap(epoch, feed.PublicKeyOf(epochKey), key))
			return err
		},
		"backup": func(key feed.PublicKey) error { _, err := feed.ReadBackup(swap(backup, channel, key)); return err },
		"installed note": func(key feed.PublicKey) error {
			return tryChange(dir, func(k *feed.KeyFolder) error { return k.Install(swap(keys.Signed, channel, key), time.Now()) })
		},
	}
	for entry, take := range entries {
		if err := take(channel); errors.Is(err, feed.ErrKey) {
			t.Errorf("%s: a good key is refused: %v", entry, err)
		}
		for name, key := range feedtest.WeakKeys() {
			if err := take(key); !errors.Is(err, feed.ErrKey) {
				t.Errorf("%s, %s: got %v, want ErrKey", entry, name, err)
			}
		}
	}
}

// TestOneKeyInTwoRoles: the root key is no station key, and neither is it found in its file.
func TestOneKeyInTwoRoles(t *testing.T) {
	dir, root := stationFolder(t)
	if _, err := feed.SignChannelNote(root, feed.ChannelNote{Generation: 1, NotAfter: time.Now(), Stations: []feed.PublicKey{feed.PublicKeyOf(root)}}); err == nil {
		t.Error("the root key was signed as a station")
	}
	for _, name := range []string{"channel.note", "station.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "station.key"), feed.MarshalPrivateKey(root), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := feed.OpenStation(dir, nil); err == nil {
		s.Close()
		t.Error("a station opened whose key is the root key")
	}
}
