package swarm

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// How nodes are dialled. docs/swarm.md gives the reasons.
const (
	maxDials      = 16                      // at a time
	needyAfter    = 200 * time.Millisecond  // without a parent for a stripe
	begAfter      = 3 * time.Second         // likewise, and nobody can help: a source that let us go is asked again
	dialTimeout   = 3 * time.Second         // for one that has not answered yet
	dialStrange   = 1500 * time.Millisecond // for an address that a stranger gave: many cannot be reached
	redialFor     = 15 * time.Second        // after a neighbour was lost it is dialled
	redialFirst   = 50 * time.Millisecond   // so soon: where a session is reset, somebody is there again
	redialEvery   = 250 * time.Millisecond  // and so often; it may be restarting
	redialTimeout = 700 * time.Millisecond  // for each of these, or five round trips: nobody was there when it began, perhaps
	returnRate    = 4                       // a second, of sources that we know of by hearsay
	dialFirst     = 500 * time.Millisecond  // else the pause begins with this
	dialMost      = 4 * time.Second         // and doubles up to this, for ever
	dialSelf      = time.Minute             // an address that turned out to be ourselves
	dialTwin      = time.Second             // is looked at again, whose node answers at another address too
	dialStranger  = 10 * time.Minute        // an address that a stranger gave, and where nobody was
	dialFull      = 20 * time.Second        // one that had no room
	dialSource    = 2 * time.Minute         // a source that had none: it knows whom it needs
	maxContacts   = 256
	strangerRate  = 1       // dials a second to addresses that strangers gave: who makes many of us dial a victim gets little by it
	strangerBurst = 24      // at first: one mesh
	maxSubnet     = 2       // of them in one /24 or /48 at a time
	moreIfNeedy   = 2       // more dials at a time while a stripe has no parent
	peersTimes    = 3       // sessions that others may open with us: times those that we want
	leastPeers    = 32      // of a source, if its stream is thin
	wideStream    = 500_000 // bytes per second: all that it may have
)

// A contactState says what is being done about a contact.
//
//	          due              HELLO
//	pausing ───────▶ dialling ───────▶ connected
//	   ▲                 │ failed          │ lost
//	   └─────────────────┴─────────────────┘
type contactState uint8

const (
	pausing contactState = iota
	dialling
	connected
)

// A contact is an address where a node of the channel may be, and how it went with it.
type contact struct {
	addr   string
	node   *feed.PublicKey // whom to expect; nil: anybody
	origin Origin
	index  int
	subnet netip.Prefix // of an address from a stranger

	state   contactState
	next    time.Time // pausing: when it may be dialled
	session SessionID // connected: the session
	fails   int       // dials that failed since it was connected last
	lost    time.Time // when it was connected last; zero: never
	heard   time.Time // when it was named last
	shunned time.Time // to be kept away from until then

	source bool            // it was a streamer that we had a session with, at this address
	rtt    time.Duration   // of the last session
	key    *feed.PublicKey // that it had when it was connected last
	role   quicwire.Role   // likewise
	err    error           // why it is not connected
}

// strange reports whether the address is somebody's word only.
func (c *contact) strange() bool { return c.origin == FromPeer || c.origin == FromReferral }

// degree returns how many peers this node wants.
func (m *Mesh) degree() int {
	if m.publisher() {
		return 2 * maxSpotters
	}
	n := m.stripes()
	switch {
	case n == 0:
		return 14 // it is not known yet, and to dial more only then would cost a round trip
	case n <= 8:
		return 8
	case n <= 16:
		return 20
	}
	return 24
}

// staying counts the peers that have not said goodbye.
func (m *Mesh) staying() (n int) {
	for _, p := range m.peers {
		if p.leaving.IsZero() {
			n++
		}
	}
	return n
}

// dial dials who is due: the operator's relays and lost neighbours in any case, others while we have too few peers.
func (m *Mesh) dial() {
	if !m.content() {
		m.seek()
	}
}

