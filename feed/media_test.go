package feed_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// A minute of segments of a second, three records each, whose media clock runs half a percent fast and jumps back in the middle: from each segment
// each other one is found by its media time on its side of the jump, and none on the other.
func TestAtMedia(t *testing.T) {
	const (
		segments, jump = 60, 30
		second         = 90_450
	)
	dts := func(segment int) int64 {
		if segment < jump {
			return int64(segment) * second
		}
		return int64(segment)*second - 7_000_000
	}
	disk := feedtest.NewDisk()
	var root feed.PublicKey
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{Files: disk}, 1)
		root = c.Replica.Root()
		for s := range segments {
			for k := range 3 {
				e := feed.Entry{Kind: feed.Media, DTS: dts(s) + int64(k)*second/3, Payload: []byte{1}}
				if k == 0 {
					e.Flags = feed.SegmentFirst
				}
				if s == jump && k == 0 {
					e.Flags |= feed.Discontinuity
				}
				if _, err := c.Log.Append(e); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second / 3)
			}
		}
		if err := c.Replica.Close(); err != nil {
			t.Fatal(err)
		}
	})
	r, err := feed.Open(root, feed.Config{Files: disk, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Current().Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int{0, 7, 29, 30, 31, 59} {
		for to := range segments {
			ticks := int64(to-from)*second + second/2 // half a second into segment to, if nothing jumped
			b, err := l.AtMedia(uint64(3*from), ticks)
			if same := (from < jump) == (to < jump); same && (err != nil || b.Index != uint64(3*to)) {
				t.Errorf("from segment %d to %d: got block %d, %v, want %d", from, to, b.Index, err, 3*to)
			} else if !same && !errors.Is(err, feed.ErrNotHeld) {
				t.Errorf("from segment %d to %d: got block %d, %v, want ErrNotHeld: the times do not continue", from, to, b.Index, err)
			}
		}
	}
	for _, ticks := range []int64{-1 << 63, 1<<63 - 1, -1 << 55, 1 << 40} {
		if b, err := l.AtMedia(3, ticks); !errors.Is(err, feed.ErrNotHeld) {
			t.Errorf("%d ticks away: got block %d, %v, want ErrNotHeld", ticks, b.Index, err)
		}
	}
}
