package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFailureLeavesNoFile: whatever ends a viewer before the first byte has come, the corrected command finds the names free.
func TestFailureLeavesNoFile(t *testing.T) {
	nobody := aLink(t).String()
	absent := nobody + "?a=127.0.0.1:9"
	for what, c := range map[string]struct {
		link, want string
		args       []string
	}{
		"nobody to begin with": {nobody, "names nobody to begin with", nil},
		"a bad address":        {absent, "--http", []string{"--http", "nonsense"}},
		"nothing arrives":      {absent, "nothing has arrived", []string{"--give-up", "1ms"}},
		"the proof is there":   {absent, "a.clip", nil},
	} {
		dir := t.TempDir()
		proof := filepath.Join(dir, "a.clip")
		if what == "the proof is there" {
			if err := os.WriteFile(proof, []byte("another's"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{c.link, "--no-lan", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--record", filepath.Join(dir, "a.ts")}
		if _, err := viewerSays(t, append(args, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", what, err, c.want)
		}
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range left {
			if text, _ := os.ReadFile(filepath.Join(dir, f.Name())); string(text) != "another's" {
				t.Errorf("%s: leaves %s behind", what, f.Name())
			}
		}
	}
}
