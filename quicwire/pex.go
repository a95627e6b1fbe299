package quicwire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
)

// MaxPeers is how many records one Pex carries.
const MaxPeers = 16

// MaxPeerAge is how far ahead a peer record may expire.
const MaxPeerAge = time.Hour

// Pex (0x0f) names nodes of the channel that the sender is connected to, at the address at which it sees them; and the sender
// itself, at the address at which the receiver sees it.
type Pex struct {
	Peers []PeerRecord // at most 16
}

func (m *Pex) spec() *spec { return specPex }

func (m *Pex) fields(c *codec) {
	count(c, &m.Peers, MaxPeers)
	for i := range m.Peers {
		m.Peers[i].fields(c)
	}
}

// A PeerRecord is a node's own word that it takes part in a channel and can be dialled. Who passes it on vouches that it has a
// session with that node, at that address. It names no channel; the signature covers the root, which readers know.
type PeerRecord struct {
	Node      feed.PublicKey
	Addr      netip.AddrPort
	Role      Role
	Flags     NodeFlags
	Expires   int64 // seconds since 1970 UTC
	Signature feed.Signature
}

func (p *PeerRecord) fields(c *codec) {
	p.signed(c)
	c.signature(&p.Signature)
}

// signed carries the fields that are signed.
func (p *PeerRecord) signed(c *codec) {
	c.key(&p.Node)
	c.addr(&p.Addr)
	c.u8((*uint8)(&p.Role))
	c.varint((*uint64)(&p.Flags), maxVarint)
	c.i64(&p.Expires)
}

// text returns the bytes that a node signs: "tailcast/1 peer", a zero byte, the root key, and the fields as they travel.
func (p *PeerRecord) text(root feed.PublicKey) []byte {
	c := codec{buf: append([]byte("tailcast/1 peer\x00"), root[:]...)}
	p.signed(&c)
	return c.buf
}

// ErrPeerRecord says that a record is not to be used.
var ErrPeerRecord = errors.New("peer record is expired, too far ahead, without an address or not signed by its node")

// Verify returns nil if the node itself signed the record for the channel of root, and it has not expired at now.
func (p *PeerRecord) Verify(root feed.PublicKey, now time.Time) error {
	left := time.Unix(p.Expires, 0).Sub(now)
	_, err := feed.ParsePublicKey(p.Node[:])
	if err != nil || !p.Addr.IsValid() || left <= 0 || left > MaxPeerAge || !ed25519.Verify(p.Node[:], p.text(root), p.Signature[:]) {
		return ErrPeerRecord
	}
	return nil
}

// signPeer signs p with the key of its node, for the channel of root.
func signPeer(key ed25519.PrivateKey, root feed.PublicKey, p PeerRecord) PeerRecord {
	p.Node = feed.PublicKey(key.Public().(ed25519.PublicKey))
	p.Addr = netip.AddrPortFrom(p.Addr.Addr().Unmap(), p.Addr.Port())
	p.Signature = feed.Signature(ed25519.Sign(key, p.text(root)))
	return p
}

// ShortIDOf returns the short id of a node.
func ShortIDOf(node feed.PublicKey) ShortID {
	sum := sha256.Sum256(node[:])
	return ShortID(slices.Clone(sum[:4]))
}
