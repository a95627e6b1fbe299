package merkle_test

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// A tree has all hashes of a log as golang.org/x/mod/sumdb/tlog stores them: the foreign side of these tests.
type tree []tlog.Hash

func (t tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var list []tlog.Hash
	for _, i := range indexes {
		list = append(list, t[i])
	}
	return list, nil
}

// read is the HashReader of t.
func (t tree) read(height int, index uint64) (merkle.Hash, error) {
	return merkle.Hash(t[tlog.StoredHashIndex(height, int64(index))]), nil
}

func newTree(t testing.TB, leaves [][]byte) tree {
	t.Helper()
	var all tree
	for i, leaf := range leaves {
		stored, err := tlog.StoredHashes(int64(i), leaf, all)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored...)
	}
	return all
}

// numbers returns n leaves that differ.
func numbers(n int) [][]byte {
	var leaves [][]byte
	for i := range n {
		leaves = append(leaves, binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	return leaves
}

// fatal is what testing.T and rapid.T have in common.
type fatal interface {
	Helper()
	Fatal(...any)
}

// both returns frontier(a) and cover(b, n).
func (t tree) both(f fatal, a, b, n uint64) (frontier, cover []merkle.Hash) {
	f.Helper()
	front, err := merkle.FrontierAt(a, t.read)
	if err != nil {
		f.Fatal(err)
	}
	if cover, err = merkle.Cover(b, n, t.read); err != nil {
		f.Fatal(err)
	}
	return front.Peaks(), cover
}

// inclusion and consistency return the proofs of RFC 6962, made of ours.
func (t tree) inclusion(f fatal, i, n uint64) []merkle.Hash {
	frontier, cover := t.both(f, i, i+1, n)
	return feedtest.InclusionProof(i, n, frontier, cover)
}

func (t tree) consistency(f fatal, m, n uint64) []merkle.Hash {
	frontier, cover := t.both(f, m, m, n)
	return feedtest.ConsistencyProof(m, n, frontier, cover)
}

func same(ours []merkle.Hash, theirs []tlog.Hash) bool {
	return slices.EqualFunc(ours, theirs, func(a merkle.Hash, b tlog.Hash) bool { return a == merkle.Hash(b) })
}

// Our proofs say what those of tlog say: made from ours, every inclusion and every consistency proof of every tree of up to 130 leaves
// is the very list of hashes that tlog makes, which tlog takes; and ours leads to the root that tlog has.
func TestProofsAreThoseOfTlog(t *testing.T) {
	const most = 130
	all := newTree(t, numbers(most))
	cases := 0
	for n := uint64(1); n <= most; n++ {
		root, err := tlog.TreeHash(int64(n), all)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			checkInclusion(t, all, i, n, root)
			checkConsistency(t, all, i+1, n, root)
			cases += 2
		}
	}
	if want := most * (most + 1); cases != want {
		t.Errorf("compared %d proofs, want %d", cases, want)
	}
}

func checkInclusion(t fatal, all tree, i, n uint64, root tlog.Hash) {
	t.Helper()
	theirs, err := tlog.ProveRecord(int64(n), int64(i), all)
	if err != nil {
		t.Fatal(err)
	}
	if !same(all.inclusion(t, i, n), theirs) {
		t.Fatal("the inclusion proof of leaf ", i, " of ", n, " is not that of tlog")
	}
	frontier, cover := all.both(t, i, i+1, n)
	leaf, _ := all.read(0, i)
	if err := tlog.CheckRecord(theirs, int64(n), root, int64(i), tlog.Hash(leaf)); err != nil {
		t.Fatal(err)
	}
	if _, err := merkle.Verify(i, frontier, []merkle.Hash{leaf}, n, cover, merkle.Hash(root)); err != nil {
		t.Fatal(err)
	}
}

func checkConsistency(t fatal, all tree, m, n uint64, root tlog.Hash) {
	t.Helper()
	theirs, err := tlog.ProveTree(int64(n), int64(m), all)
	if err != nil {
		t.Fatal(err)
	}
	if !same(all.consistency(t, m, n), theirs) {
		t.Fatal("the consistency proof of ", n, " after ", m, " is not that of tlog")
	}
	old, err := tlog.TreeHash(int64(m), all)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckTree(theirs, int64(n), root, int64(m), old); err != nil {
		t.Fatal(err)
	}
	frontier, cover := all.both(t, m, m, n)
	f, err := merkle.Verify(m, frontier, nil, n, cover, merkle.Hash(root))
	if err != nil || f.Root() != merkle.Hash(old) {
		t.Fatal(n, " after ", m, ": ", err)
	}
}

// The same in trees of any leaves and of thousands of them.
func TestProofsOfLargeTreesAreThoseOfTlog(t *testing.T) {
	const most = 20_000
	all := newTree(t, numbers(most))
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, most).Draw(t, "n")
		i := rapid.Uint64Range(0, n-1).Draw(t, "i")
		root, err := tlog.TreeHash(int64(n), all)
		if err != nil {
			t.Fatal(err)
		}
		checkInclusion(t, all, i, n, root)
		checkConsistency(t, all, i+1, n, root)
	})
}

