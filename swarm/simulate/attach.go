package simulate

import (
	"math/bits"
	"time"

	"tailcast/quicwire"
)

// Here the World keeps account of who is fed by whom, as it really is: who was killed feeds nobody, whether or not his children have noticed.

// A feeding is what a node gets of the log that it watches.
type feeding struct {
	log     *log
	parents [quicwire.MaxStripes]int8          // so many promise to push a stripe
	parent  [quicwire.MaxStripes]side          // the latest of them
	lost    [quicwire.MaxStripes]time.Duration // since when nobody does; 0: never had one, or has one
}

// feed notes that a peer has promised to push a stripe to an end of a connection.
func (w *World) feed(c *conn, end uint8, l *log, stripe uint8) {
	n := w.nodes[c.nodes[end]]
	if c.fed[end].has(l, stripe) || !w.nodes[c.nodes[1-end]].alive {
		return
	}
	c.fed[end].add(l, stripe)
	if l != l.epoch.media || l.epoch != n.newest {
		return
	}
	f := &n.seen.feeding
	if f.log != l {
		*f = feeding{log: l}
	}
	if f.parents[stripe] > 0 {
		w.measure.switches++
	}
	if f.lost[stripe] > 0 {
		w.measure.attached(w, n, w.now()-f.lost[stripe])
		f.lost[stripe] = 0
	}
	f.parents[stripe]++
	f.parent[stripe] = n.sessions[c.ids[end]-1]
}

// unfeedStripe notes that a promise is over.
func (w *World) unfeedStripe(c *conn, end uint8, l *log, stripe uint8) {
	if !c.fed[end].has(l, stripe) {
		return
	}
	c.fed[end].drop(l, stripe)
	n := w.nodes[c.nodes[end]]
	f := &n.seen.feeding
	if f.log != l || !n.alive {
		return
	}
	f.parents[stripe]--
	if f.parents[stripe] == 0 {
		f.lost[stripe] = w.now()
		w.measure.orphans++
		return
	}
	for _, s := range n.open {
		if w.conns[s.conn].fed[s.end].has(l, stripe) {
			f.parent[stripe] = s
		}
	}
}

// unfeed notes that all promises to an end of a connection are over.
func (w *World) unfeed(c *conn, end uint8) {
	for k, set := range c.fed[end] {
		for ; set != 0; set &= set - 1 {
			stripe := uint8(bits.TrailingZeros32(set))
			for _, l := range w.logs {
				if l.number%len(c.fed[end]) == k {
					w.unfeedStripe(c, end, l, stripe)
				}
			}
		}
	}
}

// A place is a node in the tree of a stripe.
type place struct {
	node   int32
	stripe uint8
}

// circles looks for stripes that go round in a circle, and notes since when.
func (w *World) circles() {
	now := make(map[place]time.Duration)
	visited := make([]int32, len(w.nodes))
	for stripe := range uint8(w.cfg.Stream.Stripes) {
		clear(visited)
		for _, n := range w.nodes[1:] {
			w.climb(n, stripe, visited, now)
		}
	}
	w.circling = now
}

// climb goes up from a node to the source. Where it meets its own way, there is a circle.
func (w *World) climb(n *node, stripe uint8, visited []int32, found map[place]time.Duration) {
	start := n.index
	for n != nil && visited[n.index] == 0 {
		visited[n.index] = start
		n = w.parent(n, stripe)
	}
	if n == nil || visited[n.index] != start {
		return
	}
	for p := (place{n.index, stripe}); ; p.node = n.index {
		if _, again := found[p]; again {
			return
		}
		since, before := w.circling[p]
		if !before {
			since = w.now()
		}
		found[p] = since
		w.measure.circle(w, n, w.now()-since)
		n = w.parent(n, stripe)
	}
}

// parent returns from whom a node gets a stripe; nil if from nobody.
func (w *World) parent(n *node, stripe uint8) *node {
	f := &n.seen.feeding
	if !n.alive || f.log == nil || f.parents[stripe] == 0 {
		return nil
	}
	c := w.conns[f.parent[stripe].conn]
	if c == nil {
		return nil
	}
	return w.nodes[c.nodes[1-f.parent[stripe].end]]
}
