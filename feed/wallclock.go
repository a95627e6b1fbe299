package feed

import (
	"sync"
	"time"
)

const (
	// maxStep is how far the system clock may be from ours before it counts as set.
	maxStep = 2 * time.Second
	// slew bounds how fast our clock follows the system clock: 1/100 of the time that passes.
	slew = 100
)

// A wallClock is the clock of an epoch: the system clock at its start plus monotonic time, which follows the system clock slowly. It
// never goes back, whatever happens to the system clock.
type wallClock struct {
	started time.Time // with its monotonic reading
	wall    int64     // the system clock then, microseconds

	// mu guards the rest.
	mu   sync.Mutex
	last time.Duration // monotonic, when drift was last changed
	add  time.Duration // what following the system clock has added
}

// start sets the clock by the system clock.
func (c *wallClock) start(system time.Time) { c.started, c.wall = time.Now(), system.UnixMicro() }

// now returns the wall clock in microseconds, given the system clock.
func (c *wallClock) now(system time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	elapsed := time.Since(c.started)
	limit := (elapsed - c.last) / slew
	c.add += min(max(c.offLocked(system, elapsed), -limit), limit)
	c.last = elapsed
	return c.wall + (elapsed + c.add).Microseconds()
}

// off returns how far the system clock is ahead of ours.
func (c *wallClock) off(system time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offLocked(system, time.Since(c.started))
}

func (c *wallClock) offLocked(system time.Time, elapsed time.Duration) time.Duration {
	ours := c.wall + (elapsed + c.add).Microseconds()
	return time.Duration(system.UnixMicro()-ours) * time.Microsecond
}
