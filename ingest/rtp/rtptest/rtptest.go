// Package rtptest is what encoders send, for the tests of sources that receive RTP.
package rtptest

import (
	"bytes"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// Parameter sets of a real encoder (x264, 24 frames a second) that reorders by two pictures.
var (
	SPS = []byte{103, 77, 64, 30, 236, 192, 108, 30, 243, 127, 248, 40, 0, 40, 8, 128, 0, 0, 3, 0, 128, 0, 0, 24, 7, 139, 22, 205}
	PPS = []byte{104, 233, 123, 44, 128}
)

// PlainSPS is of the baseline profile, which does not reorder.
var PlainSPS = []byte{
	0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20,
}

// PlainH264 is video that is decoded in the order of presentation.
func PlainH264() *format.H264 {
	return &format.H264{PayloadTyp: 96, SPS: PlainSPS, PPS: PPS, PacketizationMode: 1}
}

// H264 is video with B pictures.
func H264() *format.H264 {
	return &format.H264{PayloadTyp: 96, SPS: SPS, PPS: PPS, PacketizationMode: 1}
}

func AAC() *format.MPEG4Audio {
	return &format.MPEG4Audio{PayloadTyp: 97, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, Config: &mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2,
	}}
}

// ntpEpoch is the Unix epoch in seconds of NTP (RFC 868).
const ntpEpoch = 2208988800

// NTP is a time of day as sender reports say it.
func NTP(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// IDR and Inter are the smallest payloads that pass for pictures.
var (
	IDR   = []byte{0x65, 0x88, 0x84, 0x11}
	Inter = []byte{0x41, 0x9a, 0x22, 0x33}
)

// AACPacket is an mpeg4-generic packet with n access units of two bytes.
func AACPacket(n int) []byte {
	out := []byte{byte(n * 16 >> 8), byte(n * 16)}
	for range n {
		out = append(out, 0, 2<<3)
	}
	return append(out, bytes.Repeat([]byte{0x21, 0x10}, n)...)
}

// Fill is n bytes that no start code is in.
func Fill(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i%255) + 1
	}
	return out
}

// FrameWith is n bytes beginning with header.
func FrameWith(n int, header ...byte) []byte { return append(header, Fill(n-len(header))...) }
