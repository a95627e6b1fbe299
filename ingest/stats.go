package ingest

import (
	"sync"
	"sync/atomic"
)

// Stats counts what a source met. The source writes, anybody reads at any time; the zero value is ready.
type Stats struct {
	Bytes           atomic.Uint64 // received from the input
	Samples         atomic.Uint64 // delivered
	LostPackets     atomic.Uint64 // missing by continuity counter or RTP sequence number
	LostSegments    atomic.Uint64 // of a playlist, that were gone before they were fetched, or could not be
	LostDatagrams   atomic.Uint64 // missing by SRT's numbers: not there in time, though asked for
	Retransmitted   atomic.Uint64 // SRT packets that came because they were asked for again
	DamagedSamples  atomic.Uint64 // delivered with Damaged
	SkippedBytes    atomic.Uint64 // passed over to find synchronisation
	Discontinuities atomic.Uint64 // jumps of the media clock
	DTSFallbacks    atomic.Uint64 // decoding times that had to be guessed
	Reconnects      atomic.Uint64 // connections begun after the first
	LastSample      atomic.Int64  // unix nanoseconds of the newest delivery
	left            leavings
	lastError       atomic.Pointer[string]
}

// SetError remembers err as the newest trouble; nil is ignored.
func (s *Stats) SetError(err error) {
	if err == nil {
		return
	}
	text := err.Error()
	s.lastError.Store(&text)
}

// LastError is the newest trouble in words, or "".
func (s *Stats) LastError() string {
	if p := s.lastError.Load(); p != nil {
		return *p
	}
	return ""
}

// NamedStats are the counts of a source of several streams, by their names: a server has them by embedding. Anybody may ask at any
// time; the zero value is ready.
type NamedStats struct {
	mu   sync.Mutex // guards list
	list map[string]*Stats
}

// Stats counts what has come in of the one stream of Run.
func (n *NamedStats) Stats() *Stats { return n.StatsOf("") }

// StatsOf is Stats of one of the streams of RunPaths.
func (n *NamedStats) StatsOf(name string) *Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.list == nil {
		n.list = map[string]*Stats{}
	}
	if n.list[name] == nil {
		n.list[name] = &Stats{}
	}
	return n.list[name]
}
