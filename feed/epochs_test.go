package feed_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// remembered puts into the channel's Replica the notes of an epoch so far above its own, as a peer that remembers it would.
func remembered(t *testing.T, c *feedtest.Channel, above uint64) feed.EpochNote {
	t.Helper()
	other, err := feed.Open(c.Replica.Root(), feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	highest := c.Writer.Epoch().Note().Number + above
	if _, err := feed.NewWriter(feed.WriterConfig{Replica: other, Station: c.Station, Highest: highest - 1}); err != nil {
		t.Fatal(err)
	}
	e, err := c.Replica.AddNotes(other.Notes())
	if err != nil {
		t.Fatal(err)
	}
	return e.Note()
}

// TestHigherEpochThatIsOver: somebody remembers an epoch above ours, as after a restored backup on a machine without a clock. We go on for as long
// as it may be live, and then in an epoch above it; ours ends only then.
func TestHigherEpochThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		config := feed.WriterConfig{Replica: c.Replica, Station: c.Station, Rival: func() bool { return false }}
		w, err := feed.NewWriter(config)
		if err != nil {
			t.Fatal(err)
		}
		log, err := w.Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- w.Run(t.Context()) }()
		time.Sleep(time.Second)
		c.Writer = w
		dead, learned := remembered(t, c, 1e9), time.Now()
		for len(done) == 0 {
			if _, err := log.Append(feed.Entry{Kind: feed.Media}); err != nil {
				t.Fatalf("%v after a higher epoch was heard of: %v", time.Since(learned), err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err := <-done; !errors.Is(err, feed.ErrOvertaken) {
			t.Fatalf("got %v, want ErrOvertaken", err)
		}
		if waited := time.Since(learned); waited < 9*time.Second || waited > 12*time.Second {
			t.Errorf("the higher epoch had %v to prove that it is live, want about 10 s", waited)
		}
		next, err := feed.NewWriter(config)
		if err != nil {
			t.Fatal(err)
		}
		if got := next.Epoch().Note().Number; got != dead.Number+1 {
			t.Errorf("the next epoch is %d, want one above %d", got, dead.Number)
		}
		if _, err := log.Append(feed.Entry{Kind: feed.Media}); err != nil {
			t.Errorf("the epoch before must go on until the next has begun: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Linger(ended); err != nil {
			t.Error(err)
		}
		if all := kinds(t, log.Log()); all[len(all)-1] != feed.End {
			t.Errorf("the epoch before ends with a record of kind %v, want End", all[len(all)-1])
		}
	})
}

// TestLingerKeepsTheEpochAlive: heartbeats go on after Run has asked for another epoch.
func TestLingerKeepsTheEpochAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead clockError
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		w, err := feed.NewWriter(feed.WriterConfig{Replica: c.Replica, Station: c.Station, Now: func() time.Time { return time.Now().Add(ahead.get()) }})
		if err != nil {
			t.Fatal(err)
		}
		log, err := w.Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(feed.Entry{Kind: feed.Media}); err != nil {
			t.Fatal(err)
		}
		ahead.set(time.Hour)
		if err := w.Run(t.Context()); !errors.Is(err, feed.ErrClockStep) {
			t.Fatalf("got %v, want ErrClockStep", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
		defer cancel()
		if err := w.Linger(ctx); err != nil {
			t.Error(err)
		}
		if got := kinds(t, log.Log()); count(got, feed.Heartbeat) < 10 || count(got, feed.End) != 1 {
			t.Errorf("got %v, want a heartbeat a second, then End", got)
		}
	})
}

// TestAnswerToAReclaimedEpochIsLife: two streamers that never see a block of one another do not go on side by side for ever. Who opens an epoch
// above ours and names ours as the last has heard of it, so it is alive; but only if ours was opened to find that out.
func TestAnswerToAReclaimedEpochIsLife(t *testing.T) {
	for _, reclaims := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := feedtest.NewChannel(t, feed.Config{}, 1)
			w, err := feed.NewWriter(feed.WriterConfig{Replica: c.Replica, Station: c.Station, Rival: func() bool { return false }, Reclaims: reclaims})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- w.Run(t.Context()) }()
			other, err := feed.Open(c.Replica.Root(), feed.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if _, err := other.AddNotes(c.Replica.Notes()); err != nil {
				t.Fatal(err)
			}
			if _, err := feed.NewWriter(feed.WriterConfig{Replica: other, Station: c.Station}); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			if _, err := c.Replica.AddNotes(other.Notes()); err != nil {
				t.Fatal(err)
			}
			err = <-done
			if reclaims && (!errors.Is(err, feed.ErrSuperseded) || time.Since(begin) > time.Second) {
				t.Errorf("got %v after %v, want ErrSuperseded at once", err, time.Since(begin))
			}
			if !reclaims && !errors.Is(err, feed.ErrOvertaken) {
				t.Errorf("got %v, want ErrOvertaken: whoever copied our data directory and died at once is not alive", err)
			}
		})
	}
}

