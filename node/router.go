package node

import (
	"context"
	"sync"

	"tailcast/feed"
	"tailcast/quicwire"
)

// maxWaiting is how many sessions of a channel wait to be taken; more are told that the node is busy. A Swarm takes them at once, so that one
// waits is rare.
const maxWaiting = 16

// A router hands the sessions that come in at the one socket to the channels that they are for. A channel that takes none holds up no other.
type router struct {
	accept func(context.Context) (*quicwire.Session, error)
	done   chan struct{} // closed when run has ended

	mu     sync.Mutex                                // guards queues, and putting into them
	queues map[feed.PublicKey]chan *quicwire.Session // of the channels that are here
}

func newRouter(accept func(context.Context) (*quicwire.Session, error)) *router {
	return &router{accept: accept, done: make(chan struct{}), queues: make(map[feed.PublicKey]chan *quicwire.Session)}
}

// run hands out sessions until ctx ends or the endpoint is closed; it returns why.
func (r *router) run(ctx context.Context) error {
	defer close(r.done)
	for {
		s, err := r.accept(ctx)
		if err != nil {
			return err
		}
		r.hand(s)
	}
}

func (r *router) hand(s *quicwire.Session) {
	r.mu.Lock()
	queue, put := r.queues[s.Root()], false
	select {
	case queue <- s:
		put = true
	default: // there is no queue, or it is full
	}
	r.mu.Unlock()
	switch {
	case queue == nil:
		s.Close(quicwire.CodeInternal, "this channel is not followed here any more")
	case !put:
		s.Close(quicwire.CodeBusy, "nobody takes new sessions here")
	}
}

// join opens the queue of a channel. leave closes it, and ends the sessions that still wait there. A channel can be here once.
func (r *router) join(root feed.PublicKey) (accept func(context.Context) (*quicwire.Session, error), leave func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queues[root] != nil {
		return nil, nil, false
	}
	queue := make(chan *quicwire.Session, maxWaiting)
	r.queues[root] = queue
	accept = func(ctx context.Context) (*quicwire.Session, error) {
		select {
		case s := <-queue:
			return s, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.done:
			return nil, quicwire.ErrClosed
		}
	}
	return accept, func() { r.leave(root, queue) }, true
}

func (r *router) leave(root feed.PublicKey, queue chan *quicwire.Session) {
	r.mu.Lock()
	delete(r.queues, root)
	r.mu.Unlock()
	for {
		select {
		case s := <-queue:
			s.Close(quicwire.CodeGoingAway, "this channel is not followed here any more")
		default:
			return
		}
	}
}
