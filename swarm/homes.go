package swarm

import (
	"math"
	"time"

	"tailcast/quicwire"
)

// A node passes on a few stripes to many, not all stripes to a few: each block would else go through chains as long as the swarm has nodes
// in a row. The stripes that it passes on are its homes; in the others it is a leaf. Homes are evenly spaced, so that their blocks do not
// come at once, and never more than its uplink can give a good fan-out each.

// How homes are chosen. docs/swarm.md gives the reasons.
const (
	fanTimes  = 4                     // the best fan-out is so many times the root of fanTime by the time that a block takes
	fanTime   = 30 * time.Millisecond //
	homeIdle  = 2 * time.Second       // without children a home may move to where neighbours starve
	homeEvery = time.Second
	starving  = 200 * time.Millisecond // more lag than ours
)

// slots returns how many stripes of renditions can be pushed, to all children together.
func (m *Mesh) slots() int {
	stripes := m.stripes()
	switch {
	case !m.up.share || stripes == 0:
		return 0
	case m.publisher():
		return m.cfg.Copies * stripes
	}
	rate, up := m.wireRate(), m.up.est
	if rate == 0 || up == 0 {
		return int(guessTimes * slotShare * float64(stripes)) // nothing known of one of them
	}
	return int(up * slotShare / (rate / float64(stripes)))
}

// stripes returns how many stripes the renditions have, of the epoch that is signed or followed.
func (m *Mesh) stripes() (n int) {
	for _, f := range m.told() {
		if !f.catalog() {
			n += len(f.stripes)
		}
	}
	return n
}

// used returns how many stripes of renditions are pushed. Where several renditions are followed, slots are of the mean of their stripes, so one of a
// stripe with more bits counts for more.
func (m *Mesh) used() int {
	mean, sum := m.streamRate()/float64(max(1, m.stripes())), 0.0
	m.eachChild(func(f *follow, _ uint8, c *child) {
		if !f.catalog() && c.until == 0 {
			sum += m.weight(f, mean)
		}
	})
	return int(math.Ceil(sum - 1e-6))
}

// weight returns for how many of a mean rate a stripe of f counts. A source has places for each stripe, whatever its rate.
func (m *Mesh) weight(f *follow, mean float64) float64 {
	if m.publisher() || mean == 0 || f.rate == 0 || f.run != m.run || len(m.run.logs) <= 2 {
		return 1
	}
	return f.rate / float64(len(f.stripes)) / mean
}

// free returns the slots that are left, as STATUS says it.
func (m *Mesh) free() uint32 { return uint32(max(0, m.slots()-m.used())) }

// bestFan returns the number of children in a home stripe that makes the tree shallow and yet the last of them wait little.
func (m *Mesh) bestFan(f *follow) int {
	up := m.up.est
	if up == 0 {
		up = m.guess()
	}
	block := float64(f.wire(1)) / up
	return max(leastFan, min(int(math.Round(fanTimes*math.Sqrt(fanTime.Seconds()/block))), mostFan))
}

// fan returns how many children a stripe of a log may have.
func (m *Mesh) fan(f *follow) int {
	homes := 0
	for i := range f.stripes {
		if f.stripes[i].home {
			homes++
		}
	}
	share := (m.slots()*len(f.stripes)/max(1, m.stripes()) + max(1, homes) - 1) / max(1, homes)
	return max(share, 1)
}

// resize makes the homes fit the slots.
func (m *Mesh) resize() {
	for _, r := range []*run{m.run, m.own} {
		if r == nil {
			continue
		}
		for _, f := range r.logs {
			m.setHomes(f)
		}
	}
}

// setHomes adds or gives up home stripes of a log, the emptiest first.
func (m *Mesh) setHomes(f *follow) {
	want := m.homesFor(f)
	have := f.homeCount()
	switch {
	case have == 0 && want > 0:
		at := m.rand.Float64() * float64(len(f.stripes))
		for k := range want {
			f.stripes[int(at+float64(k)*float64(len(f.stripes))/float64(want))%len(f.stripes)].home = true
		}
	case want > have+have/3 || want == len(f.stripes):
		for ; have < want; have++ {
			m.widestGap(f).home = true
		}
	case want < have-have/3:
		for ; have > want; have-- {
			m.emptiest(f).home = false
		}
	}
}

// homesFor returns how many homes a log should have.
func (m *Mesh) homesFor(f *follow) int {
	n := len(f.stripes)
	switch {
	case !m.up.share:
		return 0
	case f.catalog() || m.publisher():
		return n
	}
	slots := m.slots() * n / max(1, m.stripes())
	if slots == 0 {
		return 0
	}
	fan := m.bestFan(f)
	return min(n, (slots+fan-1)/fan)
}

func (f *follow) homeCount() (n int) {
	for i := range f.stripes {
		if f.stripes[i].home {
			n++
		}
	}
	return n
}

// widestGap returns a stripe that is no home, as far from homes as can be.
func (m *Mesh) widestGap(f *follow) *stripe {
	n := len(f.stripes)
	start, best, dist := m.rand.IntN(n), 0, -1
	for k := range n {
		i := (start + k) % n
		if f.stripes[i].home {
			continue
		}
		d := 0
		for d = 1; d < n && !f.stripes[(i+d)%n].home && !f.stripes[(i+n-d)%n].home; d++ {
		}
		if d > dist {
			best, dist = i, d
		}
	}
	return &f.stripes[best]
}

// emptiest returns the home with the fewest children.
func (m *Mesh) emptiest(f *follow) *stripe {
	var best *stripe
	for i := range f.stripes {
		if s := &f.stripes[i]; s.home && (best == nil || len(s.children) < len(best.children)) {
			best = s
		}
	}
	return best
}

// moveHomes takes a home without children to a stripe in which neighbours starve.
func (m *Mesh) moveHomes() {
	if m.run == nil || m.publisher() || m.now.Sub(m.homes) < homeEvery {
		return
	}
	m.homes = m.now
	for _, f := range m.run.logs {
		if !f.catalog() {
			m.moveHome(f)
		}
	}
}

func (m *Mesh) moveHome(f *follow) {
	var idle *stripe
	for i := range f.stripes {
		s := &f.stripes[i]
		if len(s.children) > 0 {
			s.busy = m.now
		} else if s.home && m.now.Sub(s.busy) > homeIdle {
			idle = s
		}
	}
	if idle == nil {
		return
	}
	best, most := -1, 1
	for i := range f.stripes {
		if s := &f.stripes[i]; !s.home && s.parent != nil && !s.dry {
			if n := m.starvingIn(f, i); n > most {
				best, most = i, n
			}
		}
	}
	if best >= 0 {
		idle.home = false
		f.stripes[best].home, f.stripes[best].busy = true, m.now
	}
}

// starvingIn counts the neighbours to whom a stripe does not flow, or much later than to us.
func (m *Mesh) starvingIn(f *follow, i int) (n int) {
	for _, p := range m.peers {
		c := p.claimOf(f.log)
		if c == nil || len(c.lags) != len(f.stripes) || p.role == quicwire.Streamer {
			continue
		}
		if c.lags[i] == quicwire.NoLag || c.lags[i] > f.stripes[i].lag+starving {
			n++
		}
	}
	return n
}
