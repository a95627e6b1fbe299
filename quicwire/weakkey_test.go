package quicwire

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// TestWeakNodeKeys: a node whose key everybody can sign with would be everybody. For the identity as key this signature is good for any
// message, so that nothing but the rule for keys refuses the record.
func TestWeakNodeKeys(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	record := PeerRecord{Addr: netip.MustParseAddrPort("192.0.2.7:4433"), Expires: now.Unix() + 600, Signature: feed.Signature{1}}
	for name, key := range feedtest.WeakKeys() {
		cert := &x509.Certificate{PublicKey: ed25519.PublicKey(key[:])}
		if _, err := peerKey(tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}, nil); !errors.Is(err, feed.ErrKey) {
			t.Errorf("certificate, %s: got %v, want ErrKey", name, err)
		}
		record.Node = key
		if err := record.Verify(testRoot(), now); !errors.Is(err, ErrPeerRecord) {
			t.Errorf("peer record, %s: got %v, want ErrPeerRecord", name, err)
		}
	}
	identity := feed.PublicKey{1}
	record.Node = identity
	if !ed25519.Verify(identity[:], record.text(testRoot()), record.Signature[:]) {
		t.Error("the forged signature is not good, so the test says little")
	}
}