// The vectors that the reference implementation of RFC 6962 brought (google/certificate-transparency, merkletree/merkle_tree_test.cc),
// today in transparency-dev/merkle, testonly/constants.go: all perfect subtrees above its 8 leaves, by height.
var (
	rfcLeaves = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	rfcNodes  = [][]string{
		{
			"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
			"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
			"0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
			"07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
			"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
			"4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
			"b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
			"46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
		},
		{
			"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
			"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
			"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
			"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
		},
		{
			"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
			"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
		},
		{"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
	}
)

// A node is a perfect subtree of rfcNodes.
type node struct{ height, index int }

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rfcProof(t *testing.T, nodes []node) (proof []merkle.Hash) {
	t.Helper()
	for _, n := range nodes {
		proof = append(proof, merkle.Hash(unhex(t, rfcNodes[n.height][n.index])))
	}
	return proof
}

// Our tree has the hashes of those vectors, and the proofs made of ours are the proofs that the same tests bring.
func TestProofsAreThoseOfRFC6962(t *testing.T) {
	var leaves [][]byte
	for _, s := range rfcLeaves {
		leaves = append(leaves, unhex(t, s))
	}
	all := newTree(t, leaves)
	for height, nodes := range rfcNodes {
		for i := range nodes {
			var f merkle.Frontier
			for _, leaf := range leaves[i<<height : (i+1)<<height] {
				f.Append(merkle.LeafHash(leaf))
			}
			if want := rfcProof(t, []node{{height, i}})[0]; f.Root() != want {
				t.Errorf("subtree %d of height %d: got %v, want %v", i, height, f.Root(), want)
			}
		}
	}
	for _, tt := range []struct {
		leaf, size uint64
		path       []node
	}{
		{0, 1, nil},
		{0, 8, []node{{0, 1}, {1, 1}, {2, 1}}},
		{5, 8, []node{{0, 4}, {1, 3}, {2, 0}}},
		{2, 3, []node{{1, 0}}},
		{1, 5, []node{{0, 0}, {1, 1}, {0, 4}}},
	} {
		if got := all.inclusion(t, tt.leaf, tt.size); !slices.Equal(got, rfcProof(t, tt.path)) {
			t.Errorf("leaf %d of %d: got %v", tt.leaf, tt.size, got)
		}
	}
	for _, tt := range []struct {
		old, size uint64
		proof     []node
	}{
		{1, 1, nil},
		{1, 8, []node{{0, 1}, {1, 1}, {2, 1}}},
		{6, 8, []node{{1, 2}, {1, 3}, {2, 0}}},
		{2, 5, []node{{1, 1}, {0, 4}}},
		{6, 7, []node{{1, 2}, {0, 6}, {2, 0}}},
	} {
		if got := all.consistency(t, tt.old, tt.size); !slices.Equal(got, rfcProof(t, tt.proof)) {
			t.Errorf("%d after %d: got %v", tt.size, tt.old, got)
		}
	}
}
