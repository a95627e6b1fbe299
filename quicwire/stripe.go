package quicwire

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quic-go/quic-go/quicvarint"

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
	if c.err == nil && h.First%uint64(h.Stripes) != uint64(h.Stripe) {
		c.fail("block %d in stripe %d of %d", h.First, h.Stripe, h.Stripes)
	}
}

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

// maxAge is the largest age that can be said: 12 days.
const maxAge = 1 << 30 * time.Millisecond

// A stripeState is what both ends of a stream know of the blocks before.
type stripeState struct {
	step  uint64 // distance between neighbouring blocks of the stripe
	first uint64 // index of the first block
	last  uint64 // index of the last block, once begun
	begun bool
	path  []ShortID     // of the last block
	peaks []merkle.Hash // of the tree up to and with the last block, as the receiver has it; kept by the sender only
}

func newStripeState(h *StripeHeader) stripeState {
	return stripeState{step: max(1, uint64(h.Stripes)), first: h.First}
}

// steps returns by how many steps index is after the block before.
func (st *stripeState) steps(index uint64) (uint64, error) {
	switch {
	case !st.begun && index == st.first:
		return 0, nil
	case !st.begun:
		return 0, fmt.Errorf("block %d first, want %d as the stream's header says", index, st.first)
	case index <= st.last || (index-st.last)%st.step != 0:
		return 0, fmt.Errorf("block %d after %d in steps of %d", index, st.last, st.step)
	}
	return (index - st.last) / st.step, nil
}

// index returns the index of the block that is so many steps after the one before.
func (st *stripeState) index(steps uint64) (uint64, error) {
	switch {
	case !st.begun && st.first >= merkle.MaxSize:
		return 0, fmt.Errorf("block %d first, which is beyond any log", st.first)
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
func (st *stripeState) done(b *StripeBlock) { st.begun, st.last, st.path = true, b.Index, b.Path }

// have returns the size of the tree whose frontier the receiver holds.
func (st *stripeState) have() uint64 {
	if !st.begun {
		return 0
	}
	return st.last + 1
}

// sent notes that the sender has sent a block.
func (st *stripeState) sent(b *StripeBlock) {
	st.done(b)
	after := b.Frontier
	after.Append(b.Record.Leaf())
	st.peaks = append(st.peaks[:0], after.Peaks()...)
}

// shares reports whether the peaks of f that the receiver is not sent again are those that it has.
func (st *stripeState) shares(f *merkle.Frontier) bool {
	if !st.begun {
		return true
	}
	n := merkle.PeakCount(f.Size()) - merkle.NewPeaks(st.have(), f.Size())
	return slices.Equal(f.Peaks()[:n], st.peaks[:n])
}

// ErrHistory says that a block is of another history of its log than those before it on the stream, although each may verify: the signer
// forked it. The receiver could not make its frontier from what it has; the block belongs on a new stream.
var ErrHistory = errors.New("it does not continue the history that this stream began with")

var errBlock = errors.New("it does not fit the stream or itself")

// appendBlock appends a block as it travels, and returns where its payload begins.
func (st *stripeState) appendBlock(p []byte, b *StripeBlock) (_ []byte, payload int, err error) {
	steps, err := st.steps(b.Index)
	if err != nil || b.Frontier.Size() != b.Index || len(b.Payload) != int(b.Record.Length) || len(b.Path) > MaxPath {
		return p, 0, fmt.Errorf("couldn't send block %d with frontier(%d), %d bytes for a record of %d, a path of %d: %w",
			b.Index, b.Frontier.Size(), len(b.Payload), b.Record.Length, len(b.Path), errors.Join(errBlock, err))
	}
	if !st.shares(&b.Frontier) {
		return p, 0, fmt.Errorf("couldn't send block %d: %w", b.Index, ErrHistory)
	}
	p = quicvarint.Append(p, steps)
	p = quicvarint.Append(p, uint64(max(0, min(b.Age, maxAge).Round(time.Millisecond)/time.Millisecond)))
	p = st.appendPath(p, b.Path)
	p = b.Record.Append(p)
	p = append(p, b.Signature[:]...)
	for _, h := range b.Frontier.PeaksSince(st.have()) {
		p = append(p, h[:]...)
	}
	payload = len(p)
	return append(p, b.Payload...), payload, nil
}

// appendPath appends flags, and the path if it is news.
func (st *stripeState) appendPath(p []byte, path []ShortID) []byte {
	if st.begun && slices.Equal(st.path, path) {
		return append(p, 0)
	}
	p = append(p, flagPath, byte(len(path)))
	for i := range path {
		p = append(p, path[i][:]...)
	}
	return p
}

// A stripeDecoder reads a stream of blocks.
type stripeDecoder struct {
	blockInput
	stripeState
	next   merkle.Frontier // of the tree up to and with the last block, as the sender claims
	repair *counter        // where all bytes of a repair stream count
}

// header reads what the stream begins with. It returns errUnknownStream for streams that do not carry blocks.
func (d *stripeDecoder) header() (h StripeHeader, err error) {
	kind, err := d.in.ReadByte()
	if err != nil {
		return h, withinBlock(err)
	}
	if kind != streamStripe && kind != streamRepair {
		return h, errUnknownStream
	}
	if h.Repair = kind == streamRepair; h.Repair {
		d.media, d.proofs = d.repair, d.repair
	}
	d.proofs.Add(1)
	err = d.parse(maxStripeHeader, h.fields)
	d.stripeState = newStripeState(&h)
	return h, err
}

var errUnknownStream = errors.New("stream of unknown type")

// maxBlockHead is more than the longest block without its payload, in bytes.
const maxBlockHead = 3*8 + 1 + 4*MaxPath + feed.RecordSize + feed.SignatureSize + maxPeaks*merkle.HashSize

// head reads the fields of a block up to its payload.
func (d *stripeDecoder) head() (b StripeBlock, err error) {
	err = d.parse(maxBlockHead, func(c *codec) {
		var steps, flags uint64
		c.size(&steps)
		c.ms(&b.Age)
		c.varint(&flags, maxVarint)
		if b.Path = d.path; flags&flagPath != 0 {
			c.path(&b.Path)
		}
		c.record(&b.Block)
		if c.err == nil {
			b.Index, c.err = d.index(steps)
		}
		if c.err == nil {
			c.peaks(&b.Frontier, &d.next, b.Index)
		}
	})
	if err == nil {
		err = d.codec.noRecord(&b.Block, &b.Frontier)
	}
	return b, err
}

// body reads the payload of b.
func (d *stripeDecoder) body(b *StripeBlock) error {
	if err := d.payload(&b.Block); err != nil {
		return err
	}
	d.done(b)
	d.next = b.Frontier
	d.next.Append(b.Record.Leaf())
	return nil
}
