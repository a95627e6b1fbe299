package audit

import (
	"errors"
	"math/bits"

	"tailcast/feed/merkle"
)

// An edge is a frontier. It is written here once more, since the audit wants to see each hash on the way.
type edge struct {
	size  uint64
	n     int
	peaks [64]merkle.Hash // n of them, largest first
}

// root folds the peaks, from the smallest up (docs/feed.md, section 5).
func (e *edge) root() merkle.Hash {
	if e.n == 0 {
		return merkle.EmptyRoot()
	}
	r := e.peaks[e.n-1]
	for k := e.n - 2; k >= 0; k-- {
		r = merkle.NodeHash(e.peaks[k], r)
	}
	return r
}

// A tree is the hashes over the rows of one chunk: those that its rows give, and those of file nodes, which must be the same or be proved.
type tree struct {
	log    *logAudit
	start  uint64
	rows   []byte
	left   *edge         // frontier(start), nil if nobody has it
	before edge          // where left points
	is     []merkle.Hash // proved, or about to be proved by the run at hand; at place(height, row)
	used   []usedHash    // what led to the last value
	stored []byte        // of file nodes: at 32e the smallest peak of the frontier before row e; zeros, or beyond its end: not stored
}

// A usedHash goes to its place in is once it turns out that it is needed: what is stored and needed for nothing, nothing proves.
type usedHash struct {
	at   int
	hash merkle.Hash
}

// place returns where the subtree of height h over the rows from r on stands: in the order of the tree.
func place(h int, r uint64) int { return int(2*r) + 1<<h - 1 }

// errMissing says that hashes are neither stored nor follow from rows.
var errMissing = errors.New("hashes before it are missing")

// begin is at the beginning of a chunk: it reads what peaks and nodes have for it.
func (t *tree) begin(l *logAudit, start uint64, rows []byte) (err error) {
	t.is = l.hashes[:2*len(rows)/rowSize]
	clear(t.is)
	t.log, t.start, t.rows, t.left = l, start, rows, nil
	if t.stored, err = l.files[nodesFile].part(l.area, int64((start-l.base)/chunkRows)*areaSize); err != nil {
		return err
	}
	t.stored = t.stored[:len(t.stored)/merkle.HashSize*merkle.HashSize]
	if l.edge.size == start { // also the empty tree
		t.before = l.edge
		t.left = &t.before
	}
	return t.slot()
}

// slot reads the peaks before the chunk, and compares them if they are known.
func (t *tree) slot() error {
	l, n := t.log, bits.OnesCount64(t.start)
	var buf [slotSize]byte
	b, err := l.files[peaksFile].part(buf[:], int64((t.start-l.base)/chunkRows)*slotSize)
	switch {
	case err != nil:
		return err
	case isZero(b):
		return nil
	case len(b) < n*merkle.HashSize || !isZero(b[n*merkle.HashSize:]):
		return refuted(l.dir+"/peaks", "not the %d peaks before record %d", n, t.start)
	case !t.anyRow() && !l.live:
		return refuted(l.dir+"/peaks", "peaks before record %d, and no rows after them", t.start)
	}
	var e edge
	for e.size, e.n = t.start, n; n > 0; n-- {
		e.peaks[n-1] = merkle.Hash(b[(n-1)*merkle.HashSize:])
	}
	if t.left != nil && *t.left != e {
		return refuted(l.dir+"/peaks", "others than the records give before record %d", t.start)
	}
	t.before = e
	t.left = &t.before
	return nil
}

func (t *tree) anyRow() bool {
	for rest := t.rows; len(rest) > 0; rest = rest[rowSize:] {
		if !isZero(rest[:rowSize]) {
			return true
		}
	}
	return false
}

// append appends a leaf to e, and keeps the hashes of the subtrees that it completes.
func (t *tree) append(e *edge, leaf merkle.Hash) {
	r := e.size & (chunkRows - 1)
	t.is[place(0, r)] = leaf
	h := 0
	// Each trailing 1 bit of the size is a subtree as large as the one at hand, just left of it.
	for n := e.size; n&1 == 1; n >>= 1 {
		e.n--
		leaf = merkle.NodeHash(e.peaks[e.n], leaf)
		e.peaks[e.n] = merkle.Hash{}
		if h++; h < chunkHeight {
			t.is[place(h, r+1-1<<h)] = leaf
		}
	}
	e.peaks[e.n] = leaf
	e.n++
	e.size++
}

