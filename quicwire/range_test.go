package quicwire

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"tailcast/internal/netsim"
)

// serve answers one request for a range of blocks with serve.
func serve(t *testing.T, s *Session, serve func(q *RangeRequest, r Range)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		q, err := s.AcceptFetch(context.Background())
		if err != nil {
			return
		}
		if r, err := q.Read(); err != nil {
			t.Error("read: ", err)
		} else {
			serve(q, r)
		}
	}()
	t.Cleanup(func() {
		s.Close(CodeDone, "")
		<-done
	})
}

func TestRange(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		blocks := testBlocks(300, 3000)
		// The one who was dialled asks.
		want := Range{Log: testLog(), From: 5, To: 250, Deadline: 10 * time.Second}
		serve(t, a, func(q *RangeRequest, r Range) {
			if r != want {
				t.Errorf("asked for %+v, want %+v", r, want)
			}
			w, err := q.Serve(7, 200, &blocks[7].Frontier)
			for i := 7; i < 200 && err == nil; i++ {
				err = w.WriteBlock(&blocks[i].Block, time.Time{})
			}
			if err != nil {
				t.Error(err)
			}
			if err := w.WriteBlock(&blocks[200].Block, time.Time{}); !errors.Is(err, errBlock) {
				t.Errorf("a block too many: %v", err)
			}
		})
		rd, err := b.Fetch(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		defer rd.Close()
		if from, to := rd.Served(); from != 7 || to != 200 {
			t.Errorf("served [%d, %d)", from, to)
		}
		for i := uint64(7); i < 200; i++ {
			got, before, err := rd.ReadBlock()
			if err != nil || got.Index != i {
				t.Fatalf("block %d, %v; want %d", got.Index, err, i)
			}
			verify(t, got, before)
		}
		if _, _, err := rd.ReadBlock(); err != io.EOF {
			t.Errorf("after the last: %v", err)
		}
		if got := a.Stats().Sent; got.Media+got.Proofs != 0 || got.Repair != b.Stats().Received.Repair || got.Repair < 193*3000 {
			t.Errorf("sent %+v, received %+v", got, b.Stats().Received)
		}
	})
}

func TestRangeRefused(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		want := RangeRefused{Reason: RefusedNotHeld, Base: 100, Size: 200, Retry: time.Second}
		serve(t, b, func(q *RangeRequest, _ Range) { q.Refuse(want) })
		_, err := a.Fetch(t.Context(), Range{Log: testLog(), From: 1, To: 2})
		var got *RangeRefused
		if !errors.As(err, &got) || *got != want {
			t.Errorf("got %v, want %v", err, &want)
		}
	})
}

func TestRangeIsChecked(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, _ *Session) {
		for _, r := range []Range{
			{Log: testLog(), From: 5, To: 5},
			{Log: testLog(), From: 6, To: 5},
			{Log: testLog(), From: 0, To: MaxRange + 1},
			{Log: testLog(), From: 1 << 50, To: 1<<50 + 1},
			{Log: LogID{Name: "-"}, From: 0, To: 1},
		} {
			if _, err := a.Fetch(t.Context(), r); err == nil || a.Err() != nil {
				t.Errorf("%+v: %v, session %v", r, err, a.Err())
			}
		}
	})
}

func TestRangeEndsEarly(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		blocks := testBlocks(50, 3000)
		serve(t, b, func(q *RangeRequest, r Range) {
			w, _ := q.Serve(r.From, r.To, &blocks[r.From].Frontier)
			w.WriteBlock(&blocks[0].Block, time.Time{})
			time.Sleep(time.Second)
			w.Reset(StreamGoingAway)
		})
		rd, err := a.Fetch(t.Context(), Range{Log: testLog(), From: 0, To: 50})
		if err != nil {
			t.Fatal(err)
		}
		defer rd.Close()
		if _, _, err := rd.ReadBlock(); err != nil {
			t.Error(err)
		}
		_, _, err = rd.ReadBlock()
		wantReset(t, err, StreamGoingAway, true)
	})
}

func TestFetchEndsWithItsContext(t *testing.T) {
	simulate(t, func(t *testing.T, _ *netsim.Net, a, b *Session) {
		blocks := testBlocks(50, 30_000)
		stopped := make(chan error, 1)
		serve(t, b, func(q *RangeRequest, r Range) {
			w, err := q.Serve(r.From, r.To, &blocks[r.From].Frontier)
			for i := r.From; i < r.To && err == nil; i++ {
				err = w.WriteBlock(&blocks[i].Block, time.Time{})
			}
			stopped <- err
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		rd, err := a.Fetch(ctx, Range{Log: testLog(), From: 0, To: 50})
		if err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		for err == nil {
			_, _, err = rd.ReadBlock()
		}
		wantReset(t, err, StreamDone, false)
		wantReset(t, <-stopped, StreamDone, true)
		rd.Close()
		rd.Close()
		if a.Err() != nil {
			t.Error(a.Err())
		}
	})
}
