package feed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The file newest has one spelling: whatever is read is written again as it was.
func TestNewestHasOneSpelling(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(goldenDir, "channel", newestFile))
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	if n, err := parseNewest(text); err != nil || len(n.heads) != 2 {
		t.Fatalf("got %d heads, %v", len(n.heads), err)
	}
	before, rest, _ := strings.Cut(good, "[")
	heads, after, _ := strings.Cut(rest, "]")
	catalog, tv, _ := strings.Cut(heads, "},")
	catalog += "}"
	of := func(heads ...string) string { return before + "[" + strings.Join(heads, ",") + "]" + after }
	if of(catalog, tv) != good {
		t.Fatal("this test does not take the file apart well")
	}
	for name, bad := range map[string]string{
		"no line break":    strings.TrimSuffix(good, "\n"),
		"a line more":      good + "\n",
		"a space":          strings.Replace(good, ":", ": ", 1),
		"a member more":    strings.Replace(good, "{", `{"x":1,`, 1),
		"another order":    of(tv, catalog),
		"a head twice":     of(catalog, catalog, tv),
		"trailing bits":    strings.Replace(good, `=="}`, `A="}`, 1),
		"an escape":        strings.Replace(good, `"tv"`, `"\u0074v"`, 1),
		"a break in a sum": strings.Replace(good, `"root":"`, `"root":"\n`, 1),
	} {
		if bad == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := parseNewest([]byte(bad)); err == nil {
			t.Errorf("%s: took %s", name, bad)
		}
	}
}
