package swarm

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A chaos plays random events that a network could bring, right and wrong ones, and checks what must always hold.
type chaos struct {
	*script
	rand *rand.Rand
	open map[SessionID]int // sessions, with their anchor
	dial map[int]bool      // anchors being dialled
	last SessionID
	reqs map[uint64]bool
}

// play does what Direct says, and checks that it can be done.
func (c *chaos) play(e Event) {
	for _, a := range c.do(e) {
		switch a := a.(type) {
		case Dial:
			if c.dial[a.Contact] {
				c.t.Fatalf("anchor %d is dialled twice", a.Contact)
			}
			c.dial[a.Contact] = true
		case Send:
			if _, ok := c.open[a.Session]; !ok {
				c.t.Fatalf("%T is sent to session %d, which is not open", a.Message, a.Session)
			}
			if m, ok := a.Message.(*quicwire.Req); ok {
				if c.reqs[m.ID] || len(m.Blocks) > maxAsked {
					c.t.Fatalf("REQ %d comes twice, or asks for %d blocks", m.ID, len(m.Blocks))
				}
				c.reqs[m.ID] = true
			}
		}
	}
	c.check()
}

func (c *chaos) check() {
	d := c.d
	if len(d.peers) != len(c.open) {
		c.t.Fatalf("%d peers for %d sessions", len(d.peers), len(c.open))
	}
	for _, r := range []*run{d.run, d.old} {
		if r == nil {
			continue
		}
		if r.parent != nil && d.peer(r.parent.id) != r.parent {
			c.t.Fatalf("the parent's session has ended")
		}
		for _, f := range r.logs {
			if len(f.holes) > maxHoles {
				c.t.Fatalf("%d holes", len(f.holes))
			}
			for i, s := range f.stripes {
				if s.parent != nil && d.peer(s.parent.id) != s.parent {
					c.t.Fatalf("the session of the parent of stripe %d has ended", i)
				}
			}
		}
	}
}

// pick returns a session that is open; 0 if none is.
func (c *chaos) pick() (id SessionID) {
	n := 0
	for i := SessionID(1); i <= c.last; i++ {
		if _, ok := c.open[i]; ok {
			if n++; c.rand.IntN(n) == 0 {
				id = i
			}
		}
	}
	return id
}

// step brings one random event.
func (c *chaos) step() {
	r, id := c.rand, c.pick()
	epoch := []Epoch{today, yesterday}[r.IntN(2)]
	log := []quicwire.LogID{tv(epoch), catalog(epoch), {Epoch: epoch.ID, Name: "no"}}[r.IntN(3)]
	stripe := uint8(r.IntN(3))
	index := uint64(r.IntN(3000))
	switch n := r.IntN(16); {
	case n == 0:
		c.connect(epoch)
	case n == 1:
		for anchor := range 3 {
			if c.dial[anchor] && r.IntN(2) == 0 {
				delete(c.dial, anchor)
				c.play(DialFailed{anchor, errNoAnswer})
			}
		}
	case n < 5:
		c.now = c.now.Add(time.Duration(r.IntN(800)) * time.Millisecond)
		c.play(Tick{})
	case id == 0:
	case n == 5:
		delete(c.open, id)
		c.play(SessionDown{id, errNoAnswer})
	case n == 6:
		c.play(NotesHeard{Session: id, Epoch: epoch})
		c.play(EpochKnown{epoch})
	case n == 7 && r.IntN(10) == 0:
		c.play(BlockBad{Session: id, Log: log, Index: index, Err: feed.ErrPayload, Signer: r.IntN(20) == 0})
	case n == 7 && r.IntN(40) == 0:
		c.play(Condemned{epoch, testFault(r.IntN(2) == 0)})
		c.play(FaultHeard{id, epoch.ID})
	case n < 11:
		c.play(BlockIn{
			Session: id, Log: log, Index: index, Kind: feed.Media, Back: uint32(index % 100), Wall: c.now, Fresh: r.IntN(4) > 0,
			Repaired: r.IntN(4) == 0, Path: []quicwire.ShortID{{byte(r.IntN(12))}},
		})
	default:
		c.play(Heard{Session: id, Message: c.message(log, stripe, index), RTT: time.Duration(r.IntN(100)) * time.Millisecond, Proved: r.IntN(2) == 0})
	}
}

