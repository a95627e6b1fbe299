package merkle

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// rfcLeaves and rfcRoots are the vectors of the reference implementation of RFC 6962 (google/certificate-transparency,
// merkletree/tree_hasher_test and merkle_tree_test): the roots of the first 1, 2, ... 8 of these leaves.
var (
	rfcLeaves = []string{
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
	}
	rfcRoots = []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
)

func TestRFC6962(t *testing.T) {
	var f Frontier
	if got, want := hex.EncodeToString(rootOf(&f)), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; got != want {
		t.Errorf("root of the empty tree: got %s, want %s", got, want)
	}
	for i, leaf := range rfcLeaves {
		b, err := hex.DecodeString(leaf)
		if err != nil {
			t.Fatal(err)
		}
		f.Append(LeafHash(b))
		if got := hex.EncodeToString(rootOf(&f)); got != rfcRoots[i] {
			t.Errorf("root of %d leaves: got %s, want %s", i+1, got, rfcRoots[i])
		}
	}
}

func rootOf(f *Frontier) []byte {
	r := f.Root()
	return r[:]
}

// A forest is a tree with all its hashes, made by tlog, and the frontier of every size, made by us.
type forest struct {
	leaves    []Hash
	frontiers []Frontier // frontiers[n] is frontier(n)
	hashes    []tlog.Hash
}

func (f *forest) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var list []tlog.Hash
	for _, i := range indexes {
		list = append(list, f.hashes[i])
	}
	return list, nil
}

// read is the HashReader of f.
func (f *forest) read(height int, index uint64) (Hash, error) {
	return Hash(f.hashes[tlog.StoredHashIndex(height, int64(index))]), nil
}

// cover returns cover(a, b), or stops the test.
func (f *forest) cover(t testing.TB, a, b uint64) []Hash {
	t.Helper()
	c, err := Cover(a, b, f.read)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func record(i int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 72), uint64(i)) }

func newForest(t testing.TB, n int) *forest {
	t.Helper()
	f := &forest{frontiers: make([]Frontier, 1, n+1)}
	for i := range n {
		stored, err := tlog.StoredHashes(int64(i), record(i), f)
		if err != nil {
			t.Fatal(err)
		}
		f.hashes = append(f.hashes, stored...)
		leaf := LeafHash(record(i))
		next := f.frontiers[i]
		next.Append(leaf)
		f.leaves = append(f.leaves, leaf)
		f.frontiers = append(f.frontiers, next)
	}
	return f
}

// root returns the root of n leaves as tlog computes it.
func (f *forest) root(t testing.TB, n uint64) Hash {
	t.Helper()
	if n == 0 {
		return EmptyRoot() // tlog says zero here, RFC 6962 SHA-256("")
	}
	h, err := tlog.TreeHash(int64(n), f)
	if err != nil {
		t.Fatal(err)
	}
	return Hash(h)
}

func TestRootIsThatOfTlog(t *testing.T) {
	f := newForest(t, 2050)
	for n := range f.frontiers {
		if got, want := f.frontiers[n].Root(), f.root(t, uint64(n)); got != want {
			t.Fatalf("root of %d leaves: got %v, want %v", n, got, want)
		}
	}
}

func TestLeafAndNodeAreThoseOfTlog(t *testing.T) {
	for _, size := range []int{0, 1, 80, 127, 128, 1000} {
		data := []byte(strings.Repeat("x", size))
		if got, want := LeafHash(data), Hash(tlog.RecordHash(data)); got != want {
			t.Errorf("leaf of %d bytes: got %v, want %v", size, got, want)
		}
	}
	l, r := LeafHash([]byte("l")), LeafHash([]byte("r"))
	if got, want := NodeHash(l, r), Hash(tlog.NodeHash(tlog.Hash(l), tlog.Hash(r))); got != want {
		t.Errorf("node: got %v, want %v", got, want)
	}
}

// Every (have, want) up to 130: NewPeaks is exact, Advance gives frontier(want), and no other number of peaks will do.
func TestAdvance(t *testing.T) {
	const most = 130
	f := newForest(t, most)
	cases := 0
	for have := uint64(0); have <= most; have++ {
		for want := have; want <= most; want++ {
			from, to := f.frontiers[have], f.frontiers[want]
			peaks := to.PeaksSince(have)
			if got := len(peaks); got != NewPeaks(have, want) {
				t.Fatalf("PeaksSince(%d) of %d: got %d peaks, want %d", have, want, got, NewPeaks(have, want))
			}
			got, err := from.Advance(want, peaks)
			if err != nil || got != to {
				t.Fatalf("advance %d to %d: got size %d, %v", have, want, got.Size(), err)
			}
			if _, err := from.Advance(want, append(peaks[:len(peaks):len(peaks)], Hash{})); err == nil {
				t.Fatalf("advance %d to %d took a peak too many", have, want)
			}
			if len(peaks) > 0 {
				if _, err := from.Advance(want, peaks[1:]); err == nil {
					t.Fatalf("advance %d to %d took a peak too few", have, want)
				}
			}
			cases++
		}
	}
	if want := 131 * 132 / 2; cases != want {
		t.Errorf("ran %d cases, want %d", cases, want)
	}
}

