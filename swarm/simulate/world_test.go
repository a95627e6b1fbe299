package simulate

import (
	"slices"
	"testing"
	"time"

	"tailcast/quicwire"
	"tailcast/swarm"
)

// short is a run that takes a second or so.
func short(seed uint64) Config {
	return Config{Seed: seed, Viewers: 30, Duration: 14 * time.Second, Warm: 5 * time.Second, JoinFor: 2 * time.Second}
}

// The same seed gives the same run, event by event; another one another.
func TestDeterminism(t *testing.T) {
	c := short(1)
	c.Crash, c.CrashAt, c.Session = 0.2, 7*time.Second, 20*time.Second
	a, b := NewWorld(c).Run(), NewWorld(c).Run()
	if a.Trace != b.Trace || a.Events != b.Events || a.Egress != b.Egress {
		t.Errorf("%d events, trace %x; again %d, %x", a.Events, a.Trace, b.Events, b.Trace)
	}
	c.Seed = 2
	if other := NewWorld(c).Run(); other.Trace == a.Trace {
		t.Errorf("seeds 1 and 2 both give trace %x", other.Trace)
	}
}

// Thirty viewers on a usual evening: all of it arrives, and the source sends little more than its two copies.
func TestUsual(t *testing.T) {
	r := NewWorld(short(1)).Run()
	if r.Viewers != 30 || r.Missed[2] > 0.01 || r.Egress > 3 || r.Egress < 1.9 || r.Lag[0] > time.Second || r.Lag[0] < 20*time.Millisecond {
		t.Errorf("%d viewers, missed %.4f, egress %.2f, lag %v", r.Viewers, r.Missed, r.Egress, r.Lag)
	}
	for _, v := range []Violation{notHeld, noUpload} {
		if b := r.Violations[v]; b != nil {
			t.Errorf("%s: %+v", v, b)
		}
	}
	if r.Control <= 0 || r.Control > 0.06 || r.Depth < 1.5 || r.Proofs < 0.02 {
		t.Errorf("control %.3f, depth %.1f, proofs %.3f", r.Control, r.Depth, r.Proofs)
	}
}

// Attackers hurt: each of them in its way. And nothing that they do stops a run.
func TestAttacks(t *testing.T) {
	base := NewWorld(short(3)).Run()
	for _, attack := range Attacks {
		if testing.Short() && attack != Polluter && attack != Squatter {
			continue
		}
		c := short(3)
		c.Attack, c.Hostile, c.Attackers = attack, 0.2, 3
		r := NewWorld(c).Run()
		if r.Trace == base.Trace || r.Viewers >= 30 {
			t.Errorf("%s: nobody is hostile", attack)
		}
		switch attack {
		case Polluter:
			if r.Bad == 0 {
				t.Errorf("%s: no block was bad", attack)
			}
		case Flooder:
			if r.Refused < 3*base.Refused {
				t.Errorf("%s: %.2f blocks are refused for one that comes, without it %.2f", attack, r.Refused, base.Refused)
			}
		}
	}
}

// Replayers show yesterday; who knows only them takes it for live.
func TestReplay(t *testing.T) {
	c := short(1)
	c.Attack, c.Hostile = Replayer, 0.3
	w := NewWorld(c)
	var fooled bool
	for w.step() {
	}
	for _, n := range w.nodes[1:] {
		if n.kind == hostileNode && n.alive && n.newest != nil && n.newest.live() {
			t.Errorf("replayer %d has gone over to the real epoch", n.index)
		}
		fooled = fooled || n.viewer() && n.alive && n.known&(1<<1) != 0
	}
	if !fooled {
		t.Error("nobody has heard of yesterday: there are no replayers")
	}
}

// Where viewers have too little uplink, a relay spends nearly all of its own: the swarm finds it, and asks it for as much as it has.
func TestRelayIsUsed(t *testing.T) {
	c := short(1)
	c.Mix, c.Relays, c.RelayUp, c.Session = Poor, 1, 8, -1
	w := NewWorld(c)
	for w.now() < 7*time.Second && w.step() {
	}
	relay := w.net.Host(w.alive(relayNode)[0].index)
	before, from := relay.Sent.Total(), w.now()
	for w.now() < 13*time.Second && w.step() {
	}
	share := float64(relay.Sent.Total()-before) * 8 / relay.Up / (w.now() - from).Seconds()
	if share < 0.8 || share > 1.02 {
		t.Errorf("the relay spends %.0f %% of its uplink, want over 80", 100*share)
	}
}

