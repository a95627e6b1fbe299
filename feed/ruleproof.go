package feed

import (
	"errors"
	"fmt"

	"tailcast/feed/merkle"
)

// A RawRecord is 80 bytes that were signed as a record, whether they are one or not.
type RawRecord [RecordSize]byte

// Raw returns the bytes of r.
func (r *Record) Raw() (raw RawRecord) {
	r.Append(raw[:0])
	return raw
}

// A RuleProof shows that a signed record breaks a rule: one by itself, or one together with its predecessor. The signature is over the tree up
// to and with it, so it covers both.
type RuleProof struct {
	Origin    string
	Index     uint64 // of the record
	Frontier  []merkle.Hash
	Prev      *RawRecord // the record before, if the rule is between the two. Frontier is that before Prev then, else that before Record
	Record    RawRecord
	Signature Signature // of the head of size Index+1
}

// Kind returns KindRule.
func (p *RuleProof) Kind() FaultKind { return KindRule }

// Log returns the origin of the log.
func (p *RuleProof) Log() string { return p.Origin }

func (p *RuleProof) names(origin string) { p.Origin = origin }

// first returns the index of the first record that p shows.
func (p *RuleProof) first() uint64 {
	if p.Prev != nil {
		return p.Index - 1
	}
	return p.Index
}

// Verify returns nil if the epoch with that key signed the record, and the record breaks a rule.
func (p *RuleProof) Verify(key PublicKey) error {
	if err := p.signed(key); err != nil {
		return fmt.Errorf("%w: %w", ErrNoFault, err)
	}
	if p.breaks() == nil {
		return fmt.Errorf("%w: record %d breaks no rule", ErrNoFault, p.Index)
	}
	return nil
}

// signed returns nil if the key signed the records that p shows, at that place.
func (p *RuleProof) signed(key PublicKey) error {
	if _, err := epochOrigin(p.Origin, key, CatalogLog); err != nil {
		return err
	}
	if p.Index >= merkle.MaxSize || p.Prev != nil && p.Index == 0 {
		return fmt.Errorf("there is no record %d, or none before it", p.Index)
	}
	f, err := merkle.NewFrontier(p.first(), p.Frontier)
	if err != nil {
		return err
	}
	if p.Prev != nil {
		f.Append(merkle.LeafHash(p.Prev[:]))
	}
	f.Append(merkle.LeafHash(p.Record[:]))
	head := Head{Size: f.Size(), Root: f.Root(), Signature: p.Signature}
	if !head.Verify(key, p.Origin) {
		return errors.New("the records are not signed by that key at that place")
	}
	return nil
}

// breaks returns the rule that is broken; nil if none is.
func (p *RuleProof) breaks() error {
	r, err := ParseRecord(p.Record[:])
	switch {
	case p.Prev == nil && (err != nil || p.Index > 0):
		return err
	case p.Prev == nil:
		return r.isFirst()
	case err != nil:
		return nil // the record by itself is the proof then
	}
	prev, err := ParseRecord(p.Prev[:])
	if err != nil {
		return nil // likewise
	}
	return r.Follows(&prev)
}

func (p *RuleProof) encode(w *proofWriter) error {
	if p.Index >= merkle.MaxSize || p.Prev != nil && p.Index == 0 {
		return fmt.Errorf("%w: there is no record %d, or none before it", ErrNoFault, p.Index)
	}
	records := []*RawRecord{p.Prev, &p.Record}
	if p.Prev == nil {
		records = records[1:]
	}
	w.u8(uint8(len(records)))
	w.size(p.Index)
	err := w.hashes(p.Frontier, merkle.PeakCount(p.first()))
	for _, r := range records {
		w.bytes(r[:])
	}
	w.bytes(p.Signature[:])
	return err
}

func (p *RuleProof) decode(r *proofReader) {
	records := r.u8()
	if records != 1 && records != 2 {
		r.keep(fmt.Errorf("%d records, want 1 or 2", records))
	}
	p.Index = r.number("index", uint64(records)-1, merkle.MaxSize-1)
	if records == 2 {
		p.Prev = new(RawRecord)
	}
	if r.err != nil {
		return
	}
	p.Frontier = r.hashes(merkle.PeakCount(p.first()))
	if p.Prev != nil {
		*p.Prev = r.record()
	}
	p.Record = r.record()
	copy(p.Signature[:], r.bytes(SignatureSize))
}
