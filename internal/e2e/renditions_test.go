package e2e

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailcast/feed"
	"tailcast/internal/clip"
	"tailcast/internal/command"
)

// ladder makes files of one programme with pictures of two sizes, high and low.
func ladder(t *testing.T, seconds string) (high, low string) {
	t.Helper()
	dir := t.TempDir()
	high, low = filepath.Join(dir, "high.ts"), filepath.Join(dir, "low.ts")
	args := []string{
		"-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=" + seconds, "-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000:duration=" + seconds,
	}
	for _, out := range [][]string{{"-b:v", "1500k", "-minrate", "1500k", "-maxrate", "1500k", "-bufsize", "1500k", high}, {"-s", "320x180", "-b:v", "200k", low}} {
		args = append(append(args, "-map", "0:v", "-map", "1:a"), x264...)
		args = append(args, "-g", "25", "-c:a", "aac", "-b:a", "64k", "-metadata", "service_name=Test pictures", "-f", "mpegts")
		args = append(args, out...)
	}
	ffmpeg(t, args...)
	return high, low
}

// TestPageOfSeveralRenditions: a menu, a line that does not carry the best one, and HLS.
func TestPageOfSeveralRenditions(t *testing.T) {
	needPage(t, "ffmpeg")
	beside(t, browser)
	high, low := ladder(t, "20")
	s := streamer(t, "--rendition", "high="+high, "--rendition", "low="+low, "--loop", "--rtsp", "127.0.0.1:0")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	look(t, v, "ladder", nil)
}

// renditionsOf are the names of those that a node follows, and which one it has chosen.
func renditionsOf(s status) (followed []string, chosen string) {
	for _, r := range s.Renditions {
		if r.Followed {
			followed = append(followed, r.Name)
		}
		if r.Chosen {
			chosen = r.Name
		}
	}
	return followed, chosen
}

// follows waits until a node follows those and no other, and has blocks of them.
func follows(t *testing.T, p *command.Process, names ...string) status {
	t.Helper()
	return until(t, p, fmt.Sprintf("follows %v", names), func(s status) bool {
		followed, _ := renditionsOf(s)
		for _, r := range s.Renditions {
			if slices.Contains(names, r.Name) && r.Head == 0 {
				return false
			}
		}
		return s.State == "live" && slices.Equal(followed, names)
	})
}

// TestViewersChooseTheirRendition: each node follows, and passes on, what it chose alone; a relay has all. Who asks a viewer for another one gets it.
func TestViewersChooseTheirRendition(t *testing.T) {
	need(t)
	beside(t, 2)
	high, low := clips(t)
	s := streamer(t, "--rendition", "high="+high, "--rendition", "low="+low, "--rendition", "never=push", "--loop", "--rtsp", "127.0.0.1:0")
	best := viewer(t, s.LinkTo())
	least := viewer(t, s.LinkTo(), "--rendition", "least")
	named := viewer(t, s.LinkTo(), "--rendition", "low")
	relay := start(t, "relay", nil, s.LinkTo(), "--data", t.TempDir())
	follows(t, best, "high")
	follows(t, least, "low")
	at := follows(t, named, "low")
	for _, stripe := range at.Stripes {
		if stripe.Log != "low" {
			t.Errorf("who chose low has a stripe of %s", stripe.Log)
		}
	}
	untilAt(t, relay, "/api/v1/status", "the relay has both", func(s struct{ Channels []status }) bool {
		followed, _ := renditionsOf(s.Channels[0])
		return slices.Equal(followed, []string{"high", "low"}) && s.Channels[0].Renditions[0].Head > 0 && s.Channels[0].Renditions[1].Head > 0
	})
	for _, r := range at.Renditions {
		if r.Name == "high" && r.Head != 0 {
			t.Errorf("who chose low has %d blocks of high", r.Head)
		}
	}

	body := getFor(t, best.HTTP+"/live.ts?join=last&rendition=low", 100_000)
	if len(body) < 100_000 || body[0] != 0x47 {
		t.Errorf("asked for another rendition, got %d bytes", len(body))
	}
	follows(t, best, "high", "low") // for a while
	list := string(getFor(t, best.HTTP+"/hls/index.m3u8", 4096))
	if strings.Count(list, "#EXT-X-STREAM-INF:") != 2 || strings.Index(list, "r/high/main.m3u8") > strings.Index(list, "r/low/main.m3u8") {
		t.Errorf("the multivariant playlist is %s", list)
	}
	if text := string(getFor(t, best.HTTP+"/live.ts?rendition=4k", 4096)); !strings.Contains(text, "no rendition of this name") {
		t.Errorf("a rendition that there is not: %q", text)
	}
}

