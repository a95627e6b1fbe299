package clip

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A Report is what a clip proves.
type Report struct {
	Root  feed.PublicKey // of the channel; proved by whoever compared it with a link that came another way
	Parts []Part
	Bytes int64             // of the file
	Sum   [sha256.Size]byte // the checksum at its end, its name on paper
}

// A Part is a run of records without a hole.
type Part struct {
	Channel feed.ChannelNote
	Epoch   feed.EpochNote
	Notes   feed.Notes
	Log     string
	From    uint64 // the records [From, To)
	To      uint64
	First   feed.Record // of them
	Last    feed.Record
	Bytes   uint64 // of their payloads
	// Continues says that the epoch note names the end of the part before: the station knew of nothing later in that epoch.
	Continues bool
	Anchor    *Anchor // nil if there is none
}

// An Anchor is what the signer's catalog says of the log of a part, and who witnessed that.
type Anchor struct {
	Size      uint64    // of the log
	Catalog   feed.Head // of the catalog
	Time      time.Time // of the anchor, by the clock of the signer
	Witnesses []Cosignature
}

var (
	// ErrRefuted says that a file is no clip, or not one that its owner signed.
	ErrRefuted = errors.New("refuted")
	// ErrRoot says that a clip is of another channel than it should be.
	ErrRoot = errors.New("of another channel")
)

// Options say what to check a clip against, and what to do with its blocks.
type Options struct {
	Root      *feed.PublicKey // that of the link; nil: the one that the clip names itself
	Witnesses []*Witness
	// Block is called for each block, once it is verified; the block is valid until it returns. Nil: nobody wants them. What an error
	// later in the file says may still refute the whole.
	Block func(p *Part, b *feed.Block) error
}

// Verify reads a clip and checks all of it. An error that is ErrRefuted says what is wrong, and where; any other, why it could not be
// read, or what Block returned. Then nothing is proved.
func Verify(r io.Reader, o Options) (*Report, error) {
	v := &verifier{in: newInput(r), options: o, payload: make([]byte, feed.MaxPayload)}
	err := v.run()
	switch {
	case v.own != nil:
		return nil, v.own
	case v.in.io != nil:
		return nil, v.in.io
	case err != nil:
		return nil, fmt.Errorf("%w: clip: %w", ErrRefuted, err)
	}
	return &v.report, nil
}

type verifier struct {
	in       *input
	options  Options
	report   Report
	own      error           // of options.Block
	edge     merkle.Frontier // after the last record of the part at hand, or before
	payload  []byte
	rowBytes [feed.RecordSize + feed.SignatureSize]byte
}

func (v *verifier) run() error {
	v.report.Root = v.in.header()
	if want := v.options.Root; v.in.err == nil && want != nil && *want != v.report.Root {
		return fmt.Errorf("%w: it names %v, the link %v", ErrRoot, v.report.Root, *want)
	}
	for v.in.err == nil {
		switch tag := v.in.u8("the beginning of a part"); {
		case v.in.err != nil:
		case tag == tagEnd && len(v.report.Parts) > 0:
			v.report.Sum = v.in.trailer()
			v.report.Bytes = v.in.at
			return v.in.err
		case tag != tagPart || len(v.report.Parts) == maxParts:
			v.in.fail("want a part of at most %d, at least one, got %d", maxParts, tag)
		default:
			if err := v.part(); err != nil {
				return err
			}
		}
	}
	return v.in.err
}

// part reads and checks one part.
func (v *verifier) part() error {
	p, err := v.begin()
	if err != nil {
		return fmt.Errorf("part %d: %w", len(v.report.Parts)+1, err)
	}
	tag, err := v.blocks(p)
	if err == nil && p.To == p.From {
		v.in.fail("a part without records")
		err = v.in.err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.origin(), err)
	}
	if err := v.anchor(p, tag); err != nil {
		return fmt.Errorf("%s: %w", p.origin(), err)
	}
	v.report.Parts = append(v.report.Parts, *p)
	return v.in.err
}

func (p *Part) origin() string { return feed.Origin(p.Epoch.Root, p.Epoch.Key.EpochID(), p.Log) }

