package swarm

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// A chaos plays random events that a network could bring, right and wrong ones, does what Mesh says, and checks what must always hold.
type chaos struct {
	*script
	rand    *rand.Rand
	open    map[SessionID]*line
	dialing map[int]bool
	last    SessionID
	reqs    map[uint64]bool // ids of our own
	used    int             // places before the event
	crooked bool            // the signer may break rules
	going   bool            // we have said that we shall go
	all     []Action
}

// A line is a session as the other end sees it.
type line struct {
	closed   bool // by us
	children map[subKey]*given
	asked    map[uint64][]uint64 // its REQs that were not answered by a Push
	pushes   []Push              // that are not done
	todo     []quicwire.Message  // from us, to be answered
	gives    map[subKey]bool     // what it has said SUBOK to
}

func newLine() *line {
	return &line{children: make(map[subKey]*given), asked: make(map[uint64][]uint64), gives: make(map[subKey]bool)}
}

// A given is a stripe that we have said we would push.
type given struct {
	next  uint64
	until uint64 // of MOVED; 0: none
}

// play brings an event, and checks what Mesh says to it.
func (c *chaos) play(e Event) {
	if b, ok := e.(BlockIn); ok && b.Fresh {
		c.shelf.put(b.Log, b.Index)
	}
	if h, ok := e.(Heard); ok {
		c.hears(h)
	}
	all := slices.Clone(c.m.Handle(e, c.now))
	for _, a := range all {
		c.does(a, e)
	}
	if _, tick := e.(Tick); tick {
		if ago := c.now.Sub(c.m.Next()); ago > 0 {
			c.t.Fatalf("Next is %v ago after a Tick", ago)
		}
	}
	c.check(e)
	c.all = append(c.all, all...)
}

// hears notes what a peer asks for.
func (c *chaos) hears(h Heard) {
	l := c.open[h.Session]
	switch m := h.Message.(type) {
	case *quicwire.Req:
		l.asked[m.ID] = m.Blocks
	case *quicwire.Unsub:
		delete(l.children, subKey{m.Log, m.Stripe})
	}
}

// does checks that an action can be done.
func (c *chaos) does(a Action, e Event) {
	switch a := a.(type) {
	case Dial:
		if c.dialing[a.Contact] || a.Contact < 0 || a.Contact >= len(c.m.contacts) || c.m.contacts[a.Contact].addr != a.Addr {
			c.t.Fatalf("contact %d is dialled twice, or is not there", a.Contact)
		}
		c.dialing[a.Contact] = true
	case Close:
		l := c.open[a.Session]
		if l == nil || l.closed {
			c.t.Fatalf("session %d is closed twice, or not open, after %T", a.Session, e)
		}
		l.closed = true
	case Send:
		l := c.open[a.Session]
		if l == nil || l.closed {
			c.t.Fatalf("%T is sent to session %d, which is not open, after %T", a.Message, a.Session, e)
		}
		c.says(a.Session, l, a.Message)
	case Push:
		c.pushes(a, e)
	}
}

func (c *chaos) says(id SessionID, l *line, m quicwire.Message) {
	switch m := m.(type) {
	case *quicwire.Sub, *quicwire.Ping:
		l.todo = append(l.todo, m)
	case *quicwire.Unsub:
		delete(l.gives, subKey{m.Log, m.Stripe})
	case *quicwire.Req:
		l.todo = append(l.todo, m)
		if c.reqs[m.ID] || len(m.Blocks) == 0 || len(m.Blocks) > mostReq || !slices.IsSorted(m.Blocks) || m.Blocks[len(m.Blocks)-1]-m.Blocks[0] >= quicwire.MaxBits {
			c.t.Fatalf("REQ %d comes twice, or asks for %v", m.ID, m.Blocks)
		}
		c.reqs[m.ID] = true
	case *quicwire.SubOK:
		if c.m.cfg.NoShare || c.going || len(m.Path) > quicwire.MaxPath || m.Path[len(m.Path)-1] != c.m.cfg.Self {
			c.t.Fatalf("got %+v", m)
		}
		l.children[subKey{m.Log, m.Stripe}] = &given{next: m.First}
	case *quicwire.Moved:
		if g := l.children[subKey{m.Log, m.Stripe}]; g == nil {
			c.t.Fatalf("session %d, which is no child, is moved: %+v", id, m)
		} else {
			g.until = m.Until + 1
		}
	case *quicwire.Status:
		if c.m.cfg.NoShare && (m.Slots > 0 || m.Homes > 0 && m.Log.Name != feed.CatalogLog) {
			c.t.Fatalf("who shares nothing says %+v", m)
		}
	}
}

