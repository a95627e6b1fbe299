// Package node is what the commands share: flags and their sources, exit codes, signals, listeners, the line that says "ready",
// the status and metrics of a node and the HTTP server around them. It knows the feed, the wire and the swarm; media it has
// never heard of: a command hands it HTTP handlers and counters.
//
// A command's main is then: parse flags, build the parts, Run.
package node
