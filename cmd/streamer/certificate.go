package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"tailcast/internal/durable"
	"tailcast/node"
)

// selfSigned is the file in --data with the certificate and the key that --rtmps uses if it is given none.
const selfSigned = "rtmps.pem"

// tls is the configuration of --rtmps.
func (o *options) tls(log *slog.Logger) (*tls.Config, error) {
	if (o.tlsCert == "") != (o.tlsKey == "") {
		return nil, node.Usagef("--tls-cert and --tls-key belong together: the certificate chain, and its private key")
	}
	if o.tlsCert != "" {
		c, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
		if err != nil {
			return nil, node.Configuration(fmt.Errorf("--tls-cert, --tls-key: %w", err))
		}
		return serverTLS(c), nil
	}
	log.Warn("RTMPS has a certificate that nobody has signed: ffmpeg takes it, encoders that check certificates, as OBS does, do not; give one with --tls-cert and --tls-key")
	c, err := keptCertificate(filepath.Join(o.Data, selfSigned), time.Now())
	if err != nil {
		return nil, fmt.Errorf("couldn't make a certificate for RTMPS: %w", err)
	}
	return serverTLS(c), nil
}

func serverTLS(c tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
}

// keptCertificate reads the self-signed certificate, and makes one if there is none or it ends soon.
func keptCertificate(file string, now time.Time) (tls.Certificate, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		c, err := tls.X509KeyPair(text, text)
		if err != nil {
			return c, fmt.Errorf("%s: %w; remove it, and another is made", file, err)
		}
		if c.Leaf.NotAfter.After(now.AddDate(0, 1, 0)) {
			return c, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, err
	}
	if text, err = makeCertificate(now); err != nil {
		return tls.Certificate{}, err
	}
	if err := durable.WriteFile(file, text, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(text, text)
}

// makeCertificate signs a new key with itself: the certificate and the private key in PEM.
func makeCertificate(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "streamer"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if name, err := os.Hostname(); err == nil {
		c.DNSNames = append(c.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}
