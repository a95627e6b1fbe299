package swarm

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/internal/netsim"
	"tailcast/quicwire"
)

// A crooked world has a broadcaster that signs two things.
type crooked struct {
	*world
	crook *feedtest.Crook
}

// simulateCrook runs f in virtual time with a broadcaster that signs whatever it is told.
func simulateCrook(t *testing.T, f func(t *testing.T, w *crooked)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: netsim.New(t, netsim.Config{Latency: 25 * time.Millisecond, Seed: 1})}
		f(t, &crooked{w, feedtest.NewCrook(t)})
	})
}

// follower starts a node of that role with a replica of its own, or the one given.
func (w *crooked) follower(name string, at place, r *feed.Replica, cfg Config, anchors ...place) *node {
	w.t.Helper()
	if r == nil {
		var err error
		if r, err = feed.Open(w.crook.Root, feed.Config{}); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, a := range anchors {
		cfg.Anchors = append(cfg.Anchors, feed.Anchor{Addr: a.AddrPort().String()})
	}
	return start(w.t, name, at, r, cfg)
}

// air lets branches go on for so long: 20 blocks a second each, a segment and a heartbeat a second. Branches with different marks differ.
func air(d time.Duration, marks map[*feedtest.Branch]int64) {
	for range d / time.Second {
		for b, mark := range marks {
			b.Beat()
			b.Segment(mark)
		}
		for range 19 {
			pass(time.Second / 20)
			for b, mark := range marks {
				b.Air(1, mark)
			}
		}
		pass(time.Second / 20)
	}
}

// wantCondemned checks that a node holds a proof of the epoch's fault which verifies, says why it stalls, and blames nobody.
func wantCondemned(t *testing.T, number uint64, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		e := epochOfNumber(n.replica, number)
		if e == nil || e.Fault() == nil || e.Fault().Proof == nil {
			t.Errorf("%v: has no proof against epoch %d", n, number)
			continue
		}
		if err := e.Fault().Proof.Verify(e.Note().Key); err != nil {
			t.Errorf("%s: its proof: %v", n.name, err)
		}
		if st := n.swarm.Status(); st.Banned != 0 {
			t.Errorf("%s: banned %d nodes, want none: nobody but the signer did wrong", n.name, st.Banned)
		}
	}
}

func epochOfNumber(r *feed.Replica, number uint64) *feed.Epoch {
	for _, e := range r.Epochs() {
		if e.Note().Number == number {
			return e
		}
	}
	return nil
}

// One half of the channel is shown one history, the other half another. Every node ends with a proof, follows that epoch no more, blames
// nobody, and goes on with the next epoch.
func TestTwoHalvesOfAChannel(t *testing.T) {
	simulateCrook(t, func(t *testing.T, w *crooked) {
		var at []place
		for range 9 {
			at = append(at, w.place(netsim.Link{}))
		}
		a := w.crook.Epoch(t, 1000, testStripes)
		a.Air(5, 0)
		b := a.Split()
		streamerA := w.follower("A", at[0], a.Replica, Config{Role: quicwire.Streamer})
		streamerB := w.follower("B", at[1], b.Replica, Config{Role: quicwire.Streamer})
		next := at[2]
		viewers := []*node{
			w.follower("a1", at[3], nil, Config{}, at[0], next),
			w.follower("a2", at[4], nil, Config{}, at[0], next),
			w.follower("a3", at[5], nil, Config{}, at[4], next),
			w.follower("b1", at[6], nil, Config{}, at[1], at[4], next), // knows somebody of the other half
			w.follower("b2", at[7], nil, Config{}, at[1], next),
			w.follower("b3", at[8], nil, Config{}, at[6], next),
		}
		air(2*time.Second, map[*feedtest.Branch]int64{a: 0, b: 0})
		for _, n := range viewers {
			if st := n.swarm.Status(); st.State != Flowing || n.size() == 0 {
				t.Fatalf("%v: want it to follow before the fork", n)
			}
		}
		air(4*time.Second, map[*feedtest.Branch]int64{a: 1, b: 2})
		all := append(slices.Clone(viewers), streamerA, streamerB)
		wantCondemned(t, 1000, all...)
		sizes := make(map[*node]uint64)
		for _, n := range viewers {
			wantReason(t, n, Stalled, "signed two different histories of main; nobody follows this run of the channel any further")
			sizes[n] = n.size()
			if !n.media().Has(n.size()-1) || n.size() < 30 {
				t.Errorf("%v: what was verified is gone", n)
			}
		}
		air(3*time.Second, map[*feedtest.Branch]int64{a: 1, b: 2})
		for _, n := range viewers {
			if n.size() != sizes[n] {
				t.Errorf("%v: it had %d blocks, and goes on following", n, sizes[n])
			}
		}
		after := w.crook.Epoch(t, 2000, testStripes)
		src := w.follower("next", next, after.Replica, Config{Role: quicwire.Streamer})
		air(8*time.Second, map[*feedtest.Branch]int64{after: 0})
		wantFlow(t, src, 8, viewers...)
		wantCondemned(t, 1000, viewers...)
	})
}

