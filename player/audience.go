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
	n    int
	left time.Time // when n fell to 0
}

func newAudience(most int) *audience { return &audience{most: most, came: make(chan struct{}, 1)} }

// enter reports whether there is room.
func (a *audience) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n >= a.most {
		return false
	}
	a.n++
	select {
	case a.came <- struct{}{}:
	default:
	}
	return true
}

func (a *audience) leave(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n--
	a.left = now
}

// goneFor tells whether nobody has been here for d.
func (a *audience) goneFor(d time.Duration, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n == 0 && now.Sub(a.left) >= d
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
