package player

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestPage drives the page in a headless Chromium (web/test/page.mjs). TAILCAST_SCREENSHOTS names a folder for what it looked like.
func TestPage(t *testing.T) {
	if testing.Short() {
		t.Skip("skipping the page in -short")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("skipping the page: node is not installed")
	}
	if _, err := os.Stat("web/test/node_modules/playwright-core"); err != nil {
		t.Skip("skipping the page: run `npm ci` in player/web/test first")
	}
	if _, err := os.Stat(chromium()); err != nil {
		t.Skip("skipping the page: Chromium is not installed, or set CHROMIUM to its path")
	}
	b := newBenchOf(Config{Status: pretend()})
	ctx, cancel := context.WithCancel(t.Context())
	program, samples := clipSamples(t)
	aired := make(chan struct{})
	go func() {
		defer close(aired)
		air(ctx, b.pipeline, program, samples)
	}()
	handler := http.NewServeMux()
	server := httptest.NewServer(handler)
	handler.Handle("/", b.server)
	handler.HandleFunc("/test/drop", func(http.ResponseWriter, *http.Request) { go server.CloseClientConnections() })
	defer func() {
		server.CloseClientConnections()
		server.Close()
		cancel()
		<-aired
	}()
	folder := os.Getenv("TAILCAST_SCREENSHOTS")
	if folder != "" {
		folder, _ = filepath.Abs(folder)
	}
	out, err := exec.CommandContext(t.Context(), node, "web/test/page.mjs", server.URL, folder).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("page.mjs: %v", err)
	}
}

// TestPageLogic runs what the page decides without a browser: how late to play and what to claim.
func TestPageLogic(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("skipping the page's logic: node is not installed")
	}
	out, err := exec.CommandContext(t.Context(), node, "--test", "web/test/latency.test.mjs", "web/test/status.test.mjs").CombinedOutput()
	if err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
}

func chromium() string {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	return "/usr/bin/chromium"
}

// pretend answers as a viewer that is well would.
func pretend() func() any {
	begun := time.Now()
	return func() any {
		up := time.Since(begun).Seconds()
		peer := func(id, role string, rtt, lag float64) map[string]any {
			return map[string]any{
				"id": id, "addr": "198.51.100.7:4433", "role": role, "rtt_ms": rtt, "up_bps": 940e3, "down_bps": 310e3, "lag_s": lag, "stripes": 3,
			}
		}
		return map[string]any{
			"role": "viewer", "title": "Big Buck Bunny, around the clock", "state": "live", "reason": "", "uptime_s": up,
			"link":       "tailcast:bkqagbb4hhkmxmvvbtu7vqzmvq2ndzlyj34pkxvlscfpeuqzyzwfsbad?a=203.0.113.5:4433",
			"renditions": []any{map[string]any{"name": "main", "epoch": "7gpx2kq4m5hmjv3w", "head": int(20 * up), "base": 0, "bitrate_bps": 801820, "codecs": []string{"avc1.4d401e", "mp4a.40.2"}}},
			"lag_s":      map[string]any{"p50": 0.21, "p99": 0.48},
			"peers": []any{
				peer("q5k2m7xw4hj3", "streamer", 12.4, 0.09), peer("w2n7c4pd6ytr", "viewer", 31, 0.2),
				peer("a7b3kk2vxq5e", "relay", 18.3, 0.14), peer("z4d6mrt2cwhy", "viewer", 55.1, 0.31),
			},
			"bytes": map[string]any{
				"sent":     map[string]any{"media": int(230e3 * up), "proofs": int(7e3 * up), "control": int(2e3 * up), "repair": 1200},
				"received": map[string]any{"media": int(100e3 * up), "proofs": int(3e3 * up), "control": int(2e3 * up), "repair": 0},
				"appended": 0,
			},
			"blocks": map[string]any{"verified": int(20 * up), "rejected": 0, "missed": 0, "duplicate": 2, "repaired": 1},
		}
	}
}
