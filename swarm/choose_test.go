package swarm

import (
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

func TestWanted(t *testing.T) {
	list := []feed.Rendition{{Name: "1080p", Bitrate: 4_000_000}, {Name: "480p", Bitrate: 900_000}, {Name: "radio", Bitrate: 96_000}}
	for _, c := range []struct{ names, want []string }{
		{nil, []string{"1080p", "480p", "radio"}},
		{[]string{Best}, []string{"1080p"}},
		{[]string{Least}, []string{"radio"}},
		{[]string{"480p", Best}, []string{"1080p", "480p"}},
		{[]string{"none"}, nil},
	} {
		if got := Wanted(list, c.names); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.names, got, c.want)
		}
	}
	if got := Wanted(list[:1], []string{Best, Least}); !slices.Equal(got, []string{"1080p"}) {
		t.Errorf("of one: got %q, want it once", got)
	}
}

func radio(e Epoch) quicwire.LogID { return quicwire.LogID{Epoch: e.ID, Name: "radio"} }

// withRadio is following, of a channel that has a rendition radio of one stripe besides, which session 1 has.
func withRadio(t *testing.T, names ...string) *script {
	t.Helper()
	s := newStriped(t, 2, 2, MeshConfig{Renditions: names})
	s.shelf.renditions = append(s.shelf.renditions, feed.Rendition{Name: "radio", Stripes: 1, Bitrate: 96_000})
	for _, e := range []Epoch{today, yesterday} {
		s.shelf.held[radio(e)] = Holding{Stripes: 1}
	}
	s.do(Tick{})
	s.answers(1)
	s.answers(2)
	s.up(1, 0, today, 10*time.Millisecond)
	s.up(2, 1, today, 400*time.Millisecond)
	for n := range 2 {
		s.status(n+1, today, 1, 1)
	}
	s.says(1, &quicwire.Status{Log: radio(today), Size: 1, Lags: []time.Duration{0}, Homes: 1, Slots: 20})
	s.flow(0, 100)
	return s
}

func subsOf(all []Action, log quicwire.LogID) (n int) {
	list, _ := sent[*quicwire.Sub](all)
	for _, x := range list {
		if x.Log == log {
			n++
		}
	}
	return n
}

func unsubsOf(all []Action, log quicwire.LogID) (n int) {
	list, _ := sent[*quicwire.Unsub](all)
	for _, x := range list {
		if x.Log == log {
			n++
		}
	}
	return n
}

func radioBlock(n int, i uint64, now time.Time) BlockIn {
	return BlockIn{Session: SessionID(n), Log: radio(today), Index: i, Kind: feed.Media, Back: uint32(i), Size: 2000, Wall: now, Fresh: true, Path: []quicwire.ShortID{{200}}}
}

// TestOnlyWhatWasChosenIsFollowed, and a change takes effect when the new one flows; then the old one is given up, its children are sent away, and
// everybody hears that it is not to be had here.
func TestOnlyWhatWasChosenIsFollowed(t *testing.T) {
	s := withRadio(t, Best)
	if s.m.follow(radio(today)) != nil || s.m.follow(tv(today)) == nil {
		t.Fatal("want the best one followed, and no other")
	}
	s.joins(5, 20*time.Millisecond)
	s.says(5, &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 2, Urgent: true, Home: true, Patience: patience})
	if s.m.follow(tv(today)).childOf(0, s.m.peer(5)) == nil {
		t.Fatal("session 5 is no child")
	}
	all := s.do(Follow{[]string{"radio"}})
	if subsOf(all, radio(today)) != 1 || unsubsOf(all, tv(today)) != 0 {
		t.Fatalf("got %+v, want radio asked for, and tv kept until it comes", all)
	}
	if list, to := sent[*quicwire.Sub](all); to[0] != 1 || len(list) != 1 {
		t.Errorf("asked %v, want session 1 alone: session 2 does not follow radio", to)
	}
	all = s.do(radioBlock(1, 0, s.now))
	all = append(all, s.after(TickEvery)...)
	if unsubsOf(all, tv(today)) != 2 || s.m.follow(tv(today)) != nil {
		t.Errorf("got %d UNSUBs of tv, want both stripes given up", unsubsOf(all, tv(today)))
	}
	if moved := sentTo[*quicwire.Moved](all, 5); len(moved) != 1 || moved[0].Log != tv(today) {
		t.Errorf("the child got %+v, want to be sent away", moved)
	}
	last := map[SessionID]int{}
	list, to := sent[*quicwire.Status](all)
	for k, x := range list {
		if x.Log == tv(today) {
			last[to[k]] = len(x.Lags) + 1
		}
	}
	if last[1] != 1 || last[2] != 1 || last[5] != 1 {
		t.Errorf("said of tv's stripes, plus one: %v; want none, to all three", last)
	}
	no := sentTo[*quicwire.SubNo](s.says(5, &quicwire.Sub{Log: tv(today), Stripe: 0, Stripes: 2, Urgent: true, Patience: patience}), 5)
	if len(no) != 1 || no[0].Reason != quicwire.RefusedNotHeld {
		t.Errorf("who asks for it gets %+v, want a refusal", no)
	}

	all = s.do(Follow{[]string{"tv"}}) // and back again
	if subsOf(all, tv(today)) != 2 {
		t.Errorf("got %d SUBs of tv, want both stripes", subsOf(all, tv(today)))
	}
}

