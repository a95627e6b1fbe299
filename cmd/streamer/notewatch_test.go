package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
)

// safeBuffer is a log that a test reads while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSuffix(b.buf.String(), "\n"), "\n")
}

// TestWarningsBeforeTheNoteEnds: none until 14 days before, then one a day with the command that helps, and a louder one after the end.
func TestWarningsBeforeTheNoteEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newChannelFolder(t)
		if err := os.Remove(filepath.Join(dir, "root.key")); err != nil { // kept elsewhere
			t.Fatal(err)
		}
		station, err := feed.OpenStation(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer station.Close()
		var log safeBuffer
		o := &options{}
		o.Data = dir
		w := &noteWatch{station: station, renewal: o.renewal, log: slog.New(slog.NewTextHandler(&log, nil)), now: time.Now}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.run(ctx) }()
		day := 24 * time.Hour
		time.Sleep(76*day - 2*time.Hour)
		synctest.Wait()
		if got := log.lines(); got[0] != "" {
			t.Errorf("more than 14 days before the end: got %q", got)
		}
		time.Sleep(4*day + 3*time.Hour)
		synctest.Wait()
		got := log.lines()
		if len(got) != 5 || !strings.Contains(got[4], "level=WARN") || !strings.Contains(got[4], "days_left=10") || !strings.Contains(got[4], "streamer key renew --root FILE --data "+dir) {
			t.Errorf("four days later: got %d warnings, the last %q; want 5, with days and command", len(got), got[len(got)-1])
		}
		time.Sleep(11 * day)
		synctest.Wait()
		if got := log.lines(); !strings.Contains(got[len(got)-1], "level=ERROR") || !strings.Contains(got[len(got)-1], "has expired") {
			t.Errorf("after the end: got %q", got[len(got)-1])
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestHelpForKeyErrors: what ends a streamer because of its keys names the command that helps.
func TestHelpForKeyErrors(t *testing.T) {
	o := &options{}
	o.Data = "it's here"
	if err := o.withHelp(feed.ErrOlderGeneration); !errors.Is(err, feed.ErrOlderGeneration) || !strings.Contains(err.Error(), `key rotate --generation NUMBER --data 'it'\''s here'`) {
		t.Errorf("got %v", err)
	}
	if err := o.withHelp(nil); err != nil {
		t.Errorf("got %v for no error", err)
	}
}
