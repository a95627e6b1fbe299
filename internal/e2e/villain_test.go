package e2e

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"tailcast/feed"
	"tailcast/internal/command"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// The test binary is also a hostile node: under the name "villain" it takes part in a channel as a process of its own, by the link alone.
// It has two faces. With one it follows the channel as an honest viewer that shares nothing, so that it has what it needs; with the other it
// dials everybody of whom the first one hears, poses as a relay with much room and no delay, and does harm:
//
//	flip      pushes blocks of which each eighth has one bit of its payload changed
//	withhold  takes every subscription on, and never sends the blocks of stripe 0, nor repairs
//	flood     sends SUBs and REQs, to one half of its peers more than is allowed, to the other half nearly as much
//
// GET /report tells whom it met, and how that ended.
type villain struct {
	kind     string
	replica  *feed.Replica
	honest   *swarm.Swarm
	endpoint *quicwire.Endpoint
	running  sync.WaitGroup

	mu    sync.Mutex
	met   map[string]*meeting
	known map[string]time.Time // addresses, and when each was dialled last
}

// A meeting is what a villain did to the node at one address.
type meeting struct {
	Sessions int
	Open     bool
	Subs     int            // that it took on for all stripes, or for the one that it withholds
	Flipped  int            // blocks sent with a wrong bit
	Asked    int            // SUBs and REQs sent by one that floods
	Ended    map[string]int // sessions that the other one ended, by the name of the code
}

// villainMain is main of a hostile process.
func villainMain(args []string) int {
	if err := runVillain(args); err != nil {
		fmt.Fprintln(os.Stderr, "villain:", err)
		return 1
	}
	return 0
}

func runVillain(args []string) error {
	flags := flag.NewFlagSet("villain", flag.ContinueOnError)
	kind, text := flags.String("kind", "", "flip, withhold or flood"), flags.String("link", "", "of the channel")
	listen, face := flags.String("listen", "", "UDP address"), flags.String("http", "", "TCP address of the report")
	flags.Bool("json", true, "as the commands have it")
	flags.String("log-format", "text", "likewise")
	if err := flags.Parse(args); err != nil {
		return err
	}
	link, err := feed.ParseLink(*text)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	v := &villain{kind: *kind, met: make(map[string]*meeting), known: make(map[string]time.Time)}
	if v.replica, err = feed.Open(link.Root, feed.Config{}); err != nil {
		return err
	}
	defer v.replica.Close()
	innocent, err := openEndpoint("127.0.0.1:0", nil)
	if err != nil {
		return err
	}
	defer innocent.Close()
	if v.endpoint, err = openEndpoint(*listen, nil); err != nil {
		return err
	}
	v.honest = swarm.New(swarm.Config{Endpoint: innocent, Replica: v.replica, NoShare: true, Anchors: link.Anchors, Logger: slog.New(slog.DiscardHandler)})
	page, err := net.Listen("tcp", *face)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(v.report), ReadHeaderTimeout: time.Second}
	v.running.Go(func() { _ = server.Serve(page) })
	v.running.Go(func() { _ = v.honest.Run(ctx) })
	v.running.Go(func() { v.accept(ctx) })
	v.running.Go(func() { v.dialAll(ctx) })
	ready := command.Ready{Event: "ready", Role: "villain", HTTP: "http://" + page.Addr().String(), Listen: []string{v.endpoint.Addr().String()}}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	<-ctx.Done()
	v.endpoint.Close()
	server.Close()
	v.running.Wait()
	return nil
}

// openEndpoint listens there. If now is nil, time.Now.
func openEndpoint(listen string, now func() time.Time) (*quicwire.Endpoint, error) {
	conn, err := net.ListenPacket("udp", listen)
	if err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return quicwire.New(quicwire.Config{Conn: conn, Key: key, Now: now, Logger: slog.New(slog.DiscardHandler)})
}

func (v *villain) report(w http.ResponseWriter, _ *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = json.NewEncoder(w).Encode(v.met)
}

// note changes what is told of the node at addr.
func (v *villain) note(addr string, change func(*meeting)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := v.met[addr]
	if m == nil {
		m = &meeting{Ended: make(map[string]int)}
		v.met[addr] = m
	}
	change(m)
}

// hello boasts.
func (v *villain) hello() quicwire.Hello {
	return quicwire.Hello{Role: quicwire.Relay, Notes: v.replica.Notes(), Limits: quicwire.Limits{Slots: 1000, Uplink: 100e6, Ranges: 4}}
}

func (v *villain) accept(ctx context.Context) {
	defer v.endpoint.Register(v.replica.Root(), v.hello)()
	for {
		s, err := v.endpoint.Accept(ctx)
		if err != nil {
			return
		}
		v.running.Go(func() { v.meet(ctx, s) })
	}
}

// redial is how long a node that threw a villain out is left alone by it.
const redial = 2 * time.Second

