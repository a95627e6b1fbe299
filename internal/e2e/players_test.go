package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// playTime is how long a player plays in the test; several times through the demo clip, so that its loop is seen too.
const playTime = 20 * time.Second

// complaints are what players say of a stream whose times are wrong. "Too late", "underrun" and "desynchronisation" are not among them:
// that is what a busy machine gets.
var complaints = []string{"timestamp", "pts", "dts", "discontinuity", "invalid", "corrupt"}

// TestPlayersPlayWithoutComplaint lets mpv and VLC play the looping clip as TS and as MP4, and mpv as HLS.
func TestPlayersPlayWithoutComplaint(t *testing.T) {
	need(t, "mpv", "cvlc")
	beside(t, 5)
	s := streamer(t, "demo")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	for _, path := range []string{"/live.ts?join=next", "/live.mp4?join=next", "/hls/index.m3u8"} {
		t.Run("mpv"+path, func(t *testing.T) {
			t.Parallel()
			play(t, "mpv", "--no-config", "--vo=null", "--ao=null", "--msg-level=all=warn", "--length="+seconds(), v.HTTP+path)
		})
		if strings.HasPrefix(path, "/hls/") {
			continue // VLC counts --run-time from the beginning of the list
		}
		t.Run("vlc"+path, func(t *testing.T) {
			t.Parallel()
			playAsUser(t, "cvlc", "-q", "--vout", "dummy", "--aout", "dummy", "--run-time", seconds(), "--play-and-exit", v.HTTP+path, "vlc://quit")
		})
	}
}

func seconds() string { return strings.TrimSuffix(playTime.String(), "s") }

func play(t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), playTime+patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	if took := time.Since(begin); took < playTime*3/4 {
		t.Errorf("%s stopped after %v, want it to play for %v:\n%s", program, took, playTime, out)
	}
	for _, line := range strings.Split(strings.ToLower(string(out)), "\n") {
		for _, c := range complaints {
			if strings.Contains(line, c) {
				t.Errorf("%s: %s", program, line)
			}
		}
	}
}

// playAsUser plays as nobody where we are root: VLC refuses to run as root.
func playAsUser(t *testing.T, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := exec.Command("id", "-u").Output(); strings.TrimSpace(string(out)) == "0" {
		home := filepath.Join("/tmp", "tailcast-vlc")
		args = append([]string{"-u", "nobody", "--", "env", "HOME=" + home, path}, args...)
		path = "runuser"
	}
	play(t, path, args...)
}
