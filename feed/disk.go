package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A disk is the goroutine that writes what a Replica holds. Nobody waits for it: blocks go through a queue, and when the queue
// is full or the disk fails, they stay in memory only, the history gets a hole, and that is said aloud once.
//
//	writing ──write fails──▶ failing ──after 10 s, a write succeeds──▶ writing
//	   └──────fsync fails──▶ the log is dead until the next start (store.dead); other logs go on
type disk struct {
	replica *Replica
	queue   chan task // when full, blocks are not stored
	queued  atomic.Int64
	stop    chan struct{} // closed by Replica.Close
	done    chan struct{} // closed by run

	// mu guards the fields below it: written by run, read by anybody.
	mu   sync.Mutex
	err  error // nil while writing
	dead error // of the first log that a failed fsync ended

	stored Stored // as of the last sync

	overflow atomic.Bool // the queue was full

	todo []func()      // what later was given; guarded by mu
	wake chan struct{} // there is something to do; room for one

	// The rest is owned by run.
	keeper   keeper
	dirty    map[*Log]struct{} // with blocks that wait, or rows that are not synced
	waiting  int               // blocks that wait for their neighbours
	failedAt time.Time         // of err
	paused   time.Time         // when writing failed, after which nothing is written for retryAfter; zero while it does not fail
	newest   time.Time         // when the heads were last remembered
}

// A task is a block to write, or something to do in its turn.
type task struct {
	log   *Log
	block Block
	do    func()
}

const (
	queueBytes  = 16 << 20
	queueTasks  = 4096                   // so many of 4 KiB have queueBytes: a minute of a slow disk, if that is what a stream of 2 Mbit/s needs
	gatherFor   = 50 * time.Millisecond  // blocks wait for their neighbours, to be written with them
	syncEvery   = 900 * time.Millisecond // the promise is a second
	retryAfter  = 10 * time.Second
	newestEvery = time.Minute
)

var (
	errOverflow = errors.New("the disk is too slow for this stream")
	errUnsynced = errors.New("what was written before couldn't be synced")
)

func newDisk(r *Replica) *disk {
	return &disk{replica: r, keeper: newKeeper(r), queue: make(chan task, queueTasks), wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), dirty: make(map[*Log]struct{})}
}

// put hands a block over, without waiting. It returns false if the queue is full.
func (d *disk) put(l *Log, b *Block) bool {
	cost := int64(len(b.Payload))
	if d.queued.Add(cost) <= queueBytes {
		select {
		case d.queue <- task{log: l, block: *b}:
			return true
		default:
		}
	}
	d.queued.Add(-cost)
	d.overflow.Store(true)
	return false
}

