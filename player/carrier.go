package player

import (
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/eac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
)

// A carrier turns the samples of one track, which are in the form MPEG-TS carries, into those of ISO base media files, and
// gathers what the file's sample entry must say about them.
type carrier interface {
	// learn takes decoder parameters from a sample that decoding can begin with, or from Track.Config. Whatever it cannot read
	// it passes over: the stream may become better.
	learn(data []byte)
	// entry is the sample entry, nil until enough is learnt.
	entry() codecs.Codec
	// name is the codec as RFC 6381 spells it for browsers. Only asked once there is an entry.
	name() string
	// clock is the number of ticks a second of the track's times. Only asked once there is an entry.
	clock() int
	// frames takes a sample apart. The frames refer to data or to memory of their own.
	frames(data []byte) ([]frame, error)
}

// frame is one sample of an fMP4 track.
type frame struct {
	data     []byte
	duration int // in ticks of the track's clock; 0 if only the next frame tells
}

// newCarrier returns the carrier of a track, nil if there is none for its codec.
func newCarrier(t *ingest.Track) carrier {
	switch t.Codec {
	case ingest.H264:
		return &avc{}
	case ingest.H265:
		return &hevc{}
	case ingest.AV1:
		return &av1Video{}
	case ingest.VP9:
		return &vp9Video{}
	case ingest.MPEG2Video:
		return &mpeg2Video{}
	case ingest.AAC:
		return &aac{}
	case ingest.Opus:
		return &opusAudio{channels: t.Channels}
	case ingest.MPEGAudio:
		return &mpegAudio{}
	case ingest.AC3:
		return &ac3Audio{}
	case ingest.EAC3:
		return &eac3Audio{}
	}
	return nil
}

var errFrame = errors.New("frame is damaged")

// aac carries AAC, without the ADTS headers of ISO/IEC 13818-7, 6.2.
type aac struct {
	config mpeg4audio.AudioSpecificConfig
	known  bool
}

// learn takes an AudioSpecificConfig, or a sample: the syncword of ADTS would be an object type that is reserved in the former.
func (a *aac) learn(data []byte) {
	adts := len(data) >= adtsHeader && data[0] == 0xff
	if adts {
		profile, rate, channels := data[2]>>6, data[2]>>2&15, data[2]&1<<2|data[3]>>6
		data = []byte{(profile+1)<<3 | rate>>1, rate<<7 | channels<<3} // AudioSpecificConfig, ISO/IEC 14496-3, 1.6.2.1
	}
	var c mpeg4audio.AudioSpecificConfig
	if c.Unmarshal(data) != nil || c.ChannelConfig == 0 || c.SampleRate == 0 {
		return
	}
	if adts && a.known && c.SampleRate == a.config.SampleRate && c.ChannelConfig == a.config.ChannelConfig {
		return // the config may know of SBR, which ADTS cannot say
	}
	a.config, a.known = c, true
}

func (a *aac) entry() codecs.Codec {
	if !a.known {
		return nil
	}
	return &codecs.MPEG4Audio{Config: a.config}
}

func (a *aac) name() string {
	if a.config.ExtensionType != 0 {
		return fmt.Sprintf("mp4a.40.%d", a.config.ExtensionType)
	}
	return fmt.Sprintf("mp4a.40.%d", a.config.Type)
}

func (a *aac) clock() int { return a.config.SampleRate }

// adtsHeader is the length of an ADTS header without CRC.
const adtsHeader = 7

func (a *aac) frames(data []byte) ([]frame, error) {
	var out []frame
	for len(data) > 0 {
		if len(data) < adtsHeader || data[0] != 0xff || data[1]&0xf6 != 0xf0 {
			return out, errFrame
		}
		header, length := adtsHeader, int(data[3]&3)<<11|int(data[4])<<3|int(data[5])>>5
		if data[1]&1 == 0 {
			header += 2 // the CRC
		}
		if length <= header || length > len(data) {
			return out, errFrame
		}
		out = append(out, frame{data[header:length], mpeg4audio.SamplesPerAccessUnit})
		data = data[length:]
	}
	return out, nil
}

// opusAudio carries Opus, without the control headers of "Opus in MPEG-TS" (ETSI TS Opus 0.1.3, 4.2.4).
type opusAudio struct{ channels int }

func (o *opusAudio) learn([]byte) {}

func (o *opusAudio) entry() codecs.Codec {
	if o.channels != 1 && o.channels != 2 { // more need a mapping table that the sample entry has no room for
		return nil
	}
	return &codecs.Opus{ChannelCount: o.channels}
}

func (o *opusAudio) name() string { return "opus" }
func (o *opusAudio) clock() int   { return 48000 }

func (o *opusAudio) frames(data []byte) ([]frame, error) {
	var out []frame
	for len(data) > 0 {
		var au substructs.OpusAccessUnit
		n, err := au.Unmarshal(data)
		if err != nil {
			return out, err
		}
		out = append(out, frame{au.Packet, int(opus.PacketDuration2(au.Packet))})
		data = data[n:]
	}
	return out, nil
}

