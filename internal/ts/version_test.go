package ts

import (
	"os"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestAstitsVersion holds go-astits at the version that is to be trusted: later ones lose data and are 7 to 29 times slower, and
// other dependencies would raise it. The version in go.mod is the one that is built, or the go command refuses to build.
func TestAstitsVersion(t *testing.T) {
	const path, want = "github.com/asticode/go-astits", "v1.14.0"
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, r := range mod.Require {
		if r.Mod.Path == path {
			got = r.Mod.Version
		}
	}
	for _, r := range mod.Replace {
		if r.Old.Path == path {
			got = "a replacement, " + r.New.String()
		}
	}
	if got != want {
		t.Errorf("go.mod has %s at %q, want %s", path, got, want)
	}
}
