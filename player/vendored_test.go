package player

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
)

// TestVendored holds third parties' files at the bytes that SHA256SUMS names, and knows of no others.
func TestVendored(t *testing.T) {
	folders, err := fs.Glob(vendored, "web/vendor/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no vendored files: %v", err)
	}
	for _, folder := range folders {
		list, err := fs.ReadFile(vendored, folder+"/SHA256SUMS")
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{"SHA256SUMS": true}
		for lines := bufio.NewScanner(bytes.NewReader(list)); lines.Scan(); {
			sum, name, _ := strings.Cut(lines.Text(), "  ")
			named[name] = true
			file, err := fs.ReadFile(vendored, path.Join(folder, name))
			if got := sha256.Sum256(file); err != nil || hex.EncodeToString(got[:]) != sum {
				t.Errorf("%s/%s is not the file that was taken over (%v)", folder, name, err)
			}
		}
		files, _ := fs.ReadDir(vendored, folder)
		for _, f := range files {
			if !named[f.Name()] {
				t.Errorf("%s/%s is not in SHA256SUMS", folder, f.Name())
			}
		}
		if !named["LICENSE"] {
			t.Errorf("%s has no licence", folder)
		}
	}
}

func TestVendorIsServed(t *testing.T) {
	server := httptest.NewServer(New(Config{}))
	defer server.Close()
	for path, want := range map[string]int{
		HLSScript: http.StatusOK, "/vendor/": http.StatusNotFound, "/vendor/hls.js-1.7.4/": http.StatusNotFound,
		"/vendor/..%2findex.html": http.StatusNotFound, "/vendor/hls.js-1.7.4/README.md": http.StatusNotFound,
	} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want && (want == http.StatusOK || answer.StatusCode < 400) {
			t.Errorf("%s: got %s, want %d", path, answer.Status, want)
		}
	}
}