// seek is dial with a look at each contact.
func (m *Mesh) seek() {
	dials := 0
	for _, c := range m.contacts {
		if c.state == dialling {
			dials++
		}
	}
	have := m.staying() + dials
	if m.publisher() {
		have = m.dialled() + dials
	}
	want, needy := m.degree(), m.needy() || m.hurries()
	switch {
	case needy:
		want = min(max(want, have+moreIfNeedy), m.cfg.MaxPeers) // those we have are full
	case 4*have >= 3*want:
		want = 0
	}
	due := func(c *contact) bool {
		if c.state != pausing || m.now.Before(c.next) || m.now.Before(c.shunned) && len(m.contacts) > 1 || m.declined(c) {
			return false
		}
		return have < want || c.origin == FromPin || m.redials(c)
	}
	if !slices.ContainsFunc(m.contacts, due) {
		return // before they are sorted
	}
	for _, c := range m.order() {
		if dials >= maxDials {
			return
		}
		if !due(c) || !m.mayDial(c) {
			continue
		}
		dials++
		have++
		c.state = dialling
		m.do(Dial{c.index, c.addr, c.node, m.dialFor(c)})
	}
}

// declined reports whether a contact is a source that has let us go, for others whom it needs more. Who lacks a stripe gets no place there
// either: others have it.
func (m *Mesh) declined(c *contact) bool {
	return c.source && left(c.err) && !m.redials(c) && m.staying() > 0 && m.now.Sub(c.lost) < dialSource && !m.lacks(begAfter) && !m.hurries()
}

// content reports whether nobody is to be dialled, as far as that is known without a look at the contacts: it is asked at every tick.
func (m *Mesh) content() bool {
	return len(m.cfg.Pinned) == 0 && m.now.Sub(m.parted) >= redialFor && !m.publisher() && 4*m.staying() >= 3*m.degree() && !m.needy() && !m.hurries()
}

// dialFor is how long a dial may take.
func (m *Mesh) dialFor(c *contact) time.Duration {
	switch {
	case m.redials(c): // for longer if that is not enough: the other has much to do, perhaps
		return min(max(redialTimeout, 5*c.rtt)<<min(c.fails/4, 4), dialTimeout)
	case c.strange():
		return dialStrange
	}
	return dialTimeout
}

// dialled counts the peers that we have dialled ourselves.
func (m *Mesh) dialled() (n int) {
	for _, p := range m.peers {
		if p.dialled && p.leaving.IsZero() {
			n++
		}
	}
	return n
}

// needy reports whether some stripe has been without a parent for a while.
func (m *Mesh) needy() bool { return m.lacks(needyAfter) }

// lacks reports whether some stripe has been without a parent for so long.
func (m *Mesh) lacks(long time.Duration) bool {
	if m.run == nil || m.publisher() {
		return false
	}
	for _, f := range m.run.logs {
		for i := range f.stripes {
			if s := &f.stripes[i]; s.parent == nil && !f.ended && m.now.Sub(s.lost) > long {
				return true
			}
		}
	}
	return false
}

// redials reports whether a contact is a neighbour that was lost a moment ago, and may be restarting: one that we know of by more than hearsay,
// or a source, which may have said goodbye, too.
func (m *Mesh) redials(c *contact) bool {
	switch {
	case c.lost.IsZero() || m.now.Sub(c.lost) >= redialFor:
		return false
	case c.source:
		return !left(c.err) || errors.Is(c.err, &quicwire.Error{Code: quicwire.CodeDone})
	}
	return !c.strange() && !left(c.err)
}

// left reports whether a session ended since the other did not want it.
func left(err error) bool {
	for _, code := range []quicwire.Code{quicwire.CodeDone, quicwire.CodeBusy, quicwire.CodeDuplicate, quicwire.CodeSelf} {
		if errors.Is(err, &quicwire.Error{Code: code}) {
			return true
		}
	}
	return exiled(err)
}

// restarted reports whether a session ended since the other's next process is there.
func restarted(err error) bool {
	return errors.Is(err, &quicwire.Error{Code: quicwire.CodeLost, Reason: quicwire.Restarted, Remote: true})
}

// exiled reports whether a session ended since the other keeps away from us.
func exiled(err error) bool {
	var e *quicwire.Error
	if !errors.As(err, &e) || !e.Remote {
		return false
	}
	return slices.Contains([]quicwire.Code{quicwire.CodeShunned, quicwire.CodeFlood, quicwire.CodeBadBlock, quicwire.CodeNotes}, e.Code)
}

