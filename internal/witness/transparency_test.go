package witness

import (
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"

	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// What most logs verify with takes our roots and our proofs, of every tree of up to 40 leaves.
func TestTransparencyDevTakesOurProofs(t *testing.T) {
	l := forge(testKey("epoch"), "tailcast.example/log", 40, 40)
	for n := uint64(1); n <= 40; n++ {
		root := l.heads[n].Root[:]
		for i := range n {
			frontier, cover := l.both(t, i, i+1, n)
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, i, n, l.leaves[i][:], bytesOf(feedtest.InclusionProof(i, n, frontier, cover)), root); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			m := i + 1
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, m, n, bytesOf(l.proof(t, m, n)), l.heads[m].Root[:], root); err != nil {
				t.Fatalf("%d after %d: %v", n, m, err)
			}
		}
	}
}

func bytesOf(hashes []merkle.Hash) [][]byte {
	var list [][]byte
	for _, h := range hashes {
		list = append(list, h[:])
	}
	return list
}

// Its test vectors, those of RFC 6962's reference implementation, are the roots and the peaks of our trees.
func TestTransparencyDevVectors(t *testing.T) {
	var f merkle.Frontier
	nodes, roots := testonly.NodeHashes(), testonly.RootHashes()
	for i, leaf := range testonly.LeafInputs() {
		f.Append(merkle.LeafHash(leaf))
		n := f.Size()
		if f.Root() != merkle.Hash(roots[n]) {
			t.Errorf("root of %d: got %v, want %x", n, f.Root(), roots[n])
		}
		peak := f.Peaks()[merkle.PeakCount(n)-1] // the smallest: as high as n has trailing 0 bits
		height := 0
		for n>>height&1 == 0 {
			height++
		}
		if want := merkle.Hash(nodes[height][i>>height]); peak != want {
			t.Errorf("last peak of %d: got %v, want %v", n, peak, want)
		}
	}
	if f.Size() != 8 {
		t.Errorf("looked at %d leaves, want 8", f.Size())
	}
}
