package audit

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

const (
	rowSize     = feed.RecordSize + feed.SignatureSize
	chunkHeight = 12
	chunkRows   = 1 << chunkHeight
	slotSize    = 1024
	areaSize    = chunkRows * merkle.HashSize
	payloadSize = 64 << 20
)

var zeros [64 << 10]byte

// isZero tells whether b, of at most 64 KiB, is zeros.
func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }

// A logAudit verifies one log, row by row. A run is rows without a hole: the frontier before its first row comes from files peaks and
// nodes, or is that of the empty tree; each row is appended; and the signature with its last row proves them all, and the frontier.
type logAudit struct {
	*auditor
	epoch  *epoch
	dir    string
	origin string
	live   bool // somebody writes to it
	report Log

	base, end uint64 // the rows of file records
	files     [3]file
	payload   payloads
	claims    []claim // that compare one size each
	named     int     // of the catalog: how often it names a head of a log
	anchors   *anchors

	edge  edge // after the row read last, or before the run
	tree  tree // over the rows of the chunk
	inRun bool
	prev  feed.Record    // the row before, if any was held
	head  feed.Signature // with the last row of the run; not checked yet
}

// The files of a log that stay open.
const (
	recordsFile = iota
	peaksFile
	nodesFile
)

// A file is open for reading, at its size when it was opened; the zero value is an empty one.
type file struct {
	io.ReaderAt
	io.Closer
	size int64
}

func (f *file) close() {
	if f.Closer != nil {
		_ = f.Close() // only read
	}
}

// part reads the bytes [at, at+len(b)) as far as they are there.
func (f *file) part(b []byte, at int64) ([]byte, error) {
	n := min(int64(len(b)), f.size-at)
	if n <= 0 {
		return nil, nil
	}
	got, err := f.ReadAt(b[:n], at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:got], err
}

func newLog(a *auditor, e *epoch, name string, live bool) *logAudit {
	l := &logAudit{auditor: a, epoch: e, live: live, dir: e.dir + "/" + name, origin: feed.Origin(e.note.Root, e.note.Key.EpochID(), name)}
	l.report.Name = name
	for _, c := range e.claims {
		if c.Log == name {
			l.claims = append(l.claims, c)
		}
	}
	return l
}

func (l *logAudit) refuted(format string, args ...any) error { return refuted(l.dir, format, args...) }

func (l *logAudit) verify() (Log, error) {
	defer l.close()
	err := l.open()
	if err == nil {
		err = l.chunks()
	}
	// Workers may still check signatures; what they find comes first, if it is of an earlier record.
	if at, bad := l.heads.wait(); bad && (err == nil || at < l.edge.size) {
		err = l.refuted("record %d, or the signature with it: %w", at, feed.ErrSignature)
	}
	return l.report, err
}

func (l *logAudit) close() {
	for k := range l.files {
		l.files[k].close()
	}
	l.payload.close()
	if l.anchors != nil {
		l.anchors.close()
	}
}

// room returns a buffer of n bytes, or as large as a file is if that is less: b, if that is enough.
func room(b []byte, n, size int64) []byte {
	if n = min(n, size); int64(len(b)) < n {
		return make([]byte, n)
	}
	return b
}

// open looks at the files of the log. The records come first: what they speak of is there then.
func (l *logAudit) open() error {
	entries, err := l.list(l.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case e.IsDir() && name == "payload":
		case e.Type().IsRegular() && (name == "base" || name == "records" || name == "peaks" || name == "nodes"):
		default:
			return refuted(l.dir+"/"+name, "not a file of the format")
		}
	}
	if err := l.readBase(); err != nil {
		return err
	}
	for k, name := range []string{"records", "peaks", "nodes"} {
		if l.files[k], err = openFile(l.fsys, l.dir+"/"+name); err != nil {
			return err
		}
	}
	rows := l.files[recordsFile].size / rowSize
	if l.files[recordsFile].size%rowSize != 0 && !l.live {
		return refuted(l.dir+"/records", "it ends within a row")
	}
	l.end = l.base + uint64(rows)
	if l.end > merkle.MaxSize {
		return refuted(l.dir+"/records", "more rows than a log can have")
	}
	if err := l.lengths(rows); err != nil {
		return err
	}
	l.payload = payloads{auditor: l.auditor, dir: l.dir + "/payload"}
	if err := l.payload.list(); err != nil {
		return err
	}
	l.anchors, err = newAnchors(l.auditor, l.epoch.dir+"/"+feed.CatalogLog, l.report.Name)
	return err
}

