package main

import (
	"log/slog"
	"sync"
	"time"

	"tailcast/ingest"
)

// silence is after how long without a sample another encoder may take the stage.
const silence = 3 * time.Second

// stage lets several waiting sources share one Sink: who delivers first is on air until silent.
type stage struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex  // guards all below; held while sink is called
	sink ingest.Sink // nil: nobody listens, what comes is dropped
	on   *entrance
	last time.Time // of the newest sample of on
}

// perform plays to sink from now on; nil: to nobody.
func (st *stage) perform(sink ingest.Sink) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.sink, st.on = sink, nil
}

// entrance is one source's way onto the stage. Its fields are owned by stage.mu.
type entrance struct {
	stage   *stage
	name    string
	stats   *ingest.Stats   // of the source
	program *ingest.Program // the newest
	refused bool            // has been said
}

func (e *entrance) SetProgram(p *ingest.Program) {
	e.stage.mu.Lock()
	defer e.stage.mu.Unlock()
	e.program = p
	if e.stage.on == e { // and so there is a sink
		e.stage.sink.SetProgram(p)
	}
}

func (e *entrance) WriteSample(s ingest.Sample) {
	e.stage.mu.Lock()
	defer e.stage.mu.Unlock()
	if e.program == nil || e.stage.sink == nil || !e.enter(&s) {
		return
	}
	e.stage.last = e.stage.now()
	e.stage.sink.WriteSample(s)
}

// enter tells whether e is on, after putting it on if nobody else is; s is its first sample then.
func (e *entrance) enter(s *ingest.Sample) bool {
	st := e.stage
	if st.on == e {
		return true
	}
	if st.on != nil && st.now().Sub(st.last) < silence {
		if !e.refused {
			st.log.Warn("two encoders push at once, the first stays on air", "on_air", st.on.name, "ignored", e.name)
			e.refused = true
		}
		e.stats.Leave(ingest.Second)
		return false
	}
	st.on, e.refused = e, false
	st.sink.SetProgram(e.program)
	s.Flags |= ingest.Discontinuity
	return true
}

// WriteClock implements ingest.ClockSink.
func (e *entrance) WriteClock(at int64) {
	e.stage.mu.Lock()
	defer e.stage.mu.Unlock()
	if c, ok := e.stage.sink.(ingest.ClockSink); ok && e.stage.on == e {
		c.WriteClock(at)
	}
}
