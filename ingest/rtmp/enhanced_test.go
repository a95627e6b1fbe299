package rtmp

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/es"
)

// player pushes what a file holds with gortmplib's Writer, which stands for encoders that write Enhanced RTMP: ffmpeg of before 6.1 does
// not.
type player struct {
	*gortmplib.Writer
	write map[uint8]func(ms func(int64) time.Duration, s ingest.Sample) error
}

// newPlayer knows the tracks of a file.
func newPlayer(t testing.TB, file *ingesttest.Record) *player {
	t.Helper()
	p := &player{Writer: &gortmplib.Writer{}, write: map[uint8]func(func(int64) time.Duration, ingest.Sample) error{}}
	for _, info := range file.Program(t).Tracks {
		track := &gortmplib.Track{}
		switch info.Codec {
		case ingest.H264:
			var sets h264.AnnexB
			_ = sets.Unmarshal(info.Config)
			track.Codec = &codecs.H264{SPS: sets[0], PPS: sets[1]}
			p.write[info.ID] = p.nal(track, p.WriteH264)
		case ingest.H265:
			sets := es.ParameterSets{Codec: es.NALCodec(ingest.H265)}
			var nalus h264.AnnexB
			_ = nalus.Unmarshal(file.Of(info.ID)[0].Data)
			sets.Observe(nalus)
			_ = nalus.Unmarshal(sets.Config())
			track.Codec = &codecs.H265{VPS: nalus[0], SPS: nalus[1], PPS: nalus[2]}
			p.write[info.ID] = p.nal(track, p.WriteH265)
		case ingest.AAC:
			track.Codec = &codecs.MPEG4Audio{Config: &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: info.SampleRate, ChannelConfig: uint8(info.Channels)}}
			p.write[info.ID] = func(ms func(int64) time.Duration, s ingest.Sample) error {
				return p.WriteMPEG4Audio(track, ms(s.PTS), s.Data[7:])
			}
		case ingest.Opus:
			track.Codec = &codecs.Opus{ChannelCount: 1}
			p.write[info.ID] = func(ms func(int64) time.Duration, s ingest.Sample) error {
				var au substructs.OpusAccessUnit
				if _, err := au.Unmarshal(s.Data); err != nil {
					return err
				}
				return p.WriteOpus(track, ms(s.PTS), au.Packet)
			}
		case ingest.AV1:
			track.Codec = &codecs.AV1{}
			p.write[info.ID] = func(ms func(int64) time.Duration, s ingest.Sample) error {
				var obus av1.Bitstream
				if err := obus.Unmarshal(s.Data); err != nil {
					return err
				}
				return p.WriteAV1(track, ms(s.PTS), obus)
			}
		case ingest.VP9:
			track.Codec = &codecs.VP9{}
			p.write[info.ID] = func(ms func(int64) time.Duration, s ingest.Sample) error { return p.WriteVP9(track, ms(s.PTS), s.Data) }
		case ingest.AC3:
			track.Codec = &codecs.AC3{SampleRate: info.SampleRate, ChannelCount: info.Channels}
			p.write[info.ID] = func(ms func(int64) time.Duration, s ingest.Sample) error { return p.WriteAC3(track, ms(s.PTS), s.Data) }
		case ingest.MPEGAudio:
			track.Codec = &codecs.MPEG1Audio{}
			p.write[info.ID] = func(ms func(int64) time.Duration, s ingest.Sample) error {
				return p.WriteMPEG1Audio(track, ms(s.PTS), s.Data)
			}
		default:
			t.Fatalf("no way to write %s", info.Codec)
		}
		p.Tracks = append(p.Tracks, track)
	}
	return p
}

func (p *player) nal(track *gortmplib.Track, write func(*gortmplib.Track, time.Duration, time.Duration, [][]byte) error) func(func(int64) time.Duration, ingest.Sample) error {
	return func(ms func(int64) time.Duration, s ingest.Sample) error {
		var nalus h264.AnnexB
		if err := nalus.Unmarshal(s.Data); err != nil {
			return err
		}
		return write(track, ms(s.PTS), ms(s.DTS), nalus)
	}
}

