package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/node"
)

// A fake is a channel, and what is held of it, without network and disk. It says goodbye for two seconds.
type fake struct {
	link feed.Link
	fail chan error // ends Run
	said func(format string, args ...any)

	mu sync.Mutex // guards view
	view
}

// A view is what a fake was told, and what it tells.
type view struct {
	up     uint64
	paused string
	window feed.Retention
	status node.Status
	stored feed.Stored
}

func (f *fake) look() view {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view
}

func (f *fake) Run(ctx context.Context) error {
	f.said("runs")
	select {
	case <-ctx.Done():
	case err := <-f.fail:
		return err
	}
	f.said("says goodbye")
	time.Sleep(2 * time.Second)
	return nil
}

func (f *fake) Link() feed.Link { return f.link }

func (f *fake) Status() node.Status { return f.look().status }

// sends lets it send so much in a second.
func (f *fake) sends(bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Bytes.WireSent += bytes
	f.status.Upload.Rate = float64(8 * bytes)
}

func (f *fake) SetUp(up uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = up
	f.said("up %d", up)
}

func (f *fake) Pause(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = reason
}

func (f *fake) Resume() { f.Pause("") }

func (f *fake) Stored() feed.Stored { return f.look().stored }

func (f *fake) holds(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored.Bytes = bytes
}

func (f *fake) SetRetention(w feed.Retention) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.window = w
}

// channelSide and replicaSide are a fake as either.
type (
	channelSide struct{ *fake }
	replicaSide struct{ *fake }
)

func (channelSide) Close()       {}
func (replicaSide) Close() error { return nil }

// A stage is a relay of fakes.
type stage struct {
	*relay
	t     *testing.T
	fakes map[feed.PublicKey]*fake // the newest of each channel; read when the relay sleeps
	hup   chan os.Signal

	mu      sync.Mutex // guards all below
	log     []string   // what fakes did, in order
	refuses error      // to join
	now     time.Time  // If zero, the time of the test
}

func (s *stage) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.IsZero() {
		return time.Now()
	}
	return s.now
}

func (s *stage) setTime(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

func newStage(t *testing.T, l limits, monthly uint64, links ...feed.Link) *stage {
	t.Helper()
	s := &stage{t: t, fakes: make(map[feed.PublicKey]*fake), hup: make(chan os.Signal, 1)}
	month, err := node.OpenMonthly(t.TempDir(), monthly, s.time)
	if err != nil {
		t.Fatal(err)
	}
	s.relay = &relay{
		log: slog.New(slog.DiscardHandler), dir: t.TempDir(), limits: l, monthly: month, reload: s.hup, gone: make(chan gone),
		lists: lists{file: filepath.Join(t.TempDir(), "links")}, join: s.join,
	}
	s.list(links...)
	return s
}

func (s *stage) join(link feed.Link, up uint64, window feed.Retention) (seeded, replica, error) {
	if s.refuses != nil {
		return nil, nil, s.refuses
	}
	name := link.Root.String()[:4]
	f := &fake{link: link, fail: make(chan error, 1), view: view{up: up, window: window}}
	f.said = func(format string, args ...any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log = append(s.log, name+" "+fmt.Sprintf(format, args...))
	}
	s.fakes[link.Root] = f
	return channelSide{f}, replicaSide{f}, nil
}

// list writes the file of links.
func (s *stage) list(links ...feed.Link) {
	s.t.Helper()
	if err := os.WriteFile(s.lists.file, []byte(strings.ReplaceAll(texts(links), " ", "\n")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) hangUp() {
	s.hup <- syscall.SIGHUP
	synctest.Wait()
}

// names returns the names of the channels that are seeded, or still say goodbye.
func (s *stage) names() (names []string) {
	for _, m := range s.relay.list() {
		names = append(names, m.link.Root.String()[:4])
	}
	return names
}

// takeLog returns what fakes did since it was last called.
func (s *stage) takeLog() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := strings.Join(s.log, ", ")
	s.log = nil
	return log
}

// play runs the relay in virtual time; f is called when it runs. It returns how run ended, after ctx has.
func play(t *testing.T, s *stage, f func()) error {
	t.Helper()
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	synctest.Wait()
	f()
	cancel()
	return <-ended
}

// Channels come and go as the list says. One that has other addresses now is left and joined again, when it has said goodbye; a list that is wrong
// changes nothing; at the end all say goodbye at once.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := testLink(t, 1, "a:1"), testLink(t, 2, "b:1"), testLink(t, 3, "c:1")
		name := func(l feed.Link) string { return l.Root.String()[:4] }
		s := newStage(t, limits{}, 0, a, b)
		expect := func(what, want string, members ...feed.Link) {
			t.Helper()
			var names []string
			for _, l := range members {
				names = append(names, name(l))
			}
			if got := s.takeLog(); got != want || !slices.Equal(s.names(), names) {
				t.Errorf("%s: got %q and %q, want %q and %q", what, got, s.names(), want, names)
			}
		}
		err := play(t, s, func() {
			if log := s.takeLog(); !strings.Contains(log, name(a)+" runs") || !strings.Contains(log, name(b)+" runs") {
				t.Errorf("at the start: got %q", log)
			}
			s.list(a, b, c)
			s.hangUp()
			expect("one more", name(c)+" runs", a, b, c)
			s.list(a, c)
			s.hangUp()
			expect("one less", name(b)+" says goodbye", a, b, c)
			time.Sleep(3 * time.Second)
			expect("when it has gone", "", a, c)
			other := testLink(t, 1, "a:2")
			s.list(other, c)
			s.hangUp()
			expect("another address", name(a)+" says goodbye", a, c)
			time.Sleep(3 * time.Second)
			expect("and back", name(a)+" runs", c, a)
			if got := s.fakes[a.Root].link.String(); got != other.String() {
				t.Errorf("joined %s, want %s", got, other)
			}
			if err := os.WriteFile(s.lists.file, []byte("nonsense"), 0o600); err != nil {
				t.Fatal(err)
			}
			s.hangUp()
			expect("a wrong list", "", c, a)
			s.list(c, b)
			s.hangUp()
			s.list(c, other) // wanted again, while it still says goodbye
			s.hangUp()
			time.Sleep(3 * time.Second)
			if !slices.Contains(s.names(), name(a)) || slices.Contains(s.names(), name(b)) {
				t.Errorf("got %q, want what the last list says", s.names())
			}
			s.refuses = errors.New("no disk")
			s.list(c, other, b)
			s.hangUp()
			if len(s.names()) != 2 {
				t.Errorf("got %q, want the two that could be joined", s.names())
			}
			s.takeLog()
		})
		if err != nil {
			t.Errorf("ended with %v", err)
		}
		if log := s.takeLog(); strings.Count(log, "says goodbye") != 2 || len(s.names()) != 0 {
			t.Errorf("at the end: got %q, %q left", log, s.names())
		}
	})
}

