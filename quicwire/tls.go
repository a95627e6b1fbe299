package quicwire

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"tailcast/feed"
)

// ALPN is the name of the protocol and its version in the TLS handshake (RFC 7301).
const ALPN = "tailcast/1"

// maxCertificate is the largest node certificate, in bytes; ours has about 180.
const maxCertificate = 1024

// nodeCertificate wraps a node key in the smallest certificate that TLS takes: self-signed, no names, valid for ever. Nobody looks at
// anything in it but the key.
func nodeCertificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, section 4.1.2.5: no end
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("couldn't make a node certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tlsConfig is that of both sides. The peer must show a node certificate, and if want is not nil, one with that key. It is checked in
// VerifyConnection, which alone runs in every kind of handshake. There are no tickets, so no 0-RTT.
//
// Only X25519: the post-quantum hybrid needs a second packet for the first flight and twice the CPU of a handshake, to hide what
// whoever knows the link can watch.
func tlsConfig(cert tls.Certificate, want *feed.PublicKey) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{cert},
		NextProtos:             []string{ALPN},
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // names and chains; VerifyConnection checks the key
		SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := peerKey(cs, want)
			return err
		},
	}
}

// errPinned says that the node is not the one that was dialled.
var errPinned = errors.New("the node has another key than the one asked for")

// peerKey returns the node key of the peer, if it is one to be trusted and, unless want is nil, the wanted one. That the peer has the
// private half is TLS's business (CertificateVerify).
func peerKey(cs tls.ConnectionState, want *feed.PublicKey) (feed.PublicKey, error) {
	if len(cs.PeerCertificates) != 1 || len(cs.PeerCertificates[0].Raw) > maxCertificate {
		return feed.PublicKey{}, fmt.Errorf("%d node certificates, want one of at most %d bytes", len(cs.PeerCertificates), maxCertificate)
	}
	public, ok := cs.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return feed.PublicKey{}, errors.New("a node certificate without an Ed25519 key")
	}
	key, err := feed.ParsePublicKey(public)
	if err != nil {
		return feed.PublicKey{}, fmt.Errorf("node key: %w", err)
	}
	if want != nil && key != *want {
		return feed.PublicKey{}, errPinned
	}
	return key, nil
}
