package model

import (
	"fmt"
	"math"
	"testing"
	"time"
)

const mbit = 1e6

// A run drives a Net as a simulator does: blocks of one size, whose arrivals it notes.
type run struct {
	*Net
	q        *Queue[func()]
	arrivals []time.Duration // by Ref
	taken    []time.Duration
}

func newRun(cfg Config, hosts ...Host) *run {
	r := &run{Net: New(cfg), q: NewQueue[func()]()}
	for _, h := range hosts {
		r.Add(h)
	}
	return r
}

// push pushes a block now, with the next number as Ref.
func (r *run) push(conn int32, end uint8, stream uint32, size int) {
	ref := len(r.arrivals)
	r.arrivals, r.taken = append(r.arrivals, Never), append(r.taken, Never)
	host := r.conns[conn].Ends[end]
	if r.Push(Transfer{Conn: conn, End: end, Stream: stream, Size: int32(size), Ref: int32(ref)}) {
		r.next(host)
	}
}

func (r *run) next(host int32) {
	s, ok := r.Next(host, r.q.Now())
	if !ok {
		return
	}
	r.taken[s.Ref] = s.Taken
	r.q.Add(s.Done, func() { r.next(host) })
	if s.Reach != Never {
		r.q.Add(s.Reach, func() { r.land(s) })
	}
}

func (r *run) land(s Sent) {
	at, ok := r.Land(&s, r.q.Now())
	if !ok {
		r.q.Add(s.Reach, func() { r.land(s) })
		return
	}
	r.arrivals[s.Ref] = at
}

// play lets everything happen that is planned.
func (r *run) play() {
	for f, ok := r.q.Next(); ok; f, ok = r.q.Next() {
		f()
	}
}

func (r *run) last() (last time.Duration) {
	for _, at := range r.arrivals {
		last = max(last, at)
	}
	return last
}

// near reports whether a time is another, but for a percentage.
func near(got, want time.Duration, percent float64) bool {
	return math.Abs(float64(got-want)) <= percent/100*float64(want)
}

const block = 8192

// One block: its time on the uplink, half a round trip, and nothing else.
func TestOneBlock(t *testing.T) {
	r := newRun(Config{}, Host{Up: 8 * mbit, Down: 100 * mbit}, Host{X: 1, Y: 1, Up: mbit, Down: 100 * mbit})
	c := r.Connect(0, 1)
	r.push(c, 0, 0, block)
	r.play()
	wire := block + 7*packetFrame
	want := takes(wire, 8*mbit) + 60*time.Millisecond
	if !near(r.arrivals[0], want, 0.1) {
		t.Errorf("arrives after %v, want %v", r.arrivals[0], want)
	}
	if h := r.Host(0); h.Sent[Media] != int64(wire) || r.Host(1).Received != int64(wire) || r.Host(1).Sent[Acks] != 3*ackSize {
		t.Errorf("%v sent, %d received, %v back; want %d and three ACKs", h.Sent, r.Host(1).Received, r.Host(1).Sent, wire)
	}
	if rtt := r.ConnRTT(c, 0); rtt != 120*time.Millisecond {
		t.Errorf("round trip %v, want 120ms", rtt)
	}
}

// An uplink carries what its rate says, whatever the number of peers; a downlink likewise.
func TestRates(t *testing.T) {
	for _, c := range []struct {
		name       string
		up, down   float64
		bottleneck float64
	}{{"uplink", 4 * mbit, 100 * mbit, 4 * mbit}, {"downlink", 100 * mbit, 4 * mbit, 4 * mbit}} {
		r := newRun(Config{Buffer: time.Minute}, Host{Up: c.up, Down: c.down}, Host{Up: c.up, Down: c.down}, Host{Up: c.up, Down: c.down})
		a, b := r.Connect(0, 1), r.Connect(1, 0)
		if c.name == "downlink" {
			a, b = r.Connect(0, 2), r.Connect(1, 2)
		}
		for i := range 100 {
			r.push(a, 0, uint32(i), block)
			if c.name == "downlink" {
				r.push(b, 0, uint32(i), block)
			} else {
				r.push(b, 1, uint32(i), block)
			}
		}
		r.play()
		want := takes(200*framed(block), c.bottleneck)
		if !near(r.last(), want, 5) {
			t.Errorf("%s: 200 blocks in %v, want %v", c.name, r.last(), want)
		}
	}
}

