package lan

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/discovery"
)

// An air is a network on which everybody hears everybody: the radio of many nodes, with zeroconf's habits and virtual time.
type air struct {
	mu        sync.Mutex
	announced map[string]answer // by name
	listeners map[*func(answer)]bool
	err       error // what every call fails with
	counts
}

type counts struct {
	announcing, listening        int
	questions, packets, goodbyes int // packets are answers
	looks                        int
}

// now returns what there is at the moment.
func (a *air) now() counts {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.counts
	c.announcing, c.listening = len(a.announced), len(a.listeners)
	return c
}

// names returns who is announced.
func (a *air) names() []string {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.announced))
}

// fail makes all radios fail, or work again.
func (a *air) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func newAir() *air { return &air{announced: map[string]answer{}, listeners: map[*func(answer)]bool{}} }

// A station is a node's radio.
type station struct {
	*air
	addr netip.Addr
}

func (s station) announce(on []net.Interface, own claim) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	name, a := own.name(), answer{own.text(), 4433, []netip.Addr{s.addr}}
	said := time.AfterFunc(time.Second, func() { // probes come first
		s.mu.Lock()
		defer s.mu.Unlock()
		s.announced[name] = a
		s.tell(a)
	})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		said.Stop()
		delete(s.announced, name)
		s.goodbyes++
	}, nil
}

// tell is called with mu held.
func (a *air) tell(what answer) {
	a.packets++
	for heard := range a.listeners {
		(*heard)(what)
	}
}

func (s station) browse(ctx context.Context, on []net.Interface, heard func(answer)) error {
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	s.listeners[&heard] = true
	s.looks++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, &heard)
	}()
	for wait := time.Duration(0); ; wait = 4 * time.Second {
		select {
		case <-time.After(wait):
			s.ask()
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *air) ask() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.questions++
	for _, what := range a.announced {
		a.tell(what)
	}
}

// A party is some nodes of one channel on one network.
type party struct {
	t   *testing.T
	air *air

	mu    sync.Mutex
	found map[int]map[int]time.Duration // who found whom when first
	lan   func() ([]net.Interface, error)
	began time.Time
	done  sync.WaitGroup
}

func newParty(t *testing.T) *party {
	lan := func() ([]net.Interface, error) { return []net.Interface{{Index: 1 << 30, Name: "wlan9"}}, nil }
	return &party{t: t, air: newAir(), found: map[int]map[int]time.Duration{}, lan: lan, began: time.Now()}
}

func keyOf(i int) []byte {
	key := bytes.Repeat([]byte{5}, keySize)
	binary.BigEndian.PutUint32(key, uint32(i))
	return key
}

// join runs node i until ctx ends.
func (p *party) join(ctx context.Context, i int, cfg Config) {
	cfg.Root, cfg.Node, cfg.Listen = testRoot(), keyOf(i), netip.MustParseAddrPort("[::]:4433")
	if cfg.Interfaces == nil {
		cfg.Interfaces = p.lan
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	s := New(cfg)
	s.radio = station{p.air, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
	p.mu.Lock()
	p.found[i] = map[int]time.Duration{}
	p.mu.Unlock()
	p.done.Go(func() {
		err := s.Run(ctx, func(f discovery.Found) {
			p.mu.Lock()
			defer p.mu.Unlock()
			j := int(binary.BigEndian.Uint32(f.Node))
			if _, again := p.found[i][j]; !again {
				p.found[i][j] = time.Since(p.began)
			}
		})
		if err != nil {
			p.t.Errorf("node %d: %v", i, err)
		}
	})
}

// play runs f in virtual time and ends all nodes after it.
func play(t *testing.T, f func(ctx context.Context, p *party)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newParty(t)
		f(ctx, p)
		cancel()
		p.done.Wait()
		if c := p.air.now(); c.announcing+c.listening > 0 {
			t.Errorf("left behind: %+v", c)
		}
	})
}

// restart begins to count the time anew.
func (p *party) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
}

// foundBy returns whom node i has found.
func (p *party) foundBy(i int) []int {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.found[i]))
}

// want says who shall have found whom within a time.
func (p *party) want(i, j int, within time.Duration) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.found[i][j]; !ok || at > within {
		p.t.Errorf("node %d found %d: %v after %v, want it within %v", i, j, ok, at, within)
	}
}

