package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/audit"
	"tailcast/feed/clip"
	"tailcast/node"
)

const (
	vectors     = "../../feed/testdata/v1"
	vectorsLink = "tailcast:c6ag6pza7s6gsegw46jml4t5px76utyskkx57jjh25bkq2hnq6bx7fab"
)

// viewerRun runs the command with arguments, and returns what it prints.
func viewerRun(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// exitCode runs the command as a process would.
func exitCode(args ...string) int {
	cmd := command()
	cmd.SetOut(io.Discard)
	cmd.SetArgs(args)
	return node.Main(cmd)
}

func TestVerifySaysWhatItProved(t *testing.T) {
	data := t.TempDir()
	if err := os.CopyFS(filepath.Join(data, "c6ag6pza7s6gsegw46jml4t5px76utyskkx57jjh25bkq2hnq6bq"), os.DirFS(filepath.Join(vectors, "sparse"))); err != nil {
		t.Fatal(err)
	}
	station := t.TempDir()
	if err := os.CopyFS(filepath.Join(station, "feed"), os.DirFS(filepath.Join(vectors, "channel"))); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		args []string
		want []string
	}{
		"folder":      {[]string{filepath.Join(vectors, "channel"), "--link", vectorsLink}, []string{"proved", "(the one that was given)", "15, 612 bytes", "2 of them are of records here, and true", "its signer ended it", "no witness dates them"}},
		"no link":     {[]string{filepath.Join(vectors, "channel")}, []string{"proved", "compare it"}},
		"every head":  {[]string{filepath.Join(vectors, "channel"), "--every-head"}, []string{"signatures checked: with every record\n"}},
		"streamer's":  {[]string{station}, []string{"proved", "/feed"}},
		"by its link": {[]string{vectorsLink, "--data", data}, []string{"proved", "gap", "blocks [2, 3)", "(the one that was given)"}},
		"clip":        {[]string{filepath.Join(vectors, "clips/epochs.clip")}, []string{"proved", "clip", "sha256", "the station knew of nothing later"}},
		"holes":       {[]string{filepath.Join(vectors, "clips/holes.clip")}, []string{"2 blocks are missing before it"}},
		"not checked": {[]string{filepath.Join(vectors, "clips/cosigned.clip")}, []string{"NOT CHECKED", "no witness dates them", "named it at size 7"}},
	} {
		t.Run(what, func(t *testing.T) {
			out, err := viewerRun(t, append([]string{"verify"}, c.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

// What a forger leaves out or adds where nothing can be proved is said.
func TestVerifySaysWhatIsMissing(t *testing.T) {
	const older, newer = "epochs/3-1794000000000-l4gngzev2hevykpg", "epochs/3-1795000000000-2jddlz6jbd2treh4"
	for what, c := range map[string]struct {
		change func(dir string) error
		want   []string
		not    string
	}{
		"the end of a log": {
			func(dir string) error { return os.Truncate(filepath.Join(dir, newer, "tv/records"), 2*144) },
			[]string{"missing blocks [2, 7)", "left    26 bytes"},
			"missing blocks [2, 3)",
		},
		"a log":    {func(dir string) error { return os.RemoveAll(filepath.Join(dir, older, "tv")) }, []string{"tv of epoch l4gngzev2hevykpg", "no blocks", "missing blocks [0, 2)"}, "to ,"},
		"an epoch": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, newer)) }, []string{"file newest names epoch 2jddlz6jbd2treh4, of which nothing else is here"}, "missing"},
		"all": {func(dir string) error {
			var err error
			for _, log := range []string{older + "/tv", older + "/catalog", newer + "/tv", newer + "/catalog"} {
				err = errors.Join(err, os.RemoveAll(filepath.Join(dir, log)))
			}
			return err
		}, []string{"there is no block here"}, "from "},
		"nothing": {func(string) error { return nil }, []string{"proved"}, "missing"},
		"more": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, newer, "tv/payload/00000000000067108864"), []byte("more"), 0o600)
		}, []string{"left    4 bytes"}, "missing"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			err := os.CopyFS(dir, os.DirFS(filepath.Join(vectors, "channel")))
			if err == nil {
				err = c.change(dir)
			}
			if err != nil {
				t.Fatal(err)
			}
			out, err := viewerRun(t, "verify", dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			if strings.Contains(out, c.not) {
				t.Errorf("it says %q:\n%s", c.not, out)
			}
		})
	}
}