// mpegAudio carries MPEG-1 and MPEG-2 audio, layers II and III (ISO/IEC 11172-3).
type mpegAudio struct{ header mpeg1audio.FrameHeader }

func (m *mpegAudio) learn(data []byte) {
	var h mpeg1audio.FrameHeader
	if h.Unmarshal(data) == nil {
		m.header = h
	}
}

func (m *mpegAudio) entry() codecs.Codec {
	if m.header.SampleRate == 0 {
		return nil
	}
	channels := 2
	if m.header.ChannelMode == mpeg1audio.ChannelModeMono {
		channels = 1
	}
	return &codecs.MPEG1Audio{SampleRate: m.header.SampleRate, ChannelCount: channels}
}

// name tells layer II from layer III, though the object type in the file (0x6b) is the same: browsers decode only the latter.
func (m *mpegAudio) name() string {
	if m.header.Layer == 3 {
		return "mp4a.6b"
	}
	return "mp4a.40.33"
}

func (m *mpegAudio) clock() int { return m.header.SampleRate }

func (m *mpegAudio) frames(data []byte) ([]frame, error) {
	var out []frame
	for len(data) > 0 {
		var h mpeg1audio.FrameHeader
		if err := h.Unmarshal(data); err != nil {
			return out, err
		}
		n := h.FrameLen()
		if h.MPEG2 && h.Layer == 3 { // half the samples, half the bytes: 72 x bit rate / sample rate
			n = 72 * h.Bitrate / h.SampleRate
			if h.Padding {
				n++
			}
		}
		if n > len(data) {
			return out, errFrame
		}
		out = append(out, frame{data[:n], h.SampleCount()})
		data = data[n:]
	}
	return out, nil
}

// ac3Audio carries AC-3 (ETSI TS 102 366).
type ac3Audio struct {
	sync ac3.SyncInfo
	bsi  ac3.BSI
	ok   bool
}

func (a *ac3Audio) learn(data []byte) {
	var sync ac3.SyncInfo
	var bsi ac3.BSI
	if len(data) > 8 && sync.Unmarshal(data) == nil && bsi.Unmarshal(data[5:]) == nil {
		a.sync, a.bsi, a.ok = sync, bsi, true
	}
}

func (a *ac3Audio) entry() codecs.Codec {
	if !a.ok {
		return nil
	}
	return &codecs.AC3{
		SampleRate: a.sync.SampleRate(), ChannelCount: a.bsi.ChannelCount(), Bsid: a.bsi.Bsid, Bsmod: a.bsi.Bsmod,
		Acmod: a.bsi.Acmod, LfeOn: a.bsi.LfeOn, BitRateCode: a.sync.Frmsizecod >> 1,
	}
}

func (a *ac3Audio) name() string { return "ac-3" }
func (a *ac3Audio) clock() int   { return a.sync.SampleRate() }

// ac3Samples is how many samples a frame holds (ETSI TS 102 366, 4.1: six blocks of 256).
const ac3Samples = 1536

func (a *ac3Audio) frames(data []byte) ([]frame, error) {
	var out []frame
	for len(data) > 0 {
		var h ac3.SyncInfo
		if err := h.Unmarshal(data); err != nil {
			return out, err
		}
		if h.FrameSize() > len(data) {
			return out, errFrame
		}
		out = append(out, frame{data[:h.FrameSize()], ac3Samples})
		data = data[h.FrameSize():]
	}
	return out, nil
}

// eac3Audio carries E-AC-3 of one independent substream (ETSI TS 102 366, annex E); dependent substreams stay in the sample of
// the frame they belong to.
type eac3Audio struct {
	sync eac3.SyncInfo
	ok   bool
}

func (a *eac3Audio) learn(data []byte) {
	var h eac3.SyncInfo
	if h.Unmarshal(data) == nil && h.SampleRate() >= 32000 {
		a.sync, a.ok = h, true
	}
}

func (a *eac3Audio) entry() codecs.Codec {
	if !a.ok {
		return nil
	}
	rate := a.sync.FrameSize() * 8 * a.sync.SampleRate() / (256 * a.sync.NumBlocks()) / 1000
	return &codecs.EAC3{
		SampleRate: a.sync.SampleRate(), ChannelCount: a.sync.ChannelCount(), DataRate: uint16(rate),
		Acmod: a.sync.Acmod, LfeOn: a.sync.Lfeon,
	}
}

func (a *eac3Audio) name() string { return "ec-3" }
func (a *eac3Audio) clock() int   { return a.sync.SampleRate() }

func (a *eac3Audio) frames(data []byte) ([]frame, error) {
	var out []frame
	for rest := data; len(rest) > 0; {
		var h eac3.SyncInfo
		if err := h.Unmarshal(rest); err != nil {
			return out, err
		}
		n := h.FrameSize()
		if n > len(rest) {
			return out, errFrame
		}
		if last := len(out) - 1; h.Strmtyp == 1 && last >= 0 {
			out[last].data = out[last].data[:len(out[last].data)+n]
		} else {
			out = append(out, frame{rest[:n], 256 * h.NumBlocks()})
		}
		rest = rest[n:]
	}
	return out, nil
}
