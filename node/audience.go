package node

import (
	"sync"

	"tailcast/quicwire"
	"tailcast/swarm"
)

// Audience is what a streamer can say of who watches without asking anybody: it counts nodes and keeps no names, addresses or histories. Who
// watches sees no more of others than the swarm needs.
type Audience struct {
	Connected int    `json:"connected"` // viewers and relays with a session here
	HeardOf   int    `json:"heard_of"`  // others that these named in the last ten minutes
	Delivered uint64 `json:"delivered"` // bytes of media that so many would have taken from a server of ours since the start
	Sent      uint64 `json:"sent"`      // bytes on the wire that we sent them instead
}

// audience adds up what an audience has taken, status by status. The zero value is ready.
type audience struct {
	mu        sync.Mutex // guards all below
	appended  uint64     // at the last status
	begun     bool       // there was one
	delivered uint64
	inner     uint64 // bytes that the node inside this one got
	session   uint64 // of these, those of its session
}

// now takes in a status and returns what it means; nil if this is no streamer.
func (a *audience) now(h *Host, sw *swarm.Status, s *Status) *Audience {
	if h.cfg.Role != Streamer {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := &Audience{HeardOf: sw.Heard}
	for _, p := range sw.Peers {
		switch {
		case h.isInner(p):
			a.took(p.Sent)
		case p.Role != quicwire.Streamer:
			out.Connected++
		}
	}
	out.Sent = s.Bytes.WireSent - min(a.inner, s.Bytes.WireSent)
	// Another epoch counts from 0 again; what was there before the first status nobody had.
	if a.begun && s.Bytes.Appended > a.appended {
		a.delivered += (s.Bytes.Appended - a.appended) * uint64(out.Connected+out.HeardOf)
	}
	a.appended, a.begun = s.Bytes.Appended, true
	out.Delivered = a.delivered
	return out
}

// took counts what the node inside has got in its session. Less than before is another session.
func (a *audience) took(sent uint64) {
	if sent < a.session {
		a.session = 0
	}
	a.inner += sent - a.session
	a.session = sent
}
