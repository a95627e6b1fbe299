package discovery

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// world is what a Cache sees of it.
type world struct {
	network string
	now     time.Time
}

func newWorld() *world {
	return &world{network: "home", now: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)}
}

// open opens the cache at path.
func (w *world) open(t *testing.T, path string) *Cache {
	t.Helper()
	c, err := OpenCache(w.config(path))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) config(path string) CacheConfig {
	return CacheConfig{Path: path, Network: func() string { return w.network }, Now: func() time.Time { return w.now }}
}

func entry(addr, role string) Entry {
	return Entry{Addr: netip.MustParseAddrPort(addr), Node: bytes.Repeat([]byte{7}, 32), Role: role}
}

func save(t *testing.T, c *Cache, list ...Entry) {
	t.Helper()
	if err := c.Save(list); err != nil {
		t.Fatal(err)
	}
}

// reported runs the cache until it has nothing more to say.
func reported(t *testing.T, c *Cache) (all []Found) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx, func(f Found) { all = append(all, f) }) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Run returned %v before its context ended", err)
		default:
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	return all
}

func addrs(list []Found) (all []string) {
	for _, f := range list {
		all = append(all, f.Addr.String())
	}
	return all
}

func wantAddrs(t *testing.T, c *Cache, want ...string) {
	t.Helper()
	if got := addrs(reported(t, c)); !reflect.DeepEqual(got, want) {
		t.Errorf("reported %q, want %q", got, want)
	}
}

func TestCacheRemembers(t *testing.T) {
	w, path := newWorld(), filepath.Join(t.TempDir(), "peers.json")
	c := w.open(t, path)
	wantAddrs(t, c)
	save(t, c, entry("1.2.3.4:4433", "viewer"), entry("[::ffff:5.6.7.8]:4433", "relay"))
	w.now = w.now.Add(time.Minute)
	save(t, c, entry("9.9.9.9:1", "streamer"), entry("1.2.3.4:4433", "viewer"))

	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, mode %v, want 0600", err, info.Mode())
	}
	got := reported(t, w.open(t, path))
	if want := []string{"9.9.9.9:1", "1.2.3.4:4433", "5.6.7.8:4433"}; !reflect.DeepEqual(addrs(got), want) {
		t.Fatalf("reported %q, want the newest first, each once: %q", addrs(got), want)
	}
	for i, key := range []bool{true, false, true} {
		if (got[i].Node != nil) != key {
			t.Errorf("%v: key %x, want one: %v (a viewer has another one after each start)", got[i].Addr, got[i].Node, key)
		}
		if got[i].LAN {
			t.Errorf("%v: is said to be on this network", got[i].Addr)
		}
	}
}

func TestCacheForgets(t *testing.T) {
	w, path := newWorld(), filepath.Join(t.TempDir(), "peers.json")
	c := w.open(t, path)
	save(t, c, entry("1.1.1.1:4433", "viewer"))
	w.now = w.now.Add(maxAge)
	save(t, c, entry("2.2.2.2:4433", "viewer"))
	wantAddrs(t, w.open(t, path), "2.2.2.2:4433", "1.1.1.1:4433")
	w.now = w.now.Add(time.Second)
	wantAddrs(t, w.open(t, path), "2.2.2.2:4433")

	w.now = w.now.Add(-3 * maxAge) // the clock was wrong when that was written
	wantAddrs(t, w.open(t, path))
}

func TestCacheIsBounded(t *testing.T) {
	w, path := newWorld(), filepath.Join(t.TempDir(), "peers.json")
	c := w.open(t, path)
	save(t, c, entry("9.9.9.9:4433", "viewer"))
	w.now = w.now.Add(time.Second)
	var many []Entry
	for i := range 100 {
		many = append(many, entry(fmt.Sprintf("[2606:4700:4700:1234:1234:1234:1234:%x]:65535", i+0x1000), "streamer"))
	}
	save(t, c, many...)
	got := addrs(reported(t, w.open(t, path)))
	if len(got) != maxEntries || got[0] != many[0].Addr.String() || got[63] != many[63].Addr.String() {
		t.Errorf("got %d entries from %s to %s, want the %d best", len(got), got[0], got[len(got)-1], maxEntries)
	}
	for i := range 2 * maxUplinks {
		w.network = fmt.Sprintf("%016x", i)
		c.SetUplink(1 << 62)
	}
	save(t, c)
	if info, err := os.Stat(path); err != nil || info.Size() > maxFile {
		t.Errorf("%v; the file has %d bytes, want at most %d", err, info.Size(), maxFile)
	}
	c = w.open(t, path)
	if got := c.Uplink(); got != 1<<62 {
		t.Errorf("the newest uplink: got %d", got)
	}
	if w.network = fmt.Sprintf("%016x", maxUplinks-1); c.Uplink() != 0 {
		t.Errorf("more than %d uplinks are kept", maxUplinks)
	}
}