// dialAll dials all nodes of the channel that it hears of, and again those that do not want it.
func (v *villain) dialAll(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, p := range v.honest.Status().Peers {
			v.learn(p.Addr)
		}
		for _, addr := range v.due() {
			v.running.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
				s, err := v.endpoint.Dial(ctx, v.replica.Root(), addr, nil, v.hello())
				cancel()
				if err == nil {
					v.meet(context.WithoutCancel(ctx), s)
				}
			})
		}
	}
}

func (v *villain) learn(addr string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.known[addr]; !ok {
		v.known[addr] = time.Time{}
	}
}

// due returns whom to dial now. Before there is a programme it has nothing to offer.
func (v *villain) due() (list []string) {
	if _, err := v.media(); err != nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for addr, last := range v.known {
		if m := v.met[addr]; time.Since(last) > redial && (m == nil || !m.Open) {
			v.known[addr] = time.Now()
			list = append(list, addr)
		}
	}
	return list
}

// media returns the rendition of the newest epoch, once there is something of it.
func (v *villain) media() (*feed.Log, error) {
	e := v.replica.Current()
	if e == nil {
		return nil, errors.New("no epoch")
	}
	state, ok := e.State()
	if !ok {
		return nil, errors.New("no programme")
	}
	l, err := e.Log(state.Renditions[0].Name)
	if err == nil && l.Head().Size == 0 {
		err = errors.New("no block")
	}
	return l, err
}

// meet is a session, until it ends: every node has one address, whoever dialled.
func (v *villain) meet(ctx context.Context, s *quicwire.Session) {
	addr := s.Addr().String()
	v.note(addr, func(m *meeting) { m.Sessions++; m.Open = true })
	var all sync.WaitGroup
	all.Go(func() { v.boast(s) })
	all.Go(func() { drain(s) })
	if v.kind == "flood" {
		all.Go(func() { v.flood(s, addr) })
	}
	v.answer(ctx, s, addr, &all)
	all.Wait()
	v.note(addr, func(m *meeting) {
		m.Open = false
		if e := (*quicwire.Error)(nil); errors.As(s.Err(), &e) && e.Remote {
			m.Ended[e.Code.String()]++
		}
	})
}

// drain takes what is sent, and gives no range.
func drain(s *quicwire.Session) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		for {
			q, err := s.AcceptFetch(context.Background())
			if err != nil {
				return
			}
			if _, err := q.Read(); err == nil {
				_ = q.Refuse(quicwire.RangeRefused{Reason: quicwire.RefusedBusy, Retry: time.Second})
			}
		}
	})
	for {
		r, err := s.AcceptStripe(context.Background())
		if err != nil {
			return
		}
		r.Reset(quicwire.StreamDone)
	}
}

// boast says that all is here at once, and that there is room for everybody.
func (v *villain) boast(s *quicwire.Session) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	shown := v.replica.Notes()
	for {
		if now := v.replica.Notes(); string(now.Epoch) != string(shown.Epoch) {
			shown = now
			_ = s.Send(&quicwire.Notes{Notes: now})
		}
		if e := v.replica.Current(); e != nil {
			for _, l := range e.Logs() {
				if l.Head().Size > 0 {
					_ = s.Send(v.claim(e, l))
				}
			}
		}
		select {
		case <-tick.C:
		case <-s.Done():
			return
		}
	}
}

func (v *villain) claim(e *feed.Epoch, l *feed.Log) *quicwire.Status {
	h, stripes := l.Head(), stripesOf(e, l.Name())
	return &quicwire.Status{
		Log: quicwire.LogID{Epoch: e.ID(), Name: l.Name()}, Size: h.Size, Lags: make([]time.Duration, stripes), Homes: 1<<stripes - 1, Slots: 1000,
		Signed: &quicwire.SignedRoot{Root: h.Root, Signature: h.Signature},
	}
}

func stripesOf(e *feed.Epoch, name string) int {
	state, _ := e.State()
	for _, r := range state.Renditions {
		if r.Name == name {
			return r.Stripes
		}
	}
	return 1
}

// answer takes in messages until the session ends.
func (v *villain) answer(ctx context.Context, s *quicwire.Session, addr string, all *sync.WaitGroup) {
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			s.Close(quicwire.CodeDone, "")
			return
		}
		switch m := m.(type) {
		case *quicwire.Pex:
			for _, p := range m.Peers {
				v.learn(p.Addr.String())
			}
		case *quicwire.Ping:
			if l := v.log(m.Log); l != nil {
				_ = s.Send(&quicwire.Pong{ID: m.ID, Log: m.Log, Stripe: m.Stripe, Flows: true, Has: true, Next: l.Head().Size + 1})
			}
		case *quicwire.Sub:
			v.subscribed(s, m, addr, all)
		case *quicwire.Req:
			if l := v.log(m.Log); l != nil && v.kind == "flip" {
				all.Go(func() { v.repair(s, l, m, addr) })
			} else if v.kind == "flood" {
				_ = s.Send(&quicwire.Nack{ID: m.ID, Log: m.Log, Reason: quicwire.RefusedBusy, Blocks: m.Blocks})
			} // who withholds says nothing
		}
	}
}

