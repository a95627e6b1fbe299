package quicwire

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"fmt"

	"tailcast/feed"
)

// The link proof shows that its maker knows the root key of the channel, which only the link carries, without saying which it is:
//
//	type 0x01 │ HMAC-SHA256(root, label ‖ exporter ‖ dialer's node key ‖ acceptor's node key)
//
// label is "tailcast/1 dial" or "tailcast/1 accept". The exporter (RFC 8446, section 7.5; 32 bytes for "EXPORTER-tailcast/1" with an
// empty context) ties it to this connection, so that it cannot be passed on; the keys are there because the exporter does not
// cover the client's certificate. Type 2 is reserved for browsers, which have no exporter.
const (
	proofType     = 0x01
	proofSize     = 1 + sha256.Size
	exporterLabel = "EXPORTER-tailcast/1"
	dialLabel     = "tailcast/1 dial"
	acceptLabel   = "tailcast/1 accept"
)

// A binding is what ties link proofs to one connection.
type binding struct {
	exporter         []byte
	dialer, acceptor feed.PublicKey
}

// newBinding returns the binding of a connection between the node with the key own and its peer.
func newBinding(cs tls.ConnectionState, own, peer feed.PublicKey, inbound bool) (binding, error) {
	x, err := cs.ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		return binding{}, fmt.Errorf("couldn't derive the link proof's key: %w", err)
	}
	if inbound {
		return binding{x, peer, own}, nil
	}
	return binding{x, own, peer}, nil
}

// proof returns the proof for one channel.
func (b *binding) proof(root feed.PublicKey, label string) []byte {
	mac := hmac.New(sha256.New, root[:])
	mac.Write([]byte(label))
	mac.Write(b.exporter)
	mac.Write(b.dialer[:])
	mac.Write(b.acceptor[:])
	return mac.Sum([]byte{proofType})
}

// match returns the root among roots for which got is the proof. It takes as long if there is none.
func (b *binding) match(got []byte, label string, roots []feed.PublicKey) (root feed.PublicKey, ok bool) {
	for _, r := range roots {
		if hmac.Equal(got, b.proof(r, label)) {
			root, ok = r, true
		}
	}
	return root, ok
}