func TestViewerFindsTheStreamer(t *testing.T) {
	play(t, func(ctx context.Context, p *party) {
		p.join(ctx, 0, Config{Announce: Always, NoLook: true})
		time.Sleep(2 * time.Second)
		p.restart()
		p.join(ctx, 1, Config{})
		time.Sleep(time.Hour)
		p.want(1, 0, time.Millisecond)
		if a, b := p.foundBy(0), p.foundBy(1); len(a) > 0 || len(b) != 1 {
			t.Errorf("the streamer found %v, the viewer %v", a, b)
		}
	})
}

// Who comes later finds who was there; who comes at the same time does too.
func TestViewersFindOneAnother(t *testing.T) {
	for _, apart := range []time.Duration{0, time.Second, 4 * time.Second, 7 * time.Second, time.Minute, time.Hour} {
		play(t, func(ctx context.Context, p *party) {
			p.join(ctx, 0, Config{})
			time.Sleep(apart)
			p.restart()
			p.join(ctx, 1, Config{})
			time.Sleep(time.Minute)
			if len(p.foundBy(0))+len(p.foundBy(1)) == 0 {
				t.Errorf("%v apart: neither has found the other within a minute", apart)
			}
			time.Sleep(10 * time.Minute)
			p.want(0, 1, 11*time.Minute)
			p.want(1, 0, 11*time.Minute)
		})
	}
}

func TestWhoServesNobodyKeepsSilent(t *testing.T) {
	play(t, func(ctx context.Context, p *party) {
		p.join(ctx, 0, Config{Announce: Never})
		p.join(ctx, 1, Config{})
		time.Sleep(10 * time.Minute)
		p.want(0, 1, 10*time.Minute)
		if found, c := p.foundBy(1), p.air.now(); len(found) > 0 || c.announcing != 1 {
			t.Errorf("who does not announce itself was found: %v; %+v", found, c)
		}
	})
}

// A school in which everybody starts at once: everybody finds somebody, and few answer.
func TestSchoolIsNoStorm(t *testing.T) {
	const n = 100
	play(t, func(ctx context.Context, p *party) {
		for i := range n {
			p.join(ctx, i, Config{})
		}
		time.Sleep(2 * (lookTime + lookSpread))
		for i := range n {
			if len(p.foundBy(i)) == 0 {
				t.Errorf("node %d has found nobody", i)
			}
		}
		begin := p.air.now()
		if begin.announcing < enough || begin.announcing > n*4/10 {
			t.Errorf("%d announce themselves, want %d to %d", begin.announcing, enough, n*4/10)
		}
		if begin.packets > 2000 { // were all to announce themselves at once, 20,000
			t.Errorf("%d answers in the first seconds", begin.packets)
		}
		time.Sleep(time.Hour)
		end := p.air.now()
		if rate := float64(end.packets-begin.packets) / 3600; rate > 10 {
			t.Errorf("%.1f answers a second later on, want at most 10", rate)
		}
		t.Logf("at first %+v, after an hour %+v", begin, end)
	})
}

// When those leave that announced themselves, others do.
func TestSomebodyAlwaysAnnounces(t *testing.T) {
	play(t, func(ctx context.Context, p *party) {
		first, leave := context.WithCancel(ctx)
		for i := range enough {
			p.join(first, i, Config{})
		}
		time.Sleep(time.Minute)
		p.join(ctx, enough, Config{})
		time.Sleep(time.Minute)
		if got := p.air.now().announcing; got != enough {
			t.Errorf("%d announce themselves, want %d", got, enough)
		}
		leave()
		time.Sleep(15 * time.Minute)
		if got := p.air.now().announcing; got != 1 {
			t.Errorf("after those had left %d announce themselves, want the one who stayed", got)
		}
	})
}

