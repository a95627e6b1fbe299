package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/internal/command"
)

// A chaos is a channel of real processes to which everything happens that a channel must survive.
type chaos struct {
	t        *testing.T
	args     []string // of the streamer
	dir      string   // its data directory
	streamer *command.Process
	relay    *command.Process
	villains map[string]*command.Process
	viewers  []*watcher // that live
	random   *rand.Rand
	whole    time.Time // when all viewers were live: from then on nothing may be missing
	events   []event
	hunger   *hunger
}

// An event is what the test did, so that a gap can be told by what came before it.
type event struct {
	at   time.Time
	what string
}

func (c *chaos) did(what string) { c.events = append(c.events, event{time.Now(), what}) }

// since says what came before a time.
func (c *chaos) since(at time.Time) string {
	last := event{at, "before anything"}
	for _, e := range c.events {
		if e.at.Before(at) {
			last = e
		}
	}
	return fmt.Sprintf("%.1f s after %s", at.Sub(last.at).Seconds(), last.what)
}

// A watcher is a viewer that records what it plays, and keeps what it verified.
type watcher struct {
	*command.Process
	data, file string
	said       string // why it stalled while the streamer was away
	met        bool   // the node that flips bits, and threw it out
}

// How many viewers there are.
const (
	fewestWatchers = 9
	mostWatchers   = 30 // they take one of two processors, nearly
)

// watchers returns how many viewers there are: few, beside all the other tests, unless TAILCAST_CHAOS is set.
func watchers() int {
	if os.Getenv("TAILCAST_CHAOS") != "" {
		return mostWatchers
	}
	return fewestWatchers
}

// act is how long each thing goes on before the next one happens.
const act = 4 * time.Second

// TestChaos: a streamer, a relay and thirty viewers who know the streamer's address alone, and among them one node that flips bits, one that withholds
// a stripe and one that floods. A third of the viewers is killed at once, then the relay, then the streamer, which comes back. What the others
// recorded has no wrong byte and no gap over 2 s, but for the time the streamer was away and a second; who met the node that flips bits has thrown it
// out; and all say in a sentence what is the matter.
//
// There are nine viewers, and thirty with TAILCAST_CHAOS=1, which wants a machine with nothing else to do: only then are these times what they
// should be, and judged.
func TestChaos(t *testing.T) {
	need(t)
	viewers := watchers()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &chaos{t: t, dir: t.TempDir(), villains: make(map[string]*command.Process), random: rand.New(rand.NewPCG(seed, 0))}
	c.begin(viewers)
	c.hostile("they have met the node that flips bits", func(m meeting) bool { return m.Ended["bad block"] > 0 })
	c.goOn("with hostile nodes among them")

	c.did("a third was killed")
	c.killThird()
	c.goOn("after a third of them was killed")
	c.did("the relay was killed")
	if err := c.relay.Kill(); err != nil {
		t.Fatal(err)
	}
	c.goOn("after the relay was killed")
	c.did("the streamer was killed")
	c.restart()
	c.did("the streamer was back")
	final := c.goOn("after the streamer's restart")
	c.checkNodes()
	c.recordMore()
	c.hunger.end()
	c.end()
	c.t.Logf("viewers had %.0f %% of the processor time that they wanted", 100*c.hunger.fed(time.Time{}, time.Now()))
	c.judge(final)
}

// begin starts all of them. The hostile nodes come before the viewers, who so have to do with them from the beginning.
func (c *chaos) begin(viewers int) {
	c.t.Helper()
	c.args = []string{"demo", "--data", c.dir, "--listen", "127.0.0.1:" + freePort(c.t), "--no-lan"}
	c.streamer = start(c.t, "streamer", nil, c.args...)
	until(c.t, c.streamer, "on air", live)
	c.relay = relay(c.t, c.link(), "--no-lan")
	for _, kind := range []string{"flip", "withhold", "flood"} {
		c.villains[kind] = start(c.t, "villain", nil, "--kind", kind, "--link", c.link())
	}
	for n := range viewers {
		data := c.t.TempDir()
		w := &watcher{data: data, file: filepath.Join(data, "recording.ts")}
		w.Process = start(c.t, fmt.Sprint("viewer", n), nil, c.link(), "--data", data, "--no-lan", "--window", "1h", "--record", w.file)
		c.viewers = append(c.viewers, w)
	}
	var all []*command.Process
	for _, w := range c.viewers {
		all = append(all, w.Process)
	}
	c.hunger = feelHunger(append(all, c.streamer))
	c.did("the last viewer was started")
	begin := time.Now()
	for _, w := range c.viewers {
		until(c.t, w.Process, "live", live)
	}
	c.whole = time.Now()
	c.did("all were live")
	c.t.Logf("%d viewers are live %v after the last one was started", viewers, time.Since(begin).Round(time.Millisecond))
}

func (c *chaos) link() string { return c.streamer.LinkTo() }

