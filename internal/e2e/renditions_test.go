package e2e

import (
	"path/filepath"
	"testing"
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
	high, low := ladder(t, "20")
	s := streamer(t, "--rendition", "high="+high, "--rendition", "low="+low, "--loop", "--rtsp", "127.0.0.1:0")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	look(t, v, "ladder", nil)
}
