package segmenter

import (
	"time"

	"tailcast/ingest"
)

// maxBlock is the most a record can carry, minBlock what the head of a unit needs and then some.
const (
	minBlock = 256
	maxBlock = 65536
)

// Config says how to cut. The zero value is right for everything.
type Config struct {
	// BlockSize is the most bytes in a block, 256 to 65536. If zero, 2400 for radio, 6 KiB around 1 Mbit/s, 8 KiB from
	// 3.5 Mbit/s up, as measured, changing between segments only.
	BlockSize int
	// MaxDelay is how long a block may wait for more. If zero, 100 ms, or 200 ms in a program without video.
	MaxDelay time.Duration
	// MinSegment is the least between the starts of segments at random access points. If zero, 1 s.
	MinSegment time.Duration
	// MaxSegment is after how long a segment ends without a random access point. If zero, 10 s.
	MaxSegment time.Duration
	// Now is the clock. If nil, time.Now.
	Now func() time.Time
	// AfterFunc starts a timer that calls f in its own goroutine. If nil, time.AfterFunc.
	AfterFunc func(d time.Duration, f func()) Timer
}

// Timer is the part of *time.Timer that is used.
type Timer interface {
	Reset(d time.Duration) bool
	Stop() bool
}

// Block is what one record is made of.
type Block struct {
	Payload       []byte // belongs to who receives the block
	SegmentFirst  bool   // the payload begins with an init
	RandomAccess  bool   // of a segment's first block: decoding can start here
	Discontinuity bool   // a sample that begins here does not continue the times before it
	Damaged       bool   // a sample that begins here lost bytes on the way in
	// DTS, in 90 kHz ticks, is the decoding time of the first sample of which this block has bytes.
	DTS int64
	// Duration, in 90 kHz ticks, is how far the media clock advanced since the block before, from its newest sample to this
	// one's. Jumps count nothing. Those of a segment sum up to its length.
	Duration uint32
	// Wall is when the first sample that says so, of those that begin here, was captured; zero if none does.
	Wall time.Time
}

// ticks is d in 90 kHz.
func ticks(d time.Duration) int64 {
	return int64(d/time.Microsecond) * ingest.ClockRate / 1e6
}
