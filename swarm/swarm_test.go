package swarm

import (
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/internal/netsim"
	"tailcast/quicwire"
)

// A chain in which each knows only the one before: all of it plays. If A dies, B and C go on by themselves, as A has told them of others. If
// everybody is gone from whom something could come, they say why they stall, and go on when A is back.
func TestChain(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		a := w.viewer("a", at[1], Config{}, at[0])
		b := w.viewer("b", at[2], Config{}, at[1])
		c := w.viewer("c", at[3], Config{}, at[2])
		pass(5 * time.Second)
		wantFlow(t, s, 6, a, b, c)
		for _, n := range []*node{a, b, c} {
			wantWhole(t, n, 0)
			if st := n.swarm.Status(); st.Blocks.Missed+st.Blocks.Rejected != 0 || st.Blocks.Repaired+st.Blocks.Duplicate > 40 {
				t.Errorf("%v: want no block missed or rejected, at most a few repaired or twice while all find their places", n)
			}
		}

		a.kill()
		pass(3 * time.Second)
		wantFlow(t, s, 6, b, c)
		wantWhole(t, b, 0)
		wantWhole(t, c, 0)

		s.place.(place).Cut(true)
		pass(6 * time.Second)
		wantReason(t, b, Stalled, "the viewer 1.0.1.1:4433 does not answer; trying again", "connected to the viewer 1.0.3.1:4433, which itself receives nothing")
		wantReason(t, c, Stalled, "connected to the viewer 1.0.2.1:4433, which itself receives nothing", "it gets the channel from us")

		s.place.(place).Cut(false)
		a = w.viewer("another a", at[1], Config{}, at[0])
		pass(6 * time.Second)
		wantFlow(t, s, 6, a, b, c)
	})
}

// The streamer is killed and started again: a new epoch, with which viewers go on by themselves.
func TestStreamerRestarts(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		a := w.viewer("a", at[1], Config{}, at[0])
		b := w.viewer("b", at[2], Config{}, at[1])
		pass(5 * time.Second)
		before := a.swarm.Status().Epoch
		s.kill()
		pass(2 * time.Second)
		wantReason(t, a, Stalled, "the streamer 1.0.0.1:4433 does not answer any more", "which itself receives nothing")

		s = w.streamer("s", at[0], feed.Config{})
		pass(1500*time.Millisecond + snapshotEvery) // a dial that began just before is given up after 700 ms
		wantFlow(t, s, 6, a, b)
		if e := a.swarm.Status().Epoch; e.Compare(before) <= 0 || e.ID != s.swarm.Status().Epoch.ID {
			t.Errorf("a follows epoch %v after %v, want the streamer's %v", e, before, s.swarm.Status().Epoch)
		}
		pass(5 * time.Second)
		wantFlow(t, s, 6, a, b)
		wantWhole(t, a, 0)
		wantWhole(t, b, 0)
	})
}

// A viewer that comes back with what it had on disk goes on from there.
func TestViewerRestarts(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		dir := t.TempDir()
		view := func(name string) *node {
			replica, err := feed.Open(w.station.Root(), feed.Config{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			return start(t, name, at[1], replica, Config{Anchors: []feed.Anchor{{Addr: at[0].AddrPort().String()}}})
		}
		a := view("a")
		pass(2300 * time.Millisecond)
		a.kill()
		a = view("another a")
		pass(2 * time.Second)
		wantFlow(t, s, 6, a)
		wantWhole(t, a, 0)
		if b := a.swarm.Status().Blocks; b.Duplicate+b.Missed+b.Repaired != 0 {
			t.Errorf("%v: want none twice, missed or repaired", a)
		}
	})
}

// The streamer stops in order: viewers have all of it and say that it has ended, not that something is wrong.
func TestStreamerEnds(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		a := w.viewer("a", at[1], Config{}, at[0])
		b := w.viewer("b", at[2], Config{}, at[1])
		pass(3 * time.Second)
		s.stop()
		size := s.size()
		pass(3 * time.Second)
		for _, n := range []*node{a, b} {
			wantReason(t, n, Ended, "")
			wantWhole(t, n, 0)
			if n.size() != size {
				t.Errorf("%s has %d blocks, want all %d", n.name, n.size(), size)
			}
		}
		s = w.streamer("s", at[0], feed.Config{})
		pass(5 * time.Second)
		wantFlow(t, s, 6, a, b)
	})
}