// hostile waits until the node that flips bits was met by somebody as ok says.
func (c *chaos) hostile(what string, ok func(meeting) bool) {
	c.t.Helper()
	untilAt(c.t, c.villains["flip"], "/report", what, func(report map[string]meeting) bool {
		return slices.ContainsFunc(c.viewers, func(w *watcher) bool { return ok(report[w.Listen[0]]) })
	})
}

// goOn lets time pass, and then waits until all viewers have what was signed until now. It returns how much that is.
func (c *chaos) goOn(what string) (head uint64) {
	c.t.Helper()
	after(act)
	now := until(c.t, c.streamer, "live "+what, live).Renditions[0]
	for _, w := range c.viewers {
		until(c.t, w.Process, fmt.Sprintf("live %s, with %d blocks of epoch %s", what, now.Head, now.Epoch), func(s status) bool {
			return live(s) && s.Renditions[0].Epoch == now.Epoch && s.Renditions[0].Head >= now.Head
		})
	}
	return now.Head
}

// killThird kills a third of the viewers at once.
func (c *chaos) killThird() {
	c.t.Helper()
	c.random.Shuffle(len(c.viewers), func(i, j int) { c.viewers[i], c.viewers[j] = c.viewers[j], c.viewers[i] })
	n := len(c.viewers) / 3
	var all sync.WaitGroup
	for _, w := range c.viewers[:n] {
		all.Go(func() {
			if err := w.Kill(); err != nil {
				c.t.Error(err)
			}
		})
	}
	all.Wait()
	c.viewers = c.viewers[n:]
}

// restart kills the streamer, lets all viewers say why nothing comes, and starts it again.
func (c *chaos) restart() {
	c.t.Helper()
	if err := c.streamer.Kill(); err != nil {
		c.t.Fatal(err)
	}
	said := make(map[string]int)
	for _, w := range c.viewers {
		w.said = until(c.t, w.Process, "stalled, and says why", func(s status) bool { return s.State == "stalled" && s.Reason != "" }).Reason
		said[w.said]++
	}
	for reason, n := range said {
		c.t.Logf("the streamer is away; %d viewers: %s", n, reason)
	}
	c.streamer = start(c.t, "streamer", nil, c.args...)
}

// checkNodes compares what the hostile nodes tell with what the viewers say of themselves.
func (c *chaos) checkNodes() {
	c.t.Helper()
	reports := make(map[string]map[string]meeting)
	for kind, v := range c.villains {
		reports[kind] = untilAt(c.t, v, "/report", "it reports", func(map[string]meeting) bool { return true })
	}
	said, shunned := make(map[string]int), 0
	for _, w := range c.viewers {
		s := until(c.t, w.Process, "live at the end", live)
		m := reports["flip"][w.Listen[0]]
		out := m.Ended["bad block"] // how often it was thrown out for what it sent
		w.met = out > 0
		shunned += m.Ended["shunned"]
		notes := strings.Join(s.Notes, "; ")
		switch told := strings.Contains(notes, "shut out"); {
		case out > 0 && (!told || s.Blocks.Rejected == 0):
			c.t.Errorf("%s threw out the node that flips bits %d times; it says %q, and that it rejected %d blocks", w.Name, out, notes, s.Blocks.Rejected)
		case out == 0 && m.Flipped > 8:
			c.t.Errorf("%s was sent %d wrong blocks and did not throw out who sent them: %+v", w.Name, m.Flipped, m)
		case s.Blocks.Rejected > 0 && !told:
			c.t.Errorf("%s rejected %d blocks and shut nobody out: %q", w.Name, s.Blocks.Rejected, notes)
		}
		said[fmt.Sprintf("%s (%s) %s", s.State, s.Reason, notes)]++
	}
	for sentence, n := range said {
		c.t.Logf("at the end %d viewers: %s", n, sentence)
	}
	for kind, report := range reports {
		c.t.Logf("%s: %s", kind, c.summary(report))
	}
	if !slices.ContainsFunc(c.viewers, func(w *watcher) bool { return w.met }) {
		c.t.Error("nobody who is left has met the node that flips bits: the test proves nothing")
	}
	if shunned == 0 {
		c.t.Error("the node that flips bits was let in again by everybody")
	}
	if sum := total(reports["flood"]); sum.Ended["flood"] == 0 {
		c.t.Errorf("nobody minded the flood: %+v", sum)
	}
	if total(reports["withhold"]).Subs == 0 {
		c.t.Error("nobody subscribed to what is withheld: the test proves nothing")
	}
}

