package feed

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tailcast/feed/merkle"
)

// A history is a log as its signer has it: every record, every head.
type history struct {
	origin    string
	records   []RawRecord
	payloads  [][]byte
	frontiers []merkle.Frontier // frontiers[n] is that of n records
	heads     []Head            // heads[n] is that of n records; heads[0] is zero
}

func newHistory(log string) *history {
	return &history{origin: testOrigin(log), frontiers: []merkle.Frontier{{}}, heads: []Head{{}}}
}

// sign appends whatever bytes it is given.
func (h *history) sign(raw RawRecord, payload []byte) {
	f := h.frontiers[len(h.records)]
	f.Append(merkle.LeafHash(raw[:]))
	h.records, h.payloads = append(h.records, raw), append(h.payloads, payload)
	h.frontiers = append(h.frontiers, f)
	h.heads = append(h.heads, SignHead(seedKey("epoch"), h.origin, f.Size(), f.Root()))
}

// add appends n correct records. mark tells one history from another.
func (h *history) add(n int, mark int64) *history {
	for range n {
		h.sign(h.next(Media, []byte{1, 2, 3}, func(r *Record) { r.DTS = mark }).Raw(), []byte{1, 2, 3})
	}
	return h
}

// next returns the record that may follow, changed.
func (h *history) next(kind Kind, payload []byte, change func(*Record)) *Record {
	r := Record{Kind: kind, Length: uint32(len(payload)), Hash: sha256.Sum256(payload), Wall: 7, Flags: SegmentFirst}
	if n := len(h.records); n > 0 {
		prev, err := ParseRecord(h.records[n-1][:])
		if err != nil {
			panic(err)
		}
		r.Wall, r.Segment, r.Back, r.Flags = prev.Wall+1, prev.Segment, prev.Back+1, 0
		r.Offset = prev.Offset + uint64(prev.Length)
	}
	if change != nil {
		change(&r)
	}
	return &r
}

// clone returns a history that goes on by itself.
func (h *history) clone() *history {
	c := *h
	c.records, c.payloads = slices.Clone(h.records), slices.Clone(h.payloads)
	c.frontiers, c.heads = slices.Clone(h.frontiers), slices.Clone(h.heads)
	return &c
}

// fork returns a proof that heads m of h and n of o are of two histories.
func (h *history) fork(t testing.TB, m int, o *history, n int) *ForkProof {
	t.Helper()
	p := &ForkProof{Origin: h.origin, A: h.heads[m], B: o.heads[n]}
	if m != n {
		var leaves []merkle.Hash
		for k := range n {
			leaves = append(leaves, merkle.LeafHash(o.records[k][:]))
		}
		p.Frontier, p.Cover = slices.Clone(o.frontiers[m].Peaks()), coverOf(t, m, leaves)
	}
	return p
}

// rule returns a proof of what record i breaks, with its predecessor or without.
func (h *history) rule(i int, pair bool) *RuleProof {
	p := &RuleProof{Origin: h.origin, Index: uint64(i), Record: h.records[i], Signature: h.heads[i+1].Signature}
	if pair {
		p.Prev = &h.records[i-1]
	}
	if peaks := h.frontiers[p.first()].Peaks(); len(peaks) > 0 {
		p.Frontier = slices.Clone(peaks)
	}
	return p
}

// anchor returns a proof that the entry at i of the catalog h is not of head n of log.
func (h *history) anchor(i int, log *history, n int) *AnchorProof {
	return &AnchorProof{
		Origin: log.origin, Head: log.heads[n], Index: uint64(i), Frontier: slices.Clone(h.frontiers[i].Peaks()),
		Record: h.records[i], Signature: h.heads[i+1].Signature, Payload: h.payloads[i],
	}
}

// anchoring returns a catalog whose last entry anchors a head of tv.
func anchoring(t testing.TB, before int, size uint64, root merkle.Hash) *history {
	t.Helper()
	payload, err := LogAnchor{[]LogHead{{"radio", 4, merkle.Hash{5}}, {"tv", size, root}}}.Payload()
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory(CatalogLog).add(before, 0)
	h.sign(h.next(Event, payload, nil).Raw(), payload)
	return h
}

