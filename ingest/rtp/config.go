package rtp

import (
	"log/slog"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"tailcast/ingest"
)

// Output is the way to the sink that all sessions of a source share, one after the other: time never goes back between them, and the
// first sample of each track of a later one is marked as a discontinuity.
type Output struct {
	stats *ingest.Stats
	log   *slog.Logger
	start time.Time // program time is counted from here

	mu    sync.Mutex // held while a session's packet is worked on, and so during every call of sink
	sink  ingest.Sink
	next  int64 // program time that no sample has reached
	begun bool  // a sample went out: what a new session sends first is a discontinuity
}

// NewOutput leads to sink, which is called by one session at a time. Program time is counted from start.
func NewOutput(sink ingest.Sink, stats *ingest.Stats, log *slog.Logger, start time.Time) *Output {
	return &Output{sink: sink, stats: stats, log: log, start: start}
}

// Stream is one elementary stream that a session is going to send.
type Stream struct {
	Media  int // of the session's description, counted from 0: reports are about a media
	Format format.Format
	Clock  int // of RTP, Hz, as the description says it
}

// Config is what is known of a session before its first packet.
type Config struct {
	Title   string
	Agent   string // what the sender calls itself: some are known for their sender reports
	Streams []Stream
	// Wait is for how long a packet is waited for that those after it have overtaken. If zero, 100 ms.
	Wait time.Duration
	// NeedKey, if set, is called when pictures cannot be decoded before the next random access point: for each that is left out until the
	// first has come with its parameter sets, and, after a loss, for each until the next. It must not block, nor call the Intake.
	// If nil, the sender is not to be asked, and what cannot be decoded goes out too: somebody may conceal it.
	NeedKey func(*Track)
}
