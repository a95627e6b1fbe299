package swarm

import (
	"testing"
	"time"

	"tailcast/quicwire"
)

// reqs returns the blocks that Reqs among the actions ask session n for.
func reqs(all []Action, n int) (blocks []uint64) {
	for _, x := range sentTo[*quicwire.Req](all, n) {
		blocks = append(blocks, x.Blocks...)
	}
	return blocks
}

// Two Reqs without an answer, and a peer is not asked for half a minute; one, of however many blocks, may have been lost.
func TestTwoReqsUnanswered(t *testing.T) {
	s := following(t, MeshConfig{})
	for n := 3; n <= 6; n++ {
		s.answers(n)
		s.joins(n, 40*ms)
	}
	s.m.peer(1).deaf, s.m.peer(2).deaf = s.now.Add(time.Hour), s.now.Add(time.Hour)
	s.lack(100, 107, 3) // 3 is the only one to ask
	p := s.m.peer(3)
	var asked []time.Time
	for at := uint64(108); p.deaf.IsZero() && at < 300; at++ {
		if got := reqs(s.flow(at, at+1), 3); len(got) > 0 {
			if asked = append(asked, s.now); len(got) != 7 {
				t.Fatalf("asked for %v, want all seven at once", got)
			}
		}
	}
	if len(asked) != 2 || s.now.Sub(asked[1]) < repairTimeout || p.deaf.Sub(s.now) < shunTime-100*ms {
		t.Fatalf("asked at %v, left alone until %v at %v; want two REQs, and 30 s", asked, p.deaf, s.now)
	}
	s.flow(s.size(), s.size()+40*20)
	s.lack(s.size(), s.size()+5, 3)
	if got := reqs(s.flow(s.size(), s.size()+40), 3); len(got) > 0 {
		t.Errorf("asked for %v after 20 s", got)
	}
	s.flow(s.size(), s.size()+40*10)
	s.lack(s.size(), s.size()+5, 3)
	if got := reqs(s.flow(s.size(), s.size()+40), 3); len(got) == 0 {
		t.Error("not asked again after 30 s")
	}
}

// lack lets blocks [from, to) be missing for long; session n says that it has them.
func (s *script) lack(from, to uint64, n int) {
	s.push(1, today, to, to+1)
	s.status(n, today, to/40+1, to+1)
	for k := range s.tv().holes {
		s.tv().holes[k].signed = s.now.Add(-time.Second)
	}
}
