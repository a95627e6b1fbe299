package swarm

import (
	"testing"
	"time"
)

// What tests outside of the package, which may compare with swarm/simulate, use of the crowds inside.

// Figures are what a crowd did in a while.
type Figures = figures

// A Scenario is a crowd with tightMix's uplinks, round trips of 20 to 120 ms and no loss.
type Scenario struct {
	Viewers int
	Copies  int
	Uplink  float64 // of the source, in streams; 0: 1 Gbit/s
	Halves  int     // so often the rate and number of stripes of television are halved
	Server  bool    // nobody passes anything on; then Copies is how many the source sends to
	Seed    uint64
}

// The viewers join within Join, settle for Settle, and are measured for Measured.
const (
	Join     = 2 * time.Second
	Settle   = 6 * time.Second
	Measured = 4 * time.Second
)

// Stream returns the bits of payload per second, the bytes of a block and the number of stripes.
func (s Scenario) Stream() (rate, block, stripes int) {
	return television.rate >> s.Halves, television.block, television.stripes >> s.Halves
}

// Run lets the crowd do it.
func (s Scenario) Run(t *testing.T) (f *Figures) {
	t.Helper()
	rate, block, stripes := s.Stream()
	cfg := crowdConfig{
		stream: stream{rate, block, stripes}, uplink: int(s.Uplink * float64(rate)), mix: tightMix,
		source: Config{Copies: s.Copies}, viewers: Config{NoShare: s.Server}, seed: s.Seed,
	}
	gather(t, cfg, func(t *testing.T, c *crowd) {
		c.join(s.Viewers, Join)
		c.settle(Settle)
		f = c.measure(Measured)
		c.wantSame()
	})
	return f
}
