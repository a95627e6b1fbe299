package quicwire

import (
	"context"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed/merkle"
	"tailcast/internal/netsim"
)

// subscribe makes child ask parent for a stripe, and waits until the parent knows.
func subscribe(t *testing.T, child, parent *Session, log LogID, stripe, stripes uint8) {
	t.Helper()
	if err := child.Send(&Sub{Log: log, Stripe: stripe, Stripes: stripes}); err != nil {
		t.Fatal(err)
	}
	receive[*Sub](t, parent)
}

// openStripe opens a stream or fails the test.
func openStripe(t *testing.T, s *Session, h StripeHeader) *StripeWriter {
	t.Helper()
	w, err := s.OpenStripe(h)
	if err != nil {
		t.Fatal("open: ", err)
	}
	return w
}

// acceptStripe returns the next stream of blocks, its header read.
func acceptStripe(t *testing.T, s *Session) *StripeReader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := s.AcceptStripe(ctx)
	if err != nil {
		t.Fatal("accept: ", err)
	}
	return r
}

// wantReset checks that err says that only a stream ended.
func wantReset(t *testing.T, err error, code StreamCode, remote bool) {
	t.Helper()
	var e *StreamError
	if !errors.As(err, &e) || e.Code != code || e.Remote != remote {
		t.Fatalf("got %v; want a stream reset with code %d, remote %v", err, code, remote)
	}
}

func TestStripe(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		blocks := testBlocks(100, 1000)
		path := []ShortID{ShortIDOf(public("x")), ShortIDOf(public("y"))}
		subscribe(t, child, parent, testLog(), 3, 8)
		header := StripeHeader{Log: testLog(), Stripe: 3, Stripes: 8, Segment: 1, First: 11}
		w := openStripe(t, parent, header)
		var sent []StripeBlock
		for i := 11; i < 100; i += 8 {
			if i == 43 {
				continue // the parent lacks one
			}
			b := blocks[i]
			b.Age = time.Duration(i) * time.Millisecond
			if i > 40 {
				b.Path = path
			}
			if i > 80 {
				b.Path = path[:1]
			}
			if err := w.WriteBlock(&b, time.Time{}); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, b)
		}
		w.Close()
		r := acceptStripe(t, child)
		if got, err := r.Header(); err != nil || got != header {
			t.Fatalf("header %+v, %v; want %+v", got, err, header)
		}
		for _, want := range sent {
			got, err := r.ReadBlock()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("block %d came as %+v", want.Index, got)
			}
			verify(t, got.Block, got.Frontier)
		}
		if _, err := r.ReadBlock(); err != io.EOF {
			t.Errorf("after the last block: %v", err)
		}
		wantProofs(t, parent.Stats(), child.Stats(), len(sent))
	})
}

// wantProofs checks what a stripe of n blocks of 1000 bytes has cost.
func wantProofs(t *testing.T, sent, received Stats, n int) {
	t.Helper()
	if sent.Sent.Media != uint64(n*1000) || received.Received.Media != sent.Sent.Media {
		t.Errorf("media: sent %d, received %d, want %d", sent.Sent.Media, received.Received.Media, n*1000)
	}
	if sent.Sent.Proofs != received.Received.Proofs || sent.Sent.Proofs/uint64(n) > 280 {
		t.Errorf("proofs: sent %d, received %d, want at most 280 a block", sent.Sent.Proofs, received.Received.Proofs)
	}
	if sent.WireSent < sent.Sent.Media || received.Sent.Control == 0 || sent.Received.Control != received.Sent.Control {
		t.Errorf("parent %+v, child %+v", sent, received)
	}
}

// docs/wire.md: record, signature and peaks are 238 bytes a block at 16 stripes.
func TestProofBytes(t *testing.T) {
	blocks := testBlocks(2048, 1)
	header := StripeHeader{Stripe: 5, Stripes: 16, First: 5}
	st := newStripeState(&header)
	total, n := 0, 0
	for i := 5; i < len(blocks); i += 16 {
		_, payload, err := st.appendBlock(nil, &blocks[i])
		if err != nil {
			t.Fatal(err)
		}
		total += payload
		n++
		st.sent(&blocks[i])
	}
	if mean := float64(total) / float64(n); mean > 245 {
		t.Errorf("%.0f bytes of proof a block, want at most 245", mean)
	}
}

