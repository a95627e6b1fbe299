package e2e

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Whether sound and pictures belong together is seen from flashes and heard from beeps that begin at the same time, every two seconds. What a
// viewer serves is compared with what the encoder made: its own delays are in both.
const (
	beat     = 2 * time.Second
	together = 40 * time.Millisecond // what people notice
	drifting = 5 * time.Millisecond  // between the first third and the last
)

// flashing makes a file of flashes and beeps.
func flashing(t *testing.T, length time.Duration) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "flash.ts")
	seconds := strconv.Itoa(int(length.Seconds()))
	ffmpeg(t, "-f", "lavfi", "-i", "color=black:size=320x180:rate=25:duration="+seconds, "-f", "lavfi", "-i",
		"aevalsrc='if(between(mod(t,2),1,1.2),0.5*sin(2*PI*1000*t),0)':s=48000:d="+seconds, "-vf", "drawbox=c=white:t=fill:enable='between(mod(t,2),0.999,1.2)'",
		"-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "mpegts", out)
	return out
}

var (
	blackEnd   = regexp.MustCompile(`black_end:(-?[\d.]+)`)
	silenceEnd = regexp.MustCompile(`silence_end: (-?[\d.]+)`)
)

// offsets lets ffmpeg decode something, and returns by how much each beep is later than its flash, in the order of time.
func offsets(t *testing.T, url string, length time.Duration) (out []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length+patience)
	defer cancel()
	said, err := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-t", fmt.Sprint(length.Seconds()), "-i", url,
		"-vf", "blackdetect=d=0.1:pix_th=0.3", "-af", "silencedetect=noise=-30dB:d=0.1", "-f", "null", "-").CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", url, err, said)
		return nil
	}
	times := func(re *regexp.Regexp) (list []float64) {
		for _, m := range re.FindAllStringSubmatch(string(said), -1) {
			f, _ := strconv.ParseFloat(m[1], 64)
			list = append(list, f)
		}
		return list
	}
	beeps := times(silenceEnd)
	flashes := times(blackEnd)
	for _, flash := range flashes {
		i := slices.IndexFunc(beeps, func(b float64) bool { return math.Abs(b-flash) < beat.Seconds()/4 })
		if i < 0 {
			continue
		}
		out = append(out, time.Duration((beeps[i]-flash)*float64(time.Second)))
	}
	out = out[:max(0, len(out)-1)] // the end may be in the middle of it
	if want := int(length / beat); len(out) < want-3 {
		t.Errorf("%s: %d flashes, %d beeps, %d pairs, want about %d", url, len(flashes), len(beeps), len(out), want)
	}
	return out
}

func middle(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

// watchTime is how long to watch: what TAILCAST_WATCH says, or own.
func watchTime(t *testing.T, own time.Duration) time.Duration {
	t.Helper()
	if s := os.Getenv("TAILCAST_WATCH"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return own
}

// TestSoundAndPictureStayTogether in /live.ts and in HLS, to within 40 ms of how they were made, and without drift. `WATCH=10m make bench-player` watches
// for ten minutes, by mpv's own measure too.
func TestSoundAndPictureStayTogether(t *testing.T) {
	need(t, "ffmpeg", "mpv")
	beside(t, 4)
	length := watchTime(t, 12*time.Second)
	file := flashing(t, length+patience)
	made := middle(offsets(t, file, min(length, 30*time.Second)))
	s := streamer(t, file)
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	var all sync.WaitGroup // at once, whatever -parallel allows: the file ends
	for _, path := range []string{"/live.ts?join=last", "/live.mp4?join=last", "/hls/index.m3u8"} {
		all.Go(func() { staysTogether(t, path, offsets(t, v.HTTP+path, length), made) })
	}
	for _, path := range []string{"/live.ts?join=next", "/hls/index.m3u8"} {
		all.Go(func() {
			list := mpvOffsets(t, v.HTTP+path, length)
			t.Logf("measured: mpv %s: by its own measure p50 %.0f ms, p95 %.0f ms apart, of %d   (target < %v)", path, quantile(list, 0.5), quantile(list, 0.95), len(list), together)
			if len(list) < 20 || quantile(list, 0.5) > float64(together.Milliseconds()) { // the rest is how busy the machine is
				t.Errorf("mpv %s: %v", path, list)
			}
		})
	}
	all.Wait()
}

// staysTogether judges by how much beeps came after their flashes, given by how much they did when they were made.
func staysTogether(t *testing.T, path string, got []time.Duration, made time.Duration) {
	t.Helper()
	if len(got) < 3 {
		t.Errorf("%s: too little was seen and heard to tell", path)
		return
	}
	for i := range got {
		got[i] -= made
	}
	third := len(got) / 3
	drift := middle(got[len(got)-third:]) - middle(got[:third])
	t.Logf("measured: %s: sound %v after pictures (%v to %v), drift %v, in %d beats   (target < %v, < %v)",
		path, middle(got), slices.Min(got), slices.Max(got), drift, len(got), together, drifting)
	if slices.Min(got) < -together || slices.Max(got) > together || drift.Abs() > drifting {
		t.Errorf("%s: sound and pictures do not stay together: %v", path, got)
	}
}

// mpvOffsets plays, and returns what mpv says of its sound and its pictures, without signs, in ms; the first second is left out.
func mpvOffsets(t *testing.T, url string, length time.Duration) (out []float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length+patience)
	defer cancel()
	said, err := exec.CommandContext(ctx, "mpv", "--no-config", "--vo=null", "--ao=null", "--length="+fmt.Sprint(length.Seconds()), "--term-status-msg=AV ${=avsync}\n", url).CombinedOutput()
	if err != nil {
		t.Errorf("mpv %s: %v\n%s", url, err, said)
	}
	for _, m := range regexp.MustCompile(`AV (-?[\d.]+)`).FindAllStringSubmatch(strings.ReplaceAll(string(said), "\r", "\n"), -1) {
		f, _ := strconv.ParseFloat(m[1], 64)
		out = append(out, math.Abs(f)*1000)
	}
	return out[min(len(out), 20):]
}
