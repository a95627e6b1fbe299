package quicwire

import (
	"math"
	"time"

	"github.com/quic-go/quic-go/quicvarint"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

const maxVarint = quicvarint.Max

// MaxStripes is the largest number of stripes of a log.
const MaxStripes = 32

// NoLag is the lag of a stripe that does not flow: its next block is overdue.
const NoLag = time.Duration(math.MaxInt64)

// MaxLag is the largest lag that a Status can say; larger ones are sent as this.
const MaxLag = 254 * lagUnit

const lagUnit = 10 * time.Millisecond

// Status (0x03) says how one log does at the sender: on a slow beat, and at once when stripes start or stop to flow or slots run
// out or come free. What the sender has of each stripe follows from its lag; there are no periodic bitmaps.
type Status struct {
	Log     LogID
	Size    uint64          // of the newest head verified, 0: none
	Prefix  [8]byte         // first bytes of its root, to notice forks; the session sets it from Root if Signed
	Signed  *SignedRoot     // the head itself, now and then: on the first Status of a log, and for whoever doubts Size
	Base    uint64          // the oldest block that ranges can have
	Lags    []time.Duration // of each stripe (so their number is S): newest block against its signing, by steps of 10 ms; NoLag: does not flow
	Homes   uint32          // the stripes in which the sender is interior, bit 0 is stripe 0
	Slots   uint32          // stripes it can take on as a parent, for everybody, now
	Backlog time.Duration   // how long a push waits for its uplink, ms
	Rate    uint64          // at which the first packets of a block from the receiver last came, bits per second; 0: unknown
}

// A SignedRoot completes the size of a Status to a head.
type SignedRoot struct {
	Root      merkle.Hash
	Signature feed.Signature
}

func (m *Status) spec() *spec { return specStatus }

func (m *Status) fields(c *codec) {
	c.mine(&m.Log)
	c.size(&m.Size)
	m.root(c)
	c.size(&m.Base)
	m.lags(c)
	c.mask(&m.Homes)
	c.mask(&m.Slots)
	c.ms(&m.Backlog)
	c.varint(&m.Rate, maxVarint)
}

// root carries 0 and 8 bytes of the root, or 1, the whole root and the signature.
func (m *Status) root(c *codec) {
	var whole uint8
	if m.Signed != nil {
		whole = 1
	}
	c.u8(&whole)
	switch whole {
	case 0:
		c.fixed(m.Prefix[:])
	case 1:
		if c.reading {
			m.Signed = new(SignedRoot)
		}
		c.hash(&m.Signed.Root)
		c.signature(&m.Signed.Signature)
		copy(m.Prefix[:], m.Signed.Root[:])
	default:
		c.fail("root form %d, want 0 or 1", whole)
	}
}

// lags carries a count and so many bytes: lag in steps of 10 ms, 255 for a stripe that does not flow.
func (m *Status) lags(c *codec) {
	count(c, &m.Lags, MaxStripes)
	for i := range m.Lags {
		v := uint8(255)
		if m.Lags[i] != NoLag {
			v = uint8(max(0, min(m.Lags[i], MaxLag)/lagUnit))
		}
		c.u8(&v)
		if c.reading {
			m.Lags[i] = NoLag
			if v < 255 {
				m.Lags[i] = time.Duration(v) * lagUnit
			}
		}
	}
}

// Ping (0x0d) asks whether a stripe flows and whether a block is there: of a parent that is overdue, of a spotter. Who lacks the
// block and wants it may follow its Pong with a Req.
type Ping struct {
	ID     uint64 // repeated by the Pong; free choice of the sender, up to 2^62-1
	Log    LogID
	Stripe uint8
	Index  uint64 // the block asked for, of that stripe
}

func (m *Ping) spec() *spec { return specPing }

func (m *Ping) fields(c *codec) {
	c.varint(&m.ID, maxVarint)
	c.mine(&m.Log)
	c.stripe(&m.Stripe)
	c.size(&m.Index)
}

// Pong (0x0e) answers a Ping, at once.
type Pong struct {
	ID      uint64
	Log     LogID
	Stripe  uint8
	Flows   bool          // the next block of the stripe is not overdue
	Has     bool          // the block asked for is there
	Next    uint64        // index after the newest block of the stripe held, 0: none
	Lag     time.Duration // of that block against its signing, ms
	Backlog time.Duration // how long a push waits for the sender's uplink, ms
	Wall    time.Time     // the sender's clock, microseconds; if zero, the session sets it
}

func (m *Pong) spec() *spec { return specPong }

func (m *Pong) fields(c *codec) {
	c.varint(&m.ID, maxVarint)
	c.yours(&m.Log)
	c.stripe(&m.Stripe)
	c.flags(&m.Flows, &m.Has)
	c.size(&m.Next)
	c.ms(&m.Lag)
	c.ms(&m.Backlog)
	c.wall(&m.Wall)
}

// stripe carries the number of a stripe.
func (c *codec) stripe(v *uint8) {
	c.u8(v)
	c.check(*v < MaxStripes, "stripe %d, want less than %d", *v, MaxStripes)
}

// flags carries a varint, bit 0 for the first flag. Other bits are ignored.
func (c *codec) flags(list ...*bool) {
	var bits uint64
	for i, f := range list {
		if *f {
			bits |= 1 << i
		}
	}
	c.varint(&bits, maxVarint)
	for i, f := range list {
		*f = bits>>i&1 == 1
	}
}