// A node that loses its parent and goes on with one of the other branch finds the fork in its first blocks, and does not take the new
// parent for a forger.
func TestParentOfAnotherBranch(t *testing.T) {
	simulateCrook(t, func(t *testing.T, w *crooked) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		a := w.crook.Epoch(t, 1000, testStripes)
		a.Air(5, 0)
		b := a.Split()
		streamerA := w.follower("A", at[0], a.Replica, Config{Role: quicwire.Streamer})
		n := w.follower("n", at[2], nil, Config{}, at[0], at[1])
		marks := map[*feedtest.Branch]int64{a: 1, b: 2}
		air(3*time.Second, marks)
		if f := n.replica.Current().Fault(); f != nil || n.size() < 40 {
			t.Fatalf("%v: condemned by %v before it has seen the other branch", n, f)
		}
		pass(200 * time.Millisecond) // for what is on its way
		size := n.size()
		streamerA.kill()
		w.follower("B", at[1], b.Replica, Config{Role: quicwire.Streamer})
		air(4*time.Second, map[*feedtest.Branch]int64{b: 2})
		wantCondemned(t, 1000, n)
		wantReason(t, n, Stalled, "signed two different histories of main")
		if n.size() != size {
			t.Errorf("%v: it had %d blocks of one branch, and took in some of the other", n, size)
		}
		kept := func(p Peer) bool { return p.Addr == at[1].AddrPort().String() }
		if st := n.swarm.Status(); !slices.ContainsFunc(st.Peers, kept) {
			t.Errorf("%v: want the session with the other branch kept", n)
		}
	})
}

// Whoever comes later learns of the fault from any neighbour, and so follows nothing of the epoch, on whichever branch it is.
func TestNewcomerLearnsOfAFault(t *testing.T) {
	simulateCrook(t, func(t *testing.T, w *crooked) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		a := w.crook.Epoch(t, 1000, testStripes)
		a.Air(5, 0)
		b := a.Split()
		a.Air(5, 1)
		b.Air(5, 2)
		p, err := a.Log(feedtest.Rendition).Contradicts(b.Log(feedtest.Rendition).Head())
		if err != nil {
			t.Fatal(err)
		}
		disk := feedtest.NewDisk()
		r, err := feed.Open(w.crook.Root, feed.Config{Files: disk})
		if err != nil {
			t.Fatal(err)
		}
		e, err := r.AddNotes(a.Notes)
		if err != nil {
			t.Fatal(err)
		}
		if fresh, err := e.AddFault(p); !fresh || err != nil {
			t.Fatalf("got %v, %v", fresh, err)
		}
		if err := r.Close(); err != nil { // it is a restart that tells the next
			t.Fatal(err)
		}
		if r, err = feed.Open(w.crook.Root, feed.Config{Files: disk}); err != nil {
			t.Fatal(err)
		}
		one := w.follower("one", at[0], r, Config{})
		two := w.follower("two", at[1], nil, Config{}, at[0])
		three := w.follower("three", at[2], nil, Config{}, at[1])
		pass(3 * time.Second)
		wantCondemned(t, 1000, one, two, three)
		wantReason(t, three, Stalled, "signed two different histories of main")
		pass(10 * time.Second)
		for _, n := range []*node{one, two, three} {
			if got := n.swarm.Status(); got.Banned != 0 || len(got.Peers) == 0 {
				t.Errorf("%v: want its sessions kept", n)
			}
		}
	})
}

