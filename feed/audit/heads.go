package audit

import (
	"runtime"
	"sync"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// heads checks signatures on as many goroutines as there are processors, while the audit reads on. The audit makes batches, the
// workers check them and give them back; when all are being checked, the audit waits.
type heads struct {
	every bool
	check func(key feed.PublicKey, origin string, h *feed.Head) bool
	todo  chan *batch
	free  chan *batch
	group sync.WaitGroup
	all   int    // batches there are
	now   *batch // being filled; nil: none

	mu  sync.Mutex
	bad bool   // guarded by mu
	at  uint64 // guarded by mu: lowest record whose signature is wrong
}

// A batch is heads of one log.
type batch struct {
	key    feed.PublicKey
	origin string
	list   []feed.Head
}

const batchSize = 64

func newHeads(every bool, check func(feed.PublicKey, string, *feed.Head) bool) *heads {
	workers := runtime.GOMAXPROCS(0)
	h := &heads{every: every, check: check, all: 2 * workers}
	if check == nil {
		h.check = func(key feed.PublicKey, origin string, head *feed.Head) bool { return head.Verify(key, origin) }
	}
	h.todo, h.free = make(chan *batch, h.all), make(chan *batch, h.all)
	for range h.all {
		h.free <- &batch{list: make([]feed.Head, 0, batchSize)}
	}
	for range workers {
		h.group.Go(h.work)
	}
	return h
}

func (h *heads) close() {
	close(h.todo)
	h.group.Wait()
}

func (h *heads) work() {
	for b := range h.todo {
		for k := range b.list {
			if !h.check(b.key, b.origin, &b.list[k]) {
				h.found(b.list[k].Size - 1)
				break
			}
		}
		b.list = b.list[:0]
		h.free <- b
	}
}

func (h *heads) found(at uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.bad || at < h.at {
		h.bad, h.at = true, at
	}
}

// next is told of each record that was appended, last of each that ends a run.
func (h *heads) next(l *logAudit) {
	if h.every {
		h.add(l)
	}
}

func (h *heads) last(l *logAudit) {
	if !h.every {
		h.add(l)
	}
}

// add wants the signature with the last record of l checked.
func (h *heads) add(l *logAudit) {
	if h.now == nil {
		h.now = <-h.free
		h.now.key, h.now.origin = l.epoch.note.Key, l.origin
	}
	h.now.list = append(h.now.list, feed.Head{Size: l.edge.size, Root: merkle.Hash(l.edge.root()), Signature: l.head})
	l.report.Signatures++
	if len(h.now.list) == batchSize {
		h.flush()
	}
}

func (h *heads) flush() {
	if h.now != nil {
		h.todo <- h.now
		h.now = nil
	}
}

// wait returns when all signatures wanted so far are checked: whether one is wrong, and the first record with a wrong one. Then it forgets.
func (h *heads) wait() (at uint64, bad bool) {
	h.flush()
	for k := 0; k < h.all; k++ {
		defer func(b *batch) { h.free <- b }(<-h.free)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at, bad = h.at, h.bad
	h.at, h.bad = 0, false
	return at, bad
}
