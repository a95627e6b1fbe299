package player

import "sync"

// cuts keeps the segments that were cut of the past a while ago, since several players, or one that seeks to and fro, ask for the same.
type cuts struct {
	most int // bytes

	mu    sync.Mutex
	order []string // oldest first
	data  map[string][]byte
	size  int
}

func newCuts(most int) *cuts { return &cuts{most: most, data: map[string][]byte{}} }

func (c *cuts) get(name string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data[name]
}

// put keeps a segment, and drops the oldest ones that are too much.
func (c *cuts) put(name string, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.data[name]; ok || len(data) > c.most {
		return
	}
	c.order, c.data[name], c.size = append(c.order, name), data, c.size+len(data)
	for c.size > c.most {
		oldest := c.order[0]
		c.order, c.size = c.order[1:], c.size-len(c.data[oldest])
		delete(c.data, oldest)
	}
}
