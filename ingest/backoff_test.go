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

// TestSilentHostIsAskedInTime: a host that did not answer, and is back just after the system has asked it for the second time, is asked by the next attempt so
// soon that of 3 s half a second is left to connect and play.
func TestSilentHostIsAskedInTime(t *testing.T) {
	const second = time.Second // when a system sends its SYN again
	if worst := Dialer().Timeout - second + longestPause*4/3; worst > 2500*time.Millisecond || Dialer().Timeout <= second {
		t.Errorf("it is asked %v after its return, by attempts of %v, want 2.5 s at most", worst, Dialer().Timeout)
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
