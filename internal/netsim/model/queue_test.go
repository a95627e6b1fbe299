package model

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Events come in the order of their times, and of adding where these are equal, whatever the distances.
func TestQueueOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	q := NewQueue[int]()
	type want struct {
		at time.Duration
		id int
	}
	var left []want
	add := func(id int) {
		d := time.Duration(r.Int64N(1 << []int{1, 10, 16, 24, 31, 35, 40}[r.IntN(7)]))
		if r.IntN(4) == 0 {
			d = d.Round(time.Millisecond) // many at the same time
		}
		q.Add(q.Now()+d, id)
		left = append(left, want{q.Now() + d, id})
	}
	id := 0
	for ; id < 500; id++ {
		add(id)
	}
	for n := 0; ; n++ {
		got, ok := q.Next()
		if !ok {
			break
		}
		first := slices.MinFunc(left, func(a, b want) int {
			return compareDue(due{time: a.at, seq: uint64(a.id)}, due{time: b.at, seq: uint64(b.id)})
		})
		if got != first.id || q.Now() != first.at {
			t.Fatalf("event %d is %d at %v, want %d at %v", n, got, q.Now(), first.id, first.at)
		}
		left = slices.DeleteFunc(left, func(w want) bool { return w == first })
		for ; id < 3000 && r.IntN(20) > 0; id++ {
			add(id)
		}
	}
	if len(left) != 0 || q.Len() != 0 || id < 3000 {
		t.Fatalf("%d events are left of %d, the queue says %d", len(left), id, q.Len())
	}
}

// What should have happened already happens now, and time never goes back.
func TestQueuePast(t *testing.T) {
	q := NewQueue[string]()
	q.Add(time.Second, "second")
	q.Next()
	q.Add(0, "late")
	if e, _ := q.Next(); e != "late" || q.Now() != time.Second {
		t.Errorf("got %q at %v, want late at 1s", e, q.Now())
	}
}

// An idle queue with one event far away finds it.
func TestQueueFar(t *testing.T) {
	q := NewQueue[int]()
	for i := range 5 {
		q.Add(time.Duration(i)*time.Hour, i)
	}
	for i := range 5 {
		if e, ok := q.Next(); !ok || e != i || q.Now() != time.Duration(i)*time.Hour {
			t.Fatalf("got %d, %v at %v, want %d", e, ok, q.Now(), i)
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	q := NewQueue[[4]uint64]()
	for range 100_000 {
		q.Add(time.Duration(r.Int64N(int64(100*time.Millisecond))), [4]uint64{})
	}
	b.ReportAllocs()
	for b.Loop() {
		e, _ := q.Next()
		q.Add(q.Now()+time.Duration(r.Int64N(int64(100*time.Millisecond))), e)
	}
}
