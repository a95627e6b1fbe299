package player

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/node"
)

// TestPage drives the page in a headless Chromium (web/test/page.mjs). TAILCAST_SCREENSHOTS names a folder for what it looked like.
func TestPage(t *testing.T) {
	program, samples := clipSamples(t)
	drive(t, "page.mjs", program, samples)
}

// TestPageCaptions looks at teletext and at CTA-608 in the page, frame by frame and by HLS (web/test/captions.mjs).
func TestPageCaptions(t *testing.T) {
	program, samples, _, _ := captioned(t)
	drive(t, "captions.mjs", program, samples)
}

// TestPageAV1 plays AV1 with Opus, which come from sources that are not TS, and goes back in them (web/test/nodes.mjs).
func TestPageAV1(t *testing.T) {
	if testing.Short() {
		t.Skip("skipping the page in -short")
	}
	seconds := []string{"-t", "8", "-r", "25"}
	pictures := ivf(encode(t, "in.ivf", append(seconds, "-an", "-g", "25", "-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime")...))
	heard := scan(encode(t, "in.ts", append(seconds, "-vn", "-c:a", "libopus")...))
	opus := heard.programs[len(heard.programs)-1].Tracks[0]
	opus.ID = 1
	program := &ingest.Program{Number: 1, Tracks: []ingest.Track{{ID: 0, Codec: ingest.AV1}, opus}}
	var samples []ingest.Sample
	for i, data := range pictures {
		s := ingest.Sample{DTS: int64(i) * 3600, PTS: int64(i) * 3600, Data: data}
		if i%25 == 0 {
			s.Flags = ingest.RandomAccess
		}
		samples = append(samples, s)
	}
	first := heard.samples[0].DTS
	for _, s := range heard.samples {
		s.Track, s.DTS, s.PTS = 1, s.DTS-first, s.PTS-first
		samples = append(samples, s)
	}
	slices.SortStableFunc(samples, func(a, b ingest.Sample) int { return int(a.DTS - b.DTS) })
	drive(t, "nodes.mjs", program, samples, "picture av1")
}

// drive runs a script over a channel that airs samples.
func drive(t *testing.T, name string, program *ingest.Program, samples []ingest.Sample, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipping the page in -short")
	}
	script, err := exec.LookPath("node")
	if err != nil {
		t.Skip("skipping the page: node is not installed")
	}
	if _, err := os.Stat("web/test/node_modules/playwright-core"); err != nil {
		t.Skip("skipping the page: run `npm ci` in player/web/test first")
	}
	if _, err := os.Stat(chromium()); err != nil {
		t.Skip("skipping the page: Chromium is not installed, or set CHROMIUM to its path")
	}
	folder := os.Getenv("TAILCAST_SCREENSHOTS")
	if folder != "" {
		folder, _ = filepath.Abs(folder)
	}
	args = append(append([]string{"web/test/" + name, staged(t, program, samples)}, args...), folder)
	out, err := exec.CommandContext(t.Context(), script, args...).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Errorf("failed: %s: %s", name, strings.TrimPrefix(lines[len(lines)-1], "failed: "))
	}
}

// TestPageLogic runs what the page decides without a browser: how late to play and what to claim.
func TestPageLogic(t *testing.T) {
	script, err := exec.LookPath("node")
	if err != nil {
		t.Skip("skipping the page's logic: node is not installed")
	}
	tests, err := filepath.Glob("web/test/*.test.mjs")
	if err != nil || len(tests) == 0 {
		t.Fatalf("there are no tests of the page's logic: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), script, append([]string{"--test"}, tests...)...).CombinedOutput()
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

// staged is a channel that airs a clip round and round, beside a status that the test can change: POST /test/status merges JSON into it, and
// GET /test/drop closes all connections.
func staged(t *testing.T, program *ingest.Program, samples []ingest.Sample) (url string) {
	t.Helper()
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	ctx, cancel := context.WithCancel(t.Context())
	aired := make(chan struct{})
	go func() {
		defer close(aired)
		looped(ctx, samples, b.cut.WriteSample)
	}()
	p := &pretence{begun: time.Now(), replica: c.replica}
	handler := http.NewServeMux()
	server := httptest.NewServer(handler)
	handler.Handle("/", c.server)
	handler.Handle("GET /api/v1/events", node.NewEvents(p.status))
	handler.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, r *http.Request) { node.WriteStatus(w, r, p.status()) })
	handler.Handle("GET /api/v1/link.svg", node.LinkSVG(func() string { return pretendLink }))
	handler.HandleFunc("POST /test/status", p.change)
	handler.HandleFunc("GET /test/drop", func(http.ResponseWriter, *http.Request) { go server.CloseClientConnections() })
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		cancel()
		<-aired
		b.stop()
	})
	return server.URL
}

