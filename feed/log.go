package feed

import (
	"cmp"
	"errors"
	"fmt"
	"sync"

	"tailcast/feed/merkle"
)

// Errors of logs. Put: ErrPayload and ErrSignature are the fault of who sent the block; a *Fault is the fault of who signed it.
var (
	// ErrSignature says that the epoch's key did not sign this record at this place of this log.
	ErrSignature = errors.New("not signed by the key of the epoch")
	// ErrRule says that records are signed, but break a rule of the format. It comes in a *Fault.
	ErrRule = errors.New("signed, but against the rules")
	// ErrFork says that two histories of one log are signed. It comes in a *Fault.
	ErrFork = errors.New("two histories are signed")
	// ErrNotHeld says that a block, or what would prove it, is not held here.
	ErrNotHeld = errors.New("not held here")
	// ErrPruned says that retention removed the payload of a block: Record still gives what remains. It is an ErrNotHeld.
	ErrPruned = fmt.Errorf("%w any longer: its payload was removed to make room", ErrNotHeld)
)

// A Range is the indices [From, To).
type Range struct{ From, To uint64 }

// A Log is what this node holds of one log: its newest head, and any of its blocks, each verified by itself. A streamer's own logs and
// those of a viewer are the same: LogWriter adds what it just signed, Put what somebody sent. All methods may be called at any time.
//
// The newest blocks are in memory with what proves them; older ones on disk, if the Replica has one, and verified again when read.
type Log struct {
	epoch  *Epoch
	name   string
	origin string
	store  *store // nil if the Replica is in memory only

	cursors cursors // of blocks read from disk; has its own lock

	// mu guards the rest. It is never held while a signature is made or checked, or a file read or written.
	mu      sync.Mutex
	head    Head            // newest verified, or remembered from an earlier run
	edge    merkle.Frontier // after the highest block verified in this run or recovered; its size may be below that of head
	tail    tail
	over    uint64 // what is missing below this block does not come any more
	fault   *Fault
	bad     map[uint64]struct{} // rows on disk that did not verify, at most maxBad
	changed chan struct{}       // nil unless somebody waits
}

// maxBad bounds what is remembered about a rotten disk.
const maxBad = 4096

// Name returns the name within the epoch, Epoch the epoch, Origin the name in the world.
func (l *Log) Name() string   { return l.name }
func (l *Log) Epoch() *Epoch  { return l.epoch }
func (l *Log) Origin() string { return l.origin }

// Head returns the newest verified head; its Size is 0 if there is none. Blocks below it may be missing.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Fault returns what condemned this log, nil if nothing did.
func (l *Log) Fault() *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// Changed returns a channel that is closed at the next new block or fault.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Abandon says that what is missing below a block does not come any more, so that who reads at the live edge need not wait for it.
func (l *Log) Abandon(below uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if below > l.over {
		l.over = below
		l.changed = wake(l.changed)
	}
}

// abandoned tells whether all that is missing below a block is abandoned.
func (l *Log) abandoned(below uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return below <= l.over
}

// Put takes in a block that somebody sent, with frontier(b.Index) as the sender claims it. It verifies the payload, the place in the
// tree and the signature, then the rules between neighbours as far as they are held, and then adds the block. It owns b.Payload from then on.
//
// fresh is false if the block was here already, or is older than what is kept. The error is ErrPayload or ErrSignature if the sender is to
// blame, a *Fault if the signer is. A Fault can also show up at a later block, once its predecessor comes.
func (l *Log) Put(b Block, f merkle.Frontier) (fresh bool, err error) {
	if f.Size() != b.Index {
		return false, fmt.Errorf("%w: frontier of size %d for block %d", ErrSignature, f.Size(), b.Index)
	}
	if fault := l.Fault(); fault != nil && b.Index >= fault.Index {
		return false, fault
	}
	if l.knows(&b) {
		return false, nil
	}
	after, head, err := l.verify(&b, &f)
	if err != nil {
		return false, err
	}
	return l.add(&b, &f, &after, head)
}

