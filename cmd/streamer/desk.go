package main

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"tailcast/feed"
)

// A desk is what the renditions of a channel share: the epoch on air, and the catalog that says what there is. When another epoch is needed,
// each rendition goes over to it where its next segment begins, so that nobody misses a picture; the first to do so opens it.
//
//	on air ──want──▶ waiting ──the first segment begins, or force──▶ on air, in the next epoch; the others follow, one after the other
type desk struct {
	title string // if empty, the programme's own name

	mu      sync.Mutex // guards all below, and the outlets; held while a block is signed
	writer  *feed.Writer
	outlets []*outlet  // of all renditions, on air or not, best first
	next    opens      // nil unless another epoch is wanted
	moved   chan error // told once that epoch is open, or why not
}

// opens opens an epoch.
type opens func() (*feed.Writer, error)

// An outlet is where the blocks of one rendition leave for the feed: its log, in the epoch that it is on air in. Its fields are the desk's to guard.
type outlet struct {
	desk    *desk
	name    string
	restart func() // begins a segment, and goes over to the newest epoch

	state  *feed.Rendition // what the catalog says; nil until it is on air. It stays when the input is lost
	called string          // the name of its programme
	guide  []feed.Programme
	writer *feed.Writer    // of the epoch of out
	out    *feed.LogWriter // nil until it is on air
	last   time.Time       // when a block was last signed
}

// outlet adds a rendition, below those that are there.
func (d *desk) outlet(name string) *outlet {
	o := &outlet{desk: d, name: name}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outlets = append(d.outlets, o)
	return o
}

// begin goes on air, if the catalog takes what there is to say of it.
func (o *outlet) begin(n notice) error {
	o.desk.mu.Lock()
	defer o.desk.mu.Unlock()
	writer, out := o.writer, o.out
	err := o.enter(o.desk.writer)
	if err == nil {
		err = o.say(n)
	}
	if err != nil {
		o.writer, o.out = writer, out
	}
	return err
}

// enter begins the log of an epoch.
func (o *outlet) enter(w *feed.Writer) (err error) {
	if o.out, err = w.Log(o.name); err == nil {
		o.writer = w
	}
	return err
}

// tell says in the catalog what is on now.
func (o *outlet) tell(n notice) error {
	o.desk.mu.Lock()
	defer o.desk.mu.Unlock()
	return o.say(n)
}

// say has the catalog say n. What it refuses is forgotten: it would be refused whenever any rendition has news, and in the next epoch.
func (o *outlet) say(n notice) error {
	state, called, guide := o.state, o.called, o.guide
	o.state, o.called, o.guide = &n.state, n.called, n.guide
	err := o.desk.announce()
	if err != nil {
		o.state, o.called, o.guide = state, called, guide
	}
	return err
}

// announce tells the newest epoch's catalog what there is: also a rendition that has not gone over yet, so that viewers wait for it there.
func (d *desk) announce() error {
	state, called := feed.State{}, ""
	for _, o := range d.outlets {
		if o.state != nil {
			state.Renditions = append(state.Renditions, *o.state)
			called = cmp.Or(called, o.called)
			if state.Guide == nil { // that of the best rendition with one
				state.Guide = o.guide
			}
		}
	}
	state.Title = fit(cmp.Or(d.title, called), feed.MaxTitle)
	return d.writer.SetState(state)
}

// append signs a block. If another epoch is wanted or there, and a segment begins, that is where it goes on.
func (o *outlet) append(e feed.Entry) error {
	o.desk.mu.Lock()
	defer o.desk.mu.Unlock()
	if e.Flags&feed.SegmentFirst != 0 {
		if err := o.change(); err != nil {
			return err
		}
	}
	o.last = time.Now()
	_, err := o.out.Append(e)
	return err
}

// change goes over to the newest epoch, and opens it if that is wanted and has not happened yet.
func (o *outlet) change() error {
	if err := o.desk.open(); err != nil {
		return err
	}
	if o.out == nil || o.writer == o.desk.writer {
		return nil
	}
	return o.enter(o.desk.writer)
}

// open opens the epoch that is wanted, if one is.
func (d *desk) open() error {
	if d.next == nil {
		return nil
	}
	w, err := d.next()
	if d.next = nil; err == nil {
		d.writer = w
		if d.onAir() {
			err = d.announce()
		}
	}
	d.moved <- err
	return err
}

func (d *desk) onAir() bool {
	for _, o := range d.outlets {
		if o.out != nil {
			return true
		}
	}
	return false
}

// force goes over at once, whatever is on; who calls has seen to it that the next block begins a segment.
func (o *outlet) force() error {
	o.desk.mu.Lock()
	defer o.desk.mu.Unlock()
	return o.change()
}

// Bounds of a change of epochs.
const (
	// lull is how long nothing comes before an epoch is changed in the middle of a segment.
	lull = time.Second
	// mostWaiting is how long a rendition may take to begin a segment before it goes over in the middle of one: a segment lasts 10 s at most.
	mostWaiting = 12 * time.Second
)

// move asks for the epoch that next opens, and returns its writer once the first rendition has gone over to it.
func (d *desk) move(ctx context.Context, next opens) (*feed.Writer, error) {
	moved := d.want(next)
	tick := time.NewTicker(lull / 4)
	defer tick.Stop()
	for begin := time.Now(); ; {
		select {
		case err := <-moved:
			return d.current(), err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
			if list := d.waiting(nil); allSilent(list) || time.Since(begin) >= mostWaiting {
				d.push(list)
			}
		}
	}
}

// allSilent tells whether no rendition could begin a segment soon: one alone that is lost does not cut the others short.
func allSilent(list []*outlet) bool {
	return !slices.ContainsFunc(list, func(o *outlet) bool { return !o.silent(lull) })
}

// leave returns when no rendition is in an epoch any more.
func (d *desk) leave(ctx context.Context, w *feed.Writer) {
	tick := time.NewTicker(lull / 4)
	defer tick.Stop()
	for begin := time.Now(); ; {
		list := d.waiting(w)
		if len(list) == 0 {
			return
		}
		for _, o := range list {
			if o.silent(lull) || time.Since(begin) >= mostWaiting {
				o.restart()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// want asks for another epoch. What it returns says when it is open.
func (d *desk) want(next opens) (moved <-chan error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next, d.moved = next, make(chan error, 1)
	return d.moved
}

// waiting lists the renditions on air in the epoch of w; nil: in any.
func (d *desk) waiting(w *feed.Writer) (list []*outlet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.outlets {
		if o.out != nil && (w == nil || o.writer == w) {
			list = append(list, o)
		}
	}
	return list
}

// push opens the epoch that is wanted now: with the first of the list, or by itself if nothing is on air at all.
func (d *desk) push(list []*outlet) {
	if len(list) > 0 {
		list[0].restart()
	}
	if len(list) == 0 {
		d.mu.Lock()
		defer d.mu.Unlock()
		_ = d.open() // move is told
	}
}

// silent reports whether nothing was signed for so long.
func (o *outlet) silent(d time.Duration) bool {
	o.desk.mu.Lock()
	defer o.desk.mu.Unlock()
	return time.Since(o.last) >= d
}

// current returns the writer of the newest epoch.
func (d *desk) current() *feed.Writer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writer
}
