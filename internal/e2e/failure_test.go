package e2e

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tailcast/internal/command"
)

// chain starts streamer → A → B → C, where each is told of the one before it alone, and waits until B and C have heard of others.
func chain(t *testing.T, args ...string) (s, a, b, c *command.Process) {
	t.Helper()
	s = start(t, "streamer", nil, args...)
	a = viewer(t, s.LinkTo())
	b = viewer(t, a.LinkTo())
	c = viewer(t, b.LinkTo())
	until(t, b, "live, and connected with the streamer", func(st status) bool { return live(st) && st.has(s) })
	until(t, c, "live, and connected with the streamer", func(st status) bool { return live(st) && st.has(s) })
	return s, a, b, c
}

// has reports whether p is a peer.
func (s *status) has(p *command.Process) bool {
	return slices.ContainsFunc(s.Peers, func(q struct{ Addr, Role string }) bool { return q.Addr == p.Listen[0] })
}

// goesOn watches p for longer than what is late may be called live, and wants it live all the time, without a hole.
func goesOn(t *testing.T, p, without *command.Process, before status) {
	t.Helper()
	since := time.Now()
	after := until(t, p, "live for a while, without who was killed", func(s status) bool {
		if !live(s) {
			t.Fatalf("%s is %s (%s) %v after another viewer was killed", p.LinkTo(), s.State, s.Reason, time.Since(since))
		}
		return time.Since(since) > 7*time.Second && !s.has(without)
	})
	if n := after.Blocks.Missed - before.Blocks.Missed; n > 0 || after.Renditions[0].Head <= before.Renditions[0].Head {
		t.Errorf("%s misses %d blocks, from %d to %d of them", p.LinkTo(), n, before.Renditions[0].Head, after.Renditions[0].Head)
	}
}

// TestChainGoesOnWithoutALink: viewers hear of others, so that the death of the only one that their link names costs nothing. If the streamer
// dies, all say why they stall, and go on when it is back.
func TestChainGoesOnWithoutALink(t *testing.T) {
	need(t)
	beside(t, 1)
	args := []string{"demo", "--data", t.TempDir(), "--listen", "127.0.0.1:" + freePort(t)}
	s, a, b, c := chain(t, args...)
	beforeB, beforeC := until(t, b, "live", live), until(t, c, "live", live)
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	goesOn(t, b, a, beforeB)
	goesOn(t, c, a, beforeC)

	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*command.Process{"B": b, "C": c} {
		reason := until(t, p, "stalled, with a reason", func(s status) bool { return s.State == "stalled" && s.Reason != "" }).Reason
		if !slices.ContainsFunc([]*command.Process{s, a, b, c}, func(q *command.Process) bool { return q != p && strings.Contains(reason, q.Listen[0]) }) {
			t.Errorf("%s says %q, want the address of somebody named from whom nothing comes", name, reason)
		}
		t.Logf("%s: %s", name, reason)
	}
	start(t, "streamer", nil, args...)
	until(t, b, "live again", live)
	until(t, c, "live again", live)
}

// TestStreamerKilledAndRestarted: same link, a new epoch, and viewers go on without being told.
func TestStreamerKilledAndRestarted(t *testing.T) {
	need(t)
	beside(t, 1)
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
	beside(t, 1)
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
	beside(t, 1)
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
	beside(t, 1)
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
	beside(t, 1)
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
	beside(t, 1)
	s := streamer(t, "--rtsp", "127.0.0.1:0")
	got := until(t, s, "waiting", func(s status) bool { return s.State == "waiting" })
	if !strings.Contains(got.Reason, "an encoder") || !strings.HasPrefix(s.RTSP, "rtsp://127.0.0.1:") {
		t.Errorf("got %q and %q, want what is waited for, and where", got.Reason, s.RTSP)
	}
}
