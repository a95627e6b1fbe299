package clip

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// The key of a witness has one spelling, but for white space around it.
func TestEverySpellingOfAWitness(t *testing.T) {
	seed := sha256.Sum256([]byte("witness"))
	key := append([]byte{algCosignature}, ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)...)
	const name = "witness.example/w"
	encoded := base64.StdEncoding.EncodeToString(key)
	id := sha256.Sum256([]byte(name + "\n" + string(key)))
	good := fmt.Sprintf("%s+%x+%s", name, id[:4], encoded)
	if w, err := ParseWitness(" " + good + "\n"); err != nil || w.name != name {
		t.Fatalf("%s: %v", good, err)
	}
	refuse := func(what, vkey string) {
		t.Helper()
		if vkey == good {
			t.Fatalf("%s: nothing was changed", what)
		}
		if _, err := ParseWitness(vkey); err == nil {
			t.Errorf("%s: took %q for %q", what, vkey, good)
		}
	}
	refuse("upper case", strings.Replace(good, fmt.Sprintf("%x", id[:4]), fmt.Sprintf("%X", id[:4]), 1))
	refuse("padding", good+"=")
	refuse("a line break", good[:len(good)-9]+"\n"+good[len(good)-9:])
	for i := range good {
		refuse("a character less", good[:i]+good[i+1:])
		refuse("a character twice", good[:i+1]+good[i:])
		for bit := range 8 {
			refuse("a bit", good[:i]+string([]byte{good[i] ^ 1<<bit})+good[i+1:])
		}
		for _, between := range []string{" ", "\n", "\r", "\x00", "+", "=", "\u200b", "%2b"} {
			if i > 0 || strings.TrimSpace(between) != "" {
				refuse("something between", good[:i]+between+good[i:])
			}
		}
	}
}
