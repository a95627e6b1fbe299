package swarm

import (
	"tailcast/feed"
	"tailcast/quicwire"
)

// A shelf shows a Replica to Mesh.
type shelf struct{ replica *feed.Replica }

func (s shelf) Notes() feed.Notes { return s.replica.Notes() }

func (s shelf) Renditions(id feed.EpochID) []feed.Rendition {
	e := s.replica.Epoch(id)
	if e == nil {
		return nil
	}
	state, _ := e.State()
	return state.Renditions
}

func (s shelf) Look(id quicwire.LogID) (Holding, bool) {
	e := s.replica.Epoch(id.Epoch)
	if e == nil {
		return Holding{}, false
	}
	stripes, known := stripesOf(e, id.Name)
	if stripes == 0 {
		return Holding{}, !known
	}
	l, err := e.Log(id.Name)
	if err != nil {
		return Holding{}, false
	}
	return Holding{Head: l.Head(), Base: l.Base(), Stripes: stripes}, true
}

// log returns a log that the catalog of its epoch names, or the catalog itself; nil if there is none. A name that a stranger made up
// makes no log.
func (s shelf) log(id quicwire.LogID) *feed.Log {
	e := s.replica.Epoch(id.Epoch)
	if e == nil {
		return nil
	}
	if stripes, _ := stripesOf(e, id.Name); stripes == 0 {
		return nil
	}
	l, err := e.Log(id.Name)
	if err != nil {
		return nil
	}
	return l
}

// past is log for any epoch that is kept, also those that are only on disk.
func (s shelf) past(id quicwire.LogID) *feed.Log {
	if l := s.log(id); l != nil {
		return l
	}
	e, err := s.replica.OpenEpoch(id.Epoch)
	if err != nil {
		return nil
	}
	for _, l := range e.Logs() {
		if l.Name() == id.Name {
			return l
		}
	}
	return nil
}

// stripesOf returns how many stripes a log has; 0 if there is no such log, or if the epoch's State is not known.
func stripesOf(e *feed.Epoch, name string) (stripes int, known bool) {
	if name == feed.CatalogLog {
		return 1, true
	}
	state, known := e.State()
	for _, r := range state.Renditions {
		if r.Name == name && r.Stripes <= quicwire.MaxStripes {
			return r.Stripes, true
		}
	}
	return 0, known
}
