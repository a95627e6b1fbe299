package mpegts

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip"
)

// TestSeriesDelay: who holds everything back for longer than a dead connection is waited for is not taken for dead.
func TestSeriesDelay(t *testing.T) {
	for _, delay := range []time.Duration{0, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			go func() {
				<-time.After(delay + stallTime - time.Second)
				_, _ = w.Write(clip.Bytes())
			}()
			record, began := ingesttest.NewRecord(), time.Now()
			if err := (Config{}).Series(record).Take(t.Context(), r, delay); err == nil {
				t.Error("a connection without a byte is not given up")
			}
			if d := time.Since(began); len(record.All()) != 567 || d != 2*(delay+stallTime)-time.Second {
				t.Errorf("delay of %v: %d samples came, given up after %v", delay, len(record.All()), d)
			}
		})
	}
}
