package srt

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/ingest/admit"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/mpegts"
)

func needFFmpeg(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	if out, _ := exec.Command("ffmpeg", "-v", "quiet", "-protocols").Output(); !strings.Contains(string(out), "srt\n") {
		t.Skip("this ffmpeg has no SRT")
	}
}

func runFFmpeg(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// film encodes eight seconds with B pictures, as ffmpeg's own multiplexer writes them.
func film(t *testing.T) (path string, r *ingesttest.Record) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "film.ts")
	runFFmpeg(t, "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=8", "-f", "lavfi", "-i", "sine=f=440:r=48000:d=8",
		"-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3", "-c:a", "aac", path)
	again := filepath.Join(t.TempDir(), "again.ts") // what it makes of that with -c copy
	runFFmpeg(t, "-i", path, "-c", "copy", again)
	return path, want(t, func() mpegts.File { return mpegts.File{Path: again} })
}

// What gosrt still holds when the encoder hangs up is lost: that is the latency, and on a busy machine some more. Pictures come every 40 ms
// and sound every 21, at twice the speed.
const (
	latency = 800 * time.Millisecond // a machine that is busy for longer loses something
	tail    = 128
	speed   = "2"
)

func TestFFmpegPublishes(t *testing.T) {
	needFFmpeg(t)
	path, file := film(t)
	for name, c := range map[string]struct {
		cfg   ServerConfig
		query string
	}{
		"stream id":      {ServerConfig{Gate: admit.NewGate(key, ingesttest.Quiet())}, "streamid=publish:live/" + key},
		"access control": {ServerConfig{Gate: admit.NewGate(key, ingesttest.Quiet())}, "streamid=%23!::r=live,m=publish,s=" + key},
		"passphrase":     {ServerConfig{Gate: admit.NewGate(key, ingesttest.Quiet()), Passphrase: key}, "streamid=publish:live&passphrase=" + key},
		"256 bit":        {ServerConfig{Passphrase: key, Encrypted: true}, "pbkeylen=32&passphrase=" + key},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Latency = latency
			s, r := serve(t, c.cfg)
			runFFmpeg(t, "-readrate", speed, "-i", path, "-c", "copy", "-f", "mpegts", fmt.Sprintf("srt://%s?pkt_size=1316&latency=%d&%s", s.Addr(), latency.Microseconds(), c.query))
			r.Wait(t, 100)
			same(t, r, file, tail)
			quietStats(t, s.Stats())
		})
	}
	t.Run("wrong key", func(t *testing.T) {
		t.Parallel()
		s, _ := serve(t, ServerConfig{Gate: admit.NewGate(key, ingesttest.Quiet())})
		out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-i", path, "-c", "copy", "-f", "mpegts", fmt.Sprintf("srt://%s?streamid=publish:guess", s.Addr())).CombinedOutput()
		if err == nil {
			t.Errorf("ffmpeg was let in without the key\n%s", out)
		}
	})
}

// TestFFmpegIsCalled: ffmpeg waits, we call.
func TestFFmpegIsCalled(t *testing.T) {
	needFFmpeg(t)
	path, file := film(t)
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.LocalAddr().String()
	free.Close()
	c, err := NewCaller(CallerConfig{Addr: addr, Passphrase: key, Latency: latency, Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r := ingesttest.NewRecord()
	ingesttest.Start(t, c, r)
	runFFmpeg(t, "-readrate", speed, "-i", path, "-c", "copy", "-f", "mpegts", fmt.Sprintf("srt://%s?mode=listener&latency=%d&passphrase=%s", addr, latency.Microseconds(), key))
	r.Wait(t, 100)
	same(t, r, file, tail)
	quietStats(t, c.Stats())
}
