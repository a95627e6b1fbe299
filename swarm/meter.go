package swarm

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

const (
	snapshotEvery = 200 * time.Millisecond
	rateEvery     = time.Second
	lagWindow     = 10 * time.Second
	maxLags       = 4096
)

// A meter makes the Status. It is owned by loop.
type meter struct {
	lags      lags
	gone      totals // of sessions that have ended
	next      time.Time
	nextRates time.Time
	p50, p99  time.Duration
}

// totals are what sessions carried.
type totals struct {
	sent, received         quicwire.Bytes
	wireSent, wireReceived uint64
	packets                uint64 // sent
}

func (t *totals) add(s quicwire.Stats) {
	addBytes(&t.sent, s.Sent)
	addBytes(&t.received, s.Received)
	t.wireSent += s.WireSent
	t.wireReceived += s.WireReceived
	t.packets += s.PacketsSent
}

func addBytes(sum *quicwire.Bytes, b quicwire.Bytes) {
	sum.Media += b.Media
	sum.Proofs += b.Proofs
	sum.Control += b.Control
	sum.Repair += b.Repair
}

// rates are those of one session.
type rates struct {
	at             time.Time
	sent, received uint64
	blocks         uint64  // bytes of blocks sent
	up, down       float64 // bits per second, smoothed over some seconds
}

// update takes in the totals of a session. It reports whether the peer has taken blocks.
func (r *rates) update(now time.Time, s quicwire.Stats) (fed bool) {
	if dt := now.Sub(r.at).Seconds(); !r.at.IsZero() && dt > 0 {
		r.up += (8*float64(s.WireSent-r.sent)/dt - r.up) / 2
		r.down += (8*float64(s.WireReceived-r.received)/dt - r.down) / 2
	}
	blocks := s.Sent.Media + s.Sent.Repair
	fed = blocks != r.blocks
	r.at, r.sent, r.received, r.blocks = now, s.WireSent, s.WireReceived, blocks
	return fed
}

// ended keeps the totals of a session that has ended.
func (m *meter) ended(x *session) {
	if x != nil {
		m.gone.add(x.wire.Stats())
	}
}

// udpHeaders are the bytes of IPv4 and UDP headers that each packet has on the wire.
const udpHeaders = 28

// sum is what all sessions have carried.
func (m *meter) sum(s *Swarm) totals {
	sum := m.gone
	for _, x := range s.sessions {
		sum.add(x.wire.Stats())
	}
	return sum
}

// traffic is what Mesh should know of sum.
func (m *meter) traffic(s *Swarm) Traffic {
	sum, now := m.sum(s), s.cfg.Now()
	for _, x := range s.sessions {
		if n := x.wire.Stats().WireReceived; n != x.bytes {
			x.bytes, x.heard = n, now
		}
	}
	return Traffic{Sent: sum.wireSent + udpHeaders*sum.packets, Received: sum.wireReceived}
}

// tick replaces the snapshot if it is due.
func (m *meter) tick(s *Swarm) {
	now := time.Now()
	if now.Before(m.next) {
		return
	}
	m.next = now.Add(snapshotEvery)
	if !now.Before(m.nextRates) {
		m.nextRates = now.Add(rateEvery)
		m.p50, m.p99 = m.lags.percentiles(s.cfg.Now())
		for _, x := range s.sessions {
			if x.rates.update(now, x.wire.Stats()) {
				s.handle(Fed{x.id})
			}
		}
	}
	s.snapshot.Store(s.status())
}

// status makes a snapshot. Called by loop, and by New before there is one.
func (s *Swarm) status() *Status {
	now := s.cfg.Now()
	st := s.mesh.status(now)
	for i := range st.Peers {
		x := s.sessions[st.Peers[i].session]
		if x == nil {
			continue
		}
		p := &st.Peers[i]
		p.Inbound, p.Up, p.Down, p.Sent = x.wire.Inbound(), x.rates.up, x.rates.down, x.wire.Stats().WireSent
		if !p.Inbound { // who comes by itself could come in numbers, only to set our clock
			st.Clocks = append(st.Clocks, feed.PeerClock{Subnet: subnet(x.wire.Addr()).String(), Offset: p.offset})
		}
	}
	sum := s.meter.sum(s)
	st.Sent, st.Received, st.WireSent, st.WireReceived = sum.sent, sum.received, sum.wireSent, sum.wireReceived
	st.PacketsSent = sum.packets
	st.LagP50, st.LagP99 = s.meter.p50, s.meter.p99
	return st
}

// last makes the snapshot that stays when all sessions have ended: what they have counted is complete.
func (s *Swarm) last() *Status {
	st := s.status()
	st.Peers, st.Clocks, st.Children, st.Used = nil, nil, 0, 0
	return st
}

// subnet returns the part of an address that one owner tends to hold: a /24, or a /48.
func subnet(a netip.AddrPort) netip.Prefix {
	bits := 48
	if a.Addr().Is4() {
		bits = 24
	}
	p, _ := a.Addr().Prefix(bits)
	return p
}

