package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKilledStreamersFolderVerifies kills a streamer at three moments and lets the foreign verifier, which knows nothing but
// docs/feed.md, judge what is left: every head signed, none of them twice.
func TestKilledStreamersFolderVerifies(t *testing.T) {
	need(t, "node")
	beside(t, 1)
	dir := t.TempDir()
	var link string
	for range 3 {
		s := start(t, "streamer", nil, "demo", "--data", dir)
		v := viewer(t, s.LinkTo())
		until(t, v, "two seconds on air, so that some of it is on disk", func(s status) bool {
			return len(s.Renditions) > 0 && s.Renditions[0].Head > 40
		})
		link = s.Link
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, "streamer", nil, "demo", "--data", dir)
	until(t, s, "live", live)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	out := foreignVerify(t, filepath.Join(dir, "feed"), link)
	if epochs := strings.Count(out, "epoch"); epochs < 4 {
		t.Errorf("verify.mjs speaks of %d epochs, want 4:\n%s", epochs, out)
	}
	t.Logf("%s", out)
}

// foreignVerify lets the verifier that is written from docs/feed.md alone judge the folder of a channel.
func foreignVerify(t *testing.T, dir, link string) string {
	t.Helper()
	verify := filepath.Join("..", "..", "feed", "testdata", "verify.mjs")
	out, err := exec.CommandContext(t.Context(), "node", verify, dir, link).CombinedOutput()
	if err != nil {
		t.Fatalf("verify.mjs: %v\n%s", err, out)
	}
	return string(out)
}
