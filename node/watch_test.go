package node

import (
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// airAndLook airs for so long, ten blocks a second, and looks at log once a second as Run does.
func airAndLook(t *testing.T, c *feedtest.Channel, w *watch, log *feed.Log, seconds int) {
	t.Helper()
	for range seconds {
		for range 10 {
			c.Append(t, 1, 100)
			time.Sleep(100 * time.Millisecond)
		}
		w.look(log)
	}
}

func expect(t *testing.T, w *watch, want State, peers ...feed.PeerClock) string {
	t.Helper()
	got, reason := w.verdict(peers, false)
	if got != want {
		t.Errorf("got %s (%s), want %s", got, reason, want)
	}
	return reason
}

func TestStateFollowsTheNewestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		log := c.Log.Log()
		w := &watch{now: time.Now}
		w.look(nil)
		expect(t, w, StateWaiting)
		w.look(log)
		expect(t, w, StateWaiting)
		airAndLook(t, c, w, log, 3)
		expect(t, w, StateLive)
		time.Sleep(time.Minute)
		w.look(log)
		expect(t, w, StateStalled)
		airAndLook(t, c, w, log, 1)
		expect(t, w, StateLive)
	})
}

// TestExpiredNoteIsNotLive: blocks that are fresh and well signed, by a station that is not the broadcaster's any more.
func TestExpiredNoteIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		w := &watch{now: time.Now}
		airAndLook(t, c, w, c.Log.Log(), 2)
		expect(t, w, StateLive)
		time.Sleep(91 * 24 * time.Hour)
		airAndLook(t, c, w, c.Log.Log(), 5)
		expect(t, w, StateStalled)
	})
}

// TestHeartbeatsAloneAreNotLive: the streamer is there, its encoder is not.
func TestHeartbeatsAloneAreNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		w := &watch{now: time.Now}
		airAndLook(t, c, w, c.Log.Log(), 2)
		for range 5 {
			if _, err := c.Log.Append(feed.Entry{Kind: feed.Heartbeat}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			w.look(c.Log.Log())
		}
		if reason := expect(t, w, StateStalled); reason == "" {
			t.Error("no reason given")
		}
	})
}

// TestReplayIsNotLive plays yesterday's broadcast to a newcomer, block by block, as fast as it was.
func TestReplayIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		airAndLook(t, c, &watch{now: time.Now}, nil, 20)
		time.Sleep(24 * time.Hour)
		_, log := c.Viewer(t, feed.Config{}, feedtest.Rendition)
		w := &watch{now: time.Now}
		liar := feed.PeerClock{Subnet: "192.0.2.0/24", Offset: -24 * time.Hour}
		for i := range uint64(150) {
			if err := feedtest.Copy(c.Log.Log(), log, i); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			w.look(log)
			if s, reason := w.verdict([]feed.PeerClock{liar, liar}, false); s == StateLive {
				t.Fatalf("block %d of yesterday: got live (%s)", i, reason)
			}
		}
	})
}

// TestOurClockIsWrong by five minutes: live is said only when two subnets agree that it is our clock, and for nothing old.
func TestOurClockIsWrong(t *testing.T) {
	for _, wrong := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			c := feedtest.NewChannel(t, feed.Config{}, 1)
			w := &watch{now: func() time.Time { return time.Now().Add(wrong) }}
			airAndLook(t, c, w, c.Log.Log(), 5)
			a := feed.PeerClock{Subnet: "192.0.2.0/24", Offset: -wrong}
			b := feed.PeerClock{Subnet: "198.51.100.0/24", Offset: -wrong}
			if s, _ := w.verdict(nil, false); s == StateLive {
				t.Errorf("clock wrong by %v, no peers: got live", wrong)
			}
			if s, _ := w.verdict([]feed.PeerClock{a, a}, false); s == StateLive {
				t.Errorf("clock wrong by %v, peers of one subnet: got live", wrong)
			}
			expect(t, w, StateLive, a, b)
			time.Sleep(5 * time.Minute) // what was live is old now, also by our wrong clock
			w.look(c.Log.Log())
			if s, _ := w.verdict([]feed.PeerClock{a, b}, false); s == StateLive {
				t.Errorf("clock wrong by %v, nothing new for five minutes: got live", wrong)
			}
		})
	}
}
