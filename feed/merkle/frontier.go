package merkle

import "fmt"

// A Frontier is the compact form of a tree: its size and its peaks. It is a plain value: assignment copies it, == compares it,
// and the zero value is the empty tree. It takes 1.3 kB whatever the size; who keeps many keeps their Peaks.
type Frontier struct {
	size uint64
	// peaks holds the peaks, largest first; those from PeakCount(size) on are zero, so that == works.
	peaks [maxPeaks]Hash
}

// NewFrontier returns the frontier of n leaves with the given peaks, largest first. There must be exactly PeakCount(n) of them;
// whether they are the right ones only a root can tell.
func NewFrontier(n uint64, peaks []Hash) (Frontier, error) {
	var f Frontier
	err := f.take(0, n, peaks)
	return f, err
}

// Size returns the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Peaks returns the hashes of the perfect subtrees, largest first. The slice belongs to f and changes with it.
func (f *Frontier) Peaks() []Hash { return f.peaks[:PeakCount(f.size)] }

// PeaksSince returns the peaks that a holder of frontier(have) lacks: what Advance needs there. The slice belongs to f.
func (f *Frontier) PeaksSince(have uint64) []Hash {
	peaks := f.Peaks()
	return peaks[len(peaks)-NewPeaks(have, f.size):]
}

// Clone returns a copy of f.
func (f *Frontier) Clone() Frontier { return *f }

// Append adds one leaf. It panics beyond MaxSize.
func (f *Frontier) Append(leaf Hash) { f.push(0, leaf) }

// AppendSubtree adds 2^height leaves at once, given the hash of the perfect subtree that they form. It panics if the size is not
// a multiple of 2^height (the leaves would not form a subtree there), or beyond MaxSize.
func (f *Frontier) AppendSubtree(height int, h Hash) { f.push(height, h) }

func (f *Frontier) push(height int, h Hash) {
	width := uint64(1) << height
	if f.size&(width-1) != 0 || width > MaxSize-f.size {
		panic(fmt.Sprintf("merkle: cannot append 2^%d leaves to %d", height, f.size))
	}
	// Each trailing 1 bit of size>>height is a subtree as large as h, just left of it. Together they make one of twice the width.
	top := PeakCount(f.size)
	for n := f.size >> height; n&1 == 1; n >>= 1 {
		top--
		h = NodeHash(f.peaks[top], h)
		f.peaks[top] = Hash{}
	}
	f.peaks[top] = h
	f.size += width
}

// Root returns the root of the tree: the peaks, folded from the smallest up.
func (f *Frontier) Root() Hash {
	peaks := f.Peaks()
	if len(peaks) == 0 {
		return EmptyRoot()
	}
	// The rest of the tree, right of a peak, is that peak's right sibling.
	root := peaks[len(peaks)-1]
	for i := len(peaks) - 2; i >= 0; i-- {
		root = NodeHash(peaks[i], root)
	}
	return root
}

// Advance returns the frontier of the first to leaves, made of the peaks that f has already and the newPeaks that it lacks, of
// which there must be exactly NewPeaks(f.Size(), to). As with NewFrontier, only a root tells whether they are right.
func (f *Frontier) Advance(to uint64, newPeaks []Hash) (Frontier, error) {
	if to < f.size {
		return Frontier{}, fmt.Errorf("merkle: a frontier of %d leaves cannot go back to %d", f.size, to)
	}
	g := *f
	err := g.take(PeakCount(to)-NewPeaks(f.size, to), to, newPeaks)
	return g, err
}

// take makes f the frontier of n leaves: it keeps the first shared peaks and takes over the others.
func (f *Frontier) take(shared int, n uint64, peaks []Hash) error {
	if n > MaxSize {
		return fmt.Errorf("merkle: %d leaves are more than a tree may have", n)
	}
	if want := PeakCount(n) - shared; len(peaks) != want {
		return fmt.Errorf("%w: got %d peaks for size %d, want %d", ErrProof, len(peaks), n, want)
	}
	clear(f.peaks[shared:])
	copy(f.peaks[shared:], peaks)
	f.size = n
	return nil
}
