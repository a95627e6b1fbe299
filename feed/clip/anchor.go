package clip

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// anchor reads and checks the proof of a part under an anchor, if there is one. tag is the byte behind the blocks.
func (v *verifier) anchor(p *Part, tag int) error {
	if tag == tagEnd {
		return nil
	}
	if tag != tagAnchored {
		v.in.fail("a part ends with %d, want 0 or 1", tag)
		return v.in.err
	}
	a := &Anchor{Size: v.in.size("the anchored size")}
	anchored, err := v.anchored(p, a)
	if err != nil {
		return err
	}
	if err := v.inCatalog(p, a, anchored); err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	lines := v.in.sized(maxCosignatures, "the cosignatures")
	if v.in.err != nil {
		return v.in.err
	}
	a.Witnesses, err = verifyCosignatures(&a.Catalog, catalogOrigin(p), lines, v.options.Witnesses)
	p.Anchor = a
	return err
}

func catalogOrigin(p *Part) string {
	return feed.Origin(p.Epoch.Root, p.Epoch.Key.EpochID(), feed.CatalogLog)
}

// anchored reads cover(b, n), and checks that the head of size n to which it leads is signed. It returns the line of the anchor that says so.
func (v *verifier) anchored(p *Part, a *Anchor) (feed.LogHead, error) {
	if v.in.err == nil && a.Size < p.To {
		v.in.fail("the anchored size %d is before the end of the part, %d", a.Size, p.To)
	}
	head := v.head(&v.edge, a.Size, "the cover of the log")
	if v.in.err != nil {
		return feed.LogHead{}, v.in.err
	}
	if !head.Verify(p.Epoch.Key, p.origin()) {
		return feed.LogHead{}, fmt.Errorf("head of size %d: %w", a.Size, feed.ErrSignature)
	}
	return feed.LogHead{Log: p.Log, Size: a.Size, Root: head.Root}, nil
}

// head reads the cover from f to size n and the signature there.
func (v *verifier) head(f *merkle.Frontier, n uint64, what string) feed.Head {
	if v.in.err != nil {
		return feed.Head{}
	}
	cover := v.in.hashes(merkle.CoverLen(f.Size(), n), what)
	signature := feed.Signature(v.in.take(feed.SignatureSize, "a signature"))
	root, err := merkle.RootAt(f, n, cover)
	if err != nil {
		v.in.fail("%s: %w", what, err)
	}
	return feed.Head{Size: n, Root: root, Signature: signature}
}

// inCatalog reads the anchor and what proves it, and checks that it says want.
func (v *verifier) inCatalog(p *Part, a *Anchor, want feed.LogHead) error {
	in := v.in
	index, size := in.size("the index of the anchor"), in.size("the size of the catalog")
	if in.err == nil && index >= size {
		in.fail("record %d of a catalog of %d", index, size)
	}
	f := in.frontier(index, "the frontier of the catalog")
	record, err := feed.ParseRecord(in.take(feed.RecordSize, "the anchor"))
	if in.err != nil || err != nil {
		return errors.Join(in.err, err)
	}
	payload := in.take(int(record.Length), "the anchor")
	if in.err != nil {
		return in.err
	}
	if err := checkAnchor(index, &record, payload, want); err != nil {
		return err
	}
	f.Append(record.Leaf())
	a.Time = time.UnixMicro(record.Wall).UTC()
	a.Catalog = v.head(&f, size, "the cover of the catalog")
	if in.err == nil && !a.Catalog.Verify(p.Epoch.Key, catalogOrigin(p)) {
		return fmt.Errorf("head of size %d of the catalog: %w", size, feed.ErrSignature)
	}
	return in.err
}

// checkAnchor checks that a record of the catalog is an anchor that says want.
func checkAnchor(index uint64, record *feed.Record, payload []byte, want feed.LogHead) error {
	if err := record.CheckPayload(payload); err != nil {
		return err
	}
	if index == 0 {
		if err := record.Follows(nil); err != nil {
			return err
		}
	}
	entry, err := feed.ParseCatalogEntry(payload)
	if err != nil {
		return err
	}
	anchor, ok := entry.(feed.LogAnchor)
	if record.Kind != feed.Event || !ok || !slices.Contains(anchor.Logs, want) {
		return fmt.Errorf("record %d of the catalog does not name %s with size %d and that root", index, want.Log, want.Size)
	}
	return nil
}
