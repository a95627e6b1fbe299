package swarm

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"tailcast/internal/netsim"
)

// A source and three viewers, of which one goes and comes back every 15 s, with a word or without; and the source every two minutes, with a
// new epoch. Memory and goroutines stay what they are.
//
// Ten minutes of it, or as many as fit into ten seconds of real time. With TAILCAST_SOAK so much of virtual time: `make soak` has 24h.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	total, limit := 10*time.Minute, 10*time.Second
	if s := os.Getenv("TAILCAST_SOAK"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("TAILCAST_SOAK is no duration: %v", err)
		}
		total, limit = d, 1<<62
	}
	var enough atomic.Bool // of real time
	defer time.AfterFunc(limit, func() { enough.Store(true) }).Stop()
	gather(t, crowdConfig{stream: stream{80_000, 1000, 4}, uplink: 1_000_000}, func(t *testing.T, c *crowd) {
		s := soak{crowd: c, places: []place{c.place(netsim.Link{X: 0.2}), c.place(netsim.Link{Y: 0.4}), c.place(netsim.Link{X: 0.9})}}
		began := time.Now()
		for len(s.samples) < 3*soakCycle || time.Since(began) < total && !enough.Load() {
			s.round()
		}
		t.Logf("%v of virtual time, %d viewers came and went, %d epochs", time.Since(began), s.lives, s.epochs)
		s.judge()
	})
}

// A soak is what goes on in a TestSoak.
type soak struct {
	*crowd
	places  []place
	nodes   [3]*node
	lives   int
	epochs  int
	samples []sample
}

// A sample is taken at the end of a round.
type sample struct {
	heap       uint64
	goroutines int
}

const (
	soakRound = 15 * time.Second
	soakCycle = 8 // rounds from one start of the source to the next
)

// round lets somebody go and come back, and looks whether all goes on.
func (s *soak) round() {
	n := len(s.samples)
	if n > 0 && n%soakCycle == 0 {
		s.end(s.source, n%(2*soakCycle) == 0)
		s.clock = new(ticket)
		s.begin()
		s.epochs++
	}
	k := n % len(s.nodes)
	if s.nodes[k] != nil {
		s.end(s.nodes[k], n%2 == 0)
	}
	pass(2 * time.Second)
	for k, at := range s.places {
		if s.nodes[k] == nil || s.nodes[k].cancel == nil {
			s.nodes[k] = s.viewer(fmt.Sprint("viewer ", s.lives), at, Config{Now: s.gate.now}, s.host)
			s.lives++
		}
	}
	pass(soakRound - 2*time.Second)
	wantFlow(s.t, s.source, 20, s.nodes[:]...)
	s.sample()
}

// end ends a node, with a word to the others or without, and forgets it: what a test does when it ends must not keep it.
func (s *soak) end(n *node, kill bool) {
	if kill {
		n.kill()
	} else {
		n.stop()
	}
	*n = node{t: n.t, name: n.name}
}

func (s *soak) sample() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.samples = append(s.samples, sample{m.HeapAlloc, runtime.NumGoroutine()})
}

// judge compares the beginning, after everybody has come once and gone, with the end: whole cycles on average.
func (s *soak) judge() {
	mean := func(list []sample) (heap, goroutines float64) {
		for _, x := range list {
			heap += float64(x.heap) / float64(len(list))
			goroutines += float64(x.goroutines) / float64(len(list))
		}
		return heap, goroutines
	}
	end := len(s.samples) / soakCycle * soakCycle
	heap, goroutines := mean(s.samples[soakCycle : 2*soakCycle])
	heapLast, goroutinesLast := mean(s.samples[end-soakCycle : end])
	s.t.Logf("heap %.2f MB, then %.2f; goroutines %.0f, then %.0f", heap*1e-6, heapLast*1e-6, goroutines, goroutinesLast)
	if heapLast > 1.1*heap+1e6 {
		s.t.Errorf("heap grew from %.2f to %.2f MB", heap*1e-6, heapLast*1e-6)
	}
	if goroutinesLast > 1.1*goroutines {
		s.t.Errorf("goroutines grew from %.0f to %.0f", goroutines, goroutinesLast)
	}
}
