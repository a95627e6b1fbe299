package feed

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"tailcast/feed/merkle"
)

// Here a Log finds what its signer did against the rules, and makes the proof: both blocks are at hand then, with what proves them.

// A seen is a verified block of a log with the frontiers before and after it.
type seen struct {
	block         *Block
	before, after *merkle.Frontier
}

// head returns the head that came with the block.
func (s *seen) head() Head {
	return Head{Size: s.block.Index + 1, Root: s.after.Root(), Signature: s.block.Signature}
}

// Evidence against a signer, in words.
var (
	errTwoRecords   = errors.New("two records of one index")
	errNotContinued = errors.New("a record that does not continue the one before it")
)

// memoryFault returns what b breaks by itself, or together with what is in memory at its place and beside it. The caller holds mu.
func (l *Log) memoryFault(b *seen) *Fault {
	if fault := l.loneFault(b); fault != nil {
		return fault
	}
	i := b.block.Index
	if s := l.tail.get(i); s != nil {
		before, after := s.before(), l.after(s)
		return l.twinFault(&seen{&s.block, &before, &after}, b)
	}
	if i > 0 {
		if s := l.tail.get(i - 1); s != nil && l.breaksAfter(s, b) {
			before, after := s.before(), l.after(s)
			return l.pairFault(&seen{&s.block, &before, &after}, b)
		}
	}
	if s := l.tail.get(i + 1); s != nil && l.breaksBefore(b, s) {
		before, after := s.before(), l.after(s)
		return l.pairFault(b, &seen{&s.block, &before, &after})
	}
	return nil
}

// breaksAfter reports whether b cannot come after the block in s.
func (l *Log) breaksAfter(s *slot, b *seen) bool {
	return l.after(s) != *b.before || b.block.Record.Follows(&s.block.Record) != nil
}

// breaksBefore reports whether b cannot come before the block in s.
func (l *Log) breaksBefore(b *seen, s *slot) bool {
	return !slices.Equal(b.after.Peaks(), s.peaks) || s.block.Record.Follows(&b.block.Record) != nil
}

// loneFault returns what b breaks by itself.
func (l *Log) loneFault(b *seen) *Fault {
	r, i := &b.block.Record, b.block.Index
	err := r.check()
	if err == nil && i == 0 {
		err = r.Follows(nil)
	}
	if err == nil {
		return nil
	}
	return l.newFault(i, ErrRule, err, &RuleProof{
		Origin: l.origin, Index: i, Frontier: slices.Clone(b.before.Peaks()), Record: r.Raw(), Signature: b.block.Signature,
	})
}

// twinFault returns what two blocks of one index break: they are of two histories, unless their records are the same.
func (l *Log) twinFault(a, b *seen) *Fault {
	if a.block.Record == b.block.Record {
		return nil
	}
	return l.newFault(b.block.Index, ErrFork, errTwoRecords, &ForkProof{Origin: l.origin, A: a.head(), B: b.head()})
}

// pairFault returns what a block and the next one break: the second is of another history, or a rule does not hold.
func (l *Log) pairFault(a, b *seen) *Fault {
	i := b.block.Index
	if *a.after != *b.before {
		return l.newFault(i, ErrFork, errNotContinued, &ForkProof{
			Origin: l.origin, A: a.head(), B: b.head(), Frontier: slices.Clone(b.before.Peaks()), Cover: []merkle.Hash{b.block.Record.Leaf()},
		})
	}
	err := b.block.Record.Follows(&a.block.Record)
	if err == nil {
		return nil
	}
	prev := a.block.Record.Raw()
	return l.newFault(i, ErrRule, err, &RuleProof{
		Origin: l.origin, Index: i, Frontier: slices.Clone(a.before.Peaks()), Prev: &prev, Record: b.block.Record.Raw(), Signature: b.block.Signature,
	})
}

func (l *Log) newFault(index uint64, kind, cause error, proof FaultProof) *Fault {
	return &Fault{Origin: l.origin, Index: index, Cause: fmt.Errorf("%w: %w", kind, cause), Proof: proof}
}

// after returns the frontier after a block in memory.
func (l *Log) after(s *slot) merkle.Frontier {
	if l.edge.Size() == s.block.Index+1 {
		return l.edge
	}
	f := s.before()
	f.Append(s.block.Record.Leaf())
	return f
}

// before returns the frontier before the block.
func (s *slot) before() merkle.Frontier {
	f, err := merkle.NewFrontier(s.block.Index, s.peaks)
	if err != nil {
		panic("feed: " + err.Error()) // the peaks of a verified frontier
	}
	return f
}