// The name of a file may have been chosen by who sent it.
func TestVerifyShowsNamesAsNames(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.clip\nlink      one that nobody gave")
	b, err := os.ReadFile(filepath.Join(vectors, "clips/bare.clip"))
	if err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := viewerRun(t, "verify", name); err != nil || strings.Contains(out, "\nlink      one") {
		t.Errorf("got %v:\n%s", err, out)
	}
}

// witnessKey returns the key of the witness in the vectors.
func witnessKey(t *testing.T) string {
	t.Helper()
	var v struct {
		Clips []struct{ Witnesses []string }
	}
	text, err := os.ReadFile(filepath.Join(vectors, "clips.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Clips {
		if len(c.Witnesses) > 0 {
			return c.Witnesses[0]
		}
	}
	t.Fatal("no witness")
	return ""
}

func TestVerifySaysWhoDatedIt(t *testing.T) {
	out, err := viewerRun(t, "verify", filepath.Join(vectors, "clips/cosigned.clip"), "--json", "--link", vectorsLink, "--witness", witnessKey(t))
	if err != nil {
		t.Fatal(err)
	}
	var v verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	if v.Result != "proved" || !v.Compared || len(v.Logs) != 1 || v.Logs[0].Anchor == nil {
		t.Fatalf("got %s", out)
	}
	w := v.Logs[0].Anchor.Witnesses
	if len(w) != 2 || !w[0].Checked || w[0].Time != stamp(time.Unix(1795003200, 0)) || w[1].Checked {
		t.Errorf("got witnesses %+v, want the first of two checked", w)
	}
}

func TestVerifyRefutes(t *testing.T) {
	broken := t.TempDir()
	if err := os.CopyFS(broken, os.DirFS(filepath.Join(vectors, "channel"))); err != nil {
		t.Fatal(err)
	}
	payload := filepath.Join(broken, "epochs/3-1795000000000-2jddlz6jbd2treh4/tv/payload/00000000000000000000")
	b, err := os.ReadFile(payload)
	if err != nil {
		t.Fatal(err)
	}
	b[3] ^= 1
	if err := os.WriteFile(payload, b, 0o600); err != nil {
		t.Fatal(err)
	}
	other := "tailcast:" + strings.Repeat("a", 56)
	for what, c := range map[string]struct {
		args    []string
		want    string
		refuted error // nil: a usage error
	}{
		"folder":       {[]string{broken}, "2jddlz6jbd2treh4/tv: record 0", audit.ErrRefuted},
		"clip":         {[]string{filepath.Join(vectors, "clips/wrong-log.clip")}, "record 0", clip.ErrRefuted},
		"no clip":      {[]string{filepath.Join(vectors, "keys.json")}, "not a clip", clip.ErrRefuted},
		"nothing":      {nil, "want one LINK", nil},
		"missing":      {[]string{"/nowhere"}, "no such file", nil},
		"mistyped":     {[]string{other}, "checksum", nil},
		"link twice":   {[]string{vectorsLink, "--link", vectorsLink}, "--link is for", nil},
		"bad witness":  {[]string{filepath.Join(vectors, "clips/bare.clip"), "--witness", "x"}, "not the key of a witness", nil},
		"folder's key": {[]string{broken, "--witness", witnessKey(t)}, "--witness is for clips", nil},
	} {
		t.Run(what, func(t *testing.T) {
			args := append([]string{"verify", "--json"}, c.args...)
			out, err := viewerRun(t, args...)
			code := exitCode(args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.refuted == nil {
				if code != node.ExitUsage || out != "" {
					t.Errorf("got exit code %d and %q, want a usage error", code, out)
				}
				return
			}
			if !errors.Is(err, c.refuted) || code != node.ExitRuntime || !strings.Contains(out, `"result":"refuted"`) {
				t.Errorf("got %v and %q, want %v", err, out, c.refuted)
			}
		})
	}
}

// What an epoch note says of the end of the epoch before is said of a clip that lacks it.
func TestVerifySaysWhatLiesBetweenEpochs(t *testing.T) {
	before := &clip.Part{Log: "tv", To: 5}
	for known, want := range map[uint64]string{9: "at least 4 blocks", 4: "not known"} {
		p := &clip.Part{Log: "tv", Epoch: feed.EpochNote{Key: feed.PublicKey{1}, Last: &feed.LastEpoch{
			ID: before.Epoch.Key.EpochID(), Heads: []feed.LogHead{{Log: "radio", Size: 100}, {Log: "tv", Size: known}},
		}}}
		if got := continues(p, before); !strings.Contains(got, want) {
			t.Errorf("%d blocks known, 5 here: got %q, want %q", known, got, want)
		}
	}
}
