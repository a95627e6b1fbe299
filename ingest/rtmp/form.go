package rtmp

import (
	"errors"
	"fmt"
	"slices"

	ac3codec "github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// form turns the units of one track into the form of MPEG-TS.
type form interface {
	// begin takes a sequence header.
	begin(e *event) error
	// convert appends a unit to dst; nothing, if it cannot be decoded yet.
	convert(dst []byte, e *event) (out []byte, about unit, err error)
	describe(t *ingest.Track)
}

// unit is what a form knows of one.
type unit struct {
	flags         ingest.Flags
	samples, rate int64 // duration of sound; rate is 0 if unknown
	fresh         bool  // describe has more to say than before
}

// newForm is the form of a codec; nil if MPEG-TS has none.
func newForm(codec ingest.Codec) form {
	switch codec {
	case ingest.H264, ingest.H265:
		return &nal{codec: es.NALCodec(codec), sets: es.ParameterSets{Codec: es.NALCodec(codec)}}
	case ingest.AV1:
		return &av1Form{}
	case ingest.VP9:
		return &vp9Form{}
	case ingest.AAC:
		return &aac{}
	case ingest.MPEGAudio:
		return &mpegAudio{}
	case ingest.AC3:
		return &ac3{}
	case ingest.Opus:
		return &opus{}
	}
	return nil
}

// nal is H.264 or H.265: NAL units behind their lengths, and parameter sets in the sequence header, become Annex B with the sets in
// every random access point.
type nal struct {
	codec es.NALCodec
	sets  es.ParameterSets
	known bool // a sequence header has come
}

func (n *nal) begin(e *event) error {
	sets, _ := e.config.([][]byte)
	if e.lengths != 4 {
		return fmt.Errorf("NAL units with lengths of %d bytes are not understood: want 4", e.lengths)
	}
	n.sets.Observe(sets)
	n.known = len(n.sets.Config()) > 0
	if !n.known {
		return errors.New("there is no SPS in the sequence header")
	}
	return nil
}

func (n *nal) convert(dst []byte, e *event) (out []byte, about unit, err error) {
	if !n.known {
		return dst, about, nil
	}
	var nalus h264.AVCC
	if err := nalus.Unmarshal(e.payload); err != nil {
		if errors.Is(err, h264.ErrAVCCNoNALUs) {
			err = nil
		}
		return dst, about, err
	}
	about.fresh = n.sets.Observe(nalus)
	all := [][]byte(nalus)
	if about.flags = n.codec.Access(all); about.flags != 0 {
		all = n.sets.Complete(all)
	}
	return es.AnnexB(dst, all), about, nil
}

func (n *nal) describe(t *ingest.Track) { n.sets.Describe(t) }

// frame is the duration of a picture by the parameter sets; 0 if unknown.
func (n *nal) frame() int64 { return n.sets.Picture().Frame }

// av1Form leaves temporal delimiters out, as our form has none. Encoders repeat the sequence header in every random access point.
type av1Form struct{ es.AV1 }

func (a *av1Form) begin(e *event) error {
	b, _ := e.config.([]byte)
	if len(b) == 0 {
		return nil // the header is in band alone
	}
	var obus av1.Bitstream
	if err := obus.Unmarshal(b); err != nil {
		return err
	}
	a.Look(obus)
	return nil
}

func (a *av1Form) convert(dst []byte, e *event) (out []byte, about unit, err error) {
	var obus av1.Bitstream
	if err := obus.Unmarshal(e.payload); err != nil {
		return dst, about, err
	}
	obus = slices.DeleteFunc(obus, func(o []byte) bool {
		var h av1.OBUHeader
		return h.Unmarshal(o) == nil && h.Type == av1.OBUTypeTemporalDelimiter
	})
	key, fresh := a.Look(obus)
	about = unit{flags: keyFlag(key), fresh: fresh}
	b, err := a.Unit(obus)
	return append(dst, b...), about, err
}

func (a *av1Form) describe(t *ingest.Track) { a.AV1.Describe(t) }

func keyFlag(key bool) ingest.Flags {
	if key {
		return ingest.RandomAccess
	}
	return 0
}

type vp9Form struct{ es.VP9 }

func (*vp9Form) begin(*event) error { return nil }

func (v *vp9Form) convert(dst []byte, e *event) (out []byte, about unit, err error) {
	key, fresh := v.Look(e.payload)
	about = unit{flags: keyFlag(key), fresh: fresh}
	return append(dst, e.payload...), about, nil
}

func (v *vp9Form) describe(t *ingest.Track) { v.VP9.Describe(t) }

// aac gets ADTS headers.
type aac struct{ adts *es.ADTS }

func (a *aac) begin(e *event) (err error) {
	if c, ok := e.config.(*mpeg4audio.AudioSpecificConfig); ok {
		a.adts, err = es.NewADTS(c)
	}
	return err
}

func (a *aac) convert(dst []byte, e *event) (out []byte, about unit, err error) {
	if a.adts == nil || len(e.payload) == 0 {
		return dst, about, nil
	}
	about.samples, about.rate = a.adts.Samples(), int64(a.adts.SampleRate)
	out, err = a.adts.Append(dst, e.payload)
	return out, about, err
}

func (a *aac) describe(t *ingest.Track) {
	if a.adts != nil {
		a.adts.Describe(t)
	}
}

type mpegAudio struct{ es.MPEGAudio }

func (*mpegAudio) begin(*event) error { return nil }

func (m *mpegAudio) convert(dst []byte, e *event) (out []byte, about unit, err error) {
	about.fresh = m.Look(e.payload)
	if about.samples, about.rate = m.Length(); about.rate == 0 {
		return dst, about, errors.New("this is not MPEG audio")
	}
	return append(dst, e.payload...), about, nil
}

func (m *mpegAudio) describe(t *ingest.Track) { m.MPEGAudio.Describe(t) }

type ac3 struct{ es.AC3 }

func (*ac3) begin(*event) error { return nil }

func (a *ac3) convert(dst []byte, e *event) (out []byte, about unit, err error) {
	var sync ac3codec.SyncInfo
	if a.SampleRate == 0 && sync.Unmarshal(e.payload) == nil {
		a.SampleRate = sync.SampleRate()
	}
	about.fresh = a.Look(e.payload)
	about.samples, about.rate = es.AC3Samples, int64(a.SampleRate)
	return append(dst, e.payload...), about, nil
}

func (a *ac3) describe(t *ingest.Track) { a.AC3.Describe(t) }

// opus gets the control header of "Opus in MPEG-TS". Its packets last whole milliseconds, so there is nothing to count.
type opus struct{ es.Opus }

func (o *opus) begin(e *event) error {
	n, _ := e.config.(channels)
	if n < 1 || n > 8 {
		return fmt.Errorf("opus of %d channels has no form in MPEG-TS", n)
	}
	o.Channels = int(n)
	return nil
}

func (o *opus) convert(dst []byte, e *event) (out []byte, about unit, err error) {
	if o.Channels == 0 {
		return dst, about, nil
	}
	about.fresh = o.Look(e.payload)
	out, err = o.Append(dst, e.payload)
	return out, about, err
}

func (o *opus) describe(t *ingest.Track) { o.Opus.Describe(t) }
