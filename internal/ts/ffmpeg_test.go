package ts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

// ffmpeg runs a program of the ffmpeg family and returns what it prints; without it the test is skipped.
func ffmpeg(t *testing.T, name string, args ...string) (stdout, stderr []byte) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (Debian: apt install ffmpeg)", name)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.Bytes())
	}
	return out.Bytes(), errs.Bytes()
}

// probed is what ffprobe tells about an access unit.
type probed struct {
	PTS, DTS int64
	Key      bool
	Hash     string
}

// probe reads the access units of a file with ffprobe, by PID.
func probe(t *testing.T, file string, options ...string) map[uint16][]probed {
	t.Helper()
	args := append([]string{"-v", "error", "-show_packets", "-show_streams", "-show_data_hash", "sha256", "-of", "json"}, options...)
	out, _ := ffmpeg(t, "ffprobe", append(args, file)...)
	var all struct {
		Packets []struct {
			Stream   int `json:"stream_index"`
			PTS, DTS int64
			Flags    string
			Hash     string `json:"data_hash"`
		}
		Streams []struct {
			Index int
			ID    string
		}
	}
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	pids := make(map[int]uint16)
	for _, s := range all.Streams {
		pid, err := strconv.ParseUint(s.ID, 0, 16)
		if err != nil {
			t.Fatal(err)
		}
		pids[s.Index] = uint16(pid)
	}
	units := make(map[uint16][]probed)
	for _, p := range all.Packets {
		pid := pids[p.Stream]
		units[pid] = append(units[pid], probed{p.PTS, p.DTS, strings.Contains(p.Flags, "K"), strings.TrimPrefix(p.Hash, "SHA256:")})
	}
	return units
}

// encode makes two seconds of test picture and sound.
func encode(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.ts")
	all := []string{
		"-v", "error", "-threads", "1", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2",
		"-f", "lavfi", "-i", "sine=f=440:r=48000:d=2", "-f", "lavfi", "-i", "sine=f=880:r=44100:d=2",
	}
	ffmpeg(t, "ffmpeg", append(append(all, args...), "-f", "mpegts", file)...)
	return file
}

// TestScannerEqualsFFprobe compares every access unit of every codec with what ffprobe finds.
func TestScannerEqualsFFprobe(t *testing.T) {
	for _, c := range []struct {
		name, args  string
		codec       ingest.Codec
		rate, width int
	}{
		{"h264", "-map 0 -c:v libx264 -preset ultrafast -bf 2 -g 25", ingest.H264, 0, 320},
		{"h264 intra refresh", "-map 0 -c:v libx264 -preset ultrafast -x264-params intra-refresh=1:keyint=25", ingest.H264, 0, 320},
		{"h265", "-map 0 -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:bframes=2", ingest.H265, 0, 320},
		{"mpeg2video", "-map 0 -c:v mpeg2video -g 12 -bf 2", ingest.MPEG2Video, 0, 320},
		{"aac", "-map 1 -c:a aac", ingest.AAC, 48000, 0},
		{"aac 44.1", "-map 2 -c:a aac", ingest.AAC, 44100, 0},
		{"aac latm", "-map 1 -c:a aac -mpegts_flags latm", ingest.AACLATM, 48000, 0},
		{"mp2", "-map 1 -c:a mp2", ingest.MPEGAudio, 48000, 0},
		{"mp3", "-map 2 -c:a libmp3lame", ingest.MPEGAudio, 44100, 0},
		{"mp3 of MPEG-2", "-map 2 -ar 22050 -c:a libmp3lame", ingest.MPEGAudio, 22050, 0},
		{"ac3", "-map 1 -ac 6 -c:a ac3", ingest.AC3, 48000, 0},
		{"ac3 of DVB", "-map 1 -c:a ac3 -mpegts_flags system_b", ingest.AC3, 48000, 0},
		{"eac3", "-map 1 -c:a eac3", ingest.EAC3, 48000, 0},
		{"opus", "-map 1 -c:a libopus", ingest.Opus, 48000, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := encode(t, strings.Fields(c.args)...)
			want := probe(t, file)[256]
			if c.codec == ingest.H265 { // its parser moves the zero in front of a start code to the unit before
				for i, p := range probe(t, file, "-fflags", "+noparse")[256] {
					want[i].Hash = p.Hash
				}
			}
			in, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, stats := scanAll(in)
			got, track := r.of(256), r.program(t).Tracks[0]
			if track.Codec != c.codec || track.SampleRate != c.rate || track.Width != c.width || c.rate > 0 && track.Channels == 0 {
				t.Errorf("got track %+v, want %s, rate %d, width %d", track, c.codec, c.rate, c.width)
			}
			if n := stats.DamagedSamples.Load() + stats.Discontinuities.Load() + stats.DTSFallbacks.Load() + stats.SkippedBytes.Load(); n > 0 {
				t.Errorf("got %d samples damaged, out of time or guessed, or bytes skipped", n)
			}
			if len(r.programs) != 1 {
				t.Errorf("got %d programs, want 1", len(r.programs))
			}
			equalUnits(t, c.codec, got, want)
			again, _ := scanAll(mux(t, r.programs[0], r.samples))
			compare(t, again.of(256), got)
		})
	}
}

