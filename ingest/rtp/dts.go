package rtp

import (
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// RTP transmits presentation times alone; decoding times have to be derived.
//
// A stream that is reordered by at most depth pictures (max_num_reorder_frames of H.264, sps_max_num_reorder_pics of H.265) is
// decoded in the order of its presentation times, depth pictures earlier: the decoding time of a unit is the smallest of the
// last depth+1 presentation times that has not been used yet. That is how encoders number their units too, so what comes out
// equals what an encoder would have written into MPEG-TS, at variable frame rates and across losses alike.
//
// H.264 need not say its depth. Then mediacommon's extractor estimates it from picture order counts; where even that fails the time
// is guessed, which degrades a stream for some pictures and never ends it.

// defaultFrame is the duration of a picture that nothing is known of.
const defaultFrame = ingest.ClockRate / 30

// decodeClock derives the decoding times of one video track, in ticks of 90 kHz on the track's own RTP clock.
type decodeClock struct {
	depth   int                // pictures of reordering, or es.DepthUnknown
	frame   int64              // duration of a picture, as far as known
	started bool               // last is valid
	last    int64              // newest decoding time
	key     int64              // presentation time of the newest random access point
	waiting []int64            // ascending: the depth presentation times that are not decoding times yet
	guess   *h264.DTSExtractor // if depth is unknown; nil after an error, until the next IDR
}

// reset begins anew: after a jump of time, or because the parameter sets say another depth or frame duration.
func (d *decodeClock) reset(depth int, frame int64) {
	if frame <= 0 || frame > ingest.ClockRate {
		frame = defaultFrame
	}
	*d = decodeClock{depth: min(depth, es.MaxDepth), frame: frame, started: d.started, last: d.last}
}

// next returns the times of the unit that follows in decoding order: the decoding time is above all before it and not above the
// presentation time, which is raised where no such time exists. guessed says that either is not what the encoder meant.
func (d *decodeClock) next(nalus [][]byte, pts int64, idr, key bool) (outPTS, dts int64, guessed bool) {
	if key {
		d.key = pts
	}
	if d.depth == es.DepthUnknown {
		dts, guessed = d.extract(nalus, pts, idr)
	} else {
		dts = d.reorder(pts, idr)
	}
	if d.started && dts <= d.last {
		dts, guessed = d.last+1, true
	}
	if !guessed && d.started && dts-d.last < ingest.ClockRate/5 {
		d.frame = dts - d.last
	}
	d.started, d.last = true, dts
	return max(pts, dts), dts, guessed || dts > pts
}

// reorder exchanges pts for the smallest time that waits.
func (d *decodeClock) reorder(pts int64, idr bool) int64 {
	if d.waiting == nil {
		d.begin(pts, idr)
	}
	at, _ := slices.BinarySearch(d.waiting, pts)
	d.waiting = slices.Insert(d.waiting, at, pts)
	// A picture that should have been decoded before now belies the depth. Leading pictures of the point we joined at do not:
	// nobody can decode them.
	if d.started && pts <= d.last && pts > d.key && d.depth < es.MaxDepth {
		d.depth++
		return d.last + 1
	}
	dts := d.waiting[0]
	d.waiting = slices.Delete(d.waiting, 0, 1)
	return dts
}

// begin makes up the times that wait when the first unit comes: the frames before it. Unless that is an IDR, what follows may be
// shown before it, by as much as a decoder can hold back.
func (d *decodeClock) begin(pts int64, idr bool) {
	if !idr {
		pts -= es.MaxDepth * d.frame
	}
	d.waiting = make([]int64, 0, es.MaxDepth+1)
	for i := d.depth; i > 0; i-- {
		d.waiting = append(d.waiting, pts-int64(i)*d.frame)
	}
}

// extract asks mediacommon, which needs an IDR to begin and is of no use after an error until the next.
func (d *decodeClock) extract(nalus [][]byte, pts int64, idr bool) (dts int64, guessed bool) {
	if d.guess == nil && idr {
		d.guess = &h264.DTSExtractor{}
		d.guess.Initialize()
	}
	if d.guess != nil {
		if dts, err := d.guess.Extract(nalus, pts); err == nil {
			return dts, false
		}
		d.guess = nil
	}
	if !d.started {
		return pts, true
	}
	return max(d.last+1, min(pts, d.last+d.frame)), true
}
