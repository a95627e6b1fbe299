package feedtest

import (
	"slices"

	"tailcast/feed/merkle"
)

// InclusionProof returns PATH(i, D[n]) of RFC 6962, section 2.1.1: what other software wants to see of leaf i in a tree of n. It is
// made of what our own proof of that leaf holds, frontier(i) and cover(i+1, n), so it shows that the two say the same.
func InclusionProof(i, n uint64, frontier, cover []merkle.Hash) []merkle.Hash {
	p := auditPath{lo: 0, hi: n, left: frontier, right: cover}
	for p.hi-p.lo > 1 {
		p.descend(i + 1)
	}
	return p.upwards()
}

// ConsistencyProof returns PROOF(m, D[n]) of RFC 6962, section 2.1.2, for 1 <= m <= n, made of frontier(m) and cover(m, n). This is
// what a witness wants to see before it signs size n after size m (c2sp.org/tlog-witness).
func ConsistencyProof(m, n uint64, frontier, cover []merkle.Hash) []merkle.Hash {
	p := auditPath{lo: 0, hi: n, left: frontier, right: cover}
	for p.hi != m {
		p.descend(m)
	}
	// The subtree that ends at m is perfect. Whoever checks the proof knows it if it is the whole tree of m, and must be told otherwise.
	if p.lo > 0 {
		p.siblings = append(p.siblings, p.left...)
	}
	return p.upwards()
}

// An auditPath goes down from the root of a tree, and keeps the sibling of each node that it comes by.
type auditPath struct {
	lo, hi      uint64        // the subtree reached: the leaves [lo, hi)
	left, right []merkle.Hash // the peaks within [lo, m), and the cover of [m, hi)
	siblings    []merkle.Hash // from the root downwards
}

// descend goes to the child in which leaf m-1 is. A subtree is split at the largest power of two below its width.
func (p *auditPath) descend(m uint64) {
	k := uint64(1)
	for 2*k < p.hi-p.lo {
		k *= 2
	}
	if middle := p.lo + k; m > middle {
		// m goes beyond the left child, which is perfect: the largest peak not used yet.
		p.siblings, p.left, p.lo = append(p.siblings, p.left[0]), p.left[1:], middle
	} else {
		// The right child lies beyond m: the last few of the cover, folded from the smallest up.
		some := len(p.right) - merkle.CoverLen(middle, p.hi)
		p.siblings, p.right, p.hi = append(p.siblings, fold(p.right[some:])), p.right[:some], middle
	}
}

func fold(subtrees []merkle.Hash) merkle.Hash {
	last := len(subtrees) - 1
	h := subtrees[last]
	for _, s := range slices.Backward(subtrees[:last]) {
		h = merkle.NodeHash(s, h)
	}
	return h
}

// upwards returns the siblings in the order of RFC 6962: from the bottom.
func (p *auditPath) upwards() []merkle.Hash {
	slices.Reverse(p.siblings)
	return p.siblings
}