// The queue before a downlink is bounded: what does not fit is sent again, the window shrinks, and everything arrives in the end.
func TestFullDownlink(t *testing.T) {
	r := newRun(Config{}, Host{Up: 100 * mbit, Down: mbit}, Host{Up: mbit, Down: 4 * mbit})
	c := r.Connect(0, 1)
	for i := range 200 {
		r.push(c, 0, uint32(i%16), block)
	}
	r.play()
	want := takes(200*framed(block), 4*mbit)
	if r.last() < want || r.last() > 2*want {
		t.Errorf("200 blocks in %v, want a little more than %v", r.last(), want)
	}
	if r.Host(0).Sent[Media] <= int64(200*framed(block)) || !r.conns[c].dirs[0].cautious {
		t.Errorf("%d bytes sent, window %+v: nothing was dropped", r.Host(0).Sent[Media], r.conns[c].dirs[0])
	}
}

// A window of 32 packets lets out 32 packets a round trip, and doubles until something is lost.
func TestSlowStart(t *testing.T) {
	r := newRun(Config{}, Host{Up: 1000 * mbit, Down: mbit}, Host{X: 1, Y: 1, Up: mbit, Down: 1000 * mbit})
	c := r.Connect(0, 1)
	d := &r.conns[c].dirs[0]
	size := 8 * packetData
	var rounds [6]int
	for i := range 100 {
		r.push(c, 0, uint32(i), size)
	}
	r.play()
	for _, at := range r.arrivals {
		rounds[min(5, int((at-60*time.Millisecond)/(120*time.Millisecond)))]++
	}
	if rounds[0] < 3 || rounds[0] > 5 || rounds[1] < 6 || rounds[1] > 12 || r.last() > time.Second {
		t.Errorf("arrivals by round trip: %v, the last at %v; want about 4, 8, 16, ...", rounds, r.last())
	}
	if d.window < 200 {
		t.Errorf("window of %.0f packets after 800, want it grown", d.window)
	}
}

// With 1 % loss the window stays near what theory says for loss-based control, about 1.2/sqrt(p) packets and up.
func TestLossBoundsWindow(t *testing.T) {
	r := newRun(Config{Loss: 0.01, Seed: 1}, Host{Up: 1000 * mbit, Down: mbit}, Host{X: 0.5, Up: mbit, Down: 1000 * mbit})
	c := r.Connect(0, 1)
	for i := range 3000 {
		r.push(c, 0, uint32(i), block)
	}
	r.play()
	rtt := r.RTT(0, 1)
	rate := float64(3000*packets(block)) / (float64(r.last()) / float64(rtt)) // packets a round trip
	if rate < 8 || rate > 30 {
		t.Errorf("%.1f packets a round trip, want 8 to 30", rate)
	}
}

// Each loss costs about a round trip, and 1 % of the packets are sent twice.
func TestLoss(t *testing.T) {
	const blocks = 5000
	r := newRun(Config{Loss: 0.01, Seed: 1}, Host{Up: 100 * mbit, Down: mbit}, Host{Up: mbit, Down: 100 * mbit})
	c := r.Connect(0, 1)
	for i := range blocks {
		r.q.Add(time.Duration(i)*200*time.Millisecond, func() { r.push(c, 0, uint32(i), block) })
	}
	r.play()
	late := 0
	for i, at := range r.arrivals {
		switch d := at - time.Duration(i)*200*time.Millisecond - 10*time.Millisecond - takes(framed(block), 100*mbit); {
		case d > 18*time.Millisecond:
			late++
		case d > time.Millisecond && d < 15*time.Millisecond:
			t.Fatalf("block %d comes %v late, want nothing or a round trip", i, d)
		}
	}
	if share := float64(late) / blocks; share < 0.055 || share > 0.08 {
		t.Errorf("%.1f %% of the blocks come late, want 6.8 %%", 100*share)
	}
	again := r.Host(0).Sent[Media] - blocks*int64(framed(block))
	if share := float64(again) / float64(packetSize*7*blocks); share < 0.008 || share > 0.013 {
		t.Errorf("%.2f %% of the packets were sent again, want 1 %%", 100*share)
	}
}

