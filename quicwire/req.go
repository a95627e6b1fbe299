package quicwire

import "time"

// Req (0x0a) asks for single blocks near the live edge: gaps. What can be served comes on one repair stream, the rest is named by
// a Nack. For the past, and for long runs, there is Session.Fetch.
type Req struct {
	ID       uint64 // repeated by the answers; unique in the session among the sender's Reqs, up to 2^62-1
	Log      LogID
	Orphan   bool          // the sender has no parent for these, so nobody else will send them
	Starting bool          // the sender has just joined
	Deadline time.Duration // after it the blocks are of no use, ms; 0: none
	Blocks   []uint64      // ascending, within 4096 of each other
}

func (m *Req) spec() *spec { return specReq }

func (m *Req) fields(c *codec) {
	c.varint(&m.ID, maxVarint)
	c.mine(&m.Log)
	c.flags(&m.Orphan, &m.Starting)
	c.ms(&m.Deadline)
	c.indices(&m.Blocks)
}

// Nack (0x0b) names the blocks of a Req that the sender will not send.
type Nack struct {
	ID      uint64 // of the Req
	Log     LogID
	Reason  Refusal
	Backlog time.Duration // how long a repair waits for the sender's uplink, ms
	Size    uint64        // of the newest head it has verified
	Blocks  []uint64      // ascending, within 4096 of each other
}

func (m *Nack) spec() *spec { return specNack }

func (m *Nack) fields(c *codec) {
	c.varint(&m.ID, maxVarint)
	c.yours(&m.Log)
	c.u8((*uint8)(&m.Reason))
	c.ms(&m.Backlog)
	c.size(&m.Size)
	c.indices(&m.Blocks)
}

// Cancel (0x0c) names blocks that the sender has meanwhile, whether it had asked for them or they were due to be pushed.
type Cancel struct {
	Log    LogID
	Blocks []uint64 // ascending, within 4096 of each other
}

func (m *Cancel) spec() *spec { return specCancel }

func (m *Cancel) fields(c *codec) {
	c.mine(&m.Log)
	c.indices(&m.Blocks)
}
