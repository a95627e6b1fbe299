package es

import (
	"bytes"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
)

// fuzzed are the codecs that FuzzUnits reads, by number.
var fuzzed = []ingest.Codec{
	ingest.H264, ingest.H265, ingest.MPEG2Video, ingest.AV1, ingest.VP9, ingest.AAC, ingest.MPEGAudio, ingest.AC3, ingest.Opus,
}

// FuzzUnits: two access units of anything, one after the other, as a track. Nothing panics, what is read of them is within what a picture or a sound
// can be, what was known stays known, and parameter sets are completed without anything being lost.
func FuzzUnits(f *testing.F) {
	for _, r := range ingesttest.Clips(f) {
		for _, track := range r.Program(f).Tracks {
			which := slices.Index(fuzzed, track.Codec)
			if which < 0 {
				continue // for MPEG-TS alone
			}
			units := r.Of(track.ID)
			f.Add(byte(which), units[0].Data, units[1].Data)
			f.Add(byte(which), units[len(units)/2].Data, units[0].Data)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, first, second []byte) {
		codec := fuzzed[int(which)%len(fuzzed)]
		look := looks(t, codec)
		track := NewTrack(1, codec)
		for _, b := range [][]byte{first, second, first} {
			before := bytes.Clone(b)
			look(b, &track)
			if !bytes.Equal(b, before) {
				t.Fatalf("%s: a unit was changed by who looked at it", codec)
			}
			if track.Width < 0 || track.Height < 0 || track.SampleRate < 0 || track.Channels < 0 || track.Channels > 16 {
				t.Fatalf("%s: got %+v", codec, track)
			}
		}
	})
}

// looks is who reads units of a codec.
func looks(t *testing.T, codec ingest.Codec) func(b []byte, track *ingest.Track) {
	switch codec {
	case ingest.H264, ingest.H265:
		sets := &ParameterSets{Codec: NALCodec(codec)}
		return func(b []byte, track *ingest.Track) {
			lookNAL(t, sets, b)
			sets.Describe(track)
		}
	case ingest.MPEG2Video:
		m := &MPEG2{}
		return func(b []byte, track *ingest.Track) {
			if key, closed, fresh := m.Look(b); !key && (closed || fresh) || m.Frame() < 0 {
				t.Fatalf("key %v, closed %v, fresh %v, %d ticks", key, closed, fresh, m.Frame())
			}
			m.Describe(track)
		}
	case ingest.AV1:
		return func(b []byte, track *ingest.Track) { lookAV1(t, b, track) }
	case ingest.VP9:
		v := &VP9{}
		return func(b []byte, track *ingest.Track) {
			v.Look(b)
			v.Describe(track)
		}
	case ingest.MPEGAudio:
		m := &MPEGAudio{}
		return func(b []byte, track *ingest.Track) {
			m.Look(b)
			if n, rate := m.Length(); n < 0 || n > 1152 || rate < 0 || rate > 48000 || n > 0 && rate == 0 {
				t.Fatalf("%d samples of %d a second", n, rate)
			}
			m.Describe(track)
		}
	case ingest.AC3:
		a := &AC3{SampleRate: 48000, Channels: 2}
		return func(b []byte, track *ingest.Track) {
			a.Look(b)
			a.Describe(track)
		}
	case ingest.Opus:
		o := &Opus{Channels: 1}
		return func(b []byte, track *ingest.Track) {
			o.Look(b)
			if out, err := o.Append(nil, b); err != nil || !bytes.HasSuffix(out, b) {
				t.Fatalf("%d bytes became %d: %v", len(b), len(out), err)
			}
			o.Describe(track)
		}
	}
	a := &ADTS{Type: 2, SampleRate: 48000, ChannelConfig: 2}
	return func(b []byte, track *ingest.Track) {
		if out, err := a.Append([]byte{1}, b); (err == nil) != (len(b)+7 <= maxADTS) || !bytes.HasPrefix(out, []byte{1}) || err == nil && !bytes.Equal(out[8:], b) {
			t.Fatalf("%d bytes became %d: %v", len(b), len(out), err)
		}
		a.Describe(track)
	}
}

func lookNAL(t *testing.T, sets *ParameterSets, b []byte) {
	var nalus h264.AnnexB
	if nalus.Unmarshal(b) != nil {
		nalus = bytes.Split(b, []byte{0, 0, 1}) // what damage leaves
	}
	sets.Observe(nalus)
	if sets.Observe(nalus) {
		t.Fatal("the same sets are news twice")
	}
	for _, list := range sets.sets {
		if len(list) > maxSets {
			t.Fatalf("%d sets are remembered", len(list))
		}
	}
	if p := sets.Picture(); p.Depth < DepthUnknown || p.Depth > MaxDepth || p.Frame < 0 {
		t.Fatalf("got %+v", p)
	}
	whole := sets.Complete(slices.Clone(nalus))
	if len(whole) < len(nalus) || len(sets.sets[1]) > 0 && !sets.Codec.Has(whole, NALSPS) {
		t.Fatalf("%d NAL units became %d", len(nalus), len(whole))
	}
	if sets.Codec.Has(nalus, NALIDR) && sets.Codec.Access(nalus)&ingest.RandomAccess == 0 {
		t.Fatal("an IDR picture is no random access point")
	}
}

func lookAV1(t *testing.T, b []byte, track *ingest.Track) {
	var obus av1.Bitstream
	if obus.Unmarshal(b) != nil {
		obus = [][]byte{b}
	}
	a := &AV1{}
	a.Look(obus)
	if _, fresh := a.Look(obus); fresh && a.sequence == nil {
		t.Fatal("there is news of nothing")
	}
	a.Describe(track)
	_, _ = a.Unit(obus)
}
