package simulate

import (
	"slices"
	"time"

	"tailcast/internal/netsim/model"
)

// A Result is what a run came to. Shares are of one, not of a hundred.
type Result struct {
	Config  Config
	Trace   uint64 // of all events: the same Config gives the same
	Events  uint64
	Viewers int // at the end

	Egress       float64 // bytes on the wire that the source sent, for one of payload
	EgressBy     [model.Kinds]float64
	Lag          [4]time.Duration // p50, p95, p99, p99.9
	Missed       [3]float64       // after 1, 2, 5 s
	Worst        [3]float64       // likewise in the worst second
	WorstAt      int              // the second with most missed at 2 s
	Duplicate    float64          // for one fresh block; so are the next ones
	Repaired     float64
	Requested    float64
	Refused      float64
	Control      float64 // bytes of control by all but the source, for one of payload received; the next ones are parts of it
	Acks         float64
	Statuses     float64
	Handshakes   float64
	Proofs       float64
	Start        [2]time.Duration // from coming to half a second: p50, p95
	Starts       int
	Orphan       [3]time.Duration // how long a stripe has no parent: p50, p95, the longest
	Orphans      int
	Switches     float64 // by viewer and minute
	Depth        float64 // how many nodes a block has come through
	DeepestDepth int
	Strays       int
	Bad          int // blocks that did not verify
	Replayed     int // blocks of yesterday that viewers took for live
	Dials        int
	Violations   map[Violation]*Breach
	Seconds      []Second
}

// result sums up.
func (w *World) result() *Result {
	m := &w.measure
	viewers := w.alive(viewerNode, anchorNode)
	for _, n := range viewers {
		m.left(w, n)
	}
	r := &Result{
		Config: w.cfg, Trace: w.trace, Events: w.events, Viewers: len(viewers), Violations: m.violations, Seconds: m.seconds, Strays: int(m.strays),
		Bad: int(m.bad), Replayed: int(m.replayed), Dials: int(m.dials), DeepestDepth: int(m.depth), Starts: len(m.starts), Orphans: len(m.orphan),
	}
	r.Lag = [4]time.Duration{m.lag(0.5), m.lag(0.95), m.lag(0.99), m.lag(0.999)}
	r.misses(m)
	r.bytes(w, m)
	fresh := max(1, float64(m.fresh))
	r.Duplicate, r.Repaired = float64(m.duplicate)/fresh, float64(m.repaired)/fresh
	r.Requested, r.Refused = float64(m.requests)/fresh, float64(m.nacks)/fresh
	r.Depth = float64(m.depthSum) / max(1, float64(m.fresh-m.repaired))
	r.Start = [2]time.Duration{quantile(m.starts, 0.5), quantile(m.starts, 0.95)}
	r.Orphan = [3]time.Duration{quantile(m.orphan, 0.5), quantile(m.orphan, 0.95), quantile(m.orphan, 1)}
	minutes := (w.cfg.Duration - w.cfg.Warm).Minutes()
	r.Switches = float64(m.switches) / max(1, float64(len(viewers))) / max(minutes, 1e-9)
	w.judgeAll(r)
	return r
}

// judgeAll looks at the invariants of the whole.
func (w *World) judgeAll(r *Result) {
	if r.Egress > float64(w.cfg.Copies)+overCopies {
		w.measure.violateBy(egress, w.source(), r.Egress)
	}
	if r.Requested > maxAsked {
		w.measure.violateBy(requested, w.source(), r.Requested)
	}
}

// lag returns a quantile of the lags.
func (m *measure) lag(q float64) time.Duration {
	var sum, seen int64
	for _, n := range m.lags {
		sum += n
	}
	for i, n := range m.lags {
		if seen += n; n > 0 && float64(seen) >= q*float64(sum) {
			return time.Duration(i) * time.Millisecond
		}
	}
	return 0
}

// misses sums up what was missed.
func (r *Result) misses(m *measure) {
	var wanted int64
	var in [3]int64
	for i := range m.seconds {
		s := &m.seconds[i]
		if s.Lag = 0; s.came > 0 {
			s.Lag = time.Duration(s.lags / s.came)
		}
		wanted += s.Wanted
		worst := r.Worst
		for k := range in {
			in[k] += s.InTime[k]
			r.Worst[k] = max(r.Worst[k], s.missed(k))
		}
		if r.Worst[1] > worst[1] {
			r.WorstAt = i
		}
	}
	for k := range in {
		if wanted > 0 {
			r.Missed[k] = 1 - float64(in[k])/float64(wanted)
		}
	}
}

// missed returns the share of a second's blocks that did not come in time.
func (s *Second) missed(k int) float64 {
	if s.Wanted == 0 {
		return 0
	}
	return 1 - float64(s.InTime[k])/float64(s.Wanted)
}

// Missed returns the shares of a second's blocks that did not come within 1, 2 and 5 s.
func (s *Second) Missed() [3]float64 { return [3]float64{s.missed(0), s.missed(1), s.missed(2)} }

// bytes sums up what was sent.
func (r *Result) bytes(w *World, m *measure) {
	source, others := w.sent()
	payload, got := max(1, float64(m.payload)), max(1, float64(m.got))
	for k := range source {
		r.EgressBy[k] = float64(source[k]-m.source0[k]) / payload
		r.Egress += r.EgressBy[k]
	}
	part := func(k model.Kind) float64 { return float64(others[k]-m.others0[k]) / got }
	r.Acks, r.Statuses, r.Handshakes, r.Proofs = part(model.Acks), part(model.Status), part(model.Handshake), part(model.Proofs)
	r.Control = r.Acks + r.Statuses + r.Handshakes + part(model.Control)
}

// quantile returns a quantile of a list, which it sorts.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(q*float64(len(list))))]
}
