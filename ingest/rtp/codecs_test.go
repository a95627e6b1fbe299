package rtp

import (
	"bytes"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/ingest/rtp/rtptest"
	"tailcast/internal/es"
)

// deliver puts packets of a library's encoder onto a session's first track, with RTP time at.
func (s *session) deliver(packets []*rtp.Packet, err error, at uint32) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range packets {
		p.Timestamp, p.SSRC, p.SequenceNumber = p.Timestamp+at, 1, s.seq[0]
		s.seq[0]++
		s.in.Packet(s.in.tracks[0], p, s.start.Add(time.Duration(at)*time.Second/90000))
	}
}

func TestCodecs(t *testing.T) {
	aacConfig := &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44100, ChannelConfig: 2}
	mux := &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
		AudioSpecificConfig: aacConfig, LatmBufferFullness: 255,
	}}}}}
	element := func(inBand bool, au []byte) []byte {
		b, err := mpeg4audio.AudioMuxElement{MuxConfigPresent: inBand, StreamMuxConfig: mux, Payloads: [][][][]byte{{{au}}}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	adtsOf := func(au []byte) []byte {
		b, err := (*es.ADTS)(aacConfig).Append(nil, au)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}

	h265 := &format.H265{PayloadTyp: 96}
	av1 := &format.AV1{PayloadTyp: 96}
	vp9 := &format.VP9{PayloadTyp: 96}
	aacFormat := &format.MPEG4Audio{PayloadTyp: 96, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, Config: aacConfig}
	latmSDP := &format.MPEG4AudioLATM{PayloadTyp: 96, StreamMuxConfig: mux}
	latmInBand := &format.MPEG4AudioLATM{PayloadTyp: 96, CPresent: true}
	mp2 := &format.MPEG1Audio{}
	ac3 := &format.AC3{PayloadTyp: 96, SampleRate: 48000, ChannelCount: 6}
	opus := &format.Opus{PayloadTyp: 96, ChannelCount: 1}
	klv := &format.KLV{PayloadTyp: 96}
	mpeg := &format.MPEG1Video{}

	mp2Frame := rtptest.FrameWith(96, 0xff, 0xfd, 0x14, 0xc0)                 // layer II, 32 kbit/s, 48 kHz, mono
	ac3Frame := rtptest.FrameWith(128, 0x0b, 0x77, 1, 2, 0x00, 0x40, 0x40, 1) // 48 kHz, 32 kbit/s, stereo
	klvItem := rtptest.FrameWith(16+1+100, 0x06, 0x0e, 0x2b, 0x34)            // a universal label, then length and value
	sequence := []byte{8, 0, 0, 0, 66, 167, 191, 228, 96, 13, 0, 64}          // AV1, 1920x804
	key := []byte{0x82, 0x49, 0x83, 0x42, 0x00, 0x77, 0xf0, 0x32, 0x34, 0x1}  // VP9, 1920x804
	klvItem[16] = 100
	mpegPicture := bytes.Join([][]byte{ // sequence header, its extension, group, picture, slice
		{0, 0, 1, 0xb3, 0x2d, 0x02, 0x40, 0x33, 1, 1, 1, 1},
		{0, 0, 1, 0xb5, 0x14, 0x8a, 1, 1},
		{0, 0, 1, 0xb8, 1, 1, 1, 0x40},
		{0, 0, 1, 0, 1, 1, 1, 1},
		rtptest.FrameWith(3000, 0, 0, 1, 1),
	}, nil)
	big := rtptest.Fill(4000)

	for _, c := range []struct {
		name   string
		format format.Format
		encode func() ([]*rtp.Packet, error)
		codec  ingest.Codec
		want   [][]byte
		step   int64 // 90 kHz between the samples
		flags  ingest.Flags
		track  ingest.Track
	}{
		{
			"H.265", h265, func() ([]*rtp.Packet, error) {
				e, _ := h265.CreateEncoder()
				return e.Encode([][]byte{rtptest.FrameWith(4000, 19<<1, 1), rtptest.FrameWith(20, 19<<1, 1)})
			}, ingest.H265,
			[][]byte{es.AnnexB(nil, [][]byte{rtptest.FrameWith(4000, 19<<1, 1), rtptest.FrameWith(20, 19<<1, 1)})},
			0, ingest.RandomAccess,
			ingest.Track{StreamType: 0x24, StreamID: 0xe0, Descriptors: []byte("\x05\x04HEVC")},
		},
		{
			"AV1", av1, func() ([]*rtp.Packet, error) {
				e, _ := av1.CreateEncoder()
				return e.Encode([][]byte{sequence, rtptest.FrameWith(3000, 0x30)})
			}, ingest.AV1,
			[][]byte{append(append([]byte{10, 11}, sequence[1:]...), append([]byte{0x32, 0xb7, 0x17}, rtptest.FrameWith(3000, 0x30)[1:]...)...)},
			0, ingest.RandomAccess,
			ingest.Track{StreamType: 6, StreamID: 0xbd, Descriptors: []byte("\x05\x04AV01"), Width: 1920, Height: 804, Config: sequence},
		},
		{
			"VP9", vp9, func() ([]*rtp.Packet, error) {
				e, _ := vp9.CreateEncoder()
				return e.Encode(rtptest.FrameWith(3000, key...))
			}, ingest.VP9,
			[][]byte{rtptest.FrameWith(3000, key...)},
			0, ingest.RandomAccess,
			ingest.Track{StreamType: 6, StreamID: 0xbd, Descriptors: []byte("\x05\x04VP09"), Width: 1920, Height: 804},
		},
		{
			"MPEG-2 video", mpeg, func() ([]*rtp.Packet, error) {
				e, _ := mpeg.CreateEncoder()
				return e.Encode(mpegPicture)
			}, ingest.MPEG2Video,
			[][]byte{mpegPicture},
			0, ingest.RandomAccess,
			ingest.Track{StreamType: 2, StreamID: 0xe0, Width: 720, Height: 576},
		},
		{
			"AAC", aacFormat, func() ([]*rtp.Packet, error) {
				e, _ := aacFormat.CreateEncoder()
				return e.Encode([][]byte{rtptest.Fill(200), rtptest.Fill(300), big})
			}, ingest.AAC,
			[][]byte{adtsOf(rtptest.Fill(200)), adtsOf(rtptest.Fill(300)), adtsOf(big)},
			2089, ingest.RandomAccess,
			ingest.Track{StreamType: 0x0f, StreamID: 0xc0, SampleRate: 44100, Channels: 2, Config: []byte{0x12, 0x10}},
		},
		{
			"LATM, configured by the SDP", latmSDP, func() ([]*rtp.Packet, error) {
				e, _ := latmSDP.CreateEncoder()
				return e.Encode(element(false, big))
			}, ingest.AAC,
			[][]byte{adtsOf(big)},
			0, ingest.RandomAccess,
			ingest.Track{StreamType: 0x0f, StreamID: 0xc0, SampleRate: 44100, Channels: 2, Config: []byte{0x12, 0x10}},
		},
		{
			"LATM, configured in band", latmInBand, func() ([]*rtp.Packet, error) {
				e, _ := latmInBand.CreateEncoder()
				return e.Encode(element(true, big))
			}, ingest.AAC,
			[][]byte{adtsOf(big)},
			0, ingest.RandomAccess,
			ingest.Track{StreamType: 0x0f, StreamID: 0xc0, SampleRate: 44100, Channels: 2, Config: []byte{0x12, 0x10}},
		},
		{
			"MPEG audio", mp2, func() ([]*rtp.Packet, error) {
				e, _ := mp2.CreateEncoder()
				return e.Encode([][]byte{mp2Frame, mp2Frame})
			}, ingest.MPEGAudio,
			[][]byte{mp2Frame, mp2Frame},
			2160, ingest.RandomAccess,
			ingest.Track{StreamType: 3, StreamID: 0xc0, SampleRate: 48000, Channels: 1},
		},
		{
			"AC-3", ac3, func() ([]*rtp.Packet, error) {
				e, _ := ac3.CreateEncoder()
				return e.Encode([][]byte{ac3Frame, ac3Frame})
			}, ingest.AC3,
			[][]byte{ac3Frame, ac3Frame},
			2880, ingest.RandomAccess,
			ingest.Track{StreamType: 0x81, StreamID: 0xbd, Descriptors: []byte("\x05\x04AC-3"), SampleRate: 48000, Channels: 2},
		},
		{
			"Opus", opus, func() ([]*rtp.Packet, error) {
				e, _ := opus.CreateEncoder()
				p, err := e.Encode(rtptest.FrameWith(300, 0xfc)) // stereo, though the SDP does not say so
				return []*rtp.Packet{p}, err
			}, ingest.Opus,
			[][]byte{append([]byte{0x7f, 0xe0, 255, 45}, rtptest.FrameWith(300, 0xfc)...)},
			0, ingest.RandomAccess,
			ingest.Track{StreamType: 6, StreamID: 0xbd, Descriptors: []byte("\x05\x04Opus\x7f\x02\x80\x02"), SampleRate: 48000, Channels: 2},
		},
		{
			"KLV", klv, func() ([]*rtp.Packet, error) {
				e, _ := klv.CreateEncoder()
				return e.Encode(klvItem)
			}, ingest.Data,
			[][]byte{klvItem},
			0, 0,
			ingest.Track{StreamType: 6, StreamID: 0xbd, Descriptors: []byte("\x05\x04KLVA")},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(t, c.format)
			packets, err := c.encode()
			s.deliver(packets, err, 12345)
			s.in.Close(s.start)
			got := s.rec.All()
			if len(got) != len(c.want) {
				t.Fatalf("%d samples, want %d; %s", len(got), len(c.want), s.stats.LastError())
			}
			for i, g := range got {
				if !bytes.Equal(g.Data, c.want[i]) {
					t.Errorf("sample %d is % x..., want % x...", i, g.Data[:16], c.want[i][:16])
				}
				if d := g.PTS - got[0].PTS; d < int64(i)*c.step || d > int64(i)*(c.step+1) {
					t.Errorf("sample %d comes %d after the first, want %d each, rounded down", i, d, c.step)
				}
				if g.Flags != c.flags {
					t.Errorf("sample %d has flags %v, want %v", i, g.Flags, c.flags)
				}
			}
			c.track.Codec, c.track.PID = c.codec, 0x100
			if is := s.rec.Program(t).Tracks[0]; !sameTrack(is, c.track) {
				t.Errorf("track is %+v, want %+v", is, c.track)
			}
		})
	}
}

