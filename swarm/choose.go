package swarm

import (
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Here a Mesh chooses which renditions to follow. Who does not follow one is no parent for it, and says so.

// Names that stand for a rendition whatever it is called; no log can have them.
const (
	Best  = "(best)"  // the first one of the catalog
	Least = "(least)" // the one with the fewest bits
)

// Follow says which renditions are followed from now on; as MeshConfig has it.
type Follow struct{ Renditions []string }

func (Follow) event() {}

// releaseAfter is how long renditions that are not wanted any more are followed at most until those that are have begun to flow: a player that
// changes from one to another goes on meanwhile. A downlink that is too narrow for both gets through it.
const releaseAfter = 2 * time.Second

// choose takes in what is wanted now.
func (m *Mesh) choose(e Follow) {
	m.cfg.Renditions, m.chosen, m.surplus = e.Renditions, m.now, true
	for _, r := range []*run{m.run, m.old} {
		if r != nil && r.fault == nil {
			m.readCatalog(r)
		}
	}
	m.maintain()
	m.release()
}

// Wanted returns the names of those of a list that MeshConfig.Renditions means.
func Wanted(list []feed.Rendition, names []string) (out []string) {
	for i, v := range list {
		least := !slices.ContainsFunc(list, func(o feed.Rendition) bool { return o.Bitrate < v.Bitrate }) &&
			!slices.ContainsFunc(list[:i], func(o feed.Rendition) bool { return o.Bitrate == v.Bitrate })
		if len(names) == 0 || slices.Contains(names, v.Name) || i == 0 && slices.Contains(names, Best) || least && slices.Contains(names, Least) {
			out = append(out, v.Name)
		}
	}
	return out
}

// release gives up what is not wanted any more, when what is wanted flows, or has had its time.
func (m *Mesh) release() {
	if !m.surplus {
		return
	}
	m.surplus = false
	for _, r := range []*run{m.run, m.old} {
		if r == nil || r.ours {
			continue
		}
		names := Wanted(m.cfg.Shelf.Renditions(r.epoch.ID), m.cfg.Renditions)
		waits := m.now.Sub(m.chosen) < releaseAfter && slices.ContainsFunc(names, func(n string) bool { return !r.flows(n, m.now) })
		for _, f := range r.media() {
			switch {
			case slices.Contains(names, f.log.Name):
			case waits:
				m.surplus = true
			default:
				m.giveUp(f)
			}
		}
	}
}

// flows reports whether the rendition of that name does.
func (r *run) flows(name string, now time.Time) bool {
	f := r.follow(quicwire.LogID{Epoch: r.epoch.ID, Name: name})
	return f != nil && f.flows(now)
}

// giveUp ends the following of a rendition: its parents are told, its children sent to others, and everybody hears that it is not to be had here.
func (m *Mesh) giveUp(f *follow) {
	m.unsubscribe(f, quicwire.UnsubDone)
	for i := range f.stripes {
		for _, c := range slices.Clone(f.stripes[i].children) {
			m.move(f, uint8(i), c, quicwire.Shed, nil)
			m.remove(f, uint8(i), c, true)
		}
	}
	f.run.logs = slices.DeleteFunc(f.run.logs, func(o *follow) bool { return o == f })
	for _, p := range m.peers {
		if c := p.claimOf(f.log); c != nil && c.told && p.leaving.IsZero() {
			m.tellGone(p, f)
		}
	}
	m.resize()
}

// tellGone says a last time how a log does: it has no stripes here.
func (m *Mesh) tellGone(p *peer, f *follow) {
	held, _ := m.cfg.Shelf.Look(f.log)
	x := &quicwire.Status{Log: f.log, Size: held.Head.Size, Base: held.Base, Slots: m.free(), Backlog: m.up.backlog(), Rate: p.burst}
	copy(x.Prefix[:], held.Head.Root[:])
	m.send(p, x)
}

// crossed reports whether all that flows in the epoch before flows in this one: renditions begin it one after the other.
func (m *Mesh) crossed() bool {
	if m.now.Sub(m.run.began) >= crossFor {
		return true
	}
	for _, f := range m.old.media() {
		g := m.run.follow(quicwire.LogID{Epoch: m.run.epoch.ID, Name: f.log.Name})
		if f.seen > 0 && !f.ended && f.flows(m.now) && g != nil && g.joined.IsZero() {
			return false
		}
	}
	return true
}

// crossFor is how long the epoch before is followed at most for what has not begun in the next: a segment lasts 10 s at most.
const crossFor = 15 * time.Second
