package player

import (
	"context"
	"sync"
)

// refusal is why a program cannot be had in one container, in a sentence for the person who asked.
type refusal string

func (r refusal) Error() string { return string(r) }

// An outlet is where clients of one container find the stream to read. The pipeline opens the streams, one at a time.
//
//	waiting --open--> streaming --open--> streaming (the one before ends) --close--> waiting
//	   └──────refuse──▶ refused ◀──refuse──┘  any --open--> streaming
type outlet struct {
	mu      sync.Mutex
	stream  *stream // nil unless streaming
	refused refusal // "" unless refused
	changed chan struct{}
}

func newOutlet() *outlet { return &outlet{changed: make(chan struct{})} }

func (o *outlet) open(s *stream)     { o.set(s, "") }
func (o *outlet) refuse(why refusal) { o.set(nil, why) }
func (o *outlet) close()             { o.set(nil, "") }

// set ends the stream before, if there is one.
func (o *outlet) set(s *stream, why refusal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream != nil {
		o.stream.end()
	}
	o.stream, o.refused = s, why
	close(o.changed)
	o.changed = make(chan struct{})
}

// wait returns the stream of now, the first one to come, or the refusal.
func (o *outlet) wait(ctx context.Context) (*stream, error) {
	for {
		o.mu.Lock()
		changed := o.changed
		o.mu.Unlock()
		if s, err := o.now(); s != nil || err != nil {
			return s, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// now returns the stream of now, or the refusal, or neither.
func (o *outlet) now() (*stream, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refused != "" {
		return nil, o.refused
	}
	return o.stream, nil
}
