package swarm

import (
	"context"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// tail tells loop of the blocks of a log that we sign, as they come. That of the catalog sees which other logs there are.
func (s *Swarm) tail(ctx context.Context, e *feed.Epoch, name string) {
	l, err := e.Log(name)
	if err != nil {
		return
	}
	begun := map[string]bool{name: true}
	for next := l.Base(); ; {
		changed := l.Changed()
		for size := l.Head().Size; next < size; next++ {
			b, err := l.Block(next)
			if err != nil {
				continue // it has left memory already
			}
			if !s.post(ctx, blockOf(e, name, &b)) {
				return
			}
			if name == feed.CatalogLog && b.Record.Kind == feed.Event {
				s.tailAll(ctx, e, begun)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// tailAll begins with the logs that the catalog names by now.
func (s *Swarm) tailAll(ctx context.Context, e *feed.Epoch, begun map[string]bool) {
	for _, v := range s.shelf.Renditions(e.ID()) {
		if !begun[v.Name] {
			begun[v.Name] = true
			s.group.Go(func() error { s.tail(ctx, e, v.Name); return nil })
		}
	}
}

// blockOf is the event of a block of ours.
func blockOf(e *feed.Epoch, name string, b *feed.Block) BlockIn {
	return BlockIn{
		Log: quicwire.LogID{Epoch: e.ID(), Name: name}, Index: b.Index, Kind: b.Record.Kind, Back: b.Record.Back, Size: len(b.Payload),
		Wall: time.UnixMicro(b.Record.Wall), Fresh: true,
	}
}
