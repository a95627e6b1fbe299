package feedtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A Synthetic is a feed.Files that holds an epoch with one log as long as one likes: its rows, peaks and payloads are computed when they
// are read, so that what must not depend on the length can be tested at 10^8 records. It can be written to like any other; what is
// written stays in memory.
//
// Records, walls, offsets and payloads are right everywhere. Of the tree, all above the chunks of 4096 rows is consistent, and those
// chunks that hold the last rows or one of the rows that were asked for are what the tree says of them; the hashes of all others are made up.
// Signed are the last 2048 rows, and 64 from each row that was asked for.
type Synthetic struct {
	*Disk
	Root  feed.PublicKey // of the channel
	Notes feed.Notes     // of the epoch
	Log   string         // the folder of the log
	Size  uint64         // records
	Key   ed25519.PrivateKey

	origin string
	asked  []uint64 // rows, besides the last ones

	// mu guards the rest.
	mu     sync.Mutex
	tree   [][]merkle.Hash // of the whole chunks, by height above them
	chunks map[uint64]chunk
	recent []uint64            // chunks in the order in which they were computed
	pages  map[string]pages    // what was written over the files that are computed
	sizes  map[string]int64    // those that were truncated or have grown
	gone   map[string]struct{} // payload files that were removed
}

type pages map[int64]*[pageSize]byte

// A chunk is 4096 rows, and the hashes over them in the places of file nodes, for each 64th row.
type chunk struct{ rows, nodes []byte }

const (
	pageSize    = 4096
	rowSize     = 144
	chunkRows   = 4096
	slotSize    = 1024
	areaSize    = chunkRows * merkle.HashSize
	nodesEvery  = 64
	payloadFile = 64 << 20
	chunksKept  = 32
	signedTail  = 2048
	signedFrom  = 64

	// SyntheticPayload is the length of each payload of a Synthetic.
	SyntheticPayload = 8
	// SyntheticStep lies between the wall clocks of two records of a Synthetic: those of 4 Mbit/s in blocks of 8 KiB.
	SyntheticStep = 16 * time.Millisecond
	// SyntheticSegment is how many records a segment of a Synthetic has.
	SyntheticSegment = 60
)

// SyntheticStart is the wall clock of record 0 of a Synthetic.
var SyntheticStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// NewSynthetic returns a log of n records named Rendition. Around the rows asked for, and at the end, everything can be proved.
func NewSynthetic(t testing.TB, n uint64, asked ...uint64) *Synthetic {
	t.Helper()
	root, station, epoch := seedKey("root"), seedKey("station"), seedKey("epoch")
	s := &Synthetic{
		Disk: NewDisk(), Root: publicKey(root), Size: n, Key: epoch, asked: asked, chunks: make(map[uint64]chunk),
		pages: make(map[string]pages), sizes: make(map[string]int64), gone: make(map[string]struct{}),
	}
	note := feed.EpochNote{Root: s.Root, Generation: 1, Number: uint64(SyntheticStart.UnixMilli())}
	var err error
	s.Notes.Channel, err = feed.SignChannelNote(root, feed.ChannelNote{
		Generation: 1, NotAfter: time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second), Stations: []feed.PublicKey{publicKey(station)},
	})
	if err == nil {
		s.Notes.Epoch, err = feed.SignEpochNote(station, epoch, note)
	}
	if err != nil {
		t.Fatal(err)
	}
	id := publicKey(epoch).EpochID()
	s.origin = feed.Origin(s.Root, id, Rendition)
	dir := fmt.Sprintf("epochs/%d-%d-%v", note.Generation, note.Number, id)
	s.Log = dir + "/" + Rendition
	s.Put(dir+"/channel.note", s.Notes.Channel)
	s.Put(dir+"/epoch.note", s.Notes.Epoch)
	s.grow()
	return s
}

func seedKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("synthetic " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicKey(key ed25519.PrivateKey) feed.PublicKey {
	return feed.PublicKey(key.Public().(ed25519.PublicKey))
}

// Record returns record i and its payload.
func (s *Synthetic) Record(i uint64) (feed.Record, []byte) {
	payload := Payload(i, SyntheticPayload)
	r := feed.Record{
		Kind: feed.Media, Length: SyntheticPayload, Offset: SyntheticPayload * i, Hash: sha256.Sum256(payload),
		Wall:    SyntheticStart.UnixMicro() + int64(i)*SyntheticStep.Microseconds(),
		DTS:     int64(i) * int64(SyntheticStep) * 9 / 100_000,
		Segment: uint32(i / SyntheticSegment), Back: uint32(i % SyntheticSegment),
	}
	if r.Back == 0 {
		r.Flags = feed.SegmentFirst | feed.RandomAccess
	}
	return r, payload
}

// Next returns the block that continues the log after block i, the last one or one that was asked for, and the frontier before it.
func (s *Synthetic) Next(i uint64) (feed.Block, merkle.Frontier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.before(i)
	for at := f.Size(); at <= i; at++ {
		r, _ := s.Record(at)
		f.Append(r.Leaf())
	}
	b := feed.Block{Index: i + 1}
	b.Record, b.Payload = s.Record(i + 1)
	after := f.Clone()
	after.Append(b.Record.Leaf())
	b.Signature = feed.SignHead(s.Key, s.origin, i+2, after.Root()).Signature
	return b, f
}

// grow makes the tree over the whole chunks.
func (s *Synthetic) grow() {
	level := make([]merkle.Hash, s.Size/chunkRows)
	for k := range level {
		level[k] = s.chunkHash(uint64(k))
	}
	for ; len(level) > 0; level = parents(level) {
		s.tree = append(s.tree, level)
	}
}

func parents(level []merkle.Hash) []merkle.Hash {
	up := make([]merkle.Hash, len(level)/2)
	for k := range up {
		up[k] = merkle.NodeHash(level[2*k], level[2*k+1])
	}
	return up
}

// chunkHash returns the hash of a whole chunk: what follows from its rows, if anybody will look, else one that is made up.
func (s *Synthetic) chunkHash(k uint64) merkle.Hash {
	looked := func(i uint64) bool { return i/chunkRows == k || (i+signedFrom)/chunkRows == k }
	if k+2 < s.Size/chunkRows && !slices.ContainsFunc(s.asked, looked) {
		return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("chunk"), k))
	}
	var f merkle.Frontier
	for i := range uint64(chunkRows) {
		r, _ := s.Record(k*chunkRows + i)
		f.Append(r.Leaf())
	}
	return f.Peaks()[0]
}

// peaks returns those before chunk k, largest first.
func (s *Synthetic) peaks(k uint64) (peaks []merkle.Hash) {
	at := uint64(0)
	for h := len(s.tree) - 1; h >= 0; h-- {
		if k>>h&1 == 1 {
			peaks = append(peaks, s.tree[h][at>>h])
			at += 1 << h
		}
	}
	return peaks
}

// before returns the frontier before the chunk of row i.
func (s *Synthetic) before(i uint64) merkle.Frontier {
	k := i / chunkRows
	f, err := merkle.NewFrontier(k*chunkRows, s.peaks(k))
	if err != nil {
		panic("feedtest: " + err.Error())
	}
	return f
}

// signed reports whether row i has a signature that is worth something.
func (s *Synthetic) signed(i uint64) bool {
	return i+signedTail >= s.Size || slices.ContainsFunc(s.asked, func(a uint64) bool { return a <= i && i < a+signedFrom })
}

// chunk returns chunk k.
func (s *Synthetic) chunk(k uint64) chunk {
	if c, ok := s.chunks[k]; ok {
		return c
	}
	start := k * chunkRows
	n := min(chunkRows, s.Size-start)
	c := chunk{make([]byte, 0, n*rowSize), make([]byte, areaSize)}
	f, within := s.before(start), merkle.Frontier{}
	for i := start; i < start+n; i++ {
		if e := within.Size(); e > 0 && e%nodesEvery == 0 {
			peaks := within.Peaks()
			copy(c.nodes[e*merkle.HashSize:], peaks[len(peaks)-1][:])
		}
		r, _ := s.Record(i)
		c.rows = r.Append(c.rows)
		f.Append(r.Leaf())
		within.Append(r.Leaf())
		if s.signed(i) {
			head := feed.SignHead(s.Key, s.origin, i+1, f.Root())
			c.rows = append(c.rows, head.Signature[:]...)
		} else {
			c.rows = append(append(c.rows, r.Hash[:]...), r.Hash[:]...)
		}
	}
	s.chunks[k] = c
	if s.recent = append(s.recent, k); len(s.recent) > chunksKept {
		delete(s.chunks, s.recent[0])
		s.recent = s.recent[1:]
	}
	return c
}

// computed returns the size of a file that is computed, and what computes it; nil for all others.
func (s *Synthetic) computed(name string) (int64, func(p []byte, at int64)) {
	file, ok := strings.CutPrefix(name, s.Log+"/")
	if !ok {
		return 0, nil
	}
	switch file {
	case "records":
		return int64(s.Size) * rowSize, s.fillRows
	case "peaks":
		return int64((s.Size+chunkRows-1)/chunkRows) * slotSize, s.fillPeaks
	case "nodes":
		return int64((s.Size+chunkRows-1)/chunkRows) * areaSize, s.fillNodes
	}
	digits, ok := strings.CutPrefix(file, "payload/")
	start, err := strconv.ParseUint(digits, 10, 63)
	end := s.Size * SyntheticPayload
	if !ok || err != nil || start%payloadFile != 0 || start >= end {
		return 0, nil
	}
	return int64(min(payloadFile, end-start)), func(p []byte, at int64) { fillPayload(p, start+uint64(at)) }
}

