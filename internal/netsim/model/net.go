package model

import (
	"math"
	"math/rand/v2"
	"time"
)

// A Config says how the network between the access links is. Its zero value loses nothing.
type Config struct {
	Loss   float64       // share of packets that are lost, each by itself
	Buffer time.Duration // how much waits before a downlink at most; more is dropped. If zero, 300 ms
	Seed   uint64
}

// A Net is hosts and connections between them.
type Net struct {
	cfg   Config
	rand  *rand.Rand
	hosts []Host
	dead  []bool // by host
	conns []*Conn
	whole [64]float64 // how likely all of so many packets arrive
}

// New returns a Net without hosts.
func New(cfg Config) *Net {
	if cfg.Buffer == 0 {
		cfg.Buffer = 300 * time.Millisecond
	}
	n := &Net{cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 3))}
	for i := range n.whole {
		n.whole[i] = math.Pow(1-cfg.Loss, float64(i))
	}
	return n
}

// Add adds a host, and returns its number: 0, 1, ...
func (n *Net) Add(h Host) int32 {
	n.hosts = append(n.hosts, h)
	n.dead = append(n.dead, false)
	return int32(len(n.hosts) - 1)
}

// Host returns a host. The pointer is good until the next Add.
func (n *Net) Host(i int32) *Host { return &n.hosts[i] }

// Kill lets a host fall silent: what it was about to send is gone, and nothing that reaches it is answered.
func (n *Net) Kill(i int32) {
	n.dead[i] = true
	n.hosts[i].up = uplink{}
}

// Revive lets a host that was killed take part again, with nothing of before.
func (n *Net) Revive(i int32) { n.dead[i] = false }

// Dead reports whether a host was killed.
func (n *Net) Dead(i int32) bool { return n.dead[i] }

// RTT returns the round trip between two hosts without any queue.
func (n *Net) RTT(a, b int32) time.Duration { return 2 * owd(&n.hosts[a], &n.hosts[b]) }

// Bytes on the wire of a handshake: QUIC's, certificates, link proofs, HELLO with notes.
const (
	handshakeDialler  = 2400
	handshakeAcceptor = 2600
	firstPacket       = 1228 // the smallest packet that QUIC begins with
	firstTimeout      = 200 * time.Millisecond
)

// A Greeting says when a handshake is over.
type Greeting struct {
	Asked time.Duration    // when the first packet reaches the acceptor
	Up    [2]time.Duration // when the dialler (0) and the acceptor (1) have a session
}

// Dial lets a host dial another. It returns false if nobody answers.
func (n *Net) Dial(from, to int32, now time.Duration) (g Greeting, ok bool) {
	a, b := &n.hosts[from], &n.hosts[to]
	a.remember(to, now)
	if n.dead[to] || !b.open(from, now) {
		a.Sent[Handshake] += 4 * firstPacket // it tries again, at longer and longer intervals
		return g, false
	}
	way := owd(a, b)
	a.Sent[Handshake] += handshakeDialler
	b.Sent[Handshake] += handshakeAcceptor
	a.Received += handshakeAcceptor
	b.Received += handshakeDialler
	b.remember(from, now)
	first := a.message(now, firstPacket) + way
	for n.rand.Float64() < 3*n.cfg.Loss { // one of three flights that all depends on
		first += firstTimeout
	}
	b.up.settle(now)
	b.up.debt += takes(handshakeAcceptor, b.Up)
	g.Asked = first
	g.Up[0] = first + 3*way + takes(handshakeAcceptor, b.Up)
	g.Up[1] = g.Up[0] + way
	return g, true
}

// Refuse takes back what Dial counted beyond the first packet and the answer: the acceptor has no place.
func (n *Net) Refuse(from, to int32) {
	a, b := &n.hosts[from], &n.hosts[to]
	const answer = 100
	a.Sent[Handshake] += firstPacket - handshakeDialler
	b.Sent[Handshake] += answer - handshakeAcceptor
	b.Received += firstPacket - handshakeDialler
	a.Received += answer - handshakeAcceptor
}

// Connect makes a connection, and returns its number: 0, 1, ...
func (n *Net) Connect(dialler, acceptor int32) int32 {
	rtt := n.RTT(dialler, acceptor)
	n.conns = append(n.conns, &Conn{
		Ends: [2]int32{dialler, acceptor}, base: rtt, dirs: [2]direction{newDirection(rtt), newDirection(rtt)},
	})
	return int32(len(n.conns) - 1)
}

// Close forgets a connection. Blocks of it that wait for an uplink must have been dropped.
func (n *Net) Close(conn int32) { n.conns[conn] = nil }

// ConnRTT returns the round trip as the sender at an end of a connection measures it: smoothed, with the queues before both downlinks.
func (n *Net) ConnRTT(conn int32, end uint8) time.Duration { return n.conns[conn].dirs[end].srtt }

// rtt returns the round trip of a connection right now.
func (n *Net) rtt(c *Conn, now time.Duration) time.Duration {
	return c.base + n.hosts[c.Ends[0]].queued(now) + n.hosts[c.Ends[1]].queued(now)
}

// measure takes in a round trip.
func (d *direction) measure(rtt time.Duration) { d.srtt += (rtt - d.srtt) / 8 }

// losses draws how many of so many packets are lost.
func (n *Net) losses(packets int) (lost int) {
	if n.cfg.Loss == 0 || packets < len(n.whole) && n.rand.Float64() < n.whole[packets] {
		return 0
	}
	lost = 1
	for range packets - 1 {
		if n.rand.Float64() < n.cfg.Loss {
			lost++
		}
	}
	return lost
}

// repaired draws how long the last of some lost packets of a block comes late. Later packets show that one is missing; if none follow, a
// timer does.
func (n *Net) repaired(lost, packets int, rtt time.Duration) time.Duration {
	late := rtt + rtt/8
	if n.rand.Float64()*float64(packets) < float64(lost) {
		late = rtt + rtt/2 + ackDelay
	}
	for n.rand.Float64() < n.cfg.Loss*float64(lost) { // again
		late += 2*rtt + ackDelay
	}
	return late
}
