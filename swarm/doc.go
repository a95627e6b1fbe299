// Package swarm decides whom to ask and whom to serve, in what order, and does it over package quicwire. docs/swarm.md explains it.
//
// It has two halves. Direct decides: a state machine without network, clock or goroutine, that is told what happened and answers what to
// do. Swarm does: it runs the sessions, verifies what comes in, pushes on what is verified, and tells Direct.
//
//	            Event (session up, message, block verified, tick)
//	 ┌────────┐ ────────────────────────────────────────────────▶ ┌────────┐
//	 │ Swarm  │                                                   │ Direct │
//	 └────────┘ ◀──────────────────────────────────────────────── └────────┘
//	   │    │       Action (dial, send, serve, close)
//	quicwire feed
//
// The way of a block does not lead through Direct: the goroutine that reads a stream verifies the block (feed's Log.Put), and those
// that push to subscribers wake up from the log itself. Direct hears of it afterwards.
//
// Direct is the simplest policy that is honest about failure: everything comes from one parent, the best of the addresses in the link, and
// from the next one if it fails. Everybody serves everybody else.
package swarm