// pushes checks a Push: to whom it goes, that it was asked for, and that it is bounded.
func (c *chaos) pushes(a Push, e Event) {
	l := c.open[a.Session]
	switch {
	case l == nil || l.closed:
		c.t.Fatalf("pushed to session %d, which is not open, after %T", a.Session, e)
	case c.m.cfg.NoShare:
		c.t.Fatal("who shares nothing pushes")
	case len(l.pushes) >= maxInflight:
		c.t.Fatalf("session %d has %d pushes under way", a.Session, len(l.pushes)+1)
	case a.Request != 0:
		for _, i := range a.Blocks {
			if !slices.Contains(l.asked[a.Request], i) {
				c.t.Fatalf("block %d is given to REQ %d, which asked for %v", i, a.Request, l.asked[a.Request])
			}
		}
		delete(l.asked, a.Request)
	default:
		g := l.children[subKey{a.Log, a.Stripe}]
		if g == nil || len(a.Blocks) != 1 || a.Blocks[0]%uint64(a.Stripes) != uint64(a.Stripe) || a.Blocks[0] < g.next || g.until > 0 && a.Blocks[0] >= g.until {
			c.t.Fatalf("pushed %+v to a child that expects %+v, after %T", a, g, e)
		}
		g.next = a.Blocks[0] + 1
	}
	l.pushes = append(l.pushes, a)
}

// check checks what Mesh keeps.
func (c *chaos) check(e Event) {
	m := c.m
	if len(m.peers) != len(c.open) || !slices.IsSortedFunc(m.peers, func(a, b *peer) int { return int(a.id) - int(b.id) }) {
		c.t.Fatalf("%d peers for %d sessions", len(m.peers), len(c.open))
	}
	if len(m.contacts) > maxContacts || len(m.shunned) > 200 {
		c.t.Fatalf("%d contacts, %d shunned", len(m.contacts), len(m.shunned))
	}
	if used := m.used(); used > c.used && used > m.slots() {
		c.t.Fatalf("%d places used of %d, %d before %T", used, m.slots(), c.used, e)
	} else {
		c.used = used
	}
	c.checkUplink()
	for _, r := range m.runs() {
		if r == nil {
			continue
		}
		for _, f := range r.logs {
			c.checkLog(f, e)
		}
	}
}

func (c *chaos) checkUplink() {
	u, bytes, items, inflight := &c.m.up, 0, 0, 0
	for k := range u.queues {
		for _, it := range u.queues[k].items[u.queues[k].head:] {
			bytes += it.bytes
			items++
		}
	}
	for _, p := range c.m.peers {
		if inflight += p.bytes; p.inflight != len(c.open[p.id].pushes) && !c.open[p.id].closed && p.inflight > 0 {
			c.t.Fatalf("session %d: %d pushes under way, and %d in fact", p.id, p.inflight, len(c.open[p.id].pushes))
		}
		if len(p.stalled) > maxStalled || p.inflight > maxInflight || len(p.pings) > maxPings {
			c.t.Fatalf("session %d: %d stalled, %d under way, %d pings", p.id, len(p.stalled), p.inflight, len(p.pings))
		}
	}
	if bytes != u.queued || inflight != u.inflight || items > 5000 {
		c.t.Fatalf("%d bytes in %d items wait, %d counted; %d under way, %d counted", bytes, items, u.queued, inflight, u.inflight)
	}
}