// Those who vanish together do so at once and say nothing; others come back from it.
func TestCrash(t *testing.T) {
	c := short(2)
	c.Crash, c.CrashAt, c.Session = 0.3, 7*time.Second, -1
	w := NewWorld(c)
	for w.now() < 7*time.Second-time.Millisecond && w.step() {
	}
	before := len(w.alive(viewerNode))
	for w.now() < 7*time.Second+time.Millisecond && w.step() {
	}
	after := len(w.alive(viewerNode))
	if gone := before - after; gone < 3 || gone > 16 {
		t.Errorf("%d of %d vanish, want about 8", gone, before)
	}
}

// A stripe that goes round in a circle is noticed, and so is who pushes although it uploads nothing, or what it does not have.
func TestInvariants(t *testing.T) {
	s := newStage(t, Config{Warm: time.Second, Duration: 20 * time.Second})
	var nodes []*node
	for range 3 {
		n, _ := s.add(func(p *person) { p.noUpload = true })
		s.learn(n, s.source().signs)
		nodes = append(nodes, n)
	}
	for i, n := range nodes {
		child := nodes[(i+1)%3]
		id, from := s.meet(child, n)
		s.act(child, swarm.Send{Session: id, Message: &quicwire.Sub{Log: s.media().id, Stripe: 4, Stripes: 16}})
		s.pass(200 * time.Millisecond)
		s.act(n, swarm.Send{Session: from, Message: &quicwire.SubOK{Log: s.media().id, Stripe: 4}})
		s.act(n, swarm.Push{Session: from, Log: s.media().id, Stripe: 4, Stripes: 16, Blocks: []uint64{4}})
	}
	s.pass(5 * time.Second)
	for _, v := range []Violation{circle, noUpload, notHeld} {
		if b := s.measure.violations[v]; b == nil || b.Nodes() != 3 {
			t.Errorf("%s: %+v, want three nodes", v, b)
		}
	}
	if b := s.measure.violations[circle]; b != nil && b.Worst < 3 {
		t.Errorf("the circle lasts %.0f s, want longer", b.Worst)
	}
}

// The other invariants: each is noted when it is broken, and by whom; only then, and of nobody who is hostile.
func TestBreaches(t *testing.T) {
	for name, c := range map[string]struct {
		times   int // that each block is pushed to the viewer
		bad     bool
		hostile bool
		want    []Violation
	}{
		"all is well":           {times: 1},
		"all is wrong":          {times: 3, bad: true, want: []Violation{egress, overfull, backlog, received, requested, detached}},
		"who is wrong, is evil": {times: 1, bad: true, hostile: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, viewer, p, own, id := watching(t, Config{Warm: 4 * time.Second, Duration: 16 * time.Second, Uplink: 50})
			for i := range s.media().stripes {
				s.act(s.source(), swarm.Send{Session: id, Message: &quicwire.SubOK{Log: s.media().id, Stripe: uint8(i)}})
			}
			s.pass(5*time.Second - s.now())
			if c.hostile {
				viewer.kind = hostileNode
			}
			if c.bad {
				p.over = 9
				s.act(viewer, swarm.Send{Session: own, Message: &quicwire.Status{Log: s.media().id, Backlog: 2 * maxBacklog}})
				s.act(viewer, swarm.Send{Session: own, Message: &quicwire.Unsub{Log: s.media().id, Stripe: 3}})
			}
			for next := len(s.media().blocks); s.now() < s.cfg.Duration-20*time.Millisecond; s.pass(20 * time.Millisecond) {
				for ; next < len(s.media().blocks); next++ {
					for range c.times {
						s.serve(id, uint64(next))
					}
					if c.bad && next%20 == 0 {
						s.act(viewer, swarm.Send{Session: own, Message: &quicwire.Req{Log: s.media().id, Blocks: []uint64{uint64(next)}}})
					}
				}
			}
			r := s.result()
			for _, v := range []Violation{egress, notHeld, circle, overfull, backlog, received, requested, detached, noUpload} {
				if b := r.Violations[v]; (b != nil) != slices.Contains(c.want, v) || b != nil && (b.Nodes() != 1 || b.Worst <= 0) {
					t.Errorf("%s: %+v, want it among %q", v, b, c.want)
				}
			}
		})
	}
}

