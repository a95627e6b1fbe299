package rtsp

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/es"
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
			if k := es.NALCodec(codec).Kind(n); !inBand && k >= es.NALVPS && k <= es.NALPPS {
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

// match finds each sample in the file, in order from the first that came, and returns our times minus the file's. head and tail
// are how many of the file may be missing at its beginning and end.
func match(t *testing.T, codec ingest.Codec, got []ingest.Sample, want []probed, head, tail int) (pts, dts []int64) {
	t.Helper()
	if len(got) == 0 {
		t.Fatalf("%s: no sample came", codec)
	}
	first := bare(t, codec, got[0].Data, false)
	skip := slices.IndexFunc(want, func(p probed) bool { return p.Hash == first })
	if skip < 0 || skip > head || len(got) < len(want)-skip-tail || len(got) > len(want)-skip {
		t.Fatalf("%s: %d samples of %d, from number %d on; the first %d and the last %d may be missing", codec, len(got), len(want), skip, head, tail)
	}
	for i, s := range got {
		w := want[skip+i]
		if h := bare(t, codec, s.Data, false); h != w.Hash {
			t.Fatalf("%s: sample %d differs from the file's", codec, i)
		}
		pts = append(pts, s.PTS-seconds(t, w.PTS))
		dts = append(dts, s.DTS-seconds(t, w.DTS))
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

// clip is a file made for a test, with what is in it.
type clip struct {
	path         string
	video, audio ingest.Codec
	pictures     []probed
	sound        []probed
}

// x264 makes B pictures in a pyramid, a random access point each second.
var x264 = []string{"-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3"}

// newClip encodes four seconds.
func newClip(t *testing.T, video, audio ingest.Codec, encode ...string) clip {
	t.Helper()
	c := clip{path: filepath.Join(t.TempDir(), "clip.mp4"), video: video, audio: audio}
	args := []string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4", "-f", "lavfi", "-i", "sine=f=440:r=48000:d=4"}
	runFFmpeg(t, append(append(args, encode...), c.path)...)
	c.pictures, c.sound = probe(t, c.path)
	return c
}

// ffmpeg does not send AC-3 by RTP; TestCodecs does.
func TestPushByFFmpeg(t *testing.T) {
	needFFmpeg(t)
	for _, c := range []struct {
		name         string
		video, audio ingest.Codec
		encode, push []string
	}{
		{"h264 aac", ingest.H264, ingest.AAC, append(x264[:len(x264):len(x264)], "-c:a", "aac"), nil},
		{"h264 without pyramid, aac of 44100 Hz", ingest.H264, ingest.AAC, append(x264[:len(x264):len(x264)], "-x264-params", "b-pyramid=0", "-c:a", "aac", "-ar", "44100"), nil},
		{"h264 latm", ingest.H264, ingest.AAC, append(x264[:len(x264):len(x264)], "-c:a", "aac"), []string{"-rtpflags", "latm"}},
		{"h265 opus", ingest.H265, ingest.Opus, []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25:bframes=3", "-c:a", "libopus"}, nil},
		{"mpeg2 aac", ingest.MPEG2Video, ingest.AAC, []string{"-c:v", "mpeg2video", "-g", "25", "-bf", "2", "-b:v", "2M", "-c:a", "aac"}, nil},
		{"h264 mp2", ingest.H264, ingest.MPEGAudio, append(x264[:len(x264):len(x264)], "-c:a", "mp2"), nil},
	} {
		file := newClip(t, c.video, c.audio, c.encode...)
		for transport, url := range map[string]string{"tcp": "rtsp://user:k3y@%s/live", "udp": "rtsp://%s/live/k3y"} {
			t.Run(c.name+" "+transport, func(t *testing.T) {
				t.Parallel()
				s, r := listen(t, ServerConfig{Key: "k3y"})
				push(t, 4, file.path, transport, fmt.Sprintf(url, s.Addr()), c.push...)
				waitLeft(t, s.Stats())
				file.check(t, s.Stats(), r, 0)
			})
		}
		if testing.Short() {
			return
		}
	}
}

// A server relays what an encoder pushes; we join when it plays already. It sends no reports in that time, so the arrival has to do.
func TestPullThroughServer(t *testing.T) {
	needFFmpeg(t)
	file := newClip(t, ingest.H264, ingest.AAC, append(x264[:len(x264):len(x264)], "-c:a", "aac")...)
	for name, udp := range map[string]bool{"tcp": false, "udp": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCamera(t, "")
			url := "rtsp://" + c.addr + "/live"
			p, r := pull(t, PullConfig{URL: url, UDP: udp})
			push(t, 1, file.path, "tcp", url)
			waitLeft(t, p.Stats())
			file.check(t, p.Stats(), r, 50)
		})
	}
}

// push sends a file at so many times its speed.
func push(t *testing.T, rate int, path, transport, url string, flags ...string) {
	t.Helper()
	args := append([]string{"-v", "warning", "-nostdin", "-readrate", strconv.Itoa(rate), "-i", path, "-c", "copy", "-f", "rtsp", "-rtsp_transport", transport}, flags...)
	if out, err := exec.Command("ffmpeg", append(args, url)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

// waitLeft returns when no sample has come for a moment: ffmpeg tears its session down before it ends.
func waitLeft(t *testing.T, stats *ingest.Stats) {
	t.Helper()
	for last := uint64(0); ; {
		n := stats.Samples.Load()
		if n == last && n > 0 {
			return
		}
		last = n
		<-time.After(50 * time.Millisecond)
	}
}

// check compares what has come with the file: bytes, times, and the offset of the sound.
func (c clip) check(t *testing.T, stats *ingest.Stats, r *ingesttest.Record, head int) {
	t.Helper()
	p := r.Program(t)
	if len(p.Tracks) != 2 || p.Tracks[0].Codec != c.video || p.Tracks[1].Codec != c.audio {
		t.Fatalf("program is %+v, want %s and %s", p, c.video, c.audio)
	}
	ingesttest.CheckTimes(t, r.All())
	pts, dts := match(t, c.video, r.Of(0), c.pictures, head, 0)
	low, high := spreadOf(pts)
	lowDTS, highDTS := spreadOf(dts)
	if low != high || head == 0 && (lowDTS != low || highDTS != high) { // who joins within does not know what came before
		t.Errorf("video times are the file's plus %d to %d (PTS) and %d to %d (DTS), want one offset", low, high, lowDTS, highDTS)
	}
	sound, _ := match(t, c.audio, r.Of(1), c.sound, 3*head, 12)
	low, high = spreadOf(sound)
	if off := max(high-pts[0], pts[0]-low); off > 40*90 {
		t.Errorf("sound is %d ticks off the picture, want at most 40 ms", off)
	}
	if n := stats.LostPackets.Load() + stats.DTSFallbacks.Load() + stats.Discontinuities.Load(); n != 0 {
		t.Errorf("%d lost packets, guessed times and discontinuities, want none; last error %q", n, stats.LastError())
	}
	t.Logf("sound off by %d to %d ticks, %d of %d frames of it came", low-pts[0], high-pts[0], len(sound), len(c.sound))
}
