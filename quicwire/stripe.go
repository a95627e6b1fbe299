package quicwire

import (
	"fmt"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// The first byte of every stream but the control stream. Streams of other types are reset (StreamUnknown).
const (
	streamStripe = 0x01 // unidirectional: blocks of one log, stripe and segment
	streamRepair = 0x02 // unidirectional: blocks that answer one REQ
	streamRange  = 0x03 // bidirectional: a request for a range, and its answer
)

// A StripeHeader begins a stream of blocks. On a stripe stream they are every Stripes-th block of one segment, from First on; on a
// repair stream those that were asked for, ascending. The log goes by the number of the node that asked.
//
//	stripe:  0x01 │ log u8 │ stripe u8 │ stripes u8 │ segment varint │ first index varint
//	repair:  0x02 │ log u8 │ id of the REQ varint │ first index varint
type StripeHeader struct {
	Log     LogID
	Stripe  uint8 // First mod Stripes
	Stripes uint8
	Segment uint32
	First   uint64 // index of the first block on the stream

	Repair  bool // it answers the Req with the id Request; Stripe, Stripes and Segment are 0 then
	Request uint64
	Urgent  bool // not on the wire: send a repair before segments that are not the newest
}

// maxStripeHeader is more than the longest header, in bytes.
const maxStripeHeader = 32

// fields carries the header after the first byte, which says whether it is a repair.
func (h *StripeHeader) fields(c *codec) {
	c.yours(&h.Log)
	if h.Repair {
		c.varint(&h.Request, maxVarint)
		c.index(&h.First)
		return
	}
	c.stripeOf(&h.Stripe, &h.Stripes)
	c.mask(&h.Segment)
	c.index(&h.First)
	c.check(c.err != nil || h.First%uint64(h.Stripes) == uint64(h.Stripe), "block %d in stripe %d of %d", h.First, h.Stripe, h.Stripes)
}

// step returns the distance between neighbouring blocks of the stream.
func (h *StripeHeader) step() uint64 { return max(1, uint64(h.Stripes)) }

// append appends the header as it travels.
func (h *StripeHeader) append(b []byte, logs *logNumbers) ([]byte, error) {
	kind := byte(streamStripe)
	if h.Repair {
		kind = streamRepair
	}
	c := codec{buf: append(b, kind), logs: logs}
	h.fields(&c)
	return c.buf, c.err
}

// A StripeBlock is a block on its way, with what it takes to verify it: Block and Frontier are what feed's Log.Put wants.
//
//	steps varint │ age varint ms │ flags varint │ [path: count u8, 4 bytes each] │ record 80 │ signature 64 │ peaks 32 each │ payload
//
// steps is the distance to the block before on this stream, in steps of Stripes (of 1 on a repair stream); 0 for the first. Flag 1
// says that the path follows; without it, it is that of the block before. The peaks are those of the tree before the block that who
// has the block before on this stream lacks, largest first; all of them with the first. So their number, as the payload's length in
// the record, need not be said.
type StripeBlock struct {
	feed.Block
	Frontier merkle.Frontier // of the Index records before the block; on arrival as claimed by the sender
	Age      time.Duration   // since it was signed, as far as the hops can tell: time spent in nodes, and half a round trip for each hop; ms
	Path     []ShortID       // from the source to the sender, both included; shared, not to be changed
}

const flagPath = 1 << 0

// A stripeState is what either end of a stream knows of the blocks before.
type stripeState struct {
	step  uint64
	first uint64 // index of the first block
	last  uint64 // index of the last block, once begun
	begun bool
	path  []ShortID // of the last block
}

// distance returns by how many steps index is after the block before.
func (st *stripeState) distance(index uint64) (uint64, error) {
	if !st.begun {
		if index != st.first {
			return 0, fmt.Errorf("block %d first, want %d as the stream's header says", index, st.first)
		}
		return 0, nil
	}
	if index <= st.last || (index-st.last)%st.step != 0 {
		return 0, fmt.Errorf("block %d after %d in steps of %d", index, st.last, st.step)
	}
	return (index - st.last) / st.step, nil
}

// index returns the index of the block that is so many steps after the one before.
func (st *stripeState) index(steps uint64) (uint64, error) {
	switch {
	case !st.begun && steps == 0:
		return st.first, nil
	case !st.begun || steps == 0:
		return 0, fmt.Errorf("%d steps to the block, want 0 for the first and only for it", steps)
	case steps > (merkle.MaxSize-1-st.last)/st.step:
		return 0, fmt.Errorf("%d steps of %d lead beyond any log", steps, st.step)
	}
	return st.last + steps*st.step, nil
}

// done notes that a block has been carried.
func (st *stripeState) done(index uint64, path []ShortID) {
	st.begun, st.last, st.path = true, index, path
}

// have returns the size of the tree whose frontier the receiver holds.
func (st *stripeState) have() uint64 {
	if !st.begun {
		return 0
	}
	return st.last + 1
}