func TestStripeWriterRefuses(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		blocks := testBlocks(40, 10)
		subscribe(t, child, parent, testLog(), 3, 8)
		if _, err := parent.OpenStripe(StripeHeader{Log: testLog(), Stripe: 3, Stripes: 8, First: 4}); err == nil {
			t.Error("a stream of stripe 3 that begins with block 4")
		}
		if _, err := parent.OpenStripe(StripeHeader{Log: testCatalog(), Stripes: 1}); err == nil {
			t.Error("a stream of a log that nobody asked for")
		}
		w := openStripe(t, parent, StripeHeader{Log: testLog(), Stripe: 3, Stripes: 8, First: 3})
		bad := map[string]func(b *StripeBlock){
			"not the first":      func(b *StripeBlock) { *b = blocks[11] },
			"another frontier":   func(b *StripeBlock) { b.Frontier = merkle.Frontier{} },
			"a payload too long": func(b *StripeBlock) { b.Payload = make([]byte, 11) },
			"a path too long":    func(b *StripeBlock) { b.Path = make([]ShortID, MaxPath+1) },
		}
		for name, spoil := range bad {
			b := blocks[3]
			spoil(&b)
			if err := w.WriteBlock(&b, time.Time{}); !errors.Is(err, errBlock) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.WriteBlock(&blocks[3], time.Time{}); err != nil {
			t.Error(err)
		}
		if err := w.WriteBlock(&blocks[3], time.Time{}); !errors.Is(err, errBlock) {
			t.Errorf("the same block again: %v", err)
		}
		if parent.Err() != nil {
			t.Error(parent.Err())
		}
	})
}

func TestRepairStream(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		blocks := testBlocks(300, 500)
		want := []uint64{7, 9, 130, 299}
		if err := child.Send(&Req{ID: 5, Log: testLog(), Orphan: true, Deadline: time.Second, Blocks: want}); err != nil {
			t.Fatal(err)
		}
		req := receive[*Req](t, parent)
		if !reflect.DeepEqual(req.Blocks, want) || !req.Orphan || req.Deadline != time.Second {
			t.Errorf("got %+v", req)
		}
		w := openStripe(t, parent, StripeHeader{Log: testLog(), Repair: true, Request: req.ID, First: 7, Urgent: true})
		for _, i := range req.Blocks {
			if err := w.WriteBlock(&blocks[i], time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		r := acceptStripe(t, child)
		for _, i := range want {
			b, err := r.ReadBlock()
			if err != nil || b.Index != i {
				t.Fatalf("block %d, %v; want %d", b.Index, err, i)
			}
			verify(t, b.Block, b.Frontier)
		}
		st := parent.Stats()
		if st.Sent.Media+st.Sent.Proofs != 0 || st.Sent.Repair < 4*500 || st.Sent.Repair != child.Stats().Received.Repair {
			t.Errorf("parent %+v, child %+v", st, child.Stats())
		}
		// One stream answers a request.
		again := openStripe(t, parent, StripeHeader{Log: testLog(), Repair: true, Request: req.ID, First: 7})
		again.WriteBlock(&blocks[7], time.Time{})
		_, err := acceptStripe(t, child).Header()
		wantReset(t, err, StreamUnsolicited, false)
	})
}

