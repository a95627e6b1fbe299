package node

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"tailcast/internal/origin"
)

// How the status is told to pages.
const (
	eventEvery   = 500 * time.Millisecond
	eventStall   = 5 * time.Second // a client that takes nothing for so long is dropped
	eventClients = 32
)

// Events tells the status again and again: GET /api/v1/events, server-sent events (HTML standard, 9.2) whose data is what GET
// /api/v1/status answers, at most twice a second. A status is made once for all who listen. A client that does not read is dropped, and
// beyond 32 of them the answer is 503.
type Events struct {
	status func() any
	places chan struct{}

	mu   sync.Mutex // guards all below; held while a status is made
	made time.Time
	data []byte
}

// NewEvents tells what status returns.
func NewEvents(status func() any) *Events {
	return &Events{status: status, places: make(chan struct{}, eventClients)}
}

// ServeHTTP tells one client until it goes.
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if origin.Refuse(w, r, readStatus) {
		return
	}
	select {
	case e.places <- struct{}{}:
		defer func() { <-e.places }()
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many pages are listening here; close one and try again", http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	e.tell(w, r)
}

func (e *Events) tell(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	tick := time.NewTicker(eventEvery)
	defer tick.Stop()
	for {
		_ = control.SetWriteDeadline(time.Now().Add(eventStall)) // a writer without deadlines is a test's
		if _, err := w.Write(e.event()); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// event returns the newest status, or one that is younger than half of eventEvery.
func (e *Events) event() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); e.data == nil || now.Sub(e.made) >= eventEvery/2 {
		text, err := json.Marshal(e.status())
		if err != nil {
			text = []byte("null")
		}
		e.made, e.data = now, append(append([]byte("data: "), text...), "\n\n"...)
	}
	return e.data
}
