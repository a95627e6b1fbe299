package srt

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"tailcast/ingest"
	"tailcast/ingest/mpegts"
)

// room is where one stream is published, by one publisher at a time.
//
//	free ──enter──▶ publishing ──connection lost──▶ free
//	                    │ silent for a second: the next publisher takes over
//	                    └────────────▶ publishing
type room struct {
	series *mpegts.Series // owned by who has the turn
	turn   chan struct{}
	stats  *ingest.Stats
	log    *slog.Logger

	mu    sync.Mutex
	on    *link // nil: free
	count int   // of publishers so far
}

// patience is how long a publisher may send nothing before another takes its place. SRT itself waits five seconds, in which an encoder
// that was restarted would be turned away.
const patience = time.Second

func (r *room) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on != nil && r.on.silence() < patience
}

// enter puts l in place of who was there.
func (r *room) enter(l *link) {
	r.mu.Lock()
	old := r.on
	r.on = l
	if r.count++; r.count > 1 {
		r.stats.Reconnects.Add(1)
	}
	r.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

// publish takes the stream of l to its end, once the one before has ended.
func (r *room) publish(ctx context.Context, l *link) {
	defer r.leave(l)
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-r.turn }()
	err := take(ctx, r.series, l)
	if err != nil && ctx.Err() == nil {
		r.stats.SetError(err)
	}
	r.log.Info("srt publisher left", "peer", l.peer, "reason", reason(err), "lost", l.lost.Load(), "retransmitted", l.retransmitted)
}

func (r *room) leave(l *link) {
	_ = l.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on == l {
		r.on = nil
	}
}

// take takes the stream of l to its end, and counts beside.
func take(ctx context.Context, series *mpegts.Series, l *link) error {
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { l.watch(ended) })
	err := series.Take(ctx, l)
	close(ended)
	watch.Wait()
	if over := l.overfull.Load(); err == nil && over {
		return errOverfull
	}
	return err
}

func reason(err error) string {
	if err == nil {
		return "the connection ended"
	}
	return err.Error()
}