// order returns the contacts in the order in which to dial them: those of the link, the operator and this network as they came, then others
// from a random place on.
func (m *Mesh) order() []*contact {
	n := len(m.cfg.Anchors) + len(m.cfg.Pinned)
	if len(m.contacts) <= n {
		return m.contacts
	}
	rest := m.contacts[n:]
	at := m.rand.IntN(len(rest))
	list := append(slices.Clone(m.contacts[:n]), rest[at:]...)
	list = append(list, rest[:at]...)
	slices.SortStableFunc(list[n:], func(a, b *contact) int { return a.order() - b.order() })
	return list
}

// order is lower for those that are dialled first: whom we know, whom we were just referred to, and then anybody.
func (c *contact) order() int {
	switch c.origin {
	case FromReferral:
		return 1
	case FromPeer:
		return 2
	}
	return 0
}

// mayDial reports whether a contact may be dialled now, and takes what that costs.
func (m *Mesh) mayDial(c *contact) bool {
	if m.twin(c) {
		c.next = m.now.Add(dialTwin)
		return false
	}
	switch {
	case !c.strange():
		return true
	case m.redials(c):
		return m.returns.take(m.now, 1) // not out of what there is to find others
	}
	same := 0
	for _, d := range m.contacts {
		if d != c && d.strange() && d.subnet == c.subnet && d.subnet.IsValid() && d.state != pausing {
			same++
		}
	}
	return same < maxSubnet && m.dials.take(m.now, 1)
}

// twin reports whether c leads to a node that we are connected with already: a node with two addresses keeps one session.
func (m *Mesh) twin(c *contact) bool {
	key := c.key
	if key == nil && c.strange() {
		key = c.node
	}
	if key == nil || !c.strange() && !errors.Is(c.err, &quicwire.Error{Code: quicwire.CodeDuplicate}) {
		return false
	}
	return *key == m.cfg.Node || slices.ContainsFunc(m.peers, func(p *peer) bool { return p.key == *key && p.contact != c })
}

// learnAddr takes in an address.
func (m *Mesh) learnAddr(e Learned) {
	addr := e.Addr.String()
	strange := e.Origin == FromPeer || e.Origin == FromReferral
	switch {
	case !e.Addr.IsValid(), e.Node != nil && *e.Node == m.cfg.Node, strange && m.cfg.Dialable != nil && !m.cfg.Dialable(e.Addr, e.By):
		return
	}
	for _, c := range m.contacts {
		if c.addr == addr {
			c.heard = m.now
			if c.strange() && e.Node != nil {
				c.node = e.Node
				if strange {
					c.origin = e.Origin
				}
			}
			return
		}
	}
	c := m.slot()
	if c == nil {
		return
	}
	index := c.index
	*c = contact{addr: addr, node: e.Node, origin: e.Origin, index: index, heard: m.now}
	if strange {
		c.subnet = subnetOf(addr)
	}
}

// slot returns a place for a new contact: the worst of those that strangers gave, if there are too many. nil: there is none.
func (m *Mesh) slot() *contact {
	if len(m.contacts) < maxContacts {
		c := &contact{index: len(m.contacts)}
		m.contacts = append(m.contacts, c)
		return c
	}
	var worst *contact
	for _, c := range m.contacts {
		if c.strange() && c.state == pausing && (worst == nil || c.next.After(worst.next)) {
			worst = c
		}
	}
	return worst
}

// refer takes in whom p refers us to.
func (m *Mesh) refer(p *peer, list []quicwire.Referral) {
	for _, r := range list {
		m.learnAddr(Learned{Addr: r.Addr, Node: &r.Node, Origin: FromReferral, By: p.at.Addr()})
	}
}

// dialFailed lets a contact rest for a while.
func (m *Mesh) dialFailed(e DialFailed) {
	if e.Contact >= len(m.contacts) {
		return
	}
	c := m.contacts[e.Contact]
	if c.state != dialling {
		return // it dialled us meanwhile
	}
	c.fails++
	m.pause(c, e.Err)
}

// pause sets when c may be dialled again.
func (m *Mesh) pause(c *contact, err error) {
	c.state, c.session, c.err = pausing, 0, err
	delay := min(dialFirst<<min(max(c.fails-1, 0), 8), dialMost)
	switch {
	case errors.Is(err, &quicwire.Error{Code: quicwire.CodeSelf}):
		delay = dialSelf
	case m.now.Before(c.shunned) && len(m.contacts) > 1:
		c.next = c.shunned.Add(m.between(0, time.Second))
		return
	case m.now.Before(c.shunned):
		delay = dialMost // there is nobody else
	case exiled(err):
		delay = dialFull
	case m.redials(c) && restarted(err):
		delay = redialFirst
	case m.redials(c):
		delay = redialEvery
	case c.strange() && c.fails > 0:
		delay = dialStranger
	case left(err) && m.staying() > 0:
		delay = dialFull
	}
	// Those that lost the same neighbour shall not all come at the same moment.
	delay += time.Duration(m.rand.Int64N(max(1, int64(delay/4))))
	c.next = m.now.Add(delay)
}

