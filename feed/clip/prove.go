package clip

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tailcast/feed"
)

// proof ties the part at hand to the first anchor of its epoch that covers it; nil if there is none here.
func (k *cutter) proof() (*Proof, error) {
	catalog, err := k.epoch.Log(feed.CatalogLog)
	if err != nil {
		return nil, err
	}
	co := k.cosigned
	if co != nil && co.origin != catalog.Origin() {
		co = nil
	}
	a, ok := k.anchor(catalog)
	if co != nil && (!ok || co.size <= a.block.Index) {
		return nil, fmt.Errorf("the cosigned head of size %d is older than what is cut from %s: have the head cosigned that follows the next anchor", co.size, k.log.Origin())
	}
	if !ok {
		return nil, nil
	}
	p := &Proof{Size: a.head.Size, Index: a.block.Index, Payload: a.block.Payload, Catalog: a.block.Index + 1, CatalogSig: a.block.Signature}
	if p.Cover, err = k.log.Cover(k.edge.Size(), p.Size); err != nil {
		return nil, ignore(err, co)
	}
	head, ok := k.log.HeadAt(p.Size)
	if !ok || head.Root != a.head.Root {
		return nil, ignore(fmt.Errorf("head of size %d of %s: %w", p.Size, k.log.Origin(), feed.ErrNotHeld), co)
	}
	p.Signature = head.Signature
	f, err := catalog.Frontier(p.Index)
	if err != nil {
		return nil, ignore(err, co)
	}
	p.Frontier = f.Peaks()
	a.block.Record.Append(p.Record[:0])
	return p, co.add(p, catalog)
}

// ignore returns an error only if a witness depends on it: otherwise the part is as good as if there were no anchor.
func ignore(err error, co *cosigned) error {
	if co == nil {
		return nil
	}
	return fmt.Errorf("couldn't prove what is cosigned: %w", err)
}

// An anchorAt is an entry of the catalog that names the log.
type anchorAt struct {
	block feed.Block
	head  feed.LogHead
}

// maxEntries bounds how far the catalog is searched: anchors come once a minute, heartbeats once a second.
const maxEntries = 1 << 12

// slack is how much earlier than the end of a part its anchor may have been signed, by the clock of another log.
const slack = 10 * time.Second

// anchor returns the first anchor held that names the log with a size that covers the part.
func (k *cutter) anchor(catalog *feed.Log) (a anchorAt, ok bool) {
	first, err := catalog.AtTime(time.UnixMicro(k.last.Wall).Add(-slack))
	if err != nil {
		return a, false
	}
	end := catalog.Head().Size
	for i := first.Index; i < end && i < first.Index+maxEntries; i++ {
		b, err := catalog.Record(i)
		if err != nil || b.Record.Kind != feed.Event {
			continue
		}
		if b, err = catalog.Block(i); err != nil {
			continue
		}
		entry, err := feed.ParseCatalogEntry(b.Payload)
		anchor, isAnchor := entry.(feed.LogAnchor)
		if err != nil || !isAnchor {
			continue
		}
		for _, h := range anchor.Logs {
			if h.Log == k.name && h.Size >= k.edge.Size() {
				return anchorAt{b, h}, true
			}
		}
	}
	return a, false
}

// cosigned is a head of a catalog with cosignatures.
type cosigned struct {
	origin string
	size   uint64
	root   string
	lines  []byte // of witnesses
	used   bool   // in a part
}

// parseCosigned reads a signed note whose text is a head of a catalog: it takes the lines of witnesses. Whether any signature is good,
// verification tells. https://c2sp.org/tlog-checkpoint
func parseCosigned(signed []byte) (*cosigned, error) {
	text, signatures, ok := strings.Cut(string(signed), "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) != 3 {
		return nil, errors.New("the cosigned head is not a checkpoint of three lines, an empty line and signatures")
	}
	_, _, log, err := feed.ParseOrigin(lines[0])
	if err != nil {
		return nil, fmt.Errorf("the cosigned head: %w", err)
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || log != feed.CatalogLog {
		return nil, errors.New("the cosigned head is not that of a catalog")
	}
	c := &cosigned{origin: lines[0], size: size, root: lines[2]}
	for line := range strings.Lines(signatures) {
		if _, err := parseCosignature(line); err == nil && !strings.HasPrefix(line, "— "+c.origin+" ") {
			c.lines = append(c.lines, line...)
		}
	}
	if len(c.lines) == 0 {
		return nil, errors.New("the cosigned head has no cosignature/v1 of a witness")
	}
	_, err = parseCosignatures(c.lines)
	return c, err
}

// add puts the cosignatures into a proof, and leads from the anchor to the head that was cosigned.
func (c *cosigned) add(p *Proof, catalog *feed.Log) (err error) {
	if c == nil {
		return nil
	}
	head, ok := catalog.HeadAt(c.size)
	if !ok {
		return fmt.Errorf("the cosigned head of size %d of %s: %w", c.size, c.origin, feed.ErrNotHeld)
	}
	if head.Root.String() != c.root {
		return fmt.Errorf("the cosigned head of size %d of %s has another root than the one here: a fork, or a typing error", c.size, c.origin)
	}
	p.Catalog, p.CatalogSig, p.Cosignatures = c.size, head.Signature, bytes.Clone(c.lines)
	p.CatalogCover, err = catalog.Cover(p.Index+1, c.size)
	c.used = err == nil
	return err
}
