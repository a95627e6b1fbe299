package srt

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/datarhei/gosrt/packet"

	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip"
)

// shakes tells whether a datagram is a handshake.
func shakes(b []byte) bool {
	p, err := packet.NewPacketFromData(nil, b)
	if err != nil {
		return false
	}
	defer p.Decommission()
	return p.Header().IsControlPacket && p.Header().ControlType == packet.CTRLTYPE_HANDSHAKE
}

// garbage is what no sender says, and not more than a socket has room for. Of a CONCLUSION whose extensions end where they should there is none:
// that is an answer, though a bad one.
func garbage() (all [][]byte) {
	for _, n := range []int{0, 1, 15, 16, 20, 47, 49, 50, 51, 53, 54, 55, 77, 78, 79} {
		conclusion := append([]byte{0x80, 0, 0, 0}, make([]byte, 12+n)...)
		if n > 48 {
			conclusion[16+7] = 1                                     // an extension
			copy(conclusion[16+20:], []byte{0xff, 0xff, 0xff, 0xff}) // conclusion
		}
		all = append(all, conclusion, bytes.Repeat([]byte{byte(n)}, n), bytes.Repeat([]byte{0x80}, n))
	}
	return all
}

// callThrough makes a Caller that reaches g by way of h.
func callThrough(t *testing.T, g *gateway, h *hole, log *ingesttest.Lines) (*Caller, *ingesttest.Record) {
	t.Helper()
	way := h.dig(t, g.Addr().(*net.UDPAddr).AddrPort())
	c, err := NewCaller(CallerConfig{Addr: way.String(), Passphrase: "quite-another", Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	r := ingesttest.NewRecord()
	ingesttest.Start(t, c, r)
	return c, r
}

// TestCallerGarbage: gosrt would panic on some of it, in a goroutine of its own. It comes before each answer of the sender, and behind it.
func TestCallerGarbage(t *testing.T) {
	g, log := newGateway(t, "quite-another"), &ingesttest.Lines{}
	c, r := callThrough(t, g, &hole{answer: func(b []byte) [][]byte {
		if !shakes(b) {
			return [][]byte{b}
		}
		return append(append(garbage(), b), garbage()...)
	}}, log)
	send(t, <-g.calls, clip.Bytes())
	r.Wait(t, whole)
	if n := c.Stats().Reconnects.Load(); n != 0 {
		t.Errorf("%d calls after the first, want none: %s", n, c.Stats().LastError())
	}
	if !strings.Contains(log.String(), "malformed") {
		t.Error("the log says nothing of the malformed handshakes")
	}
}

// TestCallerHearsTwice: a network may double what it carries. A second answer would block gosrt's reader for good.
func TestCallerHearsTwice(t *testing.T) {
	g := newGateway(t, "quite-another")
	c, r := callThrough(t, g, &hole{answer: func(b []byte) [][]byte { return [][]byte{b, b} }}, &ingesttest.Lines{})
	send(t, <-g.calls, clip.Bytes())
	r.Wait(t, whole)
	if n := c.Stats().Reconnects.Load(); n != 0 {
		t.Errorf("%d calls after the first, want none: %s", n, c.Stats().LastError())
	}
}

// TestCallerTruncated: the answer of a real sender, cut at every byte, in front of the whole. A part that is understood is an answer by
// itself and may end the call; no part ends more than that.
func TestCallerTruncated(t *testing.T) {
	g := newGateway(t, "quite-another")
	config, err := configure("quite-another", 0)
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	ends := make(chan error, 144)
	for n := range cap(ends) {
		way := (&hole{answer: func(b []byte) [][]byte {
			if !shakes(b) {
				return [][]byte{b}
			}
			return [][]byte{b[:min(n, len(b))], b}
		}}).dig(t, g.Addr().(*net.UDPAddr).AddrPort())
		calls.Go(func() {
			conn, err := dial(t.Context(), way.String(), config, ingesttest.Quiet())
			if err == nil {
				conn.hangUp()
			}
			ends <- err
		})
		if n%12 == 11 { // the gateway has room for no more
			calls.Wait()
			for range len(g.calls) {
				(<-g.calls).Close()
				<-g.ids
			}
		}
	}
	calls.Wait()
	answered := 0
	for range cap(ends) {
		if err := <-ends; err == nil {
			answered++
		} else if strings.Contains(err.Error(), "timeout") {
			t.Errorf("a part hid the whole: %v", err)
		}
	}
	if answered < 64 {
		t.Errorf("%d calls of %d were answered", answered, cap(ends))
	}
}

// FuzzHandshake: whatever comes, nothing is passed that gosrt does not take, and no answer after the first.
func FuzzHandshake(f *testing.F) {
	for _, b := range garbage() {
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		h := handshake{log: ingesttest.Quiet()}
		for _, b := range [][]byte{one, two, one} {
			if over := h.answered; h.pass(b) && over && shakes(b) {
				t.Error("a handshake was passed after the answer")
			}
		}
	})
}