// play sends the file, stamped in whole milliseconds from zero.
func (p *player) play(t testing.TB, c gortmplib.Conn, file *ingesttest.Record) {
	t.Helper()
	p.Conn = c
	if err := p.Initialize(); err != nil {
		t.Fatal(err)
	}
	all := file.All()
	slices.SortStableFunc(all, func(a, b ingest.Sample) int { return int(a.DTS - b.DTS) })
	ms := func(ticks int64) time.Duration { return time.Duration((ticks-all[0].DTS+45)/90) * time.Millisecond }
	for _, s := range all {
		if err := p.write[s.Track](ms, s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEnhanced(t *testing.T) {
	needFFmpeg(t)
	two := []string{"-map", "0:v", "-map", "1:a", "-map", "1:a"}
	for _, c := range []struct {
		name   string
		encode []string
		tracks []ingest.Codec
	}{
		{"h265, opus", args(picture, tone, []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25:bframes=3", "-c:a", "libopus"}), []ingest.Codec{ingest.H265, ingest.Opus}},
		{"h264, ac3", args(picture, tone, x264, []string{"-c:a", "ac3", "-ar", "44100"}), []ingest.Codec{ingest.H264, ingest.AC3}},
		{"h264, two languages", args(picture, tone, two, x264, []string{"-c:a:0", "aac", "-c:a:1", "libopus"}), []ingest.Codec{ingest.H264, ingest.AAC, ingest.Opus}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, file := film(t, c.encode)
			s, r := serve(t, ServerConfig{})
			client, err := connect(t, s.Addr(), "live/studio")
			if err != nil {
				t.Fatal(err)
			}
			newPlayer(t, file).play(t, client, file)
			ingesttest.Until(t, "all there", func() bool { return len(r.All()) >= len(file.All()) })
			ingesttest.CheckTimes(t, r.All())
			noTrouble(t, s.Stats())
			var offsets []int64
			for _, codec := range c.tracks {
				got, want := ofCodec(t, r, codec, 0), ofCodec(t, file, codec, 0)
				offsets = append(offsets, same(t, string(codec), withoutSets(t, got, codec), stripped(t, want, codec), 2))
			}
			if low, high := slices.Min(offsets), slices.Max(offsets); high-low > 90 {
				t.Errorf("tracks are %d ticks apart, want 1 ms at most", high-low)
			}
			if n := len(r.Program(t).Tracks); n != len(c.tracks) {
				t.Errorf("%d tracks, want %d", n, len(c.tracks))
			}
		})
	}
}

// ivf reads the frames of a file in that form: a header of 32 bytes, and 12 before each frame.
func ivf(t *testing.T, path string) (frames [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for b = b[32:]; len(b) > 12; {
		n := int(binary.LittleEndian.Uint32(b))
		frames, b = append(frames, b[12:12+n]), b[12+n:]
	}
	return frames
}

// TestAV1VP9: pictures that ffmpeg's multiplexer of MPEG-TS does not know.
func TestAV1VP9(t *testing.T) {
	needFFmpeg(t)
	small := []string{"-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-g", "10"}
	for _, c := range []struct {
		codec  ingest.Codec
		encode []string
		track  codecs.Codec
	}{
		{ingest.AV1, []string{"-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime"}, &codecs.AV1{}},
		{ingest.VP9, []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"}, &codecs.VP9{}},
	} {
		t.Run(string(c.codec), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "film.ivf")
			if out, err := ffmpeg(t, args(small, c.encode, []string{path})...); err != nil {
				t.Skipf("this ffmpeg does not encode %s: %s", c.codec, out)
			}
			s, r := serve(t, ServerConfig{})
			client, err := connect(t, s.Addr(), "live/studio")
			if err != nil {
				t.Fatal(err)
			}
			track := &gortmplib.Track{Codec: c.track}
			w := &gortmplib.Writer{Conn: client, Tracks: []*gortmplib.Track{track}}
			if err := w.Initialize(); err != nil {
				t.Fatal(err)
			}
			frames := ivf(t, path)
			var want [][]byte
			for i, f := range frames {
				at := time.Duration(i) * 100 * time.Millisecond
				if c.codec == ingest.VP9 {
					want, err = append(want, f), w.WriteVP9(track, at, f)
				} else {
					var tu av1.Bitstream
					if err := tu.Unmarshal(f); err != nil {
						t.Fatal(err)
					}
					err = w.WriteAV1(track, at, tu)
					plain, _ := tu[1:].Marshal() // without the delimiter
					want = append(want, plain)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			got, keys := r.Wait(t, len(frames)), 0
			for i, g := range got {
				if string(g.Data) != string(want[i]) || g.DTS-got[0].DTS != int64(i)*9000 || g.PTS != g.DTS {
					t.Fatalf("frame %d differs, or its time: %d bytes at %d", i, len(g.Data), g.DTS-got[0].DTS)
				}
				if g.Flags&ingest.RandomAccess != 0 {
					keys++
				}
			}
			if p := r.Program(t).Tracks[0]; p.Codec != c.codec || p.Width != 160 || p.Height != 90 || keys != 2 {
				t.Errorf("track is %+v, %d random access points, want 2", p, keys)
			}
			noTrouble(t, s.Stats())
		})
	}
}