func sameTrack(a, b ingest.Track) bool {
	same := bytes.Equal(a.Descriptors, b.Descriptors) && bytes.Equal(a.Config, b.Config)
	return same && a.Codec == b.Codec && a.PID == b.PID && a.StreamType == b.StreamType && a.StreamID == b.StreamID &&
		a.SampleRate == b.SampleRate && a.Channels == b.Channels && a.Width == b.Width && a.Height == b.Height
}

// After a loss nothing is emitted that was pieced together across the gap.
func TestLossInFragmentedFrames(t *testing.T) {
	latm := &format.MPEG4AudioLATM{PayloadTyp: 96, StreamMuxConfig: &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{
		Layers: []*mpeg4audio.StreamMuxConfigLayer{{AudioSpecificConfig: rtptest.AAC().Config, LatmBufferFullness: 255}},
	}}}}
	av1, vp9, mp2, mpeg := &format.AV1{PayloadTyp: 96}, &format.VP9{PayloadTyp: 96}, &format.MPEG1Audio{}, &format.MPEG1Video{}
	mp2Frame := rtptest.FrameWith(1152, 0xff, 0xfd, 0xe4, 0xc0) // 384 kbit/s
	for _, c := range []struct {
		name   string
		format format.Format
		encode func() ([]*rtp.Packet, error)
	}{
		{"LATM", latm, func() ([]*rtp.Packet, error) {
			b, _ := mpeg4audio.AudioMuxElement{StreamMuxConfig: latm.StreamMuxConfig, Payloads: [][][][]byte{{{rtptest.Fill(5000)}}}}.Marshal()
			e, _ := latm.CreateEncoder()
			return e.Encode(b)
		}},
		{"AV1", av1, func() ([]*rtp.Packet, error) {
			e, _ := av1.CreateEncoder()
			return e.Encode([][]byte{rtptest.FrameWith(5000, 0x30)})
		}},
		{"VP9", vp9, func() ([]*rtp.Packet, error) {
			e, _ := vp9.CreateEncoder()
			return e.Encode(rtptest.FrameWith(5000, 0x82, 0x49, 0x83, 0x42, 0x00, 0x77, 0xf0, 0x32, 0x34, 0x1))
		}},
		{"MPEG-2 video", mpeg, func() ([]*rtp.Packet, error) {
			e, _ := mpeg.CreateEncoder()
			return e.Encode(rtptest.FrameWith(5000, 0, 0, 1, 1))
		}},
		{"MPEG audio", mp2, func() ([]*rtp.Packet, error) {
			e, _ := mp2.CreateEncoder()
			e.PayloadMaxSize = 500
			return e.Encode([][]byte{mp2Frame})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(t, c.format)
			s.t = t
			whole, err := c.encode()
			s.deliver(whole, err, 0)
			if len(whole) < 3 {
				t.Fatalf("the frame takes %d packets, want at least 3", len(whole))
			}
			for lost := range whole {
				packets, err := c.encode()
				s.deliver(packets[:lost], err, uint32(lost+1)*4000)
				s.lose(0, 1)
				s.deliver(packets[lost+1:], nil, uint32(lost+1)*4000)
			}
			for i := range 2 { // LATM and AV1 need the next marker to be sure of a beginning
				again, err := c.encode()
				s.deliver(again, err, uint32(len(whole)+i+1)*4000)
			}
			got := s.rec.All()
			if len(got) < 2 || len(got) > 3 {
				t.Fatalf("%d samples, want the first and at least one of the last two", len(got))
			}
			for i, g := range got {
				if !bytes.Equal(g.Data, got[0].Data) {
					t.Errorf("sample %d differs from the first", i)
				}
			}
		})
	}
}