func (s *Synthetic) fillRows(p []byte, at int64) {
	s.fill(p, at, chunkRows*rowSize, func(c chunk) []byte { return c.rows })
}

func (s *Synthetic) fillNodes(p []byte, at int64) {
	s.fill(p, at, areaSize, func(c chunk) []byte { return c.nodes })
}

// fill reads a file to which each chunk gives a part of so many bytes.
func (s *Synthetic) fill(p []byte, at, size int64, part func(chunk) []byte) {
	for len(p) > 0 {
		n := copy(p, part(s.chunk(uint64(at / size)))[at%size:])
		p, at = p[n:], at+int64(n)
	}
}

func (s *Synthetic) fillPeaks(p []byte, at int64) {
	for len(p) > 0 {
		var slot [slotSize]byte
		for k, h := range s.peaks(uint64(at) / slotSize) {
			copy(slot[k*merkle.HashSize:], h[:])
		}
		n := copy(p, slot[at%slotSize:])
		p, at = p[n:], at+int64(n)
	}
}

func fillPayload(p []byte, offset uint64) {
	for len(p) > 0 {
		n := copy(p, Payload(offset/SyntheticPayload, SyntheticPayload)[offset%SyntheticPayload:])
		p, offset = p[n:], offset+uint64(n)
	}
}

// Open implements feed.Files.
func (s *Synthetic) Open(name string, create bool) (feed.File, error) {
	size, fill := s.computed(name)
	if fill == nil {
		return s.Disk.Open(name, create)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, gone := s.gone[name]; gone {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if _, known := s.sizes[name]; !known {
		s.sizes[name], s.pages[name] = size, make(pages)
	}
	return &synthetic{s: s, name: name, size: size, fill: fill}, nil
}

// Remove implements feed.Files.
func (s *Synthetic) Remove(name string) error {
	if _, fill := s.computed(name); fill == nil {
		return s.Disk.Remove(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, gone := s.gone[name]; gone {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	s.gone[name] = struct{}{}
	return nil
}

// List implements feed.Files.
func (s *Synthetic) List(folder string) ([]string, error) {
	names, err := s.Disk.List(folder)
	switch folder {
	case s.Log[:strings.LastIndexByte(s.Log, '/')]:
		names = append(names, Rendition)
	case s.Log:
		names = append(names, "nodes", "payload", "peaks", "records")
	case s.Log + "/payload":
		names = append(names, s.payloads()...)
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

func (s *Synthetic) payloads() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for start := uint64(0); start < s.Size*SyntheticPayload; start += payloadFile {
		name := fmt.Sprintf("%020d", start)
		if _, gone := s.gone[s.Log+"/payload/"+name]; !gone {
			names = append(names, name)
		}
	}
	return names
}

// synthetic is an open file that is computed, with what was written over it.
type synthetic struct {
	s    *Synthetic
	name string
	size int64 // before anybody wrote
	fill func(p []byte, at int64)
}

func (f *synthetic) ReadAt(p []byte, at int64) (int, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	n := int(min(int64(len(p)), max(0, f.s.sizes[f.name]-at)))
	clear(p[:n])
	f.fill(p[:min(int64(n), max(0, f.size-at))], at)
	for page, data := range f.s.pages[f.name] {
		// The part of the page that lies in [at, at+n).
		from, to := max(page*pageSize, at), min((page+1)*pageSize, at+int64(n))
		if from < to {
			copy(p[from-at:to-at], data[from-page*pageSize:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *synthetic) WriteAt(p []byte, at int64) (int, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for n := 0; n < len(p); {
		page := (at + int64(n)) / pageSize
		data := f.s.pages[f.name][page]
		if data == nil {
			data = new([pageSize]byte)
			if left := f.size - page*pageSize; left > 0 {
				f.fill(data[:min(left, pageSize)], page*pageSize)
			}
			f.s.pages[f.name][page] = data
		}
		n += copy(data[(at+int64(n))%pageSize:], p[n:])
	}
	f.s.sizes[f.name] = max(f.s.sizes[f.name], at+int64(len(p)))
	return len(p), nil
}

func (f *synthetic) Truncate(size int64) error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.sizes[f.name] = size
	return nil
}

func (f *synthetic) Size() (int64, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return f.s.sizes[f.name], nil
}

func (f *synthetic) Sync() error  { return nil }
func (f *synthetic) Close() error { return nil }
