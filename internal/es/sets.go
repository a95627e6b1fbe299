package es

import (
	"bytes"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"tailcast/ingest"
)

// ParameterSets remembers the newest VPS, SPS and PPS of a track, from the SDP or from the stream.
type ParameterSets struct {
	Codec NALCodec
	sets  [3][][]byte // VPS, SPS, PPS
}

// maxSets bounds the parameter sets of one kind that are remembered; a stream has one or two.
const maxSets = 16

// Observe learns the sets of an access unit, each kind replacing what was known of it, and tells whether anything changed.
func (p *ParameterSets) Observe(nalus [][]byte) (changed bool) {
	var found [3][][]byte
	for _, n := range nalus {
		if k := p.Codec.Kind(n); k >= NALVPS && k <= NALPPS && len(found[k-NALVPS]) < maxSets {
			found[k-NALVPS] = append(found[k-NALVPS], n)
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

// Complete returns nalus with the sets that they lack, behind the delimiter if there is one: a random access point of MPEG-TS
// brings its parameter sets (ISO/IEC 13818-1, 2.14.1), whereas RTP may say them in the SDP only.
func (p *ParameterSets) Complete(nalus [][]byte) [][]byte {
	var has [3]bool
	for _, n := range nalus {
		if k := p.Codec.Kind(n); k >= NALVPS && k <= NALPPS {
			has[k-NALVPS] = true
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
	if len(nalus) > 0 && p.Codec.Kind(nalus[0]) == NALDelimiter {
		out, nalus = append(out, nalus[0]), nalus[1:]
	}
	return append(append(out, lacking...), nalus...)
}

// Config is all sets in Annex B, or nil while there is no SPS.
func (p *ParameterSets) Config() []byte {
	if len(p.sets[1]) == 0 {
		return nil
	}
	var out []byte
	for _, sets := range p.sets {
		out = AnnexB(out, sets)
	}
	return out
}

// MaxDepth is the most pictures H.264 and H.265 let a decoder hold back.
const MaxDepth = 16

// DepthUnknown is the depth of a stream that does not say it.
const DepthUnknown = -1

// Picture is what an SPS says of a track's pictures; zero where it says nothing, or cannot be read.
type Picture struct {
	Width, Height int
	Depth         int   // max_num_reorder_frames or sps_max_num_reorder_pics, or DepthUnknown
	Frame         int64 // duration in 90 kHz
}

// Picture reads the newest SPS.
func (p *ParameterSets) Picture() Picture {
	known := len(p.sets[1]) > 0
	switch {
	case ingest.Codec(p.Codec) == ingest.H265 && known:
		return picture265(p.sets[1][0])
	case ingest.Codec(p.Codec) == ingest.H265:
		return Picture{} // without a depth the clock begins at 0 and learns
	case known:
		return picture264(p.sets[1][0])
	}
	return Picture{Depth: DepthUnknown}
}

func picture264(nalu []byte) Picture {
	var s h264.SPS
	if s.Unmarshal(nalu) != nil {
		return Picture{Depth: DepthUnknown}
	}
	out := Picture{Width: s.Width(), Height: s.Height(), Depth: DepthUnknown}
	if s.PicOrderCntType == 2 || s.ProfileIdc == 66 { // output order is decoding order (8.2.1.3; A.2.1: no B slices)
		out.Depth = 0
	}
	if s.VUI == nil {
		return out
	}
	if t := s.VUI.TimingInfo; t != nil && t.TimeScale != 0 {
		out.Frame = 2 * int64(t.NumUnitsInTick) * ingest.ClockRate / int64(t.TimeScale)
	}
	if r := s.VUI.BitstreamRestriction; r != nil && r.MaxNumReorderFrames <= MaxDepth {
		out.Depth = int(r.MaxNumReorderFrames)
	}
	return out
}

func picture265(nalu []byte) Picture {
	var s h265.SPS
	if s.Unmarshal(nalu) != nil {
		return Picture{}
	}
	out := Picture{Width: s.Width(), Height: s.Height()}
	if n := len(s.MaxNumReorderPics); n > 0 {
		out.Depth = int(min(s.MaxNumReorderPics[n-1], MaxDepth))
	}
	if s.VUI != nil && s.VUI.TimingInfo != nil && s.VUI.TimingInfo.TimeScale != 0 {
		out.Frame = int64(s.VUI.TimingInfo.NumUnitsInTick) * ingest.ClockRate / int64(s.VUI.TimingInfo.TimeScale)
	}
	return out
}

// Describe fills in what the sets tell of a track.
func (p *ParameterSets) Describe(t *ingest.Track) {
	is := p.Picture()
	t.Config, t.Width, t.Height = p.Config(), is.Width, is.Height
}

func cloneNALs(nalus [][]byte) [][]byte {
	out := make([][]byte, len(nalus))
	for i, n := range nalus {
		out[i] = bytes.Clone(n)
	}
	return out
}