// A record that breaks a rule goes no further than to those who check it; the proof goes everywhere. What nobody signed proves nothing.
func TestBrokenRuleIsPassedOn(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*feed.Record)
		signed bool
		says   string
	}{
		"against its neighbour":  {func(r *feed.Record) { r.Offset++ }, true, "offset is the previous offset plus the previous length"},
		"no record":              {func(r *feed.Record) { r.Kind = 0 }, true, "not a record: kind 0"},
		"no record, by a forger": {func(r *feed.Record) { r.Kind = 0 }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			simulateCrook(t, func(t *testing.T, w *crooked) {
				at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
				b := w.crook.Epoch(t, 1000, 1)
				w.villain("villain", at[0], b.Replica, &villain{mangle: func(s *quicwire.StripeBlock) {
					if s.Record.Kind != feed.Media || s.Index < 30 {
						return
					}
					c.change(&s.Record)
					if !c.signed {
						return
					}
					after := s.Frontier
					after.Append(s.Record.Leaf())
					s.Signature = feed.SignHead(b.Key(), b.Log(feedtest.Rendition).Origin(), after.Size(), after.Root()).Signature
				}})
				nodes := []*node{
					w.follower("one", at[1], nil, Config{}, at[0]), w.follower("two", at[2], nil, Config{}, at[1]), w.follower("three", at[3], nil, Config{}, at[2]),
				}
				air(5*time.Second, map[*feedtest.Branch]int64{b: 0})
				if !c.signed {
					for _, n := range nodes {
						if f := n.replica.Current().Fault(); f != nil {
							t.Errorf("%v: an honest signer is condemned: %v", n, f)
						}
					}
					return
				}
				wantCondemned(t, 1000, nodes...)
				for _, n := range nodes {
					wantReason(t, n, Stalled, "signed record 30 of main against the rules")
					wantReason(t, n, Stalled, c.says)
					if f := n.media().Fault(); f == nil || f.Kind() != feed.KindRule || f.Index != 30 || n.media().Has(30) || n.size() > 30 {
						t.Errorf("%v: fault %v, want one at 30 and nothing from there on", n, f)
					}
				}
			})
		})
	}
}

// Who shows a proof that proves nothing, or a head that is not signed, is a liar. Who shows what is true, or not understood, is none.
func TestLiars(t *testing.T) {
	simulateCrook(t, func(t *testing.T, w *crooked) {
		b := w.crook.Epoch(t, 1000, testStripes)
		b.Air(20, 0)
		l := b.Log(feedtest.Rendition)
		log := quicwire.LogID{Epoch: l.Epoch().ID(), Name: l.Name()}
		head := l.Head()
		forged := head
		forged.Root[0] ^= 1
		earlier, _ := l.HeadAt(20)
		block, err := l.Block(7)
		if err != nil {
			t.Fatal(err)
		}
		rule := feed.RuleProof{Origin: l.Origin(), Index: 7, Record: block.Record.Raw(), Signature: block.Signature}
		f, err := l.Frontier(7)
		if err != nil {
			t.Fatal(err)
		}
		rule.Frontier = f.Peaks()
		honest, err := feed.EncodeFault(&rule)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			m   quicwire.Message
			lie bool
		}{
			"a head that is not signed":      {&quicwire.Fork{Log: log, A: forged}, true},
			"the head that everybody has":    {&quicwire.Fork{Log: log, A: head}, false},
			"one head twice":                 {&quicwire.Fork{Log: log, A: head, B: &earlier}, true},
			"a head and a forged one":        {&quicwire.Fork{Log: log, A: head, B: &forged}, true},
			"a record that breaks no rule":   {&quicwire.Fault{Proof: honest}, true},
			"a proof cut short":              {&quicwire.Fault{Proof: honest[:len(honest)-1]}, true},
			"no proof at all":                {&quicwire.Fault{}, true},
			"a kind of proof that will come": {&quicwire.Fault{Proof: []byte{1, 77, 3}}, false},
			"a log that nobody knows":        {&quicwire.Fork{Log: quicwire.LogID{Epoch: feed.EpochID{9}, Name: "x"}, A: forged}, false},
		} {
			for _, after := range []time.Duration{time.Second, 100 * time.Millisecond} { // the second time, of a log that is not known yet
				w.hears(name, b, c.m, after, c.lie)
			}
		}
	})
}

// hears lets a node hear a message from a mute peer, so long after the session began, and checks whether the peer is shut out for it.
func (w *crooked) hears(name string, b *feedtest.Branch, m quicwire.Message, after time.Duration, lie bool) {
	w.t.Helper()
	at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
	src := w.follower("s "+name, at[0], b.Replica, Config{Role: quicwire.Streamer})
	v := w.villain("villain "+name, at[1], b.Replica, &villain{mute: true, after: after, says: func() []quicwire.Message { return []quicwire.Message{m} }})
	n := w.follower("n "+name, at[2], nil, Config{}, at[0], at[1])
	pass(3 * time.Second)
	if st := n.swarm.Status(); (st.Banned > 0) != lie {
		w.t.Errorf("%s, after %v: banned %d peers, want a ban %v", name, after, st.Banned, lie)
	}
	if f := n.replica.Current().Fault(); f != nil {
		w.t.Errorf("%s, after %v: an honest signer is condemned: %v", name, after, f)
	}
	n.stop()
	v.stop()
	src.cancelOnly()
}

// cancelOnly ends a node whose replica others go on with.
func (n *node) cancelOnly() {
	n.cancel()
	n.cancel = nil
	<-n.done
	n.endpoint.Close()
}
