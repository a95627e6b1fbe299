package feed

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"tailcast/feed/merkle"
)

// newMemoryLog returns an empty log in memory, of the epoch that signs the golden logs.
func newMemoryLog(t testing.TB, notes Notes, name string) *Log {
	t.Helper()
	r, err := Open(publicKey(seedKey("root")), Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	e, err := r.AddNotes(notes)
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Log(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A tlogTree is a log's records in the tree of golang.org/x/mod/sumdb/tlog.
type tlogTree []tlog.Hash

func (s tlogTree) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	for _, i := range indexes {
		list = append(list, s[i])
	}
	return list, nil
}

func newTlogTree(t *testing.T, leaves int, leaf func(i int) []byte) (s tlogTree) {
	t.Helper()
	for i := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf(i), s)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, hashes...)
	}
	return s
}

// From HELLO to the first block, and on: whoever joins anywhere, takes any stripes and skips what it likes, verifies each block with
// the peaks that are new to it, reaches the signed root that tlog computes from the records, and can pass everything on.
func TestJoinAnywhere(t *testing.T) {
	const most = 400
	g := newGoldenEpoch(t, "epoch", 1795000000000, nil)
	tv := g.logs["tv"]
	for i := range most {
		flags := Flags(0)
		if i%50 == 0 {
			flags = SegmentFirst | RandomAccess
		}
		tv.add(Media, flags, string(rune('a'+i%26)))
	}
	theirs := newTlogTree(t, most, func(i int) []byte { return tv.blocks[i].Record.Append(nil) })
	rapid.Check(t, func(rt *rapid.T) {
		l := newMemoryLog(t, g.notes, "tv")
		stripes := rapid.IntRange(1, 16).Draw(rt, "stripes")
		have := make([]merkle.Frontier, stripes) // of the receiver, by stripe
		highest := 0
		for i := rapid.IntRange(0, most-1).Draw(rt, "first"); i < most; i += rapid.IntRange(1, 60).Draw(rt, "step") {
			f, err := have[i%stripes].Advance(uint64(i), tv.frontiers[i].PeaksSince(have[i%stripes].Size()))
			if err != nil || f != tv.frontiers[i] {
				rt.Fatalf("frontier(%d): %v", i, err)
			}
			if fresh, err := l.Put(tv.blocks[i], f); err != nil || !fresh {
				rt.Fatalf("block %d: got fresh %v, %v", i, fresh, err)
			}
			f.Append(tv.blocks[i].Record.Leaf())
			have[i%stripes], highest = f, i
			if again, err := l.Frontier(uint64(i)); err != nil || again != tv.frontiers[i] {
				rt.Fatalf("frontier(%d) to pass on: %v", i, err)
			}
		}
		head := l.Head()
		root, err := tlog.TreeHash(int64(highest)+1, theirs)
		if err != nil || head.Size != uint64(highest)+1 || head.Root != merkle.Hash(root) {
			rt.Fatalf("got size %d, root %v, want %d, %v", head.Size, head.Root, highest+1, root)
		}
	})
}

// parts returns a block as it is sent: all that can change on the way.
func parts(b *Block, peaks []merkle.Hash, record []byte) map[string][]byte {
	m := map[string][]byte{"record": record, "signature": b.Signature[:], "payload": b.Payload}
	for i := range peaks {
		m["peak"+string(rune('0'+i))] = peaks[i][:]
	}
	return m
}

// Every bit of a block, of a rendition and of the catalog, and of what proves it: with any one changed it is refused, as the fault of
// who sent it, and with all as they were it is taken.
func TestEveryBitOfABlock(t *testing.T) {
	Alone(t)
	g := newGoldenEpoch(t, "epoch", 1795000000000, nil)
	for range 6 {
		g.logs["tv"].add(Media, RandomAccess|SegmentFirst, "a frame")
	}
	g.end(t)
	for _, tt := range []struct {
		log   string
		index int
	}{{"tv", 0}, {"tv", 5}, {CatalogLog, 0}, {CatalogLog, 1}} {
		golden := g.logs[tt.log]
		b := golden.blocks[tt.index]
		b.Payload = slices.Clone(b.Payload)
		peaks, record := slices.Clone(golden.frontiers[tt.index].Peaks()), b.Record.Append(nil)
		l := newMemoryLog(t, g.notes, tt.log)
		put := func() error {
			f, err := merkle.NewFrontier(b.Index, peaks)
			if err != nil {
				return err
			}
			if b.Record, err = ParseRecord(record); err != nil {
				return err
			}
			_, err = l.Put(b, f)
			return err
		}
		bits := 0
		for name, part := range parts(&b, peaks, record) {
			for i := range 8 * len(part) {
				part[i/8] ^= 1 << (i % 8)
				if err := put(); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrPayload) && !errors.Is(err, ErrRecord) {
					t.Fatalf("%s %d: bit %d of %s: got %v", tt.log, tt.index, i, name, err)
				}
				part[i/8] ^= 1 << (i % 8)
				bits++
			}
		}
		if want := 8 * (RecordSize + SignatureSize + len(b.Payload) + merkle.HashSize*len(peaks)); bits != want {
			t.Errorf("%s %d: changed %d bits, want %d", tt.log, tt.index, bits, want)
		}
		if err := put(); err != nil {
			t.Errorf("%s %d: the block itself: %v", tt.log, tt.index, err)
		}
	}
}

