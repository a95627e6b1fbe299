package rtmp

import (
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
)

func TestClock(t *testing.T) {
	const ms = time.Millisecond
	start := time.Unix(0, 0)
	for _, c := range []struct {
		name   string
		stamps []time.Duration
		at     []time.Duration // of arrival
		want   []int64         // ms from the base
		jumps  int
	}{
		{"on time", []time.Duration{500 * ms, 540 * ms, 580 * ms}, []time.Duration{0, 40 * ms, 80 * ms}, []int64{0, 40, 80}, 0},
		{"not sorted", []time.Duration{500 * ms, 540 * ms, 520 * ms, 560 * ms}, []time.Duration{0, 0, 0, 0}, []int64{0, 40, 20, 60}, 0},
		{"a burst after a stall", []time.Duration{0, 40 * ms, 80 * ms}, []time.Duration{0, 30 * time.Second, 30 * time.Second}, []int64{0, 40, 80}, 0},
		{"a pause", []time.Duration{0, time.Minute}, []time.Duration{0, time.Minute}, []int64{0, 60000}, 0},
		{"across 32 bits", []time.Duration{(1<<32 - 20) * ms, 20 * ms}, []time.Duration{0, 40 * ms}, []int64{0, 40}, 0},
		{"forward", []time.Duration{0, time.Hour, time.Hour + 40*ms}, []time.Duration{0, 40 * ms, 80 * ms}, []int64{0, 40, 80}, 1},
		{"backward", []time.Duration{time.Hour, 0, 40 * ms}, []time.Duration{0, 40 * ms, 80 * ms}, []int64{0, 40, 80}, 1},
	} {
		var k clock
		jumps := 0
		for i, stamp := range c.stamps {
			got, jumped := k.place(stamp, 7, start.Add(c.at[i]))
			if got != 7+c.want[i]*90 {
				t.Errorf("%s: stamp %d is at %d, want %d ms", c.name, i, got-7, c.want[i])
			}
			if jumped {
				jumps++
			}
		}
		if jumps != c.jumps {
			t.Errorf("%s: %d jumps, want %d", c.name, jumps, c.jumps)
		}
	}
}

// TestSteadySound: rounding goes, a gap and a drift stay.
func TestSteadySound(t *testing.T) {
	var s steady
	for i := range int64(1_000_000) { // six hours
		exact := i * 1024 * ingest.ClockRate / 44100
		if got := s.sound((exact+45)/90*90, 1024, 44100); got-exact > 90 || exact-got > 90 || i > 0 && got != s.base+scale(i*1024, 44100) {
			t.Fatalf("frame %d is at %d, want %d", i, got, exact)
		}
	}
	base := s.base + scale(s.count, s.rate)
	after := (base+90000)/90*90 + 90 // a second is missing
	if got := s.sound(after, 1024, 44100); got != after {
		t.Errorf("after a gap: %d, want %d", got, after)
	}
	var d steady
	for i := range int64(100_000) { // an encoder whose clock is 100 ppm fast
		exact := i * 1920 * 10001 / 10000
		if got := d.sound((exact+45)/90*90, 1024, 48000); got-exact > 3*90 || exact-got > 3*90 {
			t.Fatalf("drift: frame %d is at %d, want %d", i, got, exact)
		}
	}
}

func TestSteadyPictures(t *testing.T) {
	for _, ticks := range []int64{3003, 3753, 1501, 3600, 1800} {
		r := rateOf(ticks)
		var s steady
		for i := range int64(500_000) {
			exact := scale(i*r.units, r.rate)
			dts, pts := s.picture((exact+45)/90*90, 0, r)
			if want := s.base + scale(s.count, s.rate); dts != want || pts != dts || dts-exact > 90 || exact-dts > 90 {
				t.Fatalf("%d ticks: picture %d is at %d and %d, want %d", ticks, i, dts, pts, exact)
			}
		}
	}
}

// TestLateTrack: sound that comes after a second becomes part of the program; gortmplib's Reader would end the connection.
func TestLateTrack(t *testing.T) {
	r, stats := ingesttest.NewRecord(), &ingest.Stats{}
	now := time.Now()
	s := newStream(&output{sink: r, stats: stats, log: ingesttest.Quiet(), start: now})
	vp9 := func(at time.Duration) message.Message {
		return &message.VideoExFramesX{FourCC: message.FourCCVP9, DTS: at, Payload: []byte{0x86, 0, 0, 0, 0, 0}}
	}
	for i := range 25 {
		s.take(vp9(time.Duration(i)*40*time.Millisecond), now.Add(time.Duration(i)*40*time.Millisecond))
	}
	if n := len(r.Program(t).Tracks); n != 1 {
		t.Fatalf("%d tracks before the sound comes, want 1", n)
	}
	s.take(&message.Audio{Codec: message.CodecMPEG4Audio, AACType: message.AudioAACTypeConfig, AACConfig: &mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2,
	}}, now.Add(time.Second))
	s.take(&message.Audio{Codec: message.CodecMPEG4Audio, AACType: message.AudioAACTypeAU, DTS: time.Second, AU: []byte("la")}, now.Add(time.Second))
	p := r.Program(t)
	if len(p.Tracks) != 2 || p.Tracks[1].Codec != ingest.AAC || p.Tracks[1].SampleRate != 48000 {
		t.Errorf("program is %+v", p)
	}
	if got := r.Of(p.Tracks[1].ID); len(got) != 1 || got[0].PTS != r.Of(p.Tracks[0].ID)[0].PTS+ingest.ClockRate {
		t.Errorf("sound is %+v", got)
	}
}

// TestNotCarried: what MPEG-TS has no form for is left out, said once, and the rest goes on.
func TestNotCarried(t *testing.T) {
	log := &ingesttest.Lines{}
	r := ingesttest.NewRecord()
	now := time.Now()
	s := newStream(&output{sink: r, stats: &ingest.Stats{}, log: log.Logger(), start: now})
	for range 10 {
		s.take(&message.Audio{Codec: message.CodecLPCM, AU: []byte("la")}, now)
	}
	for n := range 256 {
		s.take(&message.VideoExMultitrack{TrackID: uint8(n), Wrapped: &message.VideoExFramesX{FourCC: message.FourCCVP9, Payload: []byte{0x86}}}, now)
	}
	s.close()
	if n := len(r.Program(t).Tracks); n != ingest.MaxTracks/2 {
		t.Errorf("%d tracks, want %d", n, ingest.MaxTracks/2)
	}
	if text := log.String(); len(text) > 20000 {
		t.Errorf("the log has %d bytes", len(text))
	}
}
