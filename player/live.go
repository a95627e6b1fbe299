package player

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tailcast/ingest"
	"tailcast/internal/origin"
)

// live serves one container to any number of clients.
type live struct {
	*Server
	name string // for metrics
	out  *outlet
	make func(*outlet, func() *stream, func(*stream, chunk)) format
}

func (l live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	ask, err := parseAsk(r.URL.Query())
	switch {
	case origin.Foreign(r):
		l.refuse(w, "foreign", http.StatusForbidden, "another site may not play this channel through your browser")
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case ask.sound != nil && l.name != "mp4":
		http.Error(w, "audio= chooses a sound track of /live.mp4; /live.ts carries all", http.StatusBadRequest)
	case !l.audience.enter(ask.shared()):
		w.Header().Set("Retry-After", "5")
		l.refuse(w, "full", http.StatusServiceUnavailable, "too many clients are watching here; close one and try again")
	default:
		defer func() { l.audience.leave(ask.shared(), time.Now()) }()
		if !ask.shared() {
			l.serveAlone(w, r, ask)
			return
		}
		l.serve(w, r, ask.next)
	}
}

// An ask is where a client wants to begin.
type ask struct {
	next  bool    // not before the live edge
	past  *moment // nil for live
	sound *int    // of these only this one, from 0; -1 for none; nil for all
}

// shared tells whether what is made for all will do.
func (a ask) shared() bool { return a.past == nil && a.sound == nil }

// parseAsk reads the query.
func parseAsk(q url.Values) (a ask, err error) {
	switch q.Get("join") {
	case "", "last":
	case "next":
		a.next = true
	default:
		return a, errors.New("join must be last (fastest start) or next (least delay)")
	}
	if q.Has("at") {
		if q.Has("join") {
			return a, errors.New("at= begins in the past, join= at the live edge; leave one of them out")
		}
		m, err := parseMoment(q.Get("at"))
		if a.past = &m; err != nil {
			return a, err
		}
	}
	if q.Has("audio") {
		a.sound, err = parseSound(q.Get("audio"))
	}
	return a, err
}

// parseSound reads audio=.
func parseSound(s string) (*int, error) {
	n, err := strconv.Atoi(s)
	switch {
	case s == "none":
		n = -1
	case err != nil || n < 0 || n >= ingest.MaxTracks:
		return nil, errors.New("audio must be the number of a sound track, from 0, or none")
	}
	return &n, nil
}

func (l live) refuse(w http.ResponseWriter, reason string, code int, why string) {
	l.metrics.refused.WithLabelValues(reason).Inc()
	http.Error(w, why, code)
}

func (l live) serve(w http.ResponseWriter, r *http.Request, next bool) {
	s, err := l.stream(r.Context())
	var no refusal
	switch {
	case errors.As(err, &no):
		l.refuse(w, "codec", http.StatusNotAcceptable, string(no))
		return
	case err != nil:
		l.refuseWaiting(w)
		return
	}
	l.describe(w, s)
	if r.Method == http.MethodHead {
		return
	}
	l.write(w, r, s, next)
}

func (l live) refuseWaiting(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	l.refuse(w, "waiting", http.StatusServiceUnavailable, "nothing to play yet; /api/v1/status says why")
}

// describe says in headers what a stream is.
func (l live) describe(w http.ResponseWriter, s *stream) {
	h := w.Header()
	h.Set("Content-Type", s.contentType)
	if s.omitted != "" {
		h.Set("X-Tailcast-Omitted", s.omitted)
	}
	if s.sounds != "" {
		h.Set("X-Tailcast-Audio", s.sounds)
	}
	if s.captions != "" {
		h.Set("X-Tailcast-Captions", s.captions)
	}
}

// stream waits for something to play.
func (l live) stream(ctx context.Context) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.StartTimeout)
	defer cancel()
	return l.out.wait(ctx)
}

// write sends the stream until it ends or the client goes.
func (l live) write(w http.ResponseWriter, r *http.Request, s *stream, next bool) {
	c, leave := l.client(w)
	defer leave()
	place := s.join(next)
	err := c.write([]chunk{{data: s.header}})
	for err == nil {
		chunks, skipped, e := place.read(r.Context())
		if e != nil || len(chunks) == 0 {
			return
		}
		if skipped {
			l.metrics.skips.WithLabelValues(l.name).Inc()
			l.cfg.Logger.Debug("moved a slow client to the live edge", "client", r.RemoteAddr, "format", l.name)
		}
		err = c.write(chunks)
	}
}

// client counts a client until it leaves.
func (l live) client(w http.ResponseWriter) (c *client, leave func()) {
	clients := l.metrics.clients.WithLabelValues(l.name)
	clients.Inc()
	return &client{w: w, control: http.NewResponseController(w), stall: l.cfg.StallTimeout, sent: l.metrics.sent.WithLabelValues(l.name)}, clients.Dec
}

// A client is the writing side of one response.
type client struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	sent    prometheus.Counter
	times   restamper
}

// write sends chunks and sees that they leave.
func (c *client) write(chunks []chunk) error {
	if len(chunks) == 0 {
		return nil
	}
	for _, k := range chunks {
		_ = c.control.SetWriteDeadline(time.Now().Add(c.stall)) // where there are no deadlines, a paused client stays
		n, err := c.w.Write(c.times.restamp(k))
		c.sent.Add(float64(n))
		if err != nil {
			return err
		}
	}
	return c.control.Flush()
}
