package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClipOfAStreamerOnAir cuts five seconds out of a streamer that is on air: as evidence, which our verifier and the foreign one prove
// under the streamer's link, and with one bit flipped anywhere they tried do not; and as files that mpv plays.
func TestClipOfAStreamerOnAir(t *testing.T) {
	need(t, "node", "mpv")
	beside(t, 1)
	dir, out := t.TempDir(), t.TempDir()
	s := start(t, "streamer", nil, "demo", "--data", dir)
	v := viewer(t, s.LinkTo())
	until(t, v, "eight seconds on air", func(s status) bool { return len(s.Renditions) > 0 && s.Renditions[0].Head > 220 })
	link, _, _ := strings.Cut(s.Link, "?")
	file := func(name string) string { return filepath.Join(out, name) }
	said := runViewer(t, true, "export", dir, file("a.clip"), "--from", "-6s", "--link", link)
	for _, want := range []string{"proved", "(the one that was given)", "no witness dates them"} {
		if !strings.Contains(said, want) {
			t.Errorf("export does not say %q:\n%s", want, said)
		}
	}
	runViewer(t, true, "export", dir, file("a.ts"), "--from", "-6s", "--to", "+5s")
	runViewer(t, true, "export", file("a.clip"), file("a.mp4"), "--link", link)
	runViewer(t, true, "verify", dir, "--link", link, "--every-head") // while it is being written
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	runViewer(t, true, "verify", dir, "--link", link, "--every-head")
	runViewer(t, true, "verify", file("a.clip"), "--link", link)
	foreign := filepath.Join("..", "..", "feed", "testdata", "verify.mjs")
	if said, err := exec.CommandContext(t.Context(), "node", foreign, file("a.clip"), link).CombinedOutput(); err != nil {
		t.Errorf("verify.mjs: %v\n%s", err, said)
	}
	flipped(t, file("a.clip"), link, foreign)
	for _, name := range []string{"a.ts", "a.mp4"} {
		said, err := exec.CommandContext(t.Context(), "mpv", "--no-config", "--vo=null", "--ao=null", "--speed=5", "--msg-level=all=warn", file(name)).CombinedOutput()
		if err != nil {
			t.Errorf("mpv %s: %v\n%s", name, err, said)
		}
		for _, c := range complaints {
			if strings.Contains(strings.ToLower(string(said)), c) {
				t.Errorf("mpv %s: %s", name, said)
			}
		}
	}
}

// runViewer runs a command of the viewer, which must succeed or fail, and returns what it says.
func runViewer(t *testing.T, succeed bool, args ...string) string {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), filepath.Join(bin, "viewer"), args...).CombinedOutput()
	if (err == nil) != succeed {
		t.Errorf("viewer %q: %v\n%s", args, err, said)
	}
	return string(said)
}

// flipped flips one bit in each of eight places of a clip.
func flipped(t *testing.T, clip, link, foreign string) {
	t.Helper()
	b, err := os.ReadFile(clip)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "flipped.clip")
	for k := range 8 {
		c := bytes.Clone(b)
		c[(2*k+1)*len(c)/16] ^= 1 << k
		if err := os.WriteFile(name, c, 0o600); err != nil {
			t.Fatal(err)
		}
		if said := runViewer(t, false, "verify", name, "--link", link); !strings.Contains(said, "refuted") {
			t.Errorf("a bit flipped: %s", said)
		}
		if said, err := exec.CommandContext(t.Context(), "node", foreign, name, link).CombinedOutput(); err == nil {
			t.Errorf("verify.mjs accepts a flipped bit: %s", said)
		}
	}
}
