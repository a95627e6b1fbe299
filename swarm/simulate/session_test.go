package simulate

import (
	"errors"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// A Dial brings SessionUp to both ends, two and two and a half round trips later, with what each says of itself.
func TestDial(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	b, pb := s.add(func(p *person) { p.noUpload = true })
	pa.uplink, pb.uplink = 5e6, 6e6
	s.meet(a, b)
	at, up := only[swarm.SessionUp](t, pa)
	atB, upB := only[swarm.SessionUp](t, pb)
	near(t, "dialler", at, 2*s.rtt(a, b), 2*time.Millisecond)
	near(t, "acceptor", atB, 5*s.rtt(a, b)/2, 2*time.Millisecond)
	if up.Contact != 7 || up.Peer != b.key || up.Addr != b.addr.String() || up.Flags != quicwire.NoUpload || up.Limits != (quicwire.Limits{}) || up.Seen != a.addr {
		t.Errorf("dialler was told %+v", up)
	}
	if upB.Contact != -1 || upB.Peer != a.key || upB.Limits.Uplink != 5e6 || upB.Limits.Slots != 7 || upB.Role != quicwire.Viewer {
		t.Errorf("acceptor was told %+v", upB)
	}
	if up.RTT != s.rtt(a, b) {
		t.Errorf("round trip %v, want %v", up.RTT, s.rtt(a, b))
	}
}

// Who meets the source hears of its epoch first, and then of the session.
func TestEpochComesFirst(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	s.meet(a, s.source())
	at, known := only[swarm.EpochKnown](t, pa)
	atUp, up := only[swarm.SessionUp](t, pa)
	if known.Epoch != s.source().signs.name || up.Epoch != known.Epoch || up.Role != quicwire.Streamer || at != atUp {
		t.Errorf("EpochKnown %v at %v, SessionUp %+v at %v", known, at, up, atUp)
	}
	for _, h := range pa.heard {
		switch h.event.(type) {
		case swarm.SessionUp:
			t.Fatal("SessionUp comes before EpochKnown")
		case swarm.EpochKnown:
			return
		}
	}
}

func TestDialFails(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	behind, _ := s.add(func(p *person) { p.nat = true })
	dead, _ := s.add(nil)
	s.kill(dead)
	other := feed.PublicKey{1}
	for name, c := range map[string]struct {
		dial  swarm.Dial
		code  quicwire.Code
		after time.Duration
	}{
		"nobody":           {swarm.Dial{Addr: "9.9.9.9:1", Timeout: time.Second}, quicwire.CodeLost, time.Second},
		"dead":             {swarm.Dial{Addr: dead.addr.String()}, quicwire.CodeLost, dialTimeout},
		"behind a NAT":     {swarm.Dial{Addr: behind.addr.String()}, quicwire.CodeLost, dialTimeout},
		"itself":           {swarm.Dial{Addr: a.addr.String()}, quicwire.CodeSelf, 2 * s.rtt(a, a)},
		"another node key": {swarm.Dial{Addr: s.source().addr.String(), Node: &other}, quicwire.CodeTLS, s.rtt(a, s.source())},
	} {
		pa.heard = nil
		began := s.now()
		s.act(a, c.dial)
		s.pass(6 * time.Second)
		at, failed := only[swarm.DialFailed](t, pa)
		if !errors.Is(failed.Err, &quicwire.Error{Code: c.code}) {
			t.Errorf("%s: %v, want code %v", name, failed.Err, c.code)
		}
		near(t, name, at-began, c.after, time.Millisecond)
	}
}

// Who is behind a NAT can be dialled by those that it dials.
func TestNATOpens(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	b, _ := s.add(func(p *person) { p.nat = true })
	s.meet(b, a)
	s.act(a, swarm.Dial{Addr: b.addr.String()})
	s.pass(time.Second)
	if _, failed := all[swarm.DialFailed](pa); len(failed) > 0 {
		t.Errorf("a node behind a NAT that has dialled us: %v", failed)
	}
}

// Nodes take so many sessions and no more; a source as many as quicwire lets it.
func TestFull(t *testing.T) {
	s := newStage(t, Config{})
	src := s.source()
	for range maxSessions + 5 {
		n, _ := s.add(nil)
		s.act(n, swarm.Dial{Addr: src.addr.String()})
	}
	s.pass(5 * time.Second)
	if len(src.open) != maxSessions {
		t.Errorf("%d sessions, want %d", len(src.open), maxSessions)
	}
	last, p := s.add(nil)
	s.act(last, swarm.Dial{Addr: src.addr.String()})
	s.pass(time.Second)
	if _, failed := only[swarm.DialFailed](t, p); !errors.Is(failed.Err, &quicwire.Error{Code: quicwire.CodeBusy}) {
		t.Errorf("one too many: %v", failed.Err)
	}
}

// If both dial at once, one session stays, and both know which.
func TestCrossingDials(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	b, pb := s.add(nil)
	s.act(a, swarm.Dial{Addr: b.addr.String()})
	s.act(b, swarm.Dial{Addr: a.addr.String()})
	s.pass(2 * time.Second)
	if len(a.open) != 1 || len(b.open) != 1 || a.open[0].conn != b.open[0].conn {
		t.Errorf("sessions %v and %v, want the same one\n%v\n%v", a.open, b.open, pa, pb)
	}
}

// Close ends a session at once here, and half a round trip later there.
func TestClose(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	b, pb := s.add(nil)
	id, idB := s.meet(a, b)
	began := s.now()
	s.act(a, swarm.Close{Session: id, Code: quicwire.CodeBadBlock, Reason: "no"})
	s.act(a, swarm.Send{Session: id, Message: &quicwire.Ping{}})
	s.pass(time.Second)
	at, down := only[swarm.SessionDown](t, pa)
	atB, downB := only[swarm.SessionDown](t, pb)
	near(t, "here", at, began, 0)
	near(t, "there", atB, began+s.rtt(a, b)/2, time.Millisecond)
	want := quicwire.Error{Code: quicwire.CodeBadBlock, Reason: "no", Remote: true}
	if down.Session != id || downB.Session != idB || !errors.Is(downB.Err, &want) {
		t.Errorf("%+v, %+v", down, downB)
	}
	if _, heard := all[swarm.Heard](pb); len(heard) > 0 {
		t.Errorf("a message after the end: %v", heard)
	}
}

// Who is killed says nothing: QUIC gives up after 15 s, and what is pushed meanwhile fails once the window is full.
func TestKill(t *testing.T) {
	s := newStage(t, Config{})
	a, _ := s.add(nil)
	idA, id := s.meet(a, s.source())
	s.act(a, swarm.Send{Session: idA, Message: &quicwire.Sub{Log: s.media().id, Stripes: 16}})
	s.pass(time.Second)
	src := s.puppets[s.source().short]
	s.kill(a)
	began := s.now()
	for i := range uint64(6) {
		s.serve(id, 16*i)
	}
	s.pass(20 * time.Second)
	_, pushed := all[swarm.Pushed](src)
	failed := 0
	for _, e := range pushed {
		if e.Failed {
			failed++
		}
	}
	if len(pushed) != 6 || failed != 2 {
		t.Errorf("%d pushes, %d failed; want 6 and 2: a window of 32 packets takes 4", len(pushed), failed)
	}
	at, down := only[swarm.SessionDown](t, src)
	near(t, "silence", at-began, idleTimeout, time.Millisecond)
	if !errors.Is(down.Err, &quicwire.Error{Code: quicwire.CodeLost}) {
		t.Errorf("%v, want lost", down.Err)
	}
}

// The next process of one that was killed tells those who still write to the former: as soon as it is there.
func TestKilledAndBack(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	b, _ := s.add(nil)
	id, _ := s.meet(a, b)
	s.kill(b)
	s.pass(time.Second)
	s.act(a, swarm.Send{Session: id, Message: &quicwire.Ping{ID: 1}})
	s.pass(time.Second)
	if _, list := all[swarm.SessionDown](pa); len(list) > 0 {
		t.Fatalf("%v while nobody is there", list)
	}
	s.net.Revive(b.index)
	s.begin(b)
	began := s.now()
	s.act(a, swarm.Send{Session: id, Message: &quicwire.Ping{ID: 2}})
	s.pass(time.Second)
	at, down := only[swarm.SessionDown](t, pa)
	near(t, "down", at-began, s.rtt(a, b), 2*time.Millisecond)
	if !errors.Is(down.Err, &quicwire.Error{Code: quicwire.CodeLost}) {
		t.Errorf("%v, want lost", down.Err)
	}
}

// Who leaves says so to its policy, goes on for a moment, and is gone.
func TestLeave(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	b, pb := s.add(nil)
	s.meet(a, b)
	began := s.now()
	a.gentle = true
	s.leave(event{node: a.index, ref: a.life})
	s.pass(time.Second)
	if _, e := only[swarm.Leaving](t, pa); e.For != farewell {
		t.Errorf("leaving in %v, want %v", e.For, farewell)
	}
	at, down := only[swarm.SessionDown](t, pb)
	near(t, "gone", at-began, farewell+s.rtt(a, b)/2, time.Millisecond)
	if !errors.Is(down.Err, &quicwire.Error{Code: quicwire.CodeGoingAway}) || a.alive {
		t.Errorf("%v, alive %v", down.Err, a.alive)
	}
}

// A source that comes back is another process with another epoch.
func TestRestart(t *testing.T) {
	s := newStage(t, Config{RestartAt: 5 * time.Second, Killed: true, Down: 2 * time.Second})
	old := s.source().signs
	s.pass(6 * time.Second)
	signed := len(old.media.blocks)
	s.pass(4 * time.Second)
	now := s.source().signs
	if now == old || now.name.Compare(old.name) <= 0 || len(old.media.blocks) != signed || len(now.media.blocks) < 150 {
		t.Errorf("epoch %v after %v; %d blocks after the kill, %d in the new one", now.name, old.name, len(old.media.blocks)-signed, len(now.media.blocks))
	}
	near(t, "first block", now.media.blocks[0].at, 7*time.Second, 0)
	if _, e := only[swarm.Publishing](t, s.puppets[s.source().short]); e.Epoch != now.name {
		t.Errorf("publishing %v", e)
	}
}
