package swarm_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tailcast/swarm"
	"tailcast/swarm/simulate"
)

// The point of it all: whoever broadcasts uploads as much for many as for few, and everybody has everything in time, on uplinks as people have
// them. A server that sends everybody everything cannot do that: its upload grows with each viewer, until nobody has anything.
//
// Bytes are counted where they leave the host, with all headers. Time is virtual, QUIC and signatures are real. The source has an uplink of 2.5
// streams.
func TestEgressIsFlat(t *testing.T) {
	tests := []struct {
		scenario swarm.Scenario
		most     float64 // bytes sent for one of payload
		p99      time.Duration
		long     bool
	}{
		{swarm.Scenario{Viewers: 1, Copies: 2}, 1.15, 150 * time.Millisecond, false},
		// Two copies are to take 2.25; what a run of some seconds takes besides, while places change hands, is up to a tenth more.
		{swarm.Scenario{Viewers: 8, Copies: 2}, 2.35, 500 * time.Millisecond, true},
		{swarm.Scenario{Viewers: 8, Copies: 1}, 1.25, 1500 * time.Millisecond, true}, // who loses the only parent of a stripe lacks it for a second
		{swarm.Scenario{Viewers: 20, Copies: 2}, 2.35, 800 * time.Millisecond, true},
		{swarm.Scenario{Viewers: 50, Copies: 2, Halves: 1}, 2.35, 1200 * time.Millisecond, true}, // 2 Mbit/s: half of the CPU
	}
	for _, c := range tests {
		c.scenario.Uplink = 2.5
		t.Run(fmt.Sprintf("%d viewers, %d copies", c.scenario.Viewers, c.scenario.Copies), func(t *testing.T) {
			if c.long && testing.Short() {
				t.Skip("takes long: real QUIC for so many")
			}
			f := c.scenario.Run(t)
			t.Log(f)
			if f.Egress > c.most {
				t.Errorf("the source sent %.2f bytes for one of payload, want at most %.2f", f.Egress, c.most)
			}
			if late := f.Missed(2 * time.Second); late > 0 {
				t.Errorf("%d of %d blocks were not there 2 s after they were signed, want none", late, len(f.Lags))
			}
			if p99 := f.Lag(0.99); p99 > c.p99 {
				t.Errorf("the slowest of 100 blocks took %v, want at most %v", p99, c.p99)
			}
			if c.scenario.Viewers > 1 {
				wantAgreement(t, c.scenario, f)
			}
		})
	}
}

// What the same nodes do if nobody passes anything on: the source sends everything to everybody.
func TestEgressOfServerGrows(t *testing.T) {
	for _, n := range []int{1, 4, 8} {
		if n > 4 && testing.Short() {
			return // the rest are figures, of nodes that TestUpIsKept has too
		}
		f := swarm.Scenario{Viewers: n, Copies: n, Server: true, Halves: 1}.Run(t)
		t.Logf("%d viewers, any uplink: %v", n, f)
		if each := f.Egress / float64(n); each < 1.05 || each > 1.15 || f.Missed(2*time.Second) > 0 {
			t.Errorf("%d viewers: %.2f bytes for one of payload to each, %d blocks missed; want 1.05 to 1.15, none", n, each, f.Missed(2*time.Second))
		}
	}
	f := swarm.Scenario{Viewers: 8, Copies: 8, Server: true, Halves: 1, Uplink: 2.5}.Run(t)
	t.Logf("8 viewers, 2.5 streams: %v", f)
	if missed := f.Missed(2 * time.Second); 2*missed < len(f.Lags) {
		t.Errorf("8 viewers, 2.5 streams: %d of %d blocks missed, want most", missed, len(f.Lags))
	}
}

// wantAgreement checks that the event simulator, with the same Meshes and a model instead of QUIC, says the same of a scenario, within 30 %:
// what it says of ten thousand nodes can then be believed. It draws uplinks and places anew for each seed, and a run here is one draw, too; so
// it is compared with the range of some.
func wantAgreement(t *testing.T, s swarm.Scenario, f *swarm.Figures) {
	t.Helper()
	rate, block, stripes := s.Stream()
	var lags, egress []float64
	for seed := range uint64(3) {
		const judged = 5*time.Second + 500*time.Millisecond // it leaves so much at the end out
		r := simulate.NewWorld(simulate.Config{
			Seed: seed, Viewers: s.Viewers, Stream: simulate.Stream{Rate: float64(rate), Block: block, Stripes: stripes},
			Copies: s.Copies, Uplink: s.Uplink, Mix: simulate.Std, JoinFor: swarm.Join, Warm: swarm.Join + swarm.Settle,
			Duration: swarm.Join + swarm.Settle + swarm.Measured + judged, Session: -1, Thin: -1, NAT: -1, Anchors: -1, Loss: -1,
		}).Run()
		lags, egress = append(lags, r.Lag[0].Seconds()), append(egress, r.Egress)
	}
	t.Logf("the simulator: egress %.2f, lag p50 %.3f s", egress, lags)
	wantWithin(t, "median lag, in seconds,", f.Lag(0.5).Seconds(), lags)
	wantWithin(t, "egress", f.Egress, egress)
}

// wantWithin checks that a figure is at most 30 % beyond what the simulator says.
func wantWithin(t *testing.T, what string, got float64, simulated []float64) {
	t.Helper()
	if least, most := 0.7*slices.Min(simulated), 1.3*slices.Max(simulated); got < least || got > most {
		t.Errorf("with QUIC the %s is %.3f, in the simulator %.3f: want %.3f to %.3f", what, got, simulated, least, most)
	}
}
