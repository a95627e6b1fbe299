package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tailcast/feed"
	"tailcast/swarm"
)

// Words for a rendition whatever it is called.
const (
	BestRendition  = "best"
	LeastRendition = "least"
)

// wantFor is how long a rendition is still followed when nobody watches it here any more: players that choose by themselves come back.
const wantFor = 30 * time.Second

// A choice is which renditions of a channel are followed: those that were chosen, and others while somebody watches them.
//
//	not followed ──Want──▶ watched ──all are done──▶ lingering ──wantFor, or another is chosen──▶ not followed
type choice struct {
	now    func() time.Time
	follow func(names []string) // tells the swarm, which takes it as swarm.Config.Renditions

	mu     sync.Mutex // guards all below; held while follow is called, so that the last word is the newest
	base   []string   // names or words; none: all
	wanted map[string]*want

	told atomic.Pointer[[]string] // what follow was told last; read without mu, since who asks may hold what follow needs
}

// want is a rendition that was asked for by name.
type want struct {
	watching int
	left     time.Time // when the last one did
	brief    bool      // it does not linger: another one was chosen since it was asked for
}

func newChoice(base []string, follow func([]string)) *choice {
	c := &choice{now: time.Now, follow: follow, base: base, wanted: map[string]*want{}}
	names := c.names()
	c.told.Store(&names)
	return c
}

// all tells whether there is nothing to choose: everything is followed.
func (c *choice) all() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.base) == 0
}

// names is what the swarm is to follow. The caller holds mu, or is the only one to know c.
func (c *choice) names() (names []string) {
	for _, n := range c.base {
		switch n {
		case BestRendition:
			n = swarm.Best
		case LeastRendition:
			n = swarm.Least
		}
		names = append(names, n)
	}
	for n := range c.wanted {
		if len(c.base) > 0 && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// current is what the swarm was told.
func (c *choice) current() []string { return *c.told.Load() }

// choose changes what is followed whether somebody watches or not. Nothing else lingers: the line may be needed for what was chosen.
func (c *choice) choose(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = []string{name}
	for n, w := range c.wanted {
		if w.brief = true; w.watching == 0 {
			delete(c.wanted, n)
		}
	}
	c.tell()
}

// want follows a rendition at least until done is called.
func (c *choice) want(name string) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.wanted[name]
	if w == nil {
		w = &want{}
		c.wanted[name] = w
	}
	w.watching, w.brief = w.watching+1, false
	c.tell()
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		w.watching--
		if w.left = c.now(); w.brief && w.watching == 0 && c.wanted[name] == w {
			delete(c.wanted, name)
			c.tell()
		}
	})
}

// expire lets go of what nobody has watched for long.
func (c *choice) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for n, w := range c.wanted {
		if w.watching == 0 && now.Sub(w.left) >= wantFor {
			delete(c.wanted, n)
		}
	}
	c.tell()
}

// tell tells the swarm, if there is news. The caller holds mu.
func (c *choice) tell() {
	if names := c.names(); !slices.Equal(names, c.current()) {
		c.told.Store(&names)
		c.follow(names)
	}
}

// of returns the one of a list that was chosen, and which of them are followed.
func (c *choice) of(list []feed.Rendition) (chosen string, followed []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	followed = swarm.Wanted(list, c.current())
	base := swarm.Wanted(list, (&choice{base: c.base}).names())
	if len(base) > 0 {
		chosen = base[0]
	}
	return chosen, followed
}

// Renditions are those of the channel, best first, as it says now; none while it is not known.
func (c *Channel) Renditions() []feed.Rendition {
	e := c.shown()
	if e == nil {
		return nil
	}
	state, _ := e.State()
	return state.Renditions
}

// Chosen is the rendition that is watched unless another one is named; "" while there is none.
func (c *Channel) Chosen() string {
	chosen, _ := c.choice.of(c.Renditions())
	return chosen
}

// Choose changes that, to a rendition of the channel, BestRendition or LeastRendition.
func (c *Channel) Choose(name string) error {
	names := []string{}
	for _, r := range c.Renditions() {
		names = append(names, r.Name)
	}
	switch {
	case c.choice.all():
		return fmt.Errorf("this node follows all renditions: there is nothing to choose")
	case name != BestRendition && name != LeastRendition && !slices.Contains(names, name):
		return fmt.Errorf("the channel has no rendition %.40q; it has %s", name, strings.Join(names, ", "))
	}
	c.choice.choose(name)
	return nil
}

// Want follows a rendition at least until done is called, and a while longer.
func (c *Channel) Want(name string) (done func()) { return c.choice.want(name) }

// missing says that what was chosen is not there; empty if it is.
func (c *Channel) missing() string {
	list := c.Renditions()
	if chosen, _ := c.choice.of(list); len(list) == 0 || chosen != "" {
		return ""
	}
	names := []string{}
	for _, r := range list {
		names = append(names, r.Name)
	}
	return fmt.Sprintf("the channel has no rendition %s now; it has %s", strings.Join(c.choice.current(), ", "), strings.Join(names, ", "))
}
