package swarm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/internal/netsim"
	"tailcast/quicwire"
)

// A villain is a peer that speaks the protocol and serves what a replica holds, but as the test likes.
type villain struct {
	endpoint *quicwire.Endpoint
	source   *feed.Replica
	mangle   func(*quicwire.StripeBlock) // before each block
	mute     bool                        // promises everything and pushes nothing
	says     func() []quicwire.Message   // to everybody, after some time
	after    time.Duration               // that time; if zero, a second
	running  sync.WaitGroup
	cancel   context.CancelFunc

	mu       sync.Mutex
	sessions int // ever
	forks    int // heads and proofs that it was shown
}

// villain starts one. It serves the epoch that is source's newest now, for ever.
func (w *world) villain(name string, at place, source *feed.Replica, v *villain) *villain {
	w.t.Helper()
	endpoint, err := quicwire.New(quicwire.Config{Conn: at, Key: testKey(name), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	v.endpoint, v.source = endpoint, source
	notes := feed.Notes{Channel: bytes.Clone(source.Notes().Channel), Epoch: bytes.Clone(source.Notes().Epoch)}
	epoch := source.Current()
	endpoint.Register(source.Root(), func() quicwire.Hello { return quicwire.Hello{Role: quicwire.Relay, Notes: notes} })
	var ctx context.Context
	ctx, v.cancel = context.WithCancel(context.Background())
	v.running.Go(func() {
		for {
			s, err := endpoint.Accept(ctx)
			if err != nil {
				return
			}
			v.mu.Lock()
			v.sessions++
			v.mu.Unlock()
			v.running.Go(func() { v.status(ctx, s, epoch) })
			v.running.Go(func() { v.answer(ctx, s, epoch) })
		}
	})
	w.t.Cleanup(v.stop)
	return v
}

func (v *villain) stop() {
	v.cancel()
	v.endpoint.Close()
	v.running.Wait()
}

// seen returns how many sessions there have been.
func (v *villain) seen() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sessions
}

// status praises what it has.
func (v *villain) status(ctx context.Context, s *quicwire.Session, e *feed.Epoch) {
	if v.says != nil {
		time.Sleep(cmp.Or(v.after, time.Second))
		for _, m := range v.says() {
			s.Send(m)
		}
	}
	for {
		for _, l := range e.Logs() {
			h := l.Head()
			stripes, _ := stripesOf(e, l.Name())
			s.Send(&quicwire.Status{
				Log: quicwire.LogID{Epoch: e.ID(), Name: l.Name()}, Size: h.Size, Lags: make([]time.Duration, stripes),
				Signed: &quicwire.SignedRoot{Root: h.Root, Signature: h.Signature},
			})
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-s.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

func (v *villain) answer(ctx context.Context, s *quicwire.Session, e *feed.Epoch) {
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *quicwire.Fork:
			v.mu.Lock()
			v.forks++
			v.mu.Unlock()
		case *quicwire.Sub:
			l, _ := e.Log(m.Log.Name)
			first, _ := l.NewestSegment()
			if m.Start == quicwire.StartIndex {
				first = m.From
			}
			first += (uint64(m.Stripe) + uint64(m.Stripes) - first%uint64(m.Stripes)) % uint64(m.Stripes)
			s.Send(&quicwire.SubOK{Log: m.Log, Stripe: m.Stripe, First: first})
			if !v.mute {
				v.running.Go(func() { v.push(ctx, s, l, m, first) })
			}
		case *quicwire.Ping:
			l, _ := e.Log(m.Log.Name)
			s.Send(&quicwire.Pong{ID: m.ID, Log: m.Log, Stripe: m.Stripe, Flows: true, Has: true, Next: l.Head().Size + 1})
		}
	}
}

func (v *villain) push(ctx context.Context, s *quicwire.Session, l *feed.Log, m *quicwire.Sub, i uint64) {
	var out *quicwire.StripeWriter
	for ; ; i += uint64(m.Stripes) {
		for !l.Has(i) {
			select {
			case <-l.Changed():
			case <-s.Done():
				return
			case <-ctx.Done():
				return
			}
		}
		b, err := proved(l, i)
		if err != nil {
			return
		}
		if out == nil || out.Header().Segment != b.Record.Segment {
			h := quicwire.StripeHeader{Log: m.Log, Stripe: m.Stripe, Stripes: m.Stripes, Segment: b.Record.Segment, First: i}
			if out, err = s.OpenStripe(h); err != nil {
				return
			}
		}
		if v.mangle != nil {
			b.Payload = bytes.Clone(b.Payload)
			v.mangle(&b)
		}
		if out.WriteBlock(&b, time.Time{}) != nil {
			return
		}
	}
}

// Who sends what does not verify is thrown out with a reason and forgotten for a while; the stream comes from another.
func TestPolluters(t *testing.T) {
	tests := map[string]func(*quicwire.StripeBlock){
		"a payload":      func(b *quicwire.StripeBlock) { flip(b.Payload) },
		"a signature":    func(b *quicwire.StripeBlock) { b.Signature[7] ^= 1 },
		"a record":       func(b *quicwire.StripeBlock) { b.Record.DTS++ },
		"now and then":   func(b *quicwire.StripeBlock) { mangleEach(b, 21) }, // of all stripes, and of the catalog
		"another length": func(b *quicwire.StripeBlock) { b.Record.Length++; b.Payload = append(b.Payload, 0) },
	}
	for name, mangle := range tests {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, w *world) {
				at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
				s := w.streamer("s", at[0], feed.Config{})
				far := w.viewer("far", at[1], Config{}, at[0])
				pass(time.Second)
				v := w.villain("villain", at[2], s.replica, &villain{mangle: mangle})
				a := w.viewer("a", at[3], Config{}, at[2], at[1])
				pass(5 * time.Second)
				wantFlow(t, s, 8, a, far)
				wantWhole(t, a, 0)
				wantSame(t, s, a)
				st := a.swarm.Status()
				if st.Blocks.Rejected == 0 || st.Banned != 1 || st.Blocks.Missed != 0 {
					t.Errorf("%v, banned %d: want blocks rejected, one peer banned, none missed", a, st.Banned)
				}
				if v.seen() != 1 {
					t.Errorf("the villain had %d sessions in 5 s, want 1", v.seen())
				}
				if name != "a payload" {
					return
				}
				pass(30 * time.Second)
				if v.seen() != 2 {
					t.Errorf("the villain had %d sessions in 35 s, want 2", v.seen())
				}
				wantFlow(t, s, 8, a, far)
				wantWhole(t, a, 0)
				wantSame(t, s, a)
			})
		})
	}
}