// Within a stream blocks arrive in order; between streams a lost packet holds nobody up.
func TestOrderWithinStream(t *testing.T) {
	for _, streams := range []int{1, 500} {
		r := newRun(Config{Loss: 0.05, Seed: 2}, Host{Up: 50 * mbit, Down: mbit}, Host{X: 1, Up: mbit, Down: 100 * mbit})
		c := r.Connect(0, 1)
		for i := range 500 {
			r.q.Add(time.Duration(i)*20*time.Millisecond, func() { r.push(c, 0, uint32(i%streams), block) })
		}
		r.play()
		crossed := 0
		for i := 1; i < len(r.arrivals); i++ {
			if r.arrivals[i] < r.arrivals[i-1] {
				crossed++
			}
		}
		if (crossed == 0) != (streams == 1) {
			t.Errorf("%d streams: %d blocks overtake", streams, crossed)
		}
	}
}

// A message goes before blocks that wait, and takes time from them.
func TestMessagesGoFirst(t *testing.T) {
	r := newRun(Config{}, Host{Up: mbit, Down: mbit}, Host{Up: mbit, Down: 100 * mbit})
	c := r.Connect(0, 1)
	for i := range 10 {
		r.push(c, 0, uint32(i), block)
	}
	at, ok := r.Message(c, 0, Control, 40, 0)
	if want := 10*time.Millisecond + takes(100+packetSize/2, mbit); !ok || at != want {
		t.Errorf("message after %v, want %v", at, want)
	}
	r.play()
	if want := takes(10*framed(block)+100, mbit) + 10*time.Millisecond; !near(r.last(), want, 1) {
		t.Errorf("ten blocks after %v, want %v", r.last(), want)
	}
	if s := r.Host(0).Sent; s[Control] != 100 {
		t.Errorf("%d bytes of messages sent, want 100", s[Control])
	}
}

// Messages of one moment share a packet; ACKs of messages wait for others.
func TestMessagesSharePackets(t *testing.T) {
	r := newRun(Config{}, Host{Up: mbit, Down: mbit}, Host{Up: mbit, Down: mbit})
	c := r.Connect(0, 1)
	a, _ := r.Message(c, 0, Control, 40, 0)
	b, _ := r.Message(c, 0, Status, 50, 0)
	if r.Host(0).Sent[Control] != 100 || r.Host(0).Sent[Status] != 50 || b < a {
		t.Errorf("sent %v, arriving at %v and %v; want one packet", r.Host(0).Sent, a, b)
	}
	r.Message(c, 0, Control, 40, 5*time.Millisecond)
	r.Message(c, 0, Control, 40, 50*time.Millisecond)
	if got := r.Host(1).Sent[Acks]; got != 2*ackSize {
		t.Errorf("%d bytes of ACKs, want two", got)
	}
}

// Messages are not overtaken by later ones, whatever is lost.
func TestMessagesInOrder(t *testing.T) {
	r := newRun(Config{Loss: 0.3, Seed: 1}, Host{Up: 10 * mbit, Down: mbit}, Host{Up: mbit, Down: 10 * mbit})
	c := r.Connect(0, 1)
	var before time.Duration
	for i := range 1000 {
		at, _ := r.Message(c, 0, Control, 40, time.Duration(i)*time.Millisecond)
		if at < before {
			t.Fatalf("message %d arrives at %v, the one before at %v", i, at, before)
		}
		before = at
	}
}

// Messages wait in the queue before a downlink like all else; so round trips grow.
func TestDownlinkQueue(t *testing.T) {
	r := newRun(Config{}, Host{Up: 100 * mbit, Down: mbit}, Host{Up: mbit, Down: mbit})
	c := r.Connect(0, 1)
	for i := range 3 {
		r.push(c, 0, uint32(i), block)
	}
	r.play()
	now := r.q.Now()
	wait := r.Host(1).queued(now)
	if at := r.LandMessage(1, 100, now); wait < 100*time.Millisecond || at != now+wait {
		t.Errorf("a message is there after %v, the queue takes %v; want the same, over 100ms", at-now, wait)
	}
	if rtt := r.ConnRTT(c, 0); rtt <= 20*time.Millisecond {
		t.Errorf("round trip %v behind a queue, want more than 20ms", rtt)
	}
}

// ACKs of what comes in take time from what goes out.
func TestAcksTakeUplink(t *testing.T) {
	r := newRun(Config{}, Host{Up: 100 * mbit, Down: mbit}, Host{Up: mbit, Down: 100 * mbit})
	in, out := r.Connect(0, 1), r.Connect(1, 0)
	for i := range 100 {
		r.push(in, 0, uint32(i), block)
		r.push(out, 0, uint32(100+i), block)
	}
	r.play()
	if want := takes(100*framed(block)+300*ackSize, mbit); !near(r.last(), want, 2) {
		t.Errorf("100 blocks in %v, want %v", r.last(), want)
	}
}