// A channel that fails by itself ends the relay, with all others, and the error says so.
func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := testLink(t, 1), testLink(t, 2)
		s := newStage(t, limits{}, 0, a, b)
		broken := errors.New("the socket is gone")
		err := play(t, s, func() {
			s.fakes[b.Root].fail <- broken
			time.Sleep(time.Minute)
			if len(s.names()) != 0 {
				t.Errorf("%q go on", s.names())
			}
		})
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
}

// The sum of all caps is never above what is allowed, at no moment: who gets less is told before who gets more. A newcomer has its part at once.
func TestCapsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 50_000_000
		a, b, c := testLink(t, 1), testLink(t, 2), testLink(t, 3)
		s := newStage(t, limits{up: total}, 0, a, b)
		sum := func() (sum uint64) {
			for _, f := range s.fakes {
				sum += f.look().up
			}
			return sum
		}
		err := play(t, s, func() {
			for _, busy := range []feed.Link{a, b} {
				for range 20 {
					s.fakes[busy.Root].sends(s.fakes[busy.Root].look().up / 8)
					time.Sleep(time.Second)
					if got := sum(); got > total {
						t.Fatalf("allowed %d, want %d at most", got, total)
					}
				}
				s.fakes[busy.Root].sends(0)
			}
			if got := s.fakes[b.Root].look().up; got < total/10*8 {
				t.Errorf("the only one that is busy may send %d of %d", got, total)
			}
			s.list(a, b, c)
			s.hangUp()
			if f := s.fakes[c.Root]; f == nil || f.look().up < total/(3*idleShare) || sum() > total {
				t.Errorf("a newcomer got %v; the sum is %d", f, sum())
			}
		})
		if err != nil {
			t.Error(err)
		}
		replay(t, s.takeLog(), total)
	})
}

// replay adds up the caps in the order in which they were set.
func replay(t *testing.T, log string, total uint64) {
	t.Helper()
	caps := map[string]uint64{}
	for line := range strings.SplitSeq(log, ", ") {
		var name string
		var up, sum uint64
		if n, _ := fmt.Sscanf(line, "%s up %d", &name, &up); n != 2 {
			continue
		}
		caps[name] = up
		for _, c := range caps {
			sum += c
		}
		if sum > total {
			t.Fatalf("after %q: %d are allowed, want %d at most", line, sum, total)
		}
	}
	if len(caps) < 2 {
		t.Fatalf("caps of %v: nothing was shared", caps)
	}
}

