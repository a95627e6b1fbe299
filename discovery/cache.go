package discovery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"tailcast/internal/durable"
)

const (
	maxEntries = 64
	maxUplinks = 8
	maxAge     = 14 * 24 * time.Hour // addresses are given to others sooner or later
)

// An Entry is a node that was there.
type Entry struct {
	Addr netip.AddrPort
	Node []byte    // Ed25519 public key, 32 bytes; nil if it has another one by now, as viewers do after each start
	Role string    // as status shows it
	Seen time.Time // when it was last good for something

	network string // where Addr means something; empty: everywhere
}

// A Cache remembers across runs who was there the last time, and what the uplink carried. It is the file that cachefile.go describes, one for
// each channel. As a Source it reports who can be reached from the network that this machine is on now.
type Cache struct {
	cfg CacheConfig

	mu      sync.Mutex
	entries []Entry  // newest first, addresses distinct
	uplinks []uplink // newest first, networks distinct
	text    []byte   // of the file, as far as we know
}

// An uplink is what was sent per second from a network.
type uplink struct {
	network string
	rate    uint64 // bits per second
	seen    time.Time
}

// A CacheConfig says what a Cache works with.
type CacheConfig struct {
	Path    string           // of the file; its folder must exist. If empty, nothing outlives the process
	Network func() string    // If nil, NetworkName
	Now     func() time.Time // If nil, time.Now
}

// OpenCache reads the file. The Cache is good in any case: an error says that the file could not be used, and that the next Save replaces it.
func OpenCache(cfg CacheConfig) (*Cache, error) {
	if cfg.Network == nil {
		cfg.Network = NetworkName
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cache{cfg: cfg}
	if cfg.Path == "" {
		return c, nil
	}
	text, err := readFile(cfg.Path)
	if err == nil {
		err = c.parse(text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("couldn't read the peers of the last run, %s will be written anew: %w", cfg.Path, err)
	}
	c.expire(cfg.Now())
	return c, nil
}

// readFile reads no more than we write: the file may be anything.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	return text, err
}

// Save puts those that are good now, best first, before those that were, and writes the file if that changes it. Of all only the newest 64
// stay. Entries without Seen were seen just now.
func (c *Cache) Save(now []Entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	network, clock := c.cfg.Network(), c.cfg.Now()
	var all []Entry
	for _, e := range now {
		all = append(all, e.stamped(network, clock))
	}
	c.entries = distinct(append(all, c.entries...))
	c.expire(clock)
	return c.write()
}

// stamped fills in when and where e was seen, and leaves out a key that is of no use later.
func (e Entry) stamped(network string, now time.Time) Entry {
	if e.Seen.IsZero() {
		e.Seen = now
	}
	if !keepsKey(e.Role) {
		e.Node = nil
	}
	e.Addr = netip.AddrPortFrom(e.Addr.Addr().Unmap(), e.Addr.Port())
	if !isA(public, e.Addr.Addr()) {
		e.network = cmp.Or(network, "none")
	}
	return e
}

// keepsKey reports whether nodes of a role have the same key again after a restart.
func keepsKey(role string) bool { return role == "streamer" || role == "relay" }

// distinct keeps the first of each address, and 64 of all; newest first, and of those that are equally new the order stays.
func distinct(list []Entry) []Entry {
	seen := map[netip.AddrPort]bool{}
	list = slices.DeleteFunc(list, func(e Entry) bool {
		again := seen[e.Addr] || !e.Addr.IsValid() || e.Addr.Port() == 0
		seen[e.Addr] = true
		return again
	})
	slices.SortStableFunc(list, func(a, b Entry) int { return b.Seen.Compare(a.Seen) })
	return list[:min(len(list), maxEntries)]
}

// expire drops what is too old; also what is as far ahead, since some clock was wrong then.
func (c *Cache) expire(now time.Time) {
	old := func(t time.Time) bool { return now.Sub(t).Abs() > maxAge }
	c.entries = slices.DeleteFunc(c.entries, func(e Entry) bool { return old(e.Seen) })
}

// write replaces the file by what is known now. A power cut leaves the old file or the new one.
func (c *Cache) write() error {
	text, err := c.marshal()
	if err != nil || bytes.Equal(text, c.text) || c.cfg.Path == "" {
		return err
	}
	if err := durable.WriteFile(c.cfg.Path, text, 0o600); err != nil {
		return fmt.Errorf("couldn't keep the peers for the next run: %w", err)
	}
	c.text = text
	return nil
}

// Run reports those who were there the last time, and waits until ctx ends. It implements Source.
func (c *Cache) Run(ctx context.Context, found func(Found)) error {
	for _, e := range c.here() {
		if ctx.Err() != nil {
			return nil
		}
		found(Found{Addr: e.Addr, Node: e.Node, LAN: e.network != ""})
	}
	<-ctx.Done()
	return nil
}

// Len is how many Run would report.
func (c *Cache) Len() int { return len(c.here()) }

// here returns those whose addresses mean something on this network: at a private one there is somebody else on another network.
func (c *Cache) here() []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	network := cmp.Or(c.cfg.Network(), "none")
	return slices.DeleteFunc(slices.Clone(c.entries), func(e Entry) bool { return e.network != "" && e.network != network })
}

// Uplink returns what SetUplink was told on this network last, in bits per second; 0 if never.
func (c *Cache) Uplink() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	network := c.cfg.Network()
	for _, u := range c.uplinks {
		if u.network == network {
			return u.rate
		}
	}
	return 0
}

// SetUplink remembers what the uplink of this network carries. The next Save writes it.
func (c *Cache) SetUplink(rate uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	network := c.cfg.Network()
	if rate == 0 || network == "" {
		return
	}
	others := slices.DeleteFunc(c.uplinks, func(u uplink) bool { return u.network == network })
	c.uplinks = append([]uplink{{network, rate, c.cfg.Now()}}, others...)
	c.uplinks = c.uplinks[:min(len(c.uplinks), maxUplinks)]
}
