package srt

import (
	"context"
	"log/slog"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/mpegts"
)

// room is where one stream is published.
type room struct {
	*admit.Room
	series *mpegts.Series // owned by whose turn it is
	stats  *ingest.Stats
	log    *slog.Logger
}

// publish takes the stream of l to its end, once the one before has ended. While it waits for that, it is heard already.
func (r *room) publish(ctx context.Context, l *link) {
	defer r.Leave(l)
	defer l.Close()
	stop := l.watched()
	defer stop()
	done, err := r.Wait(ctx)
	if err != nil {
		return
	}
	defer done()
	err = take(ctx, r.series, l)
	stop()
	if err != nil && ctx.Err() == nil {
		r.stats.SetError(err)
	}
	r.log.Info("srt publisher left", "peer", l.peer, "reason", reason(err), "lost", l.lost.Load(), "retransmitted", l.retransmitted)
}

// take takes the stream of l, which is watched, to its end.
func take(ctx context.Context, series *mpegts.Series, l *link) error {
	err := series.Take(ctx, l, l.latency()) // gosrt delivers nothing sooner
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