func TestUnsolicitedStripe(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		blocks := testBlocks(20, 5000)
		subscribe(t, child, parent, testLog(), 3, 8)
		child.Send(&Unsub{Log: testLog(), Stripe: 3})
		receive[*Unsub](t, parent)
		w := openStripe(t, parent, StripeHeader{Log: testLog(), Stripe: 3, Stripes: 8, First: 3})
		if err := w.WriteBlock(&blocks[3], time.Time{}); err != nil {
			t.Fatal(err)
		}
		r := acceptStripe(t, child)
		_, err := r.ReadBlock()
		wantReset(t, err, StreamUnsolicited, false)
		if got := receive[*Unsub](t, parent); got.Reason != UnsubUnsolicited || got.Stripe != 3 {
			t.Errorf("got %+v", got)
		}
		time.Sleep(time.Second)
		wantReset(t, w.WriteBlock(&blocks[11], time.Time{}), StreamUnsolicited, true)
		if child.Err() != nil || parent.Err() != nil {
			t.Errorf("the session ended: %v, %v", child.Err(), parent.Err())
		}
	})
}

func TestStripeResets(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		blocks := testBlocks(20, 5000)
		subscribe(t, child, parent, testLog(), 3, 8)
		w := openStripe(t, parent, StripeHeader{Log: testLog(), Stripe: 3, Stripes: 8, First: 3})
		w.WriteBlock(&blocks[3], time.Time{})
		r := acceptStripe(t, child)
		if _, err := r.ReadBlock(); err != nil {
			t.Fatal(err)
		}
		w.Reset(StreamStale)
		_, err := r.ReadBlock()
		wantReset(t, err, StreamStale, true)
		wantReset(t, w.WriteBlock(&blocks[11], time.Time{}), StreamStale, false)

		w = openStripe(t, parent, StripeHeader{Log: testLog(), Stripe: 3, Stripes: 8, Segment: 1, First: 11})
		w.WriteBlock(&blocks[11], time.Time{})
		r = acceptStripe(t, child)
		r.ReadBlock()
		r.Reset(StreamGoingAway)
		time.Sleep(time.Second)
		wantReset(t, w.WriteBlock(&blocks[19], time.Time{}), StreamGoingAway, true)
	})
}

// A receiver that does not read stops one stream, at its deadline, and nobody else.
func TestSlowStripe(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, child, parent *Session) {
		blocks := testBlocks(40, 60_000)
		subscribe(t, child, parent, testLog(), 0, 1)
		w := openStripe(t, parent, StripeHeader{Log: testLog(), Stripes: 1})
		start := time.Now()
		var err error
		for i := 0; err == nil; i++ {
			err = w.WriteBlock(&blocks[i], start.Add(2*time.Second))
		}
		wantReset(t, err, StreamStale, false)
		if took := time.Since(start); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("gave up after %v, want 2 s", took)
		}
		if err := parent.Send(&SubOK{Log: testLog()}); err != nil {
			t.Error(err)
		}
		receive[*SubOK](t, child)
	})
}

// Over a thin uplink the newer segment overtakes the older one, and a message overtakes both.
func TestPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := netsim.New(t, netsim.Config{Latency: 20 * time.Millisecond})
		child, parent := connect(t, newEndpoint(t, "a", n.Host(netsim.Link{})), newEndpoint(t, "b", n.Host(netsim.Link{Up: 2_000_000})))
		blocks := testBlocks(20, 50_000) // 200 ms each
		subscribe(t, child, parent, testLog(), 0, 1)
		arrived := make(chan uint64, 20)
		go func() {
			for range 2 {
				r, err := child.AcceptStripe(context.Background())
				if err != nil {
					return
				}
				go func() {
					for {
						b, err := r.ReadBlock()
						if err != nil {
							return
						}
						arrived <- b.Index
					}
				}()
			}
		}()
		write := func(segment uint32, first, last int) {
			w := openStripe(t, parent, StripeHeader{Log: testLog(), Stripes: 1, Segment: segment, First: uint64(first)})
			for i := first; i < last && w.WriteBlock(&blocks[i], time.Time{}) == nil; i++ {
			}
			w.Close()
		}
		go write(0, 0, 10) // two seconds' worth
		time.Sleep(300 * time.Millisecond)
		start := time.Now()
		parent.Send(&Status{Log: testLog()})
		receive[*Status](t, child)
		if took := time.Since(start); took > 250*time.Millisecond {
			t.Errorf("a message took %v past a full uplink", took)
		}
		write(1, 10, 12)
		var order []uint64
		for range 12 {
			order = append(order, <-arrived)
		}
		if order[len(order)-1] != 9 {
			t.Errorf("blocks arrived in the order %v, want those of segment 1 (10, 11) before the rest of segment 0", order)
		}
	})
}