// wait runs f on the disk goroutine after everything handed over before, and returns when it is done.
func (d *disk) wait(ctx context.Context, f func()) error {
	finished := make(chan struct{})
	select {
	case d.queue <- task{do: func() { f(); close(finished) }}:
	case <-d.done:
		return os.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-finished:
		return nil
	case <-d.done:
		return os.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// later runs f on the disk goroutine after everything handed over before, however full the queue is. It is for what is done once in an epoch.
func (d *disk) later(f func()) {
	d.mu.Lock()
	d.todo = append(d.todo, f)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default: // it is awake
	}
}

// run writes until it is stopped, then the rest of the queue, and syncs and closes all files.
func (d *disk) run() {
	defer close(d.done)
	d.begin()
	gather, sync := newAlarm(gatherFor), newAlarm(syncEvery)
	defer gather.Stop()
	defer sync.Stop()
	for {
		select {
		case t := <-d.queue:
			d.step(t)
		case <-d.wake:
			d.drain()
		case <-gather.C:
			gather.set = false
			d.flushAll()
		case <-sync.C:
			sync.set = false
			d.syncAll()
		case <-d.stop:
			d.finish()
			return
		}
		gather.want(d.waiting > 0)
		sync.want(len(d.dirty) > 0)
	}
}

// begin looks at what earlier runs left, and holds it to the window.
func (d *disk) begin() {
	if err := d.keeper.start(); err != nil {
		d.fail(fmt.Errorf("couldn't count the history: %w", err))
	}
	d.keep()
}

// keep holds the disk to the window.
func (d *disk) keep() {
	stored, err := d.keeper.keep()
	if err != nil {
		d.fail(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stored = stored
}

// An alarm is a timer that is set once until it rings.
type alarm struct {
	*time.Timer
	after time.Duration
	set   bool
}

func newAlarm(after time.Duration) *alarm { return &alarm{time.NewTimer(after), after, true} }

func (a *alarm) want(set bool) {
	if set && !a.set {
		a.Reset(a.after)
		a.set = true
	}
}

// drain does all that was handed over so far.
func (d *disk) drain() {
	for n := len(d.queue); n > 0; n-- {
		d.step(<-d.queue)
	}
	d.flushAll()
	d.mu.Lock()
	todo := d.todo
	d.todo = nil
	d.mu.Unlock()
	for _, do := range todo {
		do()
	}
}

func (d *disk) step(t task) {
	if t.do != nil {
		d.flushAll()
		t.do()
		return
	}
	if !t.log.store.joins(&t.block) {
		d.flush(t.log)
	}
	t.log.store.pending = append(t.log.store.pending, t.block)
	d.waiting++
	d.dirty[t.log] = struct{}{}
}

// flushAll writes all that waits.
func (d *disk) flushAll() {
	if d.waiting == 0 {
		return
	}
	for l := range d.dirty {
		d.flush(l)
	}
}

// flush writes the blocks of a log that wait for their neighbours.
func (d *disk) flush(l *Log) {
	blocks := l.store.pending
	if len(blocks) == 0 {
		return
	}
	d.try(l, blocks)
	d.waiting -= len(blocks)
	for k := range blocks {
		d.queued.Add(-int64(len(blocks[k].Payload)))
	}
	clear(blocks) // their payloads may go
	l.store.pending = blocks[:0]
}

// try writes blocks, unless the disk failed a moment ago.
func (d *disk) try(l *Log, blocks []Block) {
	if d.overflow.Swap(false) {
		d.fail(errOverflow)
	}
	if !d.paused.IsZero() && time.Since(d.paused) < retryAfter {
		return
	}
	d.keeper.saw(l, &blocks[len(blocks)-1])
	err := d.room(func() error { return d.write(l, blocks) })
	if err != nil {
		d.paused = time.Now()
		d.fail(err)
		return
	}
	d.paused = time.Time{}
	d.recovered()
}

// room does something that needs room on the disk. If there is none, the oldest history leaves until there is: the window shrinks.
func (d *disk) room(do func() error) error {
	err := do()
	for isFull(err) && d.keeper.yield() {
		err = do()
	}
	return err
}

// write puts blocks on disk, the notes of their epoch before the first, and syncs the segment that they end.
func (d *disk) write(l *Log, blocks []Block) error {
	if l.epoch.retired || l.store.dead != nil {
		return nil
	}
	if err := l.epoch.save(); err != nil {
		return err
	}
	if blocks[0].Record.Flags&SegmentFirst != 0 || len(l.store.unsynced)+len(blocks) > maxUnsynced {
		d.sync(l)
	}
	if len(l.store.unsynced)+len(blocks) > maxUnsynced {
		return errUnsynced // and why was told
	}
	if err := l.store.write(l.frontierInMemory); err != nil {
		return err
	}
	for k := range blocks {
		l.setBad(blocks[k].Index, false)
	}
	d.dirty[l] = struct{}{}
	return nil
}

// sync syncs a log. One that cannot be synced for want of room is tried again, one whose fsync failed is not.
func (d *disk) sync(l *Log) {
	err := d.room(func() error { return l.store.sync(l.frontierInMemory) })
	if err == nil || l.store.dead != nil {
		delete(d.dirty, l)
	}
	if err != nil {
		d.fail(err)
	}
	if l.store.dead != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.dead = cmp.Or(d.dead, l.store.dead)
	}
}

func (d *disk) syncAll() {
	d.flushAll()
	for l := range d.dirty {
		d.sync(l)
	}
	d.keep()
	if now := time.Now(); now.Sub(d.newest) >= newestEvery {
		d.newest = now
		d.saveNewest()
	}
}

// saveNewest remembers what may never be gone back behind.
func (d *disk) saveNewest() {
	if err := d.room(d.replica.saveNewest); err != nil {
		d.fail(err)
	}
}

// finish leaves everything on disk.
func (d *disk) finish() {
	d.drain()
	d.syncAll()
	d.saveNewest()
	for _, e := range d.replica.Epochs() {
		d.closeEpoch(e)
	}
}

// closeEpoch closes the files of an epoch that is no longer held in memory. They stay on disk.
func (d *disk) closeEpoch(e *Epoch) {
	for _, l := range e.Logs() {
		if l.store == nil {
			continue
		}
		d.flush(l)
		d.sync(l)
		delete(d.dirty, l)
		if err := l.store.close(); err != nil {
			d.fail(err)
		}
	}
	e.retired = true
	if err := d.keeper.retire(e); err != nil {
		d.fail(err)
	}
}

// fail says once that the disk fails. The live edge does not notice.
func (d *disk) fail(err error) {
	d.failedAt = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		what := "the disk fails; going on without history"
		if isFull(err) {
			what = "the disk is full; the history has a hole until there is room"
		}
		d.replica.cfg.Logger.Error(what, "dir", d.replica.cfg.Dir, "err", err)
	}
	d.err = err
}

// recovered says once that the disk works again, when it has for a while.
func (d *disk) recovered() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil && time.Since(d.failedAt) >= retryAfter {
		d.replica.cfg.Logger.Info("the disk works again; the history has a hole", "dir", d.replica.cfg.Dir)
		d.err = nil
	}
}

// error returns why there is no history, or not all of it.
func (d *disk) error() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return cmp.Or(d.err, d.dead)
}