// clips are two renditions: of ffmpeg if it is there, else twice the built-in clip.
func clips(t *testing.T) (high, low string) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err == nil {
		return ladder(t, "20")
	}
	high, low = filepath.Join(t.TempDir(), "high.ts"), filepath.Join(t.TempDir(), "low.ts")
	for _, name := range []string{high, low} {
		if err := os.WriteFile(name, clip.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return high, low
}

// getFor reads up to so many bytes of an answer.
func getFor(t *testing.T, url string, most int64) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestRenditionsAreAligned: one encoder's outputs, of which one begins at another time, are met by two inputs as if they were independent. Picture by
// picture they are the same, so what the times of their keyframes differ by is what alignment by arrival leaves.
func TestRenditionsAreAligned(t *testing.T) {
	need(t, "ffmpeg")
	for name, offset := range map[string]string{"one clock": "0", "clocks of their own": "5000"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := freePort(t), freePort(t)
			s := streamer(t, "--rendition", "high=udp://127.0.0.1:"+a, "--rendition", "low=udp://127.0.0.1:"+b, "--rtsp", "127.0.0.1:0")
			encode(t, a, b, offset)
			link, err := feed.ParseLink(s.LinkTo())
			if err != nil {
				t.Fatal(err)
			}
			replica := watch(t, link.Root, s.Listen[0])
			var high, low []int64
			until(t, s, "ten keyframes of each", func(status) bool {
				high, low = keyTimes(replica, "high"), keyTimes(replica, "low")
				return len(high) >= 10 && len(low) >= 10
			})
			worst := int64(0)
			for _, at := range low[1:] { // the first may be from before the other one came
				worst = max(worst, nearest(high, at))
			}
			t.Logf("keyframes of the same picture are %.2f ms apart at most", float64(worst)/90)
			if most := int64(90 * 150); offset == "0" && worst > 90 || worst > most {
				t.Errorf("want 1 ms with one clock, 150 ms with two")
			}
		})
	}
}

// encode sends one picture source to two ports in two sizes, in real time; times of the second are later by so many seconds.
func encode(t *testing.T, high, low, offset string) {
	t.Helper()
	args := []string{"-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000"}
	for _, out := range [][]string{{"-f", "mpegts", "-muxdelay", "0", "udp://127.0.0.1:" + high + "?pkt_size=1316"}, {"-s", "320x180", "-output_ts_offset", offset, "-f", "mpegts", "-muxdelay", "0", "udp://127.0.0.1:" + low + "?pkt_size=1316"}} {
		args = append(append(args, "-map", "0:v", "-map", "1:a"), x264...)
		args = append(append(args, "-tune", "zerolatency", "-g", "25", "-c:a", "aac"), out...)
	}
	cmd := exec.Command("ffmpeg", args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// keyTimes are the decoding times at which segments of a log begin.
func keyTimes(r *feed.Replica, name string) (list []int64) {
	e := r.Current()
	if e == nil {
		return nil
	}
	log, err := e.Log(name)
	if err != nil {
		return nil
	}
	for i := log.Base(); i < log.Head().Size; i++ {
		if b, err := log.Record(i); err == nil && b.Record.Flags&feed.SegmentFirst != 0 && b.Record.Flags&feed.RandomAccess != 0 {
			list = append(list, b.Record.DTS)
		}
	}
	return list
}

// nearest is how far the nearest of a list is.
func nearest(list []int64, at int64) int64 {
	least := int64(math.MaxInt64)
	for _, x := range list {
		least = min(least, max(x-at, at-x))
	}
	return least
}
