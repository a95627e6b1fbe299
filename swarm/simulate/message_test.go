package simulate

import (
	"testing"
	"time"

	"tailcast/internal/netsim/model"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// A message comes half a round trip later, and counts as what it takes.
func TestMessage(t *testing.T) {
	s := newStage(t, Config{})
	a, _ := s.add(nil)
	b, pb := s.add(nil)
	id, idB := s.meet(a, b)
	began, before := s.now(), s.net.Host(a.index).Sent
	m := &quicwire.Ping{ID: 9, Index: 4}
	s.act(a, swarm.Send{Session: id, Message: m})
	s.pass(time.Second)
	at, heard := only[swarm.Heard](t, pb)
	near(t, "arrival", at, began+s.rtt(a, b)/2, time.Millisecond)
	if heard.Session != idB || heard.Message != m || heard.RTT != s.rtt(a, b) {
		t.Errorf("heard %+v", heard)
	}
	if got, want := s.net.Host(a.index).Sent[model.Control]-before[model.Control], int64(quicwire.Size(m)+60); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// STATUS is proved if it shows the head, and counts by itself; of an epoch that the receiver does not know it is not heard.
func TestStatus(t *testing.T) {
	s := newStage(t, Config{})
	a, pa := s.add(nil)
	own, sources := s.meet(a, s.source())
	pa.heard = nil
	status := func(head *quicwire.SignedRoot) *quicwire.Status {
		return &quicwire.Status{Log: s.media().id, Size: 5, Signed: head, Lags: make([]time.Duration, 16)}
	}
	s.act(s.source(), swarm.Send{Session: sources, Message: status(nil)}, swarm.Send{Session: sources, Message: status(new(quicwire.SignedRoot))})
	unknown := status(nil)
	unknown.Log = s.openEpoch(true).media.id
	s.act(s.source(), swarm.Send{Session: sources, Message: unknown})
	s.pass(time.Second)
	_, heard := all[swarm.Heard](pa)
	if len(heard) != 2 || heard[0].Proved || !heard[1].Proved || heard[0].Session != own {
		t.Errorf("heard %+v", heard)
	}
	if s.net.Host(s.source().index).Sent[model.Status] == 0 {
		t.Error("it does not count as STATUS")
	}
}

// NOTES come as NotesHeard, and as EpochKnown before if they are news.
func TestNotes(t *testing.T) {
	s := newStage(t, Config{})
	a, _ := s.add(nil)
	b, pb := s.add(nil)
	idA, idB := s.meet(a, b)
	e := s.source().signs
	s.learn(a, e)
	for range 2 {
		s.act(a, swarm.Send{Session: idA, Message: &quicwire.Notes{Notes: shelf{s.World, a}.Notes()}})
	}
	s.pass(time.Second)
	_, known := only[swarm.EpochKnown](t, pb)
	_, heard := all[swarm.NotesHeard](pb)
	if known.Epoch != e.name || len(heard) != 2 || heard[0] != (swarm.NotesHeard{Session: idB, Epoch: e.name}) {
		t.Errorf("%+v, %+v", known, heard)
	}
	for _, h := range pb.heard {
		if _, ok := h.event.(swarm.NotesHeard); ok {
			t.Error("NotesHeard comes before EpochKnown")
		} else if _, ok := h.event.(swarm.EpochKnown); ok {
			break
		}
	}
}

// PONG shows the sender's clock.
func TestPongWall(t *testing.T) {
	s := newStage(t, Config{})
	a, _ := s.add(nil)
	b, pb := s.add(nil)
	id, _ := s.meet(a, b)
	sent := s.now()
	s.act(a, swarm.Send{Session: id, Message: &quicwire.Pong{}})
	s.pass(time.Second)
	if _, e := only[swarm.Heard](t, pb); !e.Message.(*quicwire.Pong).Wall.Equal(s.wall(sent)) {
		t.Errorf("clock %v, want %v", e.Message, s.wall(sent))
	}
}

// Ticks come when they are wanted, with Traffic before them.
func TestTicks(t *testing.T) {
	s := newStage(t, Config{})
	_, p := s.add(nil)
	s.pass(time.Second)
	at, ticks := all[swarm.Tick](p)
	_, traffic := all[swarm.Traffic](p)
	if len(ticks) < 20 || len(ticks) > 22 || len(traffic) < 19 {
		t.Errorf("%d ticks and %d traffics in a second, want 21 and 20", len(ticks), len(traffic))
	}
	for i := 1; i < len(at); i++ {
		near(t, "tick", at[i]-at[i-1], swarm.TickEvery, 0)
	}
}

// The shelf shows renditions as soon as the catalog's first record is there, and how far the node is.
func TestShelf(t *testing.T) {
	s := newStage(t, Config{})
	n, _ := s.add(nil)
	e, sh := s.source().signs, shelf{s.World, n}
	if _, ok := sh.Look(e.media.id); ok {
		t.Error("an epoch is looked up that is not known")
	}
	s.learn(n, e)
	if h, ok := sh.Look(e.media.id); !ok || h.Stripes != 0 || sh.Renditions(e.name.ID) != nil {
		t.Errorf("before the catalog: %+v", h)
	}
	s.pass(3 * time.Second)
	n.hold(e.catalog, 0, 0)
	if r := sh.Renditions(e.name.ID); len(r) != 1 || r[0].Stripes != 16 {
		t.Errorf("renditions %+v", r)
	}
	second := uint64(0)
	for i := range e.media.blocks {
		if i > 0 && e.media.first(uint64(i)) {
			second = uint64(i)
			break
		}
	}
	for _, i := range []uint64{second + 3, second, second + 20, second - 5} {
		n.hold(e.media, i, 0)
	}
	h, _ := sh.Look(e.media.id)
	if h.Head.Size != second+21 || h.Base != second-5 || h.Segment != second || h.Stripes != 16 {
		t.Errorf("held: %+v, want size %d, base %d, segment %d", h, second+21, second-5, second)
	}
	if n.hold(e.media, second, 0) || !n.holding(e.media).held(second-5) || n.holding(e.media).held(second+1) {
		t.Error("wrong blocks are held")
	}
}
