package node

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"tailcast/discovery"
	"tailcast/discovery/lan"
	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// newNode makes a node that is not run.
func newNode(t *testing.T, cfg Config, data string, args ...string) *Node {
	t.Helper()
	cfg.Flags = new(Flags)
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	cfg.Flags.Register(set, data)
	if err := set.Parse(append([]string{"--http", "127.0.0.1:0"}, args...)); err != nil {
		t.Fatal(err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func TestWhereANodeLooks(t *testing.T) {
	replica := feedtest.NewChannel(t, feed.Config{}, 1).Replica
	for _, c := range []struct {
		name       string
		role       Role
		args       []string
		cache, lan bool
	}{
		{"viewer", Viewer, []string{"--listen", ":0"}, true, true},
		{"viewer on loopback", Viewer, []string{"--listen", "127.0.0.1:0"}, true, false},
		{"viewer that was told not to", Viewer, []string{"--listen", ":0", "--no-lan"}, true, false},
		{"relay", quicwire.Relay, []string{"--listen", ":0"}, true, true},
		{"streamer", Streamer, []string{"--listen", ":0"}, false, true},
		{"streamer on loopback", Streamer, []string{"--listen", "127.0.0.1:0"}, false, false},
	} {
		n := newNode(t, Config{Role: c.role, Channel: ChannelConfig{Replica: replica}}, t.TempDir(), c.args...)
		var cache, local bool
		for _, s := range n.channel.find.sources {
			switch s.(type) {
			case *discovery.Cache:
				cache = true
			case *lan.Source:
				local = true
			}
		}
		if cache != c.cache || local != c.lan {
			t.Errorf("%s: looks at the last run's peers %v, on the local network %v, want %v and %v", c.name, cache, local, c.cache, c.lan)
		}
		if begins := c.lan && c.role != Streamer; n.channel.Begins() != begins {
			t.Errorf("%s, of a link that names nobody: there is somebody to begin with: %v, want %v", c.name, !begins, begins)
		}
	}
}

func TestWhoAnnouncesItself(t *testing.T) {
	for _, c := range []struct {
		role    Role
		noShare bool
		want    lan.Announce
	}{
		{Streamer, false, lan.Always},
		{Relay, false, lan.Always},
		{Viewer, false, lan.IfFew},
		{Viewer, true, lan.Never},
	} {
		if got := announcement(c.role, c.noShare); got != c.want {
			t.Errorf("%v, no share %v: got %d, want %d", c.role, c.noShare, got, c.want)
		}
	}
}

// What peers may name depends on where we listen, and on where they are.
func TestDialable(t *testing.T) {
	for _, c := range []struct {
		listen, addr, by string
		want             bool
	}{
		{"[::]:0", "1.2.3.4:4433", "5.6.7.8", true},
		{"[::]:0", "1.2.3.4:443", "5.6.7.8", true},
		{"[::]:0", "1.2.3.4:53", "5.6.7.8", false},
		{"[::]:0", "239.1.1.1:4433", "192.168.1.2", false},
		{"[::]:0", "192.168.1.9:4433", "5.6.7.8", false},
		{"[::]:0", "192.168.1.9:4433", "192.168.1.2", true},
		{"[::]:0", "192.168.1.9:4433", "::ffff:192.168.1.2", true},
		{"[::]:0", "127.0.0.1:4433", "192.168.1.2", false},
		{"[::]:0", "127.0.0.1:4433", "127.0.0.1", false},
		{"127.0.0.1:0", "127.0.0.1:4433", "127.0.0.1", true},
		{"127.0.0.1:0", "127.0.0.1:53", "127.0.0.1", false},
		{"127.0.0.1:0", "1.2.3.4:4433", "127.0.0.1", false},
	} {
		n := newNode(t, Config{Role: Viewer, Channel: ChannelConfig{Replica: feedtest.NewChannel(t, feed.Config{}, 1).Replica}}, t.TempDir(), "--listen", c.listen, "--no-lan")
		if got := n.dialable(netip.MustParseAddrPort(c.addr), netip.MustParseAddr(c.by)); got != c.want {
			t.Errorf("listening on %s, %s is named by who is at %s: got %v, want %v", c.listen, c.addr, c.by, got, c.want)
		}
	}
}

// known is a swarm that did well.
func known() swarm.Status {
	return swarm.Status{Uplink: 20e6, Measured: 12e6, Known: []swarm.Contact{
		{Addr: "1.2.3.4:4433", Node: feed.PublicKey{1}, Role: quicwire.Relay},
		{Addr: "tv.example.org:4433", Node: feed.PublicKey{2}, Role: Streamer},
		{Addr: "5.6.7.8:4433", Node: feed.PublicKey{3}, Role: Viewer},
	}}
}

// atHome opens the cache of a node as if on a network of that name.
func atHome(t *testing.T, role Role, path string) *discover {
	t.Helper()
	cache, err := discovery.OpenCache(discovery.CacheConfig{Path: path, Network: func() string { return "home" }})
	if err != nil {
		t.Fatal(err)
	}
	return &discover{cache: cache, role: role, log: slog.New(slog.DiscardHandler)}
}

// who returns whom a cache reports.
func who(t *testing.T, c *discovery.Cache) (addrs []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all []discovery.Found
	go func() { synctest.Wait(); cancel() }()
	if err := c.Run(ctx, func(f discovery.Found) { all = append(all, f) }); err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		addrs = append(addrs, f.Addr.String())
		if relay := f.Addr.Addr() == netip.MustParseAddr("1.2.3.4"); (f.Node != nil) != relay {
			t.Errorf("%v: key %x; relays have the same again, viewers do not", f.Addr, f.Node)
		}
	}
	return addrs
}

func TestNodeRemembers(t *testing.T) {
	for _, c := range []struct {
		name string
		role Role
		stop time.Duration
		want []string
	}{
		{"killed after two minutes", Viewer, 0, []string{"1.2.3.4:4433", "5.6.7.8:4433"}},
		{"ended after a second", Viewer, time.Second, []string{"1.2.3.4:4433", "5.6.7.8:4433"}},
		{"ended when all had gone", Viewer, 7 * time.Second, []string{"1.2.3.4:4433", "5.6.7.8:4433"}},
		{"streamer", Streamer, time.Second, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "peers.json")
			d := atHome(t, c.role, path)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			began := time.Now()
			go func() {
				done <- d.remember(ctx, func() swarm.Status {
					if time.Since(began) == 7*time.Second {
						return swarm.Status{}
					}
					return known()
				})
			}()
			defer func() { cancel(); <-done }()
			if c.stop > 0 {
				time.Sleep(c.stop)
				cancel()
			} else {
				time.Sleep(2 * rememberTime)
			}
			synctest.Wait()
			next := atHome(t, c.role, path)
			if got := who(t, next.cache); !slices.Equal(got, c.want) {
				t.Errorf("%s: the next run begins with %q, want %q", c.name, got, c.want)
			}
			if got := next.cache.Uplink(); got != 12e6 {
				t.Errorf("%s: the next run begins with an uplink of %d, want 12e6", c.name, got)
			}
		})
	}
}

