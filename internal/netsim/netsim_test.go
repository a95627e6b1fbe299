package netsim

import (
	"slices"
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

// The way between two hosts is that between their places on the map, the same both ways.
func TestDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{Latency: 10 * time.Millisecond, Spread: 50 * time.Millisecond})
		corner, middle, far := n.Host(Link{}), n.Host(Link{X: 0.5, Y: 0.5}), n.Host(Link{X: 1, Y: 1})
		tests := []struct {
			a, b *Host
			want time.Duration
		}{
			{corner, far, 60 * time.Millisecond},
			{far, corner, 60 * time.Millisecond},
			{corner, middle, 35 * time.Millisecond},
			{middle, far, 35 * time.Millisecond},
		}
		for k, c := range tests {
			got, ok := send(t, c.a, c.b, 1250)
			if !ok || got < c.want || got > c.want+time.Millisecond {
				t.Errorf("%d: a packet took %v, want %v", k, got, c.want)
			}
			if rtt := n.RTT(c.a, c.b); rtt != 2*c.want {
				t.Errorf("%d: RTT says %v, want %v", k, rtt, 2*c.want)
			}
		}
	})
}

// Counters have headers and lost packets in them; what a cut swallows was never sent.
func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{})
		a, b := n.Host(Link{}), n.Host(Link{})
		send(t, a, b, 100)
		n.SetLoss(1)
		send(t, a, b, 200)
		n.SetLoss(0)
		a.Cut(true)
		send(t, a, b, 400)
		if got, want := a.Sent(), (Traffic{2, 100 + 200 + 2*28}); got != want {
			t.Errorf("sent %+v, want %+v", got, want)
		}
		if got, want := b.Received(), (Traffic{1, 100 + 28}); got != want {
			t.Errorf("received %+v, want %+v", got, want)
		}
		if got := b.Sent(); got != (Traffic{}) {
			t.Errorf("who only listens sent %+v", got)
		}
	})
}

// Who does not read loses packets, and holds nobody up.
func TestNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{})
		a, b, deaf := n.Host(Link{}), n.Host(Link{}), n.Host(Link{})
		for range 2 * inboxSize {
			a.WriteTo(make([]byte, 1200), deaf.LocalAddr())
		}
		if _, ok := send(t, a, b, 100); !ok {
			t.Error("packets to who does not read keep others from arriving")
		}
		time.Sleep(time.Second)
		deaf.SetReadDeadline(time.Now().Add(time.Second))
		read := 0
		for ; ; read++ {
			if _, _, err := deaf.ReadFrom(make([]byte, 2000)); err != nil {
				break
			}
		}
		if read != inboxSize {
			t.Errorf("%d packets waited, want %d", read, inboxSize)
		}
	})
}

// What is lost of a host's packets does not depend on what other hosts send.
func TestLossIsRepeatable(t *testing.T) {
	lost := func(others int) (list []int) {
		synctest.Test(t, func(t *testing.T) {
			n := New(t, Config{Loss: 0.3, Seed: 7})
			a, b, c := n.Host(Link{}), n.Host(Link{}), n.Host(Link{})
			for k := range 50 {
				for range others {
					send(t, c, b, 100)
				}
				before := a.Sent().Packets
				if _, ok := send(t, a, c, 100); !ok {
					list = append(list, k)
				}
				if a.Sent().Packets != before+1 {
					t.Error("a packet was not counted")
				}
			}
		})
		return list
	}
	alone, crowded := lost(0), lost(3)
	if len(alone) == 0 || !slices.Equal(alone, crowded) {
		t.Errorf("lost packets %v alone, %v with others", alone, crowded)
	}
}
