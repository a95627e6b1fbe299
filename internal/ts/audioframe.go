package ts

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/eac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
)

// newFramer returns the framer of a codec; nil if it is not split into frames.
func newFramer(t *ingest.Track) *framer {
	switch t.Codec {
	case ingest.AAC:
		return &framer{parse: new(adts).parse, mark: 0xff}
	case ingest.AACLATM:
		return &framer{parse: new(loas).parse, mark: 0x56}
	case ingest.MPEGAudio:
		return &framer{parse: parseMPEGAudio, mark: 0xff}
	case ingest.AC3, ingest.EAC3:
		return &framer{parse: parseDolby, mark: 0x0b}
	case ingest.Opus:
		channels := t.Channels
		return &framer{parse: func(b []byte) (frame, verdict) { return parseOpus(b, channels) }, mark: 0x7f}
	}
	return nil
}

// adts reads AAC in ADTS (ISO/IEC 14496-3, 1.A.2). The dependency's reader refuses frames with a CRC, which broadcasters send,
// and every object type but LC.
type adts struct {
	config [2]byte // AudioSpecificConfig: object type (5 bits), index of the sample rate (4), channels (4)
}

func (a *adts) parse(b []byte) (frame, verdict) {
	switch {
	case len(b) < 7:
		return frame{}, tooShort(b, 0xff, 0xf0, 0xf6)
	case b[0] != 0xff || b[1]&0xf6 != 0xf0:
		return frame{}, bad
	}
	object, index, channels := b[2]>>6+1, b[2]>>2&15, b[2]&1<<2|b[3]>>6
	fr := frame{
		size:     int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5,
		samples:  1024 * (1 + int(b[6]&3)),
		rate:     adtsRate(index),
		channels: channelsOf(channels),
		config:   a.config[:],
	}
	if fr.size < 7 || fr.rate == 0 {
		return frame{}, bad
	}
	a.config = [2]byte{object<<3 | index>>1, index<<7 | channels<<3}
	return fr, good
}

// adtsRate is the sample rate of an index, 0 if it has none (ISO/IEC 14496-3, table 1.18).
func adtsRate(index byte) int {
	rates := [16]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
	return rates[index]
}

// channelsOf is the number of channels in a channelConfiguration; 0 if that is told elsewhere.
func channelsOf(configuration byte) int {
	if configuration == 7 {
		return 8
	}
	return int(configuration)
}

// tooShort judges a beginning of two bytes at most: b0, and b1 under mask.
func tooShort(b []byte, b0, b1, mask byte) verdict {
	if len(b) > 0 && b[0] != b0 || len(b) > 1 && b[1]&mask != b1 {
		return bad
	}
	return short
}

// loas reads AAC in LOAS (ISO/IEC 14496-3, 1.7.2): 11 bits of mark, 13 of length. Its configuration is sent now and then.
type loas struct {
	element []byte // beginning of the last frame with a configuration
	known   frame  // what it told
}

func (l *loas) parse(b []byte) (frame, verdict) {
	switch {
	case len(b) < 4:
		return frame{}, tooShort(b, 0x56, 0xe0, 0xe0)
	case b[0] != 0x56 || b[1]&0xe0 != 0xe0:
		return frame{}, bad
	}
	size := 3 + int(b[1]&0x1f)<<8 + int(b[2])
	if size > 3 && len(b) >= size && b[3]&0x80 == 0 { // useSameStreamMux
		l.configure(b[3:size])
	}
	fr := l.known
	fr.size = size
	return fr, good
}

func (l *loas) configure(element []byte) {
	head := element[:min(len(element), 8)]
	if string(head) == string(l.element) {
		return
	}
	l.element = append(l.element[:0], head...)
	e := mpeg4audio.AudioMuxElement{MuxConfigPresent: true}
	_ = e.Unmarshal(element) // what follows the configuration may be more than it understands
	m := e.StreamMuxConfig
	if m == nil || len(m.Programs) == 0 || m.Programs[0] == nil {
		return
	}
	layers := m.Programs[0].Layers
	if len(layers) == 0 || layers[0] == nil || layers[0].AudioSpecificConfig == nil {
		return
	}
	c := layers[0].AudioSpecificConfig
	if c.SampleRate <= 0 {
		return
	}
	samples := 1024
	if c.FrameLengthFlag {
		samples = 960
	}
	config, err := c.Marshal()
	if err != nil {
		return
	}
	l.known = frame{samples: samples * (1 + int(m.NumSubFrames)), rate: c.SampleRate, channels: channelsOf(c.ChannelConfig), config: config}
}