// frontier makes e the frontier before row i: what is left of the chunk, and one subtree for each 1 bit of the rows before i.
func (t *tree) frontier(e *edge, i uint64) error {
	if t.left == nil {
		return errMissing
	}
	f := *t.left
	t.used = t.used[:0]
	for h := chunkHeight - 1; h >= 0; h-- {
		if (i-t.start)>>h&1 == 0 {
			continue
		}
		hash, ok := t.value(h, f.size-t.start, true)
		if !ok {
			return errMissing
		}
		f.peaks[f.n] = hash
		f.n++
		f.size += 1 << h
	}
	t.accept()
	*e = f
	return nil
}

// accept takes what led to the last value as proved.
func (t *tree) accept() {
	for _, u := range t.used {
		t.is[u.at] = u.hash
	}
	t.used = t.used[:0]
}

// value returns the hash of a subtree: from what it consists of, else the stored one, if stored ones are to be believed. The signature
// with the run that begins there will tell.
func (t *tree) value(h int, r uint64, believe bool) (merkle.Hash, bool) {
	at := place(h, r)
	if at >= len(t.is) {
		return merkle.Hash{}, false // beyond the last row
	}
	if t.is[at] != (merkle.Hash{}) {
		return t.is[at], true
	}
	mark := len(t.used)
	hash, ok := t.computed(h, r, believe)
	if !ok {
		t.used = t.used[:mark]
		if hash, ok = t.storedAt(int(r)+1<<h, h); !believe {
			return merkle.Hash{}, false
		}
	}
	if ok {
		t.used = append(t.used, usedHash{at, hash})
	}
	return hash, ok
}

// computed returns the hash of a subtree from its halves.
func (t *tree) computed(h int, r uint64, believe bool) (merkle.Hash, bool) {
	if h == 0 {
		at := int(r) * rowSize
		if at+rowSize > len(t.rows) || isZero(t.rows[at:at+rowSize]) {
			return merkle.Hash{}, false
		}
		return merkle.LeafHash(t.rows[at : at+rowSize-64]), true
	}
	left, ok := t.value(h-1, r, believe)
	if !ok {
		return merkle.Hash{}, false
	}
	right, ok := t.value(h-1, r+1<<(h-1), believe)
	if !ok {
		return merkle.Hash{}, false
	}
	return merkle.NodeHash(left, right), true
}

// storedAt returns the hash that is stored for the subtree of height h that ends before row e. It is there only if it is a peak of the
// frontier before that row: if h is the number of trailing zeros of e.
func (t *tree) storedAt(e, h int) (hash merkle.Hash, ok bool) {
	if at := e * merkle.HashSize; bits.TrailingZeros(uint(e)) == h && at+merkle.HashSize <= len(t.stored) {
		hash = merkle.Hash(t.stored[at:])
	}
	return hash, hash != merkle.Hash{}
}

// checkAll checks that each stored hash is what was proved, or what follows from that.
func (t *tree) checkAll() error {
	if !isZero(t.stored[:min(merkle.HashSize, len(t.stored))]) {
		return refuted(t.log.dir+"/nodes", "something in place 0 of the chunk of record %d", t.start)
	}
	for e := 1; e < len(t.stored)/merkle.HashSize; e++ {
		h := bits.TrailingZeros(uint(e))
		hash, ok := t.storedAt(e, h)
		if !ok {
			continue
		}
		t.used = t.used[:0]
		want, _ := t.value(h, uint64(e-1<<h), false)
		t.accept()
		if want != hash && !(t.log.live && want == merkle.Hash{}) {
			return refuted(t.log.dir+"/nodes", "hash %d of the chunk of record %d is not what the records give, or nothing proves it", e, t.start)
		}
	}
	return nil
}
