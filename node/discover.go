package node

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"tailcast/discovery"
	"tailcast/discovery/lan"
	"tailcast/feed"
	"tailcast/internal/durable"
	"tailcast/swarm"
)

// What the next run should know is noticed every few seconds, since in the end there may be nobody left, and saved every minute.
const (
	noticeTime   = 5 * time.Second
	rememberTime = time.Minute
)

// discover is how a channel finds nodes besides those that the link names, and what is kept about them for the next run. It outlives the swarms of a
// channel that is paused and resumed; one of them runs at a time, and so do the sources.
type discover struct {
	cache   *discovery.Cache
	sources []discovery.Source
	looking string // where, in words; empty: nowhere
	role    Role
	log     *slog.Logger

	known []swarm.Contact // since the last saving; owned by remember
}

// newDiscover decides where a channel looks. A streamer waits to be found; its cache has the uplink alone, nobody's address.
func (h *Host) newDiscover(cfg ChannelConfig) *discover {
	d := &discover{role: h.cfg.Role, log: h.cfg.Logger}
	d.cache = d.openCache(h.cfg.Flags.Data, cfg.Replica.Root())
	if d.role != Streamer {
		d.sources = append(d.sources, d.cache)
	}
	here := !h.cfg.Flags.NoLAN && !h.endpoint.Addr().Addr().Unmap().IsLoopback()
	if here {
		d.sources = append(d.sources, h.newLAN(cfg))
	}
	switch {
	case d.role == Streamer:
	case here:
		d.looking = "for others who watch this channel on this network"
	case d.cache.Len() > 0:
		d.looking = "for those who were there the last time"
	}
	return d
}

func (h *Host) newLAN(cfg ChannelConfig) *lan.Source {
	root, key, role := cfg.Replica.Root(), h.endpoint.Node(), h.cfg.Role
	return lan.New(lan.Config{
		Root: root[:], Node: key[:], Listen: h.endpoint.Addr(), Announce: announcement(role, cfg.NoShare), NoLook: role == Streamer,
		Logger: h.cfg.Logger,
	})
}

// dialable decides about addresses that peers name: by is where we see the peer.
func (h *Host) dialable(addr netip.AddrPort, by netip.Addr) bool {
	return discovery.ScopeOf(h.endpoint.Addr().Addr(), by).Dialable(addr) == nil
}

func announcement(role Role, noShare bool) lan.Announce {
	switch {
	case noShare:
		return lan.Never
	case role == Viewer:
		return lan.IfFew
	}
	return lan.Always
}

// openCache opens the file of a channel in the data directory. Without it a node works as at its first start.
func (d *discover) openCache(data string, root feed.PublicKey) *discovery.Cache {
	var cfg discovery.CacheConfig
	if data != "" {
		folder := filepath.Join(data, "peers")
		if err := durable.MkdirAll(folder, 0o700); err != nil {
			d.log.Warn("peers are not kept for the next run", "error", err)
		} else {
			cfg.Path = filepath.Join(folder, root.String()+".json")
		}
	}
	cache, err := discovery.OpenCache(cfg)
	if err != nil {
		d.log.Warn("starting without the peers of the last run", "error", err)
	}
	return cache
}

// remember keeps what the swarm has learned, also when ctx ends.
func (d *discover) remember(ctx context.Context, status func() swarm.Status) error {
	notice, save := time.NewTicker(noticeTime), time.NewTicker(rememberTime)
	defer notice.Stop()
	defer save.Stop()
	for {
		select {
		case <-notice.C:
			d.notice(status())
		case <-save.C:
			d.save()
		case <-ctx.Done():
			d.notice(status())
			d.save()
			return ctx.Err()
		}
	}
}

// notice keeps what a swarm knows now. What the uplink carries is there for the next swarm, which may be one of this run.
func (d *discover) notice(s swarm.Status) {
	if len(s.Known) > 0 {
		d.known = s.Known
	}
	d.cache.SetUplink(s.Measured)
}

func (d *discover) save() {
	var good []discovery.Entry
	for _, c := range d.known {
		addr, err := netip.ParseAddrPort(c.Addr)
		if err != nil || d.role == Streamer {
			continue // a name is in the link, which is there the next time too
		}
		good = append(good, discovery.Entry{Addr: addr, Node: c.Node[:], Role: c.Role.String()})
	}
	if err := d.cache.Save(good); err != nil {
		d.log.Warn("the next run will not know today's peers", "error", err)
	}
	d.known = nil
}
