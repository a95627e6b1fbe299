package hls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/abema/go-mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
)

const (
	// A segment may have so many samples and boxes. A minute of AAC has 2,800 samples; a sample in a fragment of its own takes seven boxes.
	maxSamples = 1 << 16
	maxCopied  = 1 << 22
	// The samples of a segment may take twice its size and this, for headers of frames, and parameter sets at each keyframe.
	roomForHeaders = 1 << 20
)

var errSwollen = errors.New("its samples take more than twice the size of the segment")

// bounded refuses a segment that would take far more memory than it has bytes: the parser makes what a trun declares (ISO/IEC 14496-12, 8.8.8), and
// a sample without a size or flags of its own has no bytes there. It goes through the same boxes as fmp4.Parts does, by the same reader.
func bounded(b []byte) error {
	var cost cost
	_, err := mp4.ReadBoxStructure(bytes.NewReader(b), func(h *mp4.ReadHandle) (any, error) {
		if err := cost.add(b, &h.BoxInfo); err != nil {
			return nil, err
		}
		if t := h.BoxInfo.Type; t == mp4.BoxTypeMoof() || t == mp4.BoxTypeTraf() {
			_, err := h.Expand()
			return nil, err
		}
		return nil, nil
	})
	return err
}

// cost is what the boxes so far would take.
type cost struct {
	count  uint64 // samples and boxes
	track  uint64 // samples of this traf
	copied uint64 // samples that were moved for others of their traf to follow: each run moves all before it
}

// add counts x, a box of b.
func (c *cost) add(b []byte, x *mp4.BoxInfo) error {
	if x.Size > math.MaxUint32 { // its end would lie before its beginning, by overflow
		return fmt.Errorf("a box is said to have %d bytes", x.Size)
	}
	c.count++
	switch x.Type {
	case mp4.BoxTypeTraf():
		c.track = 0
	case mp4.BoxTypeTrun():
		at := x.Offset + x.HeaderSize + 4 // behind version and flags
		if at+4 > uint64(len(b)) {
			return io.ErrUnexpectedEOF
		}
		n := uint64(binary.BigEndian.Uint32(b[at:]))
		c.copied += c.track
		c.track, c.count = c.track+n, c.count+n
	}
	if c.count > maxSamples || c.copied > maxCopied {
		return fmt.Errorf("it has more than %d samples and boxes, or too many runs of samples", maxSamples)
	}
	return nil
}

// partsOf takes a segment apart. Its samples are parts of it, of which none may be used twice.
func partsOf(b []byte) (parts fmp4.Parts, err error) {
	if err = bounded(b); err == nil {
		err = parts.Unmarshal(b)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't understand an fMP4 segment: %w", err)
	}
	size := 0
	for _, part := range parts {
		for _, t := range part.Tracks {
			for _, s := range t.Samples {
				size += len(s.Payload)
			}
		}
	}
	if size > len(b) {
		return nil, fmt.Errorf("an fMP4 segment of %d bytes is said to have samples of %d", len(b), size)
	}
	return parts, nil
}
