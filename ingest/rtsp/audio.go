package rtsp

import (
	"fmt"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
	"github.com/pion/rtp"

	"tailcast/ingest"
)

// newMPEGAudio takes MPEG-1 and MPEG-2 audio, layers II and III (RFC 2250, section 3.5).
func newMPEGAudio(m *format.MPEG1Audio) (*frames, error) {
	var header mpeg1audio.FrameHeader
	f := &frames{rate: m.ClockRate()}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := m.CreateDecoder()
		return d.Decode, err
	}
	f.length = func([]byte) (int64, int64) { return int64(header.SampleCount()), int64(header.SampleRate) }
	f.inspect = func(frame []byte) ingest.Flags {
		before := header
		if header.Unmarshal(frame) == nil && (header.SampleRate != before.SampleRate || header.ChannelMode != before.ChannelMode) {
			f.fresh = true
		}
		return 0
	}
	f.about = func(t *ingest.Track) {
		if header.SampleRate == 0 {
			return
		}
		t.SampleRate, t.Channels = header.SampleRate, 2
		if header.ChannelMode == mpeg1audio.ChannelModeMono {
			t.Channels = 1
		}
		if header.MPEG2 {
			t.StreamType = streamMPEG2Audio
		}
	}
	return f, nil
}

// newAC3 takes AC-3 (RFC 4184).
func newAC3(a *format.AC3) (*frames, error) {
	f := &frames{rate: a.ClockRate()}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := a.CreateDecoder()
		return d.Decode, err
	}
	f.length = func([]byte) (int64, int64) { return ac3Samples, int64(a.SampleRate) }
	channels := a.ChannelCount // of the SDP: a maximum
	f.inspect = func(frame []byte) ingest.Flags {
		var b ac3.BSI
		if len(frame) > ac3Header && b.Unmarshal(frame[ac3Header:]) == nil && b.ChannelCount() != channels {
			channels, f.fresh = b.ChannelCount(), true
		}
		return 0
	}
	f.about = func(t *ingest.Track) { t.SampleRate, t.Channels = a.SampleRate, channels }
	return f, nil
}

const (
	ac3Samples = 1536 // of a frame (ATSC A/52, 4.3)
	ac3Header  = 5    // bytes of syncinfo before bsi (ATSC A/52, 5.3)
)

// newOpus takes Opus (RFC 7587): one Opus packet in each RTP packet, which gets the control header of "Opus in MPEG-TS".
func newOpus(o *format.Opus) (*frames, error) {
	channels := o.ChannelCount
	if channels < 1 || channels > 8 {
		return nil, fmt.Errorf("opus of %d channels has no form in MPEG-TS", channels)
	}
	f := &frames{rate: o.ClockRate()}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		return func(p *rtp.Packet) ([][]byte, error) { return [][]byte{p.Payload}, nil }, nil
	}
	f.inspect = func(packet []byte) ingest.Flags {
		// The SDP tells what the sender prefers; the stereo bit of the packet (RFC 6716, 3.1) tells what it does.
		if channels == 1 && len(packet) > 0 && packet[0]&4 != 0 {
			channels, f.fresh = 2, true
		}
		return 0
	}
	f.wrap = appendOpus
	f.about = func(t *ingest.Track) {
		t.SampleRate, t.Channels, t.Descriptors = o.ClockRate(), channels, opusDescriptors(channels)
	}
	return f, nil
}

func appendOpus(dst, packet []byte) ([]byte, error) {
	if len(packet) == 0 {
		return dst, nil
	}
	au := substructs.OpusAccessUnit{ControlHeader: substructs.OpusControlHeader{PayloadSize: len(packet)}, Packet: packet}
	n := len(dst)
	dst = append(dst, make([]byte, au.MarshalSize())...)
	_, err := au.MarshalTo(dst[n:])
	return dst, err
}
