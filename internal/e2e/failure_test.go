package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"tailcast/internal/command"
)

// chain starts streamer → A → B → C, where each knows only the one before it, and waits until C is live.
func chain(t *testing.T) (s, a, b, c *command.Process) {
	t.Helper()
	s = streamer(t, "demo")
	a = viewer(t, s.LinkTo(), "--listen", "127.0.0.1:"+freePort(t))
	b = viewer(t, a.LinkTo())
	c = viewer(t, b.LinkTo())
	until(t, c, "live", live)
	return s, a, b, c
}

// TestChainStallsSaysWhyAndGoesOn kills the first viewer of a chain and brings it back.
func TestChainStallsSaysWhyAndGoesOn(t *testing.T) {
	need(t)
	t.Parallel()
	s, a, b, c := chain(t)
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	stalled := func(s status) bool { return s.State == "stalled" && s.Reason != "" }
	reasonB := until(t, b, "stalled, with a reason", stalled).Reason
	if !strings.Contains(reasonB, a.Listen[0]) {
		t.Errorf("B says %q, want the address of A (%s) named", reasonB, a.Listen[0])
	}
	reasonC := until(t, c, "stalled, with a reason", stalled).Reason
	if !strings.Contains(reasonC, b.Listen[0]) {
		t.Errorf("C says %q, want the address of B (%s) named", reasonC, b.Listen[0])
	}
	t.Logf("B: %s\nC: %s", reasonB, reasonC)
	viewer(t, s.LinkTo(), "--listen", a.Listen[0])
	until(t, b, "live again", live)
	until(t, c, "live again", live)
}

// TestStreamerKilledAndRestarted: same link, a new epoch, and viewers go on without being told.
func TestStreamerKilledAndRestarted(t *testing.T) {
	need(t)
	t.Parallel()
	args := []string{"demo", "--data", t.TempDir(), "--listen", "127.0.0.1:" + freePort(t)}
	s := start(t, "streamer", nil, args...)
	v := viewer(t, s.LinkTo())
	before := until(t, v, "live", live)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	again := start(t, "streamer", nil, args...)
	if again.Link != s.Link {
		t.Errorf("link after the restart: got %s, want %s", again.Link, s.Link)
	}
	after := until(t, v, "live in a new epoch", func(s status) bool {
		return live(s) && len(s.Renditions) > 0 && s.Renditions[0].Epoch != before.Renditions[0].Epoch
	})
	if after.Blocks.Rejected != 0 {
		t.Errorf("%d blocks were rejected", after.Blocks.Rejected)
	}
}

// TestStreamGoesOnAcrossRestart: who plays /live.ts keeps getting bytes after the streamer was killed and restarted.
func TestStreamGoesOnAcrossRestart(t *testing.T) {
	need(t)
	t.Parallel()
	args := []string{"demo", "--data", t.TempDir(), "--listen", "127.0.0.1:" + freePort(t)}
	s := start(t, "streamer", nil, args...)
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", v.HTTP+"/live.ts?join=last", nil)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	buf := make([]byte, 64<<10)
	if _, err := r.Body.Read(buf); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	start(t, "streamer", nil, args...)
	for total := 0; total < 1<<20; { // more than what was under way when the streamer died
		n, err := r.Body.Read(buf)
		total += n
		if err != nil {
			t.Fatalf("the stream ended after %d bytes: %v", total, err)
		}
	}
}

// TestSecondStreamerOnSameData is refused with a sentence.
func TestSecondStreamerOnSameData(t *testing.T) {
	need(t)
	t.Parallel()
	dir := t.TempDir()
	start(t, "streamer", nil, "demo", "--data", dir)
	_, err := command.Start(command.Config{Bin: bin, Name: "streamer", Args: []string{"demo", "--data", dir}})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("got %v, want a sentence that names the directory and --data", err)
	}
}

// TestReplayIsNeverLive: a viewer that holds a broadcast which is over serves it to a newcomer, who must not take it for live.
func TestReplayIsNeverLive(t *testing.T) {
	need(t)
	t.Parallel()
	s := streamer(t, "demo")
	a := viewer(t, s.LinkTo())
	until(t, a, "live", live)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	until(t, a, "no longer live", func(s status) bool { return !live(s) })
	b := viewer(t, a.LinkTo())
	looks := 0
	until(t, b, "looked at a dozen times, with blocks", func(s status) bool {
		if time.Since(killed) < 6*time.Second {
			return false // up to 5 s behind may be called live
		}
		if live(s) {
			t.Fatalf("a broadcast that is over is called live: %+v", s)
		}
		if len(s.Renditions) > 0 && s.Renditions[0].Head > 0 {
			looks++
		}
		return looks > 12
	})
}

// TestTwoViewersOnOneMachine: with the default directory the second one keeps its blocks in memory.
func TestTwoViewersOnOneMachine(t *testing.T) {
	need(t)
	t.Parallel()
	home := t.TempDir()
	s := streamer(t, "demo")
	for _, name := range []string{"viewer1", "viewer2"} {
		v, err := command.Start(command.Config{Bin: bin, Name: name, Args: []string{s.LinkTo()}, Env: []string{"XDG_DATA_HOME=" + home}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Kill() })
		until(t, v, "live", live)
	}
}

// TestWaitingStreamerSaysForWhat: before an encoder pushes, status and readiness say that it is missing.
func TestWaitingStreamerSaysForWhat(t *testing.T) {
	need(t)
	t.Parallel()
	s := streamer(t, "--rtsp", "127.0.0.1:0")
	got := until(t, s, "waiting", func(s status) bool { return s.State == "waiting" })
	if !strings.Contains(got.Reason, "an encoder") || !strings.HasPrefix(s.RTSP, "rtsp://127.0.0.1:") {
		t.Errorf("got %q and %q, want what is waited for, and where", got.Reason, s.RTSP)
	}
}
