package srt

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip"
)

// TestPanic: a panic under one publisher's packets ends its connection, and nothing else.
func TestPanic(t *testing.T) {
	s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet(), Latency: latency})
	if err != nil {
		t.Fatal(err)
	}
	f := &ingesttest.Fragile{Record: ingesttest.NewRecord(), Left: 2}
	ingesttest.Start(t, s, f)
	first := mustCall(t, s.Addr(), "publish:live", "")
	in := clip.Bytes()
	for rest := in; len(rest) > 1316 && s.Stats().LastError() == ""; rest = rest[1316:] {
		_, _ = first.Write(rest[:1316])
	}
	ingesttest.Until(t, "told of the panic", func() bool { return strings.Contains(s.Stats().LastError(), "made its parser panic: glass") })
	before := len(f.All())
	send(t, mustCall(t, s.Addr(), "publish:live", ""), in)
	f.Wait(t, before+whole)
}

// TestSilence: who sends is not silent, though nothing is delivered of it until the latency is over.
func TestSilence(t *testing.T) {
	s, r := serve(t, ServerConfig{Latency: 5 * time.Second})
	first := mustCall(t, s.Addr(), "publish:live", "")
	on, off := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	defer sending.Wait()
	defer off()
	sending.Go(func() {
		for rest := clip.Bytes(); len(rest) > 1316 && on.Err() == nil; rest = rest[1316:] {
			_, _ = first.Write(rest[:1316])
			<-time.After(20 * time.Millisecond)
		}
	})
	<-time.After(1500 * time.Millisecond) // longer than patience, and shorter than the latency
	if _, err := call(s.Addr(), "publish:live", ""); err == nil || !strings.Contains(err.Error(), "1407") {
		t.Errorf("second publisher got %v, want a conflict", err)
	}
	if n := len(r.All()); n != 0 {
		t.Fatalf("%d samples came before the latency was over: nothing is tested", n)
	}
}

// TestLongLatency: what is delivered only after more than the time in which a silent connection is given up airs all the same.
func TestLongLatency(t *testing.T) {
	if testing.Short() {
		t.Skip("takes twelve seconds")
	}
	t.Parallel()
	s, r := serve(t, ServerConfig{Latency: 12 * time.Second})
	send(t, mustCall(t, s.Addr(), "publish:live", ""), clip.Bytes())
	<-time.After(5 * time.Second) // so that what waits next need not wait for all of it
	r.Wait(t, whole)
}