func (c *chaos) checkLog(f *follow, e Event) {
	if len(f.holes) > maxHoles || !slices.IsSortedFunc(f.holes, func(a, b hole) int { return int(a.index) - int(b.index) }) {
		c.t.Fatalf("%d holes", len(f.holes))
	}
	for _, h := range f.holes {
		if h.index >= f.edge || h.of != nil && h.of.gone {
			c.t.Fatalf("hole %d, edge %d, asked of %v, after %T", h.index, f.edge, h.of, e)
		}
	}
	for i := range f.stripes {
		s := &f.stripes[i]
		for _, p := range []*peer{s.parent, s.old, s.pending} {
			if p != nil && (c.m.peer(p.id) != p || c.open[p.id].closed) {
				c.t.Fatalf("stripe %d of %s comes from session %d, which has ended, after %T", i, f.log.Name, p.id, e)
			}
		}
		if s.parent != nil && (s.parent == s.old || s.parent == s.pending && e != nil && s.old == s.pending) || len(s.waiting) > maxWaiting {
			c.t.Fatalf("stripe %d has one peer twice, or %d wait", i, len(s.waiting))
		}
		seen := make(map[*peer]bool)
		for _, child := range s.children {
			l := c.open[child.peer.id]
			if seen[child.peer] || c.m.peer(child.peer.id) != child.peer || l.children[subKey{f.log, uint8(i)}] == nil {
				c.t.Fatalf("stripe %d of %s goes to session %d twice, or it has ended, or was not told", i, f.log.Name, child.peer.id)
			}
			seen[child.peer] = true
		}
	}
}

// pick returns a session that is open; 0 if none is.
func (c *chaos) pick() (id SessionID) {
	n := 0
	for i := SessionID(1); i <= c.last; i++ {
		if l := c.open[i]; l != nil && !l.closed {
			if n++; c.rand.IntN(n) == 0 {
				id = i
			}
		}
	}
	return id
}

// down ends a session.
func (c *chaos) down(id SessionID) {
	delete(c.open, id)
	c.play(SessionDown{id, errNoAnswer})
}

// settle lets sessions that were closed end, and pushes be done, now and then.
func (c *chaos) settle() {
	for id := SessionID(1); id <= c.last; id++ {
		l := c.open[id]
		switch {
		case l == nil:
		case l.closed && c.rand.IntN(3) == 0:
			c.down(id)
		case len(l.pushes) > 0 && c.rand.IntN(3) > 0:
			p := l.pushes[0]
			l.pushes = l.pushes[1:]
			c.play(Pushed{id, p.Log, p.Stripe, p.Request, p.Bytes, c.rand.IntN(20) == 0})
		}
	}
}

// step brings some of what happens when all is well, or something wild.
func (c *chaos) step() {
	if c.rand.IntN(10) < 7 {
		c.calm()
	} else {
		c.wild()
	}
	c.settle()
}

// calm lets a block be signed, and peers do what they should, for the most part.
func (c *chaos) calm() {
	r := c.rand
	c.now = c.now.Add(time.Duration(r.IntN(50)) * time.Millisecond)
	c.play(Tick{})
	i := c.shelf.held[tv(today)].Head.Size
	c.sign(tv(today), i, uint8(i%4))
	if i%40 == 0 {
		c.sign(catalog(today), i/40, 0)
	}
	for id := SessionID(1); id <= c.last; id++ {
		if l := c.open[id]; l != nil && !l.closed && len(l.todo) > 0 {
			m := l.todo[0]
			l.todo = l.todo[1:]
			c.answers(id, l, m)
		}
	}
	id := c.pick()
	if id == 0 {
		return
	}
	switch r.IntN(8) {
	case 0, 1:
		c.play(Heard{Session: id, Message: &quicwire.Status{Log: tv(today), Size: i, Lags: make([]time.Duration, 4), Slots: 6, Homes: 15}, RTT: 20 * ms})
		c.play(Heard{Session: id, Message: &quicwire.Status{Log: catalog(today), Size: i / 40, Lags: make([]time.Duration, 1), Slots: 6}, RTT: 20 * ms, Proved: true})
	case 2:
		c.play(Heard{Session: id, Message: &quicwire.Sub{
			Log: tv(today), Stripe: uint8(r.IntN(4)), Stripes: 4, Start: quicwire.StartNext, Home: r.IntN(3) > 0, Urgent: r.IntN(3) == 0, Patience: patience,
		}, RTT: 20 * ms})
	case 3:
		c.play(Heard{Session: id, Message: &quicwire.Pex{Peers: []quicwire.PeerRecord{c.recordOf(int(id))}}})
	}
}

