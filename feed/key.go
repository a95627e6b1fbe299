package feed

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"

	"filippo.io/edwards25519"
)

// Sizes in bytes.
const (
	KeySize       = ed25519.PublicKeySize
	SignatureSize = ed25519.SignatureSize
	epochIDSize   = 10
)

// base32Lower is the alphabet of RFC 4648 in lower case, without padding. Decoded by decode32 only, which takes one spelling.
var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ErrKey says that bytes are no key that anybody should trust.
var ErrKey = errors.New("not a usable Ed25519 key")

// A PublicKey is an Ed25519 public key (RFC 8032). Those made by ParsePublicKey and DecodePublicKey are canonical and not of small order.
type PublicKey [KeySize]byte

// A Signature is an Ed25519 signature.
type Signature [SignatureSize]byte

// ParsePublicKey returns the key encoded in b. It refuses what is not the one canonical encoding of a point, and points of small order:
// for the identity as key, one signature verifies every message, in every implementation we know of.
func ParsePublicKey(b []byte) (PublicKey, error) {
	if len(b) != KeySize {
		return PublicKey{}, fmt.Errorf("%w: got %d bytes, want %d", ErrKey, len(b), KeySize)
	}
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: not a point of the curve", ErrKey)
	}
	// SetBytes takes y >= p and a sign without x, as most implementations do. Encoding again gives the canonical form.
	if PublicKey(p.Bytes()) != PublicKey(b) {
		return PublicKey{}, fmt.Errorf("%w: not in canonical form", ErrKey)
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return PublicKey{}, fmt.Errorf("%w: a point of small order, with which anybody can sign", ErrKey)
	}
	return PublicKey(b), nil
}

// DecodePublicKey returns the key that String writes: 52 lower-case base32 characters, the trailing bits zero.
func DecodePublicKey(s string) (PublicKey, error) {
	b, err := decode32(s, KeySize)
	if err != nil {
		return PublicKey{}, err
	}
	return ParsePublicKey(b)
}

// String returns the key as 52 lower-case base32 characters.
func (k PublicKey) String() string { return base32Lower.EncodeToString(k[:]) }

// EpochID returns the id of the epoch that signs with k.
func (k PublicKey) EpochID() EpochID {
	sum := sha256.Sum256(k[:])
	return EpochID(sum[:epochIDSize])
}

// publicKey returns the public half of a private key.
func publicKey(private ed25519.PrivateKey) PublicKey {
	return PublicKey(private.Public().(ed25519.PublicKey))
}

// An EpochID names an epoch in origins and paths: the first 80 bits of SHA-256(epoch public key).
type EpochID [epochIDSize]byte

// ParseEpochID returns the id that String writes.
func ParseEpochID(s string) (EpochID, error) {
	b, err := decode32(s, epochIDSize)
	if err != nil {
		return EpochID{}, err
	}
	return EpochID(b), nil
}

// String returns the id as 16 lower-case base32 characters.
func (id EpochID) String() string { return base32Lower.EncodeToString(id[:]) }

// decode32 returns the size bytes that s spells in lower-case base32. Every value has one spelling: the right length, no upper case,
// no line breaks, unused bits zero.
func decode32(s string, size int) ([]byte, error) {
	if want := base32Lower.EncodedLen(size); len(s) != want {
		return nil, fmt.Errorf("got %d characters, want %d of a-z and 2-7", len(s), want)
	}
	b, err := base32Lower.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not %d characters of a-z and 2-7", s, len(s))
	}
	if base32Lower.EncodeToString(b) != s {
		return nil, fmt.Errorf("%q does not end as base32 of %d bytes does", s, size)
	}
	return b, nil
}
