package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/internal/command"
)

// keyFacts is what `streamer key ... --json` prints, in part.
type keyFacts struct {
	Link       string `json:"link"`
	RootKey    string `json:"root_key"`
	Station    string `json:"station"`
	Generation uint64 `json:"generation"`
}

// key runs `streamer key`.
func key(t *testing.T, dir string, args ...string) (f keyFacts) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "streamer"), append([]string{"key"}, append(args, "--data", dir, "--json")...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("streamer %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	if err := json.Unmarshal(out, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestKeysRotatedWhileOnAir: a thief copies the data directory; the broadcaster, whose root key is on a stick by then, rotates. The streamer
// goes on in the next generation without a restart, who plays /live.ts keeps getting bytes, and nobody follows the thief any more.
func TestKeysRotatedWhileOnAir(t *testing.T) {
	need(t)
	beside(t, 1)
	dir, stick, pass := t.TempDir(), filepath.Join(t.TempDir(), "root.key.age"), filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "streamer", nil, "demo", "--data", dir)
	v := viewer(t, s.LinkTo())
	before := until(t, v, "live", live).Renditions[0].Epoch
	if got := key(t, dir, "seal", "--move", stick, "--passphrase-file", pass); got.RootKey != "elsewhere" {
		t.Errorf("after moving it the root key is %q", got.RootKey)
	}
	stolen := t.TempDir()
	for _, name := range []string{"station.key", "channel.note"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(stolen, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", v.HTTP+"/live.ts?join=last", nil)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got := key(t, dir, "rotate", "--root", stick, "--passphrase-file", pass); got.Generation != 2 || !strings.HasPrefix(s.Link, got.Link) {
		t.Errorf("got %+v, want generation 2 of the same link", got)
	}
	next := func(s status) bool { return live(s) && len(s.Renditions) > 0 && s.Renditions[0].Epoch != before }
	after := until(t, v, "live in the new generation", next)
	buf := make([]byte, 64<<10)
	for total := 0; total < 4<<20; { // more than was on the way when the epoch changed
		n, err := r.Body.Read(buf)
		total += n
		if err != nil {
			t.Fatalf("the stream ended after %d bytes: %v", total, err)
		}
	}

	thief := start(t, "streamer2", nil, "demo", "--data", stolen)
	w := viewer(t, s.LinkTo()+"&a="+thief.Listen[0])
	seen := until(t, w, "live", live)
	if seen.Renditions[0].Epoch != after.Renditions[0].Epoch {
		t.Errorf("a newcomer who knows both follows %s, want %s", seen.Renditions[0].Epoch, after.Renditions[0].Epoch)
	}
	// The viewer has told the thief's streamer, which ends: its generation is over.
	select {
	case <-thief.Done():
		if err := thief.Stop(); err == nil || !strings.Contains(err.Error(), "share the keys of this channel") {
			t.Errorf("the thief's streamer ended with %v, want a sentence", err)
		}
	case <-time.After(patience):
		t.Error("the thief's streamer goes on")
	}
	if got := until(t, v, "still live", live); got.Renditions[0].Epoch != after.Renditions[0].Epoch || got.Blocks.Rejected != 0 {
		t.Errorf("the viewer got %+v", got)
	}
}

// TestKeysRestoredElsewhere: the machine is gone, its keys come out of the backup, and viewers follow under the same link.
func TestKeysRestoredElsewhere(t *testing.T) {
	need(t)
	beside(t, 1)
	dir, fresh, backup, pass := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:" + freePort(t)
	s := start(t, "streamer", nil, "demo", "--data", dir, "--listen", addr)
	v := viewer(t, s.LinkTo())
	before := until(t, v, "live", live).Renditions[0].Epoch
	key(t, dir, "backup", backup, "--passphrase-file", pass)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	key(t, fresh, "restore", backup, "--passphrase-file", pass)
	again, err := command.Start(command.Config{Bin: bin, Name: "streamer", Args: []string{"demo", "--data", fresh, "--listen", addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Kill() })
	if again.Link != s.Link {
		t.Errorf("link after the restore: got %s, want %s", again.Link, s.Link)
	}
	after := until(t, v, "live in another epoch", func(s status) bool {
		return live(s) && len(s.Renditions) > 0 && s.Renditions[0].Epoch != before
	})
	if after.Blocks.Rejected != 0 {
		t.Errorf("%d blocks were rejected", after.Blocks.Rejected)
	}
}
