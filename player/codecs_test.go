package player

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tailcast/ingest"
)

// encode makes a second of a test picture and a tone with ffmpeg.
func encode(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("skipping: ffmpeg is not installed")
	}
	out := filepath.Join(t.TempDir(), name)
	args = append([]string{
		"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x96:r=25", "-f", "lavfi", "-i", "sine=f=440:r=48000", "-t", "1", "-g", "13",
	}, append(args, out)...)
	if msg, err := exec.CommandContext(t.Context(), ffmpeg, args...).CombinedOutput(); err != nil {
		t.Skipf("skipping: this ffmpeg cannot make it: %s", bytes.TrimSpace(msg))
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCodecsAsOthersSeeThem encodes with ffmpeg, carries through both containers, and has ffmpeg decode the outcome.
func TestCodecsAsOthersSeeThem(t *testing.T) {
	for _, c := range []struct{ name, video, audio, types string }{
		{"H.264 and MP3", "libx264 -bf 2", "libmp3lame", "avc1.64000b,mp4a.6b"},
		{"H.265 and AC-3", "libx265 -preset ultrafast -x265-params log-level=none", "ac3", "hvc1.1.6.L30.90,ac-3"},
		{"MPEG-2 and layer II", "mpeg2video", "mp2", "mp4v.61,mp4a.40.33"},
		{"H.264 and Opus", "libx264 -tune zerolatency", "libopus", "avc1.64000b,opus"},
		{"H.264 and E-AC-3", "libx264", "eac3", "avc1.64000b,ec-3"},
		{"H.264 and AAC at 44.1 kHz", "libx264", "aac -ar 44100", "avc1.64000b,mp4a.40.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"-c:v"}, strings.Fields(c.video)...)
			args = append(append(args, "-c:a"), strings.Fields(c.audio)...)
			in := scan(encode(t, "in.ts", args...))
			b := newBench()
			b.SetProgram(in.programs[len(in.programs)-1])
			b.feed(in.samples)
			s, file := all(t, b.mp4)
			if !strings.Contains(s.contentType, c.types) {
				t.Errorf("content type %s, want %s", s.contentType, c.types)
			}
			p := parse(t, s.header, file)
			if got := len(p.times[1]); got != 25 {
				t.Errorf("fMP4 holds %d pictures, want 25", got)
			}
			ffmpegLikes(t, "mp4", file)
			_, stream := all(t, b.ts)
			ffmpegLikes(t, "ts", stream)
		})
	}
}

// TestCodecsWithoutTS: AV1 and VP9 come from sources that are not TS.
func TestCodecsWithoutTS(t *testing.T) {
	for _, c := range []struct {
		codec ingest.Codec
		args  string
		types string
	}{
		{ingest.AV1, "libaom-av1 -cpu-used 8 -usage realtime", "av01.0.00M.08"},
		{ingest.VP9, "libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0", "vp09.00.10.08"},
	} {
		t.Run(string(c.codec), func(t *testing.T) {
			in := ivf(encode(t, "in.ivf", append([]string{"-an", "-c:v"}, strings.Fields(c.args)...)...))
			b := newBench()
			b.SetProgram(&ingest.Program{Number: 1, Tracks: []ingest.Track{{Codec: c.codec}}})
			for i, data := range in {
				s := ingest.Sample{DTS: int64(i) * 3600, PTS: int64(i) * 3600, Data: data}
				if i%13 == 0 {
					s.Flags = ingest.RandomAccess
				}
				b.feed([]ingest.Sample{s})
			}
			s, file := all(t, b.mp4)
			if !strings.Contains(s.contentType, c.types) {
				t.Errorf("content type %s, want %s", s.contentType, c.types)
			}
			if got := len(parse(t, s.header, file).times[1]); got != len(in) {
				t.Errorf("fMP4 holds %d pictures, want %d", got, len(in))
			}
			ffmpegLikes(t, "mp4", file)
		})
	}
}

// ivf takes apart ffmpeg's simplest container: a header of 32 bytes, then frames behind 12 bytes that begin with the length.
func ivf(b []byte) (frames [][]byte) {
	for b = b[32:]; len(b) > 12; {
		n := 12 + int(binary.LittleEndian.Uint32(b))
		frames = append(frames, b[12:n])
		b = b[n:]
	}
	return frames
}
