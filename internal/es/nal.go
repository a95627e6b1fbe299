package es

import (
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"tailcast/ingest"
)

// NALKind is what a NAL unit is to us; H.264 (7.4.1) and H.265 (7.4.2.2) number them differently.
type NALKind uint8

// The kinds that matter to somebody.
const (
	NALOther NALKind = iota
	NALSlice
	NALIDR  // a slice of a picture that nothing after it looks back beyond
	NALIRAP // the same, except that pictures shown before it may (CRA and BLA of H.265)
	NALVPS
	NALSPS
	NALPPS
	NALSEI
	NALDelimiter
)

// NALCodec reads NAL units of ingest.H264 or ingest.H265.
type NALCodec ingest.Codec

// Kind tells what a NAL unit is.
func (c NALCodec) Kind(nalu []byte) NALKind {
	if len(nalu) == 0 {
		return NALOther
	}
	if ingest.Codec(c) == ingest.H265 {
		return kind265(h265.NALUType(nalu[0] >> 1 & 63))
	}
	return kind264(h264.NALUType(nalu[0] & 31))
}

func kind264(t h264.NALUType) NALKind {
	switch t {
	case h264.NALUTypeIDR:
		return NALIDR
	case h264.NALUTypeNonIDR, h264.NALUTypeDataPartitionA, h264.NALUTypeDataPartitionB, h264.NALUTypeDataPartitionC:
		return NALSlice
	case h264.NALUTypeSPS:
		return NALSPS
	case h264.NALUTypePPS:
		return NALPPS
	case h264.NALUTypeSEI:
		return NALSEI
	case h264.NALUTypeAccessUnitDelimiter:
		return NALDelimiter
	}
	return NALOther
}

func kind265(t h265.NALUType) NALKind {
	switch {
	case t == h265.NALUType_IDR_W_RADL || t == h265.NALUType_IDR_N_LP:
		return NALIDR
	case t >= h265.NALUType_BLA_W_LP && t <= h265.NALUType_CRA_NUT:
		return NALIRAP
	case t < 32: // VCL, table 7-1
		return NALSlice
	case t == h265.NALUType_VPS_NUT:
		return NALVPS
	case t == h265.NALUType_SPS_NUT:
		return NALSPS
	case t == h265.NALUType_PPS_NUT:
		return NALPPS
	case t == h265.NALUType_PREFIX_SEI_NUT:
		return NALSEI
	case t == h265.NALUType_AUD_NUT:
		return NALDelimiter
	}
	return NALOther
}

// recoveryPoint tells whether a SEI NAL unit holds a recovery point message (payload type 6 in H.264, D.1.8, and H.265, D.2.8):
// decoding may start here although the picture is no IDR.
func (c NALCodec) recoveryPoint(sei []byte) bool {
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

// AnnexB appends nalus to dst, each behind a start code of four bytes (H.264, Annex B).
func AnnexB(dst []byte, nalus [][]byte) []byte {
	for _, n := range nalus {
		dst = append(append(dst, 0, 0, 0, 1), n...)
	}
	return dst
}

// Access tells whether decoding can start at an access unit: at a recovery point too, by which a stream without IDR pictures is joined.
func (c NALCodec) Access(nalus [][]byte) ingest.Flags {
	if c.Has(nalus, NALIDR) || c.Has(nalus, NALIRAP) {
		return ingest.RandomAccess
	}
	for _, n := range nalus {
		if c.Kind(n) == NALSEI && c.recoveryPoint(n) {
			return ingest.RandomAccess | ingest.Recovery
		}
	}
	return 0
}

// Has tells whether an access unit has a NAL unit of kind k.
func (c NALCodec) Has(nalus [][]byte, k NALKind) bool {
	return slices.ContainsFunc(nalus, func(n []byte) bool { return c.Kind(n) == k })
}
