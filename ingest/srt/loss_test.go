package srt

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip"
)

// hole is a way between an encoder and a server on which datagrams vanish.
type hole struct {
	out    *net.UDPConn // to the server
	in     *net.UDPConn // from the encoder
	drop   func(number uint32, again bool) bool
	answer func(b []byte) [][]byte // what the client gets in place of b; if nil, b
	mu     sync.Mutex
	client netip.AddrPort
}

// dig makes one that asks drop about each packet of media on its way to the server.
func dig(t *testing.T, server netip.AddrPort, drop func(number uint32, again bool) bool) netip.AddrPort {
	t.Helper()
	return (&hole{drop: drop}).dig(t, server)
}

func (h *hole) dig(t *testing.T, server netip.AddrPort) netip.AddrPort {
	t.Helper()
	in, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		t.Fatal(err)
	}
	h.in, h.out = in, out
	var both sync.WaitGroup
	both.Go(h.there)
	both.Go(h.back)
	t.Cleanup(func() { in.Close(); out.Close(); both.Wait() })
	return in.LocalAddr().(*net.UDPAddr).AddrPort()
}

func (h *hole) there() {
	for buf := make([]byte, 2048); ; {
		n, from, err := h.in.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.client = from
		h.mu.Unlock()
		if media := n > 16 && buf[0]&0x80 == 0; media && h.drop != nil && h.drop(binary.BigEndian.Uint32(buf), buf[4]&4 != 0) {
			continue
		}
		_, _ = h.out.Write(buf[:n]) // lost, if not written
	}
}

func (h *hole) back() {
	for buf := make([]byte, 2048); ; {
		n, err := h.out.Read(buf)
		if err != nil {
			return
		}
		h.mu.Lock()
		to := h.client
		h.mu.Unlock()
		answers := [][]byte{buf[:n]}
		if h.answer != nil {
			answers = h.answer(buf[:n])
		}
		for _, b := range answers {
			_, _ = h.in.WriteToUDPAddrPort(b, to)
		}
	}
}

// TestRepair: what is lost once is asked for again, comes in time, and is counted.
func TestRepair(t *testing.T) {
	s, r := serve(t, ServerConfig{Latency: 2 * time.Second})
	var dropped atomic.Uint64
	way := dig(t, s.Addr(), func(n uint32, again bool) bool {
		if n%20 == 7 && !again {
			dropped.Add(1)
			return true
		}
		return false
	})
	c := mustCall(t, way, "", "")
	send(t, c, clip.Bytes())
	r.Wait(t, whole)
	same(t, r, want(t, theClip), 0)
	ingesttest.Until(t, "counted", func() bool { return s.Stats().Retransmitted.Load() >= dropped.Load() })
	quietStats(t, s.Stats())
	if n := dropped.Load(); n < 20 {
		t.Errorf("only %d were dropped: the test tests nothing", n)
	}
}

// TestLoss: what never comes is counted exactly, the units it was part of are marked, and the stream goes on.
func TestLoss(t *testing.T) {
	s, r := serve(t, ServerConfig{})
	var passed [2]atomic.Uint32 // the first number, and one more than the last
	way := dig(t, s.Addr(), func(n uint32, again bool) bool {
		if n%100 == 7 {
			return true
		}
		passed[0].CompareAndSwap(0, n)
		if !again {
			passed[1].Store(n + 1)
		}
		return false
	})
	gone := func() (count uint64) { // those between two that passed: what nothing follows nobody can miss
		for n := passed[0].Load(); n != passed[1].Load(); n = (n + 1) & 0x7fffffff {
			if n%100 == 7 {
				count++
			}
		}
		return count
	}
	c := mustCall(t, way, "", "")
	send(t, c, clip.Bytes())
	send(t, c, clip.Bytes())
	r.Wait(t, 2*whole-3*12)
	ingesttest.Until(t, "counted", func() bool { return s.Stats().LostDatagrams.Load() >= gone() })
	lost := s.Stats().LostDatagrams.Load()
	if n := gone(); lost != n || n < 5 {
		t.Errorf("%d datagrams counted as lost of %d that were", lost, n)
	}
	if packets := s.Stats().LostPackets.Load(); packets < lost || s.Stats().DamagedSamples.Load() == 0 {
		t.Errorf("%d transport packets and %d damaged units counted for %d datagrams", packets, s.Stats().DamagedSamples.Load(), lost)
	}
	ingesttest.CheckTimes(t, r.Of(0)[:100])
}
