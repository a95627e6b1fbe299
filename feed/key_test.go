package feed

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// seedKey returns the private key whose seed is SHA-256 of a name. All keys in vectors are made so.
func seedKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// smallOrder holds the canonical encodings of the eight points whose order divides 8, as docs/feed.md lists them.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000", // the identity
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
	"0000000000000000000000000000000000000000000000000000000000000000", // order 4
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

func TestSmallOrderIsRefused(t *testing.T) {
	for _, s := range smallOrder {
		b := mustHex(t, s)
		p, err := new(edwards25519.Point).SetBytes(b)
		if err != nil || !slices.Equal(p.Bytes(), b) {
			t.Errorf("%s is not the canonical encoding of a point", s)
		}
		if _, err := ParsePublicKey(b); !errors.Is(err, ErrKey) {
			t.Errorf("%s: got %v, want ErrKey", s, err)
		}
	}
}

// The reason for the rule, in the standard library itself: under the identity as key, one signature is good for every message.
func TestIdentityKeySignsEverything(t *testing.T) {
	identity := mustHex(t, smallOrder[0])
	signature := append(slices.Clone(identity), make([]byte, 32)...) // R is the identity, S is 0
	for _, message := range []string{"", "one", "two"} {
		if !ed25519.Verify(identity, []byte(message), signature) {
			t.Errorf("message %q: the signature did not verify; the rule is needed no more?", message)
		}
	}
}

// Encodings with y >= p, or with a sign and no x, are other spellings of points: all that exist are refused.
func TestNonCanonicalKeysAreRefused(t *testing.T) {
	var spellings [][]byte
	for y := range 19 { // y + p for y = 0 to 18 fits 255 bits
		b := mustHex(t, "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
		b[0] += byte(y)
		signed := slices.Clone(b)
		signed[31] |= 0x80
		spellings = append(spellings, b, signed)
	}
	for _, s := range []string{smallOrder[0], smallOrder[1]} { // x = 0
		b := mustHex(t, s)
		b[31] |= 0x80
		spellings = append(spellings, b)
	}
	points := 0
	for _, b := range spellings {
		if _, err := new(edwards25519.Point).SetBytes(b); err == nil {
			points++
		}
		if _, err := ParsePublicKey(b); !errors.Is(err, ErrKey) {
			t.Errorf("%x: got %v, want ErrKey", b, err)
		}
	}
	if points < 20 {
		t.Errorf("only %d of %d spellings are points at all, so the test says little", points, len(spellings))
	}
}

func TestNotAPoint(t *testing.T) {
	b := make([]byte, KeySize)
	b[0] = 2 // y = 2 has no x
	if _, err := new(field.Element).SetBytes(b); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{b, nil, make([]byte, 31), make([]byte, 33)} {
		if _, err := ParsePublicKey(b); !errors.Is(err, ErrKey) {
			t.Errorf("%x: got %v, want ErrKey", b, err)
		}
	}
}

func TestKeyText(t *testing.T) {
	key := publicKey(seedKey("root"))
	s := key.String()
	got, err := DecodePublicKey(s)
	if err != nil || got != key {
		t.Fatalf("DecodePublicKey(%q): got %v, %v", s, got, err)
	}
	if len(s) != 52 {
		t.Errorf("got %d characters, want 52", len(s))
	}
	for name, bad := range map[string]string{
		"upper case":      strings.ToUpper(s),
		"a character":     s[:51] + "1",
		"too short":       s[:51],
		"too long":        s + "a",
		"padding":         s + "====",
		"line break":      s[:20] + "\n" + s[20:51],
		"trailing bits":   s[:51] + next32(s[51]),
		"nothing":         "",
		"only zero bytes": strings.Repeat("a", 52),
	} {
		if k, err := DecodePublicKey(bad); err == nil {
			t.Errorf("%s: %q gives %v", name, bad, k)
		}
	}
}

// next32 returns the base32 character after c: other trailing bits, since the last of 52 characters holds one bit.
func next32(c byte) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}

func TestEpochID(t *testing.T) {
	key := publicKey(seedKey("epoch"))
	sum := sha256.Sum256(key[:])
	id := key.EpochID()
	if want := strings.ToLower(base32Lower.EncodeToString(sum[:10])); id.String() != want {
		t.Errorf("got %v, want %s", id, want)
	}
	if got, err := ParseEpochID(id.String()); err != nil || got != id {
		t.Errorf("ParseEpochID(%v): got %v, %v", id, got, err)
	}
	for _, bad := range []string{"", "abc", strings.ToUpper(id.String()), id.String() + "a", "0" + id.String()[1:]} {
		if _, err := ParseEpochID(bad); err == nil {
			t.Errorf("ParseEpochID took %q", bad)
		}
	}
}

func mustHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
