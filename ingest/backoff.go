package ingest

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is the pause before another attempt at an input that failed: it doubles with each failure in a row, and is spread by a third,
// so that many who lost one server do not come back at once. The zero value is ready; it belongs to one goroutine.
type Backoff struct {
	Min, Max time.Duration // of the pause, before it is spread. If zero, 250 ms and 10 s.

	next time.Duration
}

// Reset is called when an attempt went well: the next pause is the shortest again.
func (b *Backoff) Reset() { b.next = 0 }

// Next is how long to pause now.
func (b *Backoff) Next() time.Duration {
	least := cmp.Or(b.Min, 250*time.Millisecond)
	most := max(cmp.Or(b.Max, 10*time.Second), least)
	d := max(b.next, least)
	b.next = min(2*d, most)
	return d - d/3 + time.Duration(rand.Int64N(int64(2*d/3)+1))
}

// Sleep waits for d; false if ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
