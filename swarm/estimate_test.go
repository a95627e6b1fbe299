package swarm

import (
	"testing"
	"time"

	"tailcast/quicwire"
)

// What a node believes that its uplink carries.

// An uplink that is known from the last time is not guessed at: how fast the first packets of blocks came tells of the others' downlinks, too.
func TestKnownUplink(t *testing.T) {
	for _, c := range []struct{ known, want uint64 }{
		{8_000_000, 8_000_000},
		{0, 1_800_000}, // 60 % of what the reports say
	} {
		s := serving(t, 2, 2, MeshConfig{Known: c.known})
		for i := range uint64(12) {
			s.says(2, &quicwire.Status{Log: tv(today), Size: 100 + i, Lags: []time.Duration{0, 0}, Rate: 3_000_000})
		}
		if got := s.m.status(s.now).Uplink; got != c.want {
			t.Errorf("known %d: after reports of 3 Mbit/s the uplink is believed to carry %d, want %d", c.known, got, c.want)
		}
	}
}

// A source does not believe that it can send less than it has to: 60 % of what first packets tell may be less.
func TestSourceBelievesInItsDuty(t *testing.T) {
	s := sourceScript(t, 2, 2, MeshConfig{})
	s.run(time.Second, 0, 0)
	for range 12 {
		s.says(1, &quicwire.Status{Log: tv(today), Size: 10, Lags: []time.Duration{0, 0}, Rate: 1_000_000})
	}
	s.after(TickEvery)
	if got, duty := s.m.up.rate(), 2*s.m.wireRate(); got < duty {
		t.Errorf("the source believes in %.0f bytes a second, and two copies take %.0f", got, duty)
	}
}

// What is queued is counted as it was when it was queued, although blocks change in size.
func TestQueueCountsExactly(t *testing.T) {
	s := sourceScript(t, 2, 2, MeshConfig{Known: 2_000_000})
	for n := 1; n <= 2; n++ {
		s.subscribe(n, 0, true)
		s.subscribe(n, 1, true)
	}
	pushes := 0
	for i := range uint64(300) {
		x := s.blockIn(0, today, i, false)
		x.Size = 500 + int(i%7)*1000
		pushes += len(of[Push](append(s.do(x), s.after(gap)...)))
	}
	s.after(time.Second)
	if u := &s.m.up; u.queued != 0 || u.inflight != 0 || pushes < 500 {
		t.Errorf("with nothing queued and nothing under way after %d pushes, %d and %d bytes are counted", pushes, u.queued, u.inflight)
	}
}

// Pushes to a peer that seemed dead, and then was not, are not taken for later ones when QUIC has taken them at last.
func TestCountsAfterForgetting(t *testing.T) {
	s := sourceScript(t, 2, 1, MeshConfig{Known: 20_000_000})
	s.full[1] = true
	s.subscribe(1, 0, true)
	push := func(i uint64, size int) Push {
		x := s.blockIn(0, today, i, false)
		x.Size = size
		list := of[Push](append(s.do(x), s.after(TickEvery)...))
		if len(list) != 1 {
			t.Fatalf("block %d is pushed %d times, want once", i, len(list))
		}
		return list[0]
	}
	took := func(a Push) {
		s.do(Pushed{Session: 1, Log: a.Log, Stripe: a.Stripe, Request: a.Request, Bytes: a.Bytes})
	}
	before := push(0, 8192)
	s.m.drop(s.m.peer(1))
	s.subscribe(1, 0, true)
	after := push(2, 500)
	took(before)
	if got := s.m.up.inflight; got != after.Bytes {
		t.Errorf("%d bytes are under way, %d are counted", after.Bytes, got)
	}
	took(after)
	if got := s.m.up.inflight; got != 0 {
		t.Errorf("with nothing under way, %d bytes are counted", got)
	}
}

// A node that believes too little of an uplink that was never measured finds out, as QUIC takes at once what it is given; it sends nobody
// away for it.
func TestUplinkIsDoubted(t *testing.T) {
	s := serving(t, 4, 9, MeshConfig{})
	for n := 2; n <= 9; n++ {
		s.subscribe(n, uint8(n%4), true)
	}
	used := s.m.used()
	need := float64(used) * s.m.wireRate() / 4
	s.m.up.est = need / 2
	all := s.run(4*time.Second, 1, s.size())
	if moved, _ := sent[*quicwire.Moved](all); len(moved) > 0 || s.m.used() != used {
		t.Errorf("of %d children %d are moved", used, len(moved))
	}
	if got := s.m.up.rate(); got < need || s.m.up.backlog() > 100*time.Millisecond {
		t.Errorf("believes in %.0f bytes a second and has a queue of %v; want %.0f, and next to none", got, s.m.up.backlog(), need)
	}
}
