package swarm

import (
	"testing"
	"time"

	"tailcast/quicwire"
)

// A parent that delivers no block of one stripe is left for one to whom the stripe flows, also if that one has not said for a while how far
// it is: a STATUS is seconds old when the next comes.
func TestOldStatusIsNoExcuse(t *testing.T) {
	for name, c := range map[string]struct {
		flows    bool
		earliest time.Duration
	}{"it lies": {true, leaveLiar}, "it admits it": {false, leaveHungry}} {
		s := following(t, MeshConfig{})
		s.bot(1).keeps[0] = true
		s.bot(1).pong = func(*quicwire.Ping) quicwire.Pong { return quicwire.Pong{Flows: c.flows, Next: 100} }
		began, at := s.now, uint64(100)
		for s.parent(0) == 1 && s.now.Sub(began) < 4*time.Second {
			s.flow(at, at+1)
			at++
		}
		if d := s.now.Sub(began); d < c.earliest || d > c.earliest+500*ms {
			t.Errorf("%s: left after %v, want %v to 500 ms more", name, d, c.earliest)
		}
		s.flow(at, at+20)
		s.wantParent(0, 2)
		s.wantParent(1, 1)
	}
}

// What was missed before a parent began is none of its blocks: it is not left because they come from others.
func TestRepairsOfBeforeAreNoFault(t *testing.T) {
	s := following(t, MeshConfig{})
	s.answers(3)
	s.joins(3, 300*ms)
	s.status(3, today, 3, 100)
	s.bot(2).first, s.bot(3).first = 160, 160
	s.do(SessionDown{1, errNoAnswer})
	parents := [2]SessionID{s.parent(0), s.parent(1)}
	s.flow(160, 200)
	for i := range uint64(60) { // the other one answers REQs
		for n := 2; n <= 3; n++ {
			if SessionID(n) != parents[i%2] {
				s.block(n, today, 100+i, true)
			}
		}
	}
	all := s.flow(200, 600)
	if subs, to := sent[*quicwire.Sub](all); len(subs) > 0 || s.m.blocks.Repaired != 60 {
		t.Errorf("got SUBs %+v to %v with %d blocks repaired, want to stay with the parent", subs, to, s.m.blocks.Repaired)
	}
}

// A parent that promises only blocks of the far future is no way to keep a stripe from us: it is left as if it had promised the next.
func TestPromiseOfTheFarFuture(t *testing.T) {
	s := following(t, MeshConfig{})
	s.answers(3)
	s.joins(3, time.Second)
	s.status(3, today, 3, 100)
	s.bot(2).first, s.bot(2).stuck = 1<<30, true
	s.says(1, &quicwire.Moved{Log: tv(today), Stripe: 0, Retry: shunTime})
	s.wantParent(0, 2)
	s.wantParent(1, 1)
	s.flow(100, 184) // 2.1 s
	if got := s.parent(0); got == 2 {
		t.Error("stripe 0 still comes from session 2, which sends nothing of it")
	}
}

// Who has sent us blocks a moment ago, and is too slow now, has not broken a promise: it is asked again after a while. Who never sent any
// is not, for half a minute.
func TestSlowIsNoLiar(t *testing.T) {
	for name, delivered := range map[string]uint64{"has sent some": 20, "never sent any": 0} {
		s := newStriped(t, 2, 1, MeshConfig{})
		s.do(Tick{})
		s.answers(1)
		s.answers(2)
		s.up(1, 0, today, 10*ms)
		s.up(2, 1, today, 400*ms)
		s.status(1, today, 1, 1)
		s.status(2, today, 1, 1)
		if delivered == 0 {
			s.bot(1).stuck = true
		}
		s.flow(0, delivered)
		s.bot(1).stuck = true
		s.shelf.put(tv(today), 100)
		s.status(2, today, 1, 100)
		for at := uint64(100); s.parent(0) == 1 && at < 180; at++ {
			s.flow(at, at+1)
		}
		if banned := s.now.Before(s.m.peer(1).refused); banned != (delivered == 0) {
			t.Errorf("%s: not asked for half a minute: %v", name, banned)
		}
	}
}
