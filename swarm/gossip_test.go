package swarm

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// signs is MeshConfig.Sign of a node with that key.
func signs(node feed.PublicKey) func(quicwire.PeerRecord) quicwire.PeerRecord {
	return func(r quicwire.PeerRecord) quicwire.PeerRecord {
		r.Node = node
		return r
	}
}

// recordOf is what session n says of itself, at the address that we see.
func (s *script) recordOf(n int) quicwire.PeerRecord {
	return quicwire.PeerRecord{Node: key(n), Addr: netip.MustParseAddrPort(host(n)), Role: quicwire.Viewer, Expires: s.now.Add(recordFor).Unix()}
}

// toldOf returns whom the Pexes to session n name.
func toldOf(all []Action, n int) (list []feed.PublicKey) {
	for _, x := range sentTo[*quicwire.Pex](all, n) {
		for _, r := range x.Peers {
			list = append(list, r.Node)
		}
	}
	return list
}

// A newcomer is told of others: of those we are connected with, at the address at which we see them, by records of their own.
func TestIntroductions(t *testing.T) {
	s := newScript(t, 0, MeshConfig{})
	for n := 1; n <= 20; n++ {
		s.joins(n, time.Millisecond)
		r := s.recordOf(n)
		switch n {
		case 1:
			continue // says nothing of itself
		case 2:
			r.Addr = netip.MustParseAddrPort("203.0.113.9:443") // not where we see it
		case 3:
			r.Expires = s.now.Unix() - 1
		case 4:
			r.Node = key(500) // somebody else's: to be dialled, not to be told
		}
		s.says(n, &quicwire.Pex{Peers: []quicwire.PeerRecord{r}})
	}
	s.m.peer(5).mute = true
	s.says(6, &quicwire.Bye{Leaving: time.Second})
	got := toldOf(s.joins(21, time.Millisecond), 21)
	if len(got) != pexFirst {
		t.Errorf("a newcomer is told of %d others, want %d", len(got), pexFirst)
	}
	for _, bad := range []int{1, 2, 3, 4, 5, 6, 21, 500} {
		if slices.Contains(got, key(bad)) {
			t.Errorf("a newcomer is told of %d, whom it cannot reach or who is itself", bad)
		}
	}
	all := s.opens(SessionUp{Session: 22, Contact: 0, Peer: key(22), Addr: host(22), Role: quicwire.Viewer, Epoch: today})
	if got := toldOf(all, 22); len(got) != 0 {
		t.Errorf("whom we dialled ourselves is told of %d others at once, want none: it is no newcomer", len(got))
	}
}

// Nodes that start at the same time hear of those who come a moment after them; not of everybody who ever comes.
func TestIntroductionsAMomentLater(t *testing.T) {
	s := newScript(t, 0, MeshConfig{})
	s.joins(1, time.Millisecond)
	var told []feed.PublicKey
	for n := 2; n <= 40; n++ {
		s.joins(n, time.Millisecond)
		told = append(told, toldOf(s.says(n, &quicwire.Pex{Peers: []quicwire.PeerRecord{s.recordOf(n)}}), 1)...)
		s.says(n, &quicwire.Pex{Peers: []quicwire.PeerRecord{s.recordOf(n)}}) // again: no news
	}
	if len(told) != pexFirst || told[0] != key(2) {
		t.Errorf("the first one is told of %d who came after it, want %d", len(told), pexFirst)
	}

	s = newScript(t, 0, MeshConfig{})
	s.joins(1, time.Millisecond)
	s.after(newcomer + time.Second)
	s.joins(2, time.Millisecond)
	if told := toldOf(s.says(2, &quicwire.Pex{Peers: []quicwire.PeerRecord{s.recordOf(2)}}), 1); len(told) != 0 {
		t.Errorf("one that has been here for 11 s is told of %v at once", told)
	}
}

// Our own record goes to everybody, with the address that he sees, and again before it expires. Who shares nothing has none.
func TestOwnRecord(t *testing.T) {
	seen := netip.MustParseAddrPort("203.0.113.7:4433")
	open := func(s *script) []Action {
		return s.opens(SessionUp{Session: 1, Contact: -1, Peer: key(1), Addr: host(1), Role: quicwire.Viewer, Epoch: today, Seen: seen})
	}
	self := key(99)
	s := newScript(t, 0, MeshConfig{Node: self, Sign: signs(self)})
	s.answers(1)
	list := sentTo[*quicwire.Pex](open(s), 1)
	if len(list) != 1 || len(list[0].Peers) != 1 || list[0].Peers[0].Node != self || list[0].Peers[0].Addr != seen {
		t.Fatalf("got %+v, want our record with the address that the peer sees", list)
	}
	ends := time.Unix(list[0].Peers[0].Expires, 0)
	for s.now.Before(ends.Add(-time.Minute)) {
		if got := toldOf(s.after(TickEvery), 1); slices.Contains(got, self) {
			return
		}
	}
	t.Error("our record ran out before another one was sent")
}

