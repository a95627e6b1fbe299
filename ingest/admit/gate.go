// Package admit says who may publish, by one rule for all protocols: on this machine anybody may, until there is a stream key; from
// other machines nobody may, unless there is one, and then who shows it. It holds the key, slows those down who guess, resolves the
// addresses that encoders are waited for at, and keeps strangers from wearing a listener out.
package admit

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ErrKey refuses who showed no key, or another.
var ErrKey = errors.New("the stream key is wrong or missing")

// Gate lets in who shows the stream key. The key is in no error and no log line. Its methods may be called by any goroutine; those of
// a nil Gate let everybody in.
type Gate struct {
	key  [sha256.Size]byte // a hash: comparing takes as long whatever the length
	log  *slog.Logger
	now  func() time.Time
	lost atomic.Uint64 // attempts that were refused

	mu      sync.Mutex
	guesses record
	asking  record // of Ask
}

// record is who guessed.
type record map[netip.Prefix]*guesses

// NewGate makes a gate for a key; nil, which is open, if there is none.
func NewGate(key string, log *slog.Logger) *Gate {
	if key == "" {
		return nil
	}
	return &Gate{key: sha256.Sum256([]byte(key)), log: log, now: time.Now, guesses: record{}, asking: record{}}
}

// Keyed tells whether a key is needed.
func (g *Gate) Keyed() bool { return g != nil }

// Refused counts the attempts that were refused.
func (g *Gate) Refused() uint64 {
	if g == nil {
		return 0
	}
	return g.lost.Load()
}

// Check compares what somebody at peer showed with the key. proto is for the log.
func (g *Gate) Check(proto string, peer netip.Addr, shown string) error {
	if g == nil {
		return nil
	}
	return g.Try(proto, peer, func() bool { return g.Is(shown) })
}

// Is tells whether shown is the key, where somebody has been let in already: it is not counted.
func (g *Gate) Is(shown string) bool {
	if g == nil {
		return false
	}
	hash := sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(hash[:], g.key[:]) == 1
}

// Wrong guesses from one network are looked at at once up to freeGuesses; from then on one in a pause that doubles up to longestPause.
// Who has a key of the 26 characters that are made here need not fear guessing; who chose one of eight characters is helped.
const (
	freeGuesses  = 5
	firstPause   = time.Second
	longestPause = 8 * time.Second
	forgiven     = time.Minute // without a wrong guess
	maxGuessers  = 4096        // networks that are remembered
)

// guesses are the wrong ones of one network.
type guesses struct {
	count int
	last  time.Time
	next  time.Time // nothing is looked at before
}

// Try is Check for protocols that prove the key instead of showing it: shown does the proof.
func (g *Gate) Try(proto string, peer netip.Addr, shown func() bool) error {
	if g == nil {
		return nil
	}
	if wait := g.wait(g.guesses, peer); wait > 0 {
		g.lost.Add(1)
		return fmt.Errorf("%w too often: wait %v", ErrKey, wait.Round(time.Second))
	}
	if shown() {
		g.forgive(peer)
		return nil
	}
	g.complain(proto, peer, g.remember(g.guesses, peer))
	return ErrKey
}

// Ask is Try for who has not been asked for the key yet, and so may come back with it. That is no guess: the answer is looked at as if
// nothing had been before. Since shown may hold true all the same, somebody could guess by it; so it is looked at as seldom as guesses
// are, in a record of its own, and who goes on and on is logged.
func (g *Gate) Ask(proto string, peer netip.Addr, shown func() bool) error {
	switch {
	case g == nil:
		return nil
	case g.wait(g.asking, peer) > 0:
		return ErrKey
	case shown():
		g.forgive(peer)
		return nil
	}
	if n := g.remember(g.asking, peer); n >= freeGuesses {
		g.complain(proto, peer, n)
	}
	return ErrKey
}

// complain counts and logs a wrong guess, the nth in a row.
func (g *Gate) complain(proto string, peer netip.Addr, n int) {
	g.lost.Add(1)
	g.log.Warn("publisher refused: wrong stream key, or none", "protocol", proto, "peer", peer.String(), "attempts", n)
}

// network is what counts as one guesser: an address, or the /64 that an IPv6 host owns.
func network(peer netip.Addr) netip.Prefix {
	peer = peer.Unmap().WithZone("")
	bits := 32
	if peer.Is6() {
		bits = 64
	}
	p, _ := peer.Prefix(bits) // the zero Addr has the zero Prefix
	return p
}

// wait is how long peer has to wait until a guess is looked at.
func (g *Gate) wait(in record, peer netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := in[network(peer)]; s != nil {
		return s.next.Sub(g.now())
	}
	return 0
}

func (g *Gate) forgive(peer netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.guesses, network(peer))
	delete(g.asking, network(peer))
}

// remember notes a wrong guess and tells how many there were in a row.
func (g *Gate) remember(in record, peer netip.Addr) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	s := in[network(peer)]
	if s == nil || now.Sub(s.last) > forgiven {
		in.makeRoom(now)
		s = &guesses{}
		in[network(peer)] = s
	}
	s.count++
	s.last = now
	if s.count >= freeGuesses {
		s.next = now.Add(min(firstPause<<min(s.count-freeGuesses, 10), longestPause))
	}
	return s.count
}

// makeRoom forgets the forgiven when there are many, and if that is not enough anybody: who has so many networks is not stopped by
// this, and memory stays bounded.
func (r record) makeRoom(now time.Time) {
	if len(r) < maxGuessers {
		return
	}
	for p, s := range r {
		if now.Sub(s.last) > forgiven {
			delete(r, p)
		}
	}
	for p := range r {
		if len(r) < maxGuessers {
			return
		}
		delete(r, p)
	}
}
