package ts

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"tailcast/ingest"
)

// Pictures are made of units that begin with 00 00 01: Annex B of H.264 and H.265 took the start code over from MPEG-2. What
// a unit is good for here:
const (
	delimiter   = 1 << iota // an access unit begins
	first                   // the first slice, or the header, of a picture
	key                     // belongs to a picture at which decoding can begin
	parameters              // parameter set or sequence header
	information             // supplemental enhancement information
)

// kindOf classifies the unit that b begins with, its start code left out. An access unit of MPEG-2 has no delimiter: two
// fields, with a header each, make one.
func kindOf(c ingest.Codec, b []byte) int {
	switch c {
	case ingest.H264:
		return kindH264(b)
	case ingest.H265:
		return kindH265(b)
	}
	switch b[0] {
	case 0x00:
		return first
	case 0xb3: // sequence header
		return parameters | key
	case 0xb8: // group of pictures
		return first
	}
	return 0
}

func kindH264(b []byte) int {
	switch h264.NALUType(b[0] & 0x1f) {
	case h264.NALUTypeAccessUnitDelimiter:
		return delimiter
	case h264.NALUTypeSPS, h264.NALUTypePPS:
		return parameters
	case h264.NALUTypeSEI:
		return information
	case h264.NALUTypeIDR:
		return key | firstSlice(b[1:])
	case h264.NALUTypeNonIDR, h264.NALUTypeDataPartitionA:
		return firstSlice(b[1:])
	}
	return 0
}

func kindH265(b []byte) int {
	switch t := h265.NALUType(b[0] >> 1 & 0x3f); {
	case t == h265.NALUType_AUD_NUT:
		return delimiter
	case t == h265.NALUType_VPS_NUT, t == h265.NALUType_SPS_NUT, t == h265.NALUType_PPS_NUT:
		return parameters
	case t == h265.NALUType_PREFIX_SEI_NUT:
		return information
	case t >= h265.NALUType_BLA_W_LP && t <= h265.NALUType_CRA_NUT:
		return key | firstSlice(b[min(2, len(b)):])
	case t <= h265.NALUType_RASL_R:
		return firstSlice(b[min(2, len(b)):])
	}
	return 0
}

// firstSlice reads first_mb_in_slice = 0, as Exp-Golomb, or first_slice_segment_in_pic_flag: a one in the first bit.
func firstSlice(slice []byte) int {
	if len(slice) > 0 && slice[0]&0x80 != 0 {
		return first
	}
	return 0
}

// nextUnit is the index behind the first start code at or after from; len(b) if there is none.
func nextUnit(b []byte, from int) int {
	for i := from + 2; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], 1)
		if j < 0 {
			break
		}
		if i += j; b[i-1] == 0 && b[i-2] == 0 {
			return i + 1
		}
	}
	return len(b)
}

// beginning is where the start code before index i begins; in Annex B that may be a zero earlier.
func beginning(b []byte, i int) int {
	if i -= 3; i > 0 && b[i-1] == 0 {
		i--
	}
	return i
}

// trim is the unit that begins at b[i], when the next begins at b[next], without the zeros behind it.
func trim(b []byte, i, next int) []byte {
	if next < len(b) || bytes.HasSuffix(b[i:], []byte{0, 0, 1}) {
		next -= 3
	}
	return bytes.TrimRight(b[i:next], "\x00")
}

// eachUnit calls f for each unit of b.
func eachUnit(b []byte, f func(unit []byte)) {
	for i := nextUnit(b, 0); i < len(b); {
		next := nextUnit(b, i)
		f(trim(b, i, next))
		i = next
	}
}

// hasRecoveryPoint looks for payload type 6 among the messages of an SEI unit (H.264, 7.3.2.3 and D.1.8; H.265, D.2.8).
func hasRecoveryPoint(c ingest.Codec, unit []byte) bool {
	const recoveryPoint = 6
	if bytes.Contains(unit, []byte{0, 0, 3}) {
		unit = h264.EmulationPreventionRemove(unit) // the same rule in both
	}
	header := 1
	if c == ingest.H265 {
		header = 2
	}
	for b := unit[min(header, len(unit)):]; len(b) > 2; { // the last byte is the trailing bits
		var kind, size int
		kind, b = messageNumber(b)
		size, b = messageNumber(b)
		if kind == recoveryPoint {
			return true
		}
		b = b[min(size, len(b)):]
	}
	return false
}

// messageNumber reads a type or size: any number of 255s and one byte less than that, added up.
func messageNumber(b []byte) (n int, rest []byte) {
	for len(b) > 0 && b[0] == 0xff {
		n, b = n+255, b[1:]
	}
	if len(b) > 0 {
		n, b = n+int(b[0]), b[1:]
	}
	return n, b
}

// dimensions finds width and height in parameter sets with start codes; 0 if they are not to be understood.
func dimensions(c ingest.Codec, sets []byte) (width, height int) {
	eachUnit(sets, func(b []byte) {
		switch {
		case len(b) == 0 || width != 0:
		case c == ingest.H264 && b[0]&0x1f == byte(h264.NALUTypeSPS):
			var sps h264.SPS
			if sps.Unmarshal(b) == nil {
				width, height = sps.Width(), sps.Height()
			}
		case c == ingest.H265 && b[0]>>1&0x3f == byte(h265.NALUType_SPS_NUT):
			var sps h265.SPS
			if sps.Unmarshal(b) == nil {
				width, height = sps.Width(), sps.Height()
			}
		case c == ingest.MPEG2Video && len(b) >= 4:
			width, height = int(b[1])<<4|int(b[2])>>4, int(b[2]&15)<<8|int(b[3])
		}
	})
	return max(width, 0), max(height, 0)
}
