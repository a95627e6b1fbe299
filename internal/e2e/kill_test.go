package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/internal/clip"
	"tailcast/internal/command"
)

// kills is how often a streamer is killed in TestKillAtAnyMoment; killLines of them go on side by side, each in a data directory of its own.
const (
	kills     = 200
	killLines = 4
)

// TestKillAtAnyMoment kills a real streamer again and again, before it is up, while it opens its epoch, and while it writes, and starts it
// on what it left. A judge who remembers every signature finds none that contradicts another, nothing lost that is older than a second, and
// a higher epoch each time; a viewer that was there all the time never went back.
func TestKillAtAnyMoment(t *testing.T) {
	need(t, "node")
	beside(t, killLines)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	var starts []time.Duration
	died, lost := 0, 0
	t.Run("lines", func(t *testing.T) {
		for k := range uint64(killLines) {
			t.Run(fmt.Sprint(k), func(t *testing.T) {
				t.Parallel()
				l := &line{t: t, dir: t.TempDir(), listen: "127.0.0.1:" + freePort(t), random: rand.New(rand.NewPCG(seed, k))}
				for n := range kills / killLines {
					l.step(n)
				}
				l.finish()
				mu.Lock()
				defer mu.Unlock()
				starts, died, lost = append(starts, l.starts...), died+l.kills, lost+l.lost
			})
		}
	})
	if died < kills && !t.Failed() {
		t.Errorf("%d streamers were killed, want %d", died, kills)
	}
	if lost > 2 { // an fsync of more than a second, on a disk that all tests share, is not the streamer's fault
		t.Errorf("%d of %d kills lost what was more than a second old", lost, died)
	}
	if slices.Sort(starts); len(starts) > 0 {
		t.Logf("%d starts, from exec to ready with what the one before left: median %v, longest %v", len(starts), starts[len(starts)/2], starts[len(starts)-1])
	}
}

// A line is the life of one data directory.
type line struct {
	t      *testing.T
	dir    string
	listen string
	random *rand.Rand

	judge   *judge
	viewer  *feed.Replica
	number  uint64 // of the highest epoch that the viewer knows
	crossed int    // how many epochs it knew
	lost    int    // kills after which something was missing that was more than a second old
	link    string
	kills   int
	starts  []time.Duration
}

// step starts the streamer and kills it: mostly after up to 400 ms on air, sometimes before it is up, sometimes after longer than it takes to sync.
func (l *line) step(n int) {
	up, after := true, time.Duration(l.random.Int64N(int64(400*time.Millisecond)))
	switch {
	case n%10 == 9:
		after += 1200 * time.Millisecond
	case n%4 == 3:
		up, after = false, after/4
	}
	killed := l.live(up, after)
	if l.judge == nil {
		return // killed before it said who it is
	}
	if err := l.judge.hear(l.viewer); err != nil {
		l.t.Fatalf("kill %d: at a viewer: %v", n, err)
	}
	if err := l.judge.inspect(filepath.Join(l.dir, "feed"), up); err != nil {
		l.t.Fatalf("kill %d: on disk: %v", n, err)
	}
	if err := l.judge.lost(l.viewer, killed); err != nil {
		l.t.Logf("kill %d: %v", n, err)
		l.lost++
	}
	_, number := l.viewer.Highest()
	if number < l.number {
		l.t.Errorf("kill %d: the viewer went back from epoch %d to %d", n, l.number, number)
	}
	if number > l.number {
		l.crossed++
	}
	l.number = number
}

// live is one life of a streamer: it is killed so long after its start, or after it is up. It returns when.
func (l *line) live(up bool, after time.Duration) (killed time.Time) {
	cmd := exec.Command(filepath.Join(bin, "streamer"), "-", "--data", l.dir, "--listen", l.listen, "--http", "127.0.0.1:0", "--json")
	cmd.Stdin = &paced{begin: time.Now()}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	ready, ended := make(chan command.Ready, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewReader(stdout)
		text, _ := lines.ReadBytes('\n')
		var r command.Ready
		if json.Unmarshal(text, &r) == nil {
			ready <- r
		}
		_, _ = io.Copy(io.Discard, lines)
	}()
	if up {
		select {
		case r := <-ready:
			l.starts = append(l.starts, time.Since(begin))
			l.known(r.Link)
		case <-ended:
		case <-time.After(patience):
		}
	}
	select {
	case <-time.After(after):
	case <-ended:
	}
	killed = time.Now()
	_ = cmd.Process.Kill()
	<-ended
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
		l.t.Fatalf("the streamer ended by itself: %v\n%s", err, stderr.Bytes())
	}
	l.kills++
	return killed
}

// known begins to judge once the link is known: it never changes.
func (l *line) known(link string) {
	if l.judge == nil {
		l.link = link
		parsed, err := feed.ParseLink(link)
		if err != nil {
			l.t.Fatal(err)
		}
		l.judge, l.viewer = newJudge(parsed.Root), watch(l.t, parsed.Root, l.listen)
	}
	if link != l.link {
		l.t.Errorf("the link was %s, and is %s after a restart", l.link, link)
	}
}

// finish lets the streamer live, until the viewer is in its epoch, and end in order; then a foreign verifier reads the folder.
func (l *line) finish() {
	p := start(l.t, "streamer", nil, "demo", "--data", l.dir, "--listen", l.listen)
	final := until(l.t, p, "on air", live).Renditions[0].Epoch
	deadline := time.After(patience)
	for l.viewer.Current().ID().String() != final {
		select {
		case <-l.viewer.Changed():
		case <-deadline:
			l.t.Fatalf("the viewer did not come to epoch %s", final)
		}
	}
	if err := p.Stop(); err != nil {
		l.t.Error(err)
	}
	if err := l.judge.hear(l.viewer); err != nil {
		l.t.Error(err)
	}
	if err := l.judge.inspect(filepath.Join(l.dir, "feed"), true); err != nil {
		l.t.Error(err)
	}
	l.t.Logf("%v; the viewer was in %d epochs", l.judge, l.crossed)
	if l.crossed < 2 {
		l.t.Errorf("the viewer was in %d epochs only: it cannot judge", l.crossed)
	}
	foreignVerify(l.t, filepath.Join(l.dir, "feed"), l.link)
}

// paced is the clip again and again, eight times as fast as it plays: what is on air shall be much, and not be waited for.
type paced struct {
	begin time.Time
	sent  int
}

const pace = 1 << 20 // bytes a second

func (p *paced) Read(b []byte) (int, error) {
	due := p.begin.Add(time.Duration(p.sent) * time.Second / pace)
	if wait := time.Until(due); wait > 0 {
		<-time.After(wait)
	}
	data := clip.Bytes()
	n := copy(b[:min(len(b), 8<<10)], data[p.sent%len(data):])
	p.sent += n
	return n, nil
}
