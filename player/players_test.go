package player

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"slices"
	"testing"
	"time"

	"tailcast/ingest"
)

// TestPlayersPlay lets foreign players read what a channel on air offers: they decode it without complaint, live and from the past.
func TestPlayersPlay(t *testing.T) {
	if testing.Short() {
		t.Skip("skipping foreign players in -short")
	}
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	ctx, cancel := context.WithCancel(t.Context())
	aired := make(chan struct{})
	go func() {
		defer close(aired)
		b.write(in)
		looped(ctx, later(in, clipTicks), b.cut.WriteSample)
	}()
	t.Cleanup(func() {
		cancel()
		<-aired
		b.stop()
	})
	list := httptest.NewServer(NewLineup(c.server, Station{Server: c.server}))
	defer list.Close()
	t.Run("mpv/channels.m3u", func(t *testing.T) {
		plays(t, "mpv", []string{"--no-config", "--vo=null", "--ao=null", "--frames=40", "--msg-level=all=error", ""}, list.URL+"/channels.m3u")
	})
	players := map[string][]string{
		"ffmpeg": {"-v", "error", "-xerror", "-t", "3", "-i", "", "-f", "null", "-"},
		"mpv":    {"--no-config", "--vo=null", "--ao=null", "--frames=40", "--msg-level=all=error", ""},
	}
	for name, args := range players {
		for _, path := range []string{"/hls/index.m3u8", "/hls/main.m3u8?dvr=5s", "/live.ts?join=last", "/live.mp4?join=next", "/live.ts?at=-4s", "/live.mp4?at=-4s", "/live.mp4?audio=0", "/live.m3u", "/radio.aac", "/radio.aac?at=-4s"} {
			if name == "ffmpeg" && path == "/live.m3u" {
				continue // it reads no lists but those of HLS
			}

			t.Run(name+path, func(t *testing.T) { plays(t, name, args, c.url+path) })
		}
	}
}

func plays(t *testing.T, name string, args []string, url string) {
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipping: %s is not installed", name)
	}
	filled := make([]string, len(args))
	for i, a := range args {
		if filled[i] = a; a == "" {
			filled[i] = url
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, filled...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%s %s: %v\n%s", name, url, err, out)
	}
}

// later is samples with other times.
func later(in []ingest.Sample, ticks int64) []ingest.Sample {
	out := slices.Clone(in)
	for i := range out {
		out[i].DTS += ticks
		out[i].PTS += ticks
	}
	return out
}
