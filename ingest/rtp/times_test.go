package rtp

import (
	"testing"
	"time"

	"tailcast/ingest/rtp/rtptest"
)

func TestScale(t *testing.T) {
	for _, c := range []struct {
		n    int64
		rate int
		want int64
	}{
		{0, 48000, 0},
		{1024, 48000, 1920},
		{1024, 44100, 2089},
		{44100 * 3600 * 24 * 365 * 20, 44100, 90000 * 3600 * 24 * 365 * 20}, // twenty years later, to the tick
		{-1, 48000, -2},
		{-48000, 48000, -90000},
		{7, 90000, 7},
	} {
		if got := scale(c.n, c.rate); got != c.want {
			t.Errorf("scale(%d, %d) = %d, want %d", c.n, c.rate, got, c.want)
		}
	}
}

func TestUnwrapper(t *testing.T) {
	var u unwrapper
	for _, c := range []struct {
		in   uint32
		want int64
	}{{4294967290, 4294967290}, {4, 4294967300}, {4294967295, 4294967295}, {1 << 30, 1<<32 + 1<<30}} {
		if got := u.next(c.in); got != c.want {
			t.Errorf("next(%d) = %d, want %d", c.in, got, c.want)
		}
	}
}

func TestNTP(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 500_000_000, time.UTC)
	if got := wallOf(ntpTicks(rtptest.NTP(at), false)); !got.Equal(at) {
		t.Errorf("by the RFC: %v, want %v", got, at)
	}
	if got := wallOf(ntpTicks(uint64(at.Unix()+ntpEpoch)<<32|500_000_000, true)); !got.Equal(at) {
		t.Errorf("in nanoseconds: %v, want %v", got, at)
	}
	later := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := wallOf(ntpTicks(rtptest.NTP(later), false)); !got.Equal(later) {
		t.Errorf("in the next era: %v, want %v", got, later)
	}
}
