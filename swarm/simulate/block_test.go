package simulate

import (
	"math"
	"slices"
	"testing"
	"time"

	"tailcast/feed/merkle"
	"tailcast/internal/netsim/model"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// watching returns a stage on which a viewer has a session with the source, and has subscribed all stripes.
func watching(t *testing.T, cfg Config) (s *stage, viewer *node, p *puppet, own, sources swarm.SessionID) {
	s = newStage(t, cfg)
	viewer, p = s.add(nil)
	own, sources = s.meet(viewer, s.source())
	for i := range s.media().stripes {
		s.act(viewer, swarm.Send{Session: own, Message: &quicwire.Sub{Log: s.media().id, Stripe: uint8(i), Stripes: uint8(s.media().stripes)}})
	}
	s.pass(200 * time.Millisecond)
	return s, viewer, p, own, sources
}

// A Push becomes Pushed here and BlockIn there, with its age as the hops count it.
func TestPush(t *testing.T) {
	s, viewer, p, own, id := watching(t, Config{Uplink: 100})
	l := s.media()
	last := uint64(len(l.blocks) - 1)
	began := s.now()
	residence := began - l.blocks[last].at
	s.serve(id, last)
	s.pass(time.Second)
	at, in := only[swarm.BlockIn](t, p)
	way := s.rtt(viewer, s.source()) / 2
	if in.Session != own || in.Log != l.id || in.Index != last || in.Size != 8192 || in.Back != l.blocks[last].back || !in.Fresh || in.Repaired ||
		!slices.Equal(in.Path, []quicwire.ShortID{s.source().short}) || !in.Wall.Equal(s.wall(l.blocks[last].at)) {
		t.Errorf("got %+v", in)
	}
	near(t, "age", in.Age, residence+way, time.Millisecond)
	near(t, "arrival", at, began+way, 3*time.Millisecond)
	if _, e := only[swarm.Pushed](t, s.puppets[s.source().short]); e.Failed || e.Session != id || e.Bytes != 9000 {
		t.Errorf("pushed %+v", e)
	}
	s.serve(id, last)
	s.pass(time.Second)
	if _, again := all[swarm.BlockIn](p); len(again) != 2 || again[1].Fresh {
		t.Errorf("the same block again: %+v", again[len(again)-1])
	}
}

// The uplink's rate shows in how fast pushes are taken: one at a time to one peer, in order.
func TestPushesQueue(t *testing.T) {
	s, _, p, _, id := watching(t, Config{Uplink: 1})
	began := s.now()
	for i := range uint64(8) {
		s.serve(id, i)
	}
	s.pass(2 * time.Second)
	at, pushed := all[swarm.Pushed](s.puppets[s.source().short])
	_, in := all[swarm.BlockIn](p)
	if len(pushed) != 8 || len(in) != 8 {
		t.Fatalf("%d pushed, %d arrived", len(pushed), len(in))
	}
	each := time.Duration(8900 * 8 / 4e6 * float64(time.Second))
	near(t, "eight blocks at the stream's rate", at[7]-began, 8*each, 4*time.Millisecond)
	for i := range in {
		if in[i].Index != uint64(i) {
			t.Errorf("block %d arrives as number %d", in[i].Index, i)
		}
	}
}

// Blocks of a Req come as repairs, with one Pushed for all of them.
func TestRepair(t *testing.T) {
	s, _, p, _, id := watching(t, Config{})
	s.act(s.source(), swarm.Push{Session: id, Log: s.media().id, Request: 5, Blocks: []uint64{3, 7, 20}, Bytes: 27000})
	s.pass(time.Second)
	_, in := all[swarm.BlockIn](p)
	if len(in) != 3 || !in[0].Repaired || in[2].Index != 20 {
		t.Errorf("got %+v", in)
	}
	only[swarm.Pushed](t, s.puppets[s.source().short])
	if h := s.net.Host(s.source().index); h.Sent[model.Repair] < 3*8192 || h.Sent[model.Media] != 0 {
		t.Errorf("sent %v, want it as repairs", h.Sent)
	}
}

// Stop takes back what waits, and says that it failed.
func TestStop(t *testing.T) {
	s, _, p, _, id := watching(t, Config{Uplink: 1})
	s.serve(id, 0, 16, 32, 1)
	s.act(s.source(), swarm.Stop{Session: id, Log: s.media().id, Stripe: 0})
	s.pass(time.Second)
	_, pushed := all[swarm.Pushed](s.puppets[s.source().short])
	failed := 0
	for _, e := range pushed {
		if e.Failed {
			failed++
		}
	}
	_, in := all[swarm.BlockIn](p)
	if len(pushed) != 4 || failed != 2 || len(in) != 2 || in[1].Index != 1 {
		t.Errorf("%d pushed, %d failed, %d arrived; want 4, 2, 2: the first was on its way", len(pushed), failed, len(in))
	}
}

// Blocks that nobody asked for are not taken in, and the sender is told so.
func TestUnsolicited(t *testing.T) {
	s := newStage(t, Config{})
	viewer, p := s.add(nil)
	own, id := s.meet(viewer, s.source())
	s.serve(id, 2)
	s.pass(time.Second)
	if _, in := all[swarm.BlockIn](p); len(in) > 0 {
		t.Errorf("taken in: %+v", in)
	}
	if _, e := only[swarm.Heard](t, s.puppets[s.source().short]); e.Message.(*quicwire.Unsub).Reason != quicwire.UnsubUnsolicited {
		t.Errorf("the sender hears %+v", e.Message)
	}
	s.act(viewer, swarm.Send{Session: own, Message: &quicwire.Sub{Log: s.media().id, Stripe: 2, Stripes: 16}})
	s.pass(time.Second)
	s.act(s.source(), swarm.Stop{Session: id, Log: s.media().id, Stripe: 2})
	s.serve(id, 18)
	s.pass(time.Second)
	only[swarm.BlockIn](t, p)
}

// A polluter's blocks do not verify.
func TestPolluted(t *testing.T) {
	s, viewer, p, own, _ := watching(t, Config{Attack: Polluter, NAT: -1})
	s.give(viewer, 0)
	bad := s.join(person{kind: hostileNode, up: 100e6, down: 100e6})
	s.learn(bad, s.source().signs)
	s.give(bad, 5)
	inner := s.puppets[bad.short]
	inner.todo = []swarm.Action{swarm.Dial{Addr: viewer.addr.String()}}
	s.pass(time.Second)
	_, ups := all[swarm.SessionUp](p)
	with := ups[len(ups)-1].Session
	s.act(viewer, swarm.Send{Session: with, Message: &quicwire.Sub{Log: s.media().id, Stripe: 5, Stripes: 16}})
	s.pass(time.Second)
	_, mine := only[swarm.SessionUp](t, inner)
	inner.todo = []swarm.Action{swarm.Push{Session: mine.Session, Log: s.media().id, Stripe: 5, Stripes: 16, Blocks: []uint64{5}}}
	s.pass(time.Second)
	if _, e := only[swarm.BlockBad](t, p); e.Session != with || e.Index != 5 || with == own {
		t.Errorf("got %+v", e)
	}
	if viewer.holding(s.media()).held(5) {
		t.Error("the bad block is kept")
	}
}

// give gives a node a block.
func (s *stage) give(n *node, i uint64) {
	s.t.Helper()
	if !n.hold(s.media(), i, s.now()) {
		s.t.Fatalf("block %d is held already", i)
	}
}

// Hashes go with a block as docs/wire.md says: all with the first of a stream, then those that are new.
func TestHashes(t *testing.T) {
	s, _, _, _, id := watching(t, Config{})
	s.pass(3 * time.Second)
	l := s.media()
	sent := func() int64 { return s.net.Host(s.source().index).Sent[model.Proofs] }
	first := uint64(len(l.blocks)) - 1
	first -= uint64(l.blocks[first].back) // of the newest segment
	first += (16 - first%16) % 16
	s.pass(time.Second)
	before := sent()
	s.serve(id, first)
	s.pass(100 * time.Millisecond)
	path := int64(1 + 4)
	if got, want := sent()-before, int64(blockHead+streamHead)+path+int64(merkle.HashSize*merkle.PeakCount(first)); got != want {
		t.Errorf("with the first block go %d bytes, want %d", got, want)
	}
	before = sent()
	s.serve(id, first+16)
	s.pass(100 * time.Millisecond)
	if got, want := sent()-before, int64(blockHead+merkle.HashSize*merkle.NewPeaks(first+1, first+16)); got != want {
		t.Errorf("with the next go %d bytes, want %d", got, want)
	}
}

// About one block in six tells how fast its first packets came: the slower of both links, not very exactly.
func TestBurst(t *testing.T) {
	s, _, p, own, id := watching(t, Config{Uplink: 8, Duration: time.Hour})
	for i := range uint64(3000) {
		s.pass(17 * time.Millisecond)
		s.serve(id, i)
	}
	_, bursts := all[swarm.Burst](p)
	var logs []float64
	for _, e := range bursts {
		if e.Session != own {
			t.Fatalf("burst of session %d, want %d", e.Session, own)
		}
		logs = append(logs, math.Log(float64(e.Rate)/32e6))
	}
	slices.Sort(logs)
	if n := len(bursts); n < 400 || n > 600 {
		t.Errorf("%d bursts for 3000 blocks, want about 500", n)
	}
	if m := logs[len(logs)/2]; math.Abs(m) > 0.06 {
		t.Errorf("the median is off by a factor of %.2f", math.Exp(m))
	}
	if d := logs[len(logs)*84/100] - logs[len(logs)/2]; d < 0.28 || d > 0.42 {
		t.Errorf("a deviation of %.2f, want 0.35", d)
	}
}
