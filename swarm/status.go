package swarm

import (
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A State says how following the channel goes.
//
//	Waiting ──▶ Starting ──▶ Flowing ◀──▶ Stalled
//	   ▲           ▲            │             │
//	   │           └────────────┴── new epoch ┤
//	   │                        ▼             │
//	no epoch                  Ended ◀─────────┘
type State uint8

// The states. A streamer is always Flowing.
const (
	Waiting  State = iota // no epoch is known
	Starting              // an epoch is known, but nothing of its renditions has come yet
	Flowing               // blocks come
	Stalled               // blocks do not come; Reason says why
	Ended                 // the signer ended all that we follow
)

// String returns the state in lower case.
func (s State) String() string {
	return [...]string{"waiting", "starting", "flowing", "stalled", "ended"}[s]
}

// A Status is a snapshot of a Swarm, at most 200 ms old.
type Status struct {
	State  State
	Reason string // one sentence: why nothing comes, if State is Waiting, Starting or Stalled; else empty

	Epoch        Epoch  // the one that is followed; of a streamer its own
	HighestEpoch uint64 // the highest number of an epoch that any peer has shown, of the highest generation
	Superseded   *Epoch // streamer: a higher epoch of this channel, which is live. Two streamers run: this one should stop

	Peers          []Peer
	Sent, Received quicwire.Bytes // of all sessions since the start
	WireSent       uint64         // QUIC packets, without UDP and IP headers
	PacketsSent    uint64         // so many
	WireReceived   uint64
	Blocks         Blocks
	LagP50, LagP99 time.Duration // of the blocks of the last 10 s: verified here, after the wall clock of the record

	Clocks  []feed.PeerClock // of the peers that we dialled, for feed.Freshness
	Ahead   bool             // a peer proves a size clearly above ours: for feed.FreshnessInput.Higher
	Banned  uint64           // sessions that we ended because of what the peer did
	Skipped uint64           // how often a subscriber that fell behind was taken to the newest segment

	Uplink   uint64    // what we believe our uplink carries, or may carry: bits per second on the wire; 0: not known yet
	Measured uint64    // as much of it as is more than a guess, since the uplink was full, in this run or before it (Config.Known)
	Slots    int       // stripes that we can take on, for everybody
	Used     int       // stripes that we push now
	Children int       // peers that we push to
	Missing  int       // stripes of the renditions that we follow without a parent that delivers
	Known    []Contact // nodes that were good to us, best first, for discovery.Cache
	Notes    []string  // what somebody should know although the channel flows: one sentence each

	Heard   int       // nodes that others named lately, and that we have no session with: they and Peers are the audience, at least
	Stripes []Stripe  // of the renditions that are followed: where each comes from
	Refused []Refused // the last ones, the latest last
}

// A Stripe is a part of a rendition, and who pushes it to us.
type Stripe struct {
	Log    string
	Number int
	From   string // Peer.ID of the parent; empty: nobody
	Hops   int    // from the source to here: 1 if the parent is the source; 0: not known
	Flows  bool   // the next block is not overdue
}

// Refused is somebody whom we have shut out for what it sent, or did not send.
type Refused struct {
	ID, Addr string
	Role     quicwire.Role
	Why      string
	At       time.Time
}

// A Contact is a node that can be dialled again.
type Contact struct {
	Addr string
	Node feed.PublicKey
	Role quicwire.Role
}

// Blocks counts blocks since the start, by what became of them.
type Blocks struct {
	Verified  uint64 // taken in, the repaired ones included
	Rejected  uint64 // did not verify
	Missed    uint64 // given up
	Duplicate uint64 // had them already
	Repaired  uint64 // came because we asked for them one by one
	ByOthers  uint64 // of those taken in: not from the streamer itself, so that it need not send them to us
}

// A Peer is one session.
type Peer struct {
	ID      string // first 8 characters of its node key
	Node    feed.PublicKey
	Addr    string
	Role    quicwire.Role
	Inbound bool // it dialled us
	RTT     time.Duration
	Up      float64       // bytes of all kinds that we send to it, bits per second over the last seconds
	Down    float64       // likewise that it sends to us
	Sent    uint64        // bytes on the wire that it got from us in this session
	Lag     time.Duration // of the rendition that it is furthest with, as it says; quicwire.NoLag: it says that nothing flows, or nothing
	Parent  bool          // we follow it
	Stripes int           // that flow between us, both ways
	Fed     int           // of these, those that we push to it; the catalog is none
	Blocks  uint64        // of it that we took in
	Repairs uint64        // of these, those that we had to ask for one by one

	session SessionID
	offset  time.Duration // its clock minus ours
}