// When a parent is cut off, others take its place; nothing is lost on the way.
func TestNextAnchor(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		a, b := w.viewer("a", at[1], Config{}, at[0]), w.viewer("b", at[2], Config{}, at[0])
		pass(time.Second) // a and b have all the places of the source
		c := w.viewer("c", at[3], Config{}, at[1], at[2])
		pass(4 * time.Second)
		wantFlow(t, s, 6, c)
		for range 2 {
			parent := parentOf(c, a, b)
			if parent == nil {
				t.Fatalf("%v: neither a nor b is a parent", c)
			}
			parent.plug(false)
			pass(3 * time.Second)
			wantFlow(t, s, 6, c)
			wantWhole(t, c, 0)
			parent.plug(true)
			pass(6 * time.Second)
			wantFlow(t, s, 6, a, b, c)
		}
		if st := c.swarm.Status(); st.Blocks.Missed > 0 {
			t.Errorf("%v: want none missed", c)
		}
	})
}

// parentOf returns one of the nodes that is a parent of n; nil if none is.
func parentOf(n *node, nodes ...*node) *node {
	for _, p := range n.swarm.Status().Peers {
		for _, q := range nodes {
			if p.Parent && p.Addr == q.place.(place).AddrPort().String() {
				return q
			}
		}
	}
	return nil
}

// On a network that loses packets everything still comes.
func TestLoss(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		a := w.viewer("a", at[1], Config{}, at[0])
		b := w.viewer("b", at[2], Config{}, at[1])
		w.net.SetLoss(0.03)
		pass(12 * time.Second)
		wantFlow(t, s, 40, a, b)
		w.net.SetLoss(0)
		pass(2 * time.Second)
		wantFlow(t, s, 8, a, b)
		wantWhole(t, a, 0)
		wantWhole(t, b, 0)
	})
}

// Who cannot take the stream is never far behind, as it is taken on to newer segments again and again; others notice nothing.
func TestSlowSubscriber(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{Down: 400_000})}
		s := w.streamer("s", at[0], feed.Config{})
		a := w.viewer("a", at[1], Config{}, at[0])
		slow := w.viewer("slow", at[2], Config{}, at[0])
		pass(5 * time.Second)
		for range 15 {
			pass(time.Second)
			if behind := s.size() - slow.size(); behind > 6*blocksASecond {
				t.Errorf("%v: %d blocks behind, want at most 6 s", slow, behind)
			}
		}
		wantFlow(t, s, 6, a)
		// It may have tried the slow one as a parent, and asked for what did not come.
		if st := a.swarm.Status(); st.Blocks.Missed > 0 || st.Blocks.Repaired > blocksASecond/8 || st.LagP99 > 30*time.Millisecond {
			t.Errorf("%v: want nothing missed, hardly anything asked for, p99 at most 30 ms", a)
		}
		if st := slow.swarm.Status(); st.Blocks.Verified < 7*blocksASecond {
			t.Errorf("%v: got little of what its link can carry", slow)
		}
	})
}

// Two nodes that know each other do no harm, wherever their channel comes from.
func TestLoop(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		a := w.viewer("a", at[1], Config{}, at[2], at[0])
		b := w.viewer("b", at[2], Config{}, at[3])
		c := w.viewer("c", at[3], Config{}, at[1])
		pass(5 * time.Second)
		wantReason(t, b, Waiting, "which itself knows nothing of the channel yet")
		s := w.streamer("s", at[0], feed.Config{})
		pass(8 * time.Second)
		wantFlow(t, s, 8, a, b, c)
		s.kill()
		pass(6 * time.Second)
		s = w.streamer("s", at[0], feed.Config{})
		pass(8 * time.Second)
		wantFlow(t, s, 8, a, b, c)
	})
}