// diskFault returns what b breaks together with rows that are on disk only. A row that contradicts b is not believed before it is
// verified: it may have rotted.
func (l *Log) diskFault(b *seen) *Fault {
	if l.store == nil {
		return nil
	}
	for i := b.block.Index - min(b.block.Index, 1); i <= b.block.Index+1; i++ {
		if _, ok := l.inMemory(i); ok {
			continue
		}
		row, ok := l.lookupOnDisk(i)
		if !ok || l.agrees(&row, b) {
			continue
		}
		if fault := l.rowFault(i, b); fault != nil {
			return fault
		}
	}
	return nil
}

// agrees reports whether a row at the place of b or beside it fits b. It costs a signature, which tells one history from another.
func (l *Log) agrees(row *Block, b *seen) bool {
	switch {
	case row.Index == b.block.Index:
		return row.Record == b.block.Record
	case row.Index < b.block.Index:
		head := Head{Size: b.before.Size(), Root: b.before.Root(), Signature: row.Signature}
		return b.block.Record.Follows(&row.Record) == nil && head.Verify(l.epoch.note.Key, l.origin)
	}
	_, _, err := l.verifyHead(row, b.after)
	return row.Record.Follows(&b.block.Record) == nil && err == nil
}

// rowFault returns what row i, if it verifies, breaks together with b.
func (l *Log) rowFault(i uint64, b *seen) *Fault {
	row, ok := l.row(i)
	if !ok {
		return nil
	}
	switch {
	case i < b.block.Index:
		return l.pairFault(row, b)
	case i > b.block.Index:
		return l.pairFault(b, row)
	}
	return l.twinFault(row, b)
}

// row returns block i as the disk has it, verified but for its payload, which may have been removed.
func (l *Log) row(i uint64) (*seen, bool) {
	b, ok := l.lookupOnDisk(i)
	if !ok {
		return nil, false
	}
	var after merkle.Frontier
	before, err := l.store.frontier(i, func(f *merkle.Frontier) (good bool) {
		var err error
		after, _, err = l.verifyHead(&b, f)
		return err == nil
	})
	if err != nil {
		l.distrust(i, err)
	}
	return &seen{&b, &before, &after}, err == nil
}

// see returns block i with what proves it, but for its payload: from memory, else from disk.
func (l *Log) see(i uint64) (*seen, bool) {
	if s, ok := l.seeInMemory(i); ok || l.store == nil {
		return s, ok
	}
	return l.row(i)
}

func (l *Log) seeInMemory(i uint64) (*seen, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.tail.get(i)
	if s == nil {
		return nil, false
	}
	b, before, after := s.block, s.before(), l.after(s)
	b.Payload = nil
	return &seen{&b, &before, &after}, true
}

// HeadAt returns the signed head of size n, if it is held: with block n-1, or as the newest. It may read the disk, 2 ms.
func (l *Log) HeadAt(n uint64) (Head, bool) {
	if h := l.Head(); h.Size == n {
		return h, n > 0
	}
	if n == 0 {
		return Head{}, false
	}
	s, ok := l.see(n - 1)
	if !ok {
		return Head{}, false
	}
	return s.head(), true
}

// Contradicts returns the proof that a head that somebody shows is of another history than what is held here; nil if it is not, or if nothing
// is held that tells. The error is ErrSignature if the epoch's key did not sign the head. It may read the disk, 4 ms.
func (l *Log) Contradicts(h Head) (FaultProof, error) {
	if !h.Verify(l.epoch.note.Key, l.origin) {
		return nil, fmt.Errorf("%w: head of size %d of %s", ErrSignature, h.Size, l.origin)
	}
	if h.Size == 0 {
		return nil, nil
	}
	if own, ok := l.HeadAt(h.Size); ok {
		if own.Root == h.Root {
			return nil, nil
		}
		return &ForkProof{Origin: l.origin, A: own, B: h}, nil
	}
	next, ok := l.see(h.Size)
	if !ok || next.before.Root() == h.Root {
		return nil, nil
	}
	return &ForkProof{
		Origin: l.origin, A: h, B: next.head(), Frontier: slices.Clone(next.before.Peaks()), Cover: []merkle.Hash{next.block.Record.Leaf()},
	}, nil
}

// breaks reports whether b breaks a rule together with the block before it, and condemns it if so.
func (l *Log) breaks(b, prev *Block) bool {
	err := b.Record.Follows(&prev.Record)
	if err == nil {
		return false
	}
	fault := l.newFault(b.Index, ErrRule, err, nil)
	one, ok1 := l.see(prev.Index)
	two, ok2 := l.see(b.Index)
	if ok1 && ok2 {
		fault = cmp.Or(l.pairFault(one, two), fault)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.condemn(fault)
	return true
}
