package hls

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/es"
	"tailcast/internal/ts"
)

func needFFmpeg(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
}

// ffmpeg runs in a folder whose files are put on an origin afterwards.
func ffmpeg(t *testing.T, dir string, args ...string) *origin {
	t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	o := &origin{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		o.put(f.Name(), b)
	}
	return o
}

// contents is what is in a TS file.
func contents(t *testing.T, path string) *sink {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	scanner := ts.NewScanner(ts.Config{Sink: s})
	scanner.Write(b)
	scanner.Flush()
	return s
}

// essence is what multiplexers leave as it is: of pictures the NAL units that are no delimiters and parameter sets, of sound everything.
func essence(t *testing.T, codec ingest.Codec, data []byte) []byte {
	t.Helper()
	if codec == ingest.Opus { // the control header has trimming, which is not copied
		var au substructs.OpusAccessUnit
		if _, err := au.Unmarshal(data); err != nil {
			t.Fatal(err)
		}
		return au.Packet
	}
	if codec != ingest.H264 && codec != ingest.H265 {
		return data
	}
	var nalus h264.AnnexB
	if err := nalus.Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, n := range nalus {
		switch es.NALCodec(codec).Kind(n) {
		case es.NALDelimiter, es.NALVPS, es.NALSPS, es.NALPPS:
		default:
			out = append(append(out, 0, 0, 0, 1), bytes.TrimRight(n, "\x00")...)
		}
	}
	return out
}

// alike fails the test unless the first tracks of pictures and sound of two programs have the same units, at times that are all moved by one and the same.
func alike(t *testing.T, got, want *sink) {
	t.Helper()
	var moved []int64
	for _, pictures := range []bool{true, false} {
		g, w := got.of(t, pictures, 0), want.of(t, pictures, 0)
		if len(g) != len(w) {
			t.Fatalf("pictures %v: got %d units, want %d", pictures, len(g), len(w))
		}
		var codec ingest.Codec
		for _, track := range want.program(t).Tracks {
			if track.Codec.IsVideo() == pictures && codec == "" {
				codec = track.Codec
			}
		}
		by := g[0].PTS - w[0].PTS
		moved = append(moved, by)
		for i := range w {
			if a, b := essence(t, codec, g[i].Data), essence(t, codec, w[i].Data); !bytes.Equal(a, b) {
				t.Fatalf("pictures %v, unit %d: got %d bytes, want %d", pictures, i, len(a), len(b))
			}
			if d := g[i].PTS - w[i].PTS - by; d < -45 || d > 45 {
				t.Fatalf("pictures %v, unit %d: PTS is %d ticks off", pictures, i, d)
			}
			if d := (g[i].DTS - g[0].DTS) - (w[i].DTS - w[0].DTS); d < -45 || d > 45 {
				t.Fatalf("pictures %v, unit %d: DTS is %d ticks off", pictures, i, d)
			}
			if (g[i].Flags^w[i].Flags)&ingest.RandomAccess != 0 {
				t.Fatalf("pictures %v, unit %d: flags %b, want %b", pictures, i, g[i].Flags, w[i].Flags)
			}
		}
	}
	if d := moved[0] - moved[1]; d < -90 || d > 90 {
		t.Errorf("sound is %d ticks off the pictures, want at most a millisecond", d)
	}
}

// TestFFmpeg: what ffmpeg writes as HLS comes out as what it read.
func TestFFmpeg(t *testing.T) {
	needFFmpeg(t)
	codecs := map[string][]string{
		"H.264 with B-frames and AAC": {"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-c:a", "aac"},
		"H.264 and AC-3":              {"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "ac3"},
		"HEVC and Opus":               {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=25", "-c:a", "libopus"},
		"MP3":                         {"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "libmp3lame"},
	}
	hls := map[string][]string{
		"TS":                {"-hls_segment_type", "mpegts"},
		"fMP4":              {"-hls_segment_type", "fmp4"},
		"fMP4 in one file":  {"-hls_segment_type", "fmp4", "-hls_flags", "single_file"},
		"encrypted":         {"-hls_segment_type", "mpegts", "-hls_key_info_file", "key.info"},
		"TS with its dates": {"-hls_segment_type", "mpegts", "-hls_flags", "program_date_time"},
	}
	for codec, encode := range codecs {
		dir := t.TempDir()
		original := filepath.Join(dir, "original.ts")
		args := append([]string{"-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=6", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=6", "-pix_fmt", "yuv420p"}, encode...)
		ffmpeg(t, dir, append(args, original)...)
		for kind, opts := range hls {
			if testing.Short() && kind != "fMP4" && codec != "H.264 and AC-3" {
				continue // the others differ in what they are wrapped in alone
			}
			t.Run(codec+" in "+kind, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "key.info"), []byte(base+"key.bin\nkey.bin\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "key.bin"), []byte("0123456789abcdef"), 0o600); err != nil {
					t.Fatal(err)
				}
				args := append([]string{"-i", original, "-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"}, opts...)
				if strings.Contains(codec, "AAC") && strings.Contains(kind, "fMP4") {
					args = append(args, "-bsf:a", "aac_adtstoasc")
				}
				o := ffmpeg(t, dir, append(args, "index.m3u8")...)
				synctest.Test(t, func(t *testing.T) {
					got, stats := whole(t, o, "index.m3u8")
					if n := stats.LostSegments.Load() + stats.DamagedSamples.Load() + stats.LostPackets.Load(); n != 0 {
						t.Errorf("got %d losses: %s", n, stats.LastError())
					}
					alike(t, got, contents(t, original))
				})
			})
		}
	}
}

// TestFFmpegSounds: a master playlist of ffmpeg, with the sound in a playlist of its own.
func TestFFmpegSounds(t *testing.T) {
	needFFmpeg(t)
	for _, kind := range []string{"mpegts", "fmp4"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			original := filepath.Join(dir, "original.ts")
			if err := os.WriteFile(original, clip.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			filter := "null"
			if kind == "fmp4" {
				filter = "aac_adtstoasc"
			}
			o := ffmpeg(t, dir, "-i", original, "-c", "copy", "-bsf:a", filter, "-map", "0:v", "-map", "0:a", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-hls_segment_type", kind,
				"-master_pl_name", "master.m3u8", "-var_stream_map", "v:0,agroup:snd a:0,agroup:snd,language:ger", "out%v.m3u8")
			synctest.Test(t, func(t *testing.T) {
				got, stats := whole(t, o, "master.m3u8")
				if n := stats.LostSegments.Load() + stats.DamagedSamples.Load() + stats.LostPackets.Load(); n != 0 {
					t.Errorf("got %d losses: %s", n, stats.LastError())
				}
				alike(t, got, contents(t, original))
			})
		})
	}
}
