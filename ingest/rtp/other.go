package rtp

import (
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// newAV1 takes AV1 ("RTP Payload Format For AV1", v1.0). A unit is a temporal unit without its delimiter, which RTP does not transmit.
func newAV1(a *format.AV1) (*frames, error) {
	var seen es.AV1
	key := false // of the unit in hand
	f := &frames{rate: a.ClockRate(), about: seen.Describe}
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
			var fresh bool
			key, fresh = seen.Look(obus)
			f.fresh = f.fresh || fresh
			unit, err := seen.Unit(obus)
			return [][]byte{unit}, err
		}, err
	}
	f.inspect = func([]byte) ingest.Flags { return keyFlag(key) }
	return f, nil
}

// newVP9 takes VP9 (RFC 9628).
func newVP9(v *format.VP9) (*frames, error) {
	var seen es.VP9
	f := &frames{rate: v.ClockRate(), about: seen.Describe}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := v.CreateDecoder()
		return func(p *rtp.Packet) ([][]byte, error) {
			frame, err := d.Decode(p)
			return [][]byte{frame}, err
		}, err
	}
	f.inspect = func(frame []byte) ingest.Flags {
		key, fresh := seen.Look(frame)
		f.fresh = f.fresh || fresh
		return keyFlag(key)
	}
	return f, nil
}

// newKLV takes KLV metadata (RFC 6597).
func newKLV(k *format.KLV) (*frames, error) {
	f := &frames{rate: k.ClockRate(), about: func(t *ingest.Track) { t.Descriptors = es.Registration("KLVA") }}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := k.CreateDecoder()
		return func(p *rtp.Packet) ([][]byte, error) {
			item, err := d.Decode(p)
			return [][]byte{item}, err
		}, err
	}
	return f, nil
}

// newMPEGVideo takes MPEG-1 and MPEG-2 video (RFC 2250), which is reordered by one picture at most.
func newMPEGVideo(m *format.MPEG1Video) (*frames, error) {
	var seen es.MPEG2
	var key, closed bool
	v := &frames{rate: m.ClockRate(), clock: &decodeClock{}, about: seen.Describe}
	v.clock.reset(1, 0)
	v.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := m.CreateDecoder()
		whole := v.decode == nil // after a loss, what comes before the next marker is the end of a damaged picture
		return func(p *rtp.Packet) ([][]byte, error) {
			if !whole {
				whole = p.Marker
				return nil, nil
			}
			picture, err := d.Decode(p)
			return [][]byte{picture}, err
		}, err
	}
	v.inspect = func(picture []byte) ingest.Flags {
		var fresh bool
		if key, closed, fresh = seen.Look(picture); fresh {
			v.fresh = true
			v.clock.reset(1, seen.Frame())
		}
		return keyFlag(key)
	}
	v.closed = func() bool { return closed }
	return v, nil
}

func keyFlag(key bool) ingest.Flags {
	if key {
		return ingest.RandomAccess
	}
	return 0
}
