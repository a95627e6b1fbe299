// Package clip makes and checks clips: some minutes of a channel as one file that proves by itself who signed it.
//
// A clip holds the link, the notes that lead from its root key to the keys that signed, and the blocks with what proves their place in
// the log; perhaps also an anchor of the catalog, and the cosignatures of witnesses, who say when. Whoever has the link needs nothing
// else. The format is section 15 of docs/feed.md: written and read from front to back, with memory for one block, and each byte of it
// is checked.
//
//	"tailcast clip 1\n" · link "\n"
//	1 · channel note · epoch note · log name · a · frontier(a)                 (for each part)
//	    2 · record · signature · payload                                       (for each of [a, b))
//	    0, or 1 · n · cover(b, n) · signature · the anchor, with its proof
//	0 · SHA-256 of all that
package clip

import "tailcast/feed/merkle"

const (
	title = "tailcast clip 1\n"

	tagEnd      = 0 // of a clip, and of a part that no anchor follows
	tagPart     = 1
	tagAnchored = 1
	tagBlock    = 2

	// maxParts bounds what a reader has to remember.
	maxParts = 4096
	// maxCosignatures and maxWitnesses bound the signature lines of an anchor.
	maxCosignatures = 4096
	maxWitnesses    = 16
)

// A Proof ties a part to an anchor of its epoch's catalog, and that to a head of the catalog, which a witness may have cosigned.
type Proof struct {
	Size         uint64        // n: of the log, as the anchor names it
	Cover        []merkle.Hash // cover(b, n)
	Signature    [64]byte      // of the head of size n
	Index        uint64        // j: the anchor's record in the catalog
	Frontier     []merkle.Hash // frontier(j)
	Record       [80]byte      // the anchor
	Payload      []byte
	Catalog      uint64        // m: size of the catalog
	CatalogCover []merkle.Hash // cover(j+1, m)
	CatalogSig   [64]byte      // of the head of size m
	Cosignatures []byte        // signature lines of witnesses
}