// Who shares nothing says so, and uploads no media; who knows nobody else says why nothing comes.
func TestNoShare(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		a := w.viewer("a", at[1], Config{NoShare: true}, at[0])
		pass(3 * time.Second)
		s.plug(false)
		b := w.viewer("b", at[2], Config{}, at[1])
		pass(2 * time.Second)
		wantReason(t, b, Starting, "the viewer 1.0.1.1:4433 does not serve us: it shares nothing")
		s.plug(true)
		pass(8 * time.Second)
		wantFlow(t, s, 6, a, b) // a has told b of the streamer
		if st := a.swarm.Status(); st.Sent.Media+st.Sent.Repair > 0 || st.Children > 0 {
			t.Errorf("%v: sent %+v, want no media and no repairs", a, st.Sent)
		}
	})
}

// A link to nobody, to somebody else, to oneself.
func TestReasons(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		self := w.viewer("self", at[0], Config{}, at[0])
		nobody := w.viewer("nobody", at[1], Config{}, at[2])
		none := w.viewer("none", w.place(netsim.Link{}), Config{})
		looks := w.viewer("looks", w.place(netsim.Link{}), Config{Looking: "under the bed"})
		pass(5 * time.Second)
		wantReason(t, self, Waiting, "1.0.0.1:4433 is this node itself; trying again in ")
		wantReason(t, nobody, Waiting, "1.0.2.1:4433 does not answer; trying again")
		wantReason(t, none, Waiting, "the link names no address to connect to; ask for one")
		wantReason(t, looks, Waiting, "the link names no address to connect to; looking under the bed")
	})
}

// A streamer that meets a live epoch above its own says so; one that only hears of such an epoch does not.
func TestTwoStreamers(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		one := w.streamer("one", at[0], feed.Config{})
		pass(time.Second)
		two := w.streamer("two", at[1], feed.Config{})
		w.viewer("a", at[2], Config{}, at[0], at[1])
		pass(4 * time.Second)
		if st := one.swarm.Status(); st.Superseded == nil || st.Superseded.ID != two.swarm.Status().Epoch.ID {
			t.Errorf("the first streamer says it is superseded by %v, want the epoch of the second", st.Superseded)
		}
		if st := two.swarm.Status(); st.Superseded != nil {
			t.Errorf("the second streamer says it is superseded by %v", st.Superseded)
		}
	})
}

// The past is there for who asks for a range, in runs, and from who shares.
func TestRanges(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		miser := w.viewer("miser", at[1], Config{NoShare: true}, at[0])
		pass(3 * time.Second)
		asker, err := quicwire.New(quicwire.Config{Conn: at[2], Key: testKey("asker"), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer asker.Close()
		log := quicwire.LogID{Epoch: s.swarm.Status().Epoch.ID, Name: feedtest.Rendition}
		tests := []struct {
			of       *node
			log      quicwire.LogID
			from, to uint64
			want     int
			refusal  quicwire.Refusal
		}{
			{s, log, 10, 60, 50, 0},
			{s, log, 100, 4000, 20, 0},
			{s, log, 5000, 5010, 0, quicwire.RefusedNotHeld},
			{s, quicwire.LogID{Epoch: log.Epoch, Name: "no"}, 0, 10, 0, quicwire.RefusedLog},
			{miser, log, 10, 60, 0, quicwire.RefusedUnwilling},
		}
		for _, c := range tests {
			n, refusal := ask(t, asker, c.of, quicwire.Range{Log: c.log, From: c.from, To: c.to})
			if n < c.want || c.want == 0 && n > 0 || refusal != c.refusal {
				t.Errorf("%s, blocks [%d, %d) of %v: got %d, refusal %d; want %d, %d", c.of.name, c.from, c.to, c.log, n, refusal, c.want, c.refusal)
			}
		}
	})
}

