package feedtest

import (
	"encoding/hex"
	"fmt"

	"tailcast/feed"
)

// WeakKeys returns 32 bytes each that no entry point may take for a public key: the eight points of small order, other encodings of points, and
// what is no point. docs/feed.md, section 2, has the first; the others follow from it.
func WeakKeys() map[string]feed.PublicKey {
	keys := map[string]feed.PublicKey{}
	for k, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		keys[fmt.Sprintf("small order %d", k)] = decoded(text)
	}
	for y := range 19 { // y + p, for y = 0 to 18, fits 255 bits
		key := decoded("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
		key[0] += byte(y)
		keys[fmt.Sprintf("not canonical, y = p + %d", y)] = key
		key[31] |= 0x80
		keys[fmt.Sprintf("not canonical, y = p + %d, signed", y)] = key
	}
	keys["x = 0 with a sign"] = decoded("0100000000000000000000000000000000000000000000000000000000000080")
	keys["x = 0 with a sign, order 2"] = decoded("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")
	keys["no point"] = feed.PublicKey{2}
	return keys
}

func decoded(text string) feed.PublicKey {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic("feedtest: " + err.Error())
	}
	return feed.PublicKey(b)
}
