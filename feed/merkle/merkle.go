// Package merkle holds the mathematics of a log: a tree that only ever grows on the right, the few hashes that stand for
// all of it (its frontier), and the proofs that follow from them. Pure functions: no files, no clocks, no network, and no
// allocation on the way of a block.
//
// The tree is that of RFC 6962, section 2.1, and of RFC 9162, section 2.1.1. A tree of n leaves is split at the largest
// power of two below n: the left part is perfect and never changes again, the right part is a tree by the same rule.
// So n leaves fall into one perfect subtree for each 1 bit of n, largest first; their hashes are the peaks:
//
//	        root of 7
//	       /         \
//	      A           .
//	   /     \       / \
//	  .       .     B   \        n = 7 = 4 + 2 + 1
//	 / \     / \   / \   \       frontier(7) = A, B, C
//	0   1   2   3 4   5   6 = C
//
// Who holds frontier(n) can compute the root of size n, append further leaves, and needs nothing else of the past.
// That is why a block verifies alone: frontier(i) and record i give the root of size i+1, and every size is signed.
package merkle

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/bits"
)

// HashSize is the length of a Hash in bytes.
const HashSize = sha256.Size

// MaxSize is the largest number of leaves of a tree here: 35 years of a thousand leaves a second.
const MaxSize = 1<<maxPeaks - 1

// maxPeaks bounds the peaks of a frontier: one for each bit of MaxSize.
const maxPeaks = 40

// A Hash is the SHA-256 of a leaf, of a node, or of the empty tree.
type Hash [HashSize]byte

// String returns the hash in standard base64, as heads write it.
func (h Hash) String() string { return base64.StdEncoding.EncodeToString(h[:]) }

// ErrProof says that a proof does not lead to the root it should, or has not exactly the hashes that its sizes ask for.
var ErrProof = errors.New("merkle: wrong proof")

// LeafHash returns the hash of a leaf, SHA256(0x00 || record).
// https://www.rfc-editor.org/rfc/rfc6962#section-2.1
func LeafHash(record []byte) Hash {
	// Records are 80 bytes; only what is longer goes to the heap.
	buf := make([]byte, 0, 128)
	buf = append(buf, 0x00)
	return sha256.Sum256(append(buf, record...))
}

// NodeHash returns the hash of an inner node, SHA256(0x01 || left || right).
// https://www.rfc-editor.org/rfc/rfc6962#section-2.1
func NodeHash(left, right Hash) Hash {
	var buf [1 + 2*HashSize]byte
	buf[0] = 0x01
	copy(buf[1:], left[:])
	copy(buf[1+HashSize:], right[:])
	return sha256.Sum256(buf[:])
}

// EmptyRoot returns the root of the tree without leaves, SHA256("").
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// PeakCount returns the number of peaks of a tree of n leaves: one for each 1 bit of n.
func PeakCount(n uint64) int { return bits.OnesCount64(n) }

// NewPeaks returns how many peaks of frontier(want) a holder of frontier(have) lacks. A holder of more than it wants
// (have > want) lacks them all: its larger subtrees cannot be taken apart.
//
// Where have and want agree from the top bit down, their peaks are the same subtrees. At the highest bit that differs, want
// has a subtree that covers more leaves than have knows; it and all smaller peaks of want are new.
func NewPeaks(have, want uint64) int {
	if have > want {
		return PeakCount(want)
	}
	differ := bits.Len64(have ^ want) // the highest differing bit, counted from 1
	return PeakCount(want & (1<<differ - 1))
}
