package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// frame is one line of ffmpeg's framemd5.
type frame struct {
	pts, dts int64 // 90 kHz
	hash     string
}

// frames lists the access units of a stream as ffmpeg sees them after a bitstream filter that takes away what RTP does not carry:
// access unit delimiters and start code lengths of video, ADTS headers of audio.
func frames(t *testing.T, file, stream, filter string) (list []frame) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-copyts", "-i", file, "-map", stream, "-c", "copy",
		"-bsf", filter, "-f", "framemd5", "-").Output()
	if err != nil {
		t.Fatalf("ffmpeg framemd5 of %s: %v", file, err)
	}
	base, ticks := int64(1), int64(90000) // of a second
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "#tb 0: %d/%d", &base, &ticks)
		fields := strings.Split(lines.Text(), ",")
		if len(fields) < 6 || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		dts, err := strconv.ParseInt(strings.TrimSpace(fields[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		pts, err := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, frame{pts * base * 90000 / ticks, dts * base * 90000 / ticks, strings.TrimSpace(fields[5])})
	}
	return list
}

// align finds got inside sent and returns the shift of its first frame's PTS.
func align(t *testing.T, what string, sent, got []frame, tail int) (shift int64) {
	t.Helper()
	if len(got) < 24 {
		t.Fatalf("%s: got %d frames, want seconds of them", what, len(got))
	}
	for i, s := range sent {
		if s.hash != got[0].hash {
			continue
		}
		if missing := len(sent) - i - len(got); missing > tail || missing < 0 {
			t.Errorf("%s: %d frames from number %d on, want all of %d but %d", what, len(got), i, len(sent), tail)
		}
		for k := range min(len(got), len(sent)-i) {
			if got[k].hash != sent[i+k].hash {
				t.Fatalf("%s: frame %d differs from frame %d sent", what, k, i+k)
			}
		}
		return got[0].pts - s.pts
	}
	t.Fatalf("%s: the first frame received was never sent", what)
	return 0
}

// TestRTSPKeepsEveryFrame pushes the clip by RTSP over TCP and UDP, and reads it from a viewer.
func TestRTSPKeepsEveryFrame(t *testing.T) {
	need(t, "ffmpeg", "ffprobe")
	beside(t, 2)
	mp4 := filepath.Join(t.TempDir(), "clip.mp4")
	ffmpeg(t, "-i", clipFile, "-c", "copy", "-bsf:a", "aac_adtstoasc", mp4) // ffmpeg 5.1 cannot push AAC from TS
	video := "filter_units=remove_types=9"
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := streamer(t, "--rtsp", "127.0.0.1:0")
			push := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", mp4, "-c", "copy",
				"-f", "rtsp", "-rtsp_transport", transport, s.RTSP)
			if err := push.Start(); err != nil {
				t.Fatal(err)
			}
			v := viewer(t, s.LinkTo())
			until(t, v, "live", live)
			out := filepath.Join(t.TempDir(), "out.ts")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			go func() { // what the viewer has got when the input is over is compared
				_ = push.Wait()
				until(t, v, "the end", func(s status) bool { return s.State != "live" })
				time.AfterFunc(time.Second, cancel)
			}()
			record(ctx, t, v.HTTP+"/live.ts?join=last", out)

			sentV, gotV := frames(t, clipFile, "0:v", video), frames(t, out, "0:v", video)
			sentA, gotA := frames(t, clipFile, "0:a", "aac_adtstoasc"), frames(t, out, "0:a", "aac_adtstoasc")
			shiftV := align(t, "video", sentV, gotV, 1)
			shiftA := align(t, "audio", sentA, gotA, 12)
			distances(t, sentV, gotV)
			if off := shiftA - shiftV; off < -90 || off > 90 { // MP4 says to the millisecond when a track begins
				t.Errorf("audio moved by %d ticks against video, want at most 1 ms", off)
			}
			for _, p := range probe(t, out)[0] {
				if p.DTS > p.PTS {
					t.Fatalf("DTS %d is after PTS %d", p.DTS, p.PTS)
				}
			}
			ffmpeg(t, "-i", out, "-f", "null", "-")
		})
	}
}

// distances compares the PTS differences of video, which RTP carries exactly.
func distances(t *testing.T, sent, got []frame) {
	t.Helper()
	first := 0
	for sent[first].hash != got[0].hash {
		first++
	}
	for k := 1; k < len(got) && first+k < len(sent); k++ {
		if d, want := got[k].pts-got[0].pts, sent[first+k].pts-sent[first].pts; d != want {
			t.Fatalf("frame %d: %d ticks after the first, want %d", k, d, want)
		}
	}
}
