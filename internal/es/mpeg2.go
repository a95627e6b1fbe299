package es

import (
	"bytes"

	"tailcast/ingest"
)

// MPEG2 reads what we need of MPEG-1 and MPEG-2 pictures (ISO/IEC 13818-2, 6.2.2).
type MPEG2 struct {
	width, height, rate int // of the sequence header; rate is its code
	extended            bool
}

// pictureTicks is the duration of a picture in 90 kHz by frame_rate_code (table 6-4).
var pictureTicks = [16]int64{0, 3754, 3750, 3600, 3003, 3000, 1800, 1502, 1500}

// Look reads a picture's headers: whether decoding can start at it, whether nothing before it is shown after it, and whether
// Describe has more to say than before.
func (m *MPEG2) Look(data []byte) (key, closed, fresh bool) {
	i := bytes.Index(data, []byte{0, 0, 1, 0xb3})
	if i < 0 || len(data) < i+8 {
		return false, false, false
	}
	h := data[i+4:]
	now := MPEG2{width: int(h[0])<<4 | int(h[1]>>4), height: int(h[1]&15)<<8 | int(h[2]), rate: int(h[3] & 15)}
	now.extended = bytes.Contains(h, []byte{0, 0, 1, 0xb5})
	fresh = now != *m
	*m = now
	g := bytes.Index(h, []byte{0, 0, 1, 0xb8})
	return true, g >= 0 && len(h) > g+7 && h[g+7]&0x40 != 0, fresh
}

// Frame is the duration of a picture in 90 kHz; 0 if unknown.
func (m *MPEG2) Frame() int64 { return pictureTicks[m.rate] }

// Describe fills in what has been seen.
func (m *MPEG2) Describe(t *ingest.Track) {
	t.Width, t.Height = m.width, m.height
	if m.width > 0 && !m.extended {
		t.StreamType = streamMPEG1Video
	}
}
