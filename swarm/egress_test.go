package swarm

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

func env(name string, or float64) float64 {
	if v := os.Getenv(name); v != "" {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			panic(err)
		}
		return f
	}
	return or
}

func TestTry(t *testing.T) {
	n := int(env("N", 8))
	for seed := range int(env("SEEDS", 1)) {
		cfg := crowdConfig{
			stream: stream{int(env("RATE", 4e6)), int(env("BLOCK", 8192)), int(env("S", 16))}, uplink: int(env("SRC", 1e7)),
			mix: tightMix, seed: uint64(seed), loss: env("LOSS", 0), guess: env("GUESS", 0) > 0,
			source: Config{Copies: int(env("COPIES", 0))},
		}
		if env("PLAIN", 0) > 0 {
			cfg.source.Copies, cfg.viewers.NoShare = n, true
		}
		gather(t, cfg, func(t *testing.T, c *crowd) {
			c.join(n, time.Duration(env("JOIN", 2)*1e9))
			c.pass(time.Duration(env("WARM", 6) * 1e9))
			c.guard.settled = true
			f := c.measure(time.Duration(env("DUR", 5) * 1e9))
			c.wantSame()
			if env("V", 0) > 0 {
				for _, v := range append([]*watching{{node: c.source, host: c.host, uplink: c.cfg.uplink}}, c.viewers...) {
					m := v.swarm.mesh
					full, late := 0, 0
					for _, p := range m.peers {
						if p.inflight >= maxInflight {
							full++
						}
						if p.took > 100*time.Millisecond {
							late++
						}
					}
					fmt.Printf("%-10s up %.1f est %.1f meas %.1f disp %.1f used %d slots %d homes %d backlog %v queued %d inflight %d peers %d full %d late %d blocks %+v skipped %d\n", v.name, float64(v.uplink)*1e-6, m.up.est*8e-6, m.up.meas*8e-6, m.up.disp*8e-6, m.used(), m.slots(), func() int {
						for _, f := range m.told() {
							if !f.catalog() {
								return f.homeCount()
							}
						}
						return 0
					}(), m.up.backlog(), m.up.queued, m.up.inflight, len(m.peers), full, late, m.blocks, m.skipped)
				}
			}
			fmt.Printf("%d viewers: %v\n", n, f)
		})
	}
}
