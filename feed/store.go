package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tailcast/feed/merkle"
)

// What a Replica keeps on disk. Everything is big-endian or text; there are no frames, no checksums and no index: the hashes and
// signatures are the checksums, and the position says the rest.
//
//	lock                                       flock of the process that has the directory; empty
//	newest                                     JSON: the highest epoch ever seen and its heads (newest.go); never goes back
//	epochs/<generation>-<number>-<epoch id>/   decimal, decimal, 16 base32 characters
//	    channel.note                           the signed texts
//	    epoch.note
//	    <log>/                                 one folder for each log, named like it
//	        base                               decimal, a multiple of 4096; absent: 0
//	        records                            rows of 144 bytes; row i at 144*(i-base):
//	                                             0  record     80
//	                                            80  signature  64, of the head of size i+1
//	                                           all zero: not held
//	        peaks                              slots of 1024 bytes, one for each chunk of 4096 rows; slot k at 1024*k:
//	                                           the peaks of frontier(base + 4096*k), largest first, 32 bytes each, then zeros
//	        nodes                              areas of 131072 bytes, one for each chunk: where rows are missing, and before each
//	                                           64th row in case that they rot; at 32*e of an area the hash of the perfect subtree that ends before row e of the
//	                                           chunk: of as many rows as the lowest 1 bit of e says. All zero: not stored
//	        payload/<start>                    20 decimal digits, a multiple of 64 MiB: the bytes [start, start+64 MiB) of the
//	                                           payloads, addressed by the offset in the record. A payload may go on in the next file
//
// frontier(i) follows from the slot of i's chunk and the rows of that chunk before i; where some of them are missing, from nodes. The
// streamer's own log has base 0 and no missing rows: its records file is simply the log. Files are sparse where nothing is held.
//
// Payload first, then row, and rows are synced last: a row that survived a power cut by itself is worth nothing, a synced one has all
// it needs. What is read back is verified as if a stranger had sent it (Log.verify), so that a disk can lose blocks, not forge them.
// Retention removes payload files (retention.go): the rows stay, and what was pruned stays provable.
const (
	rowSize     = RecordSize + SignatureSize
	chunkHeight = 12
	chunkRows   = 1 << chunkHeight
	slotSize    = 1024
	baseFile    = "base"
	areaSize    = chunkRows * merkle.HashSize
	payloadSize = 64 << 20
	// nodesEvery is how many rows lie between those before which nodes has all peaks, missing rows or not: so much cannot be proved
	// any more when a row rots.
	nodesEvery = 64
	// maxUnsynced is how many rows are written until they are synced, at most: what a power cut may take.
	maxUnsynced = 1024
)

// errGap says that a hash cannot be computed since rows are missing, and nodes does not make up for them.
var errGap = errors.New("rows before it are missing on disk")

// A store is the folder of one log. The disk goroutine alone calls write, sync and close; anybody may read.
type store struct {
	files    Files
	dir      string
	payloads payloads // has its own lock

	// mu guards the fields below it: the disk goroutine changes them, readers look. It is not held during reads and writes of files.
	mu      sync.Mutex
	base    uint64 // of row 0; final once records exists
	first   uint64 // lowest row held
	end     uint64 // one more than the highest row written; 0 if none
	records File   // nil until the first row
	peaks   File
	nodes   File
	pruned  uint64 // rows of [first, pruned) have lost their payloads

	// The rest is owned by the disk goroutine.
	unsynced []uint64 // rows written since the last sync
	slotDone uint64   // one more than the chunk whose slot in peaks was written last
	pending  []Block  // to be written together: neighbours
	rows     []byte   // of pending
	gathered []byte   // payloads of pending, if there are several
	scar     Range    // rows whose write failed and that may be torn
	dead     error    // a failed sync: what is on disk is unknown, nothing more is written
}

