package quicwire

import (
	"tailcast/feed"
	"tailcast/feed/merkle"
)

// Fork (0x10) shows a head because the receiver's root prefix for that size is another (B is nil), or proves a fork: two heads of
// one log of which the second does not continue the first.
type Fork struct {
	Log      LogID
	A        feed.Head
	B        *feed.Head    // A.Size <= B.Size
	Frontier []merkle.Hash // with B and A.Size < B.Size: the peaks of A.Size under B
	Cover    []merkle.Hash // likewise: cover(A.Size, B.Size)
}

func (m *Fork) spec() *spec { return specFork }

func (m *Fork) fields(c *codec) {
	c.mine(&m.Log)
	c.head(&m.A)
	var proof uint8
	if m.B != nil {
		proof = 1
	}
	c.u8(&proof)
	c.check(proof <= 1, "fork form %d, want 0 or 1", proof)
	if proof != 1 || c.err != nil {
		return
	}
	if c.reading {
		m.B = new(feed.Head)
	}
	c.head(m.B)
	c.check(m.A.Size <= m.B.Size, "size %d before size %d", m.A.Size, m.B.Size)
	if m.A.Size < m.B.Size && c.err == nil {
		c.hashes(&m.Frontier, merkle.PeakCount(m.A.Size))
		c.hashes(&m.Cover, merkle.CoverLen(m.A.Size, m.B.Size))
	}
}

// Proof returns the proof that m carries, or nil.
func (m *Fork) Proof(root feed.PublicKey) *feed.ForkProof {
	if m.B == nil {
		return nil
	}
	return &feed.ForkProof{
		Origin: feed.Origin(root, m.Log.Epoch, m.Log.Name), A: m.A, B: *m.B, Frontier: m.Frontier, Cover: m.Cover,
	}
}

// head carries size, root and signature.
func (c *codec) head(h *feed.Head) {
	c.size(&h.Size)
	c.hash(&h.Root)
	c.signature(&h.Signature)
}
