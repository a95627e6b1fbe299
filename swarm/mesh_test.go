package swarm

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

var tomorrow = Epoch{1, 300, feed.EpochID{3}}

// A higher epoch wins at any time; the old one is followed until the new one delivers. The parents of the old one are asked first, even if they
// do not have the new one yet; then others.
func TestNewEpoch(t *testing.T) {
	for name, heir := range map[string]bool{"the parents go on": true, "they do not": false} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, 2, MeshConfig{})
			s.do(Tick{})
			s.answers(1)
			s.answers(2)
			s.up(1, 0, yesterday, 0)
			s.up(2, 1, yesterday, 300*ms)
			s.status(1, yesterday, 10, 50)
			s.status(2, yesterday, 10, 50)
			s.push(1, yesterday, 0, 50)
			s.bot(1).refuses = !heir

			all := append(s.do(NotesHeard{Session: 2, Epoch: today}), s.do(EpochKnown{today})...)
			all = append(all, s.status(2, today, 1, 1)...)
			if first := sentTo[*quicwire.Sub](all, 1); len(first) != 3 || first[0].Log != catalog(today) {
				t.Errorf("asked the parent for %+v, want the new epoch", first)
			}
			if unsubs, _ := sent[*quicwire.Unsub](all); len(unsubs) > 0 {
				t.Errorf("got %+v before the new epoch delivers", unsubs)
			}
			if _, to := sent[*quicwire.Notes](all); !slices.Contains(to, 1) {
				t.Errorf("the new notes went to %v, want session 1 among them", to)
			}
			if old := s.m.follow(tv(yesterday)); old == nil || old.stripes[0].parent == nil || old.stripes[0].parent.id != 1 {
				t.Fatal("the old epoch is not followed on until the new one delivers")
			}
			from := 1
			if !heir {
				from = 2
			}
			s.wantParent(0, SessionID(from))
			unsubs := sentTo[*quicwire.Unsub](s.push(from, today, 0, 1), 1)
			if len(unsubs) != 3 || unsubs[0].Log != catalog(yesterday) {
				t.Errorf("got %+v with the first block; want the old epoch given up", unsubs)
			}
			if all := append(s.do(NotesHeard{Session: 1, Epoch: yesterday}), s.do(EpochKnown{yesterday})...); len(of[Send](all)) > 0 {
				t.Errorf("got %+v for old notes, want nothing", all)
			}
		})
	}
}

// testFault is a fault of an epoch as Mesh sees it: it verifies nothing.
func testFault(proved bool) *feed.Fault {
	f := &feed.Fault{Origin: feed.Origin(key(1), today.ID, "tv"), Index: 100, Cause: feed.ErrFork}
	if proved {
		f.Proof = &feed.ForkProof{Origin: f.Origin, A: feed.Head{Size: 4}, B: feed.Head{Size: 4}}
	}
	return f
}

// A signer who breaks a rule ends his epoch, not the session that brought the proof.
func TestCondemned(t *testing.T) {
	s := following(t, MeshConfig{})
	all := append(s.do(Condemned{today, testFault(true)}), s.do(BlockBad{Session: 1, Log: tv(today), Index: 100, Err: testFault(true), Signer: true})...)
	if unsubs := sentTo[*quicwire.Unsub](all, 1); len(unsubs) != 3 || len(of[Close](all)) > 0 {
		t.Errorf("got %+v, want the subscriptions ended and the session kept", all)
	}
	all = s.after(10 * time.Second)
	if len(of[Close](all)) > 0 {
		t.Errorf("got %+v later, want the session kept", of[Close](all))
	}
	subs, _ := sent[*quicwire.Sub](all)
	asked, _ := sent[*quicwire.Req](all)
	if len(subs)+len(asked) > 0 {
		t.Errorf("got %+v and %+v, want nothing of the epoch asked for", subs, asked)
	}
	if state, why := s.m.State(s.now); state != Stalled || why == "" {
		t.Errorf("got %v %q, want stalled with a reason", state, why)
	}
	s.know(tomorrow)
	all = append(s.do(NotesHeard{Session: 1, Epoch: tomorrow}), s.do(EpochKnown{tomorrow})...)
	wantSubs(t, append(all, s.status(1, tomorrow, 1, 1)...), 3, 1)
}

// An epoch that is known to be condemned is not even begun.
func TestCondemnedBeforeItIsKnown(t *testing.T) {
	s := newScript(t, 2, MeshConfig{})
	s.do(Condemned{today, testFault(true)})
	s.do(Tick{})
	s.answers(1)
	all := append(s.up(1, 0, today, 10*ms), s.status(1, today, 1, 1)...)
	if subs, _ := sent[*quicwire.Sub](append(all, s.after(5*time.Second)...)); len(subs) > 0 {
		t.Errorf("got %+v, want nothing of the epoch asked for", subs)
	}
	if state, _ := s.m.State(s.now); state != Stalled {
		t.Errorf("got %v, want stalled", state)
	}
}

