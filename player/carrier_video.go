package player

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"tailcast/ingest"
)

// oneFrame is what a video sample becomes: how long it lasts, only the next one tells.
func oneFrame(data []byte) []frame { return []frame{{data: data}} }

// lengthPrefixed turns Annex B into units with four bytes of length before each (ISO/IEC 14496-15, 5.3.4.2.1). All units stay,
// parameter sets too: a file that is joined in the middle of a change of them plays on.
func lengthPrefixed(data []byte) ([]frame, error) {
	var units h264.AnnexB
	if err := units.Unmarshal(data); err != nil {
		return nil, err
	}
	out, err := h264.AVCC(units).Marshal()
	return oneFrame(out), err
}

// avc carries H.264.
type avc struct{ sps, pps []byte }

func (a *avc) learn(data []byte) {
	var units h264.AnnexB
	if units.Unmarshal(data) != nil {
		return
	}
	var sps, pps []byte
	for _, u := range units {
		switch t := h264.NALUType(u[0] & 0x1f); {
		case t == h264.NALUTypeSPS && sps == nil && new(h264.SPS).Unmarshal(u) == nil:
			sps = u
		case t == h264.NALUTypePPS && pps == nil:
			pps = u
		}
	}
	if sps != nil && pps != nil {
		a.sps, a.pps = bytes.Clone(sps), bytes.Clone(pps)
	}
}

func (a *avc) entry() codecs.Codec {
	if a.sps == nil {
		return nil
	}
	return &codecs.H264{SPS: a.sps, PPS: a.pps}
}

// name: profile, constraint flags and level in hexadecimal (RFC 6381, 3.3).
func (a *avc) name() string                        { return fmt.Sprintf("avc1.%02x%02x%02x", a.sps[1], a.sps[2], a.sps[3]) }
func (a *avc) clock() int                          { return ingest.ClockRate }
func (a *avc) frames(data []byte) ([]frame, error) { return lengthPrefixed(data) }

// hevc carries H.265.
type hevc struct {
	vps, sps, pps []byte
	level         h265.SPS_ProfileTierLevel
}

func (h *hevc) learn(data []byte) {
	var units h264.AnnexB
	if units.Unmarshal(data) != nil {
		return
	}
	var vps, sps, pps []byte
	var parsed h265.SPS
	for _, u := range units {
		switch t := h265.NALUType(u[0] >> 1 & 0x3f); {
		case t == h265.NALUType_VPS_NUT && vps == nil:
			vps = u
		case t == h265.NALUType_SPS_NUT && sps == nil && parsed.Unmarshal(u) == nil && usable(u, &parsed):
			sps = u
		case t == h265.NALUType_PPS_NUT && pps == nil:
			pps = u
		}
	}
	if vps != nil && sps != nil && pps != nil {
		h.vps, h.sps, h.pps = bytes.Clone(vps), bytes.Clone(sps), bytes.Clone(pps)
		h.level = parsed.ProfileTierLevel
	}
}

// usable refuses what the library would stumble over when it makes the sample entry.
func usable(sps []byte, parsed *h265.SPS) bool {
	return parsed.ChromaFormatIdc <= 3 && len(h264.EmulationPreventionRemove(sps)) >= 14
}

func (h *hevc) entry() codecs.Codec {
	if h.sps == nil {
		return nil
	}
	return &codecs.H265{VPS: h.vps, SPS: h.sps, PPS: h.pps}
}

// name: profile, compatibility flags in reverse bit order, tier, level, constraint bytes (ISO/IEC 14496-15, E.3).
func (h *hevc) name() string {
	space := []string{"", "A", "B", "C"}[h.level.GeneralProfileSpace&3]
	var compatible uint32
	for i, set := range h.level.GeneralProfileCompatibilityFlag {
		if set {
			compatible |= 1 << i
		}
	}
	tier := "L"
	if h.level.GeneralTierFlag != 0 {
		tier = "H"
	}
	var constraints strings.Builder
	raw := h264.EmulationPreventionRemove(h.sps) // two bytes of unit header, one of IDs, one of profile, four of compatibility
	for _, b := range bytes.TrimRight(raw[8:14], "\x00") {
		fmt.Fprintf(&constraints, ".%X", b)
	}
	return fmt.Sprintf("hvc1.%s%d.%X.%s%d%s", space, h.level.GeneralProfileIdc, compatible, tier, h.level.GeneralLevelIdc, &constraints)
}

