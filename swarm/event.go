package swarm

import (
	"bytes"
	"cmp"
	"net/netip"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A SessionID names a session with a peer; 0 is none. They count up, and are not used again.
type SessionID uint64

// An Epoch is what Mesh knows of an epoch: its place in the order of epochs, and its name.
type Epoch struct {
	Generation, Number uint64
	ID                 feed.EpochID
}

// Compare orders epochs as docs/feed.md does: by generation, then by number, then by id. The zero Epoch is below all others.
func (e Epoch) Compare(o Epoch) int {
	return cmp.Or(cmp.Compare(e.Generation, o.Generation), cmp.Compare(e.Number, o.Number), bytes.Compare(e.ID[:], o.ID[:]))
}

// ComingAfter is how long a block may take from its first byte to its last before Mesh wants to know that it is coming.
const ComingAfter = 100 * time.Millisecond

// An Event is something that happened, for Mesh to know: one of the structs below.
type Event interface{ event() }

type (
	// Tick says that time has passed. Mesh wants one every TickEvery.
	Tick struct{}

	// SessionUp says that a session is open, HELLO exchanged and the peer's notes verified.
	SessionUp struct {
		Session SessionID
		Contact int // the Dial that it answers; -1 if the peer dialled us
		Peer    feed.PublicKey
		Addr    string // host:port, as we see it
		Role    quicwire.Role
		Flags   quicwire.NodeFlags
		Limits  quicwire.Limits // of its HELLO
		Seen    netip.AddrPort  // our address, as the peer sees it
		Epoch   Epoch           // of the peer's notes; zero if it had none
		Expired bool            // it had some, but they have expired
		RTT     time.Duration
		Wall    time.Time // the peer's clock in HELLO
	}

	// SessionDown says that a session has ended.
	SessionDown struct {
		Session SessionID
		Err     error
	}

	// DialFailed says that a Dial came to nothing.
	DialFailed struct {
		Contact int
		Err     error
	}

	// Learned says that a node of the channel may be reached at an address.
	Learned struct {
		Addr   netip.AddrPort
		Node   *feed.PublicKey // whom to expect there; nil: anybody who knows the link
		Origin Origin
		By     netip.Addr // where we see the peer that names it; invalid unless one does
	}

	// Heard brings a message of a peer. Notes come as NotesHeard; of a Pex only those records that their nodes have signed.
	Heard struct {
		Session SessionID
		Message quicwire.Message
		RTT     time.Duration
		Proved  bool // the message is a Status with a signed head, and the signature holds
	}

	// NotesHeard says that a peer has sent notes, and that they verify.
	NotesHeard struct {
		Session SessionID
		Epoch   Epoch
		Expired bool // but for having expired; Epoch is zero then
	}

	// Misbehaved says that a peer has sent what no honest node sends.
	Misbehaved struct {
		Session SessionID
		Code    quicwire.Code
		Reason  string
	}

	// EpochKnown says which epoch is the newest that this node knows.
	EpochKnown struct{ Epoch Epoch }

	// Condemned says that an epoch's signer broke the rules, and what proves it: here, by a peer, or in an earlier run.
	Condemned struct {
		Epoch Epoch
		Fault *feed.Fault
	}

	// FaultHeard says that a peer has shown the proof of an epoch's fault, and that it verifies. Condemned follows if that is news.
	FaultHeard struct {
		Session SessionID
		Epoch   feed.EpochID
	}

	// Publishing says that this node signs an epoch itself.
	Publishing struct{ Epoch Epoch }

	// BlockIn says that a peer has sent a block, and that it verifies; or that we have signed it ourselves.
	BlockIn struct {
		Session  SessionID // 0: ours
		Log      quicwire.LogID
		Index    uint64
		Kind     feed.Kind
		Back     uint32 // records since the first of its segment
		Size     int    // bytes of its payload
		Wall     time.Time
		Age      time.Duration // since it was signed, as the hops before us count it, the last one included
		Path     []quicwire.ShortID
		Fresh    bool // we did not have it
		Repaired bool // it answers a Req of ours
	}

	// Coming says that a peer began to send a block ComingAfter ago, and that it is not complete yet.
	Coming struct {
		Session SessionID
		Log     quicwire.LogID
		Index   uint64
	}

	// Found says which of the blocks of a LookUp are held.
	Found struct {
		Log    quicwire.LogID
		Blocks []uint64
	}

	// Fed says that a peer has taken blocks lately.
	Fed struct{ Session SessionID }

	// Pushed says that a Push is done: QUIC has taken its blocks, or it never will.
	Pushed struct {
		Session SessionID
		Log     quicwire.LogID
		Stripe  uint8
		Request uint64 // as the Push said; 0: it was of a stripe
		Bytes   int    // likewise
		Failed  bool   // nothing or not all of it was sent
	}

	// Burst says how fast the first packets of a block from a peer came: a guess at its uplink, for it to know.
	Burst struct {
		Session SessionID
		Rate    uint64 // bits per second
	}

	// Traffic says how many bytes all sessions together have carried since the start, on the wire, UDP and IP headers included. It comes
	// before each Tick.
	Traffic struct{ Sent, Received uint64 }

	// Leaving says that this node will end in a while: it says BYE, takes on nobody new, and goes on serving.
	Leaving struct{ For time.Duration }

	// Capped says how much may be sent from now on.
	Capped struct {
		Up uint64 // bits per second on the wire; 0: no cap
	}

	// BlockBad says that a peer has sent a block that does not verify.
	BlockBad struct {
		Session SessionID
		Log     quicwire.LogID
		Index   uint64
		Err     error
		Signer  bool // the signer is to blame, not the sender
	}
)

func (Tick) event()        {}
func (SessionUp) event()   {}
func (SessionDown) event() {}
func (DialFailed) event()  {}
func (Heard) event()       {}
func (NotesHeard) event()  {}
func (Misbehaved) event()  {}
func (EpochKnown) event()  {}
func (Condemned) event()   {}
func (FaultHeard) event()  {}
func (Publishing) event()  {}
func (BlockIn) event()     {}
func (Found) event()       {}
func (Coming) event()      {}
func (Fed) event()         {}
func (Pushed) event()      {}
func (Burst) event()       {}
func (Traffic) event()     {}
func (Capped) event()      {}
func (Leaving) event()     {}
func (Learned) event()     {}
func (BlockBad) event()    {}

// An Action is something to be done: one of the structs below.
type Action interface{ action() }

type (
	// Dial asks for a session. The answer is SessionUp or DialFailed, with the same Contact.
	Dial struct {
		Contact int
		Addr    string
		Node    *feed.PublicKey
		Timeout time.Duration
	}

	// Close ends a session. SessionDown follows.
	Close struct {
		Session SessionID
		Code    quicwire.Code
		Reason  string
	}

	// Send sends a message.
	Send struct {
		Session SessionID
		Message quicwire.Message
	}

	// Push sends blocks to a peer: one of a stripe that it has subscribed, or those of its Req that are held. The answer is Pushed. Pushes
	// to one peer are done in order.
	Push struct {
		Session SessionID
		Log     quicwire.LogID
		Stripe  uint8 // of a pushed block
		Stripes uint8
		Request uint64   // the Req that this answers, all of it; 0: it is a push
		Blocks  []uint64 // ascending; a push has one
		Orphan  bool     // the Req was urgent
		Bytes   int      // on the wire, about
		Path    []quicwire.ShortID
	}

	// Stop ends the stream of a stripe to a peer: nothing more is pushed on it, what QUIC has not sent yet is dropped.
	Stop struct {
		Session SessionID
		Log     quicwire.LogID
		Stripe  uint8
	}

	// LookUp asks which of these blocks an earlier run has left. The answer is Found.
	LookUp struct {
		Log    quicwire.LogID
		Blocks []uint64
	}

	// Abandon says that nobody will be asked for what is missing of a log below a block: it was not followed then, or for too long nothing came.
	Abandon struct {
		Log   quicwire.LogID
		Below uint64
	}
)

func (Dial) action()    {}
func (Close) action()   {}
func (Send) action()    {}
func (Push) action()    {}
func (Stop) action()    {}
func (LookUp) action()  {}
func (Abandon) action() {}

// A Shelf is what Mesh may look up of what this node holds. Each answer comes from memory, at once; so it does not tell of single blocks,
// which may be on disk: of those that came lately Mesh knows by itself, and others are for LookUp, Repair and ranges.
type Shelf interface {
	// Notes returns those of the newest epoch; empty if none is known.
	Notes() feed.Notes
	// Renditions returns those of an epoch's newest State; nil if none is known.
	Renditions(feed.EpochID) []feed.Rendition
	// Look returns what is held of a log; false if its epoch is not known here, or has no such log.
	Look(quicwire.LogID) (Holding, bool)
}

// A Holding is what a node holds of a log.
type Holding struct {
	Head    feed.Head // newest verified; Size 0 if none
	Base    uint64    // first block held
	Segment uint64    // first block of the newest segment that is held from there on; Head.Size if none is
	Stripes int       // how many the log has; 0 if not known yet
}

// An Origin says from where an address is known: how far to believe that a node of the channel is there.
type Origin uint8

// The origins.
const (
	FromLink     Origin = iota // the link names it
	FromPin                    // the operator names it: a relay of ours
	FromLAN                    // it announces itself on this network
	FromCache                  // it was a peer when this node ran last
	FromPeer                   // a peer says so, and the node itself has signed it (PEX)
	FromReferral               // a peer refers us to it
)