// TestViewerCrossesAClockStepWithoutAGap: the clock is set while a programme is on air; a viewer's reader gets every block, in order, out of both
// epochs.
func TestViewerCrossesAClockStepWithoutAGap(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) { testClockStep(t, step) })
	}
}

func testClockStep(t *testing.T, step time.Duration) {
	var ahead clockError
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	config := feed.WriterConfig{Replica: c.Replica, Station: c.Station, Now: func() time.Time { return time.Now().Add(ahead.get()) }}
	viewer, err := feed.Open(c.Replica.Root(), feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer viewer.Close()
	var w *feed.Writer
	var out *feed.LogWriter
	next := func() {
		if w, err = feed.NewWriter(config); err != nil {
			t.Fatal(err)
		}
		if out, err = w.Log(feedtest.Rendition); err != nil {
			t.Fatal(err)
		}
	}
	next()
	air := func(from, to int) { // what is signed is at the viewer at once
		for i := from; i < to; i++ {
			flags := feed.Flags(0)
			if i%5 == 0 {
				flags = feed.SegmentFirst | feed.RandomAccess
			}
			if _, err := out.Append(feed.Entry{Kind: feed.Media, Flags: flags, Payload: []byte{byte(i)}}); err != nil {
				t.Fatal(err)
			}
			e, err := viewer.AddNotes(w.Epoch().Notes())
			if err != nil {
				t.Fatal(err)
			}
			copied, err := e.Log(feedtest.Rendition)
			if err != nil {
				t.Fatal(err)
			}
			for copied.Head().Size < out.Log().Head().Size { // heartbeats too
				if err := feedtest.Copy(out.Log(), copied, copied.Head().Size); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	air(0, 10)
	reader := viewer.Follow(feedtest.Rendition, feed.JoinLast, 0)
	play := func(from, to int) {
		for i := from; i < to; i++ {
			item, err := reader.Next(t.Context())
			if err == nil && item.Block.Record.Kind == feed.Heartbeat {
				item, err = reader.Next(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if item.Block.Payload[0] != byte(i) || item.Skipped != 0 {
				t.Fatalf("clock set by %v: got block %d, %d skipped, want %d", step, item.Block.Payload[0], item.Skipped, i)
			}
		}
	}
	play(5, 10) // the newest segment
	done := make(chan error, 1)
	go func() { done <- w.Run(t.Context()) }()
	ahead.set(step)
	if err := <-done; !errors.Is(err, feed.ErrClockStep) {
		t.Fatalf("got %v, want ErrClockStep", err)
	}
	air(10, 15) // the epoch is still open
	play(10, 15)
	before := w.Epoch()
	next()
	if w.Epoch().Note().Number <= before.Note().Number {
		t.Errorf("clock set by %v: the next epoch is %d, the one before %d", step, w.Epoch().Note().Number, before.Note().Number)
	}
	air(15, 20)
	play(15, 20)
}

// TestClockOutOfTheWorld: a machine without a clock goes on air whatever it believes the time is, and each start is above the one before.
func TestClockOutOfTheWorld(t *testing.T) {
	station := newStation(t)
	disk := feedtest.NewDisk()
	highest := uint64(0)
	for _, now := range []time.Time{time.Unix(-5, 0), time.Unix(0, 0), time.Unix(0, 0), time.Now(), {}, time.Now().AddDate(1000, 0, 0), time.Now()} {
		replica, err := feed.Open(station.Root(), feed.Config{Files: disk})
		if err != nil {
			t.Fatal(err)
		}
		w, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatalf("at %v: %v", now, err)
		}
		if got := w.Epoch().Note().Number; got <= highest {
			t.Errorf("at %v: epoch %d is not above %d", now, got, highest)
		}
		highest = w.Epoch().Note().Number
		log, err := w.Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(feed.Entry{Kind: feed.Media}); err != nil {
			t.Errorf("at %v: %v", now, err)
		}
		if err := replica.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
