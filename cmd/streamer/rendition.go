package main

import (
	"context"
	"errors"
	"log/slog"

	"tailcast/ingest"
	"tailcast/node"
)

// A rendition is one version of the programme: its input, and its way on air.
//
//	source, and what stands by for it ──▶ health ──▶ onAir ──▶ outlet of the desk
type rendition struct {
	input  input
	source *source
	health *health
	air    *onAir
	log    *slog.Logger
}

// newRendition makes one that is ready to run, below those that the desk has.
func newRendition(in input, src *source, d *desk, t *timing, log *slog.Logger) *rendition {
	air := &onAir{log: log, outlet: d.outlet(in.name), timing: t}
	air.outlet.restart = air.restart
	return &rendition{input: in, source: src, health: newHealth(air), air: air, log: log}
}

// sink is where samples of the rendition go.
func (r *rendition) sink() ingest.Sink { return r.health }

// run airs the input until it ends or ctx does. What came last is signed then.
func (r *rendition) run(ctx context.Context) error {
	err := r.source.run(ctx, r.sink())
	return errors.Join(err, r.air.Close())
}

// report says how the input does. page is our HTTP address.
func (r *rendition) report(page string) *node.Ingest {
	h := r.source.health(r.input, page)
	r.health.report(h, r.source.lossy())
	r.source.standby.report(h, page)
	return h
}