func (h *hevc) clock() int                          { return ingest.ClockRate }
func (h *hevc) frames(data []byte) ([]frame, error) { return lengthPrefixed(data) }

// av1Video carries AV1 in its low-overhead bitstream format (AV1 specification, 5.2).
type av1Video struct {
	header []byte // sequence header OBU, without a size field
	parsed av1.SequenceHeader
}

func (a *av1Video) learn(data []byte) {
	var obus av1.Bitstream
	if obus.Unmarshal(data) != nil {
		obus = av1.Bitstream{data} // Track.Config is one OBU, which needs no size field
	}
	for _, o := range obus {
		var h av1.SequenceHeader
		if len(o) > 0 && av1.OBUType(o[0]>>3&15) == av1.OBUTypeSequenceHeader && h.Unmarshal(o) == nil {
			a.header, a.parsed = bytes.Clone(o), h
			return
		}
	}
}

func (a *av1Video) entry() codecs.Codec {
	if a.header == nil {
		return nil
	}
	return &codecs.AV1{SequenceHeader: a.header}
}

// name: profile, level and tier, bit depth (AV1 Codec ISO Media File Format Binding, 5).
func (a *av1Video) name() string {
	tier := "M"
	if a.parsed.SeqTier[0] {
		tier = "H"
	}
	return fmt.Sprintf("av01.%d.%02d%s.%02d", a.parsed.SeqProfile, a.parsed.SeqLevelIdx[0], tier, a.parsed.ColorConfig.BitDepth)
}

func (a *av1Video) clock() int { return ingest.ClockRate }

// frames leaves out temporal delimiters, which a file must not have (AV1 binding, 2.4).
func (a *av1Video) frames(data []byte) ([]frame, error) {
	var obus av1.Bitstream
	if err := obus.Unmarshal(data); err != nil {
		return nil, err
	}
	kept := obus[:0]
	for _, o := range obus {
		if av1.OBUType(o[0]>>3&15) != av1.OBUTypeTemporalDelimiter {
			kept = append(kept, o)
		}
	}
	if len(kept) == 0 {
		return nil, errFrame
	}
	out, err := kept.Marshal()
	return oneFrame(out), err
}

// vp9Video carries VP9.
type vp9Video struct{ header vp9.Header }

func (v *vp9Video) learn(data []byte) {
	var h vp9.Header
	if h.Unmarshal(data) == nil && h.FrameSize != nil {
		v.header = h
	}
}

func (v *vp9Video) entry() codecs.Codec {
	if v.header.FrameSize == nil {
		return nil
	}
	return &codecs.VP9{
		Width: v.header.Width(), Height: v.header.Height(), Profile: v.header.Profile,
		BitDepth: v.header.ColorConfig.BitDepth, ChromaSubsampling: v.header.ChromaSubsampling(), ColorRange: v.header.ColorConfig.ColorRange,
	}
}

// name: profile, level (1, as the sample entry says; nobody looks at it), bit depth (VP Codec ISO Media File Format Binding).
func (v *vp9Video) name() string {
	return fmt.Sprintf("vp09.%02d.10.%02d", v.header.Profile, v.header.ColorConfig.BitDepth)
}

func (v *vp9Video) clock() int                          { return ingest.ClockRate }
func (v *vp9Video) frames(data []byte) ([]frame, error) { return oneFrame(data), nil }

// mpeg2Video carries MPEG-2 video (ISO/IEC 13818-2).
type mpeg2Video struct{ config []byte }

// learn keeps what stands before the first group or picture: sequence header and its extensions.
func (m *mpeg2Video) learn(data []byte) {
	begin := bytes.Index(data, []byte{0, 0, 1, 0xb3})
	if begin < 0 {
		return
	}
	data = data[begin:]
	for i := 4; i+4 <= len(data); i++ {
		if data[i] == 0 && data[i+1] == 0 && data[i+2] == 1 && (data[i+3] == 0xb8 || data[i+3] == 0) {
			m.config = bytes.Clone(data[:i])
			return
		}
	}
}

func (m *mpeg2Video) entry() codecs.Codec {
	if m.config == nil {
		return nil
	}
	return &codecs.MPEG1Video{Config: m.config}
}

func (m *mpeg2Video) name() string                        { return "mp4v.61" }
func (m *mpeg2Video) clock() int                          { return ingest.ClockRate }
func (m *mpeg2Video) frames(data []byte) ([]frame, error) { return oneFrame(data), nil }
