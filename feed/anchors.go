package feed

import (
	"slices"

	"tailcast/feed/merkle"
)

// Here what the catalog anchors is compared with the logs, in whichever order the two come.

// keptAnchors is how many anchors of an epoch are remembered, the newest: logs are seconds apart, anchors a minute.
const keptAnchors = 4

// An anchored is an anchor of the catalog with what proves it.
type anchored struct {
	block  Block
	before merkle.Frontier
	logs   []LogHead
}

// addAnchor remembers an anchor of the catalog; nil if the block is none, or too old.
func (e *Epoch) addAnchor(b *Block, before *merkle.Frontier) *anchored {
	if b.Record.Kind != Event {
		return nil
	}
	entry, err := readAnchor(&b.Record, b.Payload)
	if err != nil {
		return nil
	}
	a := &anchored{block: *b, before: *before, logs: entry.Logs}
	e.mu.Lock()
	defer e.mu.Unlock()
	at, found := slices.BinarySearchFunc(e.anchors, b.Index, func(a *anchored, i uint64) int {
		return int(min(max(int64(a.block.Index)-int64(i), -1), 1))
	})
	if found {
		return nil
	}
	e.anchors = slices.Insert(e.anchors, at, a)
	if len(e.anchors) > keptAnchors {
		e.anchors = slices.Delete(e.anchors, 0, 1)
	}
	return a
}

// compareAnchor compares an anchor with the logs that are held up to the sizes it names.
func (e *Epoch) compareAnchor(a *anchored) {
	for _, h := range a.logs {
		l := e.lookup(h.Log)
		if l == nil {
			continue
		}
		if head, ok := l.HeadAt(h.Size); ok {
			l.compareRoot(a, &h, &head)
		}
	}
}

// compareHead compares a new head with the anchors that name its size.
func (l *Log) compareHead(head *Head) {
	e := l.epoch
	e.mu.Lock()
	var of *anchored
	var want LogHead
	for _, a := range e.anchors {
		for k := range a.logs {
			if h := &a.logs[k]; h.Size == head.Size && h.Log == l.name && h.Root != head.Root {
				of, want = a, *h
			}
		}
	}
	e.mu.Unlock()
	if of != nil {
		l.compareRoot(of, &want, head)
	}
}

// compareRoot condemns the epoch if the anchor has another root than the head. The entry can be too long for a proof that others would
// take; then it is none.
func (l *Log) compareRoot(a *anchored, want *LogHead, head *Head) {
	if want.Root == head.Root {
		return
	}
	p := &AnchorProof{
		Origin: l.origin, Head: *head, Index: a.block.Index, Frontier: slices.Clone(a.before.Peaks()),
		Record: a.block.Record.Raw(), Signature: a.block.Signature, Payload: a.block.Payload,
	}
	if _, err := EncodeFault(p); err != nil {
		return
	}
	if _, err := l.epoch.AddFault(p); err != nil {
		l.epoch.replica.cfg.Logger.Error("an anchor and a head contradict each other, but make no proof", "log", l.origin, "err", err)
	}
}