// A private address is somebody else's on another network.
func TestCacheKnowsWhereItIs(t *testing.T) {
	w, path := newWorld(), filepath.Join(t.TempDir(), "peers.json")
	c := w.open(t, path)
	save(t, c, entry("192.168.1.7:4433", "viewer"), entry("1.2.3.4:4433", "viewer"), entry("[fe80::1%eth0]:4433", "viewer"), entry("127.0.0.1:4433", "viewer"))
	c.SetUplink(12e6)
	save(t, c)
	for _, network := range []string{"school", ""} {
		w.network = network
		c := w.open(t, path)
		wantAddrs(t, c, "1.2.3.4:4433")
		if got := c.Uplink(); got != 0 {
			t.Errorf("network %q: uplink %d, want that of another network forgotten", network, got)
		}
	}
	save(t, w.open(t, path), entry("10.0.0.1:4433", "viewer")) // without a network
	w.network = "home"
	c = w.open(t, path)
	for _, f := range reported(t, c) {
		if private := f.Addr.String() != "1.2.3.4:4433"; f.LAN != private {
			t.Errorf("%v: LAN %v, want %v", f.Addr, f.LAN, private)
		}
	}
	wantAddrs(t, c, "192.168.1.7:4433", "1.2.3.4:4433", "[fe80::1%eth0]:4433", "127.0.0.1:4433")
	if got := c.Uplink(); got != 12e6 {
		t.Errorf("uplink: got %d, want 12e6", got)
	}
	c.SetUplink(0) // not known yet in this run
	if got := c.Uplink(); got != 12e6 {
		t.Errorf("uplink: got %d after nothing was measured, want 12e6", got)
	}
}

func TestDamagedCache(t *testing.T) {
	good := `{"peers":[{"addr":"1.2.3.4:4433","role":"relay","seen":"2026-01-02T15:04:05Z"}],"uplinks":[]}`
	w, path := newWorld(), filepath.Join(t.TempDir(), "peers.json")
	for _, text := range []string{
		"", "x", good[:len(good)-1], strings.Replace(good, "1.2.3.4:4433", "example.com:4433", 1), strings.Replace(good, "4433", "0", 1),
		strings.Replace(good, `"1.2.3.4:4433"`, `""`, 1), strings.Replace(good, "relay", strings.Repeat("r", 33), 1),
		strings.Replace(good, `"role"`, `"node":"abc","role"`, 1), good + strings.Repeat(" ", maxFile), strings.Replace(good, "2026-", "", 1),
		strings.Replace(good, `[]`, `[{"network":"`+strings.Repeat("n", 33)+`"}]`, 1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := OpenCache(w.config(path))
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%.200q: got error %v, want one that names the file", text, err)
		}
		wantAddrs(t, c)
		save(t, c, entry("5.6.7.8:4433", "viewer"))
		wantAddrs(t, w.open(t, path), "5.6.7.8:4433")
	}
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	wantAddrs(t, w.open(t, path), "1.2.3.4:4433")
}

func TestCacheIsWrittenOnlyWhenItChanges(t *testing.T) {
	w, path := newWorld(), filepath.Join(t.TempDir(), "peers.json")
	save(t, w.open(t, path), entry("1.2.3.4:4433", "relay"))
	c := w.open(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	save(t, c)
	if _, err := os.Stat(path); err == nil {
		t.Error("the file was written although nothing had changed")
	}
	w.now = w.now.Add(time.Second)
	save(t, c, entry("1.2.3.4:4433", "relay"))
	wantAddrs(t, w.open(t, path), "1.2.3.4:4433")

	c = w.open(t, filepath.Join(t.TempDir(), "no folder", "peers.json"))
	if err := c.Save([]Entry{entry("1.2.3.4:4433", "relay")}); err == nil {
		t.Error("a file that cannot be written: got no error")
	}
	wantAddrs(t, c, "1.2.3.4:4433")
}

func TestCacheWithoutFile(t *testing.T) {
	w := newWorld()
	c := w.open(t, "")
	save(t, c, entry("1.2.3.4:4433", "relay"))
	wantAddrs(t, c, "1.2.3.4:4433")
}

// Whoever is told may stop listening.
func TestCacheStopsReporting(t *testing.T) {
	w := newWorld()
	c := w.open(t, "")
	save(t, c, entry("1.2.3.4:4433", "relay"), entry("1.2.3.5:4433", "relay"))
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	if err := c.Run(ctx, func(Found) { n++; cancel() }); err != nil || n != 1 {
		t.Errorf("got %v after %d, want one and nil", err, n)
	}
}

func FuzzCacheFile(f *testing.F) {
	f.Add([]byte(`{"peers":[{"addr":"1.2.3.4:4433","node":"` + strings.Repeat("a", 52) + `","role":"relay","seen":"2026-01-02T15:04:05Z"},` +
		`{"addr":"[fe80::1%eth0]:1","role":"viewer","seen":"2026-01-02T15:04:05.5+01:00","network":"none"}],"uplinks":[{"network":"x","bps":1,"seen":"2026-01-02T15:04:05Z"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c, again Cache
		if c.parse(text) != nil {
			if len(c.entries)+len(c.uplinks) > 0 {
				t.Error("something of a damaged file counts")
			}
			return
		}
		once, err := c.marshal()
		if err != nil {
			return // a year that JSON cannot say
		}
		if err := again.parse(once); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once)
		}
		if twice, err := again.marshal(); err != nil || string(twice) != string(once) {
			t.Errorf("%v; written again as\n%s, want\n%s", err, twice, once)
		}
	})
}
