package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailcast/feed"
	"tailcast/feed/feedtest"
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

// nowhere takes everything.
type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

// TestCopyGivesUp where waiting does not help, and says what was answered; while there is nothing to play it waits.
func TestCopyGivesUp(t *testing.T) {
	for code, lasts := range map[int]bool{200: false, 503: false, 404: true, 406: true, 421: true, 403: true, 500: true} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the reason", code) }))
		err := copyOnce(t.Context(), web.URL, io.Discard)
		if (err != nil) != lasts {
			t.Errorf("%d: got %v, want an error: %v", code, err, lasts)
		}
		if lasts && (!strings.Contains(err.Error(), http.StatusText(code)) || !strings.Contains(err.Error(), "the reason")) {
			t.Errorf("%d: the error is %q, which does not say why", code, err)
		}
		web.Close()
	}
}

// TestCopyWaits for a stream that is not there yet, and copies it when it is.
func TestCopyWaits(t *testing.T) {
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "pictures")
	}))
	defer web.Close()
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- copyStream(ctx, web.URL, nowhere{out}) }()
	text := make([]byte, len("pictures"))
	if _, err := io.ReadFull(in, text); err != nil || string(text) != "pictures" {
		t.Errorf("copied %q, %v", text, err)
	}
	cancel()
	_ = in.Close()
	if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// TestBrokenClipIsRemoved: a clip without its end verifies nothing, and would be taken for one.
func TestBrokenClipIsRemoved(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	c.Append(t, 5, 30_000)
	for _, beside := range []bool{true, false} {
		name := filepath.Join(t.TempDir(), "a.clip")
		file, err := create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte("the beginning")); err != nil {
			t.Fatal(err)
		}
		file.file.Close() // as a disk that takes no more
		var said strings.Builder
		err = prove(t.Context(), c.Replica, "", output{file, "", beside}, slog.New(slog.NewTextHandler(&said, nil)))
		if (err == nil) != beside {
			t.Errorf("beside a recording %v: got %v; the recording goes on, evidence alone does not", beside, err)
		}
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("beside a recording %v: the clip is still there: %v", beside, err)
		}
		if beside != strings.Contains(said.String(), "without proof") {
			t.Errorf("beside a recording %v: says %q", beside, said.String())
		}
	}
}