// TestWhatDoesNotComeIsNotWaitedFor: the downlink is needed for what was chosen.
func TestWhatDoesNotComeIsNotWaitedFor(t *testing.T) {
	s := withRadio(t, "tv")
	s.bot(1).stuck = true
	s.do(Follow{[]string{"radio"}})
	if all := s.after(releaseAfter - 100*time.Millisecond); unsubsOf(all, tv(today)) != 0 {
		t.Error("tv was given up before its time")
	}
	if all := s.after(200 * time.Millisecond); unsubsOf(all, tv(today)) == 0 {
		t.Error("tv is still followed")
	}
}

// TestWhoGivesALogUpIsNoParent: neither for a stripe that is missing, nor as a spotter.
func TestWhoGivesALogUpIsNoParent(t *testing.T) {
	s := followingStriped(t, 2, MeshConfig{})
	s.says(1, &quicwire.Status{Log: tv(today), Size: s.size(), Slots: 20})
	all := s.says(1, &quicwire.Moved{Log: tv(today), Stripe: 0, Reason: quicwire.Shed, Until: s.size()})
	all = append(all, s.after(2*time.Second)...)
	if subs := sentTo[*quicwire.Sub](all, 1); len(subs) != 0 {
		t.Errorf("asked for %+v who does not follow it", subs)
	}
	s.wantParent(0, 2)
	if s.m.peer(1).followsLog(s.m.follow(tv(today))) || !s.m.peer(2).followsLog(s.m.follow(tv(today))) {
		t.Error("session 1 counts as a follower, or session 2 does not")
	}
	s.joins(3, 20*ms)
	s.says(3, &quicwire.Status{Log: tv(today), Size: s.size(), Slots: 20})
	if !s.m.peer(3).followsLog(s.m.follow(tv(today))) {
		t.Error("session 3, which has not begun yet, counts as one that has given up: spotters would not say what newcomers lack")
	}
}

// TestEpochIsLeftWhenAllHaveCrossed: renditions begin the next epoch one after the other, and none is missed meanwhile.
func TestEpochIsLeftWhenAllHaveCrossed(t *testing.T) {
	s := withRadio(t)
	for i := range uint64(40) {
		s.do(radioBlock(1, i, s.now))
		s.flow(100+i, 101+i)
	}
	tomorrow := Epoch{1, 300, feed.EpochID{3}}
	s.know(tomorrow)
	s.shelf.held[radio(tomorrow)] = Holding{Stripes: 1}
	s.do(EpochKnown{tomorrow})
	s.do(NotesHeard{Session: 1, Epoch: tomorrow})
	s.status(1, tomorrow, 1, 1)
	s.do(radioBlock(1, 40, s.now))
	all := s.push(1, tomorrow, 0, 4)
	if unsubsOf(all, radio(today)) != 0 || s.m.old == nil {
		t.Fatal("the epoch before is left although radio has not begun in the next, and flows")
	}
	b := radioBlock(1, 0, s.now)
	b.Log = radio(tomorrow)
	if all := s.do(b); unsubsOf(all, catalog(today)) != 1 || unsubsOf(all, tv(today)) != 2 || s.m.old != nil {
		t.Errorf("got %+v, want the epoch before left: all have begun", of[Send](all))
	}
}

// TestSlotsAreOfTheMean: of a node that follows a wide and a thin rendition, children of the wide one take more of its uplink than their number says.
func TestSlotsAreOfTheMean(t *testing.T) {
	s := withRadio(t)
	f := s.m.follow(tv(today))
	for n := 10; n < 14; n++ {
		s.joins(n, 20*time.Millisecond)
		s.says(n, &quicwire.Sub{Log: f.log, Stripe: 0, Stripes: 2, Urgent: true, Home: true, Patience: patience})
	}
	n := len(f.stripes[0].children)
	if n == 0 || s.m.used() <= n {
		t.Errorf("%d children of the wide rendition count as %d of the mean, want more", n, s.m.used())
	}
}
