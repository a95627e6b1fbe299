package srt

import (
	"bytes"
	"math"
	"net/netip"
	"testing"
	"time"

	gosrt "github.com/datarhei/gosrt"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/mpegts"
	"tailcast/internal/clip"
)

const whole = 567 // samples in the clip

// want is what the bytes of a transport stream hold.
func want(t *testing.T, in func() mpegts.File) *ingesttest.Record {
	t.Helper()
	r, f := ingesttest.NewRecord(), in()
	f.Speed = math.Inf(1)
	if err := f.Run(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func theClip() mpegts.File { return mpegts.File{Path: "clip", Open: clip.Open} }

// same compares the samples of each track with those from which they came, of which the last of each may be missing: what gosrt holds
// when the sender hangs up is lost.
func same(t *testing.T, got, from *ingesttest.Record, tail int) {
	t.Helper()
	for _, track := range from.Program(t).Tracks {
		g, w := got.Of(track.ID), from.Of(track.ID)
		missing := tail
		if track.Codec.IsAudio() {
			missing *= 2 // comes in PES packets of many frames
		}
		if len(g) > len(w) || len(g) < len(w)-missing {
			t.Errorf("track %d: %d samples of %d came, the last %d may be missing", track.ID, len(g), len(w), missing)
			continue
		}
		for i := range g {
			if !bytes.Equal(g[i].Data, w[i].Data) || g[i].PTS-g[0].PTS != w[i].PTS-w[0].PTS || g[i].DTS-g[0].DTS != w[i].DTS-w[0].DTS {
				t.Fatalf("track %d: sample %d differs from the file's", track.ID, i)
			}
		}
	}
	if g, w := offset(got), offset(from); g != w {
		t.Errorf("sound is %d ticks after the picture, want %d", g, w)
	}
}

// offset is how much later the second track begins.
func offset(r *ingesttest.Record) int64 { return r.Of(1)[0].PTS - r.Of(0)[0].PTS }

// serve starts a server on loopback.
func serve(t *testing.T, cfg ServerConfig) (*Server, *ingesttest.Record) {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	if cfg.Logger == nil {
		cfg.Logger = ingesttest.Quiet()
	}
	if cfg.Latency == 0 {
		cfg.Latency = time.Second // a machine that is busy for longer loses something
	}
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := ingesttest.NewRecord()
	ingesttest.Start(t, s, r)
	return s, r
}

// call dials as an encoder does.
func call(addr netip.AddrPort, streamID, passphrase string) (gosrt.Conn, error) {
	c := gosrt.DefaultConfig()
	c.StreamId, c.Passphrase = streamID, passphrase
	conn, err := gosrt.Dial("srt", addr.String(), c)
	if err != nil {
		return nil, inWords(err)
	}
	return conn, nil
}

// mustCall fails the test if the call is refused.
func mustCall(t *testing.T, addr netip.AddrPort, streamID, passphrase string) gosrt.Conn {
	t.Helper()
	c, err := call(addr, streamID, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// send puts transport packets into a connection, no faster than its queue of 1024 datagrams empties.
func send(t *testing.T, c gosrt.Conn, in []byte) {
	t.Helper()
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for len(in) > 0 {
		n := min(len(in), 7*188)
		if _, err := c.Write(in[:n]); err != nil {
			t.Fatalf("couldn't send: %v", err)
		}
		in = in[n:]
		<-pace.C
	}
}

func quietStats(t *testing.T, s *ingest.Stats) {
	t.Helper()
	if n := s.LostPackets.Load() + s.LostDatagrams.Load() + s.DamagedSamples.Load() + s.SkippedBytes.Load(); n != 0 {
		t.Errorf("%d lost, damaged or skipped, want none; last error %q", n, s.LastError())
	}
}
