package player

import (
	"context"
	"sync"
	"time"
)

// audience counts clients, so that nothing is made for nobody.
type audience struct {
	most int
	came chan struct{} // holds one token while somebody has come since it was taken

	mu   sync.Mutex
	n    int       // clients
	live int       // of these, those who watch what is made for all
	left time.Time // when live fell
}

func newAudience(most int) *audience { return &audience{most: most, came: make(chan struct{}, 1)} }

// enter reports whether there is room. Who does not watch live needs nothing to be made.
func (a *audience) enter(live bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n >= a.most {
		return false
	}
	a.n++
	if !live {
		return true
	}
	a.live++
	select {
	case a.came <- struct{}{}:
	default:
	}
	return true
}

func (a *audience) leave(live bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n--
	if live {
		a.live--
		a.left = now
	}
}

// goneFor tells whether nobody has watched live for d.
func (a *audience) goneFor(d time.Duration, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live == 0 && now.Sub(a.left) >= d
}

// await returns when somebody comes, or has come since the last await.
func (a *audience) await(ctx context.Context) error {
	select {
	case <-a.came:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
