package rtsp

import (
	"bytes"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"tailcast/ingest"
)

// nalKind is what a NAL unit is to us; H.264 (7.4.1) and H.265 (7.4.2.2) number them differently.
type nalKind uint8

const (
	nalOther nalKind = iota
	nalSlice
	nalIDR  // a slice of a picture that nothing after it looks back beyond
	nalIRAP // the same, except that pictures shown before it may (CRA and BLA of H.265)
	nalVPS
	nalSPS
	nalPPS
	nalSEI
	nalDelimiter
)

// codecNAL reads NAL units of H.264 or H.265.
type codecNAL ingest.Codec

func (c codecNAL) kind(nalu []byte) nalKind {
	if len(nalu) == 0 {
		return nalOther
	}
	if ingest.Codec(c) == ingest.H265 {
		return kind265(h265.NALUType(nalu[0] >> 1 & 63))
	}
	return kind264(h264.NALUType(nalu[0] & 31))
}

func kind264(t h264.NALUType) nalKind {
	switch t {
	case h264.NALUTypeIDR:
		return nalIDR
	case h264.NALUTypeNonIDR, h264.NALUTypeDataPartitionA, h264.NALUTypeDataPartitionB, h264.NALUTypeDataPartitionC:
		return nalSlice
	case h264.NALUTypeSPS:
		return nalSPS
	case h264.NALUTypePPS:
		return nalPPS
	case h264.NALUTypeSEI:
		return nalSEI
	case h264.NALUTypeAccessUnitDelimiter:
		return nalDelimiter
	}
	return nalOther
}

func kind265(t h265.NALUType) nalKind {
	switch {
	case t == h265.NALUType_IDR_W_RADL || t == h265.NALUType_IDR_N_LP:
		return nalIDR
	case t >= h265.NALUType_BLA_W_LP && t <= h265.NALUType_CRA_NUT:
		return nalIRAP
	case t < 32: // VCL, table 7-1
		return nalSlice
	case t == h265.NALUType_VPS_NUT:
		return nalVPS
	case t == h265.NALUType_SPS_NUT:
		return nalSPS
	case t == h265.NALUType_PPS_NUT:
		return nalPPS
	case t == h265.NALUType_PREFIX_SEI_NUT:
		return nalSEI
	case t == h265.NALUType_AUD_NUT:
		return nalDelimiter
	}
	return nalOther
}

// recoveryPoint tells whether a SEI NAL unit holds a recovery point message (payload type 6 in H.264, D.1.8, and H.265, D.2.8):
// decoding may start here although the picture is no IDR.
func (c codecNAL) recoveryPoint(sei []byte) bool {
	header := 1
	if ingest.Codec(c) == ingest.H265 {
		header = 2
	}
	if len(sei) < header {
		return false
	}
	b := h264.EmulationPreventionRemove(sei[header:])
	for len(b) > 1 { // the last byte is the trailing bits
		kind, size := 0, 0
		if kind, b = seiNumber(b); kind == 6 {
			return true
		}
		if size, b = seiNumber(b); size > len(b) {
			return false
		}
		b = b[size:]
	}
	return false
}

// seiNumber reads a number written as bytes of 255 and a last one that is less (H.264, 7.3.2.3.1).
func seiNumber(b []byte) (n int, rest []byte) {
	for len(b) > 0 && b[0] == 255 {
		n, b = n+255, b[1:]
	}
	if len(b) == 0 {
		return n, b
	}
	return n + int(b[0]), b[1:]
}

// annexB appends nalus to dst, each behind a start code of four bytes (H.264, Annex B).
func annexB(dst []byte, nalus [][]byte) []byte {
	for _, n := range nalus {
		dst = append(append(dst, 0, 0, 0, 1), n...)
	}
	return dst
}

// parameterSets remembers the newest VPS, SPS and PPS of a track, from the SDP or from the stream.
type parameterSets struct {
	codec codecNAL
	sets  [3][][]byte // VPS, SPS, PPS
}

// maxSets bounds the parameter sets of one kind that are remembered; a stream has one or two.
const maxSets = 16

