package audit

import (
	"errors"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// anchors are what the catalog of an epoch says of one of its logs, read along with that log, so that nothing is remembered of either.
// The catalog was verified before. An anchor that goes back, or whose payload was removed, is passed over.
type anchors struct {
	log     string
	rows    file
	payload payloads
	buf     []byte
	at      int64 // of the next row, in rows
	base    uint64
	next    feed.LogHead // Size 0: none
	index   uint64       // of the record that says it
	over    bool         // there is no next
	matched int
}

func newAnchors(a *auditor, dir, log string) (*anchors, error) {
	rows, err := openFile(a.fsys, dir+"/records")
	if err != nil {
		return nil, err
	}
	quiet := *a
	quiet.Progress = nil
	c := &logAudit{auditor: &quiet, dir: dir}
	if err := c.readBase(); err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	n := &anchors{log: log, rows: rows, base: c.base, payload: payloads{auditor: &quiet, dir: dir + "/payload"}, buf: make([]byte, rowSize)}
	return n, n.payload.list()
}

func (n *anchors) close() {
	n.rows.close()
	n.payload.close()
}

// check compares the root of a log at that size with what anchors name for it. Sizes only grow. It returns false, and the index of the
// anchor's record, if they differ.
func (n *anchors) check(size uint64, root func() merkle.Hash) (index uint64, ok bool, err error) {
	for n.next.Size <= size && !n.over {
		if n.next.Size == size && size > 0 {
			n.matched++
			if n.next.Root != root() {
				return n.index, false, nil
			}
		}
		if err := n.advance(); err != nil {
			return 0, false, err
		}
	}
	return 0, true, nil
}

// advance goes to the next anchor that names the log with a size not below the one before.
func (n *anchors) advance() error {
	for n.at+rowSize <= n.rows.size {
		row, err := n.rows.part(n.buf, n.at)
		if err != nil {
			return err
		}
		n.at += rowSize
		h, ok := n.look(row)
		if !ok {
			continue
		}
		if h.Size >= n.next.Size {
			n.next, n.index = h, n.base+uint64(n.at/rowSize)-1
			return nil
		}
	}
	n.over = true
	return nil
}

// look returns what a row of the catalog says of the log.
func (n *anchors) look(row []byte) (feed.LogHead, bool) {
	if len(row) < rowSize {
		return feed.LogHead{}, false
	}
	r, err := feed.ParseRecord(row[:feed.RecordSize])
	if err != nil || r.Kind != feed.Event {
		return feed.LogHead{}, false
	}
	payload, err := n.payload.bytes(r.Offset, int(r.Length))
	if err != nil || payload == nil {
		return feed.LogHead{}, false
	}
	entry, err := feed.ParseCatalogEntry(payload)
	anchor, ok := entry.(feed.LogAnchor)
	if err != nil || !ok {
		return feed.LogHead{}, false
	}
	for _, h := range anchor.Logs {
		if h.Log == n.log {
			return h, true
		}
	}
	return feed.LogHead{}, false
}
