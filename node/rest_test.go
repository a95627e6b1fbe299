package node

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// switched remembers what a Rest did to a channel.
type switched struct {
	mu    sync.Mutex
	turns []string
}

func (s *switched) Pause(string) { s.turn("pause") }
func (s *switched) Resume()      { s.turn("resume") }

func (s *switched) turn(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns = append(s.turns, to)
}

func (s *switched) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.turns, " ")
}

// TestRest: a channel is followed from the first request for its stream until nobody has asked for a minute; its page wakes nobody.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &switched{}
		r := NewRest(c)
		release := make(chan struct{})
		h := r.Count(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		ask := func(path string) { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)) }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		check := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := c.all(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		check("pause")
		go ask("/web/app.js")
		check("pause")
		go ask("/live.ts")
		check("pause resume")
		time.Sleep(5 * restAfter)
		check("pause resume")
		close(release)
		time.Sleep(restAfter / 2)
		ask("/hls/main.m3u8")
		time.Sleep(restAfter - 2*time.Second)
		check("pause resume")
		time.Sleep(4 * time.Second)
		check("pause resume pause")
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
