package player

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tailcast/ingest"
)

// TestHLSLongGOP: keyframes may be minutes apart; the segments are as long, and hold all pictures.
func TestHLSLongGOP(t *testing.T) {
	c := newChannel(t, Config{})
	p := syntheticProgram()
	p.Tracks = p.Tracks[:2]
	b := c.broadcast(p)
	defer b.stop()
	const gop, step = 1000, 9000 // ten pictures a second: 100 s
	in := paced(2*gop+50, gop, func(i int) int64 { return int64(i) * step })
	b.write(in)
	m := c.past("")
	if len(m.segments) < 2 || m.segments[1].seconds != 100 || m.target != 100 {
		t.Fatalf("segments %+v, target %d", m.segments, m.target)
	}
	header := c.have(m.segments[0].mapURI)
	file := slices.Concat(header, c.have(m.segments[0].uri), c.have(m.segments[1].uri))
	got := parse(t, header, file)
	checkVideo(t, got, 1, track(in, picture)[:2*gop])
	checkSound(t, got, 2)
	if sound := got.times[2]; float64(sound[len(sound)-1]-sound[0])/48000 < 199 {
		t.Errorf("%d frames of sound, from %d to %d", len(sound), sound[0], sound[len(sound)-1])
	}
}

// mp3 is a frame of MPEG-1 layer III, 128 kbit/s, 48 kHz: 384 bytes, 24 ms.
func mp3(r *rand.Rand) []byte { return append([]byte{0xff, 0xfb, 0x94, 0xc4}, noise(r, 380)...) }

// TestHLSLateSound: the programme names a sound track that says only in its frames what it is, and they come after somebody has begun to watch. A
// discontinuity with another header lets the player have it.
func TestHLSLateSound(t *testing.T) {
	c := newChannel(t, Config{})
	p := syntheticProgram()
	p.Tracks = p.Tracks[:2]
	p.Tracks[1] = ingest.Track{ID: sound, Codec: ingest.MPEGAudio, PID: 0x101, StreamType: 3, StreamID: 0xc0}
	b := c.broadcast(p)
	defer b.stop()
	r := rand.New(rand.NewPCG(3, 4))
	in := track(paced(400, 25, func(i int) int64 { return int64(i) * 3600 }), picture)
	b.write(in[:110])
	m := c.media("")
	if names := m.segments[0].mapURI; len(m.segments) < 3 || bytes.Contains(c.have(names), []byte("soun")) {
		t.Fatalf("%d segments, header %s", len(m.segments), names)
	}
	for i, s := range in[110:] {
		b.write([]ingest.Sample{s})
		for k := range int64(2) {
			at := s.DTS + k*1800
			if i > 0 && at/2160 != (at-1800)/2160 {
				b.write([]ingest.Sample{{Track: sound, DTS: at / 2160 * 2160, PTS: at / 2160 * 2160, Data: mp3(r)}})
			}
		}
	}
	for m.number+len(m.segments) < 14 {
		m = c.past(fmt.Sprintf("?_HLS_msn=%d", m.number+len(m.segments)))
	}
	var maps []string
	for _, s := range m.segments {
		if s.mapURI != "" {
			maps = append(maps, s.mapURI)
		}
	}
	if len(maps) != 2 || !bytes.Contains(c.have(maps[1]), []byte("soun")) {
		t.Fatalf("headers %q", maps)
	}
	if index := c.have("index.m3u8"); !bytes.Contains(index, []byte("mp4a.6b")) {
		t.Errorf("the index does not name the sound:\n%s", index)
	}
	last := m.segments[len(m.segments)-1]
	got := parse(t, c.have(maps[1]), slices.Concat(c.have(maps[1]), c.have(last.uri)))
	if len(got.times[1]) != 25 || len(got.times[2]) < 40 {
		t.Errorf("the last segment has %d pictures and %d frames of sound", len(got.times[1]), len(got.times[2]))
	}
}
