package model

// A ring is a queue that grows. Its zero value is empty.
type ring[T any] struct {
	items []T // length a power of two
	head  int
	n     int
}

func (r *ring[T]) len() int { return r.n }

// at returns the i-th item from the front.
func (r *ring[T]) at(i int) *T { return &r.items[(r.head+i)&(len(r.items)-1)] }

func (r *ring[T]) push(v T) {
	if r.n == len(r.items) {
		r.grow()
	}
	r.n++
	*r.at(r.n - 1) = v
}

func (r *ring[T]) pop() T {
	v := *r.at(0)
	var zero T
	*r.at(0) = zero
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.n--
	return v
}

func (r *ring[T]) grow() {
	items := make([]T, max(4, 2*len(r.items)))
	for i := range r.n {
		items[i] = *r.at(i)
	}
	r.items, r.head = items, 0
}

// drop takes out all items of which gone says so, and returns how many these were.
func (r *ring[T]) drop(gone func(*T) bool) int {
	n := r.n
	for range n {
		if v := r.pop(); !gone(&v) {
			r.push(v)
		}
	}
	return n - r.n
}