// testFaults returns a valid proof of each shape.
func testFaults(t testing.TB) map[string]FaultProof {
	a, b := newHistory("tv").add(9, 0), newHistory("tv").add(3, 0).add(9, 1)
	offset := a.clone()
	offset.sign(offset.next(Media, nil, func(r *Record) { r.Offset++ }).Raw(), nil)
	second := newHistory("tv")
	second.sign(second.next(Media, nil, nil).Raw(), nil)
	second.sign(second.next(Media, nil, func(r *Record) { r.Back = 5 }).Raw(), nil)
	first := newHistory("tv")
	first.sign(first.next(Media, nil, func(r *Record) { r.Segment = 1 }).Raw(), nil)
	other := a.clone()
	other.sign(RawRecord{2, 1}, nil)
	return map[string]FaultProof{
		"fork at equal sizes":              a.fork(t, 6, b, 6),
		"fork at unequal sizes":            a.fork(t, 5, b, 12),
		"fork from the first record on":    newHistory("tv").add(1, 5).fork(t, 1, b, 4),
		"a record and its predecessor":     offset.rule(9, true),
		"the second record":                second.rule(1, true),
		"the first record":                 first.rule(0, false),
		"bytes that are no record":         other.rule(9, false),
		"an anchor of another history":     anchoring(t, 2, 6, b.heads[6].Root).anchor(2, a, 6),
		"an anchor in the first record":    anchoring(t, 0, 6, b.heads[6].Root).anchor(0, a, 6),
		"the catalog forks in itself, too": newHistory(CatalogLog).add(2, 0).fork(t, 2, newHistory(CatalogLog).add(2, 1), 2),
	}
}

