package swarm

import (
	"fmt"
	"testing"
	"time"
)

// The point of it all: whoever broadcasts uploads as much for many as for few, and everybody has everything in time, on uplinks as people have
// them. A server that sends everybody everything cannot do that: its upload grows with each viewer, until nobody has anything.
//
// Bytes are counted where they leave the host, with all headers. Time is virtual, QUIC and signatures are real.
func TestEgressIsFlat(t *testing.T) {
	tests := []struct {
		viewers, copies int
		most            float64 // bytes sent for one of payload
		p99             time.Duration
		long            bool
	}{
		{1, 2, 1.15, 150 * time.Millisecond, false},
		{8, 2, 2.25, 500 * time.Millisecond, false},
		{8, 1, 1.25, 800 * time.Millisecond, false},
		{20, 2, 2.25, 800 * time.Millisecond, true},
		{50, 2, 2.25, 1200 * time.Millisecond, true},
	}
	for _, c := range tests {
		t.Run(fmt.Sprintf("%d viewers, %d copies", c.viewers, c.copies), func(t *testing.T) {
			if c.long && testing.Short() {
				t.Skip("takes long: real QUIC for so many")
			}
			cfg := crowdConfig{stream: television, uplink: 10_000_000, mix: tightMix, source: Config{Copies: c.copies}}
			if c.viewers > 20 {
				cfg.stream, cfg.uplink = half(television), 5_000_000 // the same on half the CPU: all rates are half
			}
			f := crowdFigures(t, cfg, c.viewers)
			t.Log(f)
			if f.egress > c.most {
				t.Errorf("the source sent %.2f bytes for one of payload, want at most %.2f", f.egress, c.most)
			}
			if late := f.missed(2 * time.Second); late > 0 {
				t.Errorf("%d of %d blocks were not there 2 s after they were signed, want none", late, len(f.lags))
			}
			if p99 := f.lag(0.99); p99 > c.p99 {
				t.Errorf("the slowest of 100 blocks took %v, want at most %v", p99, c.p99)
			}
		})
	}
}

// half returns a stream of half the rate and stripes.
func half(s stream) stream { return stream{s.rate / 2, s.block, s.stripes / 2} }

// crowdFigures lets viewers join, and measures when all have settled.
func crowdFigures(t *testing.T, cfg crowdConfig, viewers int) (f *figures) {
	t.Helper()
	gather(t, cfg, func(t *testing.T, c *crowd) {
		c.join(viewers, 2*time.Second)
		c.settle(6 * time.Second)
		f = c.measure(4 * time.Second)
		c.wantSame()
	})
	return f
}

// What the same nodes do if nobody passes anything on: the source sends everything to everybody.
func TestEgressOfServerGrows(t *testing.T) {
	server := func(viewers, uplink int) *figures {
		return crowdFigures(t, crowdConfig{
			stream: television, uplink: uplink, mix: tightMix, source: Config{Copies: viewers}, viewers: Config{NoShare: true},
		}, viewers)
	}
	for _, n := range []int{1, 4, 8} {
		f := server(n, 0)
		t.Logf("%d viewers, 1 Gbit/s: %v", n, f)
		if each := f.egress / float64(n); each < 1.05 || each > 1.15 || f.missed(2*time.Second) > 0 {
			t.Errorf("%d viewers: %.2f bytes for one of payload to each, %d blocks missed; want 1.05 to 1.15, none", n, each, f.missed(2*time.Second))
		}
	}
	f := server(8, 10_000_000)
	t.Logf("8 viewers, 10 Mbit/s: %v", f)
	if missed := f.missed(2 * time.Second); 2*missed < len(f.lags) {
		t.Errorf("8 viewers, 10 Mbit/s: %d of %d blocks missed, want most", missed, len(f.lags))
	}
}