// Ranges come from epochs that are only on disk, too; a refusal says where what is held begins.
func TestRangesOfOldEpochs(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{Files: feedtest.NewDisk(), TailBytes: 1})
		log := quicwire.LogID{Epoch: s.channel.Writer.Epoch().ID(), Name: feedtest.Rendition}
		pass(3 * time.Second)
		for range 5 {
			if err := s.channel.Restart(1); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		if s.replica.Epoch(log.Epoch) != nil {
			t.Fatal("the first epoch is still held in memory")
		}
		asker, err := quicwire.New(quicwire.Config{Conn: at[1], Key: testKey("asker"), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer asker.Close()
		if n, refusal := ask(t, asker, s, quicwire.Range{Log: log, From: 10, To: 60}); n != 50 || refusal != 0 {
			t.Errorf("got %d blocks, refusal %d, want 50", n, refusal)
		}
		made := quicwire.LogID{Epoch: log.Epoch, Name: "no"}
		if n, refusal := ask(t, asker, s, quicwire.Range{Log: made, From: 10, To: 60}); n != 0 || refusal != quicwire.RefusedLog {
			t.Errorf("a log that is not there: got %d blocks, refusal %d, want %d", n, refusal, quicwire.RefusedLog)
		}
	})
}

// A peer's demand makes nobody look for old epochs on disk who shares nothing, nor for many at once.
func TestRangesOpenFewOldEpochs(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		disk := &countedReads{Files: feedtest.NewDisk()}
		c := feedtest.Broadcast(t, w.station, feed.Config{Files: disk}, 1)
		var old []feed.EpochID
		for range 16 {
			c.Append(t, 2, 100)
			old = append(old, c.Writer.Epoch().ID())
			pass(time.Second)
			if err := c.Restart(1); err != nil {
				t.Fatal(err)
			}
		}
		old = old[:12] // those that are not in memory, more than are kept open
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		asker, err := quicwire.New(quicwire.Config{Conn: at[2], Key: testKey("asker"), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer asker.Close()
		miser := start(t, "miser", at[0], c.Replica, Config{NoShare: true})
		before := disk.reads.Load()
		for _, id := range old {
			r := quicwire.Range{Log: quicwire.LogID{Epoch: id, Name: feedtest.Rendition}, To: 1}
			if n, refusal := ask(t, asker, miser, r); n != 0 || refusal != quicwire.RefusedUnwilling {
				t.Errorf("of who shares nothing: got %d blocks, refusal %d, want %d", n, refusal, quicwire.RefusedUnwilling)
			}
		}
		if reads := disk.reads.Load() - before; reads > 0 {
			t.Errorf("who shares nothing read %d files", reads)
		}
		miser.cancelOnly()

		giver := start(t, "giver", at[1], c.Replica, Config{})
		session, err := asker.Dial(t.Context(), c.Replica.Root(), giver.endpoint.Addr().String(), nil, quicwire.Hello{Role: quicwire.Viewer})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close(quicwire.CodeDone, "")
		answers := make(map[quicwire.Refusal]int)
		for k := range 3 * pastBurst {
			in, err := session.Fetch(t.Context(), quicwire.Range{Log: quicwire.LogID{Epoch: old[k%len(old)], Name: feedtest.Rendition}, To: 1})
			var refused *quicwire.RangeRefused
			if errors.As(err, &refused) {
				answers[refused.Reason]++
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			answers[0]++
			in.Close()
		}
		if served := answers[0]; served < pastBurst || answers[quicwire.RefusedBusy] < pastBurst || served+answers[quicwire.RefusedBusy] != 3*pastBurst {
			t.Errorf("got answers %v, want some %d served and the rest busy", answers, pastBurst)
		}
	})
}

// countedReads counts the files that are read as a whole: the notes of an epoch, when it is opened.
type countedReads struct {
	feed.Files
	reads atomic.Int64
}

func (c *countedReads) ReadFile(name string, limit int) ([]byte, error) {
	c.reads.Add(1)
	return c.Files.ReadFile(name, limit)
}

// ask fetches a range and returns how many blocks came.
func ask(t *testing.T, asker *quicwire.Endpoint, n *node, r quicwire.Range) (blocks int, refusal quicwire.Refusal) {
	t.Helper()
	session, err := asker.Dial(t.Context(), n.replica.Root(), n.endpoint.Addr().String(), nil, quicwire.Hello{Role: quicwire.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close(quicwire.CodeDone, "")
	in, err := session.Fetch(t.Context(), r)
	var refused *quicwire.RangeRefused
	if errors.As(err, &refused) {
		return 0, refused.Reason
	} else if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for {
		if _, _, err := in.ReadBlock(); errors.Is(err, io.EOF) {
			return blocks, 0
		} else if err != nil {
			t.Fatal(err)
		}
		blocks++
	}
}
