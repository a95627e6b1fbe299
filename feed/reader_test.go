package feed_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// next returns the next item, and fails the test after a minute of virtual time.
func next(t *testing.T, rd *feed.Reader) feed.Item {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	item, err := rd.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

// expect reads the blocks [from, to).
func expect(t *testing.T, rd *feed.Reader, from, to uint64, reset bool) {
	t.Helper()
	for i := from; i < to; i++ {
		item := next(t, rd)
		if item.Block.Index != i || item.Reset != (reset && i == from) || item.Skipped != 0 {
			t.Fatalf("got block %d, reset %v, skipped %d, want %d, reset %v", item.Block.Index, item.Reset, item.Skipped, i, reset && i == from)
		}
	}
}

// expectNothing checks that no block comes for a while.
func expectNothing(t *testing.T, rd *feed.Reader, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if item, err := rd.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got block %d, %v, want none for %v", item.Block.Index, err, d)
	}
}

func TestReaderJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		c.Append(t, 5, 10)
		c.Append(t, 3, 10)
		last := c.Replica.Follow(feedtest.Rendition, feed.JoinLast, 0)
		expect(t, last, 5, 8, true)
		next := c.Replica.Follow(feedtest.Rendition, feed.JoinNext, 0)
		expectNothing(t, next, time.Second)
		c.Append(t, 3, 10)
		expect(t, last, 8, 11, false)
		expect(t, next, 8, 11, true)
		expectNothing(t, last, time.Second)
	})
}

// Before a viewer knows anything, JoinNext waits for the segment after the one at which the swarm joined; a log that begins is now.
func TestReaderJoinsWhatIsNotThereYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		viewer, log := c.Viewer(t, feed.Config{}, feedtest.Rendition)
		other, begun := c.Viewer(t, feed.Config{}, feedtest.Rendition)
		rd := viewer.Follow(feedtest.Rendition, feed.JoinNext, 0)
		first := other.Follow(feedtest.Rendition, feed.JoinNext, 0)
		c.Append(t, 5, 10)
		copyAll(t, c.Log.Log(), begun, 0, 5)
		expect(t, first, 0, 5, true)
		c.Append(t, 5, 10)
		copyAll(t, c.Log.Log(), log, 5, 7)
		expectNothing(t, rd, time.Second)
		c.Append(t, 5, 10)
		copyAll(t, c.Log.Log(), log, 7, 15)
		expect(t, rd, 10, 15, true)
	})
}

func copyAll(t *testing.T, from, to *feed.Log, a, b int) {
	t.Helper()
	if err := feedtest.Copy(from, to, indices(a, b)...); err != nil {
		t.Fatal(err)
	}
}

func TestReaderSkipsHoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		viewer, log := c.Viewer(t, feed.Config{}, feedtest.Rendition)
		rd := viewer.Follow(feedtest.Rendition, feed.JoinLast, 500*time.Millisecond)
		for range 4 {
			c.Append(t, 5, 10)
		}
		source := c.Log.Log()
		copyAll(t, source, log, 0, 3)
		expect(t, rd, 0, 3, true)

		// Block 3 is late, but comes within patience.
		copyAll(t, source, log, 4, 8)
		expectNothing(t, rd, 400*time.Millisecond)
		copyAll(t, source, log, 3, 4)
		expect(t, rd, 3, 8, false)

		// Block 8 never comes; the next segment does.
		copyAll(t, source, log, 9, 10)
		expectNothing(t, rd, time.Second)
		copyAll(t, source, log, 11, 13) // a segment without its first is no place to go on
		expectNothing(t, rd, time.Second)
		begin := time.Now()
		copyAll(t, source, log, 15, 17)
		item := next(t, rd)
		if item.Block.Index != 15 || !item.Reset || item.Skipped != 7 || time.Since(begin) != 0 {
			t.Errorf("got block %d, reset %v, skipped %d after %v, want 15 after 7 skipped, at once", item.Block.Index, item.Reset, item.Skipped, time.Since(begin))
		}
		expect(t, rd, 16, 17, false)

		// The segment after the hole is there before patience ends.
		c.Append(t, 3, 10)
		copyAll(t, source, log, 18, 20)
		copyAll(t, source, log, 20, 23)
		begin = time.Now()
		if item := next(t, rd); item.Block.Index != 20 || time.Since(begin) != 500*time.Millisecond {
			t.Errorf("got block %d after %v, want 20 after 500ms", item.Block.Index, time.Since(begin))
		}

		// Nobody fills the hole before block 25; the segment that begins there is not here yet, but the next one is.
		expect(t, rd, 21, 23, false)
		for range 2 {
			c.Append(t, 5, 10)
		}
		log.Abandon(23)
		copyAll(t, source, log, 28, 29)
		expectNothing(t, rd, 100*time.Millisecond)
		begin = time.Now()
		copyAll(t, source, log, 23, 24)
		if item := next(t, rd); item.Block.Index != 23 || time.Since(begin) != 0 {
			t.Errorf("got block %d after %v, want 23 at once", item.Block.Index, time.Since(begin))
		}
		copyAll(t, source, log, 28, 29)
		log.Abandon(28)
		if item := next(t, rd); item.Block.Index != 28 || item.Skipped != 4 || time.Since(begin) != 0 {
			t.Errorf("got block %d, %d skipped after %v, want 28 after 4, at once", item.Block.Index, item.Skipped, time.Since(begin))
		}
	})
}

func TestReaderCrossesToAHigherEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		rd := c.Replica.Follow(feedtest.Rendition, feed.JoinNext, 0)
		c.Append(t, 5, 10)
		expect(t, rd, 0, 3, true)
		first := c.Writer.Epoch()
		if err := c.Restart(1); err != nil {
			t.Fatal(err)
		}
		// The new epoch has nothing to show yet: the old one is read to its end.
		expect(t, rd, 3, 5, false)
		expectNothing(t, rd, time.Second)
		c.Append(t, 2, 10)
		item := next(t, rd)
		if item.Epoch != c.Writer.Epoch() || item.Epoch == first || !item.Reset || item.Block.Index != 0 {
			t.Errorf("got block %d of epoch %v, reset %v, want the first of the new epoch", item.Block.Index, item.Epoch.ID(), item.Reset)
		}
		expect(t, rd, 1, 2, false)
	})
}

// Fifty players of one viewer, while stripes come out of order and another rendition is busy.
func TestManyReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 50
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		viewer, log := c.Viewer(t, feed.Config{}, feedtest.Rendition)
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				rd := viewer.Follow(feedtest.Rendition, feed.JoinLast, 0)
				for i := range uint64(n) {
					item, err := rd.Next(t.Context())
					if err != nil || item.Block.Index != i {
						t.Errorf("got block %d, %v, want %d", item.Block.Index, err, i)
						return
					}
				}
			})
		}
		c.Append(t, n, 10)
		copyAll(t, c.Log.Log(), log, 0, 1)
		synctest.Wait()
		for i := 1; i+1 < n; i += 2 {
			if err := feedtest.Copy(c.Log.Log(), log, uint64(i+1), uint64(i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		copyAll(t, c.Log.Log(), log, n-1, n)
		group.Wait()
	})
}
