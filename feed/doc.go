// Package feed is the signed, append-only feed of a channel: who may sign what, what exactly is signed, and what a node keeps of it.
// docs/feed.md is its specification; where the two differ, one of them is wrong.
//
// A channel is known by its root key, which a Link carries. The root key signs a ChannelNote, which names station keys; a station key
// signs an EpochNote for each run of the streamer, which names the key of that run. Only that key, which never touches a disk, signs logs:
//
//	link ── root key ──signs──▶ channel note ── station key ──signs──▶ epoch note ── epoch key ──signs──▶ heads of its logs
//
// A log is a Merkle tree (package merkle) of records of 80 bytes; a record says what its payload is and carries its hash. Every size of
// a log is signed: the Head of size i+1 belongs to block i, which therefore verifies alone, given the frontier before it. One log
// for each rendition holds the media, one named catalog says what there is.
//
// The package has no network and knows nothing of media: a payload is bytes.
package feed
