package switcher

import (
	"encoding/binary"

	"tailcast/ingest"
)

// spliceInfo is the stream type of SCTE-35 cues.
const spliceInfo = 0x86

// splice keeps the cues of an input true when its times are moved: they name times of the program, to which whoever remultiplexes adds
// in pts_adjustment (ANSI/SCTE 35, 9.6). Everything else in them stays as it is.
//
//	table_id 0xfc · section_length (2) · protocol_version · encryption (7 bits) pts_adjustment (33 bits) · ... · CRC (4)
func (d *desk) splice(m *ingest.Sample, shift int64) {
	b := m.Data
	if !d.cues(m.Track) || len(b) < 20 || b[0] != 0xfc || m.Flags&ingest.Damaged != 0 {
		return
	}
	length := 3 + int(binary.BigEndian.Uint16(b[1:])&0xfff)
	if length < 20 || length > len(b) {
		return
	}
	adjust := (int64(b[4]&1)<<32 | int64(binary.BigEndian.Uint32(b[5:]))) + shift
	b[4] = b[4]&^1 | byte(adjust>>32)&1
	binary.BigEndian.PutUint32(b[5:], uint32(adjust))
	binary.BigEndian.PutUint32(b[length-4:], crc(b[:length-4]))
}

func (d *desk) cues(track uint8) bool {
	for _, t := range d.program.Tracks {
		if t.ID == track {
			return t.Sections && t.StreamType == spliceInfo
		}
	}
	return false
}

// crc is that of sections (ISO/IEC 13818-1, annex A).
func crc(b []byte) uint32 {
	c := ^uint32(0)
	for _, x := range b {
		c ^= uint32(x) << 24
		for range 8 {
			c = c<<1 ^ 0x04c11db7&-(c>>31)
		}
	}
	return c
}
