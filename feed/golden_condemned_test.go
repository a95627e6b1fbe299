package feed

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The foreign verifier reads the proof that a condemned epoch's folder has, and refuses one that proves nothing.
func TestForeignVerifierOfACondemnedEpoch(t *testing.T) {
	t.Parallel()
	faults := testFaults(t)
	for _, name := range []string{"fork at unequal sizes", "a record and its predecessor", "an anchor of another history"} {
		p := faults[name]
		g := newGoldenEpoch(t, "epoch", 1795000000000, nil)
		g.logs["tv"].add(Media, RandomAccess|SegmentFirst, "init")
		dir := t.TempDir()
		r := openGolden(t, dir)
		e, err := r.AddNotes(g.notes)
		if err != nil {
			t.Fatal(err)
		}
		for log := range g.logs {
			putGolden(t, e, log, g.logs[log], func(uint64) bool { return true })
		}
		if fresh, err := e.AddFault(p); !fresh || err != nil {
			t.Fatalf("%s: got %v, %v", name, fresh, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if said := node(t, "verify.mjs", dir, testLink().String()); !strings.Contains(said, "as file fault.proof proves: "+p.Kind().String()) {
			t.Errorf("%s: the verifier says\n%s", name, said)
		}
		file := filepath.Join(dir, e.dir, faultFile)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("node", "verify.mjs", dir, testLink().String())
		cmd.Dir = "testdata"
		if out, err := cmd.CombinedOutput(); !errors.As(err, new(*exec.ExitError)) {
			t.Errorf("%s, a bit changed: got %v, want it refused\n%s", name, err, out)
		}
	}
}
