package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMistakesGetOneSentence: what a user gets wrong ends with one sentence on stderr that says what to do, and the right code.
func TestMistakesGetOneSentence(t *testing.T) {
	need(t)
	beside(t, 1)
	dir := t.TempDir()
	notTS, empty := filepath.Join(dir, "letter.ts"), filepath.Join(dir, "empty.ts")
	for file, text := range map[string]string{notTS: strings.Repeat("Dear broadcaster, this is no transport stream. ", 2000), empty: ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	taken := streamer(t, "demo")
	good := taken.Link
	mistyped := good[:12] + map[bool]string{true: "b", false: "a"}[good[12] == 'a'] + good[13:]
	here := []string{"--http", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data")}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"mistyped link", []string{"viewer", mistyped}, 2, "mistyped"},
		{"half a link", []string{"viewer", good[:30]}, 2, "characters"},
		{"no link", []string{"viewer"}, 2, "LINK"},
		{"a link twice", []string{"viewer", good, good}, 2, "twice"},
		{"link without an address", []string{"viewer", strings.Split(good, "?")[0]}, 2, "?a=host:port"},
		{"link to nobody", []string{"viewer", strings.Split(good, "?")[0] + "?a=127.0.0.1:" + freePort(t), "--give-up", "1s"}, 1, "is the streamer on air"},
		{"QUIC port in use", []string{"streamer", "demo", "--listen", taken.Listen[0]}, 1, "another program uses this port"},
		{"HTTP port in use", []string{"streamer", "demo", "--http", strings.TrimPrefix(taken.HTTP, "http://")}, 1, "another program uses this port"},
		{"data directory cannot be written", []string{"streamer", "demo", "--data", "/dev/null/tailcast"}, 78, "/dev/null is a file"},
		{"no such file", []string{"streamer", "/nonexistent/film.ts"}, 2, "no such file"},
		{"unknown scheme", []string{"streamer", "gopher://x/y"}, 2, "gopher"},
		{"unknown flag", []string{"streamer", "demo", "--speed", "3"}, 2, "--speed"},
		{"three copies", []string{"streamer", "demo", "--copies", "3"}, 2, "want 1 or 2"},
		{"a pin without a key", []string{"streamer", "demo", "--pin", "192.0.2.7:4433"}, 2, "want NODEKEY@HOST:PORT"},
		{"a rate that is none", []string{"viewer", good, "--up", "12Mbit"}, 2, "did you mean 12M?"},
		{"a file that is no TS", []string{"streamer", notTS}, 1, "not MPEG-TS"},
		{"an empty file", []string{"streamer", empty}, 1, "empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			args := c.args[1:]
			for i := 0; i < len(here); i += 2 {
				if !strings.Contains(strings.Join(args, " "), here[i]) {
					args = append(args, here[i], here[i+1])
				}
			}
			cmd := exec.CommandContext(ctx, filepath.Join(bin, c.args[0]), append(args, "--log-level", "error")...)
			cmd.WaitDelay = time.Second
			var stderr strings.Builder
			cmd.Stderr = &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != c.code || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("got %v and %q, want code %d and %q", err, stderr.String(), c.code, c.says)
			}
			sentence, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\nTry '")
			if strings.Contains(sentence, "\n") || strings.Contains(sentence, "goroutine") {
				t.Errorf("got more than one sentence: %q", stderr.String())
			}
		})
	}
}
