package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/internal/command"
)

// copyDir copies a data directory as `cp -a` does: keys with their modes, the node key too, and a folder that a streamer may be writing to.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp -a: %v\n%s", err, out)
	}
	return to
}

// channel makes a data directory in which a streamer was on air once.
func channel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := start(t, "streamer", nil, "demo", "--data", dir)
	until(t, s, "on air", live)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTwoCopiesOfOneDataDirectory starts two streamers with the same keys, at different distances in time, and with viewers between them in
// different shapes. One of them stays, the other stops and says why; all viewers end up with the one that stays, and a viewer that hears both
// finds no size signed twice.
func TestTwoCopiesOfOneDataDirectory(t *testing.T) {
	need(t)
	beside(t, 4)
	both := func(t *testing.T, a, b *command.Process) []*command.Process {
		return []*command.Process{viewer(t, a.LinkTo()+"&a="+b.Listen[0]), viewer(t, b.LinkTo()+"&a="+a.Listen[0])}
	}
	// The first streamer's viewer is known to the second's only by a viewer that knows both.
	chain := func(t *testing.T, a, b *command.Process) []*command.Process {
		v := viewer(t, a.LinkTo())
		return []*command.Process{v, viewer(t, v.LinkTo()+"&a="+b.Listen[0])}
	}
	// The viewer passes notes on, but no block: neither streamer ever sees one of the other.
	deaf := func(t *testing.T, a, b *command.Process) []*command.Process {
		return []*command.Process{viewer(t, a.LinkTo()+"&a="+b.Listen[0], "--no-share")}
	}
	for _, c := range []struct {
		apart time.Duration
		shape string
		make  func(t *testing.T, a, b *command.Process) []*command.Process
	}{
		{0, "both", both},
		{50 * time.Millisecond, "deaf", deaf},
		{time.Second, "both", both},
		{12 * time.Second, "chain", chain},
	} {
		t.Run(fmt.Sprintf("%v apart, %s", c.apart, c.shape), func(t *testing.T) {
			t.Parallel()
			first := channel(t)
			second := copyDir(t, first)
			a := start(t, "streamer1", nil, "demo", "--data", first)
			after(c.apart)
			b := start(t, "streamer2", nil, "demo", "--data", second)
			witness := newWitness(t, a, b)
			viewers := c.make(t, a, b)
			left, stays, begin := a, b, time.Now()
			select {
			case <-a.Done():
			case <-b.Done():
				left, stays = b, a
			case <-time.After(patience):
				t.Fatal("both streamers go on")
			}
			if err := left.Stop(); err == nil || !strings.Contains(err.Error(), "top one of the two streamers") || !strings.Contains(err.Error(), "exit status 1") {
				t.Errorf("%s ended with %v, want a sentence and exit code 1", left.Name, err)
			}
			t.Logf("after %v %s has left: %s", time.Since(begin).Round(time.Millisecond), left.Name, left.Stderr())
			epoch := until(t, stays, "on air", live).Renditions[0].Epoch
			for _, v := range viewers {
				s := until(t, v, "live with the streamer that stays", func(s status) bool { return live(s) && s.Renditions[0].Epoch == epoch })
				if s.Blocks.Rejected != 0 {
					t.Errorf("a viewer refused %d blocks", s.Blocks.Rejected)
				}
			}
			witness.judge(t, filepath.Join(first, "feed"), filepath.Join(second, "feed"))
		})
	}
}

// after waits: the test is about what happens when two things are so far apart.
func after(d time.Duration) { <-time.After(d) }

// A witness hears both streamers, each from a viewer of its own, so that what they sign can be compared with what is on their disks.
type witness struct {
	root    feed.PublicKey
	viewers []*feed.Replica
}

func newWitness(t *testing.T, streamers ...*command.Process) witness {
	t.Helper()
	link, err := feed.ParseLink(streamers[0].Link)
	if err != nil {
		t.Fatal(err)
	}
	w := witness{root: link.Root}
	for _, s := range streamers {
		w.viewers = append(w.viewers, watch(t, link.Root, s.Listen[0]))
	}
	return w
}