func TestNoShareHasNoRecord(t *testing.T) {
	s := newScript(t, 0, MeshConfig{Node: key(99), Sign: signs(key(99)), NoShare: true})
	s.answers(1)
	all := s.opens(SessionUp{
		Session: 1, Contact: -1, Peer: key(1), Addr: host(1), Role: quicwire.Viewer, Epoch: today, Seen: netip.MustParseAddrPort("203.0.113.7:4433"),
	})
	if got := toldOf(append(all, s.after(2*time.Minute)...), 1); len(got) != 0 {
		t.Errorf("got records of %v, want none: nobody can be served here", got)
	}
}

// Gossip is rare: two others each half a minute.
func TestGossipIsRare(t *testing.T) {
	s := newScript(t, 0, MeshConfig{})
	for n := 1; n <= 20; n++ {
		s.answers(n)
		s.joins(n, time.Millisecond)
		s.says(n, &quicwire.Pex{Peers: []quicwire.PeerRecord{s.recordOf(n)}})
	}
	s.after(newcomer)
	all := s.after(10 * time.Minute)
	for n := 1; n <= 20; n++ {
		if m, r := len(sentTo[*quicwire.Pex](all, n)), len(toldOf(all, n)); m < 10*60/38 || m > 20 || r > m*pexLater {
			t.Errorf("session %d was sent %d PEX with %d records in ten minutes", n, m, r)
		}
	}
}

// How often STATUS comes: the slower the stream, the rarer; and how large it is.
func TestStatusBeat(t *testing.T) {
	for _, c := range []struct {
		stripes int
		bitrate int64
		every   time.Duration
		bytes   int // of a beat; with 24 neighbours, 1 % of a stream of 4 Mbit/s is 208 bytes a second
	}{
		{1, 96_000, statusSlow, 110}, {1, 500_000, statusFast, 110}, {8, 1_000_000, statusMiddle, 120}, {16, 4_000_000, statusFast, 130}, {32, 25_000_000, statusFast, 140},
	} {
		t.Run(fmt.Sprint(c.stripes, " stripes of ", c.bitrate), func(t *testing.T) {
			s := newStriped(t, 1, c.stripes, MeshConfig{})
			s.shelf.renditions[0].Bitrate = c.bitrate
			s.do(Tick{})
			s.answers(1)
			s.up(1, 0, today, 10*ms)
			s.status(1, today, 1, 1)
			s.joins(2, 10*ms)
			size := float64(c.bitrate) / 8 * gap.Seconds()
			flow := func(from, to uint64) (all []Action) {
				for i := from; i < to; i++ {
					if i%40 == 0 {
						all = append(all, s.heartbeat(1, i/40)...)
					}
					b := s.blockIn(1, today, i, false)
					b.Size = int(size)
					all = append(all, s.do(b)...)
					s.now = s.now.Add(gap)
					all = append(all, s.do(Tick{})...)
				}
				return all
			}
			flow(0, 200)
			beats, heads, bytes := 0, 0, 0
			for _, x := range sentTo[*quicwire.Status](flow(200, 200+40*60), 2) { // a minute
				if x.Log == catalog(today) {
					heads++
				} else {
					beats++
				}
				bytes += statusBytes(x)
			}
			if want := int(time.Minute / c.every); beats < want*8/10 || beats > want*12/10 || heads < beats/catalogBeats-1 || heads > beats/catalogBeats+1 {
				t.Errorf("got %d STATUS of tv and %d of the catalog in a minute, want about %d, and a third of that", beats, heads, want)
			}
			if mean := bytes / max(1, beats); mean > c.bytes {
				t.Errorf("a beat is %d bytes, want at most %d", mean, c.bytes)
			}
		})
	}
}

// statusBytes returns how long a Status is on the wire, about: docs/wire.md, Fields.
func statusBytes(x *quicwire.Status) int {
	n := 2 + 1 + 4 + 1 + 8 + 4 + 1 + len(x.Lags) + 4 + 2 + 2 + 4
	if x.Signed != nil {
		n += 32 + 64 - 8
	}
	return n
}

