package swarm

import (
	"hash/fnv"
	"time"

	"tailcast/quicwire"
)

// Here a Mesh says to its peers how it does (STATUS) and whom it knows (PEX).

const (
	statusSlow    = 6 * time.Second // of a stream of a stripe or fewer: the slower the stream, the rarer
	statusMiddle  = 2500 * time.Millisecond
	statusFast    = time.Second
	statusSource  = 3 * time.Second        // by a source: with it nothing changes but the size
	beatsToSource = 3                      // a source hears every so many
	statusSoon    = 300 * time.Millisecond // after something changed
	relieveEvery  = 100 * time.Millisecond // to one peer
	starvesAfter  = 200 * time.Millisecond
	catalogBeats  = 3 // the head of the catalog goes with every so many
	pexEvery      = 30 * time.Second
	pexFirst      = 12 // records for a newcomer
	pexSource     = 6  // by a source, which has little to spare
	pexLater      = 2
	recordFor     = 40 * time.Minute
)

// statusEvery returns how often a STATUS is due.
func (m *Mesh) statusEvery() time.Duration {
	switch n := m.stripes(); {
	case m.publisher() && (n != 1 || m.streamRate() > 50_000):
		return statusSource
	case n == 0 || n > 8:
		return statusFast
	case n > 1:
		return statusMiddle
	}
	if m.streamRate() > 50_000 {
		return statusFast // few stripes, but no thin stream
	}
	return statusSlow
}

// beat sends statuses: on a slow beat, and soon after something has begun or ceased to flow, or places ran out or came free.
func (m *Mesh) beat() {
	digest := m.digest()
	soon := digest != m.said && m.now.Sub(m.lastStatus) >= statusSoon
	if m.now.Before(m.nextStatus) && !soon {
		m.relieve()
		return
	}
	every := m.statusEvery()
	m.said, m.lastStatus, m.nextStatus = digest, m.now, m.now.Add(every-every/10+time.Duration(m.rand.Int64N(int64(every/5))))
	m.beats++
	for _, p := range m.peers {
		if p.role != quicwire.Streamer || m.beats%beatsToSource == 0 {
			m.tell(p)
		}
	}
}

// relieve tells those that lack a stripe as soon as it flows here: where one has died of which many lived, they all wait for somebody to turn to,
// and nobody else need know at once.
func (m *Mesh) relieve() {
	for _, f := range m.told() {
		if f.run.ours || f.catalog() {
			continue
		}
		news := m.news(f)
		if news == 0 {
			continue
		}
		held, _ := m.cfg.Shelf.Look(f.log)
		for _, p := range m.peers {
			if c := p.claimOf(f.log); c.lacks(news) && p.leaving.IsZero() && m.now.Sub(p.relieved) >= relieveEvery {
				p.relieved = m.now
				m.send(p, m.statusOf(p, f, held))
			}
		}
	}
}

// news returns the stripes, as bits, that have begun to flow since it was last asked.
func (m *Mesh) news(f *follow) (bits uint32) {
	for i := range f.stripes {
		s := &f.stripes[i]
		_, flows := m.lagOf(f, uint8(i))
		if flows && !s.flowed {
			bits |= 1 << i
		}
		s.flowed = flows
	}
	return bits
}

// lacks reports whether one of some stripes does not flow there. Who has said nothing yet will hear of us in any case.
func (c *claim) lacks(bits uint32) bool {
	if c == nil {
		return false
	}
	for i, lag := range c.lags {
		if bits>>i&1 == 1 && lag == quicwire.NoLag {
			return true
		}
	}
	return false
}