// sign lets the next block of a log come from us, or from those who push its stripe.
func (c *chaos) sign(log quicwire.LogID, i uint64, stripe uint8) {
	x := BlockIn{Log: log, Index: i, Kind: feed.Media, Back: uint32(i % 100), Size: tvBlock, Wall: c.now, Fresh: true}
	c.shelf.put(log, i)
	if c.m.publisher() {
		c.play(x)
		return
	}
	for id := SessionID(1); id <= c.last; id++ {
		if l := c.open[id]; l != nil && !l.closed && l.gives[subKey{log, stripe}] && c.rand.IntN(15) > 0 {
			x.Session, x.Path = id, []quicwire.ShortID{{200}, {byte(id), byte(id >> 8)}}
			c.play(x)
			x.Fresh = false
		}
	}
}

// answers lets a peer answer.
func (c *chaos) answers(id SessionID, l *line, m quicwire.Message) {
	says := func(m quicwire.Message) { c.play(Heard{Session: id, Message: m, RTT: 20 * ms}) }
	fine := c.rand.IntN(8) > 0
	switch m := m.(type) {
	case *quicwire.Sub:
		if !fine {
			says(&quicwire.SubNo{Log: m.Log, Stripe: m.Stripe, Reason: quicwire.RefusedBusy, Retry: time.Second})
			return
		}
		l.gives[subKey{m.Log, m.Stripe}] = true
		says(&quicwire.SubOK{Log: m.Log, Stripe: m.Stripe, First: max(m.From, c.shelf.held[m.Log].Head.Size), Path: []quicwire.ShortID{{200}, {byte(id), byte(id >> 8)}}})
	case *quicwire.Ping:
		says(&quicwire.Pong{ID: m.ID, Log: m.Log, Stripe: m.Stripe, Flows: fine, Has: fine, Next: c.shelf.held[m.Log].Head.Size, Wall: c.now})
	case *quicwire.Req:
		if !fine {
			says(&quicwire.Nack{ID: m.ID, Log: m.Log, Reason: quicwire.RefusedNotHeld, Blocks: m.Blocks})
			return
		}
		for _, i := range m.Blocks {
			f := c.m.follow(m.Log)
			if l.closed || f == nil {
				return
			}
			c.play(BlockIn{
				Session: id, Log: m.Log, Index: i, Kind: feed.Media, Back: uint32(i % 100), Size: tvBlock, Wall: c.now, Fresh: !f.here.has(i), Repaired: true,
				Path: []quicwire.ShortID{{200}},
			})
		}
	}
}