// What neighbours should know at once they are told within 300 ms, but not more often: that stripes have ceased to flow, or flow again.
func TestStatusSoon(t *testing.T) {
	s := followingStriped(t, 8, MeshConfig{}) // STATUS each 2.5 s
	s.joins(3, 10*ms)
	s.flow(100, 300)
	s.bot(1).stuck, s.bot(2).stuck = true, true
	at, heard := s.now, time.Duration(0)
	var last *quicwire.Status
	for heard == 0 && s.now.Sub(at) < 3*time.Second {
		for _, x := range sentTo[*quicwire.Status](s.after(TickEvery), 3) {
			if x.Log == tv(today) && slices.Contains(x.Lags, quicwire.NoLag) {
				heard, last = s.now.Sub(at), x
			}
		}
	}
	if heard == 0 || heard > 900*ms {
		t.Errorf("said after %v that nothing flows any more, want within 900 ms", heard)
	}
	if last != nil && last.Size != 300 {
		t.Errorf("says that it has %d blocks, want 300", last.Size)
	}
	n := 0
	for range 60 { // flaps for 3 s
		s.bot(1).stuck = !s.bot(1).stuck
		size := s.size()
		n += len(sentTo[*quicwire.Status](s.flow(size, size+2), 3))
	}
	if n > 2*(3000/300+1) {
		t.Errorf("got %d STATUS of two logs in 3 s of flapping, want one each 300 ms at most", n)
	}
}

// The catalog's STATUS always has the signed head, by which parents are compared; that of a rendition the first time.
func TestStatusIsSigned(t *testing.T) {
	s := following(t, MeshConfig{})
	first := sentTo[*quicwire.Status](s.joins(3, 10*ms), 3)
	if len(first) != 2 || first[0].Signed == nil || first[1].Signed == nil {
		t.Fatalf("got %+v at first, want both logs, signed", first)
	}
	for _, x := range sentTo[*quicwire.Status](s.flow(100, 300), 3) {
		if signed := x.Signed != nil; signed != (x.Log == catalog(today)) {
			t.Errorf("STATUS of %s: signed %v", x.Log.Name, signed)
		}
	}
}

// Who shares nothing says that it has no room.
func TestStatusOfNoShare(t *testing.T) {
	s := following(t, MeshConfig{NoShare: true})
	for _, x := range sentTo[*quicwire.Status](s.joins(3, 10*ms), 3) {
		if x.Slots != 0 || x.Log == tv(today) && x.Homes != 0 {
			t.Errorf("got %+v, want no slots and no homes", x)
		}
	}
}

// Who lacks a stripe is told as soon as it flows here, at most ten times a second; others hear of it with the beat.
func TestRelief(t *testing.T) {
	s := serving(t, 2, 3, MeshConfig{})
	s.claims(2, 20, 0, 0)
	s.claims(3, 20, 0, quicwire.NoLag)
	said := func(all []Action, n int) (times int) {
		for _, x := range sentTo[*quicwire.Status](all, n) {
			if x.Log == tv(today) && x.Lags[1] != quicwire.NoLag {
				times++
			}
		}
		return times
	}
	s.bot(1).keeps[1] = true
	s.flow(100, 122) // it ceases here, too, which all are told
	s.m.lastStatus, s.m.nextStatus = s.now, s.now.Add(time.Minute)
	s.bot(1).keeps[1] = false
	all := s.flow(122, 126) // 100 ms
	if a, b := said(all, 3), said(all, 2); a != 1 || b != 0 {
		t.Errorf("who lacks the stripe was told %d times that it flows, who has it %d times; want once, and not", a, b)
	}
}

// Who lacks everything is told at most ten times a second what flows again.
func TestReliefIsBounded(t *testing.T) {
	s := serving(t, 8, 3, MeshConfig{})
	none := slices.Repeat([]time.Duration{quicwire.NoLag}, 8)
	s.claims(3, 20, none...)
	for i := range uint8(8) {
		s.bot(1).keeps[i] = true
	}
	s.flow(100, 132)
	s.bot(1).keeps = map[uint8]bool{}
	s.m.lastStatus, s.m.nextStatus = s.now, s.now.Add(time.Minute)
	all := s.flow(132, 140) // 200 ms: one stripe after the other
	n := 0
	for _, x := range sentTo[*quicwire.Status](all, 3) {
		if x.Log == tv(today) {
			n++
		}
	}
	if most := int(200*ms/relieveEvery) + 1; n == 0 || n > most {
		t.Errorf("told %d times within 200 ms, want %d at most", n, most)
	}
}

// A source hears of us at every third beat: with it nothing changes but the size.
func TestSourceHearsRarely(t *testing.T) {
	s := following(t, MeshConfig{})
	s.opens(SessionUp{Session: 3, Contact: -1, Peer: key(3), Addr: host(3), Role: quicwire.Streamer, Epoch: today, RTT: 20 * ms})
	s.answers(3)
	all := s.flow(100, 100+40*60)
	said := func(n int) (times int) {
		for _, x := range sentTo[*quicwire.Status](all, n) {
			if x.Log == tv(today) { // the catalog's is rare for all
				times++
			}
		}
		return times
	}
	if a, b := said(2), said(3); b == 0 || b > a/beatsToSource+2 {
		t.Errorf("a minute brought a relay %d STATUS, the source %d; want a third", a, b)
	}
}
