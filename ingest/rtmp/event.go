package rtmp

import (
	"time"

	"github.com/abema/go-mp4"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"tailcast/ingest"
)

// event is what a message says of one track, whatever generation of RTMP it is written in.
type event struct {
	video  bool
	number uint8        // of the track among those of video or sound; 0 but for multitrack
	codec  ingest.Codec // Data if it has no place in MPEG-TS
	called string       // what people call the codec, if it is Data

	config  any    // a sequence header: [][]byte (parameter sets or OBUs), *mpeg4audio.AudioSpecificConfig or channels; nil for media
	begins  bool   // is a sequence header, even if config is nil
	lengths int    // bytes of a NAL unit's length, of a sequence header
	payload []byte // media
	dts     time.Duration
	delta   time.Duration // PTS minus DTS
}

// channels of an Opus track.
type channels int

// read understands a message; ok is false for those that are not about media.
func read(m message.Message) (e event, ok bool) {
	switch m := m.(type) {
	case *message.Video:
		return readVideo(m)
	case *message.VideoExSequenceStart:
		return readVideoStart(m)
	case *message.VideoExCodedFrames:
		return event{video: true, codec: fourCCs[m.FourCC], payload: m.Payload, dts: m.DTS, delta: signed(m.PTSDelta)}, true
	case *message.VideoExFramesX:
		return event{video: true, codec: fourCCs[m.FourCC], payload: m.Payload, dts: m.DTS}, true
	case *message.VideoExMultitrack:
		e, ok = read(m.Wrapped)
		e.number = m.TrackID
	case *message.Audio:
		return readAudio(m)
	case *message.AudioExSequenceStart:
		return readAudioStart(m)
	case *message.AudioExCodedFrames:
		return event{codec: fourCCs[m.FourCC], payload: m.Payload, dts: m.DTS}, true
	case *message.AudioExMultitrack:
		e, ok = read(m.Wrapped)
		e.number = m.TrackID
	}
	return e, ok
}

var fourCCs = map[message.FourCC]ingest.Codec{
	message.FourCCAVC: ingest.H264, message.FourCCHEVC: ingest.H265, message.FourCCAV1: ingest.AV1, message.FourCCVP9: ingest.VP9,
	message.FourCCMP4A: ingest.AAC, message.FourCCOpus: ingest.Opus, message.FourCCAC3: ingest.AC3, message.FourCCMP3: ingest.MPEGAudio,
}

// signed reads 24 bits as the signed number that they are (Enhanced RTMP, "compositionTimeOffset"); gortmplib reads them unsigned.
func signed(delta time.Duration) time.Duration {
	if delta >= 1<<23*time.Millisecond {
		return delta - 1<<24*time.Millisecond
	}
	return delta
}

func readVideo(m *message.Video) (e event, ok bool) {
	e = event{video: true, codec: ingest.H264, payload: m.AU, dts: m.DTS, delta: signed(m.PTSDelta)}
	if m.Codec == message.CodecH265 {
		e.codec = ingest.H265
	}
	switch {
	case m.Type == message.VideoTypeEOS:
		return e, false
	case m.AVCConfig != nil:
		e.setAVC(m.AVCConfig)
	case m.HEVCConfig != nil:
		e.setHEVC(m.HEVCConfig)
	}
	return e, true
}

func readVideoStart(m *message.VideoExSequenceStart) (e event, ok bool) {
	e = event{video: true, codec: fourCCs[m.FourCC], begins: true}
	switch {
	case m.AVCConfig != nil:
		e.setAVC(m.AVCConfig)
	case m.HEVCConfig != nil:
		e.setHEVC(m.HEVCConfig)
	case m.AV1Config != nil:
		e.config = m.AV1Config.ConfigOBUs
	}
	return e, true
}

func (e *event) setAVC(c *mp4.AVCDecoderConfiguration) {
	var sets [][]byte
	for _, s := range c.SequenceParameterSets {
		sets = append(sets, s.NALUnit)
	}
	for _, s := range c.PictureParameterSets {
		sets = append(sets, s.NALUnit)
	}
	e.begins, e.config, e.lengths = true, sets, int(c.LengthSizeMinusOne)+1
}

func (e *event) setHEVC(c *mp4.HvcC) {
	var sets [][]byte
	for _, a := range c.NaluArrays {
		for _, n := range a.Nalus {
			sets = append(sets, n.NALUnit)
		}
	}
	e.begins, e.config, e.lengths = true, sets, int(c.LengthSizeMinusOne)+1
}

func readAudio(m *message.Audio) (e event, ok bool) {
	e = event{payload: m.AU, dts: m.DTS}
	switch m.Codec {
	case message.CodecMPEG4Audio:
		e.codec = ingest.AAC
		if m.AACType == message.AudioAACTypeConfig {
			e.begins = true
			setAAC(&e, m.AACConfig)
		}
	case message.CodecMPEG1Audio:
		e.codec = ingest.MPEGAudio
	case message.CodecLPCM:
		e.codec, e.called = ingest.Data, "LPCM"
	default:
		e.codec, e.called = ingest.Data, "G.711"
	}
	return e, true
}

func readAudioStart(m *message.AudioExSequenceStart) (e event, ok bool) {
	e = event{codec: fourCCs[m.FourCC], begins: true}
	setAAC(&e, m.AACConfig)
	if m.OpusConfig != nil {
		e.config = channels(m.OpusConfig.ChannelCount)
	}
	return e, true
}

func setAAC(e *event, c *mpeg4audio.AudioSpecificConfig) {
	if c != nil {
		e.config = c
	}
}
