package ingest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoffDoublesUpToALimit(t *testing.T) {
	b := Backoff{Min: 3 * time.Second, Max: 30 * time.Second}
	for round := range 2 {
		for i, want := range []time.Duration{3, 6, 12, 24, 30, 30} {
			want *= time.Second
			if got := b.Next(); got < want*2/3 || got > want*4/3 {
				t.Errorf("round %d, pause %d: got %v, want %v give or take a third", round, i, got, want)
			}
		}
		b.Reset()
	}
	var zero Backoff
	if got := zero.Next(); got < 160*time.Millisecond || got > 340*time.Millisecond {
		t.Errorf("the zero value pauses %v first, want about 250 ms", got)
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if !Sleep(ctx, time.Second/2) {
			t.Error("said that the context ended, which it had not")
		}
		if begin := time.Now(); Sleep(ctx, time.Hour) || time.Since(begin) > time.Second {
			t.Errorf("slept %v on", time.Since(begin))
		}
	})
}
