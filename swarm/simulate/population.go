package simulate

import (
	"slices"
	"time"

	"tailcast/feed"
)

// A Mix says which uplinks viewers have, times the stream's payload rate. Zero is no upload at all.
type Mix string

// The mixes. What all uplinks together carry, per viewer and in streams, is in the comment.
const (
	Std     Mix = "std"     // 2.0
	Lean    Mix = "lean"    // 1.2
	Tight   Mix = "tight"   // 1.05
	Poor    Mix = "poor"    // 0.9
	Homo    Mix = "homo"    // 1.25, all alike
	NoUp60  Mix = "noup60"  // 1.3, of two in five
	NoUp60x Mix = "noup60x" // 0.86, of two in five
	Radio   Mix = "radio"   // 10: against 96 kbit/s even a thin uplink is wide
)

// A part is a share of the viewers, and their uplink.
type part struct{ share, uplink float64 }

var mixes = map[Mix][]part{
	Std:     {{.1, 0}, {.4, .5}, {.4, 2}, {.1, 10}},
	Lean:    {{.3, 0}, {.4, .5}, {.25, 2}, {.05, 10}},
	Tight:   {{.34, 0}, {.4, .5}, {.22, 2}, {.04, 10.25}},
	Poor:    {{.45, 0}, {.33, .5}, {.18, 2}, {.0375, 10}},
	Homo:    {{1, 1.25}},
	NoUp60:  {{.6, 0}, {.2, 1}, {.15, 4}, {.05, 10}},
	NoUp60x: {{.6, 0}, {.12, .5}, {.25, 2}, {.03, 10}},
	Radio:   {{.2, 0}, {.4, 5}, {.4, 20}},
}

// Sigma returns what all uplinks of a mix carry, per viewer and in streams.
func (m Mix) Sigma() (sum float64) {
	for _, p := range mixes[m] {
		sum += p.share * p.uplink
	}
	return sum
}

// draw draws an uplink.
func (w *World) draw(m Mix) float64 {
	parts, r := mixes[m], w.rand.Float64()
	for _, p := range parts {
		if r < p.share {
			return p.uplink
		}
		r -= p.share
	}
	return parts[len(parts)-1].uplink
}

const (
	thinDown  = 1.3 // times the stream
	usualDown = 4
	fastDown  = 100
	ackUp     = 0.25 // what those who do not upload have for acknowledgements
	leastUp   = 300e3
	leastDown = 1e6
	anchorUp  = 1e6 // and no less than two streams: a link names nobody who has less
)

// newcomer draws a viewer.
func (w *World) newcomer() person {
	rate := w.cfg.Stream.Rate
	up := w.draw(w.cfg.Mix)
	p := person{up: up * rate, down: usualDown * rate, noUpload: up == 0, nat: w.rand.Float64() < w.cfg.NAT}
	p.up = max(p.up, ackUp*rate, leastUp)
	if w.rand.Float64() < w.cfg.Thin {
		p.down = thinDown * rate
	}
	p.down = max(p.down, leastDown)
	if w.rand.Float64() < w.cfg.Hostile {
		w.makeHostile(&p)
	}
	return p
}

// populate brings the source, and plans what else will happen.
func (w *World) populate() {
	rate := w.cfg.Stream.Rate
	source := w.make(person{kind: sourceNode, up: w.cfg.Uplink * rate, down: fastDown * rate})
	var first []*node
	for range w.cfg.Relays {
		first = append(first, w.make(person{kind: relayNode, up: w.cfg.RelayUp * rate, down: fastDown * rate}))
	}
	w.anchors = append(w.anchors, source.index)
	for range w.cfg.Anchors {
		n := w.make(person{kind: anchorNode, up: max(2*rate, anchorUp), down: max(usualDown*rate, leastDown)})
		w.anchors = append(w.anchors, n.index)
		first = append(first, n)
	}
	w.begin(source)
	w.air(source, false)
	if w.cfg.Attack == Replayer {
		w.yesterday()
	}
	for _, n := range first {
		w.begin(n)
	}
	w.plan()
}

// plan plans who comes when, and what happens to all.
func (w *World) plan() {
	c := &w.cfg
	for i := range c.Viewers - c.Anchors {
		at := c.JoinAt + c.JoinFor*time.Duration(i)/time.Duration(c.Viewers)
		if i < c.Early {
			at = 3 * time.Second * time.Duration(i) / time.Duration(c.Early)
		}
		w.queue.Add(at, event{kind: evJoin})
	}
	for i := range c.Attackers {
		w.queue.Add(c.AttackersAt+time.Duration(i)*20*time.Millisecond, event{kind: evJoin, ref: 1})
	}
	if c.Crash > 0 {
		w.queue.Add(c.CrashAt, event{kind: evCrash})
	}
	if c.RestartAt > 0 {
		w.queue.Add(c.RestartAt, event{kind: evRestart})
	}
	w.queue.Add(time.Second, event{kind: evSecond})
}

// comes lets a viewer come, or an attacker.
func (w *World) comes(e event) {
	p := w.newcomer()
	if e.ref == 1 {
		w.makeHostile(&p)
	}
	w.join(p)
}

// schedule draws how long a node stays, and how it goes.
func (w *World) schedule(n *node) {
	n.gentle = w.rand.Float64() >= w.cfg.Silent
	stays := time.Duration(w.rand.ExpFloat64() * float64(w.cfg.Session))
	n.crash = w.rand.Float64() < w.cfg.Crash
	if n.kind != viewerNode && n.kind != hostileNode {
		return
	}
	if w.cfg.Session > 0 {
		n.ends = w.now() + stays
	}
	if n.crash && n.kind == viewerNode && n.joined < w.cfg.CrashAt && w.cfg.CrashAt < n.ends {
		n.ends, n.gentle = w.cfg.CrashAt, false
		return // with the others
	}
	if n.ends < w.cfg.Duration {
		w.queue.Add(n.ends, event{kind: evLeave, node: n.index, ref: n.life + 1})
	}
}

// replace lets another viewer come for one who has gone.
func (w *World) replace(gone *node) {
	switch gone.kind {
	case viewerNode:
		w.join(w.newcomer())
	case hostileNode:
		p := w.newcomer()
		w.makeHostile(&p)
		w.join(p)
	}
}

// crash lets many vanish at once.
func (w *World) crash() {
	for _, n := range w.nodes {
		if n.alive && n.crash && n.ends == w.now() {
			w.kill(n)
		}
	}
}

// source returns the node that signs the newest epoch.
func (w *World) source() *node { return w.nodes[w.anchors[0]] }

// restart lets the source go.
func (w *World) restart() {
	n := w.source()
	n.signs.over = true
	w.later(w.cfg.Down, event{kind: evReturn})
	if w.cfg.Killed {
		w.kill(n)
		return
	}
	w.sayBye(n)
}

// comeBack lets the source begin another epoch.
func (w *World) comeBack() {
	n := w.source()
	w.net.Revive(n.index)
	w.begin(n)
	w.air(n, false)
}

// pinned returns the relays as the operator names them.
func (w *World) pinned() []feed.Anchor {
	var list []int32
	for _, n := range w.nodes {
		if n.kind == relayNode {
			list = append(list, n.index)
		}
	}
	return w.anchorsOf(list)
}

// alive returns the nodes of some kinds that are there.
func (w *World) alive(kinds ...nodeKind) (list []*node) {
	for _, n := range w.nodes[1:] {
		if n.alive && slices.Contains(kinds, n.kind) {
			list = append(list, n)
		}
	}
	return list
}
