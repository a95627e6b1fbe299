package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNodeKeyStays(t *testing.T) {
	dir := t.TempDir()
	first, err := Key(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Key(dir)
	if err != nil || !second.Equal(first) {
		t.Errorf("second start: got another key or %v, want the same key", err)
	}
	path := filepath.Join(dir, nodeKeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, error %v, want 0600", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Key(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: got %v, want a refusal that says what to do", err)
	}
	if err := os.WriteFile(path, []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Key(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged key: got %v, want a refusal that says so", err)
	}
}
