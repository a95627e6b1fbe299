package feed

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"tailcast/feed/merkle"
)

// testLeaves returns n leaves, from the given one on those of another history.
func testLeaves(n, other int) []merkle.Hash {
	var leaves []merkle.Hash
	for i := range n {
		b := []byte{byte(i), 0}
		if i >= other {
			b[1] = 1
		}
		leaves = append(leaves, merkle.LeafHash(b))
	}
	return leaves
}

func frontierOf(leaves []merkle.Hash) merkle.Frontier {
	var f merkle.Frontier
	for _, l := range leaves {
		f.Append(l)
	}
	return f
}

// coverOf returns cover(m, len(leaves)), computed from the leaves.
func coverOf(t testing.TB, m int, leaves []merkle.Hash) []merkle.Hash {
	t.Helper()
	cover, err := merkle.Cover(uint64(m), uint64(len(leaves)), func(height int, index uint64) (merkle.Hash, error) {
		f := frontierOf(leaves[index<<height : (index+1)<<height])
		return f.Root(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return cover
}

// testFork returns the proof that the signer of tv said m leaves of one history and n of another that leaves it at leaf other.
func testFork(t testing.TB, m, n, other int) ForkProof {
	t.Helper()
	a, b := testLeaves(m, m), testLeaves(n, other)
	p := ForkProof{Origin: testOrigin("tv"), A: signedHead(a), B: signedHead(b)}
	if m != n {
		under := frontierOf(b[:m])
		p.Frontier, p.Cover = slices.Clone(under.Peaks()), coverOf(t, m, b)
	}
	return p
}

func signedHead(leaves []merkle.Hash) Head {
	f := frontierOf(leaves)
	return SignHead(seedKey("epoch"), testOrigin("tv"), f.Size(), f.Root())
}

// Every fork of up to 20 leaves is proved; no honest history can be made to look like one.
func TestForkProof(t *testing.T) {
	key := publicKey(seedKey("epoch"))
	cases := 0
	for n := 1; n <= 20; n++ {
		for m := 1; m <= n; m++ {
			p := testFork(t, m, n, m-1)
			if err := p.Verify(key); err != nil {
				t.Fatalf("heads of %d and %d: %v", m, n, err)
			}
			honest := testFork(t, m, n, n)
			if err := honest.Verify(key); !errors.Is(err, ErrNoFork) {
				t.Fatalf("honest heads of %d and %d: got %v, want ErrNoFork", m, n, err)
			}
			cases++
		}
	}
	if cases != 210 {
		t.Errorf("ran %d cases, want 210", cases)
	}
}

func TestWrongForkProofs(t *testing.T) {
	for says, change := range map[string]func(p *ForkProof){
		"not signed":        func(p *ForkProof) { p.A.Signature[5] ^= 1 },
		"is not signed":     func(p *ForkProof) { p.B.Size++ },
		"got 1 peaks":       func(p *ForkProof) { p.Frontier = p.Frontier[:1] },
		"it gives root":     func(p *ForkProof) { p.Frontier[0][0] ^= 1 },
		"hashes to cover":   func(p *ForkProof) { p.Cover = nil },
		"is of epoch":       func(p *ForkProof) { p.Origin = strings.Replace(p.Origin, "/tv", "", 1)[:64] + "aaaaaaaaaaaaaaaa/tv" },
		"is not tailcast/1": func(p *ForkProof) { p.Origin = "tv" },
		"do not fit":        func(p *ForkProof) { p.A, p.B = p.B, p.A; p.Frontier, p.Cover = p.Frontier[:1], nil },
		"need no hashes":    func(p *ForkProof) { p.B = p.A },
	} {
		p := testFork(t, 5, 8, 4)
		change(&p)
		if err := p.Verify(publicKey(seedKey("epoch"))); !errors.Is(err, ErrNoFork) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want it to say %q", err, says)
		}
	}
	p := testFork(t, 5, 8, 4)
	if err := p.Verify(publicKey(seedKey("station"))); !errors.Is(err, ErrNoFork) {
		t.Errorf("other key: got %v, want ErrNoFork", err)
	}
}
