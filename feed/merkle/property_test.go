package merkle

import (
	"errors"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A span is the leaves [from, to) of a perfect subtree.
type span struct{ from, to uint64 }

// coverSpans returns the subtrees of cover(a, b) by the words of docs/feed.md: repeatedly the largest whose width is a power of two that
// divides the position, and that does not go past b. It tries the widths one by one, for it is to be believed at sight.
func coverSpans(a, b uint64) (list []span) {
	for a < b {
		width := uint64(1)
		for w := width; w != 0 && a%w == 0 && w <= b-a; w *= 2 {
			width = w
		}
		list = append(list, span{a, a + width})
		a += width
	}
	return list
}

// compactLen is the number of subtrees of a range as others compute it: transparency-dev/merkle, compact.Decompose. From begin on, the
// bits that are 0 in begin-1, then those that are 1 in end, below the highest in which the two differ.
func compactLen(begin, end uint64) int {
	if begin == 0 || begin >= end {
		return bits.OnesCount64(end - min(begin, end))
	}
	low := uint64(1)<<(bits.Len64((begin-1)^end)-1) - 1
	return bits.OnesCount64(^(begin-1)&low) + bits.OnesCount64(end&low)
}

// anySize draws sizes of all magnitudes, those beside powers of two as often as others.
func anySize() *rapid.Generator[uint64] {
	return rapid.Custom(func(t *rapid.T) uint64 {
		n := uint64(1)<<rapid.IntRange(0, maxPeaks).Draw(t, "magnitude") - 1
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return n
		case 1:
			return min(n+rapid.Uint64Range(1, 2).Draw(t, "more"), MaxSize)
		}
		return rapid.Uint64Range(0, n).Draw(t, "any")
	})
}

// ordered draws sizes in ascending order.
func ordered(t *rapid.T, n int) []uint64 {
	list := make([]uint64, n)
	for i := range list {
		list[i] = anySize().Draw(t, "size")
	}
	slices.Sort(list)
	return list
}

// Lengths at any size up to 2^40-1: the formulas are those of the specification's words, and of other people.
func TestLengthFormulas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ordered(t, 2)
		a, b := s[0], s[1]
		spans := coverSpans(a, b)
		if got := CoverLen(a, b); got != len(spans) || got != compactLen(a, b) {
			t.Fatalf("cover(%d, %d): got %d, want %d and %d", a, b, got, len(spans), compactLen(a, b))
		}
		have := coverSpans(0, a)
		if got := PeakCount(a); got != len(have) {
			t.Fatalf("frontier(%d): got %d peaks, want %d", a, got, len(have))
		}
		lacks := 0
		for _, peak := range coverSpans(0, b) {
			if !slices.Contains(have, peak) {
				lacks++
			}
		}
		if got := NewPeaks(a, b); got != lacks {
			t.Fatalf("frontier(%d) after %d: got %d new peaks, want %d", b, a, got, lacks)
		}
	})
}

// A uniform tree is one whose leaves are all the same, so that its hashes at any size are known without work.
type uniform []Hash // by height

func newUniform() uniform {
	u := uniform{LeafHash(record(0))}
	for h := range maxPeaks {
		u = append(u, NodeHash(u[h], u[h]))
	}
	return u
}

func (u uniform) read(height int, _ uint64) (Hash, error) { return u[height], nil }

