package mpegts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

const (
	portion = 64 << 10 // what is read at once
	// A stream that has not shown one packet by then will not.
	patience = 1 << 20
)

// File airs a recording at the pace of its own clock.
type File struct {
	Config
	Path  string
	Open  func() (io.ReadCloser, error) // If nil, os.Open(Path).
	Loop  bool                          // begin again at the end; times go on as if the recording were longer
	Speed float64                       // If zero, 1: real time. math.Inf(1) does not wait at all.
}

// Run implements ingest.Source.
func (f *File) Run(ctx context.Context, sink ingest.Sink) error {
	loop := &looper{sink: newPacer(ctx, sink, f.Speed)}
	scanner := f.scanner(loop)
	for {
		err := f.round(ctx, scanner)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("couldn't air %s: %w", f.Path, err)
		}
		if !f.Loop {
			return nil
		}
		if !loop.again() {
			return fmt.Errorf("couldn't loop %s: it is too short", f.Path)
		}
	}
}

// round airs the file once.
func (f *File) round(ctx context.Context, scanner *ts.Scanner) error {
	in, err := f.open()
	if err != nil {
		return err
	}
	defer in.Close()
	buf := make([]byte, portion)
	for total := 0; ctx.Err() == nil; {
		n, err := in.Read(buf)
		scanner.Write(buf[:n])
		if total += n; errors.Is(err, io.EOF) || total > patience && errors.Is(scanner.Diagnose(), ts.ErrNotTS) {
			break
		}
		if err != nil {
			return err
		}
	}
	scanner.Rewind()
	return scanner.Diagnose()
}

func (f *File) open() (io.ReadCloser, error) {
	if f.Open != nil {
		return f.Open()
	}
	return os.Open(f.Path)
}
