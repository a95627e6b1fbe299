// Package simulate runs the swarm's own state machine, swarm.Mesh, with up to some ten thousand viewers: one thread, virtual time, and the
// network of internal/netsim/model instead of QUIC. What runs here is what runs in the commands; only the loop around it is another one.
//
//	          Event                     Handle                    Action
//	World ─────────────▶ Policy (a Mesh, or an attacker with a Mesh inside) ─────────────▶ World
//	  ▲                                                                                      │
//	  └─ Queue ◀── when it arrives ── model.Net ◀── Dial, Send, Push, Close ─────────────────┘
//
// A World is one run: a source that signs a stream (as numbers, there are no payloads), viewers that come and go, relays, attackers. It
// translates as package swarm's driver does: a Dial becomes a session after a handshake, a Send becomes Heard after half a round trip, a
// Push becomes BlockIn at the other end after queues, windows and losses, and Pushed here when QUIC would have taken it. Run returns a
// Result: what the broadcaster sent, how far behind the viewers were, what they missed, and every invariant of the swarm that did not hold.
//
// The same Config gives the same run, event by event: Result.Trace says so.
//
// Where it is kinder than the world: no NAT but those of model, clocks that agree, nothing on disk, signatures that need no time. Where it
// is harsher: the network is as model says, nobody dials twice to be sure, and who crashes says nothing to anybody for 15 s.
package simulate
