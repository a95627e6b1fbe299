package feed

import (
	"bytes"
	"errors"
	"fmt"

	"tailcast/feed/merkle"
)

// A ForkProof shows that the signer of a log said two things: heads of sizes m <= n of one origin, both signed, the second of
// which does not continue the first. With m < n, frontier(m) and cover(m, n) give the root of size n but not that of size m; since a root
// and its size fix every node of the tree, nobody can make such hashes against an honest signer.
//
// A fork stops live following of its epoch. It never makes untrue what was signed.
type ForkProof struct {
	Origin   string
	A, B     Head          // A.Size <= B.Size
	Frontier []merkle.Hash // the peaks of A.Size under B; none if the sizes are equal
	Cover    []merkle.Hash // cover(A.Size, B.Size)
}

// ErrNoFork says that a ForkProof does not prove a fork. It wraps ErrNoFault.
var ErrNoFork = fmt.Errorf("%w: no fork", ErrNoFault)

// Kind returns KindFork.
func (p *ForkProof) Kind() FaultKind { return KindFork }

// Log returns the origin of the log.
func (p *ForkProof) Log() string { return p.Origin }

func (p *ForkProof) names(origin string) { p.Origin = origin }

// Verify returns nil if the proof holds against the epoch with that key.
func (p *ForkProof) Verify(key PublicKey) error {
	if _, err := epochOrigin(p.Origin, key, CatalogLog); err != nil {
		return fmt.Errorf("%w: %w", ErrNoFork, err)
	}
	if !p.A.Verify(key, p.Origin) || !p.B.Verify(key, p.Origin) {
		return fmt.Errorf("%w: a head is not signed by that key", ErrNoFork)
	}
	return p.differs()
}

// differs returns nil if B does not continue A.
func (p *ForkProof) differs() error {
	root := p.B.Root // what B says of size A.Size
	if p.A.Size != p.B.Size {
		f, err := merkle.Verify(p.A.Size, p.Frontier, nil, p.B.Size, p.Cover, p.B.Root)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoFork, err)
		}
		root = f.Root()
	} else if len(p.Frontier)+len(p.Cover) != 0 {
		return fmt.Errorf("%w: two heads of one size need no hashes", ErrNoFork)
	}
	if root == p.A.Root {
		return fmt.Errorf("%w: size %d continues size %d", ErrNoFork, p.B.Size, p.A.Size)
	}
	return nil
}

// encode gives two heads of one size in the order of their roots: which of them is A says nothing.
func (p *ForkProof) encode(w *proofWriter) error {
	a, b := &p.A, &p.B
	if a.Size == b.Size && bytes.Compare(a.Root[:], b.Root[:]) > 0 {
		a, b = b, a
	}
	if a.Size == 0 || a.Size > b.Size || b.Size > merkle.MaxSize {
		return fmt.Errorf("%w: sizes %d and %d", ErrNoFork, a.Size, b.Size)
	}
	w.head(a)
	w.head(b)
	if a.Size == b.Size {
		return w.hashes(append(p.Frontier, p.Cover...), 0)
	}
	return errors.Join(w.hashes(p.Frontier, merkle.PeakCount(a.Size)), w.hashes(p.Cover, merkle.CoverLen(a.Size, b.Size)))
}

func (p *ForkProof) decode(r *proofReader) {
	p.A, p.B = r.head(), r.head()
	switch order := bytes.Compare(p.A.Root[:], p.B.Root[:]); {
	case r.err != nil:
	case p.A.Size > p.B.Size || p.A.Size == p.B.Size && order >= 0:
		r.keep(fmt.Errorf("heads of sizes %d and %d in the wrong order, or one twice", p.A.Size, p.B.Size))
	case p.A.Size < p.B.Size:
		p.Frontier = r.hashes(merkle.PeakCount(p.A.Size))
		p.Cover = r.hashes(merkle.CoverLen(p.A.Size, p.B.Size))
	}
}
