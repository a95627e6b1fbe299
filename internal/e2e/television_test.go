package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tailcast/internal/command"
)

// TestTelevision is a home: one viewer with two channels on its list, open to the local network. What its lists name is played by ffmpeg, the channel
// that nobody watches too, also for who comes from another machine and has the address; and for nobody else.
func TestTelevision(t *testing.T) {
	need(t, "ffmpeg")
	beside(t, 1)
	one, two := streamer(t, "demo", "--no-lan"), streamer(t, "demo", "--no-lan")
	dir := t.TempDir()
	runViewer(t, true, "channels", "add", one.LinkTo(), "--data", dir, "--name", "Eins", "--group", "News")
	runViewer(t, true, "channels", "add", two.LinkTo(), "--data", dir)
	v := start(t, "viewer", nil, "--data", dir, "--lan", "--no-lan")
	until(t, v, "live", live)
	homes := append([]string{v.HTTP + "/"}, v.LAN...)
	for i, home := range homes {
		text := page(t, home+"channels.m3u")
		streams := streamLines.FindAllString(text, -1)
		if len(streams) != 2 || !strings.HasPrefix(streams[0], home+"c/") || !strings.Contains(text, `group-title="News",Eins`) {
			t.Fatalf("%schannels.m3u:\n%s", home, text)
		}
		if guide := page(t, home+"epg.xml"); strings.Count(guide, "<channel ") != 2 || !strings.Contains(guide, "<display-name>Eins</display-name>") {
			t.Errorf("%sepg.xml:\n%s", home, guide)
		}
		if i > 1 {
			continue // the other addresses of this machine
		}
		for _, stream := range streams {
			decodes(t, stream)
			decodes(t, strings.TrimSuffix(stream, "live.ts")+"hls/index.m3u8")
		}
		decodes(t, home+"radio.aac")
	}
	for _, home := range v.LAN {
		bare := home[:strings.Index(home[len("http://"):], "/")+len("http://")]
		for _, path := range []string{"/", "/channels.m3u", "/api/v1/status", "/metrics", "/live.ts"} {
			if code := answer(t, bare+path); code != http.StatusNotFound {
				t.Errorf("%s%s without the secret: %d, want 404", bare, path, code)
			}
		}
	}
}

var streamLines = regexp.MustCompile(`(?m)^http\S+$`)

func page(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, r.Status, err)
	}
	return string(text)
}

// answer returns the status that somebody else on the network gets: from this machine a proxy must be believed to ask for him.
func answer(t *testing.T, url string) int {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("X-Forwarded-For", "192.0.2.1")
	r, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return r.StatusCode
}

// decodes lets ffmpeg play two seconds.
func decodes(t *testing.T, url string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-xerror", "-t", "2", "-i", url, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", url, err, out)
	}
}

// TestRecordWithProof records, as TS and as MP4: both play, and what lies beside them proves them, though this viewer keeps nothing else.
func TestRecordWithProof(t *testing.T) {
	need(t, "ffmpeg")
	beside(t, 1)
	s := streamer(t, "demo", "--no-lan")
	link, _, _ := strings.Cut(s.Link, "?")
	dir := t.TempDir()
	var viewers []*command.Process
	for _, name := range []string{"a.ts", "b.mp4", "c.clip"} {
		viewers = append(viewers, viewer(t, s.LinkTo(), "--no-lan", "--record", filepath.Join(dir, name)))
	}
	for _, v := range viewers {
		begun := until(t, v, "live", live).Renditions[0].Head
		until(t, v, "four seconds more", func(s status) bool { return len(s.Renditions) > 0 && s.Renditions[0].Head > begun+100 })
	}
	for _, v := range viewers {
		if err := v.Stop(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"a.ts", "b.mp4"} {
		if out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", filepath.Join(dir, name), "-f", "null", "-").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for _, name := range []string{"a.clip", "b.clip", "c.clip"} {
		if said := runViewer(t, true, "verify", filepath.Join(dir, name), "--link", link); !strings.Contains(said, "proved") {
			t.Errorf("%s: %s", name, said)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 5 {
		t.Errorf("files %v, want five", files)
	}
}
