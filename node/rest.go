package node

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// restAfter is how long a channel is still followed when nobody watches it here any more: as long as people zap to and fro.
const restAfter = time.Minute

const nobodyWatches = "nobody watches this channel here; it begins when somebody does"

// A Rest lets a channel rest while nobody asks for it: it then costs neither line nor anybody's place.
//
//	resting ──a request──▶ followed ──no request for restAfter──▶ resting
type Rest struct {
	channel pausable

	mu     sync.Mutex // guards all below
	open   int        // requests
	last   time.Time  // when the last one ended
	wanted chan struct{}
}

// A pausable is a *Channel, what wraps one, or a fake.
type pausable interface {
	Pause(reason string)
	Resume()
}

// NewRest pauses c, which Run resumes when it is wanted.
func NewRest(c pausable) *Rest {
	c.Pause(nobodyWatches)
	return &Rest{channel: c, wanted: make(chan struct{}, 1)}
}

// Count counts requests for the channel's streams; its page and pictures wake nobody.
func (r *Rest) Count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !isStream(req.URL.Path) {
			next.ServeHTTP(w, req)
			return
		}
		r.come()
		defer func() { r.leave(time.Now()) }()
		next.ServeHTTP(w, req)
	})
}

// isStream tells requests for media from those for pages.
func isStream(path string) bool {
	return strings.HasPrefix(path, "/hls/") || strings.HasPrefix(path, "/live.") || strings.HasPrefix(path, "/radio.")
}

func (r *Rest) come() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	select {
	case r.wanted <- struct{}{}:
	default:
	}
}

func (r *Rest) leave(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	r.last = now
}

// idle tells whether nobody has asked for long. Requests until now have then been heard.
func (r *Rest) idle(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open > 0 || now.Sub(r.last) < restAfter {
		return false
	}
	select {
	case <-r.wanted:
	default:
	}
	return true
}

// Run wakes the channel and lets it rest again, until ctx ends.
func (r *Rest) Run(ctx context.Context) error {
	for {
		select {
		case <-r.wanted:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.channel.Resume()
		if err := r.untilIdle(ctx); err != nil {
			return err
		}
		r.channel.Pause(nobodyWatches)
	}
}

func (r *Rest) untilIdle(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if r.idle(now) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
