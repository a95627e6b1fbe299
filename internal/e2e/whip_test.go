package e2e

import (
	"context"
	"debug/buildinfo"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/ingest/ingesttest"
)

// publisher is a page of another origin that publishes by WHIP, in a headless Chromium.
type publisher struct {
	t    *testing.T
	told chan string   // "what words"
	wait chan struct{} // closed when it is to say goodbye
}

func publishPage(t *testing.T, whip, token string) *publisher {
	t.Helper()
	p := &publisher{t: t, told: make(chan string, 100), wait: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("..", "..", "ingest", "whip", "testdata", "publish.html"))
	})
	mux.HandleFunc("/tell/{what}", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		p.told <- r.PathValue("what") + " " + string(text)
	})
	mux.HandleFunc("/wait", func(http.ResponseWriter, *http.Request) { <-p.wait })
	web := httptest.NewServer(mux)
	profile, err := os.MkdirTemp("", "tailcast-whip-")
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"from": {"camera"}, "whip": {whip}, "token": {token}}
	cmd := exec.CommandContext(t.Context(), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--user-data-dir="+profile, "--remote-debugging-port=0",
		"--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--allow-loopback-in-peer-connection", web.URL+"/?"+query.Encode())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		web.Close()
		_ = os.RemoveAll(profile)
	})
	return p
}

// until returns when the page says something that begins with what.
func (p *publisher) until(what string) string {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case text := <-p.told:
			if strings.HasPrefix(text, what) {
				return text
			}
			if strings.HasPrefix(text, "error") {
				p.t.Fatalf("the page says: %s", text)
			}
		case <-deadline:
			p.t.Fatalf("the page has not said %q", what)
		}
	}
}

// TestWHIPFromAPage: a page of another origin publishes what its browser encodes, if it shows the stream key; a viewer of the channel gets
// pictures and sound that decode.
func TestWHIPFromAPage(t *testing.T) {
	need(t, "chromium", "ffmpeg", "ffprobe")
	beside(t, browser)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("sesame-open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := streamer(t, "--rtsp", "", "--whip", "127.0.0.1:0", "--stream-key-file", key)
	publishPage(t, s.HTTP+"/whip", "sesame-shut").until("refused 401 wrong stream key")

	p := publishPage(t, s.HTTP+"/whip", "sesame-open")
	p.until("answer")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	out := filepath.Join(t.TempDir(), "out.ts")
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	record(ctx, t, v.HTTP+"/live.ts?join=last", out)
	close(p.wait)
	p.until("bye 200")

	ffmpeg(t, "-xerror", "-i", out, "-f", "null", "-")
	codecs, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width", "-of", "csv=p=0", out).Output()
	if err != nil || !strings.Contains(string(codecs), "h264,320") || !strings.Contains(string(codecs), "opus") {
		t.Errorf("a viewer gets %s (%v), want H.264 of 320 pixels and Opus", codecs, err)
	}
	for _, list := range probe(t, out) {
		if len(list) < 20 {
			t.Errorf("%d units in six seconds, want many of each", len(list))
		}
	}
}

// whipScript publishes with GStreamer, for which it needs its Python: Debian's.
const whipScript = "testdata/whip.py"

func needGStreamer(t *testing.T) {
	t.Helper()
	need(t, "/usr/bin/python3")
	probe := `import gi; gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0"); from gi.repository import Gst, GstWebRTC; Gst.init(None)
for e in "webrtcbin nicesrc dtlsenc rtpbin rtph264pay avdec_h264 x264enc opusenc".split(): assert Gst.ElementFactory.find(e), e`
	if said, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", probe).CombinedOutput(); err != nil {
		t.Skipf("GStreamer, or what Python needs for it, is not installed: %s", said)
	}
}

// TestWHIPFromGStreamer: what GStreamer's webrtcbin publishes arrives without loss, decodes, and its sound and pictures belong together.
func TestWHIPFromGStreamer(t *testing.T) {
	needGStreamer(t)
	need(t, "ffmpeg", "ffprobe")
	beside(t, 1)
	s := streamer(t, "--rtsp", "", "--whip", "127.0.0.1:0", "--stream-key-file", keyFile(t))
	film := flashing(t, 20*time.Second)
	made := middle(offsets(t, film, 20*time.Second))
	publish := exec.CommandContext(t.Context(), whipScript, s.HTTP+"/whip", film, keyFile(t))
	publish.Cancel = func() error { return publish.Process.Signal(os.Interrupt) }
	var said strings.Builder
	publish.Stderr = &said
	if err := publish.Start(); err != nil {
		t.Fatal(err)
	}
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	out := filepath.Join(t.TempDir(), "out.ts")
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
	defer cancel()
	record(ctx, t, v.HTTP+"/live.ts?join=last", out)
	content(t, s)
	looksLike(t, out, "h264,320,180,25/1", "opus,0/0")
	staysTogether(t, "WHIP", offsets(t, out, 8*time.Second), made)

	_ = publish.Process.Signal(os.Interrupt)
	if err := publish.Wait(); err != nil || said.Len() > 0 {
		t.Errorf("it says %q at the end (%v)", said.String(), err)
	}
	ingesttest.Until(t, "goodbye", func() bool { return strings.Contains(s.Stderr(), "whip publisher left") })
}

// TestWhoWatchesLinksNoIngest: what takes streams in is big, and listens; viewers and relays have none of it.
func TestWhoWatchesLinksNoIngest(t *testing.T) {
	need(t)
	for name, want := range map[string]bool{"streamer": true, "viewer": false, "relay": false} {
		info, err := buildinfo.ReadFile(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for _, d := range info.Deps {
			has[d.Path] = true
		}
		if !has["github.com/quic-go/quic-go"] {
			t.Fatalf("%s is built from %d modules, without QUIC: this looks at the wrong thing", name, len(info.Deps))
		}
		for _, module := range []string{"github.com/pion/webrtc/v4", "github.com/pion/rtp", "github.com/bluenviron/gortsplib/v4"} {
			if has[module] != want {
				t.Errorf("%s links %s: %v, want %v", name, module, has[module], want)
			}
		}
	}
}
