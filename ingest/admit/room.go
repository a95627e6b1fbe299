package admit

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Publisher is who publishes in a Room.
type Publisher interface {
	Close() error
	Silence() time.Duration // since something came of it
}

// patience is how long a publisher may send nothing before another takes its place. TCP and SRT wait for many seconds until they give
// a peer up, in which an encoder that was restarted would be turned away.
const patience = time.Second

// Room is where one stream is published, by one publisher at a time.
//
//	free ──Claim──▶ publishing ──Leave──▶ free
//	                   │ silent for a second: the next one claims
//	                   └──────────────────────────────▶ publishing
type Room struct {
	turn chan struct{} // held by who delivers

	mu    sync.Mutex
	on    Publisher // nil: free
	count int       // of publishers so far
}

// NewRoom makes one that is free.
func NewRoom() *Room { return &Room{turn: make(chan struct{}, 1)} }

// Busy tells whether Claim would fail.
func (r *Room) Busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on != nil && r.on.Silence() < patience
}

// Await returns when Claim would not fail, and tells whether that is so; it waits no longer than somebody who is there needs to be heard
// again. An encoder that was killed and started anew is often back before its silence is a second long, and some never try twice.
func (r *Room) Await(ctx context.Context) bool {
	deadline := time.Now().Add(patience + patience/4)
	for r.Busy() && time.Now().Before(deadline) {
		select {
		case <-time.After(patience / 20):
		case <-ctx.Done():
			return false
		}
	}
	return !r.Busy()
}

// Claim makes p the publisher, and ends who was there and is silent. again tells that p is not the first ever; who claimed calls Wait
// and Leave.
func (r *Room) Claim(p Publisher) (again, ok bool) {
	r.mu.Lock()
	old := r.on
	if old != nil && old.Silence() < patience {
		r.mu.Unlock()
		return false, false
	}
	r.on = p
	r.count++
	again = r.count > 1
	r.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	return again, true
}

// Wait returns when whoever was in the room before delivers no more.
func (r *Room) Wait(ctx context.Context) (done func(), err error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Leave frees the room, if it is still p's.
func (r *Room) Leave(p Publisher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on == p {
		r.on = nil
	}
}

// Pick finds the room of a path: that of the last of its elements which is the name of one, since those before may be what encoders write
// for the server's sake, such as "live". A room that is alone takes every path.
func Pick[R any](rooms map[string]R, path string) (room R, ok bool) {
	if len(rooms) == 1 {
		for _, room = range rooms {
			return room, true
		}
	}
	for _, name := range slices.Backward(strings.Split(path, "/")) {
		if room, ok = rooms[name]; ok && name != "" {
			return room, true
		}
	}
	var none R
	return none, false
}