func equalUnits(t *testing.T, codec ingest.Codec, got []ingest.Sample, want []probed) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d access units, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		data := g.Data
		if codec == ingest.Opus { // ffprobe shows what follows the control header
			n, size := 2, 0
			for ; data[n] == 255; n++ {
				size += 255
			}
			size += int(data[n])
			data = data[len(data)-size:]
		}
		// ffmpeg rounds the times of frames after the first of a PES packet down one by one.
		off := max(g.PTS-w.PTS, w.PTS-g.PTS)
		if hashOf(data) != w.Hash || off > 1 || codec.IsVideo() && (off > 0 || g.DTS != w.DTS) {
			t.Fatalf("access unit %d: got %d bytes, PTS %d, DTS %d, want PTS %d, DTS %d, or the bytes differ", i, len(g.Data), g.PTS, g.DTS, w.PTS, w.DTS)
		}
		if key := g.Flags&ingest.RandomAccess != 0; codec.IsVideo() && key != w.Key {
			t.Errorf("access unit %d: got random access %v, want %v", i, key, w.Key)
		}
	}
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TestMuxerPleasesFFmpeg: a decoder finds nothing wrong in what the Muxer writes, and finds what went in.
func TestMuxerPleasesFFmpeg(t *testing.T) {
	inputs := map[string]func(t *testing.T) []byte{
		"the clip": func(*testing.T) []byte { return clip.Bytes() },
		"h265 and several sounds": func(t *testing.T) []byte {
			b, err := os.ReadFile(encode(t, strings.Fields("-map 0 -map 1 -map 1 -map 2 -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -c:a:0 aac -c:a:1 ac3 -c:a:2 mp2")...))
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		"mpeg2video and opus": func(t *testing.T) []byte {
			b, err := os.ReadFile(encode(t, strings.Fields("-map 0 -map 1 -c:v mpeg2video -bf 2 -c:a libopus")...))
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
	}
	for name, input := range inputs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t)
			r, _ := scanAll(in)
			dir := t.TempDir()
			before, after := filepath.Join(dir, "before.ts"), filepath.Join(dir, "after.ts")
			for file, b := range map[string][]byte{before: in, after: mux(t, r.programs[0], r.samples)} {
				if err := os.WriteFile(file, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, complaints := ffmpeg(t, "ffmpeg", "-v", "warning", "-i", after, "-map", "0", "-f", "null", "-"); len(complaints) > 0 {
				t.Errorf("ffmpeg complains:\n%s", complaints)
			}
			want, got := probe(t, before), probe(t, after)
			for pid, units := range want {
				if len(got[pid]) != len(units) {
					t.Fatalf("PID %d: got %d access units, want %d", pid, len(got[pid]), len(units))
				}
				for i, w := range units {
					if g := got[pid][i]; g.Hash != w.Hash || max(g.PTS-w.PTS, w.PTS-g.PTS) > 1 || max(g.DTS-w.DTS, w.DTS-g.DTS) > 1 {
						t.Fatalf("PID %d, access unit %d: got %+v, want %+v", pid, i, g, w)
					}
				}
			}
		})
	}
}