func TestUrgencies(t *testing.T) {
	for _, test := range []struct {
		log     LogID
		segment uint32
		newest  uint32
		want    int8
	}{
		{testCatalog(), 0, 9, urgencyCatalog},
		{testLog(), 9, 9, urgencyNewest},
		{testLog(), 8, 9, urgencyNewest + 1},
		{testLog(), 7, 9, urgencyOld},
		{testLog(), 0, 1<<32 - 1, urgencyOld},
	} {
		if got := urgencyOf(StripeHeader{Log: test.log, Segment: test.segment}, test.newest); got != test.want {
			t.Errorf("urgency of segment %d of %v when %d is the newest: %d, want %d", test.segment, test.log, test.newest, got, test.want)
		}
	}
}

// With loss, all blocks of all stripes still come, in order within each, and the messages too.
func TestLoss(t *testing.T) {
	simulate(t, func(t *testing.T, n *netsim.Net, child, parent *Session) {
		n.SetLoss(0.05)
		const stripes = 4
		blocks := testBlocks(200, 2000)
		for i := range uint8(stripes) {
			subscribe(t, child, parent, testLog(), i, stripes)
		}
		sent := make(chan error, stripes)
		for i := range uint8(stripes) {
			go func() {
				w, err := parent.OpenStripe(StripeHeader{Log: testLog(), Stripe: i, Stripes: stripes, First: uint64(i)})
				for j := int(i); err == nil && j < len(blocks); j += stripes {
					err = errors.Join(w.WriteBlock(&blocks[j], time.Time{}), parent.Send(&Status{Log: testLog(), Size: uint64(j)}))
				}
				if err == nil {
					err = w.Close()
				}
				sent <- err
			}()
		}
		got := make(chan int, stripes)
		for range stripes {
			r := acceptStripe(t, child)
			go func() {
				n := 0
				for {
					b, err := r.ReadBlock()
					if err != nil {
						break
					}
					verify(t, b.Block, b.Frontier)
					n++
				}
				got <- n
			}()
		}
		for range len(blocks) {
			receive[*Status](t, child)
		}
		for range stripes {
			if n, err := <-got, <-sent; n != len(blocks)/stripes || err != nil {
				t.Errorf("%d blocks of a stripe, %v; want %d", n, err, len(blocks)/stripes)
			}
		}
	})
}

// After a fork by the signer, blocks of the other history go on a stream of their own: the receiver could not tell whose peaks are whose.
func TestOtherHistory(t *testing.T) {
	one, other := testBlocks(12, 10), testBlocks(12, 11)
	h := StripeHeader{Log: testLog(), Stripes: 1, First: 4}
	st := newStripeState(&h)
	if _, _, err := st.appendBlock(nil, &one[4]); err != nil {
		t.Fatal(err)
	}
	st.sent(&one[4])
	for _, i := range []int{5, 6, 8} {
		b, want := other[i], ErrHistory
		if i == 8 { // all its peaks are new
			want = nil
		}
		if _, _, err := st.appendBlock(nil, &b); !errors.Is(err, want) {
			t.Errorf("block %d of another history after 4: %v, want %v", i, err, want)
		}
		if _, _, err := st.appendBlock(nil, &one[i]); err != nil {
			t.Errorf("block %d of the same history after 4: %v", i, err)
		}
	}
	st.sent(&one[8])
	if _, _, err := st.appendBlock(nil, &other[9]); !errors.Is(err, ErrHistory) {
		t.Errorf("block 9 of another history after 8: %v, want %v", err, ErrHistory)
	}
}
