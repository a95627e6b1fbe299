package mpegts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"tailcast/ingest"
)

// Playout airs recordings one after the other, as a channel does: on one clock, without a gap, for ever if Loop is set. What cannot be aired is
// passed over with a warning and tried again in the next round.
//
// A file is opened when its turn comes, so it can be replaced at any time: by renaming another one over it, what is on air is played
// to its end. Lists are read anew in each round. What is written into while it is on air ends or is damaged there, and that is all.
type Playout struct {
	Config
	Items []string // TS files, and lists of them: see List
	Loop  bool
	Speed float64 // If zero, 1: real time. math.Inf(1) does not wait at all.
}

// again is when a round in which nothing could be aired is followed by the next.
const again = time.Second

// Run implements ingest.Source.
func (p *Playout) Run(ctx context.Context, sink ingest.Sink) error {
	r, lists := newReel(ctx, p.Config, sink, p.Speed), make(map[string][]item)
	for first := true; ; first = false {
		took, err := p.round(r, lists)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !took && (first || !p.Loop):
			return fmt.Errorf("couldn't air anything of the %d inputs, the last trouble is: %w", len(p.Items), err)
		case !p.Loop:
			return nil
		case took:
			continue
		}
		p.logger().Error("nothing can be aired, trying again", "error", err, "delay", again)
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// round airs every item once. It tells whether that took any time and the last trouble there was. Of a list that cannot be read, as while
// somebody edits it, the newest that could be is taken.
func (p *Playout) round(r *reel, lists map[string][]item) (took bool, trouble error) {
	for _, name := range p.Items {
		list, err := expand(name)
		if trouble = p.warn(name, err, trouble); err != nil {
			list = lists[name]
		}
		lists[name] = list
		skipped := false
		for _, x := range list {
			x.continues = x.continues && !skipped
			if r.ctx.Err() != nil {
				return took, trouble
			}
			if err := r.play(x); err != nil && r.ctx.Err() == nil {
				trouble, skipped = p.warn(x.path, err, trouble), true
				continue
			}
			skipped = false
			took = took || r.took
		}
	}
	if !took && trouble == nil {
		trouble = errors.New("they are too short")
	}
	return took, trouble
}

// warn tells of trouble with an item, if err is any, and returns the newest.
func (p *Playout) warn(name string, err, before error) error {
	if err == nil {
		return before
	}
	err = fmt.Errorf("couldn't air %s: %w", name, withoutPath(err))
	p.stats().SetError(err)
	p.logger().Warn("recording is passed over", "error", err)
	return err
}

// withoutPath is err without the path that is said already.
func withoutPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