// begin reads what stands before the blocks of a part.
func (v *verifier) begin() (*Part, error) {
	in := v.in
	p := &Part{Notes: feed.Notes{Channel: in.sized(feed.MaxNote, "the channel note"), Epoch: in.sized(feed.MaxNote, "the epoch note")}}
	p.Log = string(in.take(in.u8("the log's name"), "the log's name"))
	p.From = in.size("the first record")
	before := in.frontier(p.From, "the frontier")
	if in.err != nil {
		return nil, in.err
	}
	var err error
	if p.Channel, err = feed.OpenChannelNote(v.report.Root, p.Notes.Channel); err != nil {
		return nil, err
	}
	if p.Epoch, err = feed.OpenEpochNote(p.Channel, p.Notes.Epoch); err != nil {
		return nil, err
	}
	if err := feed.CheckLogName(p.Log); err != nil {
		return nil, err
	}
	if n := len(v.report.Parts); n > 0 {
		err = v.follows(p, &v.report.Parts[n-1])
	}
	v.edge = before
	return p, err
}

// follows checks that p may stand after prev, whose end v.edge still is.
func (v *verifier) follows(p, prev *Part) error {
	if p.Log != prev.Log {
		return fmt.Errorf("of log %s, the one before of %s", p.Log, prev.Log)
	}
	if p.Epoch.Key == prev.Epoch.Key {
		if p.From <= prev.To || !bytes.Equal(p.Notes.Channel, prev.Notes.Channel) || !bytes.Equal(p.Notes.Epoch, prev.Notes.Epoch) {
			return errors.New("of the same epoch as the one before, but not beyond it, or with other notes")
		}
		return nil
	}
	if p.Epoch.Compare(&prev.Epoch) <= 0 {
		return errors.New("of an epoch that is not after that of the part before")
	}
	last := p.Epoch.Last
	if last == nil || last.ID != prev.Epoch.Key.EpochID() {
		return nil
	}
	for _, h := range last.Heads {
		if h.Log == p.Log && h.Size == prev.To {
			p.Continues = true
			if h.Root != v.edge.Root() {
				return fmt.Errorf("its epoch note names another root of size %d of the epoch before: a fork", h.Size)
			}
		}
	}
	return nil
}

// blocks reads and checks the records of a part, each with its payload and its signature. It returns the byte behind the last.
func (v *verifier) blocks(p *Part) (tag int, err error) {
	origin := p.origin()
	for p.To = p.From; ; p.To++ {
		tag = v.in.u8("the beginning of a record")
		if v.in.err != nil || tag != tagBlock {
			return tag, v.in.err
		}
		if p.To == merkle.MaxSize {
			return tag, errors.New("more records than a log can have")
		}
		if err := v.row(p, origin); err != nil {
			return tag, fmt.Errorf("record %d: %w", p.To, err)
		}
	}
}

// row reads and checks record p.To.
func (v *verifier) row(p *Part, origin string) error {
	v.in.fill(v.rowBytes[:], "a record")
	if v.in.err != nil {
		return v.in.err
	}
	record, err := feed.ParseRecord(v.rowBytes[:feed.RecordSize])
	if err != nil {
		return err
	}
	b := feed.Block{Index: p.To, Record: record, Signature: feed.Signature(v.rowBytes[feed.RecordSize:]), Payload: v.payload[:record.Length]}
	if v.in.fill(b.Payload, "a payload"); v.in.err != nil {
		return v.in.err
	}
	var prev *feed.Record
	if p.To > p.From {
		prev = &p.Last
	} else {
		p.First = record
	}
	if err := v.block(p, origin, &b, prev); err != nil {
		return err
	}
	p.Last = record
	p.Bytes += uint64(record.Length)
	return nil
}

// block checks a block (docs/feed.md section 10, steps 2 to 4) and hands it on.
func (v *verifier) block(p *Part, origin string, b *feed.Block, prev *feed.Record) error {
	if err := b.Record.CheckPayload(b.Payload); err != nil {
		return err
	}
	if err := v.rules(p, b, prev); err != nil {
		return err
	}
	v.edge.Append(b.Record.Leaf())
	head := feed.Head{Size: b.Index + 1, Root: v.edge.Root(), Signature: b.Signature}
	if !head.Verify(p.Epoch.Key, origin) {
		return feed.ErrSignature
	}
	if v.options.Block != nil {
		v.own = v.options.Block(p, b)
	}
	return v.own
}

// rules checks what holds between neighbours, and across a hole in an epoch.
func (v *verifier) rules(p *Part, b *feed.Block, prev *feed.Record) error {
	if b.Index == 0 || prev != nil {
		return b.Record.Follows(prev)
	}
	if n := len(v.report.Parts); n > 0 && v.report.Parts[n-1].Epoch.Key == p.Epoch.Key {
		return b.Record.After(&v.report.Parts[n-1].Last)
	}
	return nil
}
