package simulate

import (
	"time"

	"tailcast/swarm"
)

// A Policy decides for one node, as swarm.Mesh does.
type Policy interface {
	Handle(e swarm.Event, now time.Time) []swarm.Action
	Next() time.Time
}

// A Config is a scenario. What is zero is as common.
type Config struct {
	Seed    uint64
	Viewers int // If zero, 100
	Stream  Stream

	Duration time.Duration // If zero, 28 s after all have come
	Warm     time.Duration // what comes before it is not measured. If zero, until 12 s after all have come

	// Who watches.
	Mix     Mix           // of uplinks
	Early   int           // viewers that come in the first three seconds. The others follow from JoinAt on
	JoinAt  time.Duration // If zero, at once
	JoinFor time.Duration // over how long they come. If zero, 8 s, and so long that 125 come in a second at most
	Session time.Duration // how long they stay on average; who leaves is replaced. If zero, 10 minutes; below zero, for ever
	Silent  float64       // share of leavers that say nothing. If zero, half; below zero, none
	Thin    float64       // share with a downlink of 1.3 times the stream. If zero, one in five; below zero, none
	NAT     float64       // share that nobody can dial. If zero, one in five; below zero, none
	Guess   bool          // uplinks are not known from earlier runs
	Anchors int           // long-lived viewers that the link names besides the source. If zero, 3; below zero, none

	// Who else is there.
	Copies  int     // the source's children in each stripe. If zero, 2
	Uplink  float64 // of the source, times the stream. If zero, 4
	Relays  int
	RelayUp float64 // their uplink, times the stream. If zero, 20
	Pinned  bool    // they are the operator's

	// Who is against it.
	Attack      Attack
	Hostile     float64       // share of viewers that are
	Attackers   int           // so many more
	AttackersAt time.Duration // when these come
	AttackFrom  time.Duration // all are honest before

	// What happens.
	Crash     float64       // share of the viewers that vanish at once, silently
	CrashAt   time.Duration // If zero, 4 s after Warm
	RestartAt time.Duration // of the source; if zero, it does not
	Killed    bool          // the restarting source says nothing
	Down      time.Duration // how long it takes. If zero, 2 s

	Loss float64 // of packets. If zero, 1 %; below zero, none

	// New makes a node's policy. If nil, a swarm.Mesh.
	New func(NodeConfig) Policy
}

// orElse returns v, or what stands for zero; below zero stands for none.
func orElse[T ~int | ~int64 | ~float64](v, usual T) T {
	switch {
	case v == 0:
		return usual
	case v < 0:
		return 0
	}
	return v
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	c.Viewers = orElse(c.Viewers, 100)
	c.Stream = c.Stream.withDefaults()
	if c.Mix == "" {
		c.Mix = Std
	}
	come := max(8*time.Second, time.Duration(float64(c.Viewers)/mostJoins*float64(time.Second)))
	c.Duration = orElse(c.Duration, come+28*time.Second)
	c.Warm = orElse(c.Warm, come+12*time.Second)
	c.JoinFor = orElse(c.JoinFor, come)
	c.Session = orElse(c.Session, 10*time.Minute)
	c.Silent = orElse(c.Silent, 0.5)
	c.Thin = orElse(c.Thin, 0.2)
	c.NAT = orElse(c.NAT, 0.2)
	c.Anchors = orElse(c.Anchors, 3)
	c.Copies = orElse(c.Copies, 2)
	c.Uplink = orElse(c.Uplink, 4)
	c.RelayUp = orElse(c.RelayUp, 20)
	c.CrashAt = orElse(c.CrashAt, c.Warm+4*time.Second)
	c.Down = orElse(c.Down, 2*time.Second)
	c.Loss = orElse(c.Loss, 0.01)
	if c.New == nil {
		c.New = func(n NodeConfig) Policy { return newMesh(n) }
	}
	return c
}

// mostJoins is how many come in a second at most: each of them dials all that the link names, and a handshake takes five kilobytes of these.
// Ten thousand within eight seconds keep the uplinks of a source and three viewers full with handshakes, and nobody gets in.
const mostJoins = 125

// A Stream is what the source signs.
type Stream struct {
	Rate    float64 // bits of payload per second. If zero, 4 Mbit/s
	Block   int     // bytes of payload. If zero, 8 KiB
	Stripes int     // If zero, as docs/swarm.md has it for the rate
	Frames  float64 // pictures a second, each ending a block. If zero, blocks come evenly
	Peak    float64 // size of the picture that begins a segment, times the others. If zero, 8
}

func (s Stream) withDefaults() Stream {
	s.Rate = orElse(s.Rate, 4e6)
	s.Block = orElse(s.Block, 8<<10)
	s.Peak = orElse(s.Peak, 8)
	if s.Stripes == 0 {
		s.Stripes = stripesFor(s.Rate)
	}
	return s
}

// stripesFor is the table of docs/swarm.md.
func stripesFor(rate float64) int {
	switch {
	case rate <= 0.4e6:
		return 1
	case rate <= 3.5e6:
		return 8
	case rate <= 16e6:
		return 16
	}
	return 32
}
