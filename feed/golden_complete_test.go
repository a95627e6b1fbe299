package feed

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	feedDoc     = "../docs/feed.md"
	frozenFile  = "testdata/v1.sha256"
	frozenHowTo = "version 1 is frozen; if that was meant, say why in the commit and make the list anew, in feed/testdata: " +
		"find v1 -type f | LC_ALL=C sort | xargs sha256sum > v1.sha256"
)

// noVectors holds the sections of docs/feed.md that describe no bytes of their own.
var noVectors = map[string]string{
	"Notation":          "the words of the others",
	"Verifying a block": "what to do with what the others describe; the folders show it",
	"Freshness":         "when to say live",
	"Seeking":           "how to look for what the others describe",
	"Compatibility":     "what may come",
	"Vectors":           "the vectors themselves",
}

// Every section that describes bytes has vectors, every row of the table is a file or folder that is there, and no other is.
func TestVectorsAreComplete(t *testing.T) {
	doc, err := os.ReadFile(feedDoc)
	if err != nil {
		t.Fatal(err)
	}
	rows, sections := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([0-9, ]+) \\|").FindAllStringSubmatch(string(doc), -1) {
		rows[strings.TrimSuffix(m[1], "/")] = true
		for s := range strings.SplitSeq(m[2], ",") {
			sections[strings.TrimSpace(s)] = true
		}
	}
	titles := regexp.MustCompile(`(?m)^## ([0-9]+)\. (.*)$`).FindAllStringSubmatch(string(doc), -1)
	if len(titles) < 15 || len(rows) < 12 {
		t.Fatalf("%s has %d sections and %d rows of vectors, so this test does not read it well", feedDoc, len(titles), len(rows))
	}
	for _, m := range titles {
		if _, none := noVectors[m[2]]; none == sections[m[1]] {
			t.Errorf("section %s, %s: it has vectors: %v; noVectors says that it needs none: %v", m[1], m[2], sections[m[1]], none)
		}
	}
	entries, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !rows[e.Name()] {
			t.Errorf("%s is not in the table of %s, Vectors", e.Name(), feedDoc)
		}
		delete(rows, e.Name())
	}
	for name := range rows {
		t.Errorf("%s has no %s, which %s names", goldenDir, name, feedDoc)
	}
}

// Every file and folder of vectors is named in a Go test, which compares it byte by byte or verifies it. That verify_test.mjs reads them
// all it says itself.
func TestVectorsAreRead(t *testing.T) {
	var source strings.Builder
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") || path == "golden_complete_test.go" {
			return err
		}
		b, err := os.ReadFile(path)
		source.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !regexp.MustCompile(`["/]` + regexp.QuoteMeta(e.Name()) + `["/]`).MatchString(source.String()) {
			t.Errorf("no test of Go reads %s", e.Name())
		}
	}
}

// The vectors are those that were there when version 1 was frozen: -update makes others without asking, and this notices.
func TestVectorsAreFrozen(t *testing.T) {
	list, err := os.ReadFile(frozenFile)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(list)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok {
			t.Fatalf("%s: %q is no line of sha256sum", frozenFile, line)
		}
		want[name] = sum
	}
	for name, content := range filesIn(t, goldenDir) {
		name = "v1/" + name
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(content))); got != want[name] {
			t.Errorf("%s has SHA-256 %s, %s says %q: %s", name, got, frozenFile, want[name], frozenHowTo)
		}
		delete(want, name)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		t.Errorf("%s is gone: %s", name, frozenHowTo)
	}
}