func TestAdvanceNeverGoesBack(t *testing.T) {
	f := newForest(t, 9)
	if _, err := f.frontiers[9].Advance(8, f.frontiers[8].Peaks()); err == nil {
		t.Error("a frontier of 9 went back to 8")
	}
	if got := NewPeaks(9, 8); got != 1 {
		t.Errorf("NewPeaks(9, 8): got %d, want all 1", got)
	}
}

// A stripe's receiver lacks few peaks: 2.9 on average with 16 stripes, as the design counts on.
func TestNewPeaksOfAStripe(t *testing.T) {
	const stripes, blocks = 16, 1 << 16
	sum := 0
	for i := uint64(stripes); i < blocks; i++ {
		sum += NewPeaks(i-stripes+1, i) // it holds the frontier right after the stripe's block before
	}
	if mean := float64(sum) / (blocks - stripes); mean > 3 {
		t.Errorf("new peaks per block at %d stripes: got %.2f, want at most 3", stripes, mean)
	}
}

func TestNewFrontier(t *testing.T) {
	for _, tt := range []struct {
		size  uint64
		peaks int
		ok    bool
	}{
		{0, 0, true},
		{0, 1, false},
		{1, 1, true},
		{1, 0, false},
		{7, 3, true},
		{7, 4, false},
		{8, 1, true},
		{MaxSize, maxPeaks, true},
		{MaxSize, maxPeaks - 1, false},
		{MaxSize + 1, 1, false},
		{1 << 63, 1, false},
		{1<<64 - 1, 64, false},
	} {
		_, err := NewFrontier(tt.size, make([]Hash, tt.peaks))
		if got := err == nil; got != tt.ok {
			t.Errorf("NewFrontier(%d, %d peaks): got %v, want ok %v", tt.size, tt.peaks, err, tt.ok)
		}
	}
}

func TestBoundsPanic(t *testing.T) {
	full, err := NewFrontier(MaxSize, make([]Hash, maxPeaks))
	if err != nil {
		t.Fatal(err)
	}
	odd := newForest(t, 3).frontiers[3]
	for name, f := range map[string]func(){
		"append beyond MaxSize": func() { full.Append(Hash{}) },
		"unaligned subtree":     func() { odd.AppendSubtree(1, Hash{}) },
		"subtree too large":     func() { new(Frontier).AppendSubtree(maxPeaks, Hash{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), "merkle: ") {
					t.Errorf("got panic %v, want one of ours", r)
				}
			}()
			f()
		})
	}
}

func TestAppendSubtree(t *testing.T) {
	f := newForest(t, 64)
	for height := range 6 {
		var g Frontier
		for g.Size() < 64 {
			h, _ := f.read(height, g.Size()>>height)
			g.AppendSubtree(height, h)
			if want := f.frontiers[g.Size()]; g != want {
				t.Fatalf("subtrees of height %d up to %d give another frontier", height, g.Size())
			}
		}
	}
}

// A uniform tree has one hash at each height, so trees of any size cost nothing.
func TestLargeTrees(t *testing.T) {
	uniform := []Hash{LeafHash(record(0))}
	for h := range maxPeaks {
		uniform = append(uniform, NodeHash(uniform[h], uniform[h]))
	}
	read := func(height int, _ uint64) (Hash, error) { return uniform[height], nil }
	for _, n := range []uint64{1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1e8 + 7, 1<<32 - 1, 1 << 39, MaxSize - 1, MaxSize} {
		f, err := FrontierAt(n, read)
		if err != nil {
			t.Fatal(err)
		}
		a := n / 3
		left, err := FrontierAt(a, read)
		if err != nil {
			t.Fatal(err)
		}
		right, err := Cover(a+1, n, read)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(a, left.Peaks(), uniform[:1], n, right, f.Root()); err != nil {
			t.Errorf("leaf %d of %d: %v", a, n, err)
		}
	}
}

func TestFrontierProperties(t *testing.T) {
	const most = 5000
	f := newForest(t, most)
	rapid.Check(t, func(t *rapid.T) {
		have := rapid.Uint64Range(0, most).Draw(t, "have")
		want := rapid.Uint64Range(have, most).Draw(t, "want")
		from, to := f.frontiers[have], f.frontiers[want]
		if got, err := from.Advance(want, to.PeaksSince(have)); err != nil || got != to {
			t.Fatalf("advance %d to %d: %v", have, want, err)
		}
		if got, err := FrontierAt(want, f.read); err != nil || got != to {
			t.Fatalf("FrontierAt(%d): %v", want, err)
		}
		if got, err := NewFrontier(want, to.Peaks()); err != nil || got != to {
			t.Fatalf("NewFrontier(%d): %v", want, err)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	f := newForest(t, 1000)
	from, to := f.frontiers[900], f.frontiers[1000]
	var g Frontier
	for name, fn := range map[string]func(){
		"append": func() { g = from; g.Append(f.leaves[0]) },
		"root":   func() { _ = to.Root() },
		"leaf":   func() { _ = LeafHash(f.leaves[0][:]) },
		"advance": func() {
			var err error
			if g, err = from.Advance(1000, to.PeaksSince(900)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if got := testing.AllocsPerRun(100, fn); got != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkFollow(b *testing.B) {
	f, err := NewFrontier(1e8+7, make([]Hash, PeakCount(1e8+7)))
	if err != nil {
		b.Fatal(err)
	}
	leaf := make([]byte, 80)
	b.ReportAllocs()
	for b.Loop() {
		f.Append(LeafHash(leaf))
		_ = f.Root()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "us/block")
}