// wild brings one random event.
func (c *chaos) wild() {
	r, id := c.rand, c.pick()
	epoch := []Epoch{today, today, today, yesterday}[r.IntN(4)]
	log := []quicwire.LogID{tv(epoch), tv(epoch), tv(epoch), catalog(epoch), {Epoch: epoch.ID, Name: "no"}}[r.IntN(5)]
	stripe := uint8(r.IntN(5))
	index := c.index(log)
	switch n := r.IntN(24); {
	case n < 2:
		if len(c.open) < 16 {
			c.connect(epoch)
		}
	case n == 2:
		for contact := range c.m.contacts {
			if c.dialing[contact] && r.IntN(2) == 0 {
				delete(c.dialing, contact)
				c.play(DialFailed{contact, errNoAnswer})
			}
		}
	case n < 7:
		c.now = c.now.Add(time.Duration(r.IntN([]int{40, 100, 800}[r.IntN(3)])) * time.Millisecond)
		c.play(Tick{})
	case n == 7:
		node := key(2000 + r.IntN(500))
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(r.IntN(200)), 1}), 4433)
		c.play(Learned{Addr: addr, Node: &node, Origin: Origin(r.IntN(6))})
	case n == 8 && r.IntN(4) == 0:
		c.play([]Event{Capped{uint64(r.IntN(3)) * 2_000_000}, Traffic{Sent: uint64(c.now.Sub(c.start) / 20_000)}}[r.IntN(2)])
	case n == 9 && c.m.publisher():
		c.play(BlockIn{Log: log, Index: index, Kind: feed.Media, Back: uint32(index % 100), Size: 500 + r.IntN(4000), Wall: c.now, Fresh: true})
	case id == 0:
	case n == 10 && r.IntN(6) == 0:
		c.down(id)
	case n == 11 && r.IntN(3) == 0:
		c.play(NotesHeard{Session: id, Epoch: epoch})
		c.play(EpochKnown{epoch})
	case n == 11 && r.IntN(10) == 0:
		c.play(BlockBad{Session: id, Log: log, Index: index, Err: feed.ErrPayload, Signer: r.IntN(20) == 0})
	case n == 11 && c.crooked && r.IntN(20) == 0:
		c.play(Condemned{epoch, testFault(r.IntN(2) == 0)})
		c.play(FaultHeard{id, epoch.ID})
	case n == 12:
		c.play([]Event{Coming{id, log, index}, Burst{id, uint64(r.IntN(1 << 24))}, Fed{id}, Found{log, []uint64{index}}}[r.IntN(4)])
	case n < 17:
		c.play(BlockIn{
			Session: id, Log: log, Index: index, Kind: feed.Media, Back: uint32(index % 100), Size: 500 + r.IntN(4000), Wall: c.now,
			Age: time.Duration(r.IntN(300)) * time.Millisecond, Fresh: r.IntN(4) > 0, Repaired: r.IntN(4) == 0, Path: []quicwire.ShortID{{byte(r.IntN(12))}},
		})
	default:
		c.play(Heard{Session: id, Message: c.message(log, stripe, index), RTT: time.Duration(r.IntN(100)) * time.Millisecond, Proved: r.IntN(2) == 0})
	}
}

// index draws a block: mostly near the newest.
func (c *chaos) index(log quicwire.LogID) uint64 {
	size := c.shelf.held[log].Head.Size
	if c.rand.IntN(10) == 0 {
		return uint64(c.rand.IntN(9000))
	}
	return size - min(size, 12) + uint64(c.rand.IntN(16))
}

// connect opens a session: with a contact that is being dialled, or from outside.
func (c *chaos) connect(epoch Epoch) {
	c.last++
	contact := -1
	for i := range c.m.contacts {
		if c.dialing[i] {
			contact = i
			delete(c.dialing, i)
			break
		}
	}
	c.open[c.last] = newLine()
	c.play(SessionUp{
		Session: c.last, Contact: contact, Peer: key(int(c.last) % 40), Addr: host(int(c.last)), Epoch: epoch, RTT: 20 * ms,
		Role:   []quicwire.Role{quicwire.Viewer, quicwire.Viewer, quicwire.Relay, quicwire.Streamer}[c.rand.IntN(4)],
		Limits: quicwire.Limits{Slots: uint32(c.rand.IntN(20)), Uplink: uint64(c.rand.IntN(3)) * 5_000_000}, Flags: quicwire.NodeFlags(c.rand.IntN(8) / 7),
	})
}

