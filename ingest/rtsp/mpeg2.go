package rtsp

import (
	"bytes"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"tailcast/ingest"
)

// mpeg2 reads what we need of MPEG-1 and MPEG-2 pictures (ISO/IEC 13818-2, 6.2.2).
type mpeg2 struct {
	width, height, rate int // of the sequence header; rate is its code
	extended            bool
}

// pictureTicks is the duration of a picture in 90 kHz by frame_rate_code (table 6-4).
var pictureTicks = [16]int64{0, 3754, 3750, 3600, 3003, 3000, 1800, 1502, 1500}

// look reads a picture's headers: whether decoding can start at it, whether nothing before it is shown after it, and whether what
// is known of the stream has changed.
func (m *mpeg2) look(data []byte) (key, closed, fresh bool) {
	i := bytes.Index(data, []byte{0, 0, 1, 0xb3})
	if i < 0 || len(data) < i+8 {
		return false, false, false
	}
	h := data[i+4:]
	now := mpeg2{width: int(h[0])<<4 | int(h[1]>>4), height: int(h[1]&15)<<8 | int(h[2]), rate: int(h[3] & 15)}
	now.extended = bytes.Contains(h, []byte{0, 0, 1, 0xb5})
	fresh = now != *m
	*m = now
	g := bytes.Index(h, []byte{0, 0, 1, 0xb8})
	return true, g >= 0 && len(h) > g+7 && h[g+7]&0x40 != 0, fresh
}

// newMPEGVideo takes MPEG-1 and MPEG-2 video (RFC 2250), which is reordered by one picture at most.
func newMPEGVideo(f *format.MPEG1Video) (*frames, error) {
	var m mpeg2
	var key, closed bool
	v := &frames{rate: f.ClockRate(), clock: &decodeClock{}}
	v.clock.reset(1, 0)
	v.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := f.CreateDecoder()
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
		if key, closed, fresh = m.look(picture); fresh {
			v.fresh = true
			v.clock.reset(1, pictureTicks[m.rate])
		}
		return keyFlag(key)
	}
	v.closed = func() bool { return closed }
	v.about = func(t *ingest.Track) {
		t.Width, t.Height = m.width, m.height
		if m.width > 0 && !m.extended {
			t.StreamType = streamMPEG1Video
		}
	}
	return v, nil
}
