package swarm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/internal/netsim"
	"tailcast/quicwire"
)

// A stream is what a source signs: blocks of one size, evenly.
type stream struct {
	rate    int // bits of payload per second
	block   int // bytes of payload
	stripes int
}

// gap returns the time from one block to the next.
func (s stream) gap() time.Duration {
	return time.Duration(float64(8*s.block) / float64(s.rate) * float64(time.Second))
}

// A crowd is a source and its viewers, in virtual time. Viewers know nothing but the address of the source.
type crowd struct {
	*world
	stream  stream
	source  *node
	host    place // of source
	viewers []*watching
	ticket  *ticket
}

// A crowdConfig says who takes part.
type crowdConfig struct {
	stream stream
	source netsim.Link
	copies int
	mix    []float64 // uplinks of viewers in streams, one after the other and again; 0: shares nothing
	guess  bool      // viewers do not know their uplinks
	net    netsim.Config
	viewer Config // of all viewers
}

// A ticket remembers when which block was signed.
type ticket struct {
	mu     sync.Mutex // guards signed
	signed []time.Time
}

func (k *ticket) stamp(i uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i == uint64(len(k.signed)) {
		k.signed = append(k.signed, time.Now())
	}
}

// A watching is a viewer, and when which block was there.
type watching struct {
	*node
	host   place
	uplink int // bits per second
	joined time.Time

	mu sync.Mutex // guards at
	at []time.Time
}

// newCrowd starts a source.
func (w *world) newCrowd(cfg crowdConfig) *crowd {
	w.t.Helper()
	w.net = netsim.New(w.t, cfg.net)
	c := &crowd{world: w, stream: cfg.stream, ticket: new(ticket)}
	replica, err := feed.Open(w.station.Root(), feed.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	writer, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: w.station})
	if err != nil {
		w.t.Fatal(err)
	}
	s := cfg.stream
	state := feed.State{Title: "Test", Renditions: []feed.Rendition{{Name: feedtest.Rendition, Stripes: s.stripes, Bitrate: int64(s.rate)}}}
	if err := writer.SetState(state); err != nil {
		w.t.Fatal(err)
	}
	log, err := writer.Log(feedtest.Rendition)
	if err != nil {
		w.t.Fatal(err)
	}
	c.host = w.place(cfg.source)
	c.source = start(w.t, "source", c.host, replica, Config{Role: quicwire.Streamer, Copies: cfg.copies, Known: uint64(env("KNOWN", 0)), Up: uint64(env("UP", 0))})
	c.source.also(func(ctx context.Context) { writer.Run(ctx) })
	c.source.also(func(ctx context.Context) { c.air(ctx, log) })
	return c
}