// message draws a message, often one that answers ours.
func (c *chaos) message(log quicwire.LogID, stripe uint8, index uint64) quicwire.Message {
	r := c.rand
	path := []quicwire.ShortID{{1}, {byte(r.IntN(12))}}
	lags := []time.Duration{0, 50 * ms, quicwire.NoLag, 300 * ms}
	if log.Name == feed.CatalogLog {
		lags = lags[:1]
	}
	key, addr := key(3000+r.IntN(50)), netip.MustParseAddrPort(host(r.IntN(60)))
	refer := []quicwire.Referral{{Node: key, Addr: addr}}
	flip := func() bool { return r.IntN(2) == 0 }
	list := []quicwire.Message{
		&quicwire.Status{Log: log, Size: index, Lags: lags, Slots: uint32(r.IntN(9)), Homes: uint32(r.IntN(16)), Rate: uint64(r.IntN(2)) * 3_000_000},
		&quicwire.Status{Log: log, Size: index, Lags: lags[:1], Slots: 3, Homes: 15},
		&quicwire.Sub{Log: log, Stripe: stripe % 4, Stripes: 4, Start: quicwire.StartNext, Home: flip(), Urgent: flip(), Patience: patience},
		&quicwire.Sub{Log: log, Stripe: stripe % 4, Stripes: 4, Start: quicwire.StartIndex, From: index, Home: flip()},
		&quicwire.Sub{Log: log, Stripe: stripe, Stripes: 1 + stripe},
		&quicwire.SubOK{Log: log, Stripe: stripe, First: index, Path: path},
		&quicwire.SubOK{Log: log, Stripe: stripe % 4, First: index, Path: path, Lag: 50 * ms},
		&quicwire.SubNo{Log: log, Stripe: stripe, Reason: quicwire.Refusal(r.IntN(14)), Retry: time.Second, Referrals: refer},
		&quicwire.Moved{Log: log, Stripe: stripe, Reason: quicwire.Shed, Until: index, Referrals: refer},
		&quicwire.Unsub{Log: log, Stripe: stripe},
		&quicwire.Path{Log: log, Stripe: stripe, Path: path},
		&quicwire.Req{ID: c.rand.Uint64() | 1, Log: log, Blocks: []uint64{index, index + 2}, Orphan: flip(), Starting: flip()},
		&quicwire.Nack{Log: log, Blocks: []uint64{index, index + 1}},
		&quicwire.Cancel{Log: log, Blocks: []uint64{index}},
		&quicwire.Ping{Log: log, Stripe: stripe, Index: index},
		&quicwire.Pong{ID: c.m.nextReq - uint64(r.IntN(4)), Log: log, Stripe: stripe, Next: index, Flows: flip(), Has: flip(), Wall: c.now},
		&quicwire.Pong{ID: c.m.nextReq, Log: log, Stripe: stripe, Next: index, Flows: true},
		&quicwire.Pex{Peers: []quicwire.PeerRecord{{Node: key, Addr: addr, Expires: c.now.Add(time.Hour).Unix()}}},
	}
	if r.IntN(60) == 0 {
		return &quicwire.Bye{Leaving: time.Duration(index) * time.Millisecond, Referrals: refer}
	}
	return list[r.IntN(len(list))]
}

// newChaos begins one.
func newChaos(t *testing.T, seed uint64, cfg MeshConfig) *chaos {
	cfg.Seed, cfg.Node = seed, key(7777)
	cfg.Sign = signs(cfg.Node)
	c := &chaos{
		script: newStriped(t, 3, 4, cfg), rand: rand.New(rand.NewPCG(seed, 0)),
		open: make(map[SessionID]*line), dialing: make(map[int]bool), reqs: make(map[uint64]bool),
	}
	c.shelf.held[tv(today)] = Holding{Head: feed.Head{Size: 2000}, Stripes: 4}
	if cfg.Role == quicwire.Streamer {
		c.play(Publishing{today})
	}
	return c
}

