package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/internal/seal"
	"tailcast/node"
)

// TestMain lets scripts run this test binary as the streamer, with passphrases that cost little.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector sleeps for a second at the end of each process
	testscript.Main(m, map[string]func(){
		"streamer": func() { os.Exit(node.Main(command(seal.Sealer{Work: 8}))) },
	})
}

// TestKeyScripts runs the scripts in testdata: what people type, and what they get.
func TestKeyScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "home"))
			return errors.Join(secret(e.WorkDir, "pass", "correct horse"), secret(e.WorkDir, "wrong", "battery staple"), secret(e.WorkDir, "short", "horse"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"channel": makeChannel, "fails": fails, "forge": forge, "mode": mode,
		},
	})
}

func secret(dir, name, passphrase string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(passphrase+"\n"), 0o600)
}

// makeChannel DIR... is what the first start of a streamer does.
func makeChannel(ts *testscript.TestScript, _ bool, args []string) {
	for _, dir := range args {
		s, err := feed.OpenStation(ts.MkAbs(dir), nil)
		ts.Check(err)
		ts.Check(s.Close())
	}
}

// fails CODE COMMAND... wants that exit code.
func fails(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("got %v, want exit code %s", err, args[0])
	}
}

// mode FILE PERMISSIONS wants these.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s: got mode %s, want %s", args[0], got, args[1])
	}
}

// forge DIR DAYS signs the note in DIR anew so that it ends in so many days, with the root key there: time itself does not obey scripts.
func forge(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	days, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(forgeNote(dir, time.Now().AddDate(0, 0, days)))
}

func forgeNote(dir string, until time.Time) error {
	text, err := os.ReadFile(filepath.Join(dir, "root.key"))
	if err != nil {
		return err
	}
	root, err := feed.ParsePrivateKey(text)
	if err != nil {
		return err
	}
	keys, err := feed.ReadKeys(dir)
	if err != nil {
		return err
	}
	note := *keys.Note
	note.NotAfter = until
	signed, err := feed.SignChannelNote(root, note)
	if err != nil {
		return err
	}
	return os.WriteFile(keys.NoteFile(), signed, 0o600)
}

// TestKeysPage runs the commands of docs/keys.md as they stand there, each block in the home of the machine that it names, and checks what the
// page promises of the keys at the end.
func TestKeysPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "keys.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stick := filepath.Join(dir, "usb")
	if err := errors.Join(os.Mkdir(stick, 0o700), secret(dir, "pass", "five random words are good")); err != nil {
		t.Fatal(err)
	}
	home := func(machine string) string { return filepath.Join(dir, machine) }
	data := func(machine string) string { return filepath.Join(home(machine), ".local/share/tailcast/streamer") }
	studio, err := feed.OpenStation(data("studio"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer studio.Close() // on air all the time: key commands do not mind
	asks := regexp.MustCompile(`(?m)^streamer key (backup|restore|seal|renew|rotate)\b`)
	blocks := regexp.MustCompile("(?s)```sh (\\w+)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 15 {
		t.Fatalf("found only %d blocks of commands: this test reads the wrong page", len(blocks))
	}
	for _, block := range blocks {
		machine := block[1]
		if err := os.MkdirAll(home(machine), 0o700); err != nil {
			t.Fatal(err)
		}
		script := strings.ReplaceAll(asks.ReplaceAllString(block[2], "$0 --passphrase-file "+filepath.Join(dir, "pass")), "/media/usb", stick)
		cmd := exec.Command("sh", "-eu", "-c", script)
		cmd.Dir, cmd.Env = home(machine), append(slices.DeleteFunc(os.Environ(), isXDG), "HOME="+home(machine))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("on %s: %v\n%s%s", machine, err, block[2], out)
		}
	}
	if _, err := studio.Renew(); err != nil {
		t.Error(err)
	}
	for machine, generation := range map[string]uint64{"studio": 3, "spare": 3, "new": 10} {
		keys, err := feed.ReadKeys(data(machine))
		if err != nil {
			t.Fatal(err)
		}
		if *keys.Channel != studio.Root() || keys.Note.Generation != generation || !slices.Contains(keys.Note.Stations, *keys.Station) || keys.Next != nil {
			t.Errorf("%s: got %+v, want generation %d of the same channel", machine, keys, generation)
		}
		if keys.Root != feed.RootElsewhere {
			t.Errorf("%s: the root key is there", machine)
		}
	}
	if got := studio.Note().Generation; got != 3 {
		t.Errorf("the streamer that ran all the time is in generation %d, want 3", got)
	}
}

func isXDG(variable string) bool { return strings.HasPrefix(variable, "XDG_") }

// TestWeakKeysAsStations: keys with which anybody can sign, and other spellings of keys, are not taken.
func TestWeakKeysAsStations(t *testing.T) {
	dir := t.TempDir()
	station, err := feed.OpenStation(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	station.Close()
	root := station.Root().String()
	good := feed.PublicKeyOf(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))).String()
	bad := map[string]string{"the root key": root, "upper case": strings.ToUpper(good), "cut off": good[:51], "nothing": ""}
	for name, key := range feedtest.WeakKeys() {
		bad[name] = key.String()
	}
	for name, text := range bad {
		for _, verb := range []string{"renew", "rotate"} {
			c := command(seal.Sealer{})
			c.SilenceErrors, c.SilenceUsage = true, true
			c.SetArgs([]string{"key", verb, "--data", dir, "--station", text})
			_, weak := feedtest.WeakKeys()[name]
			if err := c.ExecuteContext(t.Context()); err == nil || weak && !errors.Is(err, feed.ErrKey) {
				t.Errorf("%s, %s: got %v", verb, name, err)
			}
		}
	}
	if keys, err := feed.ReadKeys(dir); err != nil || keys.Note.Generation != 1 || len(keys.Note.Stations) != 1 {
		t.Errorf("the note has changed: %+v, %v", keys.Note, err)
	}
}

// Of two rotations at the same time one is the rotation; the other says so, instead of signing the same generation for another key.
func TestRotatedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	station, err := feed.OpenStation(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer station.Close()
	folder, err := feed.ChangeKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	k := &keyCommand{}
	if err := k.rotateHere(folder, signer{}, feed.ChannelNote{Generation: station.Note().Generation}); err == nil || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("got %v, want a sentence", err)
	}
	if keys := folder.Keys(); keys.Next != nil {
		t.Error("a key was made")
	}
}