// judge compares all that was signed.
func (w witness) judge(t *testing.T, folders ...string) {
	t.Helper()
	seen := newJudge(w.root)
	for _, dir := range folders {
		seen.number, seen.logs = 0, make(map[string]*written) // each folder has its own order, and its part of the other's catalog
		if err := seen.inspect(dir, false); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	for _, v := range w.viewers {
		if err := seen.hear(v); err != nil {
			t.Error(err)
		}
	}
	t.Log(seen)
}

// TestRestoredBackup: a streamer's data directory is restored from a copy that was made a while ago, under a running streamer. Viewers go on by
// themselves, never back, and the epochs that the copy knows nothing of are not contradicted.
func TestRestoredBackup(t *testing.T) {
	need(t)
	beside(t, 1)
	dir, listen := t.TempDir(), "127.0.0.1:"+freePort(t)
	args := []string{"demo", "--data", dir, "--listen", listen}
	s := start(t, "streamer", nil, args...)
	until(t, s, "on air", live)
	link, err := feed.ParseLink(s.Link)
	if err != nil {
		t.Fatal(err)
	}
	memory := t.TempDir()
	v := start(t, "viewer", nil, s.LinkTo(), "--data", memory)
	until(t, v, "live", live)
	inside, seen := watch(t, link.Root, listen), newJudge(link.Root)
	backup := copyDir(t, dir)
	for range 2 { // life goes on
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		s = start(t, "streamer", nil, args...)
		epoch := until(t, s, "on air", live).Renditions[0].Epoch
		until(t, v, "live in the newer epoch", func(s status) bool { return live(s) && s.Renditions[0].Epoch == epoch })
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := seen.hear(inside); err != nil {
		t.Error(err)
	}
	if err := seen.inspect(filepath.Join(dir, "feed"), true); err != nil {
		t.Error(err)
	}
	_, known := inside.Highest()

	restored := copyDir(t, backup)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(restored, dir); err != nil {
		t.Fatal(err)
	}
	s = start(t, "streamer", nil, args...)
	epoch := until(t, s, "on air", live).Renditions[0].Epoch
	until(t, v, "live after the restoration", func(s status) bool { return live(s) && s.Renditions[0].Epoch == epoch })
	hears(t, inside, known+1)
	// What the copy had of its newest epoch was cut off somewhere; nothing contradicts what the original wrote after that.
	seen.logs = make(map[string]*written)
	if err := seen.inspect(filepath.Join(dir, "feed"), true); err != nil {
		t.Error(err)
	}
	if err := seen.hear(inside); err != nil {
		t.Error(err)
	}
	// A viewer that starts again remembers how far it was.
	if err := v.Stop(); err != nil {
		t.Error(err)
	}
	v = start(t, "viewer", nil, s.LinkTo(), "--data", memory)
	until(t, v, "live again", func(s status) bool { return live(s) && s.Renditions[0].Epoch == epoch })
}

// TestHigherEpochThatIsOver: viewers remember an epoch far above that of the streamer, whose clock was ahead once and whose data directory was
// restored from before that. Nothing is done by anybody: the streamer goes on in an epoch above it, and viewers miss nothing.
func TestHigherEpochThatIsOver(t *testing.T) {
	need(t)
	beside(t, 1)
	dir := channel(t)
	ahead := signAhead(t, copyDir(t, dir), 365*24*time.Hour)
	s := start(t, "streamer", nil, "demo", "--data", dir)
	v := viewer(t, s.LinkTo())
	first := until(t, v, "live", live).Renditions[0].Epoch
	link, err := feed.ParseLink(s.Link)
	if err != nil {
		t.Fatal(err)
	}
	rememberer := watch(t, link.Root, s.Listen[0])
	if _, err := rememberer.AddNotes(ahead.Notes()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for rememberer.Current().Note().Number <= ahead.Note().Number {
		select {
		case <-rememberer.Changed():
		case <-ctx.Done():
			t.Fatal("the streamer did not go above the epoch that is over")
		}
		if st, err := getStatus(v); err == nil && (st.State == "ended" || st.State == "waiting") {
			t.Errorf("meanwhile the viewer is %s: %s", st.State, st.Reason)
		}
	}
	after := until(t, v, "live in the newer epoch", func(s status) bool { return live(s) && s.Renditions[0].Epoch != first })
	if after.Blocks.Missed+after.Blocks.Rejected != 0 {
		t.Errorf("the viewer missed %d blocks and refused %d", after.Blocks.Missed, after.Blocks.Rejected)
	}
}

// signAhead opens an epoch in a data directory, with a clock that is ahead, and returns it.
func signAhead(t *testing.T, dir string, by time.Duration) *feed.Epoch {
	t.Helper()
	now := func() time.Time { return time.Now().Add(by) }
	station, err := feed.OpenStation(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer station.Close()
	replica, err := feed.Open(station.Root(), feed.Config{Dir: filepath.Join(dir, "feed")})
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	w, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return w.Epoch()
}
