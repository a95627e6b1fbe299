package swarm

import (
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// What a node believes that its uplink carries.

// An uplink that is known from the last time is not guessed at: how fast the first packets of blocks came tells of the others' downlinks, too.
func TestKnownUplink(t *testing.T) {
	tests := []struct {
		known, want uint64
	}{
		{8_000_000, 8_000_000},
		{0, 1_800_000}, // 60 % of what the reports say
	}
	for _, c := range tests {
		s := newScript(t, 1, MeshConfig{Known: c.known})
		s.shelf.renditions[0].Bitrate = 4_000_000
		s.do(Tick{})
		s.up(2, 0, today, 10*time.Millisecond)
		s.after(time.Second)
		for i := range uint64(12) {
			s.says(2, &quicwire.Status{Log: tv(today), Size: 100 + i, Lags: []time.Duration{0, 0}, Rate: 3_000_000})
		}
		if got := s.m.status(s.now).Uplink; got != c.want {
			t.Errorf("known %d: after reports of 3 Mbit/s the uplink is believed to carry %d, want %d", c.known, got, c.want)
		}
	}
}

// signing returns a script of a source of 4 Mbit/s in two stripes, with two children in each.
func signing(t *testing.T, cfg MeshConfig) *script {
	cfg.Role = quicwire.Streamer
	s := newScript(t, 0, cfg)
	s.shelf.renditions[0].Bitrate = 4_000_000
	s.do(Publishing{today})
	s.full = map[SessionID]bool{1: true, 2: true}
	for n := 1; n <= 2; n++ {
		s.do(SessionUp{Session: SessionID(n), Contact: -1, Peer: key(n), Addr: "192.0.2.1:4433", Role: quicwire.Viewer, Epoch: today, RTT: 20 * time.Millisecond})
		for i := range uint8(2) {
			s.says(n, &quicwire.Sub{Log: tv(today), Stripe: i, Stripes: 2, Home: true, Patience: patience})
		}
	}
	return s
}

// signBlock signs block i, of that size, at its time, and returns the pushes since the one before.
func (s *script) signBlock(i uint64, size int) []Push {
	all := s.do(BlockIn{Log: tv(today), Index: i, Kind: feed.Media, Back: uint32(i % 60), Size: size, Wall: s.now, Fresh: true})
	s.now = s.now.Add(16 * time.Millisecond)
	return of[Push](append(all, s.do(Tick{})...))
}

// took says that QUIC has taken pushes.
func (s *script) took(list ...Push) (all []Push) {
	for _, a := range list {
		all = append(all, of[Push](s.do(Pushed{Session: a.Session, Log: a.Log, Stripe: a.Stripe, Bytes: a.Bytes}))...)
	}
	return all
}

// A source whose uplink failed for two seconds, or carried very little, goes on as before: it does not believe for ever that it can send no
// more than that.
func TestSourceAfterOutage(t *testing.T) {
	s := signing(t, MeshConfig{Known: 10_000_000})
	i := uint64(0)
	for ; i < 120; i++ {
		s.took(s.signBlock(i, 8192)...)
	}
	var stuck []Push
	for ; i < 240; i++ {
		stuck = append(stuck, s.signBlock(i, 8192)...)
		if i%20 == 0 && len(stuck) > 0 { // one block gets through now and then
			stuck = append(stuck[1:], s.took(stuck[0])...)
		}
	}
	for len(stuck) > 0 {
		stuck = s.took(stuck...)
	}
	var late int
	for ; i < 480; i++ {
		s.took(s.signBlock(i, 8192)...)
		if s.m.up.backlog() > 100*time.Millisecond {
			late++
		}
	}
	if got := s.m.status(s.now).Uplink; got < 9_000_000 || late > 120 {
		t.Errorf("after an outage the source believes in %d bit/s, and for %d of 240 blocks its queue was longer than 100 ms; want 9 Mbit/s, half", got, late)
	}
}

// What is queued is counted as it was when it was queued, although blocks change in size.
func TestQueueCountsExactly(t *testing.T) {
	s := signing(t, MeshConfig{Known: 10_000_000})
	for i := range uint64(300) {
		s.took(s.signBlock(i, 500+int(i%7)*1000)...)
	}
	for pushes := of[Push](s.after(time.Second)); len(pushes) > 0; pushes = of[Push](s.after(100 * time.Millisecond)) {
		s.took(pushes...)
	}
	if u := &s.m.up; u.queued != 0 || u.inflight != 0 {
		t.Errorf("with nothing queued and nothing under way, %v and %d bytes are counted", u.queued, u.inflight)
	}
}

// Pushes to a peer that seemed dead, and then was not, are not taken for later ones when QUIC has taken them at last.
func TestCountsAfterForgetting(t *testing.T) {
	s := signing(t, MeshConfig{Known: 10_000_000})
	before := s.signBlock(0, 8192)
	s.m.drop(s.m.peer(before[0].Session))
	s.says(int(before[0].Session), &quicwire.Sub{Log: tv(today), Stripe: 1, Stripes: 2, Start: quicwire.StartNext, Home: true, Patience: patience})
	after := append(s.signBlock(1, 500), of[Push](s.after(50*time.Millisecond))...)
	s.took(before[0])
	for _, p := range s.m.peers {
		bytes := 0
		for _, a := range append(before[1:], after...) {
			if a.Session == p.id {
				bytes += a.Bytes
			}
		}
		if p.bytes != bytes {
			t.Errorf("session %d: %d bytes are under way, %d are counted", p.id, bytes, p.bytes)
		}
	}
	s.took(before[1:]...)
	s.took(after...)
	if u := &s.m.up; u.inflight != 0 {
		t.Errorf("with nothing under way, %d bytes are counted", u.inflight)
	}
}

// A node that believes too little of its uplink finds out, as QUIC takes at once what it is given; it sends nobody away for it.
func TestUplinkIsDoubted(t *testing.T) {
	s := following(t, MeshConfig{})
	s.full = map[SessionID]bool{3: true, 4: true}
	s.m.up.est = 1_000_000 // bytes per second: four places
	for n := 3; n <= 4; n++ {
		s.do(SessionUp{Session: SessionID(n), Contact: -1, Peer: key(n), Addr: "192.0.2.1:4433", Role: quicwire.Viewer, Epoch: today, RTT: 20 * time.Millisecond})
		for i := range uint8(2) {
			s.says(n, &quicwire.Sub{Log: tv(today), Stripe: i, Stripes: 2, Home: true, Start: quicwire.StartNext, Patience: patience})
		}
	}
	s.m.up.est = 300_000
	for i := uint64(100); i < 210; i++ {
		all := s.do(BlockIn{
			Session: 1, Log: tv(today), Index: i, Kind: feed.Media, Back: uint32(i % 40), Size: 8192, Wall: s.now, Fresh: true,
			Path: []quicwire.ShortID{{1}},
		})
		for range 5 {
			s.now = s.now.Add(5 * time.Millisecond)
			all = append(all, s.do(Tick{})...)
		}
		if moved, _ := sent[*quicwire.Moved](all); len(moved) > 0 {
			t.Fatalf("block %d: a child is moved: %v", i, moved[0].Reason)
		}
		for pushes := of[Push](all); len(pushes) > 0; {
			pushes = s.took(pushes...)
		}
	}
	// Two children take 40 blocks a second each: 700 kB.
	if st := s.m.status(s.now); st.Uplink < 8*700_000 || st.Used != 4 || s.m.up.backlog() > 250*time.Millisecond {
		t.Errorf("believes in %d bit/s, pushes %d stripes, queue of %v; want 5.6 Mbit/s, 4, 250 ms", st.Uplink, st.Used, s.m.up.backlog())
	}
}