// knows reports whether b was here already, or was here and was pruned. One whose payload was lost otherwise is welcome again.
func (l *Log) knows(b *Block) bool {
	known, ok := l.inMemory(b.Index)
	if !ok {
		known, ok = l.lookupOnDisk(b.Index)
		ok = ok && (b.Index < l.pruned().To || l.store.whole(&known))
	}
	return ok && known.Record == b.Record
}

// verify verifies a block by itself: frontier f and the record give the root of the head that is signed. It returns the frontier
// after the block and that head. Whatever does not come from our own signer goes through here: peers and disk alike.
func (l *Log) verify(b *Block, f *merkle.Frontier) (merkle.Frontier, Head, error) {
	if err := b.Record.CheckPayload(b.Payload); err != nil {
		return merkle.Frontier{}, Head{}, err
	}
	return l.verifyHead(b, f)
}

// verifyHead is verify without the payload, which may have been removed.
func (l *Log) verifyHead(b *Block, f *merkle.Frontier) (merkle.Frontier, Head, error) {
	if b.Index >= merkle.MaxSize {
		return merkle.Frontier{}, Head{}, fmt.Errorf("%w: block %d is beyond any log", ErrSignature, b.Index)
	}
	after := f.Clone()
	after.Append(b.Record.Leaf())
	head := Head{Size: b.Index + 1, Root: after.Root(), Signature: b.Signature}
	if !head.Verify(l.epoch.note.Key, l.origin) {
		return merkle.Frontier{}, Head{}, fmt.Errorf("%w: block %d of %s", ErrSignature, b.Index, l.origin)
	}
	return after, head, nil
}

// add publishes a verified block: f is the frontier before it, after the one after it. Both ways into a log end here.
func (l *Log) add(b *Block, f, after *merkle.Frontier, head Head) (fresh bool, err error) {
	fresh, err = l.addChecked(&seen{b, f, after}, head)
	if !fresh {
		return fresh, err
	}
	if l.name == CatalogLog {
		if a := l.epoch.addAnchor(b, f); a != nil {
			l.epoch.compareAnchor(a)
		}
	}
	l.compareHead(&head)
	return fresh, nil
}

// addChecked publishes a block unless it contradicts what is held, or what is held contradicts it.
func (l *Log) addChecked(b *seen, head Head) (fresh bool, err error) {
	onDisk := l.diskFault(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	i := b.block.Index
	if l.fault != nil && i >= l.fault.Index {
		return false, l.fault
	}
	if s := l.tail.get(i); s != nil && s.block.Record == b.block.Record {
		return false, nil // somebody else was faster
	}
	if fault := cmp.Or(l.memoryFault(b), onDisk); fault != nil {
		l.condemn(fault)
		if fault.Kind() != KindRule || i >= fault.Index {
			return false, fault
		}
	}
	return l.publish(b.block, b.before, b.after, head), nil
}

// publish makes a block visible, and hands it to the disk without waiting. It returns false if there is room in neither.
func (l *Log) publish(b *Block, f, after *merkle.Frontier, head Head) bool {
	inMemory := l.tail.put(b, f)
	if b.Index+1 >= l.edge.Size() { // or equal: the block before it, on disk, may have rotted, and this one be of another history
		l.edge = *after
	}
	if head.Size > l.head.Size {
		l.head = head
	}
	queued := l.store != nil && !l.epoch.readOnly() && l.epoch.replica.disk.put(l, b)
	if l.name == CatalogLog && b.Record.Kind == Event {
		l.epoch.learn(b)
	}
	l.notify()
	return inMemory || queued
}

// notify wakes who waits for this log, and for the replica.
func (l *Log) notify() {
	l.changed = wake(l.changed)
	l.epoch.replica.notify()
}