// air signs blocks until ctx ends.
func (c *crowd) air(ctx context.Context, log *feed.LogWriter) {
	tick := time.NewTicker(c.stream.gap())
	defer tick.Stop()
	var segment time.Time
	for i := uint64(0); ; i++ {
		var flags feed.Flags
		if now := time.Now(); now.Sub(segment) >= time.Second {
			segment, flags = now, feed.SegmentFirst|feed.RandomAccess
		}
		c.ticket.stamp(i)
		if _, err := log.Append(feed.Entry{Kind: feed.Media, Flags: flags, Payload: feedtest.Payload(i, c.stream.block)}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// join lets n viewers come, spread over some time.
func (c *crowd) join(cfg crowdConfig, n int, over time.Duration) {
	c.t.Helper()
	random := rand.New(rand.NewPCG(cfg.net.Seed, 9))
	for k := range n {
		times := cfg.mix[k%len(cfg.mix)]
		link := netsim.Link{
			Up: max(int(times*float64(cfg.stream.rate)), cfg.stream.rate/4), Down: 4 * cfg.stream.rate, X: random.Float64(), Y: random.Float64(),
		}
		vcfg := cfg.viewer
		vcfg.NoShare = vcfg.NoShare || times == 0
		if !cfg.guess && times > 0 {
			vcfg.Known = uint64(link.Up)
		}
		c.watch(fmt.Sprint("viewer ", len(c.viewers)), link, vcfg)
		pass(over / time.Duration(n))
	}
}

// watch starts a viewer.
func (c *crowd) watch(name string, link netsim.Link, cfg Config) *watching {
	c.t.Helper()
	v := &watching{host: c.place(link), uplink: link.Up, joined: time.Now()}
	v.node = c.viewer(name, v.host, cfg, c.host)
	v.also(v.run)
	c.viewers = append(c.viewers, v)
	return v
}

// run notes when blocks are there.
func (v *watching) run(ctx context.Context) {
	var l *feed.Log
	var pending []uint64
	for next := uint64(0); ; {
		changed := v.replica.Changed()
		if l == nil {
			l = v.media()
		}
		if l != nil {
			head := l.Head().Size
			if next == 0 {
				next = l.Base()
			}
			for ; next < head; next++ {
				pending = append(pending, next)
			}
			v.note(l, &pending)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (v *watching) note(l *feed.Log, pending *[]uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*pending = slices.DeleteFunc(*pending, func(i uint64) bool {
		if !l.Has(i) {
			return false
		}
		for uint64(len(v.at)) <= i {
			v.at = append(v.at, time.Time{})
		}
		v.at[i] = time.Now()
		return true
	})
}

// A figures is what a crowd did in a while.
type figures struct {
	egress     float64 // bytes on the wire of the source by payload
	lags       []time.Duration
	missed     [3]int // after 1, 2, 5 s
	wanted     int
	duplicates uint64
}

func (f *figures) lag(q float64) time.Duration {
	if len(f.lags) == 0 {
		return 0
	}
	return f.lags[min(len(f.lags)-1, int(q*float64(len(f.lags))))]
}

func (f *figures) String() string {
	return fmt.Sprintf("egress %.2f lag %v/%v/%v missed %v of %d", f.egress, f.lag(.5), f.lag(.99), f.lag(1), f.missed, f.wanted)
}

// measure measures for so long.
func (c *crowd) measure(d time.Duration) *figures {
	from := time.Now()
	sent := c.host.Sent()
	pass(d)
	f := new(figures)
	payload := 0
	for _, at := range c.ticket.signed {
		if !at.Before(from) {
			payload += c.stream.block
		}
	}
	f.egress = float64(c.host.Sent().Bytes-sent.Bytes) / float64(payload)
	to := time.Now()
	pass(2500 * time.Millisecond)
	for _, v := range c.viewers {
		v.mu.Lock()
		for i, at := range c.ticket.signed {
			if at.Before(from) || !at.Before(to) {
				continue
			}
			f.wanted++
			lag := time.Hour
			if i < len(v.at) && !v.at[i].IsZero() {
				lag = v.at[i].Sub(at)
			}
			f.lags = append(f.lags, lag)
			for k, late := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second} {
				if lag > late {
					f.missed[k]++
				}
			}
		}
		v.mu.Unlock()
	}
	slices.Sort(f.lags)
	return f
}

func env(name string, or float64) float64 {
	if v := os.Getenv(name); v != "" {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			panic(err)
		}
		return f
	}
	return or
}

func TestTry(t *testing.T) {
	n := int(env("N", 8))
	for seed := range int(env("SEEDS", 1)) {
		simulate(t, func(t *testing.T, w *world) {
			begun := w.real()
			cfg := crowdConfig{
				stream: stream{int(env("RATE", 4e6)), int(env("BLOCK", 8192)), int(env("S", 16))}, source: netsim.Link{Up: int(env("SRC", 1e7))},
				mix: []float64{2, .5, 2, 10, 0, 2, .5, 2, 2, .5},
				net: netsim.Config{Latency: 10 * time.Millisecond, Spread: 50 * time.Millisecond, Seed: uint64(seed), Loss: env("LOSS", 0)},
			}
			if m := env("MIX", -1); m >= 0 {
				cfg.mix = []float64{m}
			}
			cfg.copies = int(env("COPIES", 0))
			if env("PLAIN", 0) > 0 {
				cfg.copies, cfg.viewer.NoShare = n, true
			}
			cfg.guess = env("GUESS", 0) > 0
			c := w.newCrowd(cfg)
			c.join(cfg, n, time.Duration(env("JOIN", 2)*1e9))
			if env("V", 0) > 1 {
				for range 12 {
					pass(500 * time.Millisecond)
					fmt.Printf("%s backlog %v queued %.0f inflight %d used %d/%d est %.1f:", time.Now().Format("05.000"), c.source.swarm.mesh.up.backlog(), c.source.swarm.mesh.up.queued, c.source.swarm.mesh.up.inflight, c.source.swarm.mesh.used(), c.source.swarm.mesh.slots(), c.source.swarm.mesh.up.est*8e-6)
					for _, p := range c.source.swarm.mesh.peers {
						st := c.source.swarm.sessions[p.id].wire.Stats()
						fmt.Printf(" %s inflight %d stalled %d rtt %v/%v lost %d of %d cwnd %d|", p.addr, p.inflight, len(p.stalled), p.rtt, p.minRTT, st.PacketsLost, st.PacketsSent, st.Window)
					}
					fmt.Println()
				}
			}
			pass(time.Duration(env("WARM", 4) * 1e9))
			if o := env("OUT", 0); o > 0 {
				host := c.host
				if i := int(env("WHO", -1)); i >= 0 {
					host = c.viewers[i].host
				}
				host.Cut(true)
				pass(time.Duration(o * 1e9))
				host.Cut(false)
				for range 20 {
					pass(500 * time.Millisecond)
					m := c.source.swarm.mesh
					if i := int(env("WHO", -1)); i >= 0 {
						m = c.viewers[i].swarm.mesh
					}
					fmt.Printf("%s est %.2f backlog %v used %d peers %d; sizes behind", time.Now().Format("05.000"), m.up.est*8e-6, m.up.backlog(), m.used(), len(m.peers))
					for _, v := range c.viewers {
						fmt.Printf(" %d", c.source.size()-v.size())
					}
					fmt.Println()
				}
			}
			if env("V", 0) == 3 {
				for _, v := range c.viewers {
					m := v.swarm.mesh
					fmt.Printf("%s %x\n", v.name, m.cfg.Self)
					for _, p := range m.peers {
						cl := p.claimOf(quicwire.LogID{Epoch: m.run.epoch.ID, Name: feedtest.Rendition})
						fmt.Printf("   %s role %v mute %v refused in %v (%d) fails %d deaf %v leaving %v rtt %v slots %d", p.addr, p.role, p.mute, p.refused.Sub(m.now), p.refusal, p.fails, p.deaf.Sub(m.now), p.leaving, p.rtt, p.slots)
						if cl != nil {
							fmt.Printf(" lags %v homes %x waiting %x retry %v", cl.lags, cl.homes, cl.waiting, cl.retry.Sub(m.now))
						}
						fmt.Println()
					}
					for _, f := range m.run.logs {
						fmt.Printf("   %s holes %d edge %d:", f.log.Name, len(f.holes), f.edge)
						for i := range f.stripes {
							s := &f.stripes[i]
							if s.parent != nil {
								fmt.Printf(" %s", s.parent.addr[4:5])
								if s.dry {
									fmt.Print("dry")
								}
							} else {
								fmt.Printf(" none(%v)", m.now.Sub(s.lost))
							}
							if s.pending != nil {
								fmt.Printf("<%s", s.pending.addr[4:5])
							}
							if s.home {
								fmt.Printf("h%d", len(s.children))
							}
						}
						fmt.Println()
					}
				}
				fmt.Println("source")
				m := c.source.swarm.mesh
				for k, until := range m.source.out {
					fmt.Printf("  out %x %v\n", quicwire.ShortIDOf(k), until.Sub(m.now))
				}
				for _, f := range m.own.logs {
					for i := range f.stripes {
						s := &f.stripes[i]
						fmt.Printf(" %d children, %d wait, suspect %v|", s.count(), len(s.waiting), s.suspect)
					}
					fmt.Println()
				}
			}
			f := c.measure(time.Duration(env("DUR", 6) * 1e9))
			var b Blocks
			for _, v := range c.viewers {
				x := v.swarm.Status().Blocks
				b.Verified += x.Verified
				b.Duplicate += x.Duplicate
				b.Repaired += x.Repaired
				b.Missed += x.Missed
				b.Rejected += x.Rejected
			}
			t.Logf("%d viewers: %v blocks %+v; %v real", n, f, b, w.real()-begun)
			if env("V", 0) > 0 {
				for _, v := range c.viewers {
					st := v.swarm.Status()
					t.Logf("%s up %d: %v slots %d/%d missing %d children %d uplink %d blocks %+v lag %v/%v sent %d", v.name, v.uplink, st.State, st.Used, st.Slots, st.Missing, st.Children, st.Uplink, st.Blocks, st.LagP50, st.LagP99, v.host.Sent().Bytes)
				}
			}
		})
	}
}

func (w *world) real() time.Duration {
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}
