// Package model is the Internet as a swarm feels it, without packets: how long a block or a message takes from one node to another, in
// virtual time. It is what lets ten thousand nodes stream on one core, where netsim's real QUIC manages some dozens.
//
// A Queue holds what is still to happen, in order. A Net holds Hosts, each with an uplink, a downlink and a place, and Conns between them.
// The caller owns both and ties them together:
//
//	Net.Push(transfer) ─▶ uplink, one block at a time ─▶ Sent.Done    the uplink is free: Net.Next
//	                          │ congestion window, pacing, loss
//	                          ├─▶ Sent.Taken    QUIC has taken it: the sender may go on with this peer
//	                          └─▶ Sent.Reach    its first packet is there: Net.Land ─▶ downlink ─▶ its last one is
//	Net.Message(bytes) ─▶ uplink, before blocks ─▶ downlink
//
// What it knows of: rates of both access links, queues at both, half a round trip by distance, loss of single packets with the time to
// notice and repair it, a loss-based congestion window and pacing for each direction of a connection, order within a stream, framing, ACKs,
// handshakes, and NATs through which nobody can dial. Everything that a host sends is counted in bytes on the wire, by kind.
//
// What it leaves out: queues inside the network, jitter, cross traffic, CPU. Blocks are not cut into packets: those of one block leave one
// after the other, a message comes between two blocks' packets but not between two of the same host's messages.
//
// All times are durations since the start of the run. All is deterministic: one thread, one random source.
package model