// bind finds the contact that a new session is with, if any.
func (m *Mesh) bind(p *peer, e SessionUp) {
	c := m.contactOf(e)
	if c == nil && e.Role == quicwire.Streamer { // it has dialled us; should it restart, it will know nobody
		key := e.Peer
		m.learnAddr(Learned{Addr: p.at, Node: &key, Origin: FromPeer, By: p.at.Addr()})
		c = m.contactOf(e)
	}
	if c == nil {
		return
	}
	p.contact = c
	key := e.Peer
	c.state, c.session, c.fails, c.err, c.key, c.role = connected, e.Session, 0, nil, &key, e.Role
	c.source = e.Role == quicwire.Streamer && (e.Contact >= 0 || c.addr == e.Addr) // not where others say that it is
}

// contactOf returns the contact that was dialled, or the one that has dialled us: nodes have one socket for both.
func (m *Mesh) contactOf(e SessionUp) *contact {
	if e.Contact >= 0 && e.Contact < len(m.contacts) {
		return m.contacts[e.Contact]
	}
	for _, c := range m.contacts {
		if c.node != nil && *c.node == e.Peer || c.node == nil && (c.addr == e.Addr || c.key != nil && *c.key == e.Peer) {
			return c
		}
	}
	return nil
}

// unbind takes in that the session with a contact has ended.
func (m *Mesh) unbind(p *peer, err error) {
	if c := p.contact; c != nil && c.session == p.id {
		c.lost = m.now
		c.rtt = p.rtt
		if !c.strange() || c.source {
			m.parted = m.now
		}
		m.pause(c, err)
	}
}

// hurries reports whether nobody that we have was of use a moment ago.
func (m *Mesh) hurries() bool {
	return m.run != nil && !m.run.hurried.IsZero() && m.now.Sub(m.run.hurried) < time.Second
}

// hurry dials all of the link now that nobody has talked to for a while, and two others: nothing comes from those we have.
func (m *Mesh) hurry() {
	strangers := 2
	for _, c := range m.contacts {
		if c.state != pausing || !m.now.After(c.shunned) || errors.Is(c.err, &quicwire.Error{Code: quicwire.CodeSelf}) {
			continue
		}
		if c.strange() {
			if strangers--; strangers < 0 {
				continue
			}
		}
		c.next = m.now
	}
}

// mostPeers returns how many sessions are kept. Each costs a kilobyte a second or so, whatever the stream: a thin one has fewer.
func (m *Mesh) mostPeers() int {
	switch {
	case m.cfg.Role == quicwire.Relay:
		return m.cfg.MaxPeers
	case m.publisher():
		return min(m.cfg.MaxPeers, leastPeers+int(float64(m.cfg.MaxPeers-leastPeers)*min(1, m.streamRate()/wideStream)))
	}
	return min(m.cfg.MaxPeers, peersTimes*m.degree())
}

// prune ends sessions that are of no use when there are too many: the ones farthest away first. Newcomers get some time.
func (m *Mesh) prune() {
	most := m.mostPeers()
	for m.staying() > most {
		p := m.useless()
		if p == nil {
			return
		}
		m.close(p, quicwire.CodeBusy, "there are better neighbours for both of us")
	}
}

// pruneAfter is how long a newcomer is kept in any case: it needs our word of others first.
const pruneAfter = 2 * time.Second

// useless returns a peer from whom and to whom nothing flows; nil if there is none.
func (m *Mesh) useless() (worst *peer) {
	for _, p := range m.peers {
		if !p.leaving.IsZero() || m.now.Sub(p.since) < pruneAfter || !p.served.IsZero() || m.serves(p) || m.pinned(p) || m.publisher() && p.dialled {
			continue
		}
		if worst == nil || p.rtt > worst.rtt {
			worst = p
		}
	}
	return worst
}
