package rtmp

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bluenviron/gortmplib"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/mpegts"
)

const key = "sesame-open"

// serve starts a server on loopback.
func serve(t *testing.T, cfg ServerConfig) (*Server, *ingesttest.Record) {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	if cfg.Logger == nil {
		cfg.Logger = ingesttest.Quiet()
	}
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := ingesttest.NewRecord()
	ingesttest.Start(t, s, r)
	return s, r
}

// connect publishes as an encoder does.
func connect(t *testing.T, addr netip.AddrPort, path string) (*gortmplib.Client, error) {
	t.Helper()
	u, err := url.Parse(fmt.Sprintf("rtmp://%s/%s", addr, path))
	if err != nil {
		t.Fatal(err)
	}
	c := &gortmplib.Client{URL: u, Publish: true}
	if err := c.Initialize(t.Context()); err != nil {
		return nil, err
	}
	t.Cleanup(c.Close)
	return c, nil
}

func needFFmpeg(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
}

func runFFmpeg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := ffmpeg(t, args...); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func ffmpeg(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	return exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...).CombinedOutput()
}

// What tests encode: four seconds, a random access point each second.
var (
	picture = []string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4"}
	tone    = []string{"-f", "lavfi", "-i", "sine=f=440:r=48000:d=4"}
	x264    = []string{"-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3"}
)

func args(all ...[]string) (out []string) {
	for _, a := range all {
		out = append(out, a...)
	}
	return out
}

// film makes a file, and tells what is in it by our own reading of MPEG-TS.
func film(t *testing.T, encode []string) (path string, r *ingesttest.Record) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "film.ts")
	runFFmpeg(t, append(encode, path)...)
	r = ingesttest.NewRecord()
	if err := (&mpegts.File{Path: path, Speed: math.Inf(1)}).Run(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return path, r
}

// ofCodec are the samples of the nth track of a codec.
func ofCodec(t *testing.T, r *ingesttest.Record, codec ingest.Codec, n int) []ingest.Sample {
	t.Helper()
	for _, track := range r.Program(t).Tracks {
		if track.Codec == codec {
			if n == 0 {
				return r.Of(track.ID)
			}
			n--
		}
	}
	t.Fatalf("no track %d of %s in %+v", n, codec, r.Program(t).Tracks)
	return nil
}

// same compares units and times, which may be off by tolerance ticks from one offset that all tracks share, and returns that.
func same(t *testing.T, what string, got, want []ingest.Sample, tolerance int64) (offset int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d samples came of %d", what, len(got), len(want))
	}
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for i := range got {
		if !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("%s: sample %d differs: %d bytes of %d", what, i, len(got[i].Data), len(want[i].Data))
		}
		for _, d := range []int64{got[i].PTS - want[i].PTS, got[i].DTS - want[i].DTS} {
			low, high = min(low, d), max(high, d)
		}
	}
	if high-low > tolerance {
		t.Errorf("%s: times are the file's plus %d to %d ticks, want them within %d", what, low, high, tolerance)
	}
	return low
}

func noTrouble(t *testing.T, s *ingest.Stats) {
	t.Helper()
	if n := s.Discontinuities.Load() + s.DTSFallbacks.Load() + s.DamagedSamples.Load(); n != 0 || s.LastError() != "" {
		t.Errorf("%d jumps, guessed times and damaged units, want none; last error %q", n, s.LastError())
	}
}
