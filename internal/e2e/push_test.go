package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/internal/command"
)

// TestPushKeepsEveryFrame pushes the clip by RTMP and SRT, with the stream key, and reads it from a viewer.
func TestPushKeepsEveryFrame(t *testing.T) {
	need(t, "ffmpeg", "ffprobe")
	for _, way := range []struct {
		name  string
		to    func(p *command.Process) []string
		video string // filters that take away what the way does not carry
		// Packets of the end that may be missing: SRT loses what it still holds when the encoder hangs up.
		tailVideo, tailAudio int
	}{
		{"rtmp", func(p *command.Process) []string {
			return []string{"-f", "flv", strings.Replace(p.RTMP, "/main", "/sesame-open", 1)}
		}, "filter_units=remove_types=7-9", 1, 12},
		{"srt", func(p *command.Process) []string {
			return []string{"-f", "mpegts", strings.Replace(p.SRT, ":main", ":sesame-open", 1) + "&pkt_size=1316"}
		}, "null", 12, 24},
		{"srt, encrypted", func(p *command.Process) []string {
			return []string{"-f", "mpegts", p.SRT + "&pkt_size=1316&passphrase=sesame-open"}
		}, "null", 12, 24},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := streamer(t, "--rtsp", "", "--rtmp", "127.0.0.1:0", "--srt", "127.0.0.1:0", "--stream-key-file", keyFile(t))
			push := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-nostdin", "-re", "-i", clipFile, "-c", "copy"}, way.to(s)...)...)
			if err := push.Start(); err != nil {
				t.Fatal(err)
			}
			v := viewer(t, s.LinkTo())
			until(t, v, "live", live)
			out := filepath.Join(t.TempDir(), "out.ts")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			go func() {
				_ = push.Wait()
				time.AfterFunc(time.Second, cancel)
			}()
			record(ctx, t, v.HTTP+"/live.ts?join=last", out)

			sentV, gotV := frames(t, clipFile, "0:v", way.video), frames(t, out, "0:v", way.video)
			sentA, gotA := frames(t, clipFile, "0:a", "aac_adtstoasc"), frames(t, out, "0:a", "aac_adtstoasc")
			shiftV := align(t, "video", sentV, gotV, way.tailVideo)
			shiftA := align(t, "audio", sentA, gotA, way.tailAudio)
			distances(t, sentV, gotV)
			if off := shiftA - shiftV; off < -90 || off > 90 {
				t.Errorf("audio moved by %d ticks against video, want at most 1 ms", off)
			}
			ffmpeg(t, "-i", out, "-f", "null", "-")
			if strings.Contains(s.Stderr(), "sesame") {
				t.Errorf("the log has the key in it:\n%s", s.Stderr())
			}
		})
	}
}

func keyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("sesame-open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestPushComesBack: an encoder is killed and started again, five times; each time the channel goes on within three seconds of its return.
func TestPushComesBack(t *testing.T) {
	need(t, "ffmpeg")
	film := inMP4(t, clipFile)
	push := func(to ...string) []string {
		return append([]string{"ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", film, "-c", "copy"}, to...)
	}
	for name, encoder := range map[string]func(p *command.Process) []string{
		"rtmp": func(p *command.Process) []string { return push("-f", "flv", p.RTMP) },
		"srt":  func(p *command.Process) []string { return push("-f", "mpegts", p.SRT) },
		"rtsp": func(p *command.Process) []string { return push("-f", "rtsp", "-rtsp_transport", "tcp", p.RTSP) },
		"http": func(p *command.Process) []string { return push("-f", "mpegts", "-method", "PUT", p.HTTP+"/ingest") },
		"whip": func(p *command.Process) []string { return []string{whipScript, p.HTTP + "/whip", clipFile} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "whip" {
				needGStreamer(t)
			}
			s := streamer(t, "--rtsp", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", "--srt", "127.0.0.1:0", "--whip", "127.0.0.1:0")
			comesBack(t, s, encoder(s))
		})
	}
}

// comesBack kills and starts an encoder. What it takes to start is its own: as long as the first time.
func comesBack(t *testing.T, s *command.Process, encoder []string) {
	t.Helper()
	head, epoch, first := uint64(0), "", time.Duration(0)
	for round := range 5 {
		push := exec.CommandContext(t.Context(), encoder[0], encoder[1:]...)
		if err := push.Start(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		now := until(t, s, "on air", func(n status) bool {
			return live(n) && len(n.Renditions) == 1 && n.Renditions[0].Head > head+10
		})
		took := time.Since(began)
		if round == 0 {
			first = took
		} else if took > max(3*time.Second, first+1500*time.Millisecond) {
			t.Errorf("round %d: on air after %v, want 3 s (the first time: %v)", round, took, first)
		}
		if epoch != "" && now.Renditions[0].Epoch != epoch {
			t.Errorf("round %d: another epoch", round)
		}
		_ = push.Process.Kill()
		_ = push.Wait()
		now = until(t, s, "its status", func(n status) bool { return len(n.Renditions) == 1 })
		head, epoch = now.Renditions[0].Head, now.Renditions[0].Epoch
		t.Logf("round %d: %v", round, took)
	}
}
