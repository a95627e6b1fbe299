package rtp

import (
	"bytes"
	"errors"
	"slices"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// nalVideo makes access units of H.264 (RFC 6184) and H.265 (RFC 7798).
//
// gortsplib's decoders take the NAL units out of the packets; the access units are put together here. Its own assembly gives a
// unit the time of the packet that follows once a marker was lost, and holds every later unit back by one packet.
type nalVideo struct {
	news
	codec  es.NALCodec
	decode func(*rtp.Packet) ([][]byte, error) // NAL units that p completes
	sets   es.ParameterSets
	clock  decodeClock

	// The unit that is being put together.
	open    bool
	at      int64
	nalus   [][]byte
	size    int
	picture bool // it has a slice
	damaged bool
	suspect bool // packets were lost and may belong to the unit that follows

	buf []byte // reused for every unit
}

const (
	maxUnit  = 16 << 20 // bytes of one access unit: 8K intra pictures are below
	maxNALUs = 1024     // of one access unit
)

func newH264(f *format.H264) (*nalVideo, error) {
	d, err := f.CreateDecoder()
	if err != nil {
		return nil, err
	}
	v := newNALVideo(ingest.H264, d.Decode)
	v.learn([][]byte{f.SPS, f.PPS})
	return v, nil
}

func newH265(f *format.H265) (*nalVideo, error) {
	d, err := f.CreateDecoder()
	if err != nil {
		return nil, err
	}
	v := newNALVideo(ingest.H265, d.Decode)
	v.learn([][]byte{f.VPS, f.SPS, f.PPS})
	return v, nil
}

func newNALVideo(codec ingest.Codec, decode func(*rtp.Packet) ([][]byte, error)) *nalVideo {
	v := &nalVideo{codec: es.NALCodec(codec), sets: es.ParameterSets{Codec: es.NALCodec(codec)}}
	v.clock.reset(v.sets.Picture().Depth, 0)
	v.decode = func(p *rtp.Packet) ([][]byte, error) {
		single := *p
		single.Marker = true // hands out at once what the packet completes
		return decode(&single)
	}
	return v
}

// learn takes parameter sets over, and what they say about time.
func (v *nalVideo) learn(nalus [][]byte) {
	before := v.sets.Picture()
	if !v.sets.Observe(nalus) {
		return
	}
	v.fresh = true
	if p := v.sets.Picture(); p.Depth != before.Depth || p.Frame != before.Frame {
		v.clock.reset(p.Depth, p.Frame)
	}
}

func (v *nalVideo) describe(t *ingest.Track) { v.sets.Describe(t) }

// depacketize implements depacketizer. A unit ends with the packet that has the marker, or before the packet that has another
// timestamp: some cameras never set the marker, and it may be lost.
func (v *nalVideo) depacketize(p *rtp.Packet, at int64, gap bool, emit func(unit)) error {
	if gap {
		v.damaged, v.suspect = true, !v.open || at != v.at
	}
	if v.open && at != v.at {
		v.finish(emit)
	}
	if !v.open {
		v.open, v.at, v.damaged, v.suspect = true, at, v.suspect, false
	}
	nalus, err := v.decode(p)
	if errors.Is(err, rtph264.ErrMorePacketsNeeded) || errors.Is(err, rtph265.ErrMorePacketsNeeded) {
		return nil
	}
	if err == nil {
		err = v.add(nalus)
	}
	if err != nil && v.damaged {
		err = nil // the rest of what was lost
	}
	v.damaged = v.damaged || err != nil
	// A marker behind parameter sets alone does not end a unit: some encoders set it on every NAL unit.
	if p.Marker && v.picture {
		v.finish(emit)
	}
	return err
}

var errTooLarge = errors.New("access unit is too large, the rest is dropped")

func (v *nalVideo) add(nalus [][]byte) error {
	for _, n := range nalus {
		if len(n) == 0 || v.repeats(n) {
			continue
		}
		if v.size+len(n) > maxUnit || len(v.nalus) >= maxNALUs {
			return errTooLarge
		}
		v.nalus, v.size = append(v.nalus, n), v.size+len(n)
		if k := v.codec.Kind(n); k >= es.NALSlice && k <= es.NALIRAP {
			v.picture = true
		}
	}
	return nil
}

// repeats reports whether n is a parameter set that the open picture has before one of its slices already. GStreamer's payloader can put them before each
// slice of a keyframe (config-interval=-1); behind a slice they would begin the next access unit (H.264, 7.4.1.2.3), and half of the picture would be missing.
func (v *nalVideo) repeats(n []byte) bool {
	k := v.codec.Kind(n)
	return v.picture && k >= es.NALVPS && k <= es.NALPPS && slices.ContainsFunc(v.nalus, func(o []byte) bool { return bytes.Equal(n, o) })
}

// finish emits the open unit, if anything of it has arrived.
func (v *nalVideo) finish(emit func(unit)) {
	nalus, at, damaged := v.nalus, v.at, v.damaged
	v.open, v.nalus, v.size, v.picture, v.damaged = false, v.nalus[:0], 0, false, false
	if len(nalus) == 0 {
		v.suspect = v.suspect || damaged // the whole unit is lost; the next may lack its beginning too
		return
	}
	v.learn(nalus)
	u := unit{flags: v.codec.Access(nalus)}
	if u.flags&ingest.RandomAccess != 0 {
		nalus = v.sets.Complete(nalus)
	}
	if damaged {
		u.flags |= ingest.Damaged
	}
	u.pts, u.dts, u.guessed = v.clock.next(nalus, at, v.codec.Has(nalus, es.NALIDR), u.flags&ingest.RandomAccess != 0)
	v.buf = es.AnnexB(v.buf[:0], nalus)
	u.data = v.buf
	emit(u)
}

func (v *nalVideo) flush(emit func(unit)) {
	if v.open {
		v.finish(emit)
	}
}

// jumped implements depacketizer.
func (v *nalVideo) jumped() {
	p := v.sets.Picture()
	v.clock = decodeClock{}
	v.clock.reset(p.Depth, p.Frame)
}
