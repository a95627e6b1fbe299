package merkle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden vectors anew: version 1 is frozen, so look at the difference")

// goldenFile holds the vectors of this package, among all others of the feed.
const goldenFile = "../testdata/v1/tree.json"

type treeVectors struct {
	Comment  string
	Leaves   string // leaf i is SHA256(0x00 || i as 8 bytes)
	Trees    []treeVector
	NewPeaks []newPeaksVector
	Proofs   []proofVector
}

type treeVector struct {
	Size  uint64
	Root  string
	Peaks []string
}

type newPeaksVector struct {
	Have, Want uint64
	Count      int
}

type proofVector struct {
	A, B, Size  uint64
	Left, Right []string
	Root        string
	Valid       bool
}

func hexes(hashes []Hash) []string {
	list := []string{}
	for _, h := range hashes {
		list = append(list, hex.EncodeToString(h[:]))
	}
	return list
}

func goldenLeaf(i int) []byte { return record(i)[72:] }

// goldenForest is the tree of the vectors: leaf i is the number i in 8 bytes.
func goldenForest(t *testing.T, n int) []Frontier {
	t.Helper()
	list := make([]Frontier, n+1)
	for i := range n {
		list[i+1] = list[i]
		list[i+1].Append(LeafHash(goldenLeaf(i)))
	}
	return list
}

func TestGoldenTree(t *testing.T) {
	const most = 1025
	forest := goldenForest(t, most)
	read := func(height int, index uint64) (Hash, error) {
		var f Frontier
		for i := index << height; i < (index+1)<<height; i++ {
			f.Append(LeafHash(goldenLeaf(int(i))))
		}
		return f.Root(), nil
	}
	v := treeVectors{
		Comment: "docs/feed.md, Tree. Proofs: Left is frontier(A), then the leaves [A, B), Right is cover(B, Size).",
		Leaves:  "leaf i is the 8 bytes of i, big-endian; its hash is SHA256(0x00 || leaf)",
	}
	for _, n := range []uint64{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025} {
		root := forest[n].Root()
		v.Trees = append(v.Trees, treeVector{n, hex.EncodeToString(root[:]), hexes(forest[n].Peaks())})
	}
	for _, p := range [][2]uint64{{0, 0}, {0, 7}, {7, 7}, {7, 8}, {8, 9}, {1, 16}, {1, 17}, {100, 115}, {1009, 1024}, {1<<40 - 2, 1<<40 - 1}} {
		v.NewPeaks = append(v.NewPeaks, newPeaksVector{p[0], p[1], NewPeaks(p[0], p[1])})
	}
	for _, p := range [][3]uint64{{0, 0, 0}, {0, 1, 1}, {0, 3, 3}, {2, 3, 3}, {3, 5, 7}, {4, 4, 7}, {6, 7, 64}, {64, 65, 65}, {100, 116, 116}, {511, 513, 1025}} {
		right, err := Cover(p[1], p[2], read)
		if err != nil {
			t.Fatal(err)
		}
		root := forest[p[2]].Root()
		good := proofVector{p[0], p[1], p[2], hexes(forest[p[0]].Peaks()), hexes(right), hex.EncodeToString(root[:]), true}
		long := good
		long.Right, long.Valid = append(long.Right[:len(long.Right):len(long.Right)], long.Root), false
		wrong := good
		wrong.Root, wrong.Valid = hex.EncodeToString(goldenLeaf(0))+good.Root[16:], false
		v.Proofs = append(v.Proofs, good, long, wrong)
	}
	checkGoldenProofs(t, v)
	checkGolden(t, v)
}

// checkGoldenProofs checks that Verify says of each proof what the vectors say.
func checkGoldenProofs(t *testing.T, v treeVectors) {
	t.Helper()
	for _, p := range v.Proofs {
		var leaves []Hash
		for i := p.A; i < p.B; i++ {
			leaves = append(leaves, LeafHash(goldenLeaf(int(i))))
		}
		_, err := Verify(p.A, unhex(t, p.Left...), leaves, p.Size, unhex(t, p.Right...), unhex(t, p.Root)[0])
		if got := err == nil; got != p.Valid {
			t.Errorf("[%d, %d) of %d: got %v, want valid %v", p.A, p.B, p.Size, err, p.Valid)
		}
	}
}

func unhex(t *testing.T, list ...string) []Hash {
	t.Helper()
	var hashes []Hash
	for _, s := range list {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, Hash(b))
	}
	return hashes
}

func checkGolden(t *testing.T, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(goldenFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: this code makes other vectors, but version 1 is frozen", goldenFile)
	}
}