// openFile opens a file to be read in any order; one that is not there is empty.
func openFile(fsys fs.FS, name string) (file, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, nil
	}
	if err != nil {
		return file{}, err
	}
	info, err := f.Stat()
	at, ok := f.(io.ReaderAt)
	if err != nil || !ok || !info.Mode().IsRegular() {
		return file{}, errors.Join(refuted(name, "it cannot be read like a file"), err, f.Close())
	}
	return file{at, f, info.Size()}, nil
}

func (l *logAudit) readBase() error {
	text, err := l.readFile(l.dir+"/base", 20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l.base, err = strconv.ParseUint(string(text), 10, 64)
	if err != nil || strconv.FormatUint(l.base, 10) != string(text) || l.base%chunkRows != 0 || l.base > merkle.MaxSize {
		return refuted(l.dir+"/base", "%.40q is not a multiple of 4096", text)
	}
	return nil
}

// lengths checks that no file goes on after the part for the last chunk.
func (l *logAudit) lengths(rows int64) error {
	chunks := (rows + chunkRows - 1) / chunkRows
	for k, part := range map[int]int64{peaksFile: slotSize, nodesFile: areaSize} {
		if f := &l.files[k]; !l.live && (f.size > chunks*part || f.size%merkle.HashSize != 0) {
			return refuted(l.dir, "file %s is longer than the rows ask for, or ends within a hash", []string{"records", "peaks", "nodes"}[k])
		}
	}
	return nil
}

// chunks verifies all rows.
func (l *logAudit) chunks() error {
	l.auditor.rows = room(l.rows, chunkRows*rowSize, l.files[recordsFile].size)
	l.auditor.area = room(l.area, areaSize, l.files[nodesFile].size)
	for start := l.base; start < l.end; start += chunkRows {
		count := min(chunkRows, l.end-start)
		rows, err := l.files[recordsFile].part(l.rows[:count*rowSize], int64(start-l.base)*rowSize)
		if err != nil {
			return err
		}
		if uint64(len(rows)) != count*rowSize {
			return refuted(l.dir+"/records", "it became shorter while it was read")
		}
		l.read(len(rows))
		if err := l.chunk(start, rows); err != nil {
			return err
		}
	}
	l.endRun()
	l.report.Ended = l.report.Records > 0 && l.prev.Kind == feed.End
	var err error
	l.report.Left, err = l.payload.finish()
	l.epoch.report.Anchors.Checked += l.anchors.matched
	if l.report.Name == feed.CatalogLog {
		l.epoch.report.Anchors.All = l.named
	}
	return err
}

// chunk verifies the rows from start on, up to 4096.
func (l *logAudit) chunk(start uint64, rows []byte) error {
	if err := l.tree.begin(l, start, rows); err != nil {
		return err
	}
	for i := start; len(rows) > 0; i, rows = i+1, rows[rowSize:] {
		row := rows[:rowSize]
		if row[0] == 0 && isZero(row) {
			l.endRun()
			continue
		}
		if err := l.row(i, row); err != nil {
			return err
		}
	}
	return l.tree.checkAll()
}

// row verifies row i, its signature apart if it is not wanted for every record.
func (l *logAudit) row(i uint64, row []byte) error {
	if !l.inRun {
		if ok, err := l.beginRun(i); !ok {
			return err
		}
	}
	r, err := feed.ParseRecord(row[:feed.RecordSize])
	if err != nil {
		return l.refuted("record %d: %w", i, err)
	}
	if err := l.rules(i, &r); err != nil {
		return l.refuted("record %d: %w", i, err)
	}
	l.tree.append(&l.edge, merkle.LeafHash(row[:feed.RecordSize]))
	l.head = feed.Signature(row[feed.RecordSize:])
	l.heads.next(l)
	if err := l.compare(); err != nil {
		return err
	}
	payload, err := l.payload.of(&r)
	if err != nil {
		return l.refuted("record %d: %w", i, err)
	}
	l.count(i, &r, payload != nil || r.Length == 0)
	l.inRun, l.prev = true, r
	if l.report.Name == feed.CatalogLog && r.Kind == feed.Event && payload != nil {
		return l.entry(i, payload)
	}
	return nil
}

// beginRun finds the frontier before row i, whose predecessor is not here. It returns false if the row is so new that it is not there yet.
func (l *logAudit) beginRun(i uint64) (bool, error) {
	err := l.tree.frontier(&l.edge, i)
	if err == nil {
		return true, l.compare()
	}
	if l.live {
		l.report.Unproved++
		return false, nil
	}
	return false, l.refuted("record %d cannot be proved: %w (a writer that was killed leaves such rows, and the next start drops them)", i, err)
}

// endRun proves the run that ends.
func (l *logAudit) endRun() {
	if l.inRun {
		l.heads.last(l)
	}
	l.inRun = false
}

// rules checks what holds between neighbours; across a hole, that nothing goes back.
func (l *logAudit) rules(i uint64, r *feed.Record) error {
	switch p := &l.prev; {
	case i == 0:
		return r.Follows(nil)
	case l.inRun:
		return r.Follows(p)
	case l.report.Records > 0:
		return r.After(p)
	}
	return nil
}

// count reports what was found.
func (l *logAudit) count(i uint64, r *feed.Record, whole bool) {
	wall := time.UnixMicro(r.Wall).UTC()
	if l.report.Records == 0 {
		l.report.From, l.report.First = i, wall
	} else if i != l.report.To {
		l.report.Gaps.add(l.report.To, i, l.report.Last, wall)
	}
	l.report.Records++
	l.report.To, l.report.Last = i+1, wall
	if whole {
		l.report.Bytes += uint64(r.Length)
	} else {
		l.report.Pruned.add(i, i+1, wall, wall)
	}
}

// compare holds what others say of this log, if they speak of the size at hand, against its root.
func (l *logAudit) compare() error {
	if f := l.epoch.fault; f != nil && f.Kind() != feed.KindRule && f.Log() == l.origin {
		return nil // that the signer said two things of this log is proved already, and reported
	}
	for k := range l.claims {
		if c := &l.claims[k]; c.Size == l.edge.size && !c.done {
			c.done = true
			if c.Root != l.edge.root() {
				return refuted(c.by, "it names another root of size %d of %s: a fork", c.Size, l.origin)
			}
		}
	}
	at, ok, err := l.anchors.check(l.edge.size, l.edge.root)
	if err == nil && !ok {
		err = refuted(l.epoch.dir, "the anchor in record %d of the catalog names another root of size %d of %s: a fork", at, l.edge.size, l.origin)
	}
	return err
}

// entry looks at an entry of the catalog.
func (l *logAudit) entry(i uint64, payload []byte) error {
	entry, err := feed.ParseCatalogEntry(payload)
	if err != nil && !errors.Is(err, feed.ErrUnknownEntry) {
		return l.refuted("record %d: %w", i, err)
	}
	switch entry := entry.(type) {
	case feed.State:
		l.epoch.report.Title = entry.Title
	case feed.LogAnchor:
		l.named += len(entry.Logs)
		for _, h := range entry.Logs {
			l.epoch.name(h)
		}
	}
	return nil
}
