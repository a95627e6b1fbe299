package model

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// A Queue holds events until they are due, and the virtual time. Events of the same time come in the order in which they were added.
//
// It is a timing wheel: a bucket for each 33 us of the next 4.3 s, sorted when its time has come; what is further away waits in a heap.
// Adding and taking out cost about the same with ten events waiting and with a million. The zero value is not ready: NewQueue.
type Queue[E any] struct {
	now   time.Duration
	seq   uint64
	count int

	tick int64 // number of the bucket that is being emptied into due
	due  []due // of that bucket, sorted; due[at:] are left
	at   int

	nodes []node[E]              // all events in the wheel and in far, and free ones
	free  int32                  // first free node; 0: none
	heads [wheelSize]int32       // first node of each bucket; 0: empty
	busy  [wheelSize / 64]uint64 // a bit for each bucket that is not empty
	far   []due                  // a heap: beyond the wheel's end
}

// A due says when an event is to happen.
type due struct {
	time time.Duration
	seq  uint64 // order of adding
	node int32
}

// A node is an event with the next one of its bucket.
type node[E any] struct {
	due
	next  int32
	event E
}

const (
	bucketBits = 15 // of nanoseconds
	wheelBits  = 17
	wheelSize  = 1 << wheelBits
)

func bucketOf(t time.Duration) int64 { return int64(t) >> bucketBits }

func (d due) before(o due) bool { return d.time < o.time || d.time == o.time && d.seq < o.seq }

func compareDue(a, b due) int { return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.seq, b.seq)) }

// NewQueue returns an empty queue at time 0.
func NewQueue[E any]() *Queue[E] {
	return &Queue[E]{nodes: make([]node[E], 1, 1024)} // node 0 stands for none
}

// Now returns the time of the event that Next returned last.
func (q *Queue[E]) Now() time.Duration { return q.now }

// Len returns how many events are waiting.
func (q *Queue[E]) Len() int { return q.count }

// Add lets an event happen at time t, or at once if that is past.
func (q *Queue[E]) Add(t time.Duration, e E) {
	q.seq++
	q.count++
	d := due{time: max(t, q.now), seq: q.seq}
	d.node = q.take(d, e)
	switch b := bucketOf(d.time); {
	case b <= q.tick:
		i, _ := slices.BinarySearchFunc(q.due[q.at:], d, compareDue)
		q.due = slices.Insert(q.due, q.at+i, d)
	case b < q.tick+wheelSize:
		q.put(b, d.node)
	default:
		q.pushFar(d)
	}
}

// take returns a node for an event.
func (q *Queue[E]) take(d due, e E) int32 {
	if i := q.free; i != 0 {
		q.free = q.nodes[i].next
		q.nodes[i] = node[E]{due: d, event: e}
		q.nodes[i].node = i
		return i
	}
	i := int32(len(q.nodes))
	d.node = i
	q.nodes = append(q.nodes, node[E]{due: d, event: e})
	return i
}

// put puts a node into a bucket of the wheel.
func (q *Queue[E]) put(bucket int64, i int32) {
	b := bucket & (wheelSize - 1)
	q.nodes[i].next = q.heads[b]
	q.heads[b] = i
	q.busy[b/64] |= 1 << (b % 64)
}

// Next takes the next event out and moves the time on to it. It returns false if there is none.
func (q *Queue[E]) Next() (e E, ok bool) {
	if q.at == len(q.due) && !q.turn() {
		return e, false
	}
	d := q.due[q.at]
	q.at++
	q.now = d.time
	q.count--
	n := &q.nodes[d.node]
	e = n.event
	*n = node[E]{next: q.free}
	q.free = d.node
	return e, true
}

// turn goes on to the next bucket that holds something. It returns false if none does.
func (q *Queue[E]) turn() bool {
	q.due, q.at = q.due[:0], 0
	next, ok := q.nextBusy()
	if len(q.far) > 0 && (!ok || bucketOf(q.far[0].time) < next) {
		next, ok = bucketOf(q.far[0].time), true
	}
	if !ok {
		return false
	}
	q.tick = next
	for len(q.far) > 0 && bucketOf(q.far[0].time) < next+wheelSize {
		d := q.popFar()
		q.put(bucketOf(d.time), d.node)
	}
	q.empty(next & (wheelSize - 1))
	return true
}

// empty moves what a bucket holds to due.
func (q *Queue[E]) empty(b int64) {
	for i := q.heads[b]; i != 0; i = q.nodes[i].next {
		q.due = append(q.due, q.nodes[i].due)
	}
	q.heads[b] = 0
	q.busy[b/64] &^= 1 << (b % 64)
	slices.SortFunc(q.due, compareDue)
}

// nextBusy returns the first bucket after tick that holds something.
func (q *Queue[E]) nextBusy() (int64, bool) {
	from := q.tick + 1
	for i := int64(0); i <= wheelSize/64; i++ {
		b := (from + 64*i) & (wheelSize - 1) &^ 63
		word := q.busy[b/64]
		if i == 0 {
			word &= ^uint64(0) << (from % 64)
		}
		if word != 0 {
			at := b + int64(bits.TrailingZeros64(word))
			return from + (at-from)&(wheelSize-1), true
		}
	}
	return 0, false
}

// pushFar adds to the heap.
func (q *Queue[E]) pushFar(d due) {
	q.far = append(q.far, d)
	for i := len(q.far) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.far[i].before(q.far[up]) {
			break
		}
		q.far[i], q.far[up] = q.far[up], q.far[i]
		i = up
	}
}

// popFar takes the first out of the heap.
func (q *Queue[E]) popFar() due {
	top, last := q.far[0], len(q.far)-1
	q.far[0] = q.far[last]
	q.far = q.far[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < last && q.far[child+1].before(q.far[child]) {
			child++
		}
		if child >= last || !q.far[child].before(q.far[i]) {
			return top
		}
		q.far[i], q.far[child] = q.far[child], q.far[i]
		i = child
	}
}
