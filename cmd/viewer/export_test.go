package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailcast/node"
)

func TestMoments(t *testing.T) {
	zone := time.FixedZone("somewhere", 2*3600)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, zone)
	begin, end := now.Add(-time.Hour), now.Add(-time.Minute)
	for s, want := range map[string]time.Time{
		"2026-11-23T10:00:00Z":      now,
		"2026-11-23T12:00:00+02:00": now,
		"2026-11-23T10:00:00.5Z":    now.Add(500 * time.Millisecond),
		"12:00:00":                  now,
		"11:30":                     now.Add(-30 * time.Minute),
		"-60s":                      now.Add(-2 * time.Minute),
		"+60s":                      now.Add(-59 * time.Minute),
		"-0s":                       end,
	} {
		if got, err := moment(s, begin, end, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "60s", "25:00:00", "yesterday", "-", "+1", "2026-11-23", "2026-11-23 10:00:00"} {
		if got, err := moment(s, begin, end, now); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
	o := exportOptions{from: "-10s", to: "-20s"}
	if _, _, err := o.times(begin, end, now); err == nil {
		t.Error("from the end to before: got no error")
	}
	o = exportOptions{from: "+10s", to: "+20s"}
	if from, to, err := o.times(begin, end, now); err != nil || to.Sub(from) != 20*time.Second {
		t.Errorf("got %v to %v, %v; want 20 s", from, to, err)
	}
}

// A clip that was cut here is verified here, offline, under its link; and it cannot be cut twice under one name.
func TestExportClip(t *testing.T) {
	out := filepath.Join(t.TempDir(), "a.clip")
	said, err := viewerRun(t, "export", filepath.Join(vectors, "channel"), out, "--from", "2026-11-18T12:00:04Z", "--link", vectorsLink)
	if err != nil || !strings.Contains(said, "blocks [4, 7)") || !strings.Contains(said, "proved") {
		t.Fatalf("got %q, %v; want blocks [4, 7)", said, err)
	}
	if said, err = viewerRun(t, "verify", out, "--link", vectorsLink); err != nil || !strings.Contains(said, "blocks [4, 7)") {
		t.Errorf("got %q, %v", said, err)
	}
	if code := exitCode("export", filepath.Join(vectors, "channel"), out); code != node.ExitUsage {
		t.Errorf("it is there already: got exit code %d, want %d", code, node.ExitUsage)
	}
}

// What fails leaves no file behind.
func TestExportRefuses(t *testing.T) {
	dir := t.TempDir()
	channel, bare := filepath.Join(vectors, "channel"), filepath.Join(vectors, "clips/bare.clip")
	if err := os.WriteFile(filepath.Join(dir, "cosigned"), []byte("no note"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		args []string
		want string
		code int
	}{
		"no media":        {[]string{channel, "out.ts"}, "nothing in it can be shown", node.ExitRuntime},
		"no media, clip":  {[]string{bare, "out.mp4"}, "nothing in it can be shown", node.ExitRuntime},
		"clip of a clip":  {[]string{bare, "out.clip"}, "a clip is evidence as it is", node.ExitUsage},
		"refuted":         {[]string{filepath.Join(vectors, "clips/wrong-log.clip"), "out.ts"}, "refuted", node.ExitRuntime},
		"other kind":      {[]string{channel, "out.mkv"}, "want a name that ends in", node.ExitUsage},
		"other channel":   {[]string{channel, "out.clip", "--link", "tailcast:5dsfmey2dl24sggqp7j5c7qrhxaxvxv3k5ddzzmcfgjcixhb6ou3q7yb"}, "nothing is held", node.ExitRuntime},
		"other log":       {[]string{channel, "out.clip", "--log", "radio"}, "nothing is held", node.ExitRuntime},
		"another time":    {[]string{channel, "out.clip", "--from", "2026-11-19T00:00:00Z", "--to", "2026-11-18T00:00:00Z"}, "is not before", node.ExitUsage},
		"no cosignatures": {[]string{channel, "out.clip", "--cosigned", filepath.Join(dir, "cosigned")}, "cosigned head", node.ExitRuntime},
		"cosigned ts":     {[]string{channel, "out.ts", "--cosigned", "x"}, "a rendering is not evidence", node.ExitUsage},
		"one argument":    {[]string{channel}, "and the file to write", node.ExitUsage},
	} {
		t.Run(what, func(t *testing.T) {
			args := append([]string{"export"}, c.args...)
			if len(c.args) > 1 {
				args[2] = filepath.Join(dir, c.args[1])
			}
			_, err := viewerRun(t, args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if code := exitCode(args...); code != c.code {
				t.Errorf("got exit code %d, want %d", code, c.code)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("it left %v behind", left)
			}
		})
	}
}

// Where files cannot be linked, as on most memory sticks, a file is renamed; what has that name already stays in any case.
func TestGiveName(t *testing.T) {
	noLinks := func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM} }
	for what, link := range map[string]func(from, to string) error{"links": os.Link, "no links": noLinks} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, ".new"), filepath.Join(dir, "name")
		for k, want := range []string{"first", "first"} {
			if err := os.WriteFile(from, []byte([]string{"first", "second"}[k]), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := giveName(from, to, link); (err == nil) != (k == 0) {
				t.Errorf("%s: file %d: got %v", what, k+1, err)
			}
			if got, err := os.ReadFile(to); err != nil || string(got) != want {
				t.Errorf("%s: file %d: got %q, %v, want %q", what, k+1, got, err, want)
			}
		}
	}
}
