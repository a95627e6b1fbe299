package simulate

import (
	"encoding/binary"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// A holding is what a node holds of a log.
type holding struct {
	size    uint64   // one more than the newest block; 0: nothing
	base    uint64   // the first block held
	segment uint64   // one more than the first block of the newest segment of which that is held; 0: none
	has     []uint64 // a bit for each block from origin on
	origin  uint64
	ages    []time.Duration // when blocks were signed, as far as the hops before can tell: a ring
}

// held reports whether a block is held.
func (h *holding) held(i uint64) bool {
	if h == nil || i < h.origin {
		return false
	}
	i -= h.origin
	return i/64 < uint64(len(h.has)) && h.has[i/64]>>(i%64)&1 == 1
}

// add takes in a block that is not held. Those from before the first that came are forgotten at once: they are for the past.
func (h *holding) add(l *log, i uint64, at time.Duration) {
	if h.size == 0 {
		h.base, h.origin = i, i-min(i, uint64(len(h.ages)))
	}
	h.ages[i&uint64(len(h.ages)-1)] = at
	if i < h.origin {
		return
	}
	h.base, h.size = min(h.base, i), max(h.size, i+1)
	if l.first(i) {
		h.segment = max(h.segment, i+1)
	}
	i -= h.origin
	for i/64 >= uint64(len(h.has)) {
		h.has = append(h.has, 0)
	}
	h.has[i/64] |= 1 << (i % 64)
}

// signedAt returns when a block was signed, as far as is known here.
func (h *holding) signedAt(i uint64) time.Duration { return h.ages[i&uint64(len(h.ages)-1)] }

// A shelf shows to a policy what a node holds.
type shelf struct {
	world *World
	node  *node
}

// Notes returns those of the newest epoch.
func (s shelf) Notes() feed.Notes {
	if s.node.newest == nil {
		return feed.Notes{}
	}
	return s.node.newest.notes()
}

// Renditions returns those of an epoch, as soon as its catalog's first record is held.
func (s shelf) Renditions(id feed.EpochID) []feed.Rendition {
	e := s.epoch(id)
	if e == nil || !s.node.knowsState(e) {
		return nil
	}
	return []feed.Rendition{{Name: rendition, Stripes: e.media.stripes, Bitrate: int64(s.world.cfg.Stream.Rate)}}
}

func (s shelf) epoch(id feed.EpochID) *epoch {
	l := s.world.find(&quicwire.LogID{Epoch: id, Name: feed.CatalogLog})
	if l == nil || !s.node.knows(l.epoch) {
		return nil
	}
	return l.epoch
}

// Look returns what is held of a log.
func (s shelf) Look(id quicwire.LogID) (swarm.Holding, bool) {
	l := s.world.find(&id)
	if l == nil || !s.node.knows(l.epoch) {
		return swarm.Holding{}, false
	}
	if l == l.epoch.media && !s.node.knowsState(l.epoch) {
		return swarm.Holding{}, true
	}
	x := swarm.Holding{Stripes: l.stripes}
	h := s.node.holding(l)
	if h == nil || h.size == 0 {
		return x, true
	}
	x.Head.Size, x.Base, x.Segment = h.size, h.base, h.size
	if h.segment > 0 {
		x.Segment = h.segment - 1
	}
	binary.BigEndian.PutUint64(x.Head.Root[:], h.size)
	return x, true
}
