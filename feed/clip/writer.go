package clip

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A Writer writes a clip, part by part and block by block. It trusts what it is given: Verify tells whether it is a clip. It remembers
// the first error, which Close returns.
//
//	between parts ──Begin──▶ in a part ──Block, at least once──▶ ──Seal──▶ between parts ──Close──▶ written
type Writer struct {
	w    *bufio.Writer
	sum  hash.Hash
	err  error
	open bool   // in a part
	next uint64 // the record that comes next in it
	size int    // blocks in it
	buf  []byte
}

// NewWriter begins a clip of the channel of that root key.
func NewWriter(w io.Writer, root feed.PublicKey) *Writer {
	c := &Writer{sum: sha256.New()}
	c.w = bufio.NewWriterSize(io.MultiWriter(w, c.sum), 64<<10)
	c.put([]byte(title), []byte(feed.Link{Root: root}.String()+"\n"))
	return c
}

// Begin begins a part: records of a log, from that on of which before is the frontier.
func (c *Writer) Begin(notes feed.Notes, log string, before *merkle.Frontier) {
	c.must(!c.open, "a part begins within another")
	c.open, c.next, c.size = true, before.Size(), 0
	c.put([]byte{tagPart})
	c.sized(notes.Channel)
	c.sized(notes.Epoch)
	c.put([]byte{byte(len(log))}, []byte(log))
	c.numbers(before.Size())
	c.hashes(before.Peaks())
}

// Block writes the next block of the part.
func (c *Writer) Block(b *feed.Block) {
	c.must(c.open && b.Index == c.next, "a block that is not the next of a part")
	c.next++
	c.size++
	c.buf = b.Record.Append(append(c.buf[:0], tagBlock))
	c.put(c.buf, b.Signature[:], b.Payload)
}

// Seal ends the part, with its proof under an anchor, nil if there is none.
func (c *Writer) Seal(p *Proof) {
	c.must(c.open && c.size > 0, "a part without blocks")
	c.open = false
	if p == nil {
		c.put([]byte{tagEnd})
		return
	}
	c.put([]byte{tagAnchored})
	c.numbers(p.Size)
	c.hashes(p.Cover)
	c.put(p.Signature[:])
	c.numbers(p.Index, p.Catalog)
	c.hashes(p.Frontier)
	c.put(p.Record[:], p.Payload)
	c.hashes(p.CatalogCover)
	c.put(p.CatalogSig[:])
	c.sized(p.Cosignatures)
}

// Close ends the clip. It returns the first error of all.
func (c *Writer) Close() error {
	c.must(!c.open, "a clip ends within a part")
	c.put([]byte{tagEnd})
	c.keep(c.w.Flush())
	c.put(c.sum.Sum(nil))
	c.keep(c.w.Flush())
	return c.err
}

func (c *Writer) keep(err error) {
	if c.err == nil && err != nil {
		c.err = fmt.Errorf("couldn't write the clip: %w", err)
	}
}

// must checks how the caller goes about it.
func (c *Writer) must(ok bool, why string) {
	if !ok {
		c.keep(errors.New(why))
	}
}

func (c *Writer) put(parts ...[]byte) {
	for _, p := range parts {
		if c.err == nil {
			_, err := c.w.Write(p)
			c.keep(err)
		}
	}
}

func (c *Writer) numbers(list ...uint64) {
	for _, n := range list {
		c.put(binary.BigEndian.AppendUint64(nil, n))
	}
}

func (c *Writer) hashes(list []merkle.Hash) {
	for k := range list {
		c.put(list[k][:])
	}
}

// sized writes a u16 length and the bytes.
func (c *Writer) sized(b []byte) {
	c.must(len(b) <= feed.MaxNote, "a note that is too long")
	c.put(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b)
}
