package player

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"tailcast/ingest"
)

// TestHLSCodecs encodes with ffmpeg what encoders send: B-frames, long and odd keyframe intervals, frame rates that do not divide a second, codecs that
// no browser plays. Each playlist is valid, holds all pictures of its segments, and ffmpeg decodes it.
func TestHLSCodecs(t *testing.T) {
	for _, c := range []struct {
		name, args, types string
		length            float64 // of segments, seconds
	}{
		{"B-frames", "-c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac", "avc1.", 1},
		{"GOP of 5 s", "-c:v libx264 -preset ultrafast -g 125 -keyint_min 125 -sc_threshold 0 -c:a aac", "avc1.", 5},
		{"GOP of 2.5 s", "-vf fps=30 -c:v libx264 -preset ultrafast -g 75 -keyint_min 75 -sc_threshold 0 -c:a aac", "avc1.", 2.5},
		{"GOP of 1.5 s", "-vf fps=30 -c:v libx264 -preset ultrafast -g 45 -keyint_min 45 -sc_threshold 0 -c:a aac", "avc1.", 1.5},
		{"GOP of 15 pictures", "-c:v libx264 -preset ultrafast -g 15 -c:a aac", "avc1.", 1.2},
		{"29.97 pictures a second", "-r 30000/1001 -c:v libx264 -preset ultrafast -g 30 -c:a aac -ar 44100", "avc1.", 1.001},
		{"50 pictures a second", "-vf fps=50 -c:v libx264 -preset ultrafast -g 50 -c:a mp2", "avc1.", 1},
		{"10 pictures a second", "-r 10 -c:v libx264 -preset ultrafast -g 10 -c:a aac", "avc1.", 1},
		{"HEVC and AC-3", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -c:a ac3", "hvc1.1.6.L30.90,ac-3", 1},
		{"MPEG-2 and E-AC-3", "-c:v mpeg2video -g 25 -c:a eac3", "mp4v.61,ec-3", 1},
		{"Opus", "-c:v libx264 -preset ultrafast -g 25 -c:a libopus", "opus", 1},
		{"radio", "-vn -c:a aac", "mp4a.40.2", 1},
		{"MP3 radio", "-vn -c:a libmp3lame", "mp4a.6b", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := scan(encode(t, "in.ts", append([]string{"-t", "12"}, strings.Fields(c.args)...)...))
			ch := newChannel(t, Config{})
			b := ch.broadcast(in.programs[len(in.programs)-1])
			defer b.stop()
			b.write(in.samples)
			ch.holds(in.programs[len(in.programs)-1], in.samples, c.types, c.length)
		})
	}
}

// holds checks what the playlist of a channel names.
func (c *channelTest) holds(program *ingest.Program, samples []ingest.Sample, types string, length float64) {
	c.t.Helper()
	m := c.media("")
	if len(m.segments) < 2 {
		c.t.Fatalf("%d segments", len(m.segments))
	}
	var index playlist.Multivariant
	if err := index.Unmarshal(c.have("index.m3u8")); err != nil || !strings.Contains(strings.Join(index.Variants[0].Codecs, ","), types) {
		c.t.Errorf("codecs %v, want %s (%v)", index.Variants[0].Codecs, types, err)
	}
	header := c.have(m.segments[0].mapURI)
	file := bytes.Clone(header)
	for i, s := range m.segments {
		if math.Abs(s.seconds-length) > 0.25 && i < len(m.segments)-1 {
			c.t.Errorf("segment %d lasts %v, want %v", i, s.seconds, length)
		}
		file = append(file, c.have(s.uri)...)
	}
	p := parse(c.t, header, file)
	for _, tr := range program.Tracks {
		if tr.Codec.IsVideo() && tr.Codec == ingest.H264 {
			checkVideo(c.t, p, 1, track(samples, tr.ID)[:len(p.times[1])])
		}
	}
	for id, times := range p.times {
		scale := float64(p.init.Tracks[id-1].TimeScale)
		for i := 1; i < len(times); i++ {
			if d := float64(times[i]-times[i-1]) / scale; d <= 0 || d > 0.15 {
				c.t.Errorf("track %d: sample %d is %v s after the one before", id, i, d)
			}
		}
	}
	ffmpegLikes(c.t, "mp4", file)
}