// Whatever happens, Mesh says only what can be done, promises no more than it has, and keeps what it promised; and when all is quiet again, it
// follows the one good peer there is.
func TestChaos(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 1 // a Mesh has no goroutine
	}
	for name, cfg := range map[string]MeshConfig{
		"a viewer": {MaxPeers: 12}, "a viewer with a cap": {MaxPeers: 12, Up: 3_000_000}, "who shares nothing": {NoShare: true},
		"a relay": {Role: quicwire.Relay, MaxPeers: 30}, "a source": {Role: quicwire.Streamer, MaxPeers: 12},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range seeds {
				c := newChaos(t, seed, cfg)
				c.crooked = seed%4 == 3
				for range 1200 {
					c.step()
				}
				switch {
				case seed%3 == 0:
					c.leave(seed)
				case !c.m.publisher():
					c.quiet(seed)
				}
			}
		})
	}
}

// The same chaos gives the same actions.
func TestChaosIsDeterministic(t *testing.T) {
	for seed := range uint64(3) {
		a, b := newChaos(t, seed, MeshConfig{MaxPeers: 12}), newChaos(t, seed, MeshConfig{MaxPeers: 12})
		for range 1000 {
			a.step()
			b.step()
		}
		if len(a.all) < 500 || !reflect.DeepEqual(a.all, b.all) {
			t.Errorf("seed %d: two runs differ, or did little: %d actions", seed, len(a.all))
		}
	}
}

// leave says goodbye, and checks that nobody is taken on meanwhile.
func (c *chaos) leave(seed uint64) {
	c.going = true
	c.play(Leaving{500 * ms})
	byes := 0
	for _, a := range of[Send](c.all) {
		if _, ok := a.Message.(*quicwire.Bye); ok {
			byes++
		}
	}
	if byes > len(c.open) || byes == 0 && c.pick() != 0 {
		c.t.Fatalf("seed %d: %d BYEs to %d peers", seed, byes, len(c.open))
	}
	for range 60 {
		c.step()
	}
}

// quiet ends all sessions, lets one anchor answer with a newer epoch, and checks that it is followed.
func (c *chaos) quiet(seed uint64) {
	for id := range c.last + 1 {
		if c.open[id] != nil {
			c.down(id)
		}
	}
	c.know(tomorrow)
	for range 2 * shunTime / time.Second {
		c.now = c.now.Add(time.Second)
		c.play(Tick{})
		for contact := range c.m.contacts {
			if c.dialing[contact] && contact != 0 {
				delete(c.dialing, contact)
				c.play(DialFailed{contact, errNoAnswer})
			}
		}
	}
	if !c.dialing[0] {
		c.t.Fatalf("seed %d: an anchor is not dialled after a minute", seed)
	}
	c.play(EpochKnown{tomorrow})
	c.last++
	c.open[c.last] = newLine()
	c.play(SessionUp{Session: c.last, Contact: 0, Peer: key(99), Addr: "a0:1", Epoch: tomorrow})
	c.play(Heard{Session: c.last, Message: &quicwire.Status{Log: catalog(tomorrow), Size: 9, Lags: []time.Duration{0}, Slots: 9}, Proved: true})
	c.play(Heard{Session: c.last, Message: &quicwire.Status{Log: tv(tomorrow), Size: 99, Lags: make([]time.Duration, 4), Slots: 9, Homes: 15}})
	c.now = c.now.Add(helloWait)
	c.play(Tick{})
	asked := make(map[quicwire.LogID]int)
	for _, f := range c.m.run.logs {
		for i := range f.stripes {
			if p := f.stripes[i].pending; p != nil && p.id == c.last {
				asked[f.log]++
			}
		}
	}
	if asked[tv(tomorrow)] != 4 || asked[catalog(tomorrow)] != 1 {
		c.t.Fatalf("seed %d: the only peer with the newest epoch was asked for %v", seed, asked)
	}
}