// A proof goes once to each peer that has not shown it, and to each that comes later.
func TestProofsArePassedOnOnce(t *testing.T) {
	s := following(t, MeshConfig{})
	s.do(FaultHeard{Session: 2, Epoch: today.ID})
	if _, to := sent[*quicwire.Fork](s.do(Condemned{today, testFault(false)})); len(to) > 0 {
		t.Errorf("without a proof, something was sent to %v", to)
	}
	if _, to := sent[*quicwire.Fork](s.do(Condemned{today, testFault(true)})); !slices.Equal(to, []SessionID{1}) {
		t.Errorf("the proof was sent to %v, want the one that has not shown it", to)
	}
	again := append(s.do(Condemned{today, testFault(true)}), s.after(20*time.Second)...)
	if _, to := sent[*quicwire.Fork](again); len(to) > 0 {
		t.Errorf("the proof was sent again to %v", to)
	}
	if _, to := sent[*quicwire.Fork](s.up(3, -1, today, time.Millisecond)); !slices.Equal(to, []SessionID{3}) {
		t.Errorf("a newcomer: the proof was sent to %v, want 3", to)
	}
	for n := range byte(10) { // a signer of many epochs
		s.do(Condemned{Epoch{1, 100, feed.EpochID{100 + n}}, testFault(true)})
	}
	if _, to := sent[*quicwire.Fork](s.up(4, -1, today, time.Millisecond)); len(to) != maxCondemned {
		t.Errorf("a newcomer was sent %d proofs, want %d", len(to), maxCondemned)
	}
}

// A proof about an epoch comes after its notes: who has not got them would skip it, and nobody would send it again.
func TestProofsComeAfterTheNotes(t *testing.T) {
	s := following(t, MeshConfig{})
	if _, to := sent[*quicwire.Fork](s.do(Condemned{tomorrow, testFault(true)})); len(to) > 0 {
		t.Errorf("the proof was sent to %v before the notes", to)
	}
	got := make(map[SessionID][]string)
	for _, a := range of[Send](s.do(EpochKnown{tomorrow})) {
		switch a.Message.(type) {
		case *quicwire.Notes, *quicwire.Fork:
			got[a.Session] = append(got[a.Session], fmt.Sprintf("%T", a.Message))
		}
	}
	for _, p := range s.m.peers {
		if want := []string{"*quicwire.Notes", "*quicwire.Fork"}; !slices.Equal(got[p.id], want) {
			t.Errorf("peer %d was sent %v, want %v", p.id, got[p.id], want)
		}
	}
}

// Sessions that come and go leave nothing behind, and do not make us dial more.
func TestFlapping(t *testing.T) {
	s := newScript(t, 2, MeshConfig{})
	s.do(Tick{})
	s.dials()
	dials := 0
	for i := range 500 {
		n := 2*i + 1
		s.answers(n)
		s.up(n, 0, today, 0)
		s.status(n, today, uint64(i), uint64(10*i))
		s.after(helloWait + TickEvery)
		s.joins(n+1, 10*ms)
		s.subscribe(n+1, 0, true)
		s.says(n+1, &quicwire.Sub{Log: catalog(today), Stripes: 1})
		s.push(n, today, uint64(10*i), uint64(10*i+10))
		s.do(SessionDown{SessionID(n), errNoAnswer})
		s.do(SessionDown{SessionID(n + 1), errNoAnswer})
		s.bots = nil
		for !slices.Contains(s.dialled, 0) {
			s.after(TickEvery)
		}
		dials += len(s.dials())
		s.do(DialFailed{1, errNoAnswer})
	}
	f := s.tv()
	if len(s.m.peers) != 0 || s.m.used() != 0 || len(s.m.shunned) != 0 || f.stripes[0].parent != nil || s.m.up.queued != 0 || s.m.up.inflight != 0 {
		t.Errorf("something is left of sessions that ended: %d peers, %d children, %d bytes queued", len(s.m.peers), s.m.used(), s.m.up.queued)
	}
	if dials > 1100 {
		t.Errorf("got %d dials of two anchors, want about one for each session and for each pause", dials)
	}
}

