package quicwire

import (
	"fmt"
	"time"

	"tailcast/feed/merkle"
)

// MaxRange is the largest number of blocks of one range.
const MaxRange = 4096

// A Range asks for the blocks [From, To) of a log, on a stream of its own: to join, to seek, to fill a long hole.
//
//	0x03 │ epoch 10 │ length u8, log name │ from varint │ to varint │ deadline varint ms │ flags varint (none yet)
//
// The log goes by its name, not by a number: it may be long over, and NOTES on the control stream could come later than this.
type Range struct {
	Log      LogID
	From, To uint64        // To - From is 1 to 4096
	Deadline time.Duration // when the last block should be there, ms; 0: no hurry. Below hurried the range goes before repairs
}

// hurried is the deadline below which a range is urgent.
const hurried = time.Second

// maxRangeHeader is more than the longest request, in bytes.
const maxRangeHeader = 128

func (r *Range) fields(c *codec) {
	c.logID(&r.Log)
	c.index(&r.From)
	c.size(&r.To)
	c.check(r.From < r.To && r.To-r.From <= MaxRange, "blocks [%d, %d), want 1 to %d of them", r.From, r.To, MaxRange)
	c.ms(&r.Deadline)
	c.flags()
}

// append appends the request as it travels.
func (r *Range) append(b []byte) ([]byte, error) {
	c := codec{buf: append(b, streamRange)}
	r.fields(&c)
	if c.err != nil {
		return b, fmt.Errorf("couldn't ask for a range: %w", c.err)
	}
	return c.buf, nil
}

// A rangeAnswer begins the answer.
//
//	status u8: 0 │ from varint │ to varint │ peaks of the tree of from records, 32 each │ blocks: record 80, signature 64, payload
//	status u8: a Refusal │ base varint │ size varint │ retry varint ms
//
// What is served begins where the request does, or later if the server lacks the beginning, and may end earlier. After the last block
// the stream ends.
type rangeAnswer struct {
	refused  Refusal // 0: served
	from, to uint64
	base     uint64
	size     uint64
	retry    time.Duration
}

// maxRangeAnswer is more than the longest answer up to its first block, in bytes.
const maxRangeAnswer = 64 + maxPeaks*merkle.HashSize

// fields carries the answer up to the peaks.
func (a *rangeAnswer) fields(c *codec) {
	c.u8((*uint8)(&a.refused))
	if a.refused != 0 {
		c.size(&a.base)
		c.size(&a.size)
		c.ms(&a.retry)
		return
	}
	c.index(&a.from)
	c.size(&a.to)
	c.check(a.from < a.to && a.to-a.from <= MaxRange, "it serves [%d, %d), want 1 to %d blocks", a.from, a.to, MaxRange)
}

// A RangeRefused says that a peer does not serve a range, and what it could serve.
type RangeRefused struct {
	Reason Refusal
	Base   uint64        // the first block that it holds, at or after From if there is one
	Size   uint64        // of the newest head it has verified
	Retry  time.Duration // do not ask again earlier, ms
}

func (e *RangeRefused) Error() string {
	return fmt.Sprintf("the peer refuses the range (%v); it holds blocks from %d up to %d at most", e.Reason, e.Base, e.Size)
}
