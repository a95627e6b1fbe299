package whip

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
)

// chromium is a headless browser that publishes what testdata/publish.html says.
type chromium struct {
	t    *testing.T
	told chan [2]string // what, and words
	wait chan struct{}  // closed when the page is to say goodbye
}

// needChromium skips where there is none.
func needChromium(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
}

// browse opens the page in a new browser, at the same origin as p.
func browse(t *testing.T, p *place, query url.Values) *chromium {
	t.Helper()
	c := &chromium{t: t, told: make(chan [2]string, 100), wait: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/whip", p.Server)
	mux.Handle("/whip/", p.Server)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/publish.html") })
	mux.HandleFunc("/tell/{what}", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		c.told <- [2]string{r.PathValue("what"), string(text)}
	})
	mux.HandleFunc("/wait", func(http.ResponseWriter, *http.Request) { <-c.wait })
	web := httptest.NewServer(mux)
	query.Set("whip", web.URL+"/whip")
	profile, err := os.MkdirTemp("", "tailcast-whip-")
	if err != nil {
		t.Fatal(err)
	}
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
		_ = os.RemoveAll(profile) // the browser's helpers may write a little longer
	})
	return c
}

// until returns what the page said of something; an error fails the test.
func (c *chromium) until(what string) string {
	c.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case told := <-c.told:
			switch told[0] {
			case what:
				return told[1]
			case "lacks":
				c.t.Fatalf("this chromium does not encode it, only %s", told[1])
			case "error":
				c.t.Fatalf("the page says: %s", told[1])
			}
		case <-deadline:
			c.t.Fatalf("the page has not said %q", what)
		}
	}
}

// Chromium is a publisher that we have not written: its pictures and sound come in, aligned, at the speed of time. Debian's does not encode
// H.265; that codec comes from the other client of these tests.
func TestChromium(t *testing.T) {
	needChromium(t)
	for _, c := range []struct {
		from, codec string
		want        ingest.Codec
	}{
		{"canvas", "", ingest.H264}, // whatever else it offers
		{"camera", "H264", ingest.H264},
		{"canvas", "VP9", ingest.VP9},
		{"canvas", "AV1", ingest.AV1},
	} {
		t.Run(c.from+" "+c.codec, func(t *testing.T) {
			p := newPlace(t, nil)
			b := browse(t, p, url.Values{"from": {c.from}, "codec": {c.codec}})
			answer := b.until("answer")
			p.rec.Wait(t, 200)
			close(b.wait)
			if status := b.until("bye"); status != "200" {
				t.Errorf("DELETE was answered with %s", status)
			}
			p.check(t, c.want)
			if t.Failed() {
				t.Log(answer)
			}
		})
		if testing.Short() {
			return
		}
	}
}

// check looks at what a browser sent of pictures with a codec, and Opus.
func (p *place) check(t *testing.T, codec ingest.Codec) {
	t.Helper()
	ingesttest.CheckTimes(t, p.rec.All())
	video, audio := p.rec.Of(trackOf(t, p, codec)), p.rec.Of(trackOf(t, p, ingest.Opus))
	if len(video) < 20 || len(audio) < 50 {
		t.Fatalf("%d pictures and %d packets of sound, want some of each", len(video), len(audio))
	}
	if video[0].Flags&ingest.RandomAccess == 0 {
		t.Error("the first picture is no random access point")
	}
	for i := 1; i < len(audio); i++ {
		if d := audio[i].PTS - audio[i-1].PTS; d != 1800 && audio[i].Flags&ingest.Discontinuity == 0 {
			t.Errorf("packet %d of sound is %d ticks after the one before, want 1800", i, d)
		}
	}
	lasts := fmt.Sprintf("%d pictures in %d ticks, sound %d", len(video), video[len(video)-1].PTS-video[0].PTS, audio[len(audio)-1].PTS-audio[0].PTS)
	if d := video[len(video)-1].PTS - audio[len(audio)-1].PTS; d > 45000 || d < -45000 {
		t.Errorf("the newest picture is %d ticks from the newest sound: %s", d, lasts)
	}
	info := p.rec.Program(t).Tracks
	if i := slices.IndexFunc(info, func(t ingest.Track) bool { return t.Codec == codec }); info[i].Width != 320 || info[i].Height != 240 {
		t.Errorf("pictures are %dx%d, want 320x240", info[i].Width, info[i].Height)
	}
	if n := p.Stats().DamagedSamples.Load() + p.Stats().DTSFallbacks.Load(); n != 0 {
		t.Errorf("%d damaged pictures or guessed times: %s", n, p.Stats().LastError())
	}
	t.Logf("%s; %d lost, %d realigned", lasts, p.Stats().LostPackets.Load(), p.Stats().Discontinuities.Load())
}

// A browser that has nothing but VP8 is told so.
func TestChromiumVP8(t *testing.T) {
	needChromium(t)
	p := newPlace(t, nil)
	b := browse(t, p, url.Values{"from": {"canvas"}, "codec": {"VP8"}})
	if text := b.until("refused"); !strings.HasPrefix(text, "422 nothing of the video that is offered is carried (VP8") {
		t.Errorf("the page was told %q", text)
	}
}