func (v *villain) log(id quicwire.LogID) *feed.Log {
	e := v.replica.Epoch(id.Epoch)
	if e == nil {
		return nil
	}
	l, err := e.Log(id.Name)
	if err != nil {
		return nil
	}
	return l
}

func (v *villain) subscribed(s *quicwire.Session, m *quicwire.Sub, addr string, all *sync.WaitGroup) {
	l := v.log(m.Log)
	if l == nil || v.kind == "flood" {
		_ = s.Send(&quicwire.SubNo{Log: m.Log, Stripe: m.Stripe, Reason: quicwire.RefusedBusy, Retry: time.Second})
		return
	}
	first, _ := l.NewestSegment()
	if m.Start == quicwire.StartIndex {
		first = m.From
	}
	n := uint64(m.Stripes)
	first += (uint64(m.Stripe) + n - first%n) % n
	_ = s.Send(&quicwire.SubOK{Log: m.Log, Stripe: m.Stripe, First: first})
	if v.kind == "withhold" && m.Stripe == 0 && m.Log.Name != feed.CatalogLog {
		v.note(addr, func(m *meeting) { m.Subs++ })
		return
	}
	if v.kind == "flip" {
		v.note(addr, func(m *meeting) { m.Subs++ })
	}
	all.Go(func() { v.push(s, l, m, first, addr) })
}

// push sends a stripe, as the villain likes.
func (v *villain) push(s *quicwire.Session, l *feed.Log, m *quicwire.Sub, i uint64, addr string) {
	var out *quicwire.StripeWriter
	for n := 1; ; i, n = i+uint64(m.Stripes), n+1 {
		for changed := l.Changed(); !l.Has(i); changed = l.Changed() {
			select {
			case <-changed:
			case <-s.Done():
				return
			}
		}
		b, err := proved(l, i)
		if err != nil {
			return
		}
		if out == nil || out.Header().Segment != b.Record.Segment {
			h := quicwire.StripeHeader{Log: m.Log, Stripe: m.Stripe, Stripes: m.Stripes, Segment: b.Record.Segment, First: i}
			if out != nil {
				out.Close()
			}
			if out, err = s.OpenStripe(h); err != nil {
				return
			}
		}
		if v.write(s, out, &b, n%8 == 0, addr) != nil {
			return
		}
	}
}

// write sends a block, with a wrong bit if that is due.
func (v *villain) write(s *quicwire.Session, out *quicwire.StripeWriter, b *quicwire.StripeBlock, due bool, addr string) error {
	flip := v.kind == "flip" && due && len(b.Payload) > 0 && s.Err() == nil
	if flip {
		b.Payload = append([]byte{}, b.Payload...)
		b.Payload[len(b.Payload)/2] ^= 4
	}
	err := out.WriteBlock(b, time.Time{})
	if flip && err == nil {
		v.note(addr, func(m *meeting) { m.Flipped++ })
	}
	return err
}

// repair answers a REQ: each time the last block is wrong.
func (v *villain) repair(s *quicwire.Session, l *feed.Log, m *quicwire.Req, addr string) {
	var out *quicwire.StripeWriter
	for k, i := range m.Blocks {
		b, err := proved(l, i)
		if err != nil {
			continue
		}
		if out == nil {
			if out, err = s.OpenStripe(quicwire.StripeHeader{Log: m.Log, Repair: true, Request: m.ID, First: i}); err != nil {
				return
			}
		}
		if v.write(s, out, &b, k == len(m.Blocks)-1, addr) != nil {
			return
		}
	}
	if out != nil {
		out.Close()
	}
}

// proved returns a block with what proves it.
func proved(l *feed.Log, i uint64) (b quicwire.StripeBlock, err error) {
	if b.Block, err = l.Block(i); err != nil {
		return b, err
	}
	b.Frontier, err = l.Frontier(i)
	return b, err
}

// flood asks for everything, all the time: in odd sessions more than is allowed, which ends them, in even ones nearly as much.
func (v *villain) flood(s *quicwire.Session, addr string) {
	wild := false
	v.note(addr, func(m *meeting) { wild = m.Sessions%2 == 1 })
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for id := uint64(1); ; {
		subs, reqs := 3, 6 // of 32 and 64 a second
		if wild {
			subs, reqs = 100, 200
		}
		if l, err := v.media(); err == nil {
			e := v.replica.Current()
			log, size, stripes := quicwire.LogID{Epoch: e.ID(), Name: l.Name()}, l.Head().Size, stripesOf(e, l.Name())
			for k := range subs {
				_ = s.Send(&quicwire.Sub{Log: log, Stripe: uint8(k % stripes), Stripes: uint8(stripes), Urgent: true, Patience: time.Second})
			}
			for k := range reqs {
				_ = s.Send(&quicwire.Req{ID: id, Log: log, Orphan: true, Starting: true, Deadline: time.Second, Blocks: []uint64{size - min(size, uint64(1+k))}})
				id++
			}
			v.note(addr, func(m *meeting) { m.Asked += subs + reqs })
		}
		select {
		case <-tick.C:
		case <-s.Done():
			return
		}
	}
}
