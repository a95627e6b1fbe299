package player

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/internal/origin"
)

// This file serves a channel of several renditions. Each that is asked for has a Server of its own, which is told to play that log alone; the one that
// people talk to shows requests on to them:
//
//	/live.ts?rendition=480p     also /live.mp4 and /radio.aac; without it, the one that the node has chosen
//	/hls/r/480p/main.m3u8       what the multivariant playlist names

// A Choice is what a node says of the renditions that it follows. *node.Channel is one.
type Choice interface {
	// Chosen is the rendition to play if none is named; "" while there is none.
	Chosen() string
	// Want follows a rendition at least until done is called.
	Want(name string) (done func())
}

// maxVersions bounds the renditions that are served at once. A channel has 15, but another epoch may have others.
const maxVersions = 32

// versions are the Servers of renditions that were asked for. The zero value is ready.
type versions struct {
	mu      sync.Mutex // guards all below
	byName  map[string]*Server
	begin   func(*Server) // runs one; nil while the Server itself does not run
	clients int           // of all
}

// renditions are those of the channel, best first: of the newest run that says what it consists of, since of one that has just begun nothing but its
// name may be known. None while they are not known.
func (s *Server) renditions() []feed.Rendition {
	if s.cfg.Replica == nil {
		return nil
	}
	for _, e := range s.cfg.Replica.Epochs() {
		if state, ok := e.State(); ok {
			return state.Renditions
		}
	}
	return nil
}

// chosen is the rendition that is played if none is named; "" while it is unknown.
func (s *Server) chosen() string {
	if s.cfg.Choice != nil {
		return s.cfg.Choice.Chosen()
	}
	if list := s.renditions(); len(list) > 0 {
		return list[0].Name
	}
	return ""
}

// newest is when the newest record of the channel was signed, of any rendition, in microseconds.
func (s *Server) newest() (wall int64) {
	e := s.cfg.Replica.Current()
	if e == nil {
		return 0
	}
	for _, log := range e.Logs() {
		if size := log.Head().Size; size > 0 {
			if b, err := log.Record(size - 1); err == nil {
				wall = max(wall, b.Record.Wall)
			}
		}
	}
	return wall
}

// gone tells whether the channel has other renditions now, and not this one.
func (s *Server) gone(name string) bool {
	list := s.renditions()
	return len(list) > 0 && !slices.ContainsFunc(list, func(r feed.Rendition) bool { return r.Name == name })
}

// named is the rendition that a request is for, and what is left of its path then; "" if it is for whatever is played here.
func (s *Server) named(r *http.Request) (name, path string) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/hls/r/"); ok {
		name, file, _ := strings.Cut(rest, "/")
		return name, "/hls/" + file
	}
	stream := strings.HasPrefix(r.URL.Path, "/live.") && r.URL.Path != "/live.m3u" || r.URL.Path == "/radio.aac"
	if !stream {
		return "", ""
	}
	if q := r.URL.Query(); q.Has("rendition") {
		return q.Get("rendition"), r.URL.Path
	}
	if len(s.renditions()) > 1 {
		return s.chosen(), r.URL.Path
	}
	return "", ""
}

// dispatch answers a request that is for a rendition, by its Server. It reports whether it was one.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) bool {
	if s.cfg.Log != "" {
		return false
	}
	name, path := s.named(r)
	if name == "" {
		return false
	}
	s.awaitRenditions(r.Context())
	v, leave, err := s.versions.enter(s, name)
	if err != nil {
		secure(w.Header())
		s.refuseNamed(w, err)
		return true
	}
	defer leave()
	if s.cfg.Choice != nil && !origin.Foreign(r) {
		defer s.cfg.Choice.Want(name)()
	}
	inside := new(http.Request)
	*inside = *r
	u := *r.URL
	u.Path, u.RawPath = path, ""
	inside.URL = &u
	v.mux.ServeHTTP(w, inside)
	return true
}

var (
	errCrowd       = errors.New("too many clients are watching here; close one and try again")
	errUnknown     = errors.New("nothing to play yet; /api/v1/status says why")
	errNoRendition = errors.New("the channel has no rendition of this name; /api/v1/status lists them")
)

func (s *Server) refuseNamed(w http.ResponseWriter, err error) {
	reason, code := "rendition", http.StatusNotFound
	switch {
	case errors.Is(err, errCrowd):
		w.Header().Set("Retry-After", "5")
		reason, code = "full", http.StatusServiceUnavailable
	case errors.Is(err, errUnknown):
		w.Header().Set("Retry-After", "1")
		reason, code = "waiting", http.StatusServiceUnavailable
	}
	s.metrics.refused.WithLabelValues(reason).Inc()
	http.Error(w, err.Error(), code)
}

// awaitRenditions waits until it is known which there are, but not for ever.
func (s *Server) awaitRenditions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	for {
		changed := s.cfg.Replica.Changed()
		if len(s.renditions()) > 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// enter returns the Server of a rendition; leave is due when the request is answered.
func (v *versions) enter(s *Server, name string) (out *Server, leave func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.clients >= s.cfg.MaxClients {
		return nil, nil, errCrowd
	}
	out = v.byName[name]
	switch {
	case len(s.renditions()) == 0:
		return nil, nil, errUnknown
	case s.gone(name) || out == nil && len(v.byName) == maxVersions:
		return nil, nil, errNoRendition
	}
	if out == nil {
		out = s.version(name)
		if v.byName == nil {
			v.byName = map[string]*Server{}
		}
		v.byName[name] = out
		if v.begin != nil {
			v.begin(out)
		}
	}
	v.clients++
	return out, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.clients--
	}, nil
}

// version makes the Server of one rendition. It counts in the same metrics.
func (s *Server) version(name string) *Server {
	cfg := s.cfg
	cfg.Log, cfg.Choice = name, nil
	v := New(cfg)
	v.metrics, v.whole = s.metrics, s
	return v
}

// of returns the Server of a rendition that was asked for; nil if none was.
func (v *versions) of(name string) *Server {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.byName[name]
}

// run runs those that there are, and those that come, until ctx ends.
func (v *versions) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	begin := func(s *Server) { g.Go(func() error { return s.Run(ctx) }) }
	v.mu.Lock()
	for _, s := range v.byName {
		begin(s)
	}
	v.begin = begin
	v.mu.Unlock()
	g.Go(func() error { <-ctx.Done(); return nil })
	<-ctx.Done()
	v.mu.Lock()
	v.begin = nil
	v.mu.Unlock()
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
