package ts

import (
	"errors"
	"log/slog"

	"tailcast/ingest"
)

// Config says what a Scanner takes and where it goes.
type Config struct {
	Sink    ingest.Sink
	Stats   *ingest.Stats // If nil, counted for nobody.
	Program uint16        // program_number to take. If zero, the first one the PAT lists.
	Logger  *slog.Logger  // If nil, silent.
}

// Scanner takes a transport stream apart. It is not safe for concurrent use; it calls the Sink from within its methods.
type Scanner struct {
	cfg Config
}

// NewScanner returns a Scanner that waits for the first packet.
func NewScanner(cfg Config) *Scanner { return &Scanner{cfg: cfg} }

// Write takes any portion of the stream; it always takes all and never fails.
func (s *Scanner) Write(p []byte) (int, error) { return len(p), nil }

// Idle delivers an access unit whose length was not declared but whose end is evident. Call it when nothing has arrived for about 20 ms;
// without it the unit waits for the beginning of the next.
func (s *Scanner) Idle() {}

// Flush delivers all that is open and forgets the packets' positions and counters: at the end of the input, or where it was
// interrupted. Tables, tracks and the clock stay.
func (s *Scanner) Flush() {}

// Rewind is Flush for an input that begins again: the clock is forgotten too, so that times start over without a discontinuity.
func (s *Scanner) Rewind() {}

// Diagnose says in one sentence why no sample was delivered so far; nil if one was.
func (s *Scanner) Diagnose() error { return errors.New("not scanned yet") }
