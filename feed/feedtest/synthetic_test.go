package feedtest

import (
	"errors"
	"slices"
	"testing"

	"tailcast/feed"
)

// Whatever its length, a synthetic log opens, proves its end and what was asked for, and goes on.
func TestSyntheticLogIsALog(t *testing.T) {
	for _, n := range []uint64{1, 60, chunkRows, 3*chunkRows + 7, 10_000_000} {
		s := NewSynthetic(t, n, n/2)
		replica, err := feed.Open(s.Root, feed.Config{Files: s})
		if err != nil {
			t.Fatal(err)
		}
		log, err := replica.Current().Log(Rendition)
		if err != nil {
			t.Fatal(err)
		}
		if got := log.Head().Size; got != n {
			t.Fatalf("got size %d, want %d", got, n)
		}
		for _, i := range []uint64{n / 2, n - 1} {
			want, payload := s.Record(i)
			if b, err := log.Block(i); err != nil || b.Record != want || !slices.Equal(b.Payload, payload) {
				t.Errorf("block %d of %d: %v", i, n, err)
			}
		}
		if n > 1_000_000 {
			if _, err := log.Block(n / 4); !errors.Is(err, feed.ErrNotHeld) {
				t.Errorf("block %d was not asked for: got %v, want ErrNotHeld", n/4, err)
			}
		}
		if _, err := log.Put(s.Next(n - 1)); err != nil {
			t.Errorf("block %d, which continues the log: %v", n, err)
		}
		if err := replica.Close(); err != nil {
			t.Error(err)
		}
	}
}
