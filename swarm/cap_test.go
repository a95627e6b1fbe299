package swarm

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Config.Up, as the network sees it: bytes are counted where they leave the host, with all headers, packets sent again, acknowledgements and
// handshakes.

// A tape has the bytes that a host has sent, every tapeEvery.
type tape struct {
	mu   sync.Mutex // guards sent
	sent []uint64
}

const (
	tapeEvery = 100 * time.Millisecond
	upWindow  = 10 * time.Second // over any of which the cap holds
	upOver    = 1.05
)

// record tapes what a node sends.
func record(n *node, host place) *tape {
	r := &tape{sent: []uint64{host.Sent().Bytes}}
	n.also(func(ctx context.Context) {
		tick := time.NewTicker(tapeEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.mu.Lock()
				r.sent = append(r.sent, host.Sent().Bytes)
				r.mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	})
	return r
}

// most returns the highest rate over a window, in bits per second, from a place on the tape on.
func (r *tape) most(from int) (most uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := int(upWindow / tapeEvery)
	for i := from + n; i < len(r.sent); i++ {
		most = max(most, 8*(r.sent[i]-r.sent[i-n])/uint64(upWindow/time.Second))
	}
	return most
}

// len returns how long the tape is.
func (r *tape) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sent)
}

// wantMost checks that a cap was kept, and used: at least a share of it.
func (r *tape) wantMost(t *testing.T, who string, from int, up uint64, least float64) {
	t.Helper()
	got := float64(r.most(from))
	if t.Logf("%s sent at most %.2f Mbit/s over 10 s of %.2f", who, got*1e-6, float64(up)*1e-6); got > upOver*float64(up) || got < least*float64(up) {
		t.Errorf("%s sent at most %.0f bit/s over 10 s, want %.0f to %.0f", who, got, least*float64(up), upOver*float64(up))
	}
}

// All keep within what they may send, and all have everything: together they may send enough.
func TestUpIsKept(t *testing.T) {
	s := half(television)
	const source, viewer = 4_800_000, 3_200_000 // 2.4 and 1.6 streams
	cfg := crowdConfig{stream: s, mix: []float64{100, 100, 100, 100, 0, 100}, source: Config{Up: source}, viewers: Config{Up: viewer}}
	gather(t, cfg, func(t *testing.T, c *crowd) {
		tapes := []*tape{record(c.source, c.host)}
		for range 6 {
			c.join(1, 300*time.Millisecond)
			v := c.viewers[len(c.viewers)-1]
			tapes = append(tapes, record(v.node, v.host))
		}
		c.settle(5 * time.Second)
		f := c.measure(8 * time.Second)
		t.Log(f)
		if late := f.Missed(2 * time.Second); late > 0 {
			t.Errorf("%d of %d blocks were not there after 2 s, want none", late, len(f.Lags))
		}
		tapes[0].wantMost(t, "the source", 0, source, 0.6)
		for k, v := range c.viewers {
			tapes[k+1].wantMost(t, v.name, 0, viewer, 0)
		}
	})
}

// Who is asked for more than he may send sends what he may, no less; and when he may send less, he does. What is lost and sent again counts.
func TestUpIsUsed(t *testing.T) {
	s := half(television)
	const first, then = 4_000_000, 2_500_000 // three viewers take 6.6 Mbit/s
	cfg := crowdConfig{stream: s, mix: []float64{0}, source: Config{Up: first, Copies: 3}, loss: 0.01}
	gather(t, cfg, func(t *testing.T, c *crowd) {
		r := record(c.source, c.host)
		c.join(3, time.Second)
		c.pass(12 * time.Second)
		r.wantMost(t, "the source", 0, first, 0.85)
		c.source.swarm.SetUp(then)
		pass(time.Second)
		from := r.len()
		c.pass(12 * time.Second)
		r.wantMost(t, "the source with a lower cap", from, then, 0.85)
	})
}