func newStore(files Files, dir string, payloadSize uint64) *store {
	return &store{files: files, dir: dir, payloads: newPayloads(files, dir+"/payload", payloadSize)}
}

// baseFor returns the base of a log whose first row on disk is i: a multiple of 4096, with room for at least 4096 rows below i,
// since blocks of a joining viewer arrive in any order.
func baseFor(i uint64) uint64 { return (i - min(i, chunkRows)) &^ (chunkRows - 1) }

// span returns the rows [base, end) that may be on disk, and whether there are any.
func (s *store) span() (base, end uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base, s.end, s.records != nil
}

// Blocks are written together up to these bounds.
const (
	maxTogether = 32
	maxGathered = 256 << 10
)

// joins reports whether b can be written together with the pending blocks: as their successor, in the same segment and chunk.
func (s *store) joins(b *Block) bool {
	n := len(s.pending)
	if n == 0 {
		return true
	}
	last := &s.pending[n-1]
	return n < maxTogether && b.Index == last.Index+1 && b.Index%chunkRows != 0 && b.Record.Flags&SegmentFirst == 0 &&
		b.Record.Offset == last.Record.Offset+uint64(last.Record.Length) &&
		b.Record.Offset-s.pending[0].Record.Offset+uint64(b.Record.Length) <= maxGathered
}

// write puts the pending blocks on disk. before returns frontier(i) from memory, and whether it is there.
func (s *store) write(before func(uint64) (merkle.Frontier, bool)) error {
	blocks := s.pending
	if s.dead != nil {
		return s.dead
	}
	if err := s.create(blocks[0].Index); err != nil {
		return err
	}
	if blocks[0].Index < s.base {
		return nil // no room below the base: such blocks are held in memory only
	}
	if err := s.heal(); err != nil {
		return err
	}
	if err := s.payloads.write(blocks[0].Record.Offset, s.gather()); err != nil {
		return err
	}
	// A crash here leaves bytes that no row speaks of: nobody reads them, the next run writes over them.
	if ok, err := s.writeSlot(blocks[0].Index, before); !ok {
		return err
	}
	return s.writeRows(blocks)
	// A crash here, until sync, leaves any part of these rows and their payloads. Recovery drops them if they are the last rows;
	// otherwise reading them fails their verification and they count as not held.
}

// gather returns the payloads of the pending blocks.
func (s *store) gather() []byte {
	if len(s.pending) == 1 {
		return s.pending[0].Payload
	}
	s.gathered = s.gathered[:0]
	for k := range s.pending {
		s.gathered = append(s.gathered, s.pending[k].Payload...)
	}
	return s.gathered
}

