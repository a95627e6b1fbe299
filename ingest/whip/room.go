package whip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pion/ice/v4"

	"tailcast/ingest"
	"tailcast/ingest/rtp"
)

// running is what there is while a Server runs.
type running struct {
	ctx   context.Context
	mux   ice.UDPMux
	rooms map[string]*room // by name; one alone takes every name
}

// room is a stream that may be published.
type room struct {
	out   *rtp.Output
	stats *ingest.Stats
	pub   *session // who publishes, or is about to; nil if nobody. Under Server.mu
	count int      // of sessions that sent media. Under Server.mu
}

// A refusal is an error with the HTTP status that it is answered with.
type refusal struct {
	status int
	err    error
}

func (r refusal) Error() string { return r.err.Error() }

func refuse(status int, format string, args ...any) error {
	return refusal{status, fmt.Errorf(format, args...)}
}

var (
	errOff  = refusal{http.StatusServiceUnavailable, errors.New("not on air: try again when the streamer runs")}
	errBusy = refusal{http.StatusConflict, errors.New("somebody else is publishing here: stop that first, there can be only one")}
)

// enter finds the room of a name.
func (s *Server) enter(name string) (*running, *room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return nil, nil, errOff
	}
	names := slices.Sorted(maps.Keys(s.run.rooms))
	if len(names) == 1 {
		name = names[0]
	}
	r := s.run.rooms[name]
	if r == nil {
		return nil, nil, refuse(http.StatusNotFound, "nothing of this name is waited for: publish to %s/%s", s.path, strings.Join(names, " or "+s.path+"/"))
	}
	return s.run, r, nil
}

// claim makes p the publisher of its room, if nobody publishes there. One that has fallen silent makes way: it is most likely the same encoder,
// which has come back before its end was noticed. It may be back sooner than that shows, so it is waited for.
func (s *Server) claim(ctx context.Context, p *session) error {
	for waited := false; ; {
		s.mu.Lock()
		on, old := s.run != nil, p.room.pub
		if on && old == nil {
			p.room.pub = p
		}
		s.mu.Unlock()
		switch {
		case !on:
			return errOff
		case old == nil:
			return nil
		case old.alive(time.Now()):
			if waited || !old.pause(ctx) {
				return errBusy
			}
			waited = true
			continue
		}
		old.end(errReplaced)
		select {
		case <-old.gone:
		case <-ctx.Done():
			return errBusy
		}
	}
}

// leave makes room for the next.
func (s *Server) leave(p *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.room.pub == p {
		p.room.pub = nil
	}
	close(p.gone)
}

// current is the session of an id, or nil.
func (s *Server) current(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return nil
	}
	for _, r := range s.run.rooms {
		if r.pub != nil && r.pub.id == id {
			return r.pub
		}
	}
	return nil
}

// came counts a session whose media begins.
func (s *Server) came(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.count++; r.count > 1 {
		r.stats.Reconnects.Add(1)
	}
}
