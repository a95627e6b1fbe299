package merkle

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// A proof is the arguments of Verify.
type proof struct {
	a            uint64
	left, leaves []Hash
	n            uint64
	right        []Hash
	root         Hash
}

func (p proof) verify() (Frontier, error) {
	return Verify(p.a, p.left, p.leaves, p.n, p.right, p.root)
}

// clone returns p with hashes of its own.
func (p proof) clone() proof {
	p.left = append([]Hash(nil), p.left...)
	p.leaves = append([]Hash(nil), p.leaves...)
	p.right = append([]Hash(nil), p.right...)
	return p
}

// proof returns the proof of the leaves [a, b) in the first n.
func (f *forest) proof(t testing.TB, a, b, n uint64) proof {
	t.Helper()
	return proof{a, f.frontiers[a].Peaks(), f.leaves[a:b], n, f.cover(t, b, n), f.root(t, n)}.clone()
}

// Every range of every tree up to 40 leaves verifies, and gives the frontier at its end.
func TestVerifyAll(t *testing.T) {
	const most = 40
	f := newForest(t, most)
	cases := 0
	for n := uint64(0); n <= most; n++ {
		for b := uint64(0); b <= n; b++ {
			for a := uint64(0); a <= b; a++ {
				got, err := f.proof(t, a, b, n).verify()
				if err != nil || got != f.frontiers[b] {
					t.Fatalf("[%d, %d) of %d: got frontier(%d), %v", a, b, n, got.Size(), err)
				}
				cases++
			}
		}
	}
	if want := 43 * 42 * 41 / 6; cases != want {
		t.Errorf("ran %d cases, want %d", cases, want)
	}
}

// Whatever tlog can check of a leaf or of a prefix, Verify agrees with, in both directions.
func TestVerifyAgreesWithTlog(t *testing.T) {
	const most = 70
	f := newForest(t, most)
	cases := 0
	for n := int64(1); n <= most; n++ {
		root := tlog.Hash(f.root(t, uint64(n)))
		for i := range n {
			p, err := tlog.ProveRecord(n, i, f)
			if err != nil {
				t.Fatal(err)
			}
			theirs := tlog.CheckRecord(p, n, root, i, tlog.Hash(f.leaves[i]))
			_, ours := f.proof(t, uint64(i), uint64(i)+1, uint64(n)).verify()
			if theirs != nil || ours != nil {
				t.Fatalf("record %d of %d: tlog says %v, we %v", i, n, theirs, ours)
			}
			cases++
		}
		for m := int64(1); m <= n; m++ {
			p, err := tlog.ProveTree(n, m, f)
			if err != nil {
				t.Fatal(err)
			}
			theirs := tlog.CheckTree(p, n, root, m, tlog.Hash(f.root(t, uint64(m))))
			got, ours := f.proof(t, uint64(m), uint64(m), uint64(n)).verify()
			if theirs != nil || ours != nil || got.Root() != f.root(t, uint64(m)) {
				t.Fatalf("tree %d of %d: tlog says %v, we %v", m, n, theirs, ours)
			}
			cases++
		}
	}
	if want := 2 * 70 * 71 / 2; cases != want {
		t.Errorf("ran %d cases, want %d", cases, want)
	}
}

// hashes calls fn with every hash of p in turn, to change it.
func (p *proof) hashes(fn func(h *Hash)) {
	for _, list := range [][]Hash{p.left, p.leaves, p.right} {
		for i := range list {
			fn(&list[i])
		}
	}
	fn(&p.root)
}

// Every change of one bit of every hash, every other length and every other position or size with the same shape is refused.
func TestEveryChangeIsRefused(t *testing.T) {
	f := newForest(t, 21)
	refused := 0
	refuse := func(p proof, what string) {
		t.Helper()
		if _, err := p.verify(); err == nil {
			t.Fatalf("%s of [%d, +%d) of %d was accepted", what, p.a, len(p.leaves), p.n)
		} else if !errors.Is(err, ErrProof) {
			t.Fatalf("%s: got %v, want ErrProof", what, err)
		}
		refused++
	}
	for _, r := range [][3]uint64{{0, 0, 0}, {0, 0, 1}, {0, 1, 1}, {0, 3, 3}, {3, 5, 7}, {4, 8, 8}, {6, 7, 21}, {13, 21, 21}, {16, 16, 21}, {21, 21, 21}} {
		p := f.proof(t, r[0], r[1], r[2])
		p.hashes(func(h *Hash) {
			for bit := range 8 * HashSize {
				h[bit/8] ^= 1 << (bit % 8)
				refuse(p, "a changed bit")
				h[bit/8] ^= 1 << (bit % 8)
			}
		})
		for _, list := range []*[]Hash{&p.left, &p.leaves, &p.right} {
			was := *list
			*list = append(was[:len(was):len(was)], Hash{})
			refuse(p, "a hash more")
			if len(was) > 0 {
				*list = was[1:]
				refuse(p, "a hash less in front")
				*list = was[:len(was)-1]
				refuse(p, "a hash less behind")
			}
			*list = was
		}
		if _, err := p.verify(); err != nil {
			t.Fatalf("the proof itself: %v", err)
		}
	}
	if refused < 10_000 {
		t.Errorf("refused %d changes, want over 10000", refused)
	}
}

