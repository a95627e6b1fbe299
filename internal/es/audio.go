package es

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
)

// MPEGAudio reads the headers of MPEG-1 and MPEG-2 audio, layers II and III, whose frames need no other form.
type MPEGAudio struct{ header mpeg1audio.FrameHeader }

// Look reads a frame; fresh tells whether Describe has more to say than before.
func (m *MPEGAudio) Look(frame []byte) (fresh bool) {
	before := m.header
	var now mpeg1audio.FrameHeader
	if now.Unmarshal(frame) != nil { // what it has read by then is not to be used
		return false
	}
	m.header = now
	return m.header.SampleRate != before.SampleRate || m.header.ChannelMode != before.ChannelMode
}

// Length is the duration of the frame that was looked at last, in samples of so many a second; zero before one was understood.
func (m *MPEGAudio) Length() (samples, rate int64) {
	if m.header.SampleRate == 0 {
		return 0, 0
	}
	return int64(m.header.SampleCount()), int64(m.header.SampleRate)
}

// Describe fills in what has been seen.
func (m *MPEGAudio) Describe(t *ingest.Track) {
	if m.header.SampleRate == 0 {
		return
	}
	t.SampleRate, t.Channels = m.header.SampleRate, 2
	if m.header.ChannelMode == mpeg1audio.ChannelModeMono {
		t.Channels = 1
	}
	if m.header.MPEG2 {
		t.StreamType = streamMPEG2Audio
	}
}

// AC3 reads the headers of AC-3, whose frames need no other form.
type AC3 struct {
	SampleRate, Channels int // Channels may be a maximum until a frame says better
}

const (
	// AC3Samples is the number of samples of a frame (ATSC A/52, 4.3).
	AC3Samples = 1536

	ac3Header = 5 // bytes of syncinfo before bsi (ATSC A/52, 5.3)
)

// Look reads a frame; fresh tells whether Describe has more to say than before.
func (a *AC3) Look(frame []byte) (fresh bool) {
	var b ac3.BSI
	if len(frame) <= ac3Header || b.Unmarshal(frame[ac3Header:]) != nil || b.ChannelCount() == a.Channels {
		return false
	}
	a.Channels = b.ChannelCount()
	return true
}

// Describe fills in what has been seen.
func (a *AC3) Describe(t *ingest.Track) { t.SampleRate, t.Channels = a.SampleRate, a.Channels }

// Opus is what is known of an Opus track.
type Opus struct{ Channels int } // 1 to 8

// OpusRate is the clock of Opus, whatever was encoded (RFC 7845, section 4).
const OpusRate = 48000

// Look reads a packet; fresh tells whether Describe has more to say than before. Descriptions of the track tell what a sender
// prefers, the stereo bit of a packet (RFC 6716, 3.1) what it does.
func (o *Opus) Look(packet []byte) (fresh bool) {
	if o.Channels != 1 || len(packet) == 0 || packet[0]&4 == 0 {
		return false
	}
	o.Channels = 2
	return true
}

// Append appends a packet behind the control header of "Opus in MPEG-TS" to dst; of an empty packet nothing.
func (*Opus) Append(dst, packet []byte) ([]byte, error) {
	if len(packet) == 0 {
		return dst, nil
	}
	au := substructs.OpusAccessUnit{ControlHeader: substructs.OpusControlHeader{PayloadSize: len(packet)}, Packet: packet}
	n := len(dst)
	dst = append(dst, make([]byte, au.MarshalSize())...)
	_, err := au.MarshalTo(dst[n:])
	return dst, err
}

// Describe fills in what has been seen. The registration is followed by the extension descriptor of "Opus in MPEG-TS", in
// which up to eight channels the configuration code is their number.
func (o *Opus) Describe(t *ingest.Track) {
	t.SampleRate, t.Channels = OpusRate, o.Channels
	t.Descriptors = append(Registration("Opus"), 0x7f, 0x02, 0x80, byte(o.Channels))
}
