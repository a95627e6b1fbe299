package rtsp

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
)

// probed is one packet of a file, as ffprobe sees it.
type probed struct {
	Type string `json:"codec_type"`
	PTS  string `json:"pts_time"`
	DTS  string `json:"dts_time"`
	Hash string `json:"data_hash"`
}

// seconds reads a time of ffprobe as 90 kHz.
func seconds(t *testing.T, s string) int64 {
	t.Helper()
	var f float64
	if _, err := fmt.Sscan(s, &f); err != nil {
		t.Fatalf("time %q: %v", s, err)
	}
	if f < 0 {
		return int64(f*ingest.ClockRate - 0.5)
	}
	return int64(f*ingest.ClockRate + 0.5)
}

func needFFmpeg(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
}

func runFFmpeg(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func probe(t *testing.T, path string) (video, audio []probed) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-show_packets", "-show_data_hash", "MD5", "-of", "json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Packets []probed }
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Packets {
		if p.Type == "video" {
			video = append(video, p)
		} else {
			audio = append(audio, p)
		}
	}
	return video, audio
}

// bare is a sample as a file of the codec stores it: NAL units by length and without parameter sets that only we put in, sound
// without the header that MPEG-TS needs.
func bare(t *testing.T, codec ingest.Codec, data []byte, inBand bool) string {
	t.Helper()
	switch codec {
	case ingest.H264, ingest.H265:
		var nalus h264.AnnexB
		if err := nalus.Unmarshal(data); err != nil {
			t.Fatal(err)
		}
		var out []byte
		for _, n := range nalus {
			if k := codecNAL(codec).kind(n); !inBand && k >= nalVPS && k <= nalPPS {
				continue
			}
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(n))), n...)
		}
		data = out
	case ingest.AAC:
		data = data[7:]
	case ingest.Opus:
		var au substructs.OpusAccessUnit
		if _, err := au.Unmarshal(data); err != nil {
			t.Fatal(err)
		}
		data = au.Packet
	}
	sum := md5.Sum(data)
	return "MD5:" + hex.EncodeToString(sum[:])
}

// match finds each sample in the file, in order, and returns the times of the file minus ours. tail is how many at the end of the
// file may be missing.
func match(t *testing.T, what string, codec ingest.Codec, got []ingest.Sample, want []probed, tail int) (pts, dts []int64) {
	t.Helper()
	if len(got) < len(want)-tail || len(got) > len(want) {
		t.Fatalf("%s: %d samples, want %d (up to %d of the last may be missing)", what, len(got), len(want), tail)
	}
	for i, s := range got {
		if h := bare(t, codec, s.Data, false); h != want[i].Hash {
			t.Fatalf("%s: sample %d differs from the file's", what, i)
		}
		pts = append(pts, s.PTS-seconds(t, want[i].PTS))
		dts = append(dts, s.DTS-seconds(t, want[i].DTS))
	}
	return pts, dts
}

func spreadOf(v []int64) (low, high int64) {
	low, high = v[0], v[0]
	for _, x := range v {
		low, high = min(low, x), max(high, x)
	}
	return low, high
}

func TestPushByFFmpeg(t *testing.T) {
	needFFmpeg(t)
	video := []string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4"}
	audio := []string{"-f", "lavfi", "-i", "sine=f=440:r=48000:d=4"}
	x264 := []string{"-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3"}
	for _, c := range []struct {
		name, file   string
		encode       []string
		video, audio ingest.Codec
		push         []string
	}{
		{"h264 aac", "c.mp4", append(x264, "-c:a", "aac"), ingest.H264, ingest.AAC, nil},
		{"h264 no pyramid, aac 44100", "c.mp4", append(x264, "-x264-params", "b-pyramid=0", "-c:a", "aac", "-ar", "44100"), ingest.H264, ingest.AAC, nil},
		{"h264 latm", "c.mp4", append(x264, "-c:a", "aac"), ingest.H264, ingest.AAC, []string{"-rtpflags", "latm"}},
		{"h265 opus", "c.mp4", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25:bframes=3", "-c:a", "libopus"}, ingest.H265, ingest.Opus, nil},
		{"h264 mp2", "c.mp4", append(x264, "-c:a", "mp2"), ingest.H264, ingest.MPEGAudio, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			runFFmpeg(t, append(append(append(append([]string{}, video...), audio...), c.encode...), path)...)
			wantVideo, wantAudio := probe(t, path)
			for _, transport := range []string{"tcp", "udp"} {
				t.Run(transport, func(t *testing.T) {
					t.Parallel()
					s, r := listen(t, ServerConfig{})
					push(t, s, path, transport, c.push)
					waitLeft(t, s)
					checkPush(t, s, r, c.video, c.audio, wantVideo, wantAudio)
				})
			}
		})
	}
}

func push(t *testing.T, s *Server, path, transport string, flags []string) {
	t.Helper()
	args := append([]string{"-v", "warning", "-nostdin", "-re", "-i", path, "-c", "copy", "-f", "rtsp", "-rtsp_transport", transport}, flags...)
	var stderr bytes.Buffer
	cmd := exec.Command("ffmpeg", append(args, fmt.Sprintf("rtsp://%s/live", s.Addr()))...)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, stderr.String())
	}
}

// waitLeft returns when no sample has come for a moment: ffmpeg tears its session down before it ends.
func waitLeft(t *testing.T, s *Server) {
	t.Helper()
	for last := uint64(0); ; {
		n := s.Stats().Samples.Load()
		if n == last && n > 0 {
			return
		}
		last = n
		<-time.After(50 * time.Millisecond)
	}
}

func checkPush(t *testing.T, s *Server, r *record, video, audio ingest.Codec, wantVideo, wantAudio []probed) {
	t.Helper()
	p := r.program(t)
	if len(p.Tracks) != 2 || p.Tracks[0].Codec != video || p.Tracks[1].Codec != audio {
		t.Fatalf("program is %+v, want %s and %s", p, video, audio)
	}
	checkTimes(t, r.all())
	pts, dts := match(t, "video", video, r.of(0), wantVideo, 0)
	if low, high := spreadOf(pts); low != high {
		t.Errorf("video PTS differences are off by up to %d ticks", high-low)
	}
	lowDTS, highDTS := spreadOf(dts)
	apts, _ := match(t, "audio", audio, r.of(1), wantAudio, 12)
	low, high := spreadOf(apts)
	if off := max(high-pts[0], pts[0]-low); off > 40*90 {
		t.Errorf("sound is %d ticks off the picture, want at most 40 ms", off)
	}
	st := s.Stats()
	t.Logf("DTS %d..%d off the PTS shift; A/V off by %d..%d ticks; audio %d of %d; lost %d, guessed %d, discontinuities %d",
		lowDTS-pts[0], highDTS-pts[0], low-pts[0], high-pts[0], len(apts), len(wantAudio), st.LostPackets.Load(), st.DTSFallbacks.Load(), st.Discontinuities.Load())
	if n := st.LostPackets.Load() + st.DTSFallbacks.Load() + st.Discontinuities.Load(); n != 0 {
		t.Errorf("%d lost packets, guessed times and discontinuities, want none; last error %q", n, st.LastError())
	}
}
