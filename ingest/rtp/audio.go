package rtp

import (
	"fmt"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// newMPEGAudio takes MPEG-1 and MPEG-2 audio, layers II and III (RFC 2250, section 3.5).
func newMPEGAudio(m *format.MPEG1Audio) (*frames, error) {
	var seen es.MPEGAudio
	f := &frames{rate: m.ClockRate(), about: seen.Describe}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := m.CreateDecoder()
		return d.Decode, err
	}
	f.length = func([]byte) (int64, int64) { return seen.Length() }
	f.inspect = func(frame []byte) ingest.Flags {
		f.fresh = seen.Look(frame) || f.fresh
		return 0
	}
	return f, nil
}

// newAC3 takes AC-3 (RFC 4184). The number of channels in the SDP is a maximum.
func newAC3(a *format.AC3) (*frames, error) {
	seen := es.AC3{SampleRate: a.SampleRate, Channels: a.ChannelCount}
	f := &frames{rate: a.ClockRate(), about: seen.Describe}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := a.CreateDecoder()
		return d.Decode, err
	}
	f.length = func([]byte) (int64, int64) { return es.AC3Samples, int64(a.SampleRate) }
	f.inspect = func(frame []byte) ingest.Flags {
		f.fresh = seen.Look(frame) || f.fresh
		return 0
	}
	return f, nil
}

// newOpus takes Opus (RFC 7587): one Opus packet in each RTP packet.
func newOpus(o *format.Opus) (*frames, error) {
	if o.ChannelCount < 1 || o.ChannelCount > 8 {
		return nil, fmt.Errorf("opus of %d channels has no form in MPEG-TS", o.ChannelCount)
	}
	seen := es.Opus{Channels: o.ChannelCount}
	f := &frames{rate: o.ClockRate(), wrap: seen.Append, about: seen.Describe}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		return func(p *rtp.Packet) ([][]byte, error) { return [][]byte{p.Payload}, nil }, nil
	}
	f.inspect = func(packet []byte) ingest.Flags {
		f.fresh = seen.Look(packet) || f.fresh
		return 0
	}
	return f, nil
}
