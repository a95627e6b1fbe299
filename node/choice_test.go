package node

import (
	"fmt"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/swarm"
)

func TestChoiceFollowsWhatIsWatched(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var told []string
	c := newChoice([]string{BestRendition}, func(names []string) { told = names })
	c.now = func() time.Time { return now }
	want := func(when string, names ...string) {
		t.Helper()
		if got := c.current(); fmt.Sprint(got) != fmt.Sprint(names) {
			t.Errorf("%s: follows %q, want %q", when, got, names)
		}
		if told != nil && fmt.Sprint(told) != fmt.Sprint(names) {
			t.Errorf("%s: told %q, want %q", when, told, names)
		}
	}
	want("at first", swarm.Best)
	first, second := c.want("480p"), c.want("480p")
	want("while 480p is watched", swarm.Best, "480p")
	first()
	first() // a second time is none
	now = now.Add(wantFor)
	c.expire()
	want("while one still watches it", swarm.Best, "480p")
	second()
	now = now.Add(wantFor - 1)
	c.expire()
	want("soon after", swarm.Best, "480p")
	third := c.want("480p")
	now = now.Add(1)
	c.expire()
	want("when somebody has come back", swarm.Best, "480p")
	third()
	now = now.Add(wantFor)
	c.expire()
	want("long after", swarm.Best)

	done := c.want("480p")
	c.want("720p")()
	c.choose("radio")
	want("when another was chosen, without what nobody watches now", "480p", "radio")
	done()
	want("and what was still watched goes with who watched it", "radio")

	list := []feed.Rendition{{Name: "1080p", Bitrate: 4000}, {Name: "radio", Bitrate: 96}}
	if chosen, followed := c.of(list); chosen != "radio" || fmt.Sprint(followed) != "[radio]" {
		t.Errorf("of %v: got %s and %v", list, chosen, followed)
	}
	c.choose(LeastRendition)
	if chosen, _ := c.of(list); chosen != "radio" {
		t.Errorf("least is %s, want radio", chosen)
	}
	c.choose("4k")
	if chosen, _ := c.of(list); chosen != "" {
		t.Errorf("got %s for what is not there", chosen)
	}
}

func TestWhoFollowsAllHasNoChoice(t *testing.T) {
	c := newChoice(nil, func(names []string) { t.Errorf("told %q", names) })
	c.want("480p")()
	c.expire()
	if chosen, followed := c.of([]feed.Rendition{{Name: "a"}, {Name: "b"}}); !c.all() || chosen != "a" || len(followed) != 2 {
		t.Errorf("got %s and %v, want the first, and all followed", chosen, followed)
	}
}
