package es

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"

	"tailcast/ingest"
)

// AV1 reads temporal units of AV1.
type AV1 struct {
	sequence []byte
	size     av1.SequenceHeader
}

// Look reads the OBUs of a temporal unit: whether decoding can start at it, and whether Describe has more to say than before.
func (a *AV1) Look(obus [][]byte) (key, fresh bool) {
	for _, o := range obus {
		var h av1.OBUHeader
		if h.Unmarshal(o) == nil && h.Type == av1.OBUTypeSequenceHeader && !bytes.Equal(o, a.sequence) && a.size.Unmarshal(o) == nil {
			a.sequence, fresh = bytes.Clone(o), true
		}
	}
	return av1.IsRandomAccess2(obus), fresh
}

// Unit is the OBUs in the low-overhead format (AV1, 5.2).
func (*AV1) Unit(obus [][]byte) ([]byte, error) { return av1.Bitstream(obus).Marshal() }

// Describe fills in what has been seen.
func (a *AV1) Describe(t *ingest.Track) {
	if t.Config = a.sequence; a.sequence != nil {
		t.Width, t.Height = a.size.Width(), a.size.Height()
	}
}

// VP9 reads frames of VP9, which need no other form.
type VP9 struct{ width, height int }

// Look reads a frame: whether decoding can start at it, and whether Describe has more to say than before.
func (v *VP9) Look(frame []byte) (key, fresh bool) {
	var h vp9.Header
	if len(frame) == 0 || h.Unmarshal(frame) != nil || h.NonKeyFrame {
		return false, false
	}
	before := *v
	v.width, v.height = h.Width(), h.Height()
	return true, *v != before
}

// Describe fills in what has been seen.
func (v *VP9) Describe(t *ingest.Track) { t.Width, t.Height = v.width, v.height }
