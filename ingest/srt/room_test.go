package srt

import (
	"strings"
	"testing"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip"
)

// fragile panics at its third sample.
type fragile struct {
	*ingesttest.Record
	count int
}

func (f *fragile) WriteSample(s ingest.Sample) {
	if f.count++; f.count == 3 {
		panic("glass")
	}
	f.Record.WriteSample(s)
}

// TestPanic: a panic under one publisher's packets ends its connection, and nothing else.
func TestPanic(t *testing.T) {
	s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet(), Latency: latency})
	if err != nil {
		t.Fatal(err)
	}
	f := &fragile{Record: ingesttest.NewRecord()}
	ingesttest.Start(t, s, f)
	first := mustCall(t, s.Addr(), "publish:live", "")
	in := clip.Bytes()
	for rest := in; len(rest) > 1316 && s.Stats().LastError() == ""; rest = rest[1316:] {
		_, _ = first.Write(rest[:1316])
	}
	until(t, "told of the panic", func() bool { return strings.Contains(s.Stats().LastError(), "made the parser panic: glass") })
	before := len(f.All())
	send(t, mustCall(t, s.Addr(), "publish:live", ""), in)
	f.Wait(t, before+whole)
}