// parseMPEGAudio reads layers II and III (ISO/IEC 11172-3, 2.4.1.3; 13818-3).
func parseMPEGAudio(b []byte) (frame, verdict) {
	if len(b) < 5 {
		return frame{}, tooShort(b, 0xff, 0xf0, 0xf0)
	}
	if b[0] != 0xff || b[1]&0xf0 != 0xf0 {
		return frame{}, bad
	}
	var h mpeg1audio.FrameHeader
	if h.Unmarshal(b) != nil {
		return frame{}, bad
	}
	// Not h.FrameLen: it is twice the length in layer III of MPEG-2.
	fr := frame{samples: h.SampleCount(), rate: h.SampleRate, channels: 2}
	fr.size = fr.samples / 8 * h.Bitrate / h.SampleRate
	if h.Padding {
		fr.size++
	}
	if h.ChannelMode == mpeg1audio.ChannelModeMono {
		fr.channels = 1
	}
	return fr, good
}

// parseDolby reads AC-3 and E-AC-3 (ETSI TS 102 366, 4.3 and annex E), which can be told apart by bsid. Frames with further
// channels, which follow that of the main ones, belong to the same access unit.
func parseDolby(b []byte) (frame, verdict) {
	fr, v := parseDolbyFrame(b)
	for v == good && fr.size < len(b) {
		further, w := parseDolbyFrame(b[fr.size:])
		if w != good || further.samples != 0 {
			break
		}
		fr.size += further.size
	}
	return fr, v
}

func parseDolbyFrame(b []byte) (frame, verdict) {
	switch {
	case len(b) < 8:
		return frame{}, tooShort(b, 0x0b, 0x77, 0xff)
	case b[0] != 0x0b || b[1] != 0x77:
		return frame{}, bad
	case b[5]>>3 > 10:
		return parseEAC3(b)
	}
	var h ac3.SyncInfo
	if h.Unmarshal(b) != nil {
		return frame{}, bad
	}
	fr := frame{size: h.FrameSize(), samples: 1536, rate: h.SampleRate()}
	var bsi ac3.BSI
	if bsi.Unmarshal(b[5:]) == nil {
		fr.channels = bsi.ChannelCount()
	}
	return fr, good
}

// parseEAC3 reads a frame of E-AC-3; one with further channels has no samples of its own.
func parseEAC3(b []byte) (frame, verdict) {
	const dependent = 1
	var h eac3.SyncInfo
	if h.Unmarshal(b) != nil || h.SampleRate() == 0 || h.FrameSize() < 8 {
		return frame{}, bad
	}
	if h.Strmtyp == dependent || h.Substreamid != 0 {
		return frame{size: h.FrameSize()}, good
	}
	return frame{size: h.FrameSize(), samples: 256 * h.NumBlocks(), rate: h.SampleRate(), channels: h.ChannelCount()}, good
}

const opusRate = 48000 // of the clock, whatever was encoded (RFC 7845, 5.1)

// parseOpus reads an access unit with its control header (ETSI TS "Opus in MPEG-TS", table 6-6).
func parseOpus(b []byte, channels int) (frame, verdict) {
	const longest = 8192
	if v := tooShort(b[:min(len(b), 2)], 0x7f, 0xe0, 0xe0); v == bad || len(b) < 2 {
		return frame{}, v
	}
	var au substructs.OpusAccessUnit
	n, err := au.Unmarshal(b)
	switch {
	case err != nil && len(b) < longest:
		return frame{}, short
	case err != nil || n > longest:
		return frame{}, bad
	}
	return frame{size: n, samples: int(opus.PacketDuration2(au.Packet)), rate: opusRate, channels: channels}, good
}