func TestFaultProofs(t *testing.T) {
	key := publicKey(seedKey("epoch"))
	for name, p := range testFaults(t) {
		if err := p.Verify(key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b, err := EncodeFault(p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		back, err := ParseFault(b)
		if err != nil || back.Verify(key) != nil || back.Log() != p.Log() || back.Kind() != p.Kind() {
			t.Errorf("%s: came back as %+v, %v", name, back, err)
		}
		if again, err := EncodeFault(back); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: %d bytes came back as %d, %v", name, len(b), len(again), err)
		}
		if err := p.Verify(publicKey(seedKey("station"))); !errors.Is(err, ErrNoFault) {
			t.Errorf("%s: under another key: got %v, want ErrNoFault", name, err)
		}
	}
}

// A proof with any one bit changed, a byte less or a byte more proves nothing.
func TestEveryBitOfAFaultProofCounts(t *testing.T) {
	Alone(t)
	key, step := publicKey(seedKey("epoch")), 1
	if testing.Short() {
		step = 7
	}
	proves := func(b []byte) bool {
		p, err := ParseFault(b)
		return err == nil && p.Verify(key) == nil
	}
	changes := 0
	for name, p := range testFaults(t) {
		b, err := EncodeFault(p)
		if err != nil || !proves(b) {
			t.Fatalf("%s: %v", name, err)
		}
		for bit := 0; bit < 8*len(b); bit += step {
			b[bit/8] ^= 1 << (bit % 8)
			if proves(b) {
				t.Errorf("%s: proves as much with bit %d changed", name, bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
			changes++
		}
		for n := range len(b) {
			if proves(b[:n]) {
				t.Errorf("%s: proves as much cut to %d bytes", name, n)
			}
		}
		if proves(append(slices.Clone(b), 0)) {
			t.Errorf("%s: proves as much with a byte more", name)
		}
	}
	if changes < 29000/step {
		t.Errorf("made %d changes, want more", changes)
	}
}

// Two heads of one size are one proof, whichever comes first.
func TestForkHasOneSpelling(t *testing.T) {
	a, b := newHistory("tv").add(3, 0), newHistory("tv").add(3, 1)
	one, err1 := EncodeFault(a.fork(t, 3, b, 3))
	two, err2 := EncodeFault(b.fork(t, 3, a, 3))
	if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Errorf("got %x and %x, %v, %v", one, two, err1, err2)
	}
	at := 3 + len(a.origin)
	head := 8 + merkle.HashSize + SignatureSize
	swapped := slices.Concat(one[:at], one[at+head:], one[at:at+head])
	if _, err := ParseFault(swapped); !errors.Is(err, ErrNoFault) {
		t.Errorf("heads in the other order: got %v, want ErrNoFault", err)
	}
}

func TestWrongFaultProofs(t *testing.T) {
	good := newHistory("tv").add(9, 0)
	bad := good.clone()
	bad.sign(bad.next(Media, nil, func(r *Record) { r.Back++ }).Raw(), nil)
	noRecord := good.clone()
	noRecord.sign(RawRecord{}, nil)
	noRecord.sign(good.next(Media, nil, nil).Raw(), nil)
	catalog := anchoring(t, 1, 6, merkle.Hash{9})
	for says, p := range map[string]FaultProof{
		"record 5 breaks no rule":                  good.rule(5, true),
		"record 0 breaks no rule":                  good.rule(0, false),
		"record 4 breaks no rule":                  good.rule(4, false),
		"record 9 breaks no rule":                  bad.rule(9, false),
		"record 10 breaks no rule":                 noRecord.rule(10, true), // that of 9 by itself is the proof
		"no fault: record 9 breaks no rule":        noRecord.rule(9, true),  // likewise
		"not signed by that key at that place":     &RuleProof{Origin: good.origin, Index: 0, Record: good.records[1], Signature: good.heads[1].Signature},
		"there is no record 0, or none before it":  &RuleProof{Origin: good.origin, Prev: &RawRecord{}},
		"is not tailcast/1":                        &RuleProof{Origin: "tv"},
		"anchors no other root of size 6":          anchoring(t, 1, 6, good.heads[6].Root).anchor(1, good, 6),
		"anchors no other root of size 5":          catalog.anchor(1, good, 5),
		"anchors no other root of size 4":          catalog.anchor(1, good, 4), // but one of radio
		"is no entry of the catalog":               catalog.anchor(0, good, 6),
		"the anchor or the head is not signed":     &AnchorProof{Origin: good.origin, Head: good.heads[2]},
		"got 0 peaks for size 1":                   &AnchorProof{Origin: good.origin, Index: 1},
		"payload does not match its record":        func() FaultProof { p := catalog.anchor(1, good, 6); p.Payload = p.Payload[1:]; return p }(),
		"there is no record 18446744073709551615":  &AnchorProof{Origin: good.origin, Index: 1<<64 - 1},
		"there is no record 18446744073709551614,": &RuleProof{Origin: good.origin, Index: 1<<64 - 2},
	} {
		if err := p.Verify(publicKey(seedKey("epoch"))); !errors.Is(err, ErrNoFault) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want it to say %q", err, says)
		}
	}
}

// What cannot be encoded is refused, as is what is too long for a message.
func TestEncodeFaultRefuses(t *testing.T) {
	h := newHistory("tv").add(3, 0)
	long := anchoring(t, 1, 2, merkle.Hash{}).anchor(1, h, 2)
	long.Payload = make([]byte, MaxFaultProof)
	for name, p := range map[string]FaultProof{
		"too long":         long,
		"another origin":   &RuleProof{Origin: "tv"},
		"a peak too many":  &RuleProof{Origin: h.origin, Frontier: make([]merkle.Hash, 1)},
		"hashes for none":  &ForkProof{Origin: h.origin, A: h.heads[2], B: h.heads[2], Frontier: make([]merkle.Hash, 1)},
		"sizes turned":     &ForkProof{Origin: h.origin, A: h.heads[3], B: h.heads[2]},
		"size 0":           &ForkProof{Origin: h.origin, B: h.heads[2]},
		"none before it":   &RuleProof{Origin: h.origin, Prev: &RawRecord{}},
		"anchor of size 0": &AnchorProof{Origin: h.origin},
	} {
		if b, err := EncodeFault(p); err == nil {
			t.Errorf("%s: got %d bytes, want an error", name, len(b))
		}
	}
	for _, b := range [][]byte{{2, 1, 0}, {1, 4, 0}, {1, 0, 9}} {
		if _, err := ParseFault(b); !errors.Is(err, ErrUnknownFault) {
			t.Errorf("%x: got %v, want ErrUnknownFault", b, err)
		}
	}
	if _, err := ParseFault(make([]byte, MaxFaultProof+1)); !errors.Is(err, ErrNoFault) {
		t.Errorf("got %v, want ErrNoFault", err)
	}
}

// pool returns all hashes of an honest log: its leaves and every node.
func (h *history) pool() (pool []merkle.Hash) {
	for k := range h.records {
		pool = append(pool, merkle.LeafHash(h.records[k][:]))
	}
	for _, f := range h.frontiers {
		pool = append(pool, f.Peaks()...)
		pool = append(pool, f.Root())
	}
	slices.SortFunc(pool, func(a, b merkle.Hash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(pool)
}

// choices calls f with every list of n hashes of the pool.
func choices(pool []merkle.Hash, n int, f func([]merkle.Hash)) {
	list := make([]merkle.Hash, n)
	var fill func(k int)
	fill = func(k int) {
		if k == n {
			f(list)
			return
		}
		for _, h := range pool {
			list[k] = h
			fill(k + 1)
		}
	}
	fill(0)
}

// Nothing that an honest signer has signed, and no hash that can be computed from it, makes a proof: every combination for small logs.
func TestNobodyCanFrameASigner(t *testing.T) {
	h := newHistory("tv").add(5, 0)
	pool, tried := h.pool(), 0
	for n := 1; n <= 5; n++ {
		for m := 1; m < n; m++ {
			choices(pool, merkle.PeakCount(uint64(m))+merkle.CoverLen(uint64(m), uint64(n)), func(list []merkle.Hash) {
				at := merkle.PeakCount(uint64(m))
				p := ForkProof{A: h.heads[m], B: h.heads[n], Frontier: list[:at], Cover: list[at:]}
				if p.differs() == nil {
					t.Fatalf("heads %d and %d make a fork", m, n)
				}
				tried++
			})
		}
	}
	tried += frameRules(t, h)
	catalog := anchoring(t, 3, 4, h.heads[4].Root)
	key := publicKey(seedKey("epoch"))
	for i := range catalog.records {
		for n := 1; n <= 5; n++ {
			for _, log := range []*history{h, catalog} {
				if n < len(log.heads) && catalog.anchor(i, log, n).Verify(key) == nil {
					t.Fatalf("record %d and head %d make an anchor fault", i, n)
				}
				tried++
			}
		}
	}
	if tried < 20000 {
		t.Errorf("tried %d, want more", tried)
	}
}

// frameRules puts every record at every place, with every frontier: what the key signed there breaks no rule, whatever else does.
func frameRules(t *testing.T, h *history) (tried int) {
	roots := make(map[merkle.Hash]bool)
	for _, head := range h.heads[1:] {
		roots[head.Root] = true
	}
	for i := range h.records {
		for r := range h.records {
			for prev := -1; prev < len(h.records); prev++ {
				p := &RuleProof{Origin: h.origin, Index: uint64(i), Record: h.records[r]}
				if prev >= 0 && i > 0 {
					p.Prev = &h.records[prev]
				}
				choices(h.pool(), merkle.PeakCount(p.first()), func(list []merkle.Hash) {
					p.Frontier = list
					f, _ := merkle.NewFrontier(p.first(), list)
					if p.Prev != nil {
						f.Append(merkle.LeafHash(p.Prev[:]))
					}
					f.Append(merkle.LeafHash(p.Record[:]))
					if roots[f.Root()] && p.breaks() != nil {
						t.Fatalf("records %d and %d make a fault at %d", prev, r, i)
					}
					tried++
				})
			}
		}
	}
	return tried
}

// A proof made of what an honest signer signed, then changed at will, proves nothing.
func TestFramesFail(t *testing.T) {
	key := publicKey(seedKey("epoch"))
	h := newHistory("tv").add(40, 0)
	catalog := anchoring(t, 5, 30, h.heads[30].Root)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		m := rapid.IntRange(1, n).Draw(t, "m")
		var p FaultProof
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			fork := &ForkProof{Origin: h.origin, A: h.heads[m], B: h.heads[n], Frontier: slices.Clone(h.frontiers[m].Peaks())}
			fork.Cover = make([]merkle.Hash, merkle.CoverLen(uint64(m), uint64(n)))
			for k := range fork.Cover {
				fork.Cover[k] = rapid.SampledFrom(h.pool()).Draw(t, "hash")
			}
			p = fork
		case 1:
			p = h.rule(n-1, n > 1 && rapid.Bool().Draw(t, "pair"))
		case 2:
			p = catalog.anchor(rapid.IntRange(0, 5).Draw(t, "at"), h, n)
		}
		b, err := EncodeFault(p)
		if err != nil {
			return
		}
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= rapid.Byte().Draw(t, "by")
		}
		if p, err := ParseFault(b); err == nil && p.Verify(key) == nil {
			t.Fatalf("an honest signer is framed by %x", b)
		}
	})
}

// FuzzFaultProof reads arbitrary bytes as a proof. What can be read has one spelling, and is never more than what was signed.
func FuzzFaultProof(f *testing.F) {
	for _, p := range testFaults(f) {
		b, err := EncodeFault(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	key := publicKey(seedKey("root")) // which signs no epoch
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseFault(b)
		if err != nil {
			if !errors.Is(err, ErrNoFault) && !errors.Is(err, ErrUnknownFault) {
				t.Fatal(err)
			}
			return
		}
		again, err := EncodeFault(p)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x came back as %x, %v", b, again, err)
		}
		if p.Verify(key) == nil {
			t.Fatalf("%x is a proof against a key that signed nothing", b)
		}
	})
}