// The month is counted from all channels; its end stops all of them, newcomers too, and the next month starts them again.
func TestMonthIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1_000_000_000_000
		a, b, c := testLink(t, 1), testLink(t, 2), testLink(t, 3)
		s := newStage(t, limits{up: 1e9}, limit, a, b)
		s.setTime(time.Date(2026, 4, 20, 12, 0, 0, 0, time.UTC))
		err := play(t, s, func() {
			s.fakes[a.Root].sends(limit / 4)
			s.fakes[b.Root].sends(limit / 4)
			time.Sleep(2 * time.Second)
			if got := s.monthly.Status(); got.Sent != limit/2 {
				t.Errorf("counted %d, want %d", got.Sent, int64(limit/2))
			}
			// 0.5 TB are left for 10.5 days: 4.4 Mbit/s if they were used up evenly.
			if got := s.fakes[a.Root].up + s.fakes[b.Root].look().up; got < 8_800_000 || got > 8_820_000 {
				t.Errorf("%d are allowed, want twice the even rate", got)
			}
			s.fakes[a.Root].sends(limit / 2)
			time.Sleep(2 * time.Second)
			s.list(a, b, c)
			s.hangUp()
			for link, f := range s.fakes {
				if !strings.Contains(f.look().paused, "the 1 TB of this month are used up: seeding goes on at 00:00 on 1 May UTC") {
					t.Errorf("%s: got %q, want the reason why it is paused", link, f.look().paused)
				}
			}
			s.setTime(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC))
			time.Sleep(2 * time.Second)
			for link, f := range s.fakes {
				if f.look().paused != "" {
					t.Errorf("%s is paused in the next month: %q", link, f.look().paused)
				}
			}
			// What a channel has sent while it said goodbye counts, too.
			s.list(a)
			s.fakes[b.Root].sends(77)
			s.hangUp()
			time.Sleep(3 * time.Second)
		})
		if got := s.monthly.Status().Sent; err != nil || got != 77 {
			t.Errorf("in the next month: got %d, %v, want 77", got, err)
		}
	})
}

// payload puts so many bytes where a channel keeps its payloads.
func (s *stage) payload(root feed.PublicKey, size int64) {
	s.t.Helper()
	dir := filepath.Join(s.folder(root), "epochs", "x", "main", "payload")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "0"), nil, 0o600), os.Truncate(filepath.Join(dir, "0"), size)); err != nil {
		s.t.Fatal(err)
	}
}

// The disk is divided by what channels hold when they are joined, so that nothing is lost by a restart; and what is left of others counts.
func TestDiskIsDivided(t *testing.T) {
	const M = int64(1) << 20
	synctest.Test(t, func(t *testing.T) {
		a, b, old := testLink(t, 1), testLink(t, 2), testRoot(t, 3)
		s := newStage(t, limits{disk: 2000 * M}, 0, a, b)
		s.history = node.History{Keep: true, Window: feed.Retention{For: time.Hour, Bytes: 1500 * M}}
		s.payload(a.Root, 1200*M)
		s.payload(old, 100*M)
		err := play(t, s, func() {
			fa, fb := s.fakes[a.Root].look(), s.fakes[b.Root].look()
			if fa.window.Bytes < 1200*M || fa.window.Bytes > 1500*M || fa.window.For != time.Hour || fa.window.Bytes+fb.window.Bytes > 1900*M {
				t.Errorf("at the start: got windows %v and %v", fa.window, fb.window)
			}
			s.fakes[a.Root].holds(1200 * M)
			s.fakes[b.Root].holds(700 * M)
			time.Sleep(20 * time.Second)
			fa, fb = s.fakes[a.Root].look(), s.fakes[b.Root].look()
			if fb.window.Bytes < 900*M || fa.window.Bytes+fb.window.Bytes > 1900*M {
				t.Errorf("the second has grown: got windows %v and %v, want half of 1900 MiB", fa.window, fb.window)
			}
		})
		if err != nil {
			t.Error(err)
		}
		s.limits.disk = 350 * M
		if err := s.read(); err == nil || !strings.Contains(err.Error(), "channels that are not seeded any more hold 105 MB") {
			t.Errorf("got %v, want a word about what is left of others", err)
		}
		s.limits.disk = 200 * M
		if err := s.read(); err == nil || !strings.Contains(err.Error(), "too little for 2 channels") {
			t.Errorf("got %v, want a word about too little disk", err)
		}
	})
}
