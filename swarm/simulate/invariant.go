package simulate

import (
	"time"

	"tailcast/quicwire"
)

// A Violation is an invariant of the swarm that does not hold.
type Violation string

// The invariants: docs/swarm.md has them, too.
const (
	egress    Violation = "the source sends more than its copies and a quarter"
	notHeld   Violation = "a block is passed on that is not verified here"
	circle    Violation = "a stripe goes round in a circle for over two seconds"
	overfull  Violation = "more stripes are pushed than there are places, for over two seconds"
	backlog   Violation = "a push waits for over a second"
	received  Violation = "a viewer receives over 1.05 times the stream"
	requested Violation = "over one block in a hundred is asked for"
	detached  Violation = "a stripe has no parent for over two seconds"
	noUpload  Violation = "one that uploads nothing pushes"
)

// A Breach says how often an invariant did not hold, and how badly.
type Breach struct {
	Count int
	Worst float64
	nodes map[int32]bool
}

// Nodes returns how many nodes are concerned.
func (b *Breach) Nodes() int { return len(b.nodes) }

// violate notes a violation by a node.
func (m *measure) violate(v Violation, n *node) { m.violateBy(v, n, 1) }

// violateBy notes how bad it is.
func (m *measure) violateBy(v Violation, n *node, worst float64) {
	if n.kind == hostileNode {
		return
	}
	b := m.violations[v]
	if b == nil {
		b = &Breach{nodes: make(map[int32]bool)}
		m.violations[v] = b
	}
	b.Count++
	b.nodes[n.index] = true
	b.Worst = max(b.Worst, worst)
}

// Bounds of the invariants.
const (
	maxDetached = 2 * time.Second
	maxOver     = 2 * time.Second
	maxCircle   = 2 * time.Second
	maxBacklog  = time.Second
	maxReceived = 1.05
	maxAsked    = 0.01
	overCopies  = 0.25
)

// circle looks at a node that has been on a circle for so long.
func (m *measure) circle(w *World, n *node, since time.Duration) {
	if since >= maxCircle {
		m.violateBy(circle, n, since.Seconds())
	}
}

// attached looks at a stripe that had no parent for so long.
func (m *measure) attached(w *World, n *node, after time.Duration) {
	if !m.counting || !n.viewer() {
		return
	}
	m.orphan = append(m.orphan, after)
	if after > maxDetached {
		m.violateBy(detached, n, after.Seconds())
	}
}

// places looks for nodes that push more stripes than they have places, for long: an uplink may turn out to be less than was thought.
func (w *World) places() {
	for _, n := range w.nodes[1:] {
		f, ok := n.policy.(figures)
		if !ok || !n.alive {
			continue
		}
		_, slots, used := f.Figures()
		switch {
		case used <= slots:
			n.seen.over = 0
		case n.seen.over == 0:
			n.seen.over = w.now()
		case w.now()-n.seen.over >= maxOver && w.measure.counting:
			w.measure.violateBy(overfull, n, float64(used)/float64(max(slots, 1)))
		}
	}
}

// status looks at what a node says of itself.
func (m *measure) status(w *World, n *node, x *quicwire.Status) {
	if m.counting && x.Backlog > maxBacklog {
		m.violateBy(backlog, n, x.Backlog.Seconds())
	}
}

// judge looks at a viewer that goes, or when the run ends.
func (m *measure) judge(w *World, n *node) {
	if n.joined >= m.from || n.ends < w.cfg.Duration || m.payload == 0 {
		return
	}
	if share := float64(n.seen.bytes) / float64(m.payload); share > maxReceived {
		m.violateBy(received, n, share)
	}
	for i, at := range n.seen.feeding.lost {
		if at > 0 && w.now()-at > maxDetached {
			m.violateBy(detached, n, (w.now() - n.seen.feeding.lost[i]).Seconds())
		}
	}
}
