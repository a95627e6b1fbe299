package lan

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// service is our DNS-SD service type (RFC 6763, section 7), in the only domain that multicast DNS has.
const (
	service = "_tailcast._udp"
	domain  = "local"
)

const (
	saltSize = 16
	keySize  = 32 // of Ed25519 public keys
)

// A claim is what a node says of itself in its TXT record: that it takes part in a channel, which it does not name, under a node key.
//
//	v=1
//	s=<salt, 16 bytes>
//	t=<tag, 32 bytes>
//	n=<node key, 32 bytes>
//
// Bytes are written in lower-case base32 without padding. docs/discovery.md is normative.
type claim struct {
	salt [saltSize]byte
	tag  [sha256.Size]byte
	node [keySize]byte
}

// newClaim makes a claim with a salt of its own, so that two claims of one channel have nothing in common to who does not know its link.
func newClaim(root, node []byte) claim {
	c := claim{node: [keySize]byte(node)}
	rand.Read(c.salt[:]) // never fails
	c.tag = c.expect(root)
	return c
}

// expect returns HMAC-SHA256(root key, "tailcast/1 lan" || salt || node key): the tag if the claim is of that channel. The node key is part of
// it so that who overhears a claim cannot make others of it.
func (c *claim) expect(root []byte) [sha256.Size]byte {
	m := hmac.New(sha256.New, root)
	m.Write([]byte("tailcast/1 lan"))
	m.Write(c.salt[:])
	m.Write(c.node[:])
	return [sha256.Size]byte(m.Sum(nil))
}

// of reports whether the claim is of the channel with that root key.
func (c *claim) of(root []byte) bool {
	want := c.expect(root)
	return hmac.Equal(want[:], c.tag[:])
}

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// text returns the strings of the TXT record.
func (c *claim) text() []string {
	return []string{
		"v=1",
		"s=" + encoding.EncodeToString(c.salt[:]),
		"t=" + encoding.EncodeToString(c.tag[:]),
		"n=" + encoding.EncodeToString(c.node[:]),
	}
}

// name returns a name for the instance and its host: 80 bits of the salt, which nobody else has, instead of the machine's name.
func (c *claim) name() string { return encoding.EncodeToString(c.salt[:10]) }

// parseClaim reads the strings of a TXT record. As RFC 6763, section 6.4 says, the first of each key counts, upper case is lower case in keys,
// and strings that we do not know are for others.
func parseClaim(txt []string) (claim, error) {
	values := map[string]string{}
	for _, s := range txt {
		key, value, ok := strings.Cut(s, "=")
		key = strings.ToLower(key)
		if _, again := values[key]; ok && !again {
			values[key] = value
		}
	}
	if values["v"] != "1" {
		return claim{}, fmt.Errorf("version %q, want 1", values["v"])
	}
	var c claim
	err := errors.Join(decode(c.salt[:], "s", values), decode(c.tag[:], "t", values), decode(c.node[:], "n", values))
	return c, err
}

// decode fills to with the value of a key, which must be spelt as we spell it.
func decode(to []byte, key string, values map[string]string) error {
	b, err := encoding.DecodeString(values[key])
	if err != nil || len(b) != len(to) || encoding.EncodeToString(b) != values[key] {
		return fmt.Errorf("%s=%.60q is not %d bytes in base32", key, values[key], len(to))
	}
	copy(to, b)
	return nil
}
