package feed

import (
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

// ErrNoFork says that a ForkProof does not prove a fork.
var ErrNoFork = errors.New("no fork")

// Verify returns nil if the proof holds against the epoch with that key.
func (p *ForkProof) Verify(key PublicKey) error {
	_, id, _, err := ParseOrigin(p.Origin)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoFork, err)
	}
	if id != key.EpochID() {
		return fmt.Errorf("%w: the origin is of epoch %v, the key of %v", ErrNoFork, id, key.EpochID())
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
