package netsim

import (
	"testing"
	"testing/synctest"
	"time"
)

// send sends one packet from a to b and returns how long it took, and whether it arrived within a second.
func send(t *testing.T, a, b *Host, size int) (took time.Duration, ok bool) {
	t.Helper()
	start := time.Now()
	if _, err := a.WriteTo(make([]byte, size), b.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	b.SetReadDeadline(start.Add(time.Second))
	if _, _, err := b.ReadFrom(make([]byte, 2000)); err != nil {
		return 0, false
	}
	return time.Since(start), true
}

func TestLatencyAndRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{Latency: 25 * time.Millisecond})
		a, b := n.Host(Link{}), n.Host(Link{Up: 1_000_000})
		if got, ok := send(t, a, b, 1250); !ok || got < 25*time.Millisecond || got > 26*time.Millisecond {
			t.Errorf("a packet took %v, want 25 ms", got)
		}
		start := time.Now()
		for range 100 {
			send(t, b, a, 1250)
		}
		// 125 kB at 1 Mbit/s, less simnet's initial burst; each round also waits for its packet.
		if got := time.Since(start); got < 900*time.Millisecond {
			t.Errorf("100 packets of 10 ms each took %v", got)
		}
	})
}

func TestCutAndLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{})
		a, b := n.Host(Link{}), n.Host(Link{})
		for _, h := range []*Host{a, b} {
			h.Cut(true)
			if _, ok := send(t, a, b, 100); ok {
				t.Errorf("a packet arrived through a cut")
			}
			h.Cut(false)
		}
		n.SetLoss(0.5)
		arrived := 0
		for range 200 {
			if _, ok := send(t, a, b, 100); ok {
				arrived++
			}
		}
		if arrived < 70 || arrived > 130 {
			t.Errorf("%d of 200 packets arrived at 50 %% loss", arrived)
		}
	})
}

// A host on which nothing runs, and that is cut, stops nobody else's packets.
func TestCutHostBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{Latency: 25 * time.Millisecond})
		a, b, dead := n.Host(Link{}), n.Host(Link{}), n.Host(Link{})
		dead.Cut(true)
		for range 500 {
			if _, err := a.WriteTo(make([]byte, 1000), dead.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if _, ok := send(t, a, b, 100); !ok {
			t.Error("a packet to another host did not arrive within a second")
		}
	})
}

func TestHostsInSubnetsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{})
		seen := make(map[string]bool)
		for range 300 {
			ip := n.Host(Link{}).AddrPort().Addr()
			p, _ := ip.Prefix(24)
			if seen[p.String()] || ip.IsPrivate() {
				t.Errorf("%v is private or shares its /24", ip)
			}
			seen[p.String()] = true
		}
	})
}
