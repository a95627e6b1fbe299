// Package quicwire is how two nodes of a channel talk: sessions over QUIC, the messages on them, and the streams that carry blocks.
// It knows formats, order, priorities and bounds; whom to ask and whom to serve is for package swarm. docs/wire.md is its
// specification; where the two differ, one of them is wrong.
//
// An Endpoint is one UDP socket. Two nodes that know the same link make a Session over it:
//
//	dialer                                          acceptor
//	   ├── QUIC, TLS 1.3, both with node certificates ──┤  each knows the other's node key
//	   ├── link proof ("dial")  ───────────────────────▶│  which channel? that whose root key fits; none: closed
//	   │◀─────────────── link proof ("accept"), HELLO ──┤
//	   ├── HELLO ──────────────────────────────────────▶│
//	   │◀═══════════════ control stream ═══════════════▶│  one, both ways: messages (SUB, STATUS, REQ, ...)
//	   │◀─────────── stripe streams ────────────────────┤  one for each log, stripe and segment: blocks as they are signed
//	   │◀─────────── repair streams ────────────────────┤  one for each REQ: blocks that were missed
//	   │◀═══════════ range streams ════════════════════▶│  one for each range of the past: request, then blocks
//
// All of it works both ways: who serves and who is served has nothing to do with who dialled.
//
// A block verifies alone: with it come its record, its signature and the peaks of the tree before it. This package only puts these
// together again (a feed.Block and the merkle.Frontier it claims to stand on); whether they are true, feed decides.
//
// The peer is a stranger. What it sends is bounded in size, in rate and in time, and whoever breaks the format or a bound loses the
// session, with a Code and a sentence that both ends see (Error). A slow peer loses streams, then the session; it never makes
// others wait, as nothing here is shared between sessions but the socket.
package quicwire
