package clip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A Cut says what to cut out of a channel's history.
type Cut struct {
	Log      string    // name of the log; empty: see Rendition
	From, To time.Time // from the segment on air at From to the end of that on air at To, by the clock of the signer
	// Cosigned is a head of an epoch's catalog with the cosignatures of witnesses, as a signed note; nil: there is none.
	Cosigned []byte
}

// ErrNothing says that nothing is held of what should be cut.
var ErrNothing = errors.New("nothing is held of that time")

// Write writes a clip of what r holds. Where something is missing, another part begins. It returns how many blocks were written.
func (c Cut) Write(ctx context.Context, w io.Writer, r *feed.Replica) (blocks int, err error) {
	if c.Log, err = c.log(r); err != nil {
		return 0, err
	}
	k := &cutter{name: c.Log, out: NewWriter(w, r.Root())}
	if c.Cosigned != nil {
		if k.cosigned, err = parseCosigned(c.Cosigned); err != nil {
			return 0, err
		}
	}
	err = c.Read(ctx, r, func(item *feed.Item) error { return k.block(&item.Block, item.Epoch) })
	if err == nil {
		err = k.end()
	}
	if err == nil {
		err = k.out.Close()
	}
	if err == nil && k.cosigned != nil && !k.cosigned.used {
		err = fmt.Errorf("the cosigned head is of %s, and nothing is cut from that epoch", k.cosigned.origin)
	}
	return k.blocks, err
}

// Read hands out the blocks that are to be cut, in order.
func (c Cut) Read(ctx context.Context, r *feed.Replica, each func(*feed.Item) error) error {
	log, err := c.log(r)
	if err != nil {
		return err
	}
	reader, err := r.OpenAt(log, c.From, 0)
	if err != nil {
		return err
	}
	reader.Until(c.To)
	for n := 0; ; n++ {
		item, err := reader.Next(ctx)
		switch {
		case errors.Is(err, io.EOF) && n == 0, err == nil && n == 0 && !time.UnixMicro(item.Block.Record.Wall).Before(c.To):
			return fmt.Errorf("log %s from %s to %s: %w", log, c.From.UTC().Format(time.RFC3339), c.To.UTC().Format(time.RFC3339), ErrNothing)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(&item); err != nil {
			return err
		}
	}
}

// log returns the log that is meant.
func (c Cut) log(r *feed.Replica) (string, error) {
	if c.Log != "" {
		return c.Log, feed.CheckLogName(c.Log)
	}
	return Rendition(r)
}

// Rendition returns the log that is meant if none is named: the first that the newest epoch with a state names, of those that are held here if any
// is; else one of the newest epoch that has any.
func Rendition(r *feed.Replica) (string, error) {
	ids, other := r.EpochIDs(), ""
	for _, id := range slices.Backward(ids) {
		e, err := r.OpenEpoch(id)
		if err != nil {
			continue
		}
		if state, ok := e.State(); ok {
			return bestHeld(e, state), nil
		}
		for _, l := range e.Logs() {
			if other == "" && l.Name() != feed.CatalogLog && l.Head().Size > 0 {
				other = l.Name()
			}
		}
	}
	if other == "" {
		return "", fmt.Errorf("the channel has no rendition here: %w", ErrNothing)
	}
	return other, nil
}

// bestHeld is the best rendition of which there is something here: a viewer follows one of several.
func bestHeld(e *feed.Epoch, state feed.State) string {
	for _, v := range state.Renditions {
		if l, err := e.Log(v.Name); err == nil && l.Head().Size > 0 {
			return v.Name
		}
	}
	return state.Renditions[0].Name
}

// A cutter writes parts.
type cutter struct {
	name     string // of the log
	out      *Writer
	cosigned *cosigned
	blocks   int
	parts    int

	epoch *feed.Epoch // of the part at hand; nil: none
	log   *feed.Log
	notes feed.Notes // of epoch, as they were when it was first seen
	edge  merkle.Frontier
	last  feed.Record // of the part
}

// block writes a block, and begins a part where it does not continue the one before.
func (k *cutter) block(b *feed.Block, e *feed.Epoch) error {
	if k.epoch == nil || e.ID() != k.epoch.ID() || b.Index != k.edge.Size() {
		if err := k.begin(b, e); err != nil {
			return err
		}
	}
	k.out.Block(b)
	k.edge.Append(b.Record.Leaf())
	k.last = b.Record
	k.blocks++
	return k.out.err
}

func (k *cutter) begin(b *feed.Block, e *feed.Epoch) error {
	if err := k.end(); err != nil {
		return err
	}
	if k.parts++; k.parts > maxParts {
		return fmt.Errorf("the history has more than %d holes there: cut a shorter time", maxParts)
	}
	if k.epoch == nil || k.epoch.ID() != e.ID() {
		k.notes = e.Notes()
	}
	var err error
	if k.log, err = e.Log(k.name); err != nil {
		return err
	}
	k.epoch = e
	if k.edge, err = k.log.Frontier(b.Index); err != nil {
		return err
	}
	k.out.Begin(k.notes, k.name, &k.edge)
	return nil
}

// end ends the part at hand, if there is one.
func (k *cutter) end() error {
	if k.epoch == nil {
		return nil
	}
	p, err := k.proof()
	if err != nil {
		return err
	}
	k.out.Seal(p)
	return k.out.err
}
