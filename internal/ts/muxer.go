package ts

import (
	"errors"
	"io"

	"tailcast/ingest"
)

// ErrCodec is returned for a program with a track that MPEG-TS has no way to carry; the error names the codec.
var ErrCodec = errors.New("MPEG-TS cannot carry this codec")

// Muxer writes one program as a transport stream. It is not safe for concurrent use.
type Muxer struct {
	w io.Writer
}

// NewMuxer returns a Muxer that writes whole packets to w, one Write for each sample.
func NewMuxer(w io.Writer) *Muxer { return &Muxer{w: w} }

// SetProgram begins the program or changes it.
func (m *Muxer) SetProgram(p *ingest.Program) error { return nil }

// WriteSample writes one sample.
func (m *Muxer) WriteSample(s ingest.Sample) error { return nil }

// Discontinuity announces that the times of what follows do not continue those before.
func (m *Muxer) Discontinuity() {}