// Sizes beyond the maximum, and sums that overflow, are refused without work or panic.
func TestAbsurdSizes(t *testing.T) {
	for _, p := range []proof{
		{a: 1<<64 - 1, left: make([]Hash, 64), leaves: make([]Hash, 2), n: 1},
		{a: 0, n: 1<<64 - 1, right: make([]Hash, 64)},
		{a: 0, n: MaxSize + 1, right: make([]Hash, 1)},
		{a: 2, left: make([]Hash, 1), n: 1},
		{a: 1, left: make([]Hash, 1), leaves: make([]Hash, 3), n: 3},
	} {
		if _, err := p.verify(); err == nil {
			t.Errorf("accepted a proof of [%d, +%d) of %d", p.a, len(p.leaves), p.n)
		}
	}
}

func TestCoverLen(t *testing.T) {
	for _, tt := range []struct {
		a, b uint64
		want int
	}{
		{0, 0, 0},
		{5, 5, 0},
		{0, 8, 1},
		{0, 7, 3},
		{1, 8, 3},  // 1, 2-3, 4-7
		{3, 11, 4}, // 3, 4-7, 8-9, 10
		{3, 5, 2},  // 3, 4
		{5, 4, 0},  // nothing
		{1, 1 << 39, 39},
		{0, MaxSize, 40},
		{1, MaxSize, 78},
	} {
		if got := CoverLen(tt.a, tt.b); got != tt.want {
			t.Errorf("CoverLen(%d, %d): got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestReaderFails(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := FrontierAt(5, func(int, uint64) (Hash, error) { return Hash{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

// A signature is over size and root: a proof that holds for one (a, n) must not hold for another with the same root.
func TestSizeIsBoundByItsSignature(t *testing.T) {
	f := newForest(t, 300)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 300).Draw(t, "n")
		b := rapid.Uint64Range(0, n).Draw(t, "b")
		a := rapid.Uint64Range(0, b).Draw(t, "a")
		cover, err := Cover(b, n, f.read)
		if err != nil {
			t.Fatal(err)
		}
		p := proof{a, f.frontiers[a].Peaks(), f.leaves[a:b], n, cover, f.frontiers[n].Root()}
		if _, err := p.verify(); err != nil {
			t.Fatal(err)
		}
		other := rapid.Uint64Range(0, 300).Draw(t, "other root")
		if other == n {
			return
		}
		p.root = f.frontiers[other].Root()
		if _, err := p.verify(); err == nil {
			t.Fatalf("a proof of size %d leads to the root of %d", n, other)
		}
	})
}

// FuzzVerify gives Verify any sizes and hashes; what it accepts must be what it says.
func FuzzVerify(f *testing.F) {
	tree := newForest(f, 40)
	for _, r := range [][3]uint64{{0, 0, 0}, {0, 1, 1}, {3, 5, 7}, {13, 21, 40}, {40, 40, 40}} {
		p := tree.proof(f, r[0], r[1], r[2])
		f.Add(p.a, p.n, byte(len(p.left)), byte(len(p.leaves)), flatten(p.left, p.leaves, p.right, []Hash{p.root}))
	}
	f.Add(uint64(1<<64-1), uint64(1<<63), byte(64), byte(1), make([]byte, 100*HashSize))
	f.Fuzz(func(t *testing.T, a, n uint64, lefts, leaves byte, data []byte) {
		var all []Hash
		for len(data) >= HashSize {
			all, data = append(all, Hash(data)), data[HashSize:]
		}
		if len(all) == 0 {
			return
		}
		p := proof{a: a, n: n, root: all[len(all)-1]}
		all = all[:len(all)-1]
		i := min(int(lefts), len(all))
		j := min(i+int(leaves), len(all))
		p.left, p.leaves, p.right = all[:i], all[i:j], all[j:]
		got, err := p.verify()
		if err != nil {
			return
		}
		if want := a + uint64(len(p.leaves)); got.Size() != want || want > n {
			t.Fatalf("[%d, %d) of %d gives frontier(%d)", a, want, n, got.Size())
		}
		if n <= 40 && p.root == tree.frontiers[n].Root() && got != tree.frontiers[got.Size()] {
			t.Fatalf("the root of %d was reached by another frontier(%d)", n, got.Size())
		}
	})
}

func flatten(lists ...[]Hash) []byte {
	var b []byte
	for _, list := range lists {
		for _, h := range list {
			b = append(b, h[:]...)
		}
	}
	return b
}

// BenchmarkJoin is the proof work of joining: a frontier and 64 leaves up to a head.
func BenchmarkJoin(b *testing.B) {
	const n = 1e8 + 7
	peaks := make([]Hash, PeakCount(n))
	leaves := make([]Hash, 64)
	for i := range leaves {
		binary.BigEndian.PutUint64(leaves[i][:], uint64(i))
	}
	f, err := NewFrontier(n, peaks)
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range leaves {
		f.Append(l)
	}
	root := f.Root()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Verify(n, peaks, leaves, n+64, nil, root); err != nil {
			b.Fatal(err)
		}
	}
}