// A host that was killed acknowledges nothing: its peers' QUIC takes a window's worth and no more.
func TestKilled(t *testing.T) {
	r := newRun(Config{}, Host{Up: 100 * mbit, Down: mbit}, Host{Up: mbit, Down: mbit})
	c := r.Connect(0, 1)
	r.Kill(1)
	for i := range 10 {
		r.push(c, 0, uint32(i), block)
	}
	r.play()
	taken := 0
	for _, at := range r.taken {
		if at != Never {
			taken++
		}
	}
	if want := initialWindow / packets(block); taken != want || r.last() != Never {
		t.Errorf("%d blocks taken, want %d; none arrives", taken, want)
	}
	if _, ok := r.Message(c, 0, Control, 40, r.q.Now()); ok {
		t.Error("a message reaches who was killed")
	}
}

// What waits for the uplink can be taken back.
func TestDrop(t *testing.T) {
	r := newRun(Config{}, Host{Up: mbit, Down: mbit}, Host{Up: mbit, Down: mbit})
	c := r.Connect(0, 1)
	for i := range 10 {
		r.push(c, 0, uint32(i%2), block)
	}
	before := r.Host(0).Backlog()
	if n := r.Drop(0, func(t *Transfer) bool { return t.Stream == 1 }); n != 5 {
		t.Errorf("%d of 10 dropped, want 5", n)
	}
	if after := r.Host(0).Backlog(); near(after, before, 40) {
		t.Errorf("backlog %v after %v", after, before)
	}
	r.play()
	for i, at := range r.arrivals {
		if (at == Never) != (i%2 == 1) {
			t.Errorf("block %d arrives at %v", i, at)
		}
	}
}

func TestDial(t *testing.T) {
	r := newRun(Config{}, Host{X: 1, Y: 1, Up: 10 * mbit, Down: 10 * mbit}, Host{Up: 10 * mbit, Down: 10 * mbit}, Host{NAT: true, Up: mbit, Down: mbit})
	g, ok := r.Dial(0, 1, 0)
	if !ok || !near(g.Up[0], 240*time.Millisecond, 3) || !near(g.Up[1], 300*time.Millisecond, 3) {
		t.Errorf("a session after %v, %v: want 2 and 2.5 round trips of 120ms", g.Up, ok)
	}
	if sum := r.Host(0).Sent[Handshake] + r.Host(1).Sent[Handshake]; sum != 5000 {
		t.Errorf("a handshake of %d bytes, want 5000", sum)
	}
	if _, ok := r.Dial(0, 2, 0); ok {
		t.Error("a host behind a NAT is dialled by a stranger")
	}
	if _, ok := r.Dial(2, 0, 0); !ok {
		t.Error("a host behind a NAT cannot dial")
	}
	if _, ok := r.Dial(0, 2, time.Second); !ok {
		t.Error("whom it dialled a second ago cannot dial it")
	}
	if _, ok := r.Dial(0, 2, time.Minute); ok {
		t.Error("whom it dialled a minute ago can dial it")
	}
	r.Kill(1)
	if _, ok := r.Dial(0, 1, 0); ok {
		t.Error("who was killed answers")
	}
}

// The same seed gives the same times; another one others.
func TestDeterminism(t *testing.T) {
	play := func(seed uint64) string {
		r := newRun(Config{Loss: 0.02, Seed: seed}, Host{Up: 9 * mbit, Down: 9 * mbit}, Host{X: 0.3, Up: 9 * mbit, Down: 9 * mbit})
		c := r.Connect(0, 1)
		for i := range 200 {
			r.q.Add(time.Duration(i)*10*time.Millisecond, func() { r.push(c, uint8(i%2), uint32(i%4), block) })
		}
		r.play()
		return fmt.Sprint(r.arrivals, r.hosts[0].Sent)
	}
	if a, b := play(1), play(1); a != b {
		t.Errorf("one seed, two runs:\n%s\n%s", a, b)
	}
	if play(1) == play(2) {
		t.Error("another seed, the same run")
	}
}

func BenchmarkBlock(b *testing.B) {
	r := newRun(Config{Loss: 0.01}, Host{Up: 50 * mbit, Down: 50 * mbit}, Host{Up: 50 * mbit, Down: 50 * mbit})
	c := r.Connect(0, 1)
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		now += 16 * time.Millisecond
		r.Push(Transfer{Conn: c, Size: block})
		s, _ := r.Next(0, now)
		r.Next(0, s.Done)
		r.Land(&s, s.Reach)
	}
}
