package rtsp

import (
	"bytes"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/pion/rtp"

	"tailcast/ingest"
)

// newAV1 takes AV1 ("RTP Payload Format For AV1", v1.0). A unit is a temporal unit in the low-overhead format (AV1, 5.2), without its
// delimiter, which RTP does not transmit.
func newAV1(a *format.AV1) (*frames, error) {
	var sequence []byte
	var size av1.SequenceHeader
	key := false // of the unit in hand
	f := &frames{rate: a.ClockRate()}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := a.CreateDecoder()
		whole := f.decode == nil // after a loss, what comes before the next marker is the end of a damaged unit
		return func(p *rtp.Packet) ([][]byte, error) {
			if !whole {
				whole = p.Marker
				return nil, nil
			}
			obus, err := d.Decode(p)
			if err != nil {
				return nil, err
			}
			for _, o := range obus {
				var h av1.OBUHeader
				if h.Unmarshal(o) == nil && h.Type == av1.OBUTypeSequenceHeader && !bytes.Equal(o, sequence) && size.Unmarshal(o) == nil {
					sequence, f.fresh = bytes.Clone(o), true
				}
			}
			key = av1.IsRandomAccess2(obus)
			unit, err := av1.Bitstream(obus).Marshal()
			return [][]byte{unit}, err
		}, err
	}
	f.inspect = func([]byte) ingest.Flags { return keyFlag(key) }
	f.about = func(t *ingest.Track) {
		if t.Config = sequence; sequence != nil {
			t.Width, t.Height = size.Width(), size.Height()
		}
	}
	return f, nil
}

// newVP9 takes VP9 (RFC 9628).
func newVP9(v *format.VP9) (*frames, error) {
	var width, height int
	f := &frames{rate: v.ClockRate()}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := v.CreateDecoder()
		return func(p *rtp.Packet) ([][]byte, error) {
			frame, err := d.Decode(p)
			return [][]byte{frame}, err
		}, err
	}
	f.inspect = func(frame []byte) ingest.Flags {
		var h vp9.Header
		if len(frame) == 0 || h.Unmarshal(frame) != nil || h.NonKeyFrame {
			return 0
		}
		if w, he := h.Width(), h.Height(); w != width || he != height {
			width, height, f.fresh = w, he, true
		}
		return keyFlag(true)
	}
	f.about = func(t *ingest.Track) { t.Width, t.Height = width, height }
	return f, nil
}

// newKLV takes KLV metadata (RFC 6597).
func newKLV(k *format.KLV) (*frames, error) {
	f := &frames{rate: k.ClockRate(), about: func(*ingest.Track) {}}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := k.CreateDecoder()
		return func(p *rtp.Packet) ([][]byte, error) {
			item, err := d.Decode(p)
			return [][]byte{item}, err
		}, err
	}
	return f, nil
}

func keyFlag(key bool) ingest.Flags {
	if key {
		return ingest.RandomAccess
	}
	return 0
}
