package merkle

import (
	"fmt"
	"math/bits"
)

// coverStep returns the height of the first subtree of the cover of [a, b): the largest perfect subtree that begins at a and
// does not go past b. A subtree of height h begins at a multiple of 2^h.
func coverStep(a, b uint64) int {
	height := bits.Len64(b-a) - 1
	if a != 0 {
		height = min(height, bits.TrailingZeros64(a))
	}
	return height
}

// CoverLen returns the number of hashes of cover(a, b): the fewest perfect subtrees that make up the leaves [a, b), left to right.
func CoverLen(a, b uint64) int {
	n := 0
	for ; a < b; a += 1 << coverStep(a, b) {
		n++
	}
	return n
}

// Verify is the one proof there is. From left = frontier(a), the hashes of the leaves [a, b), and right = cover(b, n), it computes the
// root of n leaves, and compares it with root, which must come with a valid signature of size n. It returns frontier(b), to go on from.
//
// With b = n it proves a range up to a head, with a = 0 a whole log, with one leaf an inclusion; without leaves it proves
// that the tree of size n continues the one of size a. There is exactly one proof for given sizes: lengths are not negotiable.
func Verify(a uint64, left, leaves []Hash, n uint64, right []Hash, root Hash) (Frontier, error) {
	f, err := NewFrontier(a, left)
	if err != nil {
		return Frontier{}, err
	}
	if n > MaxSize || n < a || n-a < uint64(len(leaves)) {
		return Frontier{}, fmt.Errorf("%w: %d leaves from %d do not fit in size %d", ErrProof, len(leaves), a, n)
	}
	for _, leaf := range leaves {
		f.Append(leaf)
	}
	whole, err := f.extend(n, right)
	if err != nil {
		return Frontier{}, err
	}
	if got := whole.Root(); got != root {
		return Frontier{}, fmt.Errorf("%w: it gives root %v of size %d, want %v", ErrProof, got, n, root)
	}
	return f, nil
}

// extend returns the frontier of n leaves, given the cover of those that f lacks.
func (f *Frontier) extend(n uint64, cover []Hash) (Frontier, error) {
	if want := CoverLen(f.size, n); len(cover) != want {
		return Frontier{}, fmt.Errorf("%w: got %d hashes to cover [%d, %d), want %d", ErrProof, len(cover), f.size, n, want)
	}
	g := *f
	for _, h := range cover {
		g.push(coverStep(g.size, n), h)
	}
	return g, nil
}

// A HashReader returns the hash of the perfect subtree of height h that begins at leaf index<<h. Height 0 is a leaf.
type HashReader func(height int, index uint64) (Hash, error)

// FrontierAt reads the frontier of the first n leaves: cover(0, n).
func FrontierAt(n uint64, read HashReader) (Frontier, error) {
	peaks, err := Cover(0, n, read)
	if err != nil {
		return Frontier{}, err
	}
	return NewFrontier(n, peaks)
}

// Cover reads cover(a, b), the perfect subtrees that make up the leaves [a, b), left to right.
func Cover(a, b uint64, read HashReader) ([]Hash, error) {
	hashes := make([]Hash, 0, CoverLen(a, b))
	for a < b {
		height := coverStep(a, b)
		h, err := read(height, a>>height)
		if err != nil {
			return nil, fmt.Errorf("couldn't read the hash of leaves [%d, %d): %w", a, a+1<<height, err)
		}
		hashes = append(hashes, h)
		a += 1 << height
	}
	return hashes, nil
}

// RootAt returns the root of n leaves, given those up to f and cover(f.Size(), n). Like all hashes from elsewhere it is worth what the
// signature of that root is worth.
func RootAt(f *Frontier, n uint64, cover []Hash) (Hash, error) {
	if n < f.size || n > MaxSize {
		return Hash{}, fmt.Errorf("%w: %d leaves do not continue %d", ErrProof, n, f.size)
	}
	whole, err := f.extend(n, cover)
	if err != nil {
		return Hash{}, err
	}
	return whole.Root(), nil
}
