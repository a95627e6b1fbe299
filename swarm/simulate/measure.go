package simulate

import (
	"time"

	"tailcast/internal/netsim/model"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// lateFor are the deadlines by which blocks are missed.
var lateFor = [...]time.Duration{time.Second, 2 * time.Second, 5 * time.Second}

// A measure counts what happens in a run. What it says of viewers is of the honest ones, from a second after they came until five seconds
// before they went or the run ends: blocks that they could have got in time.
type measure struct {
	from, to time.Duration // of the signing times that count

	lags    [20_000]int64 // by milliseconds
	seconds []Second
	starts  []time.Duration
	orphan  []time.Duration // how long stripes had no parent

	payload, payloadAll int64 // signed in the window; ever
	source0             model.Bytes
	others0             model.Bytes

	fresh, duplicate, repaired, got          int64 // blocks; bytes of fresh ones
	requests, nacks, strays, bad, replayed   int64
	subs, refusals, switches, orphans, dials int64
	depth, depthSum                          int64
	counting                                 bool
	sourceTotal                              int64

	violations map[Violation]*Breach
}

// A Second is what happened to the blocks of one second, or within one.
type Second struct {
	Wanted  int64    // blocks, by all viewers together
	InTime  [3]int64 // of them, within 1, 2 and 5 s
	Viewers int
	Source  int64         // bytes on the wire that the source sent
	Payload int64         // bytes that it signed
	Lag     time.Duration // of the blocks that came in this second, on average
	lags    int64
	came    int64
}

// A viewing is what one viewer has seen.
type viewing struct {
	feeding feeding
	began   time.Duration // when it could play; 0: not yet
	bytes   int64         // of blocks that came in the window
	over    time.Duration // since when it has pushed more stripes than it has places; 0: it does not
}

func (m *measure) start(c *Config) {
	m.from, m.to = c.Warm, c.Duration-lateFor[2]-500*time.Millisecond
	m.seconds = make([]Second, int(c.Duration/time.Second)+2)
	m.violations = make(map[Violation]*Breach)
}

func (m *measure) at(t time.Duration) *Second { return &m.seconds[t/time.Second] }

// signed counts a block.
func (m *measure) signed(at time.Duration, size int) {
	m.payloadAll += int64(size)
	m.at(at).Payload += int64(size)
	if m.counting {
		m.payload += int64(size)
	}
}

// viewer reports whether it matters what a node sees.
func (n *node) viewer() bool { return n.kind == viewerNode || n.kind == anchorNode }

// span returns the signing times that count for a viewer.
func (m *measure) span(n *node) (from, to time.Duration) {
	return max(n.joined+time.Second, m.from), min(n.ends-lateFor[2], m.to)
}

// arrived counts a block that a node takes in.
func (m *measure) arrived(w *World, n *node, f *flight, b *signed, fresh bool) {
	if f.log != f.log.epoch.media || !n.viewer() {
		return
	}
	if !f.log.epoch.live() {
		m.replayed++
		return
	}
	if n.seen.began == 0 && fresh {
		m.play(w, n, f.log)
	}
	if m.counting {
		m.count(w, n, f, b, fresh)
	}
	from, to := m.span(n)
	if !fresh || b.at < from || b.at > to {
		return
	}
	lag := w.now() - b.at
	m.lags[min(int(lag/time.Millisecond), len(m.lags)-1)]++
	s := m.at(b.at)
	for i, late := range lateFor {
		if lag <= late {
			s.InTime[i]++
		}
	}
	s.lags += int64(lag)
	s.came++
}

// count counts a block in the window, whenever it was signed.
func (m *measure) count(w *World, n *node, f *flight, b *signed, fresh bool) {
	n.seen.bytes += int64(b.size)
	if !fresh {
		m.duplicate++
		return
	}
	m.fresh++
	m.got += int64(b.size)
	if f.repair {
		m.repaired++
		return
	}
	m.depth = max(m.depth, int64(len(f.path)))
	m.depthSum += int64(len(f.path))
}

// play notes when a viewer has half a second without a hole from where a segment begins.
func (m *measure) play(w *World, n *node, l *log) {
	h := n.holding(l)
	for i := h.segment; i > 0; { // one more than a first block
		first := i - 1
		last := first
		for last < h.size && h.held(last) {
			if l.blocks[last].at-l.blocks[first].at >= 500*time.Millisecond-20*time.Millisecond {
				n.seen.began = w.now()
				m.started(n)
				return
			}
			last++
		}
		if first == 0 {
			return
		}
		before := first - 1 - uint64(l.blocks[first-1].back)
		if !h.held(before) || before == first {
			return
		}
		i = before + 1
	}
}

func (m *measure) started(n *node) {
	if n.joined > m.from && n.joined < m.to {
		m.starts = append(m.starts, n.seen.began-n.joined)
	}
}

// left counts what a viewer wanted, when it goes or the run ends.
func (m *measure) left(w *World, n *node) {
	if !n.viewer() {
		return
	}
	from, to := m.span(n)
	for _, e := range w.epochs {
		if !e.live() {
			continue
		}
		for i := range e.media.blocks {
			if at := e.media.blocks[i].at; at >= from && at <= to {
				m.at(at).Wanted++
			}
		}
	}
	if n.seen.began == 0 && n.joined > m.from && n.joined < m.to && w.now() > n.joined+lateFor[2] {
		m.starts = append(m.starts, never)
	}
	m.judge(w, n)
}

// never is how long it takes a viewer to start that never does.
const never = time.Hour

// pushed looks at what a node is about to push.
func (m *measure) pushed(w *World, n *node, l *log, a *swarm.Push) {
	if n.flags&quicwire.NoUpload != 0 && l == l.epoch.media && n.kind != hostileNode {
		m.violate(noUpload, n)
	}
}

// requested counts what a node asks for.
func (m *measure) requested(w *World, n *node, r *quicwire.Req) {
	if m.counting && n.viewer() {
		m.requests += int64(len(r.Blocks))
	}
}

// second looks at the whole each second.
func (w *World) second() {
	m := &w.measure
	s := m.at(w.now() - time.Second)
	s.Viewers = len(w.alive(viewerNode, anchorNode))
	s.Source = w.net.Host(w.source().index).Sent.Total() - m.sourceTotal
	m.sourceTotal += s.Source
	if w.now() >= m.from && !m.counting {
		m.counting = true
		m.source0, m.others0 = w.sent()
	}
	w.circles()
	w.places()
	w.later(time.Second, event{kind: evSecond})
}

// sent returns what the source has sent so far, and all others together.
func (w *World) sent() (source, others model.Bytes) {
	for _, n := range w.nodes[1:] {
		h := w.net.Host(n.index)
		if n == w.source() {
			source = h.Sent
			continue
		}
		if n.kind == hostileNode {
			continue
		}
		for k := range h.Sent {
			others[k] += h.Sent[k]
		}
	}
	return source, others
}
