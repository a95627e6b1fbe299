package quicwire

import (
	"net/netip"
	"time"

	"tailcast/feed"
)

// A Role says what a node is for. Unknown ones count as Viewer.
type Role uint8

// The roles of version 1.
const (
	Streamer Role = 1
	Relay    Role = 2
	Viewer   Role = 3
)

// String returns the role in lower case, as status shows it.
func (r Role) String() string {
	switch r {
	case Streamer:
		return "streamer"
	case Relay:
		return "relay"
	}
	return "viewer"
}

// NodeFlags say what else a node is. Unknown ones are ignored.
type NodeFlags uint64

// The flags of version 1.
const (
	NoUpload NodeFlags = 1 << 0 // passes nothing on (--no-share, or it cannot); takes free slots only
	Metered  NodeFlags = 1 << 1 // pays for its bytes
)

// maxNote is the longest signed note, in bytes.
const maxNote = feed.MaxNote

// Hello (0x01) is the first message of either end, sent once, right after the link proof.
type Hello struct {
	Role     Role
	Flags    NodeFlags
	Features uint64         // bit set of optional features the sender knows; none in version 1
	Wall     time.Time      // the sender's clock when it sent this, in microseconds; if zero, the session sets it
	Seen     netip.AddrPort // the receiver's address as the sender sees it; the session sets it
	Limits   Limits
	Notes    feed.Notes // of the newest epoch the sender knows; empty if none. Each note at most 4096 bytes
}

// Limits tell a peer what to expect, so that it need not find out by refusals. They promise nothing.
type Limits struct {
	Slots  uint32 // stripes the sender can take on as a parent, for everybody, now
	Uplink uint64 // of the sender, configured or measured, bits per second; 0: unknown
	Ranges uint8  // ranges it serves to one peer at a time
}

func (m *Hello) spec() *spec { return specHello }

func (m *Hello) fields(c *codec) {
	c.u8((*uint8)(&m.Role))
	c.varint((*uint64)(&m.Flags), maxVarint)
	c.varint(&m.Features, maxVarint)
	c.wall(&m.Wall)
	c.addr(&m.Seen)
	c.mask(&m.Limits.Slots)
	c.varint(&m.Limits.Uplink, maxVarint)
	c.u8(&m.Limits.Ranges)
	c.notes(&m.Notes)
}

// Notes (0x02) brings the notes of an epoch that the receiver may not know: sent before anything else about that epoch. On the wire
// it also binds log numbers; the session sends and takes these by itself, and does not hand on a Notes that carries only them.
type Notes struct {
	Notes feed.Notes
	Logs  []LogBinding // at most 32; left to the session
}

// maxBindings is how many log numbers one NOTES can bind.
const maxBindings = 32

func (m *Notes) spec() *spec { return specNotes }

func (m *Notes) fields(c *codec) {
	c.notes(&m.Notes)
	count(c, &m.Logs, maxBindings)
	for i := range m.Logs {
		c.u8(&m.Logs[i].Number)
		c.logID(&m.Logs[i].Log)
	}
}

// notes carries the channel note, then the epoch note.
func (c *codec) notes(n *feed.Notes) {
	c.text(&n.Channel, maxNote)
	c.text(&n.Epoch, maxNote)
}

// Bye (0x11) says that the sender will go. It serves for Leaving longer, takes no more SUBs, and closes the session then; the
// receiver looks for others meanwhile, and closes the session when it is done.
type Bye struct {
	Reason    string        // for people, at most 200 bytes
	Leaving   time.Duration // how long the sender still serves, ms
	Referrals []Referral    // whom to turn to, at most 8
}

func (m *Bye) spec() *spec { return specBye }

func (m *Bye) fields(c *codec) {
	c.str(&m.Reason, maxReason)
	c.ms(&m.Leaving)
	c.referrals(&m.Referrals)
}

// A Referral names a node that may help: the key to expect there, and the address at which the sender sees it.
type Referral struct {
	Node feed.PublicKey
	Addr netip.AddrPort
}

// MaxReferrals is how many nodes one message refers to.
const MaxReferrals = 8

func (c *codec) referrals(list *[]Referral) {
	count(c, list, MaxReferrals)
	for i := range *list {
		c.key(&(*list)[i].Node)
		c.addr(&(*list)[i].Addr)
	}
}
