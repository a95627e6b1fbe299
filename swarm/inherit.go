package swarm

import (
	"slices"

	"tailcast/quicwire"
)

// A new epoch finds a swarm that works. So each node keeps its home stripes, asks its parents of the epoch before first, even while these
// have nothing yet, and keeps places for its children: the first blocks then go down the old trees, instead of everybody looking for
// everybody at once.

// A legacy is what the epoch before leaves of a log.
type legacy struct {
	name    string
	size    float64
	rate    float64
	stripes []bequest
}

// A bequest is what it leaves of one stripe.
type bequest struct {
	home     bool
	parent   *peer
	children []*peer
}

// legacies notes what a run leaves to the next.
func legacies(r *run) (list []legacy) {
	for _, f := range r.logsOr() {
		l := legacy{name: f.log.Name, size: f.size, rate: f.rate, stripes: make([]bequest, len(f.stripes))}
		for i := range f.stripes {
			s := &f.stripes[i]
			l.stripes[i] = bequest{home: s.home, parent: s.parent}
			for _, c := range s.children {
				l.stripes[i].children = append(l.stripes[i].children, c.peer)
			}
		}
		list = append(list, l)
	}
	return list
}

// inherit takes over what the epoch before has left of a log, if it had as many stripes.
func (f *follow) inherit() {
	for _, l := range f.run.left {
		if l.name != f.log.Name || len(l.stripes) != len(f.stripes) {
			continue
		}
		f.size, f.rate = l.size, l.rate
		for i := range f.stripes {
			f.stripes[i].home, f.stripes[i].heir = l.stripes[i].home, l.stripes[i].parent
			f.stripes[i].expected = l.stripes[i].children
		}
	}
}

// askHeir asks the parent of the epoch before. It returns false if there is none that could be asked.
func (m *Mesh) askHeir(f *follow, i uint8) bool {
	s := &f.stripes[i]
	p := s.heir
	s.heir = nil
	if p == nil || !p.shares() || p.mute || m.now.Before(p.refused) || m.slowToAnswer(p) {
		return false
	}
	m.sub(p, f, i, true)
	return s.pending == p
}

// expects reports whether p was a child in the epoch before, so that it has a place also before there is anything to give.
func (s *stripe) expects(p *peer) bool { return slices.Contains(s.expected, p) }

// welcome gives an expected child its place.
func (m *Mesh) welcome(f *follow, p *peer, x *quicwire.Sub) {
	s := &f.stripes[x.Stripe]
	s.expected = slices.DeleteFunc(s.expected, func(q *peer) bool { return q == p })
	m.accept(f, p, x)
}