func (u uniform) frontier(t *rapid.T, n uint64) Frontier {
	f, err := FrontierAt(n, u.read)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// proof returns the proof of count leaves from a on in a tree of n.
func (u uniform) proof(t *rapid.T, a, count, n uint64) proof {
	left, whole := u.frontier(t, a), u.frontier(t, n)
	right, err := Cover(a+count, n, u.read)
	if err != nil {
		t.Fatal(err)
	}
	return proof{a, left.Peaks(), slices.Repeat(u[:1], int(count)), n, right, whole.Root()}.clone()
}

// At any size up to 2^40-1 a proof with exactly its hashes is taken, and with one more or less it is refused for its length, not
// only since the root would be another.
func TestExactLengths(t *testing.T) {
	u := newUniform()
	rapid.Check(t, func(t *rapid.T) {
		s := ordered(t, 2)
		p := u.proof(t, s[0], min(rapid.Uint64Range(0, 20).Draw(t, "leaves"), s[1]-s[0]), s[1])
		if _, err := p.verify(); err != nil {
			t.Fatalf("the proof itself: %v", err)
		}
		for _, list := range []*[]Hash{&p.left, &p.right} {
			was := *list
			*list = append(slices.Clone(was), u[0])
			refusedFor(t, p, "want")
			if len(was) > 0 {
				*list = was[:len(was)-1]
				refusedFor(t, p, "want")
			}
			*list = was
		}
		h := p.left
		if len(p.right) > 0 {
			h = p.right
		}
		if len(h) > 0 {
			h[rapid.IntRange(0, len(h)-1).Draw(t, "hash")][rapid.IntRange(0, HashSize-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			refusedFor(t, p, "it gives root")
		}
	})
}

func refusedFor(t *rapid.T, p proof, says string) {
	if _, err := p.verify(); !errors.Is(err, ErrProof) || !strings.Contains(err.Error(), says) {
		t.Fatalf("[%d, +%d) of %d: got %v, want it to say %q", p.a, len(p.leaves), p.n, err, says)
	}
}

// A receiver of one stripe goes from block to block with the peaks that are new: whatever it skips, it has the frontier of tlog's tree.
// One bit of a new peak wrong, and the root is another.
func TestSkips(t *testing.T) {
	const most = 5000
	f := newForest(t, most)
	rapid.Check(t, func(t *rapid.T) {
		var at Frontier
		for at.Size() < most && rapid.IntRange(0, 30).Draw(t, "goes on") > 0 {
			to := rapid.Uint64Range(at.Size(), min(most, at.Size()+700)).Draw(t, "to")
			peaks := slices.Clone(f.frontiers[to].PeaksSince(at.Size()))
			next, err := at.Advance(to, peaks)
			if err != nil || next != f.frontiers[to] {
				t.Fatalf("from %d to %d: %v", at.Size(), to, err)
			}
			if len(peaks) > 0 {
				peaks[rapid.IntRange(0, len(peaks)-1).Draw(t, "peak")][rapid.IntRange(0, HashSize-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				if wrong, err := at.Advance(to, peaks); err != nil || wrong.Root() == next.Root() {
					t.Fatalf("from %d to %d with a bit changed: %v, or the same root", at.Size(), to, err)
				}
			}
			if at = next; at.Size() < most && rapid.Bool().Draw(t, "with a block") {
				at.Append(f.leaves[at.Size()])
			}
			if at.Root() != f.frontiers[at.Size()].Root() {
				t.Fatalf("the root of %d is another", at.Size())
			}
		}
	})
}

// The cover of [a, b), appended to frontier(a), makes frontier(b), at any size: AppendSubtree is Append many times.
func TestCoverContinuesFrontier(t *testing.T) {
	u := newUniform()
	rapid.Check(t, func(t *rapid.T) {
		s := ordered(t, 2)
		f := u.frontier(t, s[0])
		for _, c := range coverSpans(s[0], s[1]) {
			if f.Size() != c.from {
				t.Fatalf("cover(%d, %d) has a gap at %d", s[0], s[1], f.Size())
			}
			height := bits.TrailingZeros64(c.to - c.from)
			f.AppendSubtree(height, u[height])
		}
		if want := u.frontier(t, s[1]); f != want {
			t.Fatalf("cover(%d, %d) does not give frontier(%d)", s[0], s[1], s[1])
		}
	})
}

// For a given root of a given size there is one index at which a leaf can be shown.
func TestIndexIsBoundByTheRoot(t *testing.T) {
	const most = 33
	f := newForest(t, most)
	tried := 0
	for n := uint64(1); n <= most; n++ {
		for i := range n {
			p := f.proof(t, i, i+1, n)
			for p.a = range n {
				if p.a == i {
					continue
				}
				tried++
				if _, err := p.verify(); err == nil {
					t.Fatalf("the proof of leaf %d of %d holds for leaf %d", i, n, p.a)
				}
			}
		}
	}
	if want := (most - 1) * most * (most + 1) / 3; tried != want {
		t.Errorf("tried %d places, want %d", tried, want)
	}
}

// A proof costs what its sizes say, never what a stranger writes: absurd sizes are refused, and cost no memory to speak of.
func TestParsersAreBounded(t *testing.T) {
	const absurd = 1<<64 - 1
	many := make([]Hash, 1<<16) // 2 MB, as if a parser had let them in
	var f Frontier
	never := func(int, uint64) (Hash, error) { return Hash{}, errors.New("nothing to read") }
	for name, fn := range map[string]func() error{
		"frontier of too many": func() error { _, err := NewFrontier(absurd, many); return err },
		"frontier, all peaks":  func() error { _, err := NewFrontier(MaxSize, many); return err },
		"advance to too many":  func() error { _, err := f.Advance(absurd, many); return err },
		"advance, all peaks":   func() error { _, err := f.Advance(MaxSize, many); return err },
		"verify from too far":  func() error { _, err := Verify(absurd, many, many, absurd, many, Hash{}); return err },
		"verify up to too far": func() error { _, err := Verify(0, nil, many, absurd, many, Hash{}); return err },
		"verify a long cover":  func() error { _, err := Verify(0, nil, nil, MaxSize, many, Hash{}); return err },
		"verify many leaves":   func() error { _, err := Verify(0, nil, many, 3, nil, Hash{}); return err },
		"cover of too many":    func() error { _, err := Cover(1, absurd, never); return err },
		"read too many":        func() error { _, err := FrontierAt(absurd, never); return err },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := fn()
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 16<<10 {
			t.Errorf("%s: allocated %d bytes, want at most 16 KiB", name, got)
		}
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
