package rtsp

import (
	"errors"
	"slices"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/pion/rtp"

	"tailcast/ingest"
)

// nalVideo makes access units of H.264 (RFC 6184) and H.265 (RFC 7798).
//
// gortsplib's decoders take the NAL units out of the packets; the access units are put together here. Its own assembly gives a
// unit the time of the packet that follows once a marker was lost, and holds every later unit back by one packet.
type nalVideo struct {
	news
	codec  codecNAL
	decode func(*rtp.Packet) ([][]byte, error) // NAL units that p completes
	sets   parameterSets
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
	v := &nalVideo{codec: codecNAL(codec), sets: parameterSets{codec: codecNAL(codec)}}
	v.clock.reset(v.sets.picture().depth, 0)
	v.decode = func(p *rtp.Packet) ([][]byte, error) {
		single := *p
		single.Marker = true // hands out at once what the packet completes
		return decode(&single)
	}
	return v
}

// learn takes parameter sets over, and what they say about time.
func (v *nalVideo) learn(nalus [][]byte) {
	before := v.sets.picture()
	if !v.sets.observe(nalus) {
		return
	}
	v.fresh = true
	if p := v.sets.picture(); p.depth != before.depth || p.frame != before.frame {
		v.clock.reset(p.depth, p.frame)
	}
}

func (v *nalVideo) describe(t *ingest.Track) {
	p := v.sets.picture()
	t.Config, t.Width, t.Height = v.sets.config(), p.width, p.height
}

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
		if len(n) == 0 {
			continue
		}
		if v.size+len(n) > maxUnit || len(v.nalus) >= maxNALUs {
			return errTooLarge
		}
		v.nalus, v.size = append(v.nalus, n), v.size+len(n)
		if k := v.codec.kind(n); k >= nalSlice && k <= nalIRAP {
			v.picture = true
		}
	}
	return nil
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
	u := unit{flags: v.access(nalus)}
	if u.flags&ingest.RandomAccess != 0 {
		nalus = v.sets.complete(nalus)
	}
	if damaged {
		u.flags |= ingest.Damaged
	}
	u.pts, u.dts, u.guessed = v.clock.next(nalus, at, v.has(nalus, nalIDR), u.flags&ingest.RandomAccess != 0)
	v.buf = annexB(v.buf[:0], nalus)
	u.data = v.buf
	emit(u)
}

// access tells whether decoding can start at an access unit.
func (v *nalVideo) access(nalus [][]byte) ingest.Flags {
	if v.has(nalus, nalIDR) || v.has(nalus, nalIRAP) {
		return ingest.RandomAccess
	}
	for _, n := range nalus {
		if v.codec.kind(n) == nalSEI && v.codec.recoveryPoint(n) {
			return ingest.RandomAccess | ingest.Recovery
		}
	}
	return 0
}

func (v *nalVideo) has(nalus [][]byte, k nalKind) bool {
	return slices.ContainsFunc(nalus, func(n []byte) bool { return v.codec.kind(n) == k })
}

func (v *nalVideo) flush(emit func(unit)) {
	if v.open {
		v.finish(emit)
	}
}

// jumped implements depacketizer.
func (v *nalVideo) jumped() {
	p := v.sets.picture()
	v.clock = decodeClock{}
	v.clock.reset(p.depth, p.frame)
}