// A block belongs to one place of one log: at another index, with the frontier of that place or its own, in another log, or with
// another's record, signature or payload, it is refused.
func TestBlocksKeepTheirPlaces(t *testing.T) {
	g := newGoldenEpoch(t, "epoch", 1795000000000, nil)
	for i := range 12 {
		g.logs["tv"].add(Media, RandomAccess|SegmentFirst, string(rune('a'+i)))
	}
	tv := g.logs["tv"]
	l, catalog := newMemoryLog(t, g.notes, "tv"), newMemoryLog(t, g.notes, CatalogLog)
	refuse := func(l *Log, b Block, f merkle.Frontier, what string) {
		t.Helper()
		if _, err := l.Put(b, f); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrPayload) {
			t.Fatalf("%s: got %v", what, err)
		}
	}
	for i, b := range tv.blocks {
		refuse(catalog, b, tv.frontiers[i], "a block of another log")
		for j, other := range tv.blocks {
			if i == j {
				continue
			}
			moved := b
			moved.Index = other.Index
			refuse(l, moved, tv.frontiers[j], "a block at another place")
			refuse(l, moved, tv.frontiers[i], "a block with another index")
			refuse(l, b, tv.frontiers[j], "a block with another frontier")
			mixed := b
			mixed.Record = other.Record
			refuse(l, mixed, tv.frontiers[i], "another's record")
			mixed = b
			mixed.Signature = other.Signature
			refuse(l, mixed, tv.frontiers[i], "another's signature")
			mixed = b
			mixed.Payload = other.Payload
			refuse(l, mixed, tv.frontiers[i], "another's payload")
		}
	}
}

// Two heads are a fork exactly if tlog does not find the smaller tree in the larger one; whatever the sizes and wherever the histories
// part, the proof of it verifies then, and with a hash more or less it does not.
func TestForkProofsAgreeWithTlog(t *testing.T) {
	key := publicKey(seedKey("epoch"))
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 70).Draw(rt, "n")
		m := rapid.IntRange(1, n).Draw(rt, "m")
		p := testFork(t, m, n, rapid.IntRange(0, n).Draw(rt, "other"))
		fork := !continues(t, rt, &p, n)
		if err := p.Verify(key); (err == nil) != fork || err != nil && !errors.Is(err, ErrNoFork) {
			rt.Fatalf("heads of %d and %d: got %v, want a fork: %v", m, n, err, fork)
		}
		for _, list := range []*[]merkle.Hash{&p.Frontier, &p.Cover} {
			was := *list
			*list = append(slices.Clone(was), merkle.Hash{})
			if err := p.Verify(key); !errors.Is(err, ErrNoFork) {
				rt.Fatalf("a hash more: got %v", err)
			}
			if len(was) > 0 {
				*list = was[1:]
				if err := p.Verify(key); !errors.Is(err, ErrNoFork) {
					rt.Fatalf("a hash less: got %v", err)
				}
			}
			*list = was
		}
	})
}

// continues asks tlog whether the second head of p continues the first: testFork makes the tree of n leaves anew.
func continues(t *testing.T, rt *rapid.T, p *ForkProof, n int) bool {
	for other := range n + 1 {
		leaves := testLeaves(n, other)
		f := frontierOf(leaves)
		if f.Root() != p.B.Root {
			continue
		}
		tree := newTlogTree(t, n, func(i int) []byte {
			b := []byte{byte(i), 0}
			if i >= other {
				b[1] = 1
			}
			return b
		})
		proof, err := tlog.ProveTree(int64(n), int64(p.A.Size), tree)
		if err != nil {
			rt.Fatal(err)
		}
		return tlog.CheckTree(proof, int64(n), tlog.Hash(p.B.Root), int64(p.A.Size), tlog.Hash(p.A.Root)) == nil
	}
	rt.Fatal("no such tree")
	return false
}

// Every bit of a fork proof, of equal and of unequal sizes.
func TestEveryBitOfAForkProof(t *testing.T) {
	Alone(t)
	key := publicKey(seedKey("epoch"))
	for _, sizes := range [][2]int{{5, 5}, {5, 8}} {
		p := testFork(t, sizes[0], sizes[1], 4)
		refuse := func(what string, bit int) {
			if err := p.Verify(key); !errors.Is(err, ErrNoFork) {
				t.Fatalf("sizes %v: bit %d of %s: got %v", sizes, bit, what, err)
			}
		}
		hashes := map[string][]byte{
			"root A": p.A.Root[:], "root B": p.B.Root[:], "signature A": p.A.Signature[:], "signature B": p.B.Signature[:], "key": key[:],
		}
		for _, list := range [][]merkle.Hash{p.Frontier, p.Cover} {
			for i := range list {
				hashes[list[i].String()] = list[i][:]
			}
		}
		for what, b := range hashes {
			for i := range 8 * len(b) {
				b[i/8] ^= 1 << (i % 8)
				refuse(what, i)
				b[i/8] ^= 1 << (i % 8)
			}
		}
		for what, size := range map[string]*uint64{"size A": &p.A.Size, "size B": &p.B.Size} {
			for i := range 64 {
				*size ^= 1 << i
				refuse(what, i)
				*size ^= 1 << i
			}
		}
		for origin, i := []byte(p.Origin), 0; i < 8*len(origin); i++ {
			origin[i/8] ^= 1 << (i % 8)
			p.Origin = string(origin)
			refuse("origin", i)
			origin[i/8] ^= 1 << (i % 8)
			p.Origin = string(origin)
		}
		if err := p.Verify(key); err != nil {
			t.Errorf("sizes %v: the proof itself: %v", sizes, err)
		}
	}
}