// A pretence answers as a viewer that is well would, but for what the test says.
type pretence struct {
	begun   time.Time
	replica *feed.Replica

	mu   sync.Mutex // guards all below
	said map[string]any
}

func (p *pretence) change(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = nil
	if err := json.NewDecoder(r.Body).Decode(&p.said); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

const pretendLink = "tailcast:bkqagbb4hhkmxmvvbtu7vqzmvq2ndzlyj34pkxvlscfpeuqzyzwfsbad?a=203.0.113.5:4433"

func (p *pretence) status() any {
	up := time.Since(p.begun).Seconds()
	peer := func(id, role, path string, rtt, lag float64, parent bool, fed int) map[string]any {
		return map[string]any{
			"id": id, "addr": "198.51.100.7:4433", "role": role, "path": path, "parent": parent, "rtt_ms": rtt, "up_bps": 140e3 * float64(fed), "down_bps": 310e3, "lag_s": lag, "stripes": 3, "fed": fed,
		}
	}
	kept := map[string]any{"from": p.begun, "to": time.Now()}
	if from, to, ok := p.replica.Kept("main"); ok {
		kept = map[string]any{"from": from, "to": to}
	}
	var stripes []any
	for i := range 8 {
		stripes = append(stripes, map[string]any{"log": "main", "number": i, "from": []string{"q5k2m7xw", "a7b3kk2v", "w2n7c4pd"}[i*i%3%3], "hops": 1 + i%3, "flows": true})
	}
	out := map[string]any{
		"role": "viewer", "title": "Big Buck Bunny, around the clock", "state": "live", "reason": "", "uptime_s": up, "silent_s": 0.05,
		"link":       pretendLink,
		"renditions": []any{map[string]any{"name": "main", "epoch": "7gpx2kq4m5hmjv3w", "head": int(20 * up), "base": 0, "bitrate_bps": 801820, "codecs": []string{"h264", "aac"}, "kept": kept}},
		"lag_s":      map[string]any{"p50": 0.21, "p99": 0.48},
		"peers": []any{
			peer("q5k2m7xw", "streamer", "direct", 12.4, 0.09, true, 0), peer("w2n7c4pd", "viewer", "lan", 1, 0.2, true, 4),
			peer("a7b3kk2v", "relay", "relay", 18.3, 0.14, true, 0), peer("z4d6mrt2", "viewer", "direct", 55.1, 0.31, false, 6),
		},
		"guide": []any{
			map[string]any{"start": p.begun.Add(-10 * time.Minute), "end": p.begun.Add(20 * time.Minute), "title": "Ein Hase <wacht> auf", "language": "deu"},
			map[string]any{"start": p.begun.Add(20 * time.Minute), "title": "Nachrichten"},
		},
		"stripes": stripes, "refused": []any{}, "faults": []any{}, "notes": []any{},
		"bytes": map[string]any{
			"sent":     map[string]any{"media": int(230e3 * up), "proofs": int(7e3 * up), "control": int(2e3 * up), "repair": 1200},
			"received": map[string]any{"media": int(100e3 * up), "proofs": int(3e3 * up), "control": int(2e3 * up), "repair": 0},
			"appended": 0,
		},
		"upload": map[string]any{"rate_bps": 1.9e6, "uplink_bps": 20e6, "slots": 40, "slots_used": 10, "children": 2},
		"blocks": map[string]any{"verified": int(20 * up), "rejected": 0, "missed": 0, "duplicate": 2, "repaired": 1, "by_others": int(14 * up)},
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(out, p.said)
	return out
}
