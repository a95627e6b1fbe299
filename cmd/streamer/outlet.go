package main

import (
	"sync"
	"time"

	"tailcast/feed"
)

// An outlet is where blocks leave for the feed: the log of the rendition, in the epoch that is on air. When another epoch is needed, it begins
// with the next segment, so that nobody misses a picture.
//
//	on air ──want──▶ waiting ──a segment begins, or change──▶ on air, in the next epoch
type outlet struct {
	mu     sync.Mutex // guards all below; held while a block is signed
	writer *feed.Writer
	state  *feed.State     // what the catalog says; nil before begin
	out    *feed.LogWriter // nil before begin
	last   time.Time       // when a block was last signed
	next   opens           // nil unless another epoch is wanted
	moved  chan error      // closed, or told why not, once the outlet has moved
}

// opens opens an epoch.
type opens func() (*feed.Writer, error)

// begin goes on air.
func (o *outlet) begin(s feed.State) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.beginLocked(s)
}

func (o *outlet) beginLocked(s feed.State) (err error) {
	if o.out, err = o.writer.Log(rendition); err != nil {
		return err
	}
	o.state = &s
	return o.writer.SetState(s)
}

// tell says in the catalog what is on now.
func (o *outlet) tell(s feed.State) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = &s
	return o.writer.SetState(s)
}

// append signs a block. If another epoch is wanted and a segment begins, that is where the epoch begins.
func (o *outlet) append(e feed.Entry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next != nil && e.Flags&feed.SegmentFirst != 0 {
		if err := o.change(); err != nil {
			return err
		}
	}
	o.last = time.Now()
	_, err := o.out.Append(e)
	return err
}

// want asks for another epoch. What it returns says when it has begun.
func (o *outlet) want(next opens) (moved <-chan error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next, o.moved = next, make(chan error, 1)
	return o.moved
}

// change moves to the epoch that is wanted, if it has not happened yet.
func (o *outlet) change() error {
	if o.next == nil {
		return nil
	}
	w, err := o.next()
	if err == nil {
		o.writer = w
		if o.state != nil {
			err = o.beginLocked(*o.state)
		}
	}
	o.next = nil
	o.moved <- err
	return err
}

// silent reports whether nothing was signed for so long.
func (o *outlet) silent(d time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Since(o.last) >= d
}

// current returns the writer of the epoch that is on air.
func (o *outlet) current() *feed.Writer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writer
}

// force moves at once, whatever is on; who calls has seen to it that the next block begins a segment.
func (o *outlet) force() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.change()
}
