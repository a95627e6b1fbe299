package feed

import (
	"bytes"
	"errors"
	"fmt"

	"tailcast/feed/merkle"
)

// An AnchorProof shows that the signer anchored in the catalog another root of a log than the one that is signed in the head of that size.
type AnchorProof struct {
	Origin    string        // of the log
	Head      Head          // of the log
	Index     uint64        // of the anchor in the catalog
	Frontier  []merkle.Hash // of the catalog, before the anchor
	Record    RawRecord     // of the anchor
	Signature Signature     // of the head of the catalog of size Index+1
	Payload   []byte        // the anchor
}

// Kind returns KindAnchor.
func (p *AnchorProof) Kind() FaultKind { return KindAnchor }

// Log returns the origin of the log.
func (p *AnchorProof) Log() string { return p.Origin }

func (p *AnchorProof) names(origin string) { p.Origin = origin }

// Verify returns nil if the epoch with that key signed both, and they contradict each other.
func (p *AnchorProof) Verify(key PublicKey) error {
	err := p.signed(key)
	if err == nil {
		err = p.differs()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoFault, err)
	}
	return nil
}

func (p *AnchorProof) signed(key PublicKey) error {
	catalog, err := epochOrigin(p.Origin, key, CatalogLog)
	if err != nil {
		return err
	}
	if p.Index >= merkle.MaxSize {
		return fmt.Errorf("there is no record %d", p.Index)
	}
	f, err := merkle.NewFrontier(p.Index, p.Frontier)
	if err != nil {
		return err
	}
	f.Append(merkle.LeafHash(p.Record[:]))
	head := Head{Size: f.Size(), Root: f.Root(), Signature: p.Signature}
	if !head.Verify(key, catalog) || p.Head.Size == 0 || !p.Head.Verify(key, p.Origin) {
		return errors.New("the anchor or the head is not signed by that key")
	}
	return nil
}

// differs returns nil if the anchor names another root for the size of the head.
func (p *AnchorProof) differs() error {
	_, _, log, err := ParseOrigin(p.Origin)
	if err != nil {
		return err
	}
	r, err := ParseRecord(p.Record[:])
	if err != nil {
		return err
	}
	if err := r.CheckPayload(p.Payload); err != nil {
		return err
	}
	a, err := readAnchor(&r, p.Payload)
	if err != nil {
		return err
	}
	for _, h := range a.Logs {
		if h.Log == log && h.Size == p.Head.Size && h.Root != p.Head.Root {
			return nil
		}
	}
	return fmt.Errorf("it anchors no other root of size %d of %s", p.Head.Size, log)
}

// readAnchor reads an anchor from a block of the catalog.
func readAnchor(r *Record, payload []byte) (LogAnchor, error) {
	if r.Kind != Event {
		return LogAnchor{}, fmt.Errorf("a record of kind %d is no entry of the catalog", r.Kind)
	}
	entry, err := ParseCatalogEntry(payload)
	if err != nil {
		return LogAnchor{}, err
	}
	a, ok := entry.(LogAnchor)
	if !ok {
		return LogAnchor{}, errors.New("the entry is no anchor")
	}
	return a, nil
}

func (p *AnchorProof) encode(w *proofWriter) error {
	if p.Index >= merkle.MaxSize || p.Head.Size == 0 || p.Head.Size > merkle.MaxSize || len(p.Payload) > MaxCatalogEntry {
		return fmt.Errorf("%w: record %d, size %d or a payload of %d bytes is beyond any log", ErrNoFault, p.Index, p.Head.Size, len(p.Payload))
	}
	w.head(&p.Head)
	w.size(p.Index)
	err := w.hashes(p.Frontier, merkle.PeakCount(p.Index))
	w.bytes(p.Record[:])
	w.bytes(p.Signature[:])
	w.bytes(p.Payload)
	return err
}

// decode takes the rest for the payload, whose length the record says.
func (p *AnchorProof) decode(r *proofReader) {
	p.Head = r.head()
	p.Index = r.number("index", 0, merkle.MaxSize-1)
	if r.err != nil {
		return
	}
	p.Frontier = r.hashes(merkle.PeakCount(p.Index))
	p.Record = r.record()
	copy(p.Signature[:], r.bytes(SignatureSize))
	p.Payload = bytes.Clone(r.bytes(len(r.buf)))
	if record, err := ParseRecord(p.Record[:]); err != nil {
		r.keep(err)
	} else if int(record.Length) != len(p.Payload) {
		r.keep(fmt.Errorf("a payload of %d bytes, want %d", len(p.Payload), record.Length))
	}
}
