// Package lan finds nodes of a channel on the local network, so that two viewers in one house or school fetch the stream once. It speaks DNS-SD
// (RFC 6763) over multicast DNS (RFC 6762); docs/discovery.md has the record.
//
// Everybody on the network can read an announcement. It holds neither link nor title nor the machine's name, but a tag: who knows the link can
// tell that it belongs to the channel, and others cannot even tell whether two announcements belong to one. That somebody watches something with
// Tailcast, they can tell. Nothing that is heard is believed: a node that is found must prove itself when it is dialled.
//
// A look asks once or twice, for some seconds, and is over: whoever comes later looks by himself and finds us, if we announce. Not all do. In a
// school a hundred viewers that ask a hundred that answer would be a storm, so a viewer that hears enough others keeps silent.
package lan

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"tailcast/discovery"
)

// An Announce says when a node announces itself.
type Announce uint8

// The choices.
const (
	IfFew  Announce = iota // unless eight others of its channel do
	Always                 // streamers and relays, which everybody should know
	Never                  // who serves nobody
)

const (
	enough     = 8               // nodes that announce themselves, for one channel on one network
	lookTime   = 5 * time.Second // zeroconf asks at once and again after 4 s
	lookSpread = 5 * time.Second // who starts at the same time announces himself at different ones, and so hears of others before
	pauseFew   = 2 * time.Minute // between looks while there are few others
	pauseMany  = 10 * time.Minute
	watchTime  = 10 * time.Second // between looks at our own interfaces
)

// A Config says who looks for whom.
type Config struct {
	Root     []byte         // root key of the channel, 32 bytes
	Node     []byte         // our node key, 32 bytes
	Listen   netip.AddrPort // where our QUIC socket is bound
	Announce Announce
	NoLook   bool // a streamer waits to be found

	// Interfaces lists those to use; it is called now and then. If nil, those that are up, know multicast and have a private address, but
	// loopback and tunnels.
	Interfaces func() ([]net.Interface, error)

	Logger *slog.Logger // If nil, slog.Default()
}

// A Source finds nodes on the local network, and lets us be found.
type Source struct {
	cfg   Config
	radio radio
}

var _ discovery.Source = (*Source)(nil)

// New returns a Source. Nothing is sent before Run.
func New(cfg Config) *Source {
	if cfg.Interfaces == nil {
		cfg.Interfaces = local(cfg.Listen.Addr().Unmap())
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Source{cfg, mdns{cfg.Listen}}
}

// Run announces us and looks for others until ctx ends. It goes on when interfaces come, change and go, and when there are none.
func (s *Source) Run(ctx context.Context, found func(discovery.Found)) error {
	r := run{Source: s, found: found, said: map[string]string{}}
	defer r.hush()
	for ctx.Err() == nil {
		r.arrive(r.interfaces())
		r.wait(ctx, r.round(ctx))
	}
	return nil
}

// A run is one Run. Its fields are owned by the goroutine that called it.
type run struct {
	*Source
	found func(discovery.Found)

	network network
	stop    func()            // ends our announcement; nil if there is none
	said    map[string]string // what was logged, and the last error that went with it
}

// interfaces returns what there is now; none if that cannot be told.
func (r *run) interfaces() network {
	all, err := r.cfg.Interfaces()
	if err != nil {
		r.complain("couldn't list the network interfaces", err)
		return network{}
	}
	return survey(all)
}

// arrive takes in where we are. On another network we have another name, so that nobody can follow us from one to the next.
func (r *run) arrive(n network) {
	if n.key != r.network.key {
		r.hush()
	}
	r.network = n
}

// round does what there is to do now, and returns after how long to do it again.
func (r *run) round(ctx context.Context) time.Duration {
	if r.cfg.Announce == Always {
		r.speak()
	}
	heard := r.look(ctx)
	if r.cfg.Announce == IfFew && heard < enough && ctx.Err() == nil && r.speak() {
		heard = r.look(ctx) // who started when we did had not announced himself yet
	}
	if heard < enough {
		return pauseFew
	}
	return pauseMany
}

// speak announces us on this network. It reports whether that is new.
func (r *run) speak() bool {
	if r.stop != nil || len(r.network.interfaces) == 0 {
		return false
	}
	stop, err := r.radio.announce(r.network.interfaces, newClaim(r.cfg.Root, r.cfg.Node))
	if err != nil {
		r.complain("couldn't announce this node on the local network", err)
		return false
	}
	r.stop = stop
	return true
}

// hush ends our announcement.
func (r *run) hush() {
	if r.stop != nil {
		r.stop()
	}
	r.stop = nil
}

// look reports who is on this network, and returns how many they are: all or, if they are enough, those that answered first.
func (r *run) look(ctx context.Context) int {
	if r.cfg.NoLook || len(r.network.interfaces) == 0 {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime+rand.N(lookSpread))
	defer cancel()
	s := r.sieve()
	queue := make(chan discovery.Found, maxNodes*maxAddrs) // all that a sieve lets through: found may wait, the radio may not
	done := make(chan error, 1)
	go func() {
		defer close(queue)
		answers := 0
		done <- r.radio.browse(ctx, r.network.interfaces, func(a answer) {
			for _, f := range s.take(a) {
				queue <- f
			}
			if answers++; len(s.nodes) >= enough || answers >= maxAnswers {
				cancel()
			}
		})
	}()
	for f := range queue {
		r.found(f)
	}
	if err := <-done; err != nil {
		r.complain("couldn't look for other nodes on the local network", err)
	}
	return len(s.nodes)
}

func (r *run) sieve() *sieve {
	scope := discovery.Network
	if r.cfg.Listen.Addr().Unmap().IsLoopback() {
		scope = discovery.Machine
	}
	return &sieve{r.cfg.Root, r.cfg.Node, scope, r.network.prefixes, map[[keySize]byte][]netip.AddrPort{}}
}

// wait returns after about pause, or when our interfaces are no longer what they were.
func (r *run) wait(ctx context.Context, pause time.Duration) {
	over := time.After(pause*4/5 + rand.N(pause*2/5))
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if r.interfaces().key != r.network.key {
				return
			}
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// complain logs a trouble once, until its reason is another one: without a local network everything else goes on.
func (r *run) complain(message string, err error) {
	if r.said[message] != err.Error() {
		r.said[message] = err.Error()
		r.cfg.Logger.Info(message, "error", err)
	}
}
