package player

import (
	"sync"

	"golang.org/x/sync/singleflight"
)

// cuts keeps the segments that were cut of the past a while ago, since several players, or one that seeks to and fro, ask for the same. What several
// ask for at once is cut once, and few are cut at a time: while a segment is cut all of it is in memory.
type cuts struct {
	most    int // bytes
	flights singleflight.Group
	places  chan struct{}

	mu    sync.Mutex // guards all below
	order []string   // oldest first
	parts map[string][]part
	size  int
}

// cutsAtOnce is how many segments are cut at a time: it takes some milliseconds and one core each.
const cutsAtOnce = 2

func newCuts(most int) *cuts {
	return &cuts{most: most, places: make(chan struct{}, cutsAtOnce), parts: map[string][]part{}}
}

// get returns the segment of a name, which cut makes if it is not there.
func (c *cuts) get(name string, cut func() ([]part, error)) ([]part, error) {
	made, err, _ := c.flights.Do(name, func() (any, error) {
		if parts := c.kept(name); parts != nil {
			return parts, nil
		}
		c.places <- struct{}{}
		defer func() { <-c.places }()
		parts, err := cut()
		if err == nil && len(parts) > 0 {
			c.put(name, parts)
		}
		return parts, err
	})
	if err != nil {
		return nil, err
	}
	return made.([]part), nil
}

func (c *cuts) kept(name string) []part {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parts[name]
}

// put keeps a segment, and drops the oldest ones that are too much.
func (c *cuts) put(name string, parts []part) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order, c.parts[name], c.size = append(c.order, name), parts, c.size+bytesOf(parts)
	for c.size > c.most {
		oldest := c.order[0]
		c.order, c.size = c.order[1:], c.size-bytesOf(c.parts[oldest])
		delete(c.parts, oldest)
	}
}

func bytesOf(parts []part) (n int) {
	for _, p := range parts {
		n += len(p.data)
	}
	return n
}
