package feed_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// seedKey returns the private key whose seed is SHA-256 of a name.
func seedKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// stationFolder returns the folder of a new channel, and its root key.
func stationFolder(t testing.TB) (dir string, root ed25519.PrivateKey) {
	t.Helper()
	dir = t.TempDir()
	s, err := feed.OpenStation(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	if root, err = feed.ParsePrivateKey(text); err != nil {
		t.Fatal(err)
	}
	return dir, root
}

// change does something with the keys in dir, as a key command would.
func change(t testing.TB, dir string, do func(k *feed.KeyFolder) error) {
	t.Helper()
	if err := tryChange(dir, do); err != nil {
		t.Fatal(err)
	}
}

func tryChange(dir string, do func(k *feed.KeyFolder) error) (err error) {
	k, err := feed.ChangeKeys(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	return do(k)
}

// rotate is what `streamer key rotate` does.
func rotate(root ed25519.PrivateKey, at time.Time) func(k *feed.KeyFolder) error {
	return func(k *feed.KeyFolder) error {
		next, err := k.NextKey()
		if err != nil {
			return err
		}
		note := feed.ChannelNote{Generation: k.Keys().Note.Generation + 1, NotAfter: at.Add(feed.NoteLasts), Stations: []feed.PublicKey{next}}
		signed, err := feed.SignChannelNote(root, note)
		if err != nil {
			return err
		}
		return k.Install(signed, at)
	}
}

// copyOf copies a folder, modes included.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestKilledAtEveryStep: whatever a key command does, being killed before or after any of its steps leaves a folder in which a streamer goes
// on with the same channel, or, while a backup is being restored, says what is missing; and calling the command again completes it.
func TestKilledAtEveryStep(t *testing.T) {
	base, root := stationFolder(t)
	channel := feed.PublicKeyOf(root)
	sealed := []byte("sealed\n")
	var backup []byte
	change(t, base, func(k *feed.KeyFolder) (err error) {
		backup, err = k.Backup()
		return err
	})
	both := copyOf(t, base)
	change(t, both, func(k *feed.KeyFolder) error { return k.Seal(sealed) })
	for _, c := range []struct {
		name  string
		from  string // folder; empty: an empty one
		do    func(k *feed.KeyFolder) error
		steps int
		done  func(k feed.Keys) bool
	}{
		{"rotate", base, rotate(root, time.Now()), 3, func(k feed.Keys) bool { return k.Note.Generation >= 2 && k.Next == nil }},
		{"seal", base, func(k *feed.KeyFolder) error { return k.Seal(sealed) }, 2, func(k feed.Keys) bool { return k.Root == feed.RootSealed }},
		{"unseal", both, func(k *feed.KeyFolder) error { return k.Unseal(root) }, 2, func(k feed.Keys) bool { return k.Root == feed.RootHere }},
		{"move", both, func(k *feed.KeyFolder) error { return k.RemoveRoot() }, 2, func(k feed.Keys) bool { return k.Root == feed.RootElsewhere }},
		{"restore", "", func(k *feed.KeyFolder) error { return k.Restore(backup) }, 3, func(k feed.Keys) bool { return k.Root == feed.RootHere }},
	} {
		for step := range c.steps + 1 {
			for _, landed := range []bool{false, true} {
				name := fmt.Sprintf("%s, step %d, landed %v", c.name, step, landed)
				dir := t.TempDir()
				if c.from != "" {
					dir = copyOf(t, c.from)
				}
				err := tryChange(dir, func(k *feed.KeyFolder) error {
					k.KillAt(step, landed)
					return c.do(k)
				})
				if want := step < c.steps; errors.Is(err, feed.ErrKilled) != want {
					t.Fatalf("%s: got %v, want it killed: %v", name, err, want)
				}
				// A streamer starts on a copy, for one that starts in an empty folder would make a channel of its own.
				s, err := feed.OpenStation(copyOf(t, dir), nil)
				switch {
				case err == nil && s.Root() != channel && !(c.from == "" && step == 0 && !landed):
					t.Errorf("%s: the streamer is of another channel", name)
				case err != nil && (c.from != "" || !strings.Contains(err.Error(), "is missing: restore it")):
					t.Errorf("%s: the streamer says %v", name, err)
				case err == nil:
					s.Close()
				}
				if err := tryChange(dir, c.do); err != nil {
					t.Errorf("%s: again: %v", name, err)
				}
				keys, err := feed.ReadKeys(dir)
				if err != nil || !c.done(keys) || *keys.Channel != channel || !slices.Contains(keys.Note.Stations, *keys.Station) {
					t.Errorf("%s: after calling it again: got %+v, %v", name, keys, err)
				}
			}
		}
	}
}

// TestRunningStationFollowsItsFolder: notes that are handed to it, rotation and sealing, without a restart; nothing that makes no sense.
func TestRunningStationFollowsItsFolder(t *testing.T) {
	dir, root := stationFolder(t)
	now := time.Now()
	s, err := feed.OpenStation(dir, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	renew := func(want bool, what string) {
		t.Helper()
		if want && !s.Changed() {
			t.Errorf("%s: the station says that nothing has changed", what)
		}
		if got, err := s.Renew(); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
		}
	}
	renew(false, "nothing has changed")
	if s.Changed() {
		t.Error("nothing has changed, and the station says something has")
	}
	first := feed.StationKeyOf(s)
	other := feed.PublicKeyOf(seedKey("second machine"))
	longer := feed.ChannelNote{Generation: 1, NotAfter: now.Add(2 * feed.NoteLasts), Stations: []feed.PublicKey{first, other}}
	signed := mustSign(t, root, longer)
	change(t, dir, func(k *feed.KeyFolder) error { return k.Install(signed, now) })
	renew(true, "a note was installed")
	if got := s.Note(); !bytes.Equal(s.ChannelNote(), signed) || len(got.Stations) != 2 || feed.StationKeyOf(s) != first {
		t.Errorf("got %+v, want the note that was installed, and the same key", got)
	}
	old := s.ChannelNote()
	change(t, dir, rotate(root, now))
	renew(true, "rotated")
	if got := s.Note(); got.Generation != 2 || feed.StationKeyOf(s) == first || got.Stations[0] != feed.StationKeyOf(s) {
		t.Errorf("got %+v, want generation 2 with a new key", got)
	}
	change(t, dir, func(k *feed.KeyFolder) error { return k.Seal([]byte("sealed\n")) })
	renew(false, "sealed")
	if s.RenewsItself() {
		t.Error("the root key is sealed, and the streamer still has it")
	}

	for name, text := range map[string]string{"an older note": string(old), "half a note": string(old[:len(old)/2]), "nothing": ""} {
		if err := os.WriteFile(filepath.Join(dir, "channel.note"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if changed, err := s.Renew(); err == nil || changed || s.Note().Generation != 2 {
			t.Errorf("%s: got %v, %v, generation %d, want an error and no change", name, changed, err, s.Note().Generation)
		}
		if s.Changed() {
			t.Errorf("%s: read, and the station says that it was changed since", name)
		}
	}
}

// TestRotationMakesItsKey: a key that waited for a note may have been copied with the folder, as the present one, by whom the rotation is to shut out.
func TestRotationMakesItsKey(t *testing.T) {
	dir, root := stationFolder(t)
	change(t, dir, func(k *feed.KeyFolder) error {
		_, err := k.NextKey()
		return err
	})
	stolen, err := feed.ReadKeys(copyOf(t, dir))
	if err != nil || stolen.Next == nil {
		t.Fatalf("got %+v, %v", stolen, err)
	}
	change(t, dir, rotate(root, time.Now()))
	keys, err := feed.ReadKeys(dir)
	if err != nil || keys.Note.Generation != 2 || slices.Contains(keys.Note.Stations, *stolen.Next) || slices.Contains(keys.Note.Stations, *stolen.Station) {
		t.Errorf("got %+v, %v, want generation 2 with a key that was not in the copy", keys.Note, err)
	}
}

// TestKeyCommandHoldsTheStreamerUpForNothing: while a key command has the folder, the streamer goes on as it is.
func TestKeyCommandHoldsTheStreamerUpForNothing(t *testing.T) {
	dir, _ := stationFolder(t)
	s, err := feed.OpenStation(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lock, err := feed.LockKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if changed, err := s.Renew(); changed || err != nil {
		t.Errorf("got %v, %v, want nothing", changed, err)
	}
	if _, err := feed.LockKeys(dir); !errors.Is(err, feed.ErrLocked) {
		t.Errorf("a second key command: got %v, want ErrLocked", err)
	}
}

func mustSign(t testing.TB, root ed25519.PrivateKey, n feed.ChannelNote) []byte {
	t.Helper()
	signed, err := feed.SignChannelNote(root, n)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestInstallRefuses whatever would make the station useless or go back.
func TestInstallRefuses(t *testing.T) {
	dir, root := stationFolder(t)
	change(t, dir, rotate(root, time.Now()))
	keys, err := feed.ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	note := func(root ed25519.PrivateKey, generation uint64, lasts time.Duration, stations ...feed.PublicKey) []byte {
		return mustSign(t, root, feed.ChannelNote{Generation: generation, NotAfter: now.Add(lasts), Stations: stations})
	}
	stranger := feed.PublicKeyOf(seedKey("stranger"))
	flipped := note(root, 2, 2*feed.NoteLasts, *keys.Station)
	flipped[len(flipped)-5] ^= 1
	for _, c := range []struct {
		name   string
		signed []byte
		is     error
		want   string
	}{
		{"another channel", note(seedKey("other root"), 3, feed.NoteLasts, *keys.Station), feed.ErrOtherChannel, ""},
		{"an older generation", note(root, 1, 9*feed.NoteLasts, *keys.Station), feed.ErrOlderNote, "generation 1"},
		{"it ends earlier", note(root, 2, time.Hour, *keys.Station), feed.ErrOlderNote, "it ends"},
		{"expired", note(root, 3, -time.Hour, *keys.Station), feed.ErrExpired, ""},
		{"not this station", note(root, 3, feed.NoteLasts, stranger), nil, keys.Station.String()},
		{"a bit flipped", flipped, nil, "channel note"},
		{"nothing", nil, nil, "channel note"},
	} {
		err := tryChange(dir, func(k *feed.KeyFolder) error { return k.Install(c.signed, now) })
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %v %q", c.name, err, c.is, c.want)
		}
	}
	after, err := feed.ReadKeys(dir)
	if err != nil || !bytes.Equal(after.Signed, keys.Signed) {
		t.Errorf("the note has changed: %v", err)
	}
	change(t, dir, func(k *feed.KeyFolder) error { return k.Install(keys.Signed, now) }) // the same again does no harm
}

// TestSecondMachine: a key that was asked for waits for its note, and works with it; no root key comes near that machine.
func TestSecondMachine(t *testing.T) {
	dir, root := stationFolder(t)
	second := t.TempDir()
	var asked feed.PublicKey
	for range 2 {
		change(t, second, func(k *feed.KeyFolder) (err error) {
			again, err := k.StationKey()
			if asked != (feed.PublicKey{}) && again != asked {
				t.Error("asked twice, two keys")
			}
			asked = again
			return err
		})
	}
	if _, err := feed.OpenStation(second, nil); err == nil || !strings.Contains(err.Error(), "install it") {
		t.Errorf("without a note: got %v, want what to do", err)
	}
	keys, err := feed.ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	signed := mustSign(t, root, feed.ChannelNote{Generation: 1, NotAfter: keys.Note.NotAfter.Add(time.Second), Stations: []feed.PublicKey{*keys.Station, asked}})
	for _, d := range []string{dir, second} {
		change(t, d, func(k *feed.KeyFolder) error { return k.Install(signed, time.Now()) })
		s, err := feed.OpenStation(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Root() != feed.PublicKeyOf(root) {
			t.Error("another channel")
		}
		s.Close()
	}
}

// TestRotationWhileOnAir: the epoch ends with ErrRotated within seconds, the next one is of the new generation, viewers follow, and what the
// old key opens then is refused.
func TestRotationWhileOnAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, root := stationFolder(t)
		station, err := feed.OpenStation(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer station.Close()
		stolen := copyOf(t, dir)
		c := feedtest.Broadcast(t, station, feed.Config{}, 1)
		c.Append(t, 3, 100)
		viewer, _ := c.Viewer(t, feed.Config{}, feedtest.Rendition)
		done := make(chan error, 1)
		go func() { done <- c.Writer.Run(t.Context()) }()
		synctest.Wait()
		change(t, dir, rotate(root, time.Now()))
		begin := time.Now()
		if err := <-done; !errors.Is(err, feed.ErrRotated) || time.Since(begin) > feed.LookEvery {
			t.Fatalf("got %v after %v, want ErrRotated within %v", err, time.Since(begin), feed.LookEvery)
		}
		if err := c.Restart(1); err != nil {
			t.Fatal(err)
		}
		c.Append(t, 3, 100)
		if e, err := viewer.AddNotes(c.Replica.Notes()); err != nil || e.Note().Generation != 2 {
			t.Errorf("the viewer got %v, %v, want generation 2", e, err)
		}
		thief, err := feed.OpenStation(stolen, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		theirs := feedtest.Broadcast(t, thief, feed.Config{}, 1)
		if _, err := viewer.AddNotes(theirs.Replica.Notes()); !errors.Is(err, feed.ErrOlderGeneration) {
			t.Errorf("the thief's epoch: got %v, want ErrOlderGeneration", err)
		}
	})
}

// TestInstalledNoteReachesViewers while the same epoch goes on.
func TestInstalledNoteReachesViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, root := stationFolder(t)
		station, err := feed.OpenStation(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer station.Close()
		c := feedtest.Broadcast(t, station, feed.Config{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Writer.Run(ctx) }()
		note := station.Note()
		note.NotAfter = note.NotAfter.Add(time.Hour)
		signed := mustSign(t, root, note)
		change(t, dir, func(k *feed.KeyFolder) error { return k.Install(signed, time.Now()) })
		time.Sleep(feed.LookEvery + time.Second)
		if got := c.Replica.Notes(); !bytes.Equal(got.Channel, signed) {
			t.Errorf("the replica passes on\n%s, want the note that was installed", got.Channel)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestBackupAndRestore(t *testing.T) {
	dir, root := stationFolder(t)
	backup := func(dir string) (text []byte) {
		change(t, dir, func(k *feed.KeyFolder) (err error) {
			text, err = k.Backup()
			return err
		})
		return text
	}
	restore := func(dir string, text []byte) error {
		return tryChange(dir, func(k *feed.KeyFolder) error { return k.Restore(text) })
	}
	text := backup(dir)
	told, err := feed.ReadBackup(text)
	if err != nil || *told.Channel != feed.PublicKeyOf(root) || told.Root != feed.RootHere || told.Note.Generation != 1 {
		t.Fatalf("the backup says %+v, %v", told, err)
	}
	empty := filepath.Join(t.TempDir(), "new", "folder")
	for range 2 {
		if err := restore(empty, text); err != nil {
			t.Fatal(err)
		}
		if again := backup(empty); !bytes.Equal(again, text) {
			t.Errorf("a backup of what was restored differs:\n%s\n%s", again, text)
		}
	}
	s, err := feed.OpenStation(empty, nil)
	if err != nil || s.Note().Generation != 1 {
		t.Fatalf("what was restored does not start: %v", err)
	}
	s.Close()

	other, _ := stationFolder(t)
	if err := restore(other, text); err == nil || !strings.Contains(err.Error(), "another channel") {
		t.Errorf("over another channel: got %v", err)
	}
	// Renewed since: the newer note stays. Rotated since: the old keys are worthless and replace nothing.
	note := *told.Note
	note.NotAfter = note.NotAfter.Add(time.Hour)
	change(t, empty, func(k *feed.KeyFolder) error { return k.Install(mustSign(t, root, note), time.Now()) })
	if err := restore(empty, text); err != nil {
		t.Error(err)
	}
	if keys, err := feed.ReadKeys(empty); err != nil || !keys.Note.NotAfter.Equal(note.NotAfter.UTC()) {
		t.Errorf("got %+v, %v, want the newer note", keys.Note, err)
	}
	change(t, empty, rotate(root, time.Now()))
	if err := restore(empty, text); err == nil || !strings.Contains(err.Error(), "station.key differs") {
		t.Errorf("over keys that were rotated: got %v", err)
	}
}

func TestBackupRefusesWhatDoesNotGoTogether(t *testing.T) {
	dir, _ := stationFolder(t)
	other, _ := stationFolder(t)
	var text, foreign []byte
	change(t, dir, func(k *feed.KeyFolder) (err error) { text, err = k.Backup(); return err })
	change(t, other, func(k *feed.KeyFolder) (err error) { foreign, err = k.Backup(); return err })
	section := func(text []byte, name string) string {
		_, rest, _ := strings.Cut(string(text), "-- "+name+" --\n")
		content, _, _ := strings.Cut(rest, "\n-- ")
		return strings.TrimSuffix(content, "\n") + "\n"
	}
	swap := func(name string) string {
		return strings.Replace(string(text), section(text, name), section(foreign, name), 1)
	}
	title, rest, _ := strings.Cut(string(text), "\n")
	for name, bad := range map[string]string{
		"another note":        swap("channel.note"),
		"another station key": swap("station.key"),
		"another root key":    swap("root.key"),
		"no title":            rest,
		"a weak root":         strings.Replace(string(text), title, "tailcast/1/"+strings.Repeat("a", 52)+"/backup", 1),
		"cut off":             string(text[:len(text)-30]),
		"another file":        string(text) + "-- lock --\n",
		"a file twice":        string(text) + "-- root.key --\n" + section(text, "root.key"),
		"nothing":             "",
		"too long":            string(text) + strings.Repeat("\n", feed.MaxBackup),
	} {
		if _, err := feed.ReadBackup([]byte(bad)); err == nil {
			t.Errorf("%s: taken", name)
		}
		empty := t.TempDir()
		if err := tryChange(empty, func(k *feed.KeyFolder) error { return k.Restore([]byte(bad)) }); err == nil {
			t.Errorf("%s: restored", name)
		}
		if _, err := feed.ReadKeys(empty); !errors.Is(err, feed.ErrNoKeys) {
			t.Errorf("%s: something was restored: %v", name, err)
		}
	}
}

func FuzzBackup(f *testing.F) {
	dir, _ := stationFolder(f)
	var text []byte
	change(f, dir, func(k *feed.KeyFolder) (err error) {
		if _, err := k.NextKey(); err != nil {
			return err
		}
		text, err = k.Backup()
		return err
	})
	f.Add(text)
	f.Add(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := feed.ReadBackup(text)
		if err == nil && (keys.Channel == nil || keys.Station == nil || keys.Note == nil || !slices.Contains(keys.Note.Stations, *keys.Station)) {
			t.Errorf("taken, and says %+v", keys)
		}
	})
}

func FuzzInstall(f *testing.F) {
	dir, root := stationFolder(f)
	keys, err := feed.ReadKeys(dir)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	next := feed.ChannelNote{Generation: 2, NotAfter: now.Add(feed.NoteLasts), Stations: []feed.PublicKey{*keys.Station}}
	f.Add(keys.Signed)
	f.Add(mustSign(f, root, next))
	f.Add(mustSign(f, seedKey("other"), next))
	f.Fuzz(func(t *testing.T, signed []byte) {
		k, err := feed.ChangeKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		before := k.Keys()
		if err := k.Install(signed, now); err != nil {
			return
		}
		after := k.Keys()
		if *after.Channel != *before.Channel || after.Note.Generation < before.Note.Generation || !slices.Contains(after.Note.Stations, *after.Station) {
			t.Errorf("installed %q", signed)
		}
	})
}