// flip changes one bit of a payload, if there is one.
func flip(p []byte) {
	if len(p) > 0 {
		p[len(p)/2] ^= 4
	}
}

func mangleEach(b *quicwire.StripeBlock, n uint64) {
	if b.Index%n == n-1 {
		flip(b.Payload)
	}
}

// A polluter that is the only anchor is tried again: there is nobody else.
func TestOnlyAnchorPollutes(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		pass(time.Second)
		v := w.villain("villain", at[1], s.replica, &villain{mangle: func(b *quicwire.StripeBlock) { flip(b.Payload) }})
		a := w.viewer("a", at[2], Config{}, at[1])
		pass(20 * time.Second)
		if n := v.seen(); n < 4 || n > 30 {
			t.Errorf("the villain had %d sessions in 20 s, want some", n)
		}
		wantReason(t, a, Starting, "misbehaved (payload does not match its record")
	})
}

// A parent that promises blocks and sends none is left within a second or so.
func TestMuteParent(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		far := w.viewer("far", at[1], Config{}, at[0])
		pass(time.Second)
		v := w.villain("villain", at[2], s.replica, &villain{mute: true})
		a := w.viewer("a", at[3], Config{}, at[2], at[1])
		pass(3500 * time.Millisecond)
		wantFlow(t, s, 8, a, far)
		pass(10 * time.Second)
		wantFlow(t, s, 8, a, far)
		if st := a.swarm.Status(); st.Blocks.Missed != 0 || v.seen() != 1 {
			t.Errorf("%v, %d sessions with the villain: want none missed, one session", a, v.seen())
		}
	})
}

