package player

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// live serves one container to any number of clients.
type live struct {
	*Server
	name string // for metrics
	out  *outlet
}

func (l live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	next, why := parseJoin(r)
	switch {
	case foreign(r):
		l.refuse(w, "foreign", http.StatusForbidden, "another site may not play this channel through your browser")
	case why != "":
		http.Error(w, why, http.StatusBadRequest)
	case !l.audience.enter():
		w.Header().Set("Retry-After", "5")
		l.refuse(w, "full", http.StatusServiceUnavailable, "too many clients are watching here; close one and try again")
	default:
		defer func() { l.audience.leave(time.Now()) }()
		l.serve(w, r, next)
	}
}

// parseJoin reads the query; why is what is wrong with it.
func parseJoin(r *http.Request) (next bool, why string) {
	q := r.URL.Query()
	if q.Has("at") {
		return false, "at= is not supported; leave it out to watch live"
	}
	switch q.Get("join") {
	case "", "last":
		return false, ""
	case "next":
		return true, ""
	}
	return false, "join must be last (fastest start) or next (least delay)"
}

// foreign tells whether a browser asks on behalf of a page that is not ours. Programs do not send the header.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
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
		w.Header().Set("Retry-After", "1")
		l.refuse(w, "waiting", http.StatusServiceUnavailable, "nothing to play yet; /api/v1/status says why")
		return
	}
	h := w.Header()
	h.Set("Content-Type", s.contentType)
	if s.omitted != "" {
		h.Set("X-Tailcast-Omitted", s.omitted)
	}
	if r.Method == http.MethodHead {
		return
	}
	l.write(w, r, s, next)
}

// stream waits for something to play.
func (l live) stream(ctx context.Context) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.StartTimeout)
	defer cancel()
	return l.out.wait(ctx)
}

// write sends the stream until it ends or the client goes.
func (l live) write(w http.ResponseWriter, r *http.Request, s *stream, next bool) {
	clients := l.metrics.clients.WithLabelValues(l.name)
	clients.Inc()
	defer clients.Dec()
	c := &client{w: w, control: http.NewResponseController(w), stall: l.cfg.StallTimeout, sent: l.metrics.sent.WithLabelValues(l.name)}
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
