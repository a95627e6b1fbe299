package feed

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// goldenStation is the folder of a streamer's keys. Beside its files are backup.txt, a backup of them before it is sealed, and root.key.age,
// which internal/seal opens: sealing makes other bytes each time.
const goldenStation = goldenDir + "/station"

func goldenStationFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{
		channelNoteFile: signedChannelNote(t, testChannelNote()),
		stationKeyFile:  MarshalPrivateKey(seedKey("station")),
		nextKeyFile:     MarshalPrivateKey(seedKey("station 3")),
		rootKeyFile:     MarshalPrivateKey(seedKey("root")),
	}
	b := backup{root: publicKey(seedKey("root"))}
	for _, name := range []string{channelNoteFile, stationKeyFile, nextKeyFile, rootKeyFile} {
		b.files = append(b.files, backupFile{name, files[name]})
	}
	files["backup.txt"] = b.text()
	return files
}

func TestGoldenStation(t *testing.T) {
	dir := t.TempDir()
	for name, want := range goldenStationFiles(t) {
		path := filepath.Join(goldenStation, name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: this code makes other vectors (%v), but version 1 is frozen", path, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(goldenStation, "backup.txt"))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := ChangeKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Restore(text); err != nil {
		t.Fatal(err)
	}
	again, err := folder.Backup()
	if err != nil || !bytes.Equal(again, text) {
		t.Errorf("the backup of what was restored is another: %v\n%s", err, again)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{channelNoteFile, stationKeyFile, nextKeyFile, rootKeyFile} {
		want, err1 := os.ReadFile(filepath.Join(goldenStation, name))
		got, err2 := os.ReadFile(filepath.Join(dir, name))
		if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: restored as\n%s, want\n%s", name, got, want)
		}
	}
	s, err := OpenStation(dir, func() time.Time { return testChannelNote().NotAfter.AddDate(0, 0, -60) })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if want := testChannelNote(); s.Root() != want.Root || s.Note().Generation != want.Generation || publicKey(s.key) != publicKey(seedKey("station")) {
		t.Errorf("got a station of %v, generation %d", s.Root(), s.Note().Generation)
	}
}
