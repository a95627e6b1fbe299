package node

import (
	"fmt"
	"sync"
	"time"

	"tailcast/feed"
)

// The media of a channel counts as missing when nothing but heartbeats has come for this long.
const mediaSilence = 3 * time.Second

// progressWindow is over how long the progress of the newest record is judged (docs/feed.md, freshness).
const progressWindow = 10 * time.Second

// tip is the newest record of the watched log at some time.
type tip struct {
	at    time.Time // monotonic, ours
	log   *feed.Log // nil: nothing yet
	size  uint64
	wall  time.Time
	kind  feed.Kind
	epoch feed.EpochID
}

// watch follows the newest record of the rendition, so that what is said about it rests on progress and not on one look.
type watch struct {
	now func() time.Time

	mu       sync.Mutex
	tips     []tip     // one a second, the last progressWindow of them, ascending; the last one is the newest
	verified time.Time // when the size last grew
	media    time.Time // when media last came
}

// look takes the newest record of log into account; nil while nothing is known.
func (w *watch) look(log *feed.Log) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := tip{at: w.now(), log: log}
	if log != nil {
		t.size = log.Head().Size
		if b, err := log.Block(t.size - 1); t.size > 0 && err == nil {
			t.wall, t.kind, t.epoch = time.UnixMicro(b.Record.Wall), b.Record.Kind, log.Epoch().ID()
		}
	}
	w.count(t)
	w.tips = append(w.tips, t)
	for len(w.tips) > 1 && t.at.Sub(w.tips[0].at) > progressWindow {
		w.tips = w.tips[1:]
	}
}

// count notes growth and media.
func (w *watch) count(t tip) {
	before := w.last()
	if t.size == before.size && t.epoch == before.epoch {
		return
	}
	w.verified = t.at
	if t.kind == feed.Media {
		w.media = t.at
	}
}

// silent is how long ago media last came; 0 if none ever has.
func (w *watch) silent() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.media.IsZero() {
		return 0
	}
	return w.now().Sub(w.media)
}

// wrongClock is how wrong our clock must be before anybody hears of it.
const wrongClock = 5 * time.Second

// clockError is what peers want to be added to our clock, if all of them agree and it is much. It is for people to look at their clock: what
// may be called live is feed.Freshness' to say, which asks for more proof.
func clockError(peers []feed.PeerClock) time.Duration {
	if len(peers) == 0 {
		return 0
	}
	least, most := peers[0].Offset, peers[0].Offset
	for _, p := range peers {
		least, most = min(least, p.Offset), max(most, p.Offset)
	}
	if middle := (least + most) / 2; most-least < wrongClock && middle.Abs() > wrongClock {
		return middle
	}
	return 0
}

func (w *watch) last() tip {
	if len(w.tips) == 0 {
		return tip{}
	}
	return w.tips[len(w.tips)-1]
}

// verdict says what may be claimed now. peers and higher come from the swarm.
func (w *watch) verdict(peers []feed.PeerClock, higher bool) (State, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, now := w.last(), w.now()
	if t.log == nil || t.size == 0 || t.wall.IsZero() {
		return StateWaiting, "nothing of the channel has arrived yet"
	}
	if w.media.IsZero() && t.kind != feed.End {
		return StateStarting, "the channel is on air, its first picture is on the way"
	}
	first := w.tips[0]
	for _, f := range w.tips {
		if f.epoch == t.epoch {
			first = f
			break
		}
	}
	v := feed.Freshness(feed.FreshnessInput{
		Now: now, Newest: t.wall, Silent: now.Sub(w.verified),
		Window: now.Sub(first.at), Advance: t.wall.Sub(first.wall),
		Peers: peers, Higher: higher, Ended: t.kind == feed.End,
	})
	return w.state(v, t, now)
}

func (w *watch) state(v feed.Verdict, t tip, now time.Time) (State, string) {
	switch {
	case t.kind == feed.End:
		return StateEnded, v.Text
	case t.log.Epoch().Expired(now):
		return StateStalled, "the broadcaster's authorisation has expired: the channel note must be renewed with the root key"
	case v.State != feed.Live:
		return StateStalled, v.Text
	case now.Sub(w.media) >= mediaSilence:
		return StateStalled, fmt.Sprintf("the broadcaster is on air, but nothing has come from the encoder for %.0f s", now.Sub(w.media).Seconds())
	}
	return StateLive, v.Text
}
