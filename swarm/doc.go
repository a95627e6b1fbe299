// Package swarm decides whom to ask and whom to serve, in what order, and does it over package quicwire. docs/swarm.md explains it, from
// what a stripe is to why each constant is what it is.
//
// It has two halves. Mesh decides: a state machine without network, clock or goroutine, that is told what happened and answers what to
// do. Swarm does: it runs the sessions, verifies what comes in, writes what Mesh has decided to push, and tells Mesh.
//
//	            Event (session up, message, block verified, tick)
//	 ┌────────┐ ────────────────────────────────────────────────▶ ┌────────┐
//	 │ Swarm  │                                                   │  Mesh  │
//	 └────────┘ ◀──────────────────────────────────────────────── └────────┘
//	   │    │       Action (dial, send, push, stop, close, look up)
//	quicwire feed
//
// The bytes of a block do not lead through Mesh: the goroutine that reads a stream verifies the block (feed's Log.Put) and reports its
// index; Mesh queues it for the children of its stripe, and a writer for each peer takes it from the log when it is its turn.
//
// Each stripe comes from a parent of its own, and goes to children as far as the uplink carries. What is missing is asked for block by
// block. Nobody is believed who could not be: ranks, sizes and faults rest on what was verified here.
package swarm