// connect opens a session: with an anchor that is being dialled, or from outside.
func (c *chaos) connect(epoch Epoch) {
	c.last++
	anchor := -1
	for i := range 3 {
		if c.dial[i] {
			anchor = i
			delete(c.dial, i)
			break
		}
	}
	c.open[c.last] = anchor
	c.play(SessionUp{Session: c.last, Contact: anchor, Peer: key(int(c.last) % 20), Addr: fmt.Sprint("x:", c.last), Role: quicwire.Viewer, Epoch: epoch})
}

func (c *chaos) message(log quicwire.LogID, stripe uint8, index uint64) quicwire.Message {
	path := []quicwire.ShortID{{1}, {byte(c.rand.IntN(12))}}
	list := []quicwire.Message{
		&quicwire.Status{Log: log, Size: index, Lags: []time.Duration{0, quicwire.NoLag}[:1+c.rand.IntN(2)]},
		&quicwire.Sub{Log: log, Stripe: stripe, Stripes: 1 + stripe},
		&quicwire.SubOK{Log: log, Stripe: stripe, First: index, Path: path},
		&quicwire.SubNo{Log: log, Stripe: stripe, Reason: quicwire.Refusal(c.rand.IntN(14))},
		&quicwire.Moved{Log: log, Stripe: stripe, Reason: quicwire.Shed},
		&quicwire.Unsub{Log: log, Stripe: stripe},
		&quicwire.Path{Log: log, Stripe: stripe, Path: path},
		&quicwire.Req{ID: index, Log: log, Blocks: []uint64{index, index + 2}},
		&quicwire.Nack{Log: log, Blocks: []uint64{index, index + 1}},
		&quicwire.Cancel{Log: log, Blocks: []uint64{index}},
		&quicwire.Ping{Log: log, Stripe: stripe, Index: index},
		&quicwire.Pong{Log: log, Stripe: stripe, Next: index},
		&quicwire.Bye{Leaving: time.Duration(index) * time.Millisecond},
	}
	return list[c.rand.IntN(len(list))]
}

// Whatever happens, Direct says only what can be done; and when all is quiet again, it follows the one good peer there is.
func TestChaos(t *testing.T) {
	for seed := range uint64(50) {
		c := &chaos{
			script: newScript(t, 3, DirectConfig{}), rand: rand.New(rand.NewPCG(seed, 0)),
			open: make(map[SessionID]int), dial: make(map[int]bool), reqs: make(map[uint64]bool),
		}
		c.shelf.held[tv(today)] = Holding{Head: feed.Head{Size: 2000}, Stripes: 2}
		for range 400 {
			c.step()
		}
		c.quiet(seed)
	}
}

// quiet ends all sessions, lets one anchor answer with a newer epoch, and checks that it is followed.
func (c *chaos) quiet(seed uint64) {
	for id := range c.open {
		delete(c.open, id)
		c.play(SessionDown{id, errNoAnswer})
	}
	tomorrow := Epoch{1, 300, feed.EpochID{3}}
	c.shelf.held[tv(tomorrow)], c.shelf.held[catalog(tomorrow)] = Holding{Stripes: 2}, Holding{Stripes: 1}
	for range 2 * shunTime / time.Second {
		c.now = c.now.Add(time.Second)
		c.play(Tick{})
	}
	if !c.dial[0] {
		c.t.Fatalf("seed %d: an anchor is not dialled after a minute", seed)
	}
	c.play(EpochKnown{tomorrow})
	c.last++
	c.open[c.last] = 0
	c.play(SessionUp{Session: c.last, Contact: 0, Peer: key(99), Addr: "a0:1", Epoch: tomorrow})
	c.now = c.now.Add(helloWait)
	c.play(Tick{})
	if c.d.run.parent == nil || c.d.run.parent.id != c.last || c.d.run.follow(tv(tomorrow)).stripes[1].parent == nil {
		c.t.Fatalf("seed %d: the only peer with the newest epoch is not followed", seed)
	}
}
