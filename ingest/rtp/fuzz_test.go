package rtp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"tailcast/ingest/ingesttest"
	"tailcast/ingest/rtp/rtptest"
)

// fuzzFormats are all that is understood.
func fuzzFormats() []format.Format {
	mux := &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
		AudioSpecificConfig: rtptest.AAC().Config, LatmBufferFullness: 255,
	}}}}}
	return []format.Format{
		rtptest.H264(), &format.H264{PayloadTyp: 96, PacketizationMode: 1}, &format.H265{PayloadTyp: 96}, &format.AV1{PayloadTyp: 96},
		&format.VP9{PayloadTyp: 96}, rtptest.AAC(), &format.MPEG4AudioLATM{PayloadTyp: 96, StreamMuxConfig: mux},
		&format.MPEG4AudioLATM{PayloadTyp: 96, CPresent: true}, &format.MPEG1Audio{}, &format.AC3{PayloadTyp: 96, SampleRate: 48000, ChannelCount: 2},
		&format.Opus{PayloadTyp: 96, ChannelCount: 2}, &format.KLV{PayloadTyp: 96}, &format.MPEG1Video{},
	}
}

// script writes what FuzzPackets reads: each packet is flags, milliseconds since the one before, timestamp step, length, payload.
func script(payloads ...[]byte) (out []byte) {
	for i, p := range payloads {
		flags := byte(0)
		if i == len(payloads)-1 {
			flags = 1
		}
		out = append(out, flags, 20)
		out = binary.BigEndian.AppendUint32(out, 0)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(p))), p...)
	}
	return out
}

// FuzzPackets: whatever packets and reports come, nothing panics, decoding times rise and stay below presentation times, and what
// is held is bounded.
func FuzzPackets(f *testing.F) {
	f.Add(byte(0), script(rtptest.SPS, rtptest.PPS, rtptest.IDR))
	f.Add(byte(1), script(fragments...))
	f.Add(byte(1), script([]byte{0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 1}, rtptest.IDR))
	f.Add(byte(2), script([]byte{98, 1, 0x93, 1, 2}, []byte{98, 1, 0x13, 1}, []byte{98, 1, 0x53, 1}))
	f.Add(byte(3), script([]byte{0x50, 8, 0, 0, 0, 66, 167, 191, 228, 96, 13, 0, 64}, []byte{0x90, 1, 2}))
	f.Add(byte(4), script([]byte{0x88, 0x82, 0x49, 0x83, 0x42, 0x00, 0x77, 0xf0}, []byte{0x84, 1}))
	f.Add(byte(5), script(rtptest.AACPacket(3)))
	f.Add(byte(6), script([]byte{2, 0x21, 0x10}))
	f.Add(byte(7), script([]byte{0x40, 0, 0x23, 0x10, 0x1f, 0xe0, 0x21, 0x10}))
	f.Add(byte(8), script(append([]byte{0, 0, 0, 0}, rtptest.FrameWith(96, 0xff, 0xfd, 0x14, 0xc0)...)))
	f.Add(byte(9), script(append([]byte{0, 1}, rtptest.FrameWith(128, 0x0b, 0x77, 1, 2, 0x00, 0x40, 0x40, 1)...)))
	f.Add(byte(10), script([]byte{0xfc, 1, 2}))
	f.Add(byte(12), script([]byte{0, 0, 0x38, 0, 0, 0, 1, 0xb3, 0x2d, 2, 0x40, 0x33, 0, 0, 1, 0xb8, 1, 1, 1, 0x40}))
	f.Add(byte(0x80), script(rtptest.SPS, rtptest.PPS, rtptest.IDR))
	f.Add(byte(11), script(rtptest.FrameWith(30, 0x06, 0x0e, 0x2b, 0x34)))
	for _, s := range seeds(f) {
		f.Add(s.which, s.script)
		f.Add(s.which|0x80, s.script)
	}
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		ingesttest.CheckTimes(t, play(t, which, in).rec.All())
	})
}

// play delivers a script to the format of a number; the highest bit says that the packets come as datagrams.
func play(t *testing.T, which byte, in []byte) *session {
	t.Helper()
	formats := fuzzFormats()
	s := newSession(t, formats[int(which&0x7f)%len(formats)], rtptest.PlainH264())
	s.in.Datagrams = which&0x80 != 0
	now, stamp := s.start, uint32(0)
	for n := 0; len(in) >= 8 && n < 1000; n++ {
		flags, size := in[0], int(binary.BigEndian.Uint16(in[6:]))
		now, stamp = now.Add(time.Duration(in[1])*ms), stamp+binary.BigEndian.Uint32(in[2:])
		payload := in[8:min(8+size, len(in))]
		in = in[8+len(payload):]
		switch {
		case flags&2 != 0 && len(payload) >= 8:
			s.in.Report(int(flags>>2&1), &rtcp.SenderReport{SSRC: 1, NTPTime: binary.BigEndian.Uint64(payload), RTPTime: stamp}, now)
			continue
		case flags&8 != 0:
			s.seq[0] += uint16(flags >> 4)
		}
		s.in.Packet(s.in.tracks[flags>>2&1], &rtp.Packet{
			Header:  rtp.Header{Version: 2, SSRC: 1, Marker: flags&1 != 0, SequenceNumber: s.seq[0], Timestamp: stamp},
			Payload: payload,
		}, now)
		s.seq[0]++
	}
	if s.in.bytes > holdBytes+maxUnit {
		t.Errorf("%d bytes are held", s.in.bytes)
	}
	s.in.Close(now)
	return s
}
