package player

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"tailcast/ingest"
)

// Samples as encoders make them, as far as parameters go.
var (
	hevcVPS    = unhex("40010c01ffff01600000030090000003000003005d959809")
	hevcSPS    = unhex("420101016000000300900000030000030078a003c08010e596666924cae01000000300100000030" + "1e080")
	hevcPPS    = unhex("4401c172b46240")
	av1Header  = unhex("0a0b00000042a7bfe62edfc842") // with its size
	av1Frame   = unhex("3203aabbcc")
	vp9Frame   = unhex("824983420077f03234303824" + "1c19401803405fb4")
	mpeg2Start = unhex("000001b3" + "2d01e0343bb6a380" + "000001b5148a00010000" + "000001b800080040" + "00000100000fffb8")
	mp3Frame   = append(unhex("fffbb464"), make([]byte, 572)...)         // 192 kbit/s, 48 kHz
	mp2Frame   = append(unhex("fffda404"), make([]byte, 572)...)         // layer II, 192 kbit/s, 48 kHz
	ac3Frame   = append(unhex("0b77000014402ee1"), make([]byte, 760)...) // 192 kbit/s, 48 kHz
	eac3Frame  = append(unhex("0b7701ff3f800000"), make([]byte, 1016)...)
)

func TestCarriers(t *testing.T) {
	raw := noise(rand.New(rand.NewPCG(1, 1)), 50)
	for _, c := range []struct {
		name   string
		track  ingest.Track
		sample []byte
		codec  string
		clock  int
		frames []frame
	}{
		{
			"H.264",
			ingest.Track{Codec: ingest.H264},
			annexB(sps480, pps, []byte{0x65, 1, 2}), "avc1.4d401e", 90000,
			[]frame{{data: join([]byte{0, 0, 0, byte(len(sps480))}, sps480, []byte{0, 0, 0, byte(len(pps))}, pps, []byte{0, 0, 0, 3, 0x65, 1, 2})}},
		},
		{
			"H.265",
			ingest.Track{Codec: ingest.H265, Config: annexB(hevcVPS, hevcSPS, hevcPPS)},
			annexB([]byte{0x26, 1, 0xaf}), "hvc1.1.6.L120.90", 90000,
			[]frame{{data: []byte{0, 0, 0, 3, 0x26, 1, 0xaf}}},
		},
		{"AV1", ingest.Track{Codec: ingest.AV1}, join(unhex("1200"), av1Header, av1Frame), "av01.0.08M.08", 90000, []frame{{data: join(av1Header, av1Frame)}}},
		{"AV1, header of the track", ingest.Track{Codec: ingest.AV1, Config: join([]byte{8}, av1Header[2:])}, av1Frame, "av01.0.08M.08", 90000, []frame{{data: av1Frame}}},
		{"VP9", ingest.Track{Codec: ingest.VP9}, vp9Frame, "vp09.00.10.08", 90000, []frame{{data: vp9Frame}}},
		{"AAC", ingest.Track{Codec: ingest.AAC}, join(adts(raw), adts(raw[:9])), "mp4a.40.2", 48000, []frame{{raw, 1024}, {raw[:9], 1024}}},
		{"AAC with CRC", ingest.Track{Codec: ingest.AAC}, withCRC(raw), "mp4a.40.2", 48000, []frame{{raw, 1024}}},
		{"HE-AAC", ingest.Track{Codec: ingest.AAC, Config: unhex("2b118800")}, nil, "mp4a.40.5", 24000, nil},
		{
			"Opus",
			ingest.Track{Codec: ingest.Opus, Channels: 2},
			join([]byte{0x7f, 0xe0, 50, 0xfc}, raw[:49]), "opus", 48000,
			[]frame{{join([]byte{0xfc}, raw[:49]), 960}},
		},
		{"MP3", ingest.Track{Codec: ingest.MPEGAudio}, mp3Frame, "mp4a.6b", 48000, []frame{{mp3Frame, 1152}}},
		{"layer II", ingest.Track{Codec: ingest.MPEGAudio}, join(mp2Frame, mp2Frame), "mp4a.40.33", 48000, []frame{{mp2Frame, 1152}, {mp2Frame, 1152}}},
		{"AC-3", ingest.Track{Codec: ingest.AC3}, ac3Frame, "ac-3", 48000, []frame{{ac3Frame, 1536}}},
		{"E-AC-3", ingest.Track{Codec: ingest.EAC3}, eac3Frame, "ec-3", 48000, []frame{{eac3Frame, 1536}}},
		{"MPEG-2", ingest.Track{Codec: ingest.MPEG2Video}, mpeg2Start, "mp4v.61", 90000, []frame{{data: mpeg2Start}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newCarrier(&c.track)
			k.learn(c.track.Config)
			k.learn(c.sample)
			if k.entry() == nil {
				t.Fatal("no sample entry")
			}
			if got := k.name(); got != c.codec {
				t.Errorf("codec %s, want %s", got, c.codec)
			}
			if got := k.clock(); got != c.clock {
				t.Errorf("clock %d, want %d", got, c.clock)
			}
			if marshalInit(fmp4.Init{Tracks: []*fmp4.InitTrack{{ID: 1, TimeScale: uint32(k.clock()), Codec: k.entry()}}}) == nil {
				t.Error("its entry cannot be written")
			}
			got, err := k.frames(c.sample)
			if err != nil || len(got) != len(c.frames) {
				t.Fatalf("%d frames, %v; want %d", len(got), err, len(c.frames))
			}
			for i := range got {
				if !bytes.Equal(got[i].data, c.frames[i].data) || got[i].duration != c.frames[i].duration {
					t.Errorf("frame %d: %d bytes of %d ticks, want %d of %d", i, len(got[i].data), got[i].duration, len(c.frames[i].data), c.frames[i].duration)
				}
			}
		})
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func annexB(units ...[]byte) (out []byte) {
	for _, u := range units {
		out = append(append(out, 0, 0, 0, 1), u...)
	}
	return out
}

// withCRC is an ADTS frame that is protected (ISO/IEC 13818-7, 6.2.3).
func withCRC(raw []byte) []byte {
	out := adts(append([]byte{0xab, 0xcd}, raw...))
	out[1] &^= 1
	return out
}

// FuzzMP4 gives the file any samples of any codec: whatever comes, it goes on, and what it writes can be read.
func FuzzMP4(f *testing.F) {
	known := []ingest.Codec{ingest.H264, ingest.H265, ingest.AV1, ingest.VP9, ingest.MPEG2Video, ingest.AAC, ingest.Opus, ingest.MPEGAudio, ingest.AC3, ingest.EAC3}
	for i, sample := range [][]byte{
		annexB(sps480, pps, []byte{0x65, 1, 2}), annexB(hevcVPS, hevcSPS, hevcPPS, []byte{0x26, 1, 0xaf}), join(av1Header, av1Frame),
		vp9Frame, mpeg2Start, adts([]byte{1, 2, 3}),
		{0x7f, 0xe0, 3, 0xfc, 1, 2},
		mp3Frame, ac3Frame, eac3Frame,
	} {
		f.Add(uint8(i), sample, sample)
	}
	f.Fuzz(func(t *testing.T, codec uint8, config, sample []byte) {
		b := newBench()
		b.SetProgram(&ingest.Program{Number: 1, Tracks: []ingest.Track{{Codec: known[int(codec)%len(known)], Config: config, Channels: 2}}})
		for i := range int64(3) {
			b.feed([]ingest.Sample{{Flags: ingest.RandomAccess, DTS: i * 90000, PTS: i * 90000, Data: sample}})
		}
		if open, _ := b.mp4.now(); open != nil {
			s, body := all(t, b.mp4)
			var parts fmp4.Parts
			if err := parts.Unmarshal(body[len(s.header):]); err != nil {
				t.Errorf("the file cannot be read: %v", err)
			}
		}
	})
}