// A cap of ours says nothing of the line.
func TestCapIsNotRemembered(t *testing.T) {
	h := newHost(t, Viewer)
	t.Cleanup(func() { h.Close() })
	c := h.mustJoin(t, ChannelConfig{Replica: feedtest.NewChannel(t, feed.Config{}, 1).Replica})
	c.find = atHome(t, Viewer, filepath.Join(t.TempDir(), "peers.json"))
	c.find.notice(known())
	c.swarm = c.newSwarm()
	if got := c.learned().Measured; got != 12e6 {
		t.Errorf("got %d without a cap, want what the last run measured", got)
	}
	c.SetUp(1e6)
	if got := c.learned().Measured; got != 0 {
		t.Errorf("got %d with a cap, want nothing", got)
	}
}

// Whom the last run knew is enough to begin with, and to go on with after a pause. Each channel of a relay knows its own.
func TestChannelsFindPeersAgain(t *testing.T) {
	h := newHost(t, Relay)
	var channels []*Channel
	var on []*feedtest.Channel
	for range 2 {
		a, streamer := onAir(t)
		addr := netip.MustParseAddrPort(streamer.Addrs()[0])
		c := h.mustJoin(t, ChannelConfig{Replica: memory(t, a.Station.Root()), Leave: time.Millisecond})
		if err := c.find.cache.Save([]discovery.Entry{{Addr: addr, Role: "streamer"}}); err != nil {
			t.Fatal(err)
		}
		channels, on = append(channels, c), append(on, a)
	}
	h.inBackground(t, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, c := range channels {
			group.Go(func() error { return c.Run(ctx) })
		}
		return group.Wait()
	})
	for i, c := range channels {
		hasAll(t, on[i], c.cfg.Replica)
		c.Pause("a test")
		waitUntil(t, func() bool { return len(c.Status().Peers) == 0 })
		on[i].Append(t, 3, 1000)
		c.Resume()
		hasAll(t, on[i], c.cfg.Replica)
	}
	if files, err := os.ReadDir(filepath.Join(h.cfg.Flags.Data, "peers")); err != nil || len(files) != 2 {
		t.Errorf("%v; the relay has %d files of peers, want one for each channel", err, len(files))
	}
}

// Each channel has its file, which others cannot read; a damaged one, or none at all, is no reason not to start.
func TestWhereANodeRemembers(t *testing.T) {
	replica, data := feedtest.NewChannel(t, feed.Config{}, 1).Replica, t.TempDir()
	path := filepath.Join(data, "peers", replica.Root().String()+".json")
	n := newNode(t, Config{Role: Viewer, Channel: ChannelConfig{Replica: replica}}, data, "--listen", "127.0.0.1:0")
	n.channel.find.notice(known())
	n.channel.find.save()
	for p, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, mode %v, want %v", p, err, info.Mode(), want)
		}
	}
	if n := newNode(t, Config{Role: Viewer, Channel: ChannelConfig{Replica: replica}}, data, "--listen", "127.0.0.1:0"); !n.channel.Begins() {
		t.Error("the peers of the last run are nobody to begin with")
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{data: "peers of the last run", file: "peers are not kept"} {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		n := newNode(t, Config{Role: Viewer, Channel: ChannelConfig{Replica: replica}, Logger: logger}, place, "--listen", "127.0.0.1:0")
		n.channel.find.notice(known())
		n.channel.find.save()
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q, want %q", log.String(), want)
		}
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.Contains(text, []byte("1.2.3.4:4433")) {
		t.Errorf("%v; after a damaged file: %s", err, text)
	}
}