// create opens the files, and makes them for the first row. The base is on disk before the rows that it explains.
func (s *store) create(i uint64) error {
	if s.records != nil {
		return nil
	}
	base := baseFor(i)
	if err := s.files.WriteFile(s.dir+"/"+baseFile, strconv.AppendUint(nil, base, 10)); err != nil {
		return err
	}
	peaks, err := s.files.Open(s.dir+"/peaks", true)
	if err != nil {
		return err
	}
	records, err := s.files.Open(s.dir+"/records", true)
	if err != nil {
		return errors.Join(err, peaks.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base, s.first, s.peaks, s.records = base, i, peaks, records
	return nil
}

// writeSlot stores the peaks before the chunk of row i, once for each chunk. They are the large ones among the peaks of i. It returns
// false if they are no longer in memory: without them the row is worth nothing, and is not written.
func (s *store) writeSlot(i uint64, before func(uint64) (merkle.Frontier, bool)) (bool, error) {
	chunk := i >> chunkHeight
	if s.slotDone == chunk+1 || chunk == 0 {
		return true, nil
	}
	f, ok := before(i)
	if !ok {
		return false, nil
	}
	if err := s.putSlot(chunk, f.Peaks()[:merkle.PeakCount(chunk)]); err != nil {
		return false, err
	}
	s.slotDone = chunk + 1
	return true, nil
}

func (s *store) putSlot(chunk uint64, peaks []merkle.Hash) error {
	var slot [slotSize]byte
	for k, h := range peaks {
		copy(slot[k*merkle.HashSize:], h[:])
	}
	_, err := s.peaks.WriteAt(slot[:], s.slotAt(chunk))
	return err
}

func (s *store) slotAt(chunk uint64) int64 { return int64(chunk-s.base>>chunkHeight) * slotSize }
func (s *store) areaAt(chunk uint64) int64 { return int64(chunk-s.base>>chunkHeight) * areaSize }
func (s *store) rowAt(i uint64) int64      { return int64(i-s.base) * rowSize }

func (s *store) writeRows(blocks []Block) error {
	first, end := blocks[0].Index, blocks[len(blocks)-1].Index+1
	s.rows = s.rows[:0]
	for k := range blocks {
		s.rows = append(blocks[k].Record.Append(s.rows), blocks[k].Signature[:]...)
	}
	if _, err := s.records.WriteAt(s.rows, s.rowAt(first)); err != nil {
		s.scar = Range{first, end}
		return err
	}
	for i := first; i < end; i++ {
		s.unsynced = append(s.unsynced, i)
	}
	given := s.payloads.given()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first, s.end = min(s.first, first), max(s.end, end)
	for k := range blocks {
		if blocks[k].Record.Offset < given { // it came late: only its record stays
			s.pruned = max(s.pruned, blocks[k].Index+1)
		}
	}
	return nil
}

// heal makes rows whose write failed missing ones: they may be torn.
func (s *store) heal() error {
	if s.scar.From == s.scar.To {
		return nil
	}
	if _, err := s.records.WriteAt(make([]byte, (s.scar.To-s.scar.From)*rowSize), s.rowAt(s.scar.From)); err != nil {
		return err
	}
	s.scar = Range{}
	return nil
}

// sync makes all rows written so far durable, with what they need: payloads, peaks and nodes first, rows last.
func (s *store) sync(before func(uint64) (merkle.Frontier, bool)) error {
	if s.dead != nil || len(s.unsynced) == 0 {
		return s.dead
	}
	if err := s.heal(); err != nil {
		return err
	}
	if err := s.bridge(before); err != nil {
		return err
	}
	if err := s.syncFiles(); err != nil {
		// After a failed fsync the system forgets which pages it has not written, and the next fsync says that all is well.
		// %v: it is no error of a full disk any more, which room would help.
		s.dead = fmt.Errorf("couldn't sync, the history of this log ends here: %v", err)
		return s.dead
	}
	s.unsynced = s.unsynced[:0]
	return s.payloads.closeOld()
}

func (s *store) syncFiles() error {
	if err := s.payloads.sync(); err != nil {
		return err
	}
	for _, f := range []File{s.nodes, s.peaks, s.records} {
		if f == nil {
			continue
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// bridge stores, for each unsynced row whose predecessor is missing, the peaks by which the row can still be proved; a row for which
// they are no longer in memory is taken back. It waits until sync, since most blocks that come out of order find their neighbours
// within a second. It does the same for each 64th row: if one before it rots, the rows from there on can still be proved.
func (s *store) bridge(before func(uint64) (merkle.Frontier, bool)) error {
	slices.Sort(s.unsynced)
	s.unsynced = slices.Compact(s.unsynced)
	taken := uint64(math.MaxUint64) // taken back last
	for k, i := range s.unsynced {
		if i%chunkRows == 0 {
			continue // the slot proves it
		}
		follows := k > 0 && s.unsynced[k-1] == i-1 && taken != i-1 || s.holds(i-1)
		if follows && i%nodesEvery != 0 {
			continue
		}
		f, ok := before(i)
		var err error
		switch {
		case ok:
			err = s.writeNodes(i, &f)
		case !follows:
			taken, s.scar = i, Range{i, i + 1}
			err = s.heal()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeNodes stores the peaks of f = frontier(i) that lie within the chunk of i.
func (s *store) writeNodes(i uint64, f *merkle.Frontier) error {
	if s.nodes == nil {
		nodes, err := s.files.Open(s.dir+"/nodes", true)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.nodes = nodes
		s.mu.Unlock()
	}
	chunk := i >> chunkHeight
	small := f.Peaks()[merkle.PeakCount(chunk):]
	row := uint64(0)
	for h := chunkHeight - 1; h >= 0; h-- {
		if i>>h&1 == 0 {
			continue
		}
		row += 1 << h
		if _, err := s.nodes.WriteAt(small[0][:], s.areaAt(chunk)+nodeAt(row)); err != nil {
			return err
		}
		small = small[1:]
	}
	return nil
}

// nodeAt returns where in the area of a chunk the hash of the subtree is that ends before row end and is a peak there. Only peaks are
// stored, and a subtree is a peak before the row at which it ends if ever: so the end says which one it is, and row 0 has none.
func nodeAt(end uint64) int64 { return int64(end) * merkle.HashSize }

// holds reports whether row i is on disk.
func (s *store) holds(i uint64) bool {
	_, _, ok := s.row(i)
	return ok
}

// row reads row i. What it returns is not verified.
func (s *store) row(i uint64) (Record, Signature, bool) {
	base, end, ok := s.span()
	if !ok || i < base || i >= end {
		return Record{}, Signature{}, false
	}
	var buf [rowSize]byte
	if _, err := s.records.ReadAt(buf[:], s.rowAt(i)); err != nil {
		return Record{}, Signature{}, false
	}
	r, err := ParseRecord(buf[:RecordSize])
	return r, Signature(buf[RecordSize:]), err == nil
}

// close closes the files; the store can be opened again.
func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, f := range []File{s.records, s.peaks, s.nodes} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return errors.Join(err, s.payloads.close())
}

// open opens what an earlier run left. It returns false if there is nothing.
func (s *store) open() (bool, error) {
	base, err := s.readBase()
	if err != nil {
		return false, err
	}
	records, err := s.files.Open(s.dir+"/records", false)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	peaks, err := s.files.Open(s.dir+"/peaks", true)
	if err != nil {
		return false, errors.Join(err, records.Close())
	}
	nodes, err := s.files.Open(s.dir+"/nodes", false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, errors.Join(err, records.Close(), peaks.Close())
	}
	s.base, s.records, s.peaks, s.nodes = base, records, peaks, nodes
	return true, s.payloads.load()
}

// openRows is open, without recovery: for who looks at a log that nobody writes.
func (s *store) openRows() (bool, error) {
	found, err := s.open()
	if err != nil || !found {
		return false, err
	}
	size, err := s.records.Size()
	if err != nil {
		return false, errors.Join(err, s.close())
	}
	s.end = s.base + min(uint64(size)/rowSize, merkle.MaxSize-s.base)
	return true, nil
}

func (s *store) readBase() (uint64, error) {
	text, err := s.files.ReadFile(s.dir+"/"+baseFile, 20)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	base, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || base%chunkRows != 0 || base > merkle.MaxSize {
		return 0, fmt.Errorf("%s/base says %.20q, want a multiple of %d: remove the folder %s to forget this log", s.dir, text, chunkRows, s.dir)
	}
	return base, nil
}

// lowest returns the lowest row held with its payload, beyond every index if there is none.
func (s *store) lowest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	lowest := max(s.first, s.pruned)
	if s.records == nil || lowest >= s.end {
		return math.MaxUint64
	}
	return lowest
}

// whole reports whether the payload of a row is there.
func (s *store) whole(b *Block) bool {
	s.mu.Lock()
	pruned := b.Index < s.pruned
	s.mu.Unlock()
	return !pruned && s.payloads.has(&b.Record)
}