// Of four parents to choose from, three promise all and send nothing, not even the first block of the catalog: a newcomer finds the fourth.
func TestMuteFromTheBeginning(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		var at []place
		for range 6 {
			at = append(at, w.place(netsim.Link{}))
		}
		s := w.streamer("s", at[0], feed.Config{})
		far := w.viewer("far", at[1], Config{}, at[0])
		pass(time.Second)
		for i := range 3 {
			w.villain(fmt.Sprint("villain", i), at[2+i], s.replica, &villain{mute: true})
		}
		a := w.viewer("a", at[5], Config{}, at[2], at[3], at[4], at[1])
		pass(6 * time.Second)
		wantFlow(t, s, 8, a, far)
	})
}

// A peer that asks for more than is allowed loses its session by quicwire; it is kept away from, too, and the status says who and why.
func TestFlooder(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		pass(time.Second)
		id := quicwire.LogID{Epoch: s.replica.Current().ID(), Name: feedtest.Rendition}
		wishes := func() (all []quicwire.Message) {
			for range 100 {
				all = append(all, &quicwire.Sub{Log: id, Stripes: testStripes})
			}
			return all
		}
		v := w.villain("villain", at[1], s.replica, &villain{mute: true, says: wishes})
		a := w.viewer("a", at[2], Config{}, at[0], at[1])
		pass(20 * time.Second)
		wantFlow(t, s, 8, a)
		st := a.swarm.Status()
		if st.Banned != 1 || v.seen() != 1 {
			t.Errorf("banned %d, %d sessions in 20 s: want the flood ended once, and no session after it", st.Banned, v.seen())
		}
		if notes := strings.Join(st.Notes, "; "); !strings.Contains(notes, "a node was shut out for what it sent: the relay 1.0.1.1:4433 misbehaved (too many SUBs") {
			t.Errorf("got the notes %q, want who was shut out and why", notes)
		}
	})
}

// A fast neighbour that replays yesterday does not win, whether it comes first or last.
func TestReplay(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		pass(5 * time.Second)
		yesterday := s.replica
		s.stop()
		w.villain("villain", at[1], yesterday, &villain{})
		alone := w.viewer("alone", at[2], Config{}, at[1], at[0])
		pass(5 * time.Second)
		if alone.size() == 0 {
			t.Errorf("%v: want yesterday's programme, as there is no other", alone)
		}

		s = w.streamer("s", at[0], feed.Config{})
		pass(8 * time.Second)
		both := w.viewer("both", at[3], Config{}, at[1], at[0])
		pass(5 * time.Second)
		wantFlow(t, s, 8, alone, both)
		for _, n := range []*node{alone, both} {
			if st := n.swarm.Status(); st.Epoch.ID != s.swarm.Status().Epoch.ID {
				t.Errorf("%v follows yesterday's epoch", n)
			}
		}
		for _, e := range both.replica.Epochs()[1:] {
			for _, l := range e.Logs() {
				if n := l.Head().Size; n > 0 {
					t.Errorf("the newcomer has %d blocks of yesterday's %s", n, l.Name())
				}
			}
		}
	})
}

// A peer that claims other roots without end is shown a head now and then, not one for each claim, and costs nobody the picture.
func TestClaimsOfOtherRoots(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		at := []place{w.place(netsim.Link{}), w.place(netsim.Link{}), w.place(netsim.Link{})}
		s := w.streamer("s", at[0], feed.Config{})
		pass(time.Second)
		id := quicwire.LogID{Epoch: s.replica.Current().ID(), Name: feedtest.Rendition}
		log, err := s.replica.Current().Log(feedtest.Rendition)
		if err != nil {
			t.Fatal(err)
		}
		claims := func() (all []quicwire.Message) {
			for k := range uint64(120) {
				all = append(all, &quicwire.Status{Log: id, Size: log.Head().Size - 2 - k%2, Prefix: [8]byte{byte(k)}, Lags: make([]time.Duration, testStripes)})
			}
			return all
		}
		v := w.villain("villain", at[1], s.replica, &villain{mute: true, says: claims})
		a := w.viewer("a", at[2], Config{}, at[0], at[1])
		pass(4 * time.Second)
		v.mu.Lock()
		forks := v.forks
		v.mu.Unlock()
		if forks != 1 || v.seen() != 1 {
			t.Errorf("120 claims in %d sessions were answered by %d heads, want one session and one head", v.seen(), forks)
		}
		wantFlow(t, s, 8, a)
	})
}
