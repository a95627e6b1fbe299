package hls

import (
	"bytes"
	"errors"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// A form makes samples of fMP4 into those of MPEG-TS.
type form struct {
	// unit makes one, whose data are the caller's. Fresh says that about has more to say than before.
	unit  func(s *fmp4.Sample) (data []byte, flags ingest.Flags, fresh bool, err error)
	about func(*ingest.Track)
}

// newForm returns the form of a codec; its unit is nil if the codec is not carried. Pictures says whether there are any in the program: without, decoding can
// begin at every sample.
func newForm(c codecs.Codec, pictures bool) (ingest.Codec, form) {
	sound := flag(!pictures)
	switch c := c.(type) {
	case *codecs.H264:
		return ingest.H264, units(ingest.H264, c.SPS, c.PPS)
	case *codecs.H265:
		return ingest.H265, units(ingest.H265, c.VPS, c.SPS, c.PPS)
	case *codecs.AV1:
		return ingest.AV1, temporal(c.SequenceHeader)
	case *codecs.VP9:
		var v es.VP9
		return ingest.VP9, pictured(v.Look, v.Describe)
	case *codecs.MPEG1Video:
		var v es.MPEG2
		look := func(b []byte) (key, fresh bool) {
			key, _, fresh = v.Look(b)
			return key, fresh
		}
		return ingest.MPEG2Video, pictured(look, v.Describe)
	case *codecs.MPEG4Audio:
		if a, err := es.NewADTS(&c.Config); err == nil {
			return ingest.AAC, sounding(sound, a.Append, nil, a.Describe)
		}
	case *codecs.Opus:
		o := &es.Opus{Channels: c.ChannelCount}
		return ingest.Opus, sounding(sound, o.Append, o.Look, o.Describe)
	case *codecs.AC3:
		a := &es.AC3{SampleRate: c.SampleRate, Channels: c.ChannelCount}
		return ingest.AC3, sounding(sound, bare, a.Look, a.Describe)
	case *codecs.EAC3:
		about := func(t *ingest.Track) { t.SampleRate, t.Channels = c.SampleRate, c.ChannelCount }
		return ingest.EAC3, sounding(sound, bare, nil, about)
	case *codecs.MPEG1Audio:
		m := new(es.MPEGAudio)
		return ingest.MPEGAudio, sounding(sound, bare, m.Look, m.Describe)
	}
	return ingest.Data, form{}
}

func bare(dst, frame []byte) ([]byte, error) { return append(dst, frame...), nil }

// units is of H.264 and H.265, whose parameter sets are in the init section and whose NAL units have lengths instead of start codes.
func units(c ingest.Codec, sets ...[]byte) form {
	s := &es.ParameterSets{Codec: es.NALCodec(c)}
	s.Observe(sets)
	return form{about: s.Describe, unit: func(x *fmp4.Sample) ([]byte, ingest.Flags, bool, error) {
		nalus, err := x.GetH264()
		if err != nil {
			return nil, 0, false, err
		}
		fresh, flags := s.Observe(nalus), s.Codec.Access(nalus)
		if flags != 0 {
			nalus = s.Complete(nalus)
		}
		return es.AnnexB(nil, nalus), flags, fresh, nil
	}}
}

// temporal is of AV1.
func temporal(sequence []byte) form {
	var a es.AV1
	a.Look([][]byte{sequence})
	return form{about: a.Describe, unit: func(x *fmp4.Sample) ([]byte, ingest.Flags, bool, error) {
		obus, err := x.GetAV1()
		if err != nil {
			return nil, 0, false, err
		}
		key, fresh := a.Look(obus)
		data, err := a.Unit(obus)
		return data, flag(key), fresh, err
	}}
}

// pictured is of pictures that keep their form.
func pictured(look func([]byte) (key, fresh bool), about func(*ingest.Track)) form {
	return form{about: about, unit: func(x *fmp4.Sample) ([]byte, ingest.Flags, bool, error) {
		key, fresh := look(x.Payload)
		return bytes.Clone(x.Payload), flag(key), fresh, nil
	}}
}

// sounding is of sound, with a header at most. Look is nil if frames tell nothing of themselves.
func sounding(flags ingest.Flags, wrap func(dst, frame []byte) ([]byte, error), look func([]byte) bool, about func(*ingest.Track)) form {
	return form{about: about, unit: func(x *fmp4.Sample) ([]byte, ingest.Flags, bool, error) {
		if len(x.Payload) == 0 {
			return nil, 0, false, errors.New("a frame of sound is empty")
		}
		fresh := look != nil && look(x.Payload)
		data, err := wrap(nil, x.Payload)
		return data, flags, fresh, err
	}}
}

func flag(key bool) ingest.Flags {
	if key {
		return ingest.RandomAccess
	}
	return 0
}