// recordMore waits until each viewer has recorded some more: it records later than it verifies.
func (c *chaos) recordMore() {
	c.t.Helper()
	const more = 200 << 10 // two seconds
	for _, w := range c.viewers {
		before := size(c.t, w.file)
		until(c.t, w.Process, "it records on", func(status) bool { return size(c.t, w.file) > before+more })
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// summary adds up what a hostile node did, to how many viewers.
func (c *chaos) summary(report map[string]meeting) string {
	return fmt.Sprintf("met %d nodes: %+v", len(report), total(report))
}

func total(report map[string]meeting) (sum meeting) {
	sum.Ended = make(map[string]int)
	for _, m := range report {
		sum.Sessions += m.Sessions
		sum.Subs += m.Subs
		sum.Flipped += m.Flipped
		sum.Asked += m.Asked
		for code, n := range m.Ended {
			sum.Ended[code] += n
		}
	}
	return sum
}

// end ends all that still runs, with SIGTERM, which all must obey in ten seconds.
func (c *chaos) end() {
	c.t.Helper()
	var all sync.WaitGroup
	for _, w := range c.viewers {
		all.Go(func() { stopInTime(c.t, w.Process) })
	}
	for _, v := range c.villains {
		all.Go(func() { stopInTime(c.t, v) })
	}
	all.Wait()
	stopInTime(c.t, c.streamer)
}

// judge looks at all that is left on disk: what each viewer verified and recorded, and what the streamer signed. head is the size of the
// newest epoch's log that all viewers had.
func (c *chaos) judge(head uint64) {
	c.t.Helper()
	link, err := feed.ParseLink(c.streamer.Link)
	if err != nil {
		c.t.Fatal(err)
	}
	signed := newJudge(link.Root)
	if err := signed.inspect(filepath.Join(c.dir, "feed"), true); err != nil {
		c.t.Errorf("the streamer's folder: %v", err)
	}
	dirs := []string{filepath.Join(c.dir, "feed")}
	for _, w := range c.viewers {
		dirs = append(dirs, filepath.Join(w.data, link.Root.String()))
	}
	var replicas []*feed.Replica
	for n, dir := range dirs {
		if _, err := verifyHistory(c.t, dir, c.streamer.Link, "--every-head"); err != nil {
			c.t.Errorf("%s: %v", dir, err)
		}
		r, err := feed.Open(link.Root, feed.Config{Dir: dir, ReadOnly: true})
		if err != nil {
			c.t.Fatal(err)
		}
		defer r.Close()
		if err := signed.hear(r); err != nil {
			c.t.Errorf("folder %d: %v", n, err)
		}
		replicas = append(replicas, r)
	}
	all := newAired(c.t, replicas)
	c.t.Logf("aired %d pictures; %d blocks are nowhere", len(all.pictures), all.lost)
	until, err := signedAt(replicas[0], head)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, w := range c.viewers {
		v := all.judge(readRecording(c.t, w.file))
		c.t.Logf("%s: %v", w.Name, &v)
		for _, g := range v.gaps {
			if g.from.Before(c.whole) {
				continue
			}
			fed := c.hunger.fed(g.from.Add(-time.Second), g.from.Add(g.long+3*time.Second))
			say := c.t.Errorf
			if g.long <= allowance(2*time.Second, fed) {
				say = c.t.Logf
			}
			say("%s lacks %.1f s of the programme, %s; the viewers had %.0f %% of the processor time that they wanted then", w.Name, g.long.Seconds(), c.since(g.from), 100*fed)
		}
		fed := c.hunger.fed(c.whole, time.Now())
		switch {
		case len(v.wrong) > 0:
			c.t.Errorf("%s recorded %d wrong units: %s", w.Name, len(v.wrong), strings.Join(v.wrong[:min(3, len(v.wrong))], "; "))
		case v.border == 0:
			c.t.Errorf("%s recorded nothing after the streamer's restart", w.Name)
		case v.border > v.off+allowance(time.Second, fed):
			c.t.Errorf("%s recorded with %v between the epochs, want what the streamer was away, %v, and a second", w.Name, v.border, v.off)
		case v.last.Before(until.Add(-allowance(2*time.Second, fed))):
			c.t.Errorf("%s had what was signed at %v, but recorded until %v only", w.Name, until, v.last)
		}
	}
}

// allowance is how long something may be missing, given which part of the processor time that they wanted the viewers had. Real processes that
// starve are late whatever they do, and so they may be beside all the other tests; they must only get over it.
func allowance(d time.Duration, fed float64) time.Duration {
	if fed < starving || watchers() == fewestWatchers {
		return d + 10*time.Second
	}
	return d
}

// starving is a share that says that two threads want each processor.
const starving = 0.5

// signedAt returns when the last block of the first head of the newest epoch's rendition was signed.
func signedAt(r *feed.Replica, head uint64) (time.Time, error) {
	e := r.Epochs()[0]
	state, ok := e.State()
	if !ok || head == 0 {
		return time.Time{}, errors.New("the newest epoch has no programme")
	}
	l, err := e.Log(state.Renditions[0].Name)
	if err != nil {
		return time.Time{}, err
	}
	b, err := l.Record(head - 1)
	return time.UnixMicro(b.Record.Wall), err
}