// A day of a calm stream, and of one with holes and comings and goings, makes nothing grow.
func TestMemoryIsBounded(t *testing.T) {
	s := serving(t, 4, 6, MeshConfig{})
	s.answers(2)
	s.subscribe(2, 0, true)
	s.full[3] = true
	s.subscribe(3, 1, true)
	at := uint64(100)
	for round := range 300 {
		s.flow(at, at+20)
		at += 25 // five blocks are lost each time
		n := 100 + round
		s.joins(n, 10*ms)
		s.says(n, &quicwire.Pex{Peers: []quicwire.PeerRecord{s.recordOf(n), s.recordOf(n + 1000)}})
		s.claims(n, 3, 0, 0, 0, 0)
		s.subscribe(n, uint8(round%4), round%3 == 0)
		s.says(n, &quicwire.Req{ID: uint64(round), Log: tv(today), Blocks: []uint64{at - 30, at - 29}})
		if round%3 == 0 {
			s.do(BlockBad{Session: SessionID(n), Log: tv(today), Index: at, Err: feed.ErrPayload})
		} else {
			s.do(SessionDown{SessionID(n), errNoAnswer})
		}
	}
	m, f := s.m, s.tv()
	if len(f.holes) > 8*40 || len(m.contacts) > maxContacts || len(m.shunned) > 100 || m.up.queued > 1<<20 || len(m.peers) > 10 {
		t.Errorf("%d holes, %d contacts, %d shunned, %d bytes queued, %d peers", len(f.holes), len(m.contacts), len(m.shunned), m.up.queued, len(m.peers))
	}
	for _, p := range m.peers {
		if len(p.pings) > maxPings || len(p.stalled) > maxStalled || len(p.logs) > 4 || len(p.pushes) > maxInflight {
			t.Errorf("session %d: %d pings, %d stalled, %d logs, %d pushes", p.id, len(p.pings), len(p.stalled), len(p.logs), len(p.pushes))
		}
	}
}

// A peer that talks of logs that nobody knows is not remembered for it.
func TestUnknownLogsAreNotRemembered(t *testing.T) {
	s := following(t, MeshConfig{})
	before := len(s.m.peer(2).logs)
	for i := range 1000 {
		log := quicwire.LogID{Epoch: feed.EpochID{byte(i), byte(i >> 8), 7}, Name: "tv"}
		s.says(2, &quicwire.Status{Log: log, Size: 10, Lags: []time.Duration{0}})
		s.says(2, &quicwire.Sub{Log: log, Stripes: 1})
		s.says(2, &quicwire.Req{Log: log, Blocks: []uint64{1}})
		s.says(2, &quicwire.Nack{Log: log, Blocks: []uint64{1}})
		s.says(2, &quicwire.Cancel{Log: log, Blocks: []uint64{1}})
		s.says(2, &quicwire.Path{Log: log})
		s.says(2, &quicwire.Moved{Log: log})
		s.says(2, &quicwire.SubOK{Log: log})
		s.says(2, &quicwire.SubNo{Log: log})
	}
	if got := len(s.m.peer(2).logs); got != before {
		t.Errorf("%d logs are remembered of a peer, %d before", got, before)
	}
}

// The same events give the same actions; another seed gives others.
func TestDeterministic(t *testing.T) {
	play := func(seed uint64) (all []Action) {
		s := followingStriped(t, 8, MeshConfig{Seed: seed, Up: 3_000_000})
		for n := 3; n <= 12; n++ {
			s.answers(n)
			s.joins(n, time.Duration(n)*10*ms)
			s.claims(n, 5, make([]time.Duration, 8)...)
			all = append(all, s.subscribe(n, uint8(n%8), n%2 == 0)...)
			all = append(all, s.says(n, &quicwire.Pex{Peers: []quicwire.PeerRecord{s.recordOf(n), s.recordOf(n + 100)}})...)
		}
		all = append(all, s.flow(100, 300)...)
		s.bot(1).keeps[3] = true
		all = append(all, s.flow(300, 500)...)
		all = append(all, s.do(SessionDown{1, errNoAnswer})...)
		return append(all, s.flow(500, 900)...)
	}
	a, b, c := play(7), play(7), play(8)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("two runs of one script differ")
	}
	if reflect.DeepEqual(a, c) {
		t.Errorf("two seeds play alike")
	}
}

// Who was a child in the epoch before keeps its place in the next one, also while there is nothing to give; nobody else gets one then.
func TestChildrenOfBefore(t *testing.T) {
	s := newScript(t, 1, MeshConfig{})
	s.do(Tick{})
	s.answers(1)
	s.up(1, 0, yesterday, 10*ms)
	s.status(1, yesterday, 10, 50)
	s.push(1, yesterday, 0, 50)
	for n := 2; n <= 3; n++ {
		s.opens(SessionUp{Session: SessionID(n), Contact: -1, Peer: key(n), Addr: host(n), Role: quicwire.Viewer, Epoch: yesterday, RTT: 20 * ms})
	}
	sub := func(e Epoch, n int) []*quicwire.SubOK {
		x := &quicwire.Sub{Log: tv(e), Stripe: 1, Stripes: 2, Start: quicwire.StartNext, Home: true, Patience: patience}
		return sentTo[*quicwire.SubOK](s.says(n, x), n)
	}
	if len(sub(yesterday, 2)) != 1 {
		t.Fatal("2 got no place")
	}
	s.bot(1).refuses = true // our own parent has nothing yet, either
	s.do(NotesHeard{Session: 1, Epoch: today})
	s.do(EpochKnown{today})
	if len(sub(today, 2)) != 1 {
		t.Error("2, which had a place, has none in the next epoch")
	}
	if len(sub(today, 3)) != 0 {
		t.Error("3, which had none, has one before there is anything to give")
	}
}
