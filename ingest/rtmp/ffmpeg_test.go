package rtmp

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/ingesttest"
)

// TestFFmpegPublishes: what Debian's ffmpeg can send, bit for bit, and its times without RTMP's rounding to milliseconds.
func TestFFmpegPublishes(t *testing.T) {
	needFFmpeg(t)
	ntsc := []string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=30000/1001:d=4"}
	cinema := []string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=24000/1001:d=4"}
	for _, c := range []struct {
		name   string
		encode []string
		tracks []ingest.Codec
		// Where pictures last whole milliseconds and sound is counted, all times differ from the file's by one offset but for the rounding of
		// each track's first.
		tolerance int64
	}{
		{"h264 with B pictures, aac", args(picture, tone, x264, []string{"-c:a", "aac"}), []ingest.Codec{ingest.H264, ingest.AAC}, 1},
		{"without B pictures, aac of 44100 Hz", args(picture, tone, []string{"-c:v", "libx264", "-bf", "0", "-g", "25", "-c:a", "aac", "-ar", "44100"}), []ingest.Codec{ingest.H264, ingest.AAC}, 2},
		{"29.97 pictures a second, mp3", args(ntsc, tone, x264, []string{"-c:a", "libmp3lame"}), []ingest.Codec{ingest.H264, ingest.MPEGAudio}, 2},
		{"23.976 pictures a second, aac", args(cinema, tone, x264, []string{"-c:a", "aac"}), []ingest.Codec{ingest.H264, ingest.AAC}, 2},
		{"sound alone", args(tone, []string{"-c:a", "aac"}), []ingest.Codec{ingest.AAC}, 1},
		{"pictures alone", args(picture, x264), []ingest.Codec{ingest.H264}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path, file := film(t, c.encode)
			s, r := serve(t, ServerConfig{Gate: admit.NewGate(key, ingesttest.Quiet())})
			runFFmpeg(t, "-i", path, "-c", "copy", "-f", "flv", "rtmp://"+s.Addr().String()+"/live/"+key)
			ingesttest.Until(t, "all there", func() bool { return len(r.All()) >= len(file.All()) })
			ingesttest.CheckTimes(t, r.All())
			noTrouble(t, s.Stats())
			var offsets []int64
			for _, codec := range c.tracks {
				got, want := ofCodec(t, r, codec, 0), stripped(t, ofCodec(t, file, codec, 0), codec)
				offsets = append(offsets, same(t, string(codec), withoutSets(t, got, codec), want, c.tolerance))
			}
			if len(offsets) == 2 && (offsets[1]-offsets[0] > 90 || offsets[0]-offsets[1] > 90) {
				t.Errorf("sound is %d ticks off the picture, want 1 ms at most", offsets[1]-offsets[0])
			}
			if p := r.Program(t); len(p.Tracks) != len(c.tracks) || p.Tracks[0].Codec != c.tracks[0] || p.Tracks[0].Codec.IsVideo() && p.Tracks[0].Width != 320 {
				t.Errorf("program is %+v", p)
			}
		})
	}
}

// TestWrongKey: ffmpeg is told what is wrong, nothing of what it sends is taken, and the key is in no log.
func TestWrongKey(t *testing.T) {
	needFFmpeg(t)
	log := &ingesttest.Lines{}
	gate := admit.NewGate(key, log.Logger())
	s, r := serve(t, ServerConfig{Gate: gate, Logger: log.Logger()})
	path, _ := film(t, args(picture, x264))
	for _, tail := range []string{"/live/sesame-opem", "/live", "/live/" + key + "x"} {
		out, err := ffmpeg(t, "-re", "-i", path, "-c", "copy", "-f", "flv", "rtmp://"+s.Addr().String()+tail)
		if err == nil || !strings.Contains(string(out), "stream key is wrong") {
			t.Errorf("%s: ffmpeg says %v\n%s", tail, err, out)
		}
	}
	if n := len(r.All()); n > 0 || gate.Refused() != 3 {
		t.Errorf("%d samples were taken, %d refused", n, gate.Refused())
	}
	if strings.Contains(log.String(), "sesame") {
		t.Errorf("the log has a key in it:\n%s", log)
	}
}

// TestRTMPS: the same over TLS.
func TestRTMPS(t *testing.T) {
	needFFmpeg(t)
	path, file := film(t, args(picture, tone, x264, []string{"-c:a", "aac"}))
	s, r := serve(t, ServerConfig{TLS: &tls.Config{Certificates: []tls.Certificate{certificate(t)}}})
	runFFmpeg(t, "-i", path, "-c", "copy", "-f", "flv", "rtmps://"+s.Addr().String()+"/live/studio")
	ingesttest.Until(t, "all there", func() bool { return len(r.All()) >= len(file.All()) })
	noTrouble(t, s.Stats())
	for _, codec := range []ingest.Codec{ingest.H264, ingest.AAC} {
		got, want := ofCodec(t, r, codec, 0), stripped(t, ofCodec(t, file, codec, 0), codec)
		same(t, string(codec), withoutSets(t, got, codec), want, 1)
	}
	plain, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Write([]byte("\x03 RTMP without TLS, which is hung up on")); err != nil {
		t.Fatal(err)
	}
	ingesttest.Until(t, "hung up on", func() bool { n, err := plain.Read(make([]byte, 64)); return n == 0 && err != nil })
}