// digest returns a number that changes when something does that neighbours should know at once.
func (m *Mesh) digest() uint64 {
	h := fnv.New64a()
	bit := func(b bool) {
		if b {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
	}
	for _, f := range m.told() {
		for i := range f.stripes {
			bit(m.starves(f, &f.stripes[i]))
		}
	}
	return h.Sum64()
}

// starves reports whether a stripe has not flowed for a while. What comes and goes is not worth a message to everybody.
func (m *Mesh) starves(f *follow, s *stripe) bool {
	return !f.run.ours && !f.ended && (s.parent == nil && m.now.Sub(s.lost) > starvesAfter || s.late > m.patience(f)+starvesAfter)
}

// told returns the logs whose status is of interest: those that we sign, or else follow.
func (m *Mesh) told() []*follow {
	if m.own != nil {
		return m.own.logs
	}
	return m.run.logsOr()
}

// tell sends p the status of all logs. The head itself goes with the first, and always with that of the catalog: by it parents are compared.
func (m *Mesh) tell(p *peer) {
	if !p.leaving.IsZero() {
		return
	}
	for _, f := range m.told() {
		held, ok := m.cfg.Shelf.Look(f.log)
		c := p.claimOf(f.log)
		if !ok || held.Head.Size == 0 || held.Stripes == 0 || f.catalog() && c != nil && c.told && m.beats%catalogBeats != 0 {
			continue
		}
		m.send(p, m.statusOf(p, f, held))
	}
}

func (m *Mesh) statusOf(p *peer, f *follow, held Holding) *quicwire.Status {
	x := &quicwire.Status{Log: f.log, Size: held.Head.Size, Base: held.Base, Slots: m.free(), Backlog: m.up.backlog(), Rate: p.burst}
	if m.cfg.NoShare {
		x.Slots = 0
	}
	copy(x.Prefix[:], held.Head.Root[:])
	c := p.claimFor(f.log)
	if !c.told || f.catalog() {
		x.Signed = &quicwire.SignedRoot{Root: held.Head.Root, Signature: held.Head.Signature}
		c.told = true
	}
	for i := range f.stripes {
		lag, flows := m.lagOf(f, uint8(i))
		if !flows {
			lag = quicwire.NoLag
		}
		x.Lags = append(x.Lags, lag)
		if f.stripes[i].home {
			x.Homes |= 1 << i
		}
	}
	return x
}

// introduce sends a new peer our own record, and others' if it has dialled us: it is new here.
func (m *Mesh) introduce(p *peer) {
	n := 0
	if !p.dialled {
		n = pexFirst
		if m.publisher() {
			n = pexSource
		}
	}
	p.owed = n - m.sendPex(p, n)
}

// pass tells those who came a moment ago, when we knew few others, of one whose record has just come: nodes that all start at once would
// else hear of each other half a minute later.
func (m *Mesh) pass(p *peer) {
	for _, q := range m.peers {
		if q != p && q.owed > 0 && m.now.Sub(q.since) < newcomer && q.leaving.IsZero() {
			q.owed--
			m.send(q, &quicwire.Pex{Peers: []quicwire.PeerRecord{*p.record}})
		}
	}
}

// gossip tells each peer now and then of some others.
func (m *Mesh) gossip() {
	if m.now.Before(m.nextPex) {
		return
	}
	first := m.nextPex.IsZero()
	m.nextPex = m.now.Add(pexEvery + time.Duration(m.rand.Int64N(int64(pexEvery/4))))
	if first {
		return
	}
	for _, p := range m.peers {
		if p.leaving.IsZero() {
			m.sendPex(p, pexLater)
		}
	}
}

// sendPex sends our own record, when the last is old, and up to n of others, at the addresses at which we see them. It returns how many of
// others it were.
func (m *Mesh) sendPex(p *peer, n int) (others int) {
	x := &quicwire.Pex{}
	if m.cfg.Sign != nil && !m.cfg.NoShare && p.seen.IsValid() && m.now.Sub(p.recorded) > recordFor/2 {
		p.recorded = m.now
		x.Peers = append(x.Peers, m.cfg.Sign(quicwire.PeerRecord{Addr: p.seen, Role: m.cfg.Role, Expires: m.now.Add(recordFor).Unix()}))
	}
	for _, k := range m.rand.Perm(len(m.peers)) {
		q := m.peers[k]
		if others >= n || len(x.Peers) >= quicwire.MaxPeers {
			break
		}
		if q != p && q.record != nil && q.leaving.IsZero() && !q.mute && q.record.Expires > m.now.Unix() && q.record.Addr == q.at {
			x.Peers = append(x.Peers, *q.record)
			others++
		}
	}
	if len(x.Peers) > 0 {
		m.send(p, x)
	}
	return others
}

// heardPex takes in whom p knows. All records are signed; that of p itself goes on to others.
func (m *Mesh) heardPex(p *peer, x *quicwire.Pex) {
	for k := range x.Peers {
		r := &x.Peers[k]
		if r.Node == p.key {
			first := p.record == nil && r.Addr == p.at
			if p.record = r; first {
				m.pass(p)
			}
			continue
		}
		m.learnAddr(Learned{Addr: r.Addr, Node: &r.Node, Origin: FromPeer, By: p.at.Addr()})
	}
	m.dial()
}

// contactsOf returns whom it may be good to meet again: those that have sent us blocks, by how many.
func (m *Mesh) good() (list []Contact) {
	for _, p := range m.peers {
		if p.leaving.IsZero() && p.at.IsValid() && p.received.rate > 0 {
			list = append(list, Contact{Addr: p.addr, Node: p.key, Role: p.role})
		}
	}
	return list
}