// On another network a node has another name, and looks at once.
func TestNetworkChanges(t *testing.T) {
	play(t, func(ctx context.Context, p *party) {
		var mu sync.Mutex
		now, err := []net.Interface(nil), errors.New("not ready")
		change := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			now, err = []net.Interface{{Index: 1 << 30, Name: name}}, nil
			if name == "" {
				now = nil
			}
		}
		interfaces := func() ([]net.Interface, error) {
			mu.Lock()
			defer mu.Unlock()
			return now, err
		}
		p.join(ctx, 0, Config{Interfaces: interfaces})
		time.Sleep(time.Minute)
		if p.air.now().questions > 0 {
			t.Error("asked on no network")
		}
		names := map[string]bool{}
		for i, name := range []string{"wlan0", "eth0", "", "wlan0"} {
			change(name)
			before := p.air.now()
			time.Sleep(watchTime + 2*(lookTime+lookSpread))
			for _, name := range p.air.names() {
				names[name] = true
			}
			c := p.air.now()
			if there := name != ""; (c.announcing == 1) != there || (c.questions > before.questions) != there {
				t.Errorf("step %d, %q: before %+v, after %+v", i, name, before, c)
			}
		}
		if c := p.air.now(); len(names) != 3 || c.goodbyes != 2 {
			t.Errorf("%d names and %d goodbyes, want 3 and 2", len(names), c.goodbyes)
		}
	})
}

// Trouble is not the end.
func TestRadioFails(t *testing.T) {
	play(t, func(ctx context.Context, p *party) {
		p.air.fail(errors.New("port 5353 is taken"))
		p.join(ctx, 0, Config{Announce: Always})
		p.join(ctx, 1, Config{})
		time.Sleep(time.Minute)
		p.air.fail(nil)
		p.restart()
		time.Sleep(10 * time.Minute)
		p.want(1, 0, 10*time.Minute)
		p.want(0, 1, 10*time.Minute)
	})
}

func TestTroubleIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := newAir()
		a.err = errors.New("port 5353 is taken")
		s := New(Config{Root: testRoot(), Node: keyOf(1), Interfaces: newParty(t).lan, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s.radio = station{a, netip.MustParseAddr("10.0.0.1")}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.Run(ctx, func(discovery.Found) {}); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines in an hour, want one for looks and one for announcements:\n%s", n, log.String())
		}
	})
}

// Whoever is told may take his time, even for ever: the radio is listened to, and Run ends when he lets go.
func TestFoundMayWait(t *testing.T) {
	play(t, func(ctx context.Context, p *party) {
		for i := range 20 {
			p.join(ctx, i, Config{Announce: Always, NoLook: true})
		}
		time.Sleep(5 * time.Second)
		s := New(Config{Root: testRoot(), Node: keyOf(99), Listen: netip.MustParseAddrPort("[::]:1"), Interfaces: p.lan, Logger: slog.New(slog.DiscardHandler)})
		s.radio = station{p.air, netip.MustParseAddr("10.0.0.99")}
		told := 0
		p.done.Go(func() {
			_ = s.Run(ctx, func(discovery.Found) { told++; <-ctx.Done() })
			if told < enough {
				t.Errorf("told of %d, want at least %d", told, enough)
			}
		})
		time.Sleep(time.Minute)
		if c := p.air.now(); c.listening > 0 {
			t.Error("the look has not ended")
		}
	})
}

// A flood ends a look, not the node.
func TestFlood(t *testing.T) {
	play(t, func(ctx context.Context, p *party) {
		p.join(ctx, 0, Config{})
		synctest.Wait()
		other := testClaim(bytes.Repeat([]byte{9}, keySize), 2, 3)
		for i := range 2 * maxAnswers {
			p.air.mu.Lock()
			p.air.tell(said(other, 4433, "10.0.0.1"))
			p.air.mu.Unlock()
			if c, want := p.air.now(), 1+(i+1)/maxAnswers; c.looks != min(want, 2) {
				t.Errorf("look %d after %d answers, want %d", c.looks, i+1, want)
			}
		}
		if c := p.air.now(); c.listening > 0 {
			t.Error("the flood is listened to")
		}
		p.join(ctx, 1, Config{})
		time.Sleep(10 * time.Minute)
		p.want(0, 1, 10*time.Minute)
	})
}

func ExampleNew() {
	s := New(Config{Root: make([]byte, 32), Node: make([]byte, 32), Listen: netip.MustParseAddrPort("127.0.0.1:4433")})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(s.Run(ctx, func(discovery.Found) {}))
	// Output: <nil>
}