func TestRefusedConfigurations(t *testing.T) {
	wide := rtptest.AAC()
	wide.SizeLength = 64
	main := rtptest.AAC()
	main.Config = &mpeg4audio.AudioSpecificConfig{Type: 42, SampleRate: 48000, ChannelConfig: 2}
	for _, f := range []format.Format{
		wide, main, &format.MPEGTS{}, &format.Opus{PayloadTyp: 96, ChannelCount: 9}, &format.H264{PayloadTyp: 96, PacketizationMode: 2},
		&format.Vorbis{PayloadTyp: 96, SampleRate: 48000, ChannelCount: 2}, &format.MJPEG{}, &format.Generic{PayloadTyp: 98, RTPMa: "private/90000"},
	} {
		if d, _, err := depacketizerOf(f, 90000); err == nil {
			t.Errorf("%s: got %T, want an error", name(f), d)
		}
	}
}

// The RTP clock of HE-AAC may be that of the doubled rate.
func TestClockOfHEAAC(t *testing.T) {
	he := rtptest.AAC()
	he.Config.SampleRate = 24000
	d, err := newAAC(he, 48000)
	if err != nil {
		t.Fatal(err)
	}
	var at []int64
	err = d.depacketize(&rtp.Packet{Header: rtp.Header{Marker: true}, Payload: rtptest.AACPacket(3)}, 0, false, func(u unit) { at = append(at, u.pts) })
	if err != nil || len(at) != 3 || at[1] != 2048 || at[2] != 4096 {
		t.Errorf("frames are at %v (%v), want 0, 2048, 4096", at, err)
	}
}

// TestParameterSetsBeforeEachSlice, as GStreamer's payloader has them: a picture has each once, before its first slice.
func TestParameterSetsBeforeEachSlice(t *testing.T) {
	f := rtptest.H264()
	d, err := newH264(f)
	if err != nil {
		t.Fatal(err)
	}
	one, two := rtptest.FrameWith(50, 0x65, 0x88), rtptest.FrameWith(50, 0x65, 0x11)
	nalus := [][]byte{f.SPS, f.PPS, one, f.SPS, f.PPS, two}
	var got []unit
	for i, n := range nalus {
		p := &rtp.Packet{Header: rtp.Header{Marker: i == len(nalus)-1}, Payload: n}
		if err := d.depacketize(p, 0, false, func(u unit) { got = append(got, u) }); err != nil {
			t.Fatal(err)
		}
	}
	if want := es.AnnexB(nil, [][]byte{f.SPS, f.PPS, one, two}); len(got) != 1 || !bytes.Equal(got[0].data, want) {
		t.Errorf("got %v, want one unit, of %x", got, want)
	}
}