// paced makes n pictures, one in gop a random access point, at the given ticks, and sound.
func paced(n, gop int, at func(i int) int64) (out []ingest.Sample) {
	r := rand.New(rand.NewPCG(1, 2))
	next := at(0)
	for i := range n {
		s := ingest.Sample{Track: picture, DTS: at(i), PTS: at(i), Data: h264Unit(r, i%gop == 0, sps480)}
		if i%gop == 0 {
			s.Flags = ingest.RandomAccess
		}
		out = append(out, s)
		for ; next < at(i+1); next += 1920 {
			out = append(out, ingest.Sample{Track: sound, DTS: next, PTS: next, Data: adts(noise(r, 100))})
		}
	}
	return out
}

// TestHLSUnevenPictures: parts are as they must be, or are not listed, whatever the times of pictures are. media checks each playlist.
func TestHLSUnevenPictures(t *testing.T) {
	millis := func(i int) int64 { return int64((i*1000+15)/30) * 90 }
	for _, c := range []struct {
		name   string
		listed bool // the newest segment with its parts
		at     func(i int) int64
	}{
		{"30 a second, rounded to milliseconds", true, millis},
		{"film in 60 fields a second", true, func(i int) int64 { return int64(i/2)*7507 + int64(i%2)*3003 }},
		{"six a second", true, func(i int) int64 { return int64(i) * 15000 }},
		{"a still screen", false, func(i int) int64 { return millis(min(i, 285)) + int64(max(0, i-285))*45000 }},
		{"one that moves again", true, func(i int) int64 { return millis(i) + int64(min(max(0, i-60), 10))*45000 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := newChannel(t, Config{})
			p := syntheticProgram()
			p.Tracks = p.Tracks[:2]
			b := ch.broadcast(p)
			defer b.stop()
			in := paced(340, 30, c.at) // eleven segments and a part of one
			b.write(in[:len(in)/2])
			m := ch.past("")
			b.write(in[len(in)/2:])
			for m.number+len(m.segments) < 11 {
				m = ch.past(fmt.Sprintf("?_HLS_msn=%d", m.number+len(m.segments)))
			}
			if newest := m.segments[len(m.segments)-1]; (len(newest.parts) > 0) != c.listed {
				t.Errorf("the newest segment has %d parts; part target %v", len(newest.parts), m.part)
			}
			if m.part > 0.4 {
				t.Errorf("part target %v", m.part)
			}
		})
	}
}

// TestHLSCodecsWithoutTS: AV1 and VP9 come from sources that are not TS.
func TestHLSCodecsWithoutTS(t *testing.T) {
	for codec, args := range map[ingest.Codec]string{
		ingest.AV1: "libaom-av1 -cpu-used 8 -usage realtime", ingest.VP9: "libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0",
	} {
		t.Run(string(codec), func(t *testing.T) {
			in := ivf(encode(t, "in.ivf", append([]string{"-an", "-t", "4", "-g", "25", "-c:v"}, strings.Fields(args)...)...))
			c := newChannel(t, Config{})
			program := &ingest.Program{Number: 1, Tracks: []ingest.Track{{Codec: codec}}}
			b := c.broadcast(program)
			defer b.stop()
			for i, data := range in {
				s := ingest.Sample{DTS: int64(i) * 3600, PTS: int64(i) * 3600, Data: data}
				if i%25 == 0 {
					s.Flags = ingest.RandomAccess
				}
				b.write([]ingest.Sample{s})
			}
			c.holds(program, nil, map[ingest.Codec]string{ingest.AV1: "av01.", ingest.VP9: "vp09."}[codec], 1)
		})
	}
}