// A stripe whose only parent was killed is orphaned from then on, whether its child has noticed or not.
func TestOrphans(t *testing.T) {
	s := newStage(t, Config{Warm: time.Second, Duration: 30 * time.Second})
	child, _ := s.add(nil)
	s.learn(child, s.source().signs)
	parent := func() (*node, swarm.SessionID, swarm.SessionID) {
		n, _ := s.add(nil)
		id, from := s.meet(child, n)
		s.act(child, swarm.Send{Session: id, Message: &quicwire.Sub{Log: s.media().id, Stripe: 4, Stripes: 16}})
		s.act(n, swarm.Send{Session: from, Message: &quicwire.SubOK{Log: s.media().id, Stripe: 4}})
		s.pass(200 * time.Millisecond)
		return n, id, from
	}
	first, _, _ := parent()
	if s.parent(child, 4) != first {
		t.Fatal("SUBOK makes no parent")
	}
	s.kill(first)
	if s.parent(child, 4) != nil {
		t.Error("who was killed is a parent still")
	}
	s.pass(3 * time.Second)
	parent()
	if b := s.measure.violations[detached]; b == nil || b.Worst < 3 || b.Worst > 5 {
		t.Errorf("without a parent: %+v, want between 3 and 5 s", b)
	}
}

// What a viewer misses is what was signed while it was there, and did not come in time.
func TestMissed(t *testing.T) {
	s, viewer, _, _, id := watching(t, Config{Warm: 2 * time.Second, Duration: 16 * time.Second, Uplink: 50})
	next := len(s.media().blocks)
	for s.now() < s.cfg.Duration-20*time.Millisecond {
		s.pass(20 * time.Millisecond)
		for ; next < len(s.media().blocks); next++ {
			if next%4 > 0 { // one in four never comes
				s.serve(id, uint64(next))
			}
		}
	}
	r := s.result()
	if r.Missed[0] < 0.24 || r.Missed[0] > 0.26 || r.Missed[0] != r.Missed[2] {
		t.Errorf("missed %.3f, want a quarter", r.Missed)
	}
	if way := s.rtt(viewer, s.source()) / 2; r.Lag[0] < way || r.Lag[2] > way+40*time.Millisecond {
		t.Errorf("lag %v, want %v and the time until the next push", r.Lag, way)
	}
}

// Uplinks are drawn as a mix says.
func TestMixes(t *testing.T) {
	s := newStage(t, Config{})
	for mix := range mixes {
		sum := 0.0
		for range 20000 {
			sum += s.draw(mix)
		}
		if got, want := sum/20000, mix.Sigma(); got < want*0.93 || got > want*1.07 {
			t.Errorf("%s: %.2f streams on average, want %.2f", mix, got, want)
		}
	}
}

// Pictures of an encoder: the stream's rate, with a large one where a segment begins.
func TestPictures(t *testing.T) {
	s := newStage(t, Config{Stream: Stream{Frames: 30}, Duration: 30 * time.Second})
	s.pass(20 * time.Second)
	l, sum, together := s.media(), 0, 0
	for i := range l.blocks {
		sum += int(l.blocks[i].size)
		if l.first(uint64(i)) && i+8 < len(l.blocks) && l.blocks[i+8].at == l.blocks[i].at {
			together++
		}
	}
	if rate := float64(sum) * 8 / 20; rate < 3.7e6 || rate > 4.3e6 {
		t.Errorf("%.2f Mbit/s, want 4", rate/1e6)
	}
	if together < 15 {
		t.Errorf("%d segments begin with eight blocks at once, want 19 or so", together)
	}
}