// observe learns the sets of an access unit, each kind replacing what was known of it, and tells whether anything changed.
func (p *parameterSets) observe(nalus [][]byte) (changed bool) {
	var found [3][][]byte
	for _, n := range nalus {
		if k := p.codec.kind(n); k >= nalVPS && k <= nalPPS && len(found[k-nalVPS]) < maxSets {
			found[k-nalVPS] = append(found[k-nalVPS], n)
		}
	}
	for i, f := range found {
		if len(f) == 0 || slices.EqualFunc(f, p.sets[i], bytes.Equal) {
			continue
		}
		p.sets[i], changed = cloneNALs(f), true
	}
	return changed
}

// complete returns nalus with the sets that they lack, behind the delimiter if there is one: a random access point of MPEG-TS
// brings its parameter sets (ISO/IEC 13818-1, 2.14.1), whereas RTP may say them in the SDP only.
func (p *parameterSets) complete(nalus [][]byte) [][]byte {
	var has [3]bool
	for _, n := range nalus {
		if k := p.codec.kind(n); k >= nalVPS && k <= nalPPS {
			has[k-nalVPS] = true
		}
	}
	var lacking [][]byte
	for i, sets := range p.sets {
		if !has[i] {
			lacking = append(lacking, sets...)
		}
	}
	if len(lacking) == 0 {
		return nalus
	}
	var out [][]byte
	if len(nalus) > 0 && p.codec.kind(nalus[0]) == nalDelimiter {
		out, nalus = append(out, nalus[0]), nalus[1:]
	}
	return append(append(out, lacking...), nalus...)
}

// config is all sets in Annex B, or nil while there is no SPS.
func (p *parameterSets) config() []byte {
	if len(p.sets[1]) == 0 {
		return nil
	}
	var out []byte
	for _, sets := range p.sets {
		out = annexB(out, sets)
	}
	return out
}

// picture is what the newest SPS says of a track's pictures; zero where it says nothing, or cannot be read.
type picture struct {
	width, height int
	depth         int   // of reordering, or depthUnknown
	frame         int64 // duration in 90 kHz
}

func (p *parameterSets) picture() picture {
	known := len(p.sets[1]) > 0
	switch {
	case ingest.Codec(p.codec) == ingest.H265 && known:
		return picture265(p.sets[1][0])
	case ingest.Codec(p.codec) == ingest.H265:
		return picture{} // without a depth the clock begins at 0 and learns
	case known:
		return picture264(p.sets[1][0])
	}
	return picture{depth: depthUnknown}
}

func picture264(nalu []byte) picture {
	var s h264.SPS
	if s.Unmarshal(nalu) != nil {
		return picture{depth: depthUnknown}
	}
	out := picture{width: s.Width(), height: s.Height(), depth: depthUnknown}
	if s.PicOrderCntType == 2 || s.ProfileIdc == 66 { // output order is decoding order (8.2.1.3; A.2.1: no B slices)
		out.depth = 0
	}
	if s.VUI == nil {
		return out
	}
	if t := s.VUI.TimingInfo; t != nil && t.TimeScale != 0 {
		out.frame = 2 * int64(t.NumUnitsInTick) * ingest.ClockRate / int64(t.TimeScale)
	}
	if r := s.VUI.BitstreamRestriction; r != nil && r.MaxNumReorderFrames <= maxDepth {
		out.depth = int(r.MaxNumReorderFrames)
	}
	return out
}

func picture265(nalu []byte) picture {
	var s h265.SPS
	if s.Unmarshal(nalu) != nil {
		return picture{}
	}
	out := picture{width: s.Width(), height: s.Height()}
	if n := len(s.MaxNumReorderPics); n > 0 {
		out.depth = int(min(s.MaxNumReorderPics[n-1], maxDepth))
	}
	if s.VUI != nil && s.VUI.TimingInfo != nil && s.VUI.TimingInfo.TimeScale != 0 {
		out.frame = int64(s.VUI.TimingInfo.NumUnitsInTick) * ingest.ClockRate / int64(s.VUI.TimingInfo.TimeScale)
	}
	return out
}

func cloneNALs(nalus [][]byte) [][]byte {
	out := make([][]byte, len(nalus))
	for i, n := range nalus {
		out[i] = bytes.Clone(n)
	}
	return out
}