// status makes the part of a Status that Mesh knows.
func (m *Mesh) status(now time.Time) *Status {
	st := &Status{
		HighestEpoch: max(m.highest.Number, m.epoch.Number), Superseded: m.superseded, Blocks: m.blocks, Banned: m.banned,
		Uplink: uint64(8 * m.up.rate()), Measured: uint64(math.Round(8 * m.up.measured())), Slots: m.slots(), Used: m.used(), Known: m.good(), Skipped: m.skipped,
	}
	if m.own != nil {
		st.Epoch = m.own.epoch
	}
	st.State, st.Reason = m.State(now)
	if m.run != nil && !m.publisher() {
		st.Epoch, st.Ahead = m.run.epoch, m.ahead()
		for _, f := range m.run.media() {
			for i := range f.stripes {
				if s := &f.stripes[i]; s.parent == nil || s.dry {
					st.Missing++
				}
			}
		}
	}
	for _, p := range m.peers {
		if !p.served.IsZero() {
			st.Children++
		}
		st.Peers = append(st.Peers, m.peerStatus(p))
	}
	st.Notes, st.Heard, st.Stripes, st.Refused = m.remarks(), m.hearsay(), m.sources(), slices.Clone(m.refused)
	return st
}

// hearsayFor is how long somebody counts whom others named: a few rounds of PEX.
const hearsayFor = 10 * time.Minute

// hearsay counts the nodes that we have no session with and that somebody named lately.
func (m *Mesh) hearsay() (n int) {
	for _, c := range m.contacts {
		if c.strange() && c.state != connected && c.err == nil && m.now.Sub(c.heard) < hearsayFor {
			n++
		}
	}
	return n
}

// sources says where each stripe comes from.
func (m *Mesh) sources() (list []Stripe) {
	if m.run == nil || m.publisher() {
		return nil
	}
	for _, f := range m.run.media() {
		for i := range f.stripes {
			x, s := &f.stripes[i], Stripe{Log: f.log.Name, Number: i}
			if x.parent != nil {
				s.From, s.Hops, s.Flows = shortName(x.parent.key), len(x.path), !x.dry && f.flows(m.now)
			}
			list = append(list, s)
		}
	}
	return list
}

func (m *Mesh) peerStatus(p *peer) Peer {
	s := Peer{ID: shortName(p.key), Node: p.key, Addr: p.addr, Role: p.role, RTT: p.rtt, Lag: quicwire.NoLag, session: p.id, offset: p.offset, Blocks: p.blocks, Repairs: p.repairs}
	for _, c := range p.logs {
		if c.log.Epoch != m.epoch.ID || c.log.Name == feed.CatalogLog {
			continue
		}
		for _, lag := range c.lags {
			s.Lag = min(s.Lag, lag)
		}
	}
	m.eachChild(func(f *follow, _ uint8, c *child) {
		if c.peer == p {
			s.Stripes++
			if !f.catalog() {
				s.Fed++
			}
		}
	})
	if m.run == nil {
		return s
	}
	for _, f := range m.run.logs {
		for i := range f.stripes {
			if x := &f.stripes[i]; x.parent == p {
				s.Parent = true
				if !x.dry && f.flows(m.now) {
					s.Stripes++
				}
			}
		}
	}
	return s
}

// lags are those of the newest blocks: a ring.
type lags struct {
	list []lag
	at   int // next place
}

type lag struct {
	when time.Time
	lag  time.Duration
}

func (l *lags) add(now time.Time, d time.Duration) {
	if len(l.list) < maxLags {
		l.list = append(l.list, lag{now, d})
		return
	}
	l.list[l.at] = lag{now, d}
	l.at = (l.at + 1) % maxLags
}

// percentiles returns p50 and p99 of the last lagWindow; 0 if there is nothing.
func (l *lags) percentiles(now time.Time) (p50, p99 time.Duration) {
	recent := make([]time.Duration, 0, len(l.list))
	for _, x := range l.list {
		if now.Sub(x.when) <= lagWindow {
			recent = append(recent, x.lag)
		}
	}
	if len(recent) == 0 {
		return 0, 0
	}
	slices.Sort(recent)
	return recent[len(recent)/2], recent[int(math.Ceil(0.99*float64(len(recent))))-1]
}

// ages remembers for the newest blocks when they were signed, by our clock and as the hops before us count it (StripeBlock.Age).
type ages struct {
	mu   sync.Mutex // guards ring
	ring [1024]signed
}

type signed struct {
	log   *feed.Log
	index uint64
	at    time.Time
}

// note remembers when a block was signed.
func (a *ages) note(l *feed.Log, index uint64, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ring[index%uint64(len(a.ring))] = signed{l, index, at}
}

// of returns the age of a block. One that nobody sent us is our own, and our clock signed it; or it is so old that it does not matter.
func (a *ages) of(l *feed.Log, b *feed.Block, now time.Time) time.Duration {
	a.mu.Lock()
	s := a.ring[b.Index%uint64(len(a.ring))]
	a.mu.Unlock()
	if s.log == l && s.index == b.Index {
		return time.Since(s.at)
	}
	return max(0, now.Sub(time.UnixMicro(b.Record.Wall)))
}
