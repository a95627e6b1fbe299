package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"tailcast/swarm/simulate"
)

// A scenario is a Config under a name.
type scenario struct {
	name   string
	what   string
	target string // what we want at 1,000 viewers
	config simulate.Config
}

const (
	usual   = "egress 2.25, 400/900 ms, 0.001 %"
	hostile = "egress 2.30, 0.1 %"
)

// scenarios are all there are. What a Config leaves out is as common: a stream of 4 Mbit/s in 16 stripes, uplinks of which two of five are
// half and two of five twice the stream, 1 % loss, one downlink in five barely wide enough, one viewer in five behind a NAT.
var scenarios = []scenario{
	{"std", "a usual evening", usual, simulate.Config{}},
	{"ideal", "no loss, no thin downlinks, no NATs, nobody leaves", usual, simulate.Config{Thin: -1, NAT: -1, Loss: -1, Session: -1}},
	{"guess", "nobody knows his uplink", usual, simulate.Config{Guess: true}},
	{"copies1", "the source sends one copy", "egress 1.25", simulate.Config{Copies: 1}},
	{"vbr", "pictures of an encoder: eight times as large where a segment begins", usual, simulate.Config{Stream: simulate.Stream{Frames: 30}}},
	{"radio", "96 kbit/s, from an uplink of 2 Mbit/s", "control 10 %", simulate.Config{Mix: simulate.Radio, Thin: -1, Uplink: 20, Stream: simulate.Stream{Rate: 96e3, Block: 2400}}},
	{"1m", "1 Mbit/s in blocks of 6 KiB", "control 4.5 %", simulate.Config{Stream: simulate.Stream{Rate: 1e6, Block: 6 << 10}}},
	{"1m-wide", "likewise, where no downlink is narrow", "control 4.5 %", simulate.Config{Thin: -1, Stream: simulate.Stream{Rate: 1e6, Block: 6 << 10}}},
	{"10m", "10 Mbit/s", "control 3 %", simulate.Config{Stream: simulate.Stream{Rate: 10e6}}},
	{"25m", "25 Mbit/s", "control 3 %", simulate.Config{Stream: simulate.Stream{Rate: 25e6}}},

	{"lean", "uplinks of 1.2 streams on average", "egress 2.25", simulate.Config{Mix: simulate.Lean}},
	{"tight", "of 1.05: less than the wire needs", "-", simulate.Config{Mix: simulate.Tight}},
	{"poor-relays", "of 0.9, and six relays of 100", "egress 2.25, 400/900 ms", simulate.Config{Mix: simulate.Poor, Relays: 6, RelayUp: 100}},
	{"homo", "each of 1.25", "egress 2.25", simulate.Config{Mix: simulate.Homo}},
	{"noup60", "three of five upload nothing, all together 1.3", "egress 2.25", simulate.Config{Mix: simulate.NoUp60}},
	{"noup60x-relays", "likewise 0.86, and three relays of 100", "egress 2.25", simulate.Config{Mix: simulate.NoUp60x, Relays: 3, RelayUp: 100}},
	{"nat50", "half of the viewers cannot be dialled", usual, simulate.Config{NAT: 0.5}},
	{"churn", "viewers stay for a minute on average", "0.001 %", simulate.Config{Session: time.Minute}},

	{"crash", "30 % vanish at once", "worst second 0.5 %", simulate.Config{Crash: 0.3}},
	{"flash", "from 20 to all in 30 s", "start 1 s", simulate.Config{
		Early: 20, JoinAt: 15 * time.Second, JoinFor: 30 * time.Second, Warm: 15 * time.Second, Duration: time.Minute,
	}},
	{"restart", "the source goes, and is back after 2 s", "0.2 % from the second second on", simulate.Config{RestartAt: 24 * time.Second, Duration: 44 * time.Second}},
	{"kill", "the source is killed, and back after 2 s", "0.2 % from the second second on", simulate.Config{RestartAt: 24 * time.Second, Killed: true, Duration: 44 * time.Second}},

	{"liars", "one in ten claims everything and pushes nothing", hostile, simulate.Config{Attack: simulate.Liar, Hostile: 0.1}},
	{"withholders", "one in ten holds one stripe back", hostile, simulate.Config{Attack: simulate.Withholder, Hostile: 0.1}},
	{"slow", "one in ten pushes 490 ms late", hostile, simulate.Config{Attack: simulate.Slow, Hostile: 0.1}},
	{"leaky", "one in ten drops 9 %", hostile, simulate.Config{Attack: simulate.Leaky, Hostile: 0.1}},
	{"refusers", "one in ten refuses everything", hostile, simulate.Config{Attack: simulate.Refuser, Hostile: 0.1}},
	{"polluters", "one in ten pushes what does not verify", hostile, simulate.Config{Attack: simulate.Polluter, Hostile: 0.1}},
	{"replayers", "one in ten shows yesterday", hostile, simulate.Config{Attack: simulate.Replayer, Hostile: 0.1}},
	{"flooders", "one in ten asks for everything", hostile, simulate.Config{Attack: simulate.Flooder, Hostile: 0.1}},
	{"eclipse", "one in five lies and tells of its own kind only", hostile, simulate.Config{Attack: simulate.Eclipse, Hostile: 0.2}},
	{"sybils", "one in five, likewise, in four subnets", hostile, simulate.Config{Attack: simulate.Sybil, Hostile: 0.2}},
	{"sleepers", "one in ten turns liar at 24 s", hostile, simulate.Config{Attack: simulate.Liar, Hostile: 0.1, AttackFrom: 24 * time.Second}},
	{"squat-early", "eight take the source's places before others come", "0.01 %", simulate.Config{Attack: simulate.Squatter, Attackers: 8}},
	{"squat-late", "eight at 22 s", "0.01 %", simulate.Config{Attack: simulate.Squatter, Attackers: 8, AttackersAt: 22 * time.Second}},
	{"third", "one in three lies; three pinned relays of 20", "1 %", simulate.Config{
		Attack: simulate.Liar, Hostile: 0.33, Relays: 3, RelayUp: 20, Pinned: true,
	}},
}

func find(name string) *scenario {
	for i := range scenarios {
		if scenarios[i].name == name {
			return &scenarios[i]
		}
	}
	return nil
}

func list() {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i := range scenarios {
		fmt.Fprintf(t, "%s\t%s\n", scenarios[i].name, scenarios[i].what)
	}
	t.Flush()
}

// A row is a scenario with so many viewers, played with some seeds.
type row struct {
	*scenario
	viewers int
	seeds   int
}

// wants returns the target of a row.
func (r *row) wants() string {
	if r.target != usual {
		return r.target
	}
	switch {
	case r.viewers <= 100:
		return "egress 2.25, 250/500 ms, 0.001 %"
	case r.viewers <= 1000:
		return usual
	}
	return "egress 2.25, 600/1200 ms, 0.001 %"
}

// table returns the rows of make sim.
func table() (rows []row) {
	for _, n := range []int{10, 100, 1000} {
		rows = append(rows, row{find("std"), n, 5})
	}
	rows = append(rows, row{find("std"), 10_000, 1})
	for i := range scenarios {
		if s := &scenarios[i]; s.name != "std" {
			rows = append(rows, row{s, 1000, 1})
		}
	}
	for i := range rows {
		if name := rows[i].name; name == "crash" || name == "flash" {
			rows[i].seeds = 3
		}
	}
	return rows
}
